//! Each fault of the simulator does on the wire what it says.

#![allow(
    clippy::expect_used,
    reason = "helpers of tests, which clippy does not take for tests"
)]

use std::time::Duration;

use switchgate::shutdown::Drain;
use switchgate::sim::{Fault, Links, Sim, SimConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, timeout};

/// Longer than any answer takes that comes at all.
const PATIENCE: Duration = Duration::from_secs(2);

/// A client that reads whole frames.
struct Client {
    stream: DuplexStream,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects and logs in.
    async fn login(sim: &Sim) -> Self {
        let mut client = Self {
            stream: sim.connect(),
            buffer: Vec::new(),
        };
        assert!(
            client
                .frame()
                .await
                .expect("a greeting")
                .contains("auth/request")
        );
        assert!(
            client
                .ask("auth ClueCon")
                .await
                .expect("a reply")
                .contains("+OK accepted")
        );
        client
    }

    /// The next frame; `None` at the end of the connection.
    async fn frame(&mut self) -> Option<String> {
        loop {
            let text = String::from_utf8_lossy(&self.buffer).into_owned();
            if let Some((head, rest)) = text.split_once("\n\n") {
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("Content-Length: "));
                let length: usize = length.map_or(0, |length| length.parse().expect("a length"));
                if rest.len() >= length {
                    let whole = head.len() + 2 + length;
                    self.buffer.drain(..whole);
                    return Some(text[..whole].to_owned());
                }
            }
            if self.stream.read_buf(&mut self.buffer).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    async fn ask(&mut self, command: &str) -> Option<String> {
        self.stream
            .write_all(format!("{command}\n\n").as_bytes())
            .await
            .ok()?;
        self.frame().await
    }

    /// The answer to `api status`, if one comes in time.
    async fn is_answered(&mut self) -> bool {
        matches!(timeout(PATIENCE, self.ask("api status")).await, Ok(Some(_)))
    }
}

fn sim(drain: &Drain) -> Sim {
    Sim::new(SimConfig::default(), drain)
}

#[tokio::test(start_paused = true)]
async fn drop_links_closes_all_and_takes_new_ones() {
    let drain = Drain::new();
    let sim = sim(&drain);
    let mut client = Client::login(&sim).await;
    sim.inject(Fault::DropLinks);
    assert_eq!(client.frame().await, None);
    assert!(Client::login(&sim).await.is_answered().await);
}

#[tokio::test(start_paused = true)]
async fn half_open_swallows_until_healed() {
    let drain = Drain::new();
    let sim = sim(&drain);
    let mut client = Client::login(&sim).await;
    sim.inject(Fault::HalfOpen);
    assert!(!client.is_answered().await);
    // A new connection is accepted and hears nothing either.
    let mut silent = Client {
        stream: sim.connect(),
        buffer: Vec::new(),
    };
    assert!(timeout(PATIENCE, silent.frame()).await.is_err());
    sim.inject(Fault::Heal);
    assert!(
        silent
            .frame()
            .await
            .is_some_and(|frame| frame.contains("auth/request"))
    );
    assert!(client.frame().await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_stall_ends_by_itself() {
    let drain = Drain::new();
    let sim = sim(&drain);
    let mut client = Client::login(&sim).await;
    sim.inject(Fault::Stall(Duration::from_secs(30)));
    let began = Instant::now();
    assert!(client.ask("api status").await.is_some());
    assert_eq!(began.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn cut_mid_frame_leaves_half_a_reply() {
    let drain = Drain::new();
    let sim = sim(&drain);
    let mut client = Client::login(&sim).await;
    sim.inject(Fault::CutMidFrame);
    assert_eq!(client.ask("api status").await, None);
    assert!(!client.buffer.is_empty(), "some bytes had come");
    assert!(
        Client::login(&sim).await.is_answered().await,
        "later connections are whole"
    );
}

#[tokio::test(start_paused = true)]
async fn a_restart_forgets_the_channels_and_has_a_new_core_uuid() {
    let drain = Drain::new();
    let sim = sim(&drain);
    let before = sim.core_uuid();
    let mut client = Client::login(&sim).await;
    let reply = client
        .ask("api originate sofia/internal/echo@127.0.0.1 &park()")
        .await;
    assert!(reply.expect("a reply").contains("+OK"));
    assert_eq!(sim.channels().len(), 2);
    sim.inject(Fault::Restart);
    assert_eq!(client.frame().await, None);
    assert!(sim.channels().is_empty() && sim.core_uuid() != before);
    let mut again = Client::login(&sim).await;
    let reply = again
        .ask("api global_getvar core_uuid")
        .await
        .expect("a reply");
    assert!(reply.ends_with(&sim.core_uuid()));
}

#[tokio::test(start_paused = true)]
async fn lost_events_leave_a_gap_in_the_sequence() {
    let drain = Drain::new();
    let sim = sim(&drain);
    let mut client = Client::login(&sim).await;
    client.ask("event plain CUSTOM a").await;
    let mut other = Client::login(&sim).await;
    sim.inject(Fault::LoseEvents(2));
    for number in 0..3 {
        other
            .ask(&format!(
                "sendevent CUSTOM\nEvent-Subclass: a\nNumber: {number}"
            ))
            .await;
    }
    let event = client.frame().await.expect("an event");
    assert!(event.contains("Number: 2"), "{event}");
}

#[tokio::test(start_paused = true)]
async fn slow_replies_come_late_and_in_order() {
    let drain = Drain::new();
    let sim = sim(&drain);
    let mut client = Client::login(&sim).await;
    sim.inject(Fault::SlowReplies(Duration::from_secs(3)));
    let began = Instant::now();
    client
        .stream
        .write_all(b"api echo a\n\napi echo b\n\n")
        .await
        .expect("written");
    assert!(client.frame().await.expect("a reply").ends_with("a"));
    assert!(client.frame().await.expect("a reply").ends_with("b"));
    assert_eq!(began.elapsed().as_secs(), 6);
}

#[tokio::test(start_paused = true)]
async fn refused_connections_end_at_once_for_a_while() {
    let drain = Drain::new();
    let sim = sim(&drain);
    sim.inject(Fault::RefuseConnections(Duration::from_secs(5)));
    let mut refused = Client {
        stream: sim.connect(),
        buffer: Vec::new(),
    };
    assert_eq!(refused.frame().await, None);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(Client::login(&sim).await.is_answered().await);
}

#[tokio::test(start_paused = true)]
async fn faults_are_reachable_on_the_wire() {
    let drain = Drain::new();
    let sim = sim(&drain);
    let mut client = Client::login(&sim).await;
    assert!(
        client
            .ask("api sim_fault nonsense")
            .await
            .expect("a reply")
            .contains("-USAGE")
    );
    assert!(
        client
            .ask("api sim_fault slow_replies 1s")
            .await
            .expect("a reply")
            .contains("+OK")
    );
    let began = Instant::now();
    assert!(
        client
            .ask("api sim_fault heal")
            .await
            .expect("a reply")
            .contains("+OK")
    );
    assert_eq!(began.elapsed().as_secs(), 1);
    assert_eq!(client.ask("api sim_fault drop_links").await, None);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_when_links_and_calls_end() {
    let drain = Drain::new();
    let sim = sim(&drain);
    let mut client = Client::login(&sim).await;
    for _ in 0..50 {
        let reply = client
            .ask("api originate sofia/internal/echo@127.0.0.1 &park()")
            .await;
        assert!(reply.expect("a reply").contains("+OK"));
    }
    assert_eq!((sim.channels().len(), sim.connections()), (100, 1));
    client.ask("api hupall").await;
    client.ask("exit").await;
    while client.frame().await.is_some() {}
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((sim.channels().len(), sim.connections()), (0, 0));
    assert!(drain.finish(PATIENCE).await);
}

#[tokio::test(start_paused = true)]
async fn a_link_is_lost_at_once_also_while_its_reply_is_held_back() {
    let drain = Drain::new();
    let sim = sim(&drain);
    let mut client = Client::login(&sim).await;
    sim.inject(Fault::SlowReplies(Duration::from_secs(10)));
    let began = Instant::now();
    let drop_links = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        sim.inject(Fault::DropLinks);
    };
    let (reply, ()) = tokio::join!(client.ask("api status"), drop_links);
    assert_eq!((reply, began.elapsed().as_secs()), (None, 1));
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_some_links_leaves_the_others_alone() {
    let drain = Drain::new();
    let sim = sim(&drain);
    let mut events = Client::login(&sim).await;
    events.ask("event plain HEARTBEAT").await;
    let (mut first, mut second) = (Client::login(&sim).await, Client::login(&sim).await);

    sim.inject_on(Links::OneCommand, Fault::HalfOpen);
    assert!(!first.is_answered().await);
    assert!(second.is_answered().await && events.is_answered().await);
    sim.inject(Fault::Heal);

    let reply = second.ask("api sim_fault drop_links events").await;
    assert!(reply.is_some_and(|reply| reply.contains("+OK")));
    assert_eq!(events.frame().await, None);
    assert!(second.is_answered().await);

    sim.inject_on(Links::Commands, Fault::DropLinks);
    assert_eq!(second.frame().await, None);
    assert!(Client::login(&sim).await.is_answered().await);
}

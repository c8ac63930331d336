//! What the simulator does that no recording shows.

#![allow(
    clippy::expect_used,
    reason = "helpers of tests, which clippy does not take for tests"
)]

use std::time::Duration;

use switchgate::shutdown::Drain;
use switchgate::sim::{Sim, SimConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;

use crate::sim_conformance::record::{Frame, Side, take_frame};

struct Client {
    stream: DuplexStream,
    buffer: Vec<u8>,
}

impl Client {
    async fn login(sim: &Sim) -> Self {
        let mut client = Self {
            stream: sim.connect(),
            buffer: Vec::new(),
        };
        client.frame().await;
        client.ask("auth ClueCon").await;
        client
    }

    async fn frame(&mut self) -> Frame {
        loop {
            if let Some(frame) = take_frame(&mut self.buffer, Side::Server, 0.0) {
                return frame;
            }
            let read = self.stream.read_buf(&mut self.buffer).await.expect("read");
            assert!(read > 0, "the connection ended");
        }
    }

    /// The body, or the reply text, of the answer to a command.
    async fn ask(&mut self, command: &str) -> String {
        self.stream
            .write_all(format!("{command}\n\n").as_bytes())
            .await
            .expect("written");
        loop {
            let frame = self.frame().await;
            if frame.event().is_none() {
                let text = frame.header("Reply-Text").unwrap_or_default();
                return text.to_owned() + &String::from_utf8_lossy(&frame.body);
            }
        }
    }
}

fn start() -> (Drain, Sim) {
    let drain = Drain::new();
    let sim = Sim::new(SimConfig::default(), &drain);
    (drain, sim)
}

#[tokio::test(start_paused = true)]
async fn sim_dial_strings_end_as_they_say_and_when() {
    let (_drain, sim) = start();
    let mut client = Client::login(&sim).await;
    for (dial, answer, seconds) in [
        ("sim/answer?delay=2s", "+OK", 2),
        ("sim/ring_answer?ring=3s", "+OK", 3),
        (
            "{ignore_early_media=true}sim/early_answer?ring=4s",
            "+OK",
            4,
        ),
        ("sim/early?delay=1s", "+OK", 1),
        ("sim/busy?delay=5s", "-ERR USER_BUSY", 5),
        ("sim/reject", "-ERR CALL_REJECTED", 0),
        ("sim/GATEWAY_DOWN?delay=1s", "-ERR GATEWAY_DOWN", 1),
        ("{originate_timeout=10}sim/no_answer", "-ERR NO_ANSWER", 9),
        (
            "{originate_timeout=3,originate_continue_on_timeout=true}sim/no_answer|sim/busy?delay=1s",
            "-ERR USER_BUSY",
            3,
        ),
        (
            "{originate_timeout=3}sim/no_answer|sim/answer",
            "-ERR NO_ANSWER",
            2,
        ),
        ("sim/nonsense", "-ERR INVALID_URL", 0),
        ("sim/busy|sim/answer?delay=1s", "+OK", 1),
        ("sim/answer?delay=9s,sim/answer?delay=2s", "+OK", 2),
        ("null/x", "+OK", 0),
    ] {
        let began = Instant::now();
        let reply = client.ask(&format!("api originate {dial} &park()")).await;
        assert!(reply.starts_with(answer), "{dial}: {reply}");
        assert_eq!(began.elapsed().as_secs(), seconds, "{dial}");
        client.ask("api hupall").await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(sim.channels().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_list_lags_and_the_core_does_not() {
    let (_drain, sim) = start();
    let mut client = Client::login(&sim).await;
    let id = "11111111-0000-4000-8000-000000000001";
    client
        .ask(&format!(
            "api originate {{origination_uuid={id}}}null/x &park()"
        ))
        .await;
    assert_eq!(
        client.ask("api show channels as json").await,
        "{\"row_count\":0}"
    );
    assert_eq!(client.ask(&format!("api uuid_exists {id}")).await, "true");
    let twice = client
        .ask(&format!(
            "api originate {{origination_uuid={id}}}null/x &park()"
        ))
        .await;
    assert_eq!(twice, "-ERR DESTINATION_OUT_OF_ORDER\n");
    tokio::time::sleep(Duration::from_millis(260)).await;
    assert!(client.ask("api show channels as json").await.contains(id));
    client.ask(&format!("api uuid_kill {id}")).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(client.ask(&format!("api uuid_exists {id}")).await, "false");
    assert!(client.ask("api show channels as json").await.contains(id));
    tokio::time::sleep(Duration::from_millis(260)).await;
    assert_eq!(
        client.ask("api show channels as json").await,
        "{\"row_count\":0}"
    );
}

#[tokio::test(start_paused = true)]
async fn references_expand_where_freeswitch_expands_them() {
    let (_drain, sim) = start();
    let mut client = Client::login(&sim).await;
    let id = "11111111-0000-4000-8000-000000000002";
    let dial = format!("{{origination_uuid={id},v=${{uuid}}}}null/x");
    client.ask(&format!("api originate {dial} &park()")).await;
    assert_eq!(
        client.ask(&format!("api uuid_getvar {id} v")).await,
        "_undef_"
    );
    client
        .ask(&format!("api uuid_setvar {id} stored ${{system(id)}}"))
        .await;
    assert_eq!(
        client.ask(&format!("api uuid_getvar {id} stored")).await,
        "${system(id)}"
    );
    for argument in ["x=${system(id)}", "y=a\\nb 'c' {d} "] {
        let set = "call-command: execute\nexecute-app-name: set\nexecute-app-arg";
        client
            .ask(&format!("sendmsg {id}\n{set}: {argument}"))
            .await;
    }
    assert_eq!(
        client.ask(&format!("api uuid_getvar {id} x")).await,
        "simulated shell: id\n"
    );
    assert_eq!(
        client.ask(&format!("api uuid_getvar {id} y")).await,
        "a\\nb 'c' {d} "
    );
}

#[tokio::test(start_paused = true)]
async fn a_job_is_told_to_every_listener_and_a_blocking_api_holds_up_its_own_link() {
    let (_drain, sim) = start();
    let (mut first, mut second) = (Client::login(&sim).await, Client::login(&sim).await);
    first.ask("event plain BACKGROUND_JOB").await;
    second.ask("event json BACKGROUND_JOB").await;
    let reply = first.ask("bgapi msleep 1000\nJob-UUID: mine").await;
    assert_eq!(reply, "+OK Job-UUID: mine");
    let began = Instant::now();
    let blocked = first.ask("api msleep 3000").await;
    assert_eq!((blocked.as_str(), began.elapsed().as_secs()), ("+OK\n", 3));
    for client in [&mut first, &mut second] {
        let frame = client.frame().await;
        let event = frame.event().expect("an event");
        assert_eq!(
            (event.get("Job-UUID"), event.get("Job-Command")),
            ("mine", "msleep")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn permissions_and_refusals_are_those_of_the_configuration() {
    let drain = Drain::new();
    let config = SimConfig {
        reject_all: true,
        ..SimConfig::default()
    };
    let refusing = Sim::new(config, &drain);
    let mut client = Client {
        stream: refusing.connect(),
        buffer: Vec::new(),
    };
    let frame = client.frame().await;
    assert_eq!(frame.header("Content-Type"), Some("text/rude-rejection"));

    let sim = Sim::new(SimConfig::default(), &drain);
    let mut client = Client {
        stream: sim.connect(),
        buffer: Vec::new(),
    };
    client.frame().await;
    client.ask("userauth 1000@test:pw1000").await;
    assert_eq!(client.ask("api version").await, "-ERR permission denied");
    assert!(client.ask("api status").await.starts_with("UP "));
    // The list of allowed apis does not cover sendmsg.
    assert_eq!(client.ask("sendmsg x").await, "-ERR invalid session id [x]");
}

#[tokio::test(start_paused = true)]
async fn heartbeats_tell_the_true_figures() {
    let (_drain, sim) = start();
    let mut client = Client::login(&sim).await;
    client.ask("event plain HEARTBEAT").await;
    client
        .ask("api originate sofia/internal/echo@127.0.0.1 &park()")
        .await;
    let event = client.frame().await.event().expect("a heartbeat");
    assert_eq!(
        (event.get("Session-Count"), event.get("Max-Sessions")),
        ("2", "20000")
    );
    assert_eq!(event.get("Core-UUID"), sim.core_uuid());
}

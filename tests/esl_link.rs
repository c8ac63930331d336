//! The link between any number of callers and one FreeSWITCH that is played by hand: whose reply
//! goes where, and who waits for whom.

use std::future::Future;
use std::task::Poll;
use std::time::Duration;

use switchgate::domain::JobId;
use switchgate::esl::{
    Command, Connection, ConnectionConfig, Limits, LinkError, Lost, Outcome, Reply,
};
use switchgate::shutdown::Drain;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::peer::{Peer, api, config, event, link};

mod end;
mod liveness;
mod loss;
mod nudge;

const MINUTE: Duration = Duration::from_secs(60);

fn ok(reply: Result<Reply, LinkError>) -> String {
    reply.expect("the reply comes").text()
}

/// Polls a future `times` times with the task running in between, then drops it.
async fn poll_and_drop(future: impl Future, times: usize) {
    tokio::pin!(future);
    for _ in 0..times {
        let polled = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        if polled.is_ready() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

async fn end(drain: &Drain) {
    assert!(drain.finish(MINUTE).await, "the link's task stays");
    assert_eq!(drain.running(), 0);
}

fn not_sent(result: &Result<Reply, LinkError>) -> bool {
    matches!(result, Err(LinkError::NotSent(_)))
}

fn unknown(result: &Result<Reply, LinkError>) -> bool {
    matches!(result, Err(LinkError::OutcomeUnknown(_)))
}

#[tokio::test(start_paused = true)]
async fn replies_find_their_callers_with_events_between() {
    for buffer in [64, 64 * 1024] {
        let drain = Drain::new();
        let (link, mut peer, seen) = link(buffer, config(), &drain);
        let callers = async {
            tokio::join!(
                link.send(api("one")),
                link.send(api("two")),
                link.send(Command::event_plain("ALL").unwrap()),
                link.send(api("three")),
            )
        };
        let script = async {
            peer.event("BEFORE").await;
            peer.expect("api one").await;
            peer.event("FIRST").await;
            // All four are written before the first is answered.
            peer.expect("api two").await;
            peer.expect("event plain ALL").await;
            peer.expect("api three").await;
            peer.api_reply("1").await;
            peer.event("SECOND").await;
            peer.event("THIRD").await;
            peer.api_reply("").await;
            peer.reply("+OK event listener enabled plain").await;
            peer.say("Content-Type: log/data\nContent-Length: 4\nLog-Level: 7\n\nlog\n")
                .await;
            peer.api_reply("-ERR three").await;
        };
        let ((one, two, three, four), ()) = tokio::join!(callers, script);
        assert_eq!(ok(one), "1");
        assert_eq!(two.unwrap().outcome(), Outcome::NoReply);
        assert_eq!(ok(three), "+OK event listener enabled plain");
        assert_eq!(four.unwrap().outcome(), Outcome::Error("three".into()));
        assert_eq!(seen.names(), ["BEFORE", "FIRST", "SECOND", "THIRD"]);
        drop(peer);
        end(&drain).await;
    }
}

#[tokio::test(start_paused = true)]
async fn caller_that_gives_up_after_any_number_of_polls_shifts_no_reply() {
    for buffer in [64, 64 * 1024] {
        for times in 0..6 {
            let drain = Drain::new();
            let (link, mut peer, _) = link(buffer, config(), &drain);
            let peer = drain.spawn(async move {
                while let Some(command) = peer.hear().await {
                    // Late: the caller has had time to leave.
                    tokio::task::yield_now().await;
                    let word = command.split([' ', '\n']).nth(1).unwrap_or("").to_owned();
                    match command.split(' ').next() {
                        Some("api") => peer.api_reply(&word).await,
                        Some("exit") => return peer.reply("+OK bye").await,
                        _ => peer.reply(&format!("+OK {word}")).await,
                    }
                }
            });
            for round in 0..5 {
                let job = JobId::generate();
                poll_and_drop(link.send(api(&format!("lost{round}"))), times).await;
                assert_eq!(
                    ok(link.send(api(&format!("a{round}"))).await),
                    format!("a{round}")
                );
                let lost = Command::bgapi(&job, &format!("gone{round}")).unwrap();
                poll_and_drop(link.send(lost), times).await;
                let kept = Command::bgapi(&job, &format!("b{round}")).unwrap();
                assert_eq!(ok(link.send(kept).await), format!("+OK b{round}"));
            }
            assert!(link.is_live());
            drop(link);
            peer.await.unwrap();
            end(&drain).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn command_whose_caller_left_before_it_was_taken_is_not_written() {
    let drain = Drain::new();
    let config = ConnectionConfig {
        max_pending: 1,
        ..config()
    };
    let (link, mut peer, _) = link(1024, config, &drain);
    let first = link.send(api("first"));
    tokio::pin!(first);
    poll_and_drop(first.as_mut(), 2).await;
    poll_and_drop(link.send(api("second")), 2).await;
    let (first, third, ()) = tokio::join!(first, link.send(api("third")), async {
        peer.expect("api first").await;
        peer.api_reply("1").await;
        peer.expect("api third").await;
        peer.api_reply("3").await;
    });
    assert_eq!((ok(first).as_str(), ok(third).as_str()), ("1", "3"));
}

#[tokio::test(start_paused = true)]
async fn late_reply_reaches_nobody() {
    let drain = Drain::new();
    let (link, mut peer, _) = link(1024, config(), &drain);
    let slow = timeout(Duration::from_secs(1), link.send(api("slow")));
    assert!(slow.await.is_err());
    peer.expect("api slow").await;
    let (next, ()) = tokio::join!(link.send(api("next")), async {
        peer.expect("api next").await;
        peer.api_reply("too late").await;
        peer.api_reply("in time").await;
    });
    assert_eq!(ok(next), "in time");
}

#[tokio::test(start_paused = true)]
async fn reply_that_nothing_waits_for_ends_the_link() {
    let drain = Drain::new();
    let (link, mut peer, _) = link(1024, config(), &drain);
    peer.reply("+OK surprise").await;
    assert!(matches!(link.ended().await, Lost::Unasked));
    assert!(matches!(
        link.send(api("x")).await,
        Err(LinkError::NotSent(Lost::Unasked))
    ));
    end(&drain).await;
}

#[tokio::test(start_paused = true)]
async fn frames_that_came_with_the_logins_reply_are_taken() {
    let drain = Drain::new();
    let (near, far) = tokio::io::duplex(1024);
    let mut peer = Peer::new(far);
    peer.event("EARLY").await;
    let seen = crate::peer::Seen::default();
    let _link =
        Connection::new(Box::new(near), Limits::default()).start(config(), seen.clone(), &drain);
    peer.event("LATER").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(seen.names(), ["EARLY", "LATER"]);
}

#[tokio::test(start_paused = true)]
async fn broken_event_is_skipped() {
    let drain = Drain::new();
    let (link, mut peer, seen) = link(1024, config(), &drain);
    peer.say("Content-Type: text/event-json\nContent-Length: 2\n\n[]")
        .await;
    peer.say("Content-Type: text/event-plain\nContent-Length: 5\n\na: b\n")
        .await;
    peer.say("Content-Type: text/event-xml\nContent-Length: 4\n\n<a/>")
        .await;
    peer.say("Content-Type: text/event-json\nContent-Length: 24\n\n{\"Event-Name\":\"BY_JSON\"}")
        .await;
    peer.event("NEXT").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(seen.names(), ["BY_JSON", "NEXT"]);
    assert!(link.is_live());
}

#[tokio::test(start_paused = true)]
async fn full_queue_makes_callers_wait_and_lets_them_leave() {
    let drain = Drain::new();
    let config = ConnectionConfig {
        queue: 2,
        max_pending: 1,
        ..config()
    };
    let (link, mut peer, _) = link(1024, config, &drain);
    let mut sends: Vec<_> = (0..4)
        .map(|n| Box::pin(link.send(api(&n.to_string()))))
        .collect();
    for send in &mut sends {
        poll_and_drop(send.as_mut(), 2).await;
    }
    // One is written, two are queued, the fourth waits for room, and a fifth only until it leaves.
    assert_eq!(link.queued(), 2);
    let late = timeout(Duration::from_secs(1), link.send(api("late")));
    assert!(late.await.is_err());
    for (n, send) in sends.into_iter().enumerate() {
        let (reply, ()) = tokio::join!(send, async {
            peer.expect(&format!("api {n}")).await;
            let more = timeout(Duration::from_secs(1), peer.hear()).await;
            assert!(more.is_err(), "one reply at a time is due: {more:?}");
            peer.api_reply(&n.to_string()).await;
        });
        assert_eq!(ok(reply), n.to_string());
    }
    assert_eq!(link.queued(), 0);
}

#[tokio::test(start_paused = true)]
async fn flood_of_events_does_not_starve_commands() {
    let drain = Drain::new();
    let (link, peer, seen) = link(4096, config(), &drain);
    let (mut hears, mut says) = tokio::io::split(peer.io);
    let flood = drain.spawn(async move {
        use tokio::io::AsyncWriteExt;
        while says.write_all(event("FLOOD").as_bytes()).await.is_ok() {}
    });
    tokio::task::yield_now().await;
    let call = link.send(api("x"));
    tokio::pin!(call);
    let mut command = [0; 7];
    tokio::select! {
        read = hears.read_exact(&mut command) => assert_eq!(read.unwrap(), 7),
        _ = &mut call => panic!("nobody answers"),
    }
    assert_eq!(&command, b"api x\n\n");
    assert!(seen.names().len() < 10_000);
    drop(hears);
    flood.abort();
}

#[tokio::test(start_paused = true)]
async fn flood_of_requests_does_not_starve_reads() {
    let drain = Drain::new();
    let config = ConnectionConfig {
        queue: 8,
        max_pending: 16,
        ..config()
    };
    let (link, mut peer, seen) = link(256, config, &drain);
    for _ in 0..20 {
        let link = link.clone();
        drain.spawn(async move { while link.send(api("flood")).await.is_ok() {} });
    }
    for n in 0..1000 {
        peer.expect("api flood").await;
        if n % 10 == 0 {
            peer.event("BETWEEN").await;
        }
        peer.api_reply("x").await;
    }
    assert!(seen.names().len() >= 90);
    drop(peer);
    end(&drain).await;
}

/// Both ends write more than the buffers between them hold.
#[tokio::test(start_paused = true)]
async fn both_ends_may_write_at_once() {
    let drain = Drain::new();
    let (link, mut peer, seen) = link(64, config(), &drain);
    let long = "z".repeat(5000);
    let (reply, ()) = tokio::join!(link.send(api(&long)), async {
        for _ in 0..100 {
            peer.event("LONG").await;
        }
        peer.expect(&format!("api {long}")).await;
        peer.api_reply(&long).await;
    });
    assert_eq!(ok(reply), long);
    assert_eq!(seen.names().len(), 100);
}

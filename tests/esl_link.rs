//! The link between any number of callers and one FreeSWITCH that is played by hand.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use switchgate::domain::JobId;
use switchgate::esl::{
    Command, Connection, ConnectionConfig, Event, EventSink, Limits, Link, LinkError, Lost,
    NoEvents, Outcome, Reply,
};
use switchgate::shutdown::Drain;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::{Instant, advance, timeout};

use crate::peer::{Peer, api, api_reply, config, event, link};

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

// --- replies ---

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

// --- loss ---

fn not_sent(result: &Result<Reply, LinkError>) -> bool {
    matches!(result, Err(LinkError::NotSent(_)))
}

fn unknown(result: &Result<Reply, LinkError>) -> bool {
    matches!(result, Err(LinkError::OutcomeUnknown(_)))
}

#[tokio::test(start_paused = true)]
async fn loss_before_the_write_is_not_sent() {
    let drain = Drain::new();
    let (link, peer, _) = link(1024, config(), &drain);
    drop(peer);
    let result = link.send(api("x")).await;
    assert!(not_sent(&result), "{result:?}");
    assert!(!link.is_live() && link.lost().is_some());
    assert!(not_sent(&link.send(api("x")).await));
    end(&drain).await;
}

#[tokio::test(start_paused = true)]
async fn loss_in_the_middle_of_a_write_is_not_sent() {
    let drain = Drain::new();
    let (link, mut peer, _) = link(64, config(), &drain);
    let long = "y".repeat(1000);
    let (first, cut, behind, ()) = tokio::join!(
        link.send(api("first")),
        link.send(api(&long)),
        link.send(api("behind")),
        async {
            peer.expect("api first").await;
            let mut part = [0; 500];
            peer.io.read_exact(&mut part).await.unwrap();
            drop(peer);
        }
    );
    assert!(unknown(&first), "{first:?}");
    assert!(not_sent(&cut), "{cut:?}");
    assert!(not_sent(&behind), "{behind:?}");
    end(&drain).await;
}

#[tokio::test(start_paused = true)]
async fn loss_after_the_write_is_unknown() {
    let drain = Drain::new();
    let (link, mut peer, _) = link(1024, config(), &drain);
    let (result, ()) = tokio::join!(link.send(api("x")), async {
        peer.expect("api x").await;
        drop(peer);
    });
    assert!(unknown(&result), "{result:?}");
    end(&drain).await;
}

#[tokio::test(start_paused = true)]
async fn reply_cut_in_the_middle_is_unknown() {
    let whole = api_reply("+OK it was done");
    for length in 1..whole.len() {
        let drain = Drain::new();
        let (link, mut peer, _) = link(1024, config(), &drain);
        let (one, two, ()) = tokio::join!(link.send(api("x")), link.send(api("y")), async {
            peer.expect("api x").await;
            peer.expect("api y").await;
            peer.say(&whole[..length]).await;
            drop(peer);
        });
        assert!(unknown(&one) && unknown(&two), "{length}: {one:?} {two:?}");
        end(&drain).await;
    }
}

/// A FreeSWITCH that goes down answers what it has done, then closes; the next command meets the
/// closed socket before those answers are read.
#[tokio::test(start_paused = true)]
async fn replies_that_came_before_a_failed_write_are_delivered() {
    let drain = Drain::new();
    let (link, mut peer, seen) = link(1024, config(), &drain);
    let first = link.send(api("first"));
    tokio::pin!(first);
    poll_and_drop(first.as_mut(), 2).await;
    peer.expect("api first").await;
    peer.api_reply("+OK done").await;
    peer.event("LAST").await;
    drop(peer);
    let second = link.send(api("second"));
    let (second, first) = tokio::join!(second, first);
    assert_eq!(ok(first), "+OK done");
    assert!(not_sent(&second), "{second:?}");
    assert_eq!(seen.names(), ["LAST"]);
    end(&drain).await;
}

#[tokio::test]
async fn reset_by_the_peer_is_unknown_after_the_write() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = tokio::net::TcpStream::connect(listener.local_addr().unwrap());
    let (near, far) = tokio::join!(near, listener.accept());
    let (near, (mut far, _)) = (near.unwrap(), far.unwrap());
    let drain = Drain::new();
    let link = Connection::new(Box::new(near), Limits::default()).start(config(), NoEvents, &drain);
    let (result, ()) = tokio::join!(link.send(api("x")), async {
        far.read_exact(&mut [0; 7]).await.unwrap();
        socket2::SockRef::from(&far)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(far);
    });
    assert!(
        matches!(result, Err(LinkError::OutcomeUnknown(Lost::Io(_)))),
        "{result:?}"
    );
    end(&drain).await;
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_frames_end_the_link_with_the_reason() {
    let drain = Drain::new();
    let (link, mut peer, _) = link(1024, config(), &drain);
    let (result, ()) = tokio::join!(link.send(api("x")), async {
        peer.expect("api x").await;
        peer.say("Content-Length: many\n\n").await;
    });
    assert!(
        matches!(result, Err(LinkError::OutcomeUnknown(Lost::Frame(_)))),
        "{result:?}"
    );
    assert!(peer.hear().await.is_none(), "the socket is closed");
    end(&drain).await;
}

struct Panics;

impl EventSink for Panics {
    fn event(&mut self, _: Event) {
        panic!("a sink that is broken");
    }
}

/// Whatever ends the task, a command that was written must not look as if it was not.
#[tokio::test(start_paused = true)]
async fn task_that_dies_leaves_the_outcome_unknown() {
    let drain = Drain::new();
    let (near, far) = tokio::io::duplex(1024);
    let mut peer = Peer::new(far);
    let link = Connection::new(Box::new(near), Limits::default()).start(config(), Panics, &drain);
    let (result, ()) = tokio::join!(link.send(api("originate")), async {
        peer.expect("api originate").await;
        peer.event("ANY").await;
    });
    assert!(unknown(&result), "{result:?}");
    assert!(!link.is_live());
    assert!(link.lost().is_some());
    link.ended().await;
}

/// Takes nothing and never says why.
struct Full(tokio::io::DuplexStream);

impl AsyncRead for Full {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Full {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(0))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn socket_that_takes_no_more_bytes_ends_the_link() {
    let drain = Drain::new();
    let (near, _far) = tokio::io::duplex(1024);
    let link =
        Connection::new(Box::new(Full(near)), Limits::default()).start(config(), NoEvents, &drain);
    let result = timeout(Duration::from_secs(5), link.send(api("x"))).await;
    assert!(not_sent(&result.expect("the link does not spin")));
    end(&drain).await;
}

// --- disconnect notices ---

const NOTICE: &str = "Content-Type: text/disconnect-notice\nContent-Length: 67\n\n\
    Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n";

#[tokio::test(start_paused = true)]
async fn disconnect_notice_ends_the_link_before_the_socket_does() {
    let drain = Drain::new();
    let (link, mut peer, _) = link(1024, config(), &drain);
    let started_at = Instant::now();
    let (result, ()) = tokio::join!(link.send(api("x")), async {
        peer.expect("api x").await;
        peer.say(NOTICE).await;
    });
    assert!(
        matches!(result, Err(LinkError::OutcomeUnknown(Lost::Closed))),
        "{result:?}"
    );
    assert!(not_sent(&link.send(api("y")).await));
    assert_eq!(started_at.elapsed(), Duration::ZERO);
    end(&drain).await;
}

#[tokio::test(start_paused = true)]
async fn disconnect_notice_that_lingers_does_not() {
    let drain = Drain::new();
    let (link, mut peer, seen) = link(1024, config(), &drain);
    peer.say(
        "Content-Type: text/disconnect-notice\nControlled-Session-UUID: a\n\
         Content-Disposition: linger\nChannel-Name: b\nLinger-Time: 10\nContent-Length: 0\n\n",
    )
    .await;
    peer.event("AFTER").await;
    let (result, ()) = tokio::join!(link.send(api("x")), async {
        peer.expect("api x").await;
        peer.api_reply("yes").await;
    });
    assert_eq!(ok(result), "yes");
    assert_eq!(seen.names(), ["AFTER"]);
}

// --- liveness ---

async fn lost_after(link: &Link) -> (Lost, Duration) {
    let started_at = Instant::now();
    let lost = timeout(10 * MINUTE, link.ended())
        .await
        .expect("the link ends");
    (lost, started_at.elapsed())
}

#[tokio::test(start_paused = true)]
async fn half_open_link_is_found() {
    let drain = Drain::new();
    let (link, mut peer, _) = link(1024, config(), &drain);
    let (lost, elapsed) = lost_after(&link).await;
    let Lost::Silent(silence) = lost else {
        panic!("{lost:?}");
    };
    assert_eq!((silence, elapsed), (elapsed, Duration::from_secs(30)));
    peer.expect("noevents").await;
    assert_eq!(peer.hear().await, None, "one probe is enough");
    end(&drain).await;
}

#[tokio::test(start_paused = true)]
async fn half_open_link_is_found_although_a_command_cannot_be_written() {
    let drain = Drain::new();
    let (link, _peer, _) = link(16, config(), &drain);
    let (result, (lost, elapsed)) = tokio::join!(
        link.send(api("longer than sixteen bytes")),
        lost_after(&link)
    );
    assert!(not_sent(&result), "{result:?}");
    assert!(matches!(lost, Lost::Silent(_)), "{lost:?}");
    assert_eq!(elapsed, Duration::from_secs(30));
    end(&drain).await;
}

#[tokio::test(start_paused = true)]
async fn half_open_link_is_found_once_no_caller_waits_any_more() {
    let drain = Drain::new();
    let (link, _peer, _) = link(1024, config(), &drain);
    let call = timeout(Duration::from_secs(5), link.send(api("x")));
    let (call, (lost, elapsed)) = tokio::join!(call, lost_after(&link));
    assert!(call.is_err());
    assert!(matches!(lost, Lost::Silent(_)), "{lost:?}");
    assert_eq!(elapsed, Duration::from_secs(30));
    end(&drain).await;
}

#[tokio::test(start_paused = true)]
async fn answered_probe_keeps_the_link() {
    let drain = Drain::new();
    let (link, mut peer, _) = link(1024, config(), &drain);
    for _ in 0..20 {
        peer.expect("noevents").await;
        peer.reply("-ERR not listening for events").await;
    }
    assert!(link.is_live());
    drop(link);
    peer.expect("exit").await;
    peer.reply("+OK bye").await;
    end(&drain).await;
}

#[tokio::test(start_paused = true)]
async fn events_keep_the_link_without_a_probe() {
    let drain = Drain::new();
    let (link, mut peer, _) = link(1024, config(), &drain);
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_secs(9)).await;
        peer.event("HEARTBEAT").await;
    }
    drop(link);
    peer.expect("exit").await;
    peer.reply("+OK bye").await;
    end(&drain).await;
}

#[tokio::test(start_paused = true)]
async fn slow_api_is_not_taken_for_death_and_probes_do_not_pile_up() {
    let drain = Drain::new();
    let (link, mut peer, _) = link(1024, config(), &drain);
    let script = async {
        // Each is slow; one probe at most waits among them.
        let mut probes = 0;
        let mut slow = 0;
        while slow < 4 {
            match peer.hear().await.as_deref() {
                Some("noevents") => {
                    probes += 1;
                    peer.reply("-ERR not listening for events").await;
                }
                Some(_) => {
                    slow += 1;
                    tokio::time::sleep(2 * MINUTE).await;
                    peer.api_reply(&slow.to_string()).await;
                }
                None => panic!("the link is lost"),
            }
        }
        // The probe behind the last one.
        while let Ok(Some(command)) = timeout(Duration::from_secs(1), peer.hear()).await {
            assert_eq!(command, "noevents");
            probes += 1;
            peer.reply("-ERR not listening for events").await;
        }
        assert!(probes <= 2, "{probes} probes");
    };
    let (one, two, three, four, ()) = tokio::join!(
        link.send(api("slow 1")),
        link.send(api("slow 2")),
        link.send(api("slow 3")),
        link.send(api("slow 4")),
        script
    );
    let replies = [one, two, three, four].map(ok);
    assert_eq!(replies, ["1", "2", "3", "4"]);
    assert!(link.is_live());
}

// --- back-pressure ---

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

// --- the end ---

#[tokio::test(start_paused = true)]
async fn last_handle_dropped_says_exit() {
    let drain = Drain::new();
    let (link, mut peer, _) = link(1024, config(), &drain);
    let other = link.clone();
    drop(link);
    assert!(timeout(Duration::from_secs(5), peer.hear()).await.is_err());
    drop(other);
    peer.expect("exit").await;
    peer.reply("+OK bye").await;
    assert_eq!(peer.hear().await, None);
    end(&drain).await;
}

#[tokio::test(start_paused = true)]
async fn drain_says_exit_and_takes_the_replies_that_are_due() {
    for buffer in [64, 1024] {
        let drain = Drain::new();
        let (link, mut peer, seen) = link(buffer, config(), &drain);
        let calls = async { tokio::join!(link.send(api("one")), link.send(api("two"))) };
        let script = async {
            peer.expect("api one").await;
            peer.expect("api two").await;
            drain.stop();
            peer.expect("exit").await;
            peer.api_reply("1").await;
            peer.event("LATE").await;
            peer.api_reply("2").await;
            peer.reply("+OK bye").await;
            assert_eq!(peer.hear().await, None);
        };
        let ((one, two), ()) = tokio::join!(calls, script);
        assert_eq!((ok(one), ok(two)), ("1".into(), "2".into()));
        assert_eq!(seen.names(), ["LATE"]);
        assert!(matches!(link.ended().await, Lost::Stopped));
        end(&drain).await;
    }
}

/// Even when both ends have more to say than the buffers between them hold.
#[tokio::test(start_paused = true)]
async fn drain_reads_while_it_writes() {
    let drain = Drain::new();
    let (link, mut peer, seen) = link(64, config(), &drain);
    let long = "z".repeat(1000);
    let call = link.send(api(&long));
    tokio::pin!(call);
    poll_and_drop(call.as_mut(), 2).await;
    drain.stop();
    let started_at = Instant::now();
    let (reply, ()) = tokio::join!(call, async {
        for _ in 0..50 {
            peer.event("LONG").await;
        }
        peer.expect(&format!("api {long}")).await;
        peer.api_reply("done").await;
        peer.expect("exit").await;
        peer.reply("+OK bye").await;
    });
    assert_eq!(ok(reply), "done");
    assert_eq!(seen.names().len(), 50);
    assert_eq!(started_at.elapsed(), Duration::ZERO);
    end(&drain).await;
}

#[tokio::test(start_paused = true)]
async fn drain_leaves_a_slow_api_after_its_patience() {
    let drain = Drain::new();
    let config = ConnectionConfig {
        max_pending: 1,
        ..config()
    };
    let (link, mut peer, _) = link(1024, config, &drain);
    let started_at = Instant::now();
    let slow = link.send(api("slow"));
    let queued = async {
        let queued = link.send(api("queued")).await;
        (queued, started_at.elapsed())
    };
    let stop = async {
        peer.expect("api slow").await;
        drain.stop();
        peer.expect("exit").await;
        // From here on nothing is taken.
        let refused = link.send(api("refused")).await;
        (refused, started_at.elapsed())
    };
    let (slow, (queued, queued_for), (refused, refused_for)) = tokio::join!(slow, queued, stop);
    assert!(unknown(&slow), "{slow:?}");
    assert!(
        not_sent(&queued) && not_sent(&refused),
        "{queued:?} {refused:?}"
    );
    assert_eq!((queued_for, refused_for), (Duration::ZERO, Duration::ZERO));
    assert_eq!(started_at.elapsed(), Duration::from_secs(2));
    end(&drain).await;
}

#[tokio::test(start_paused = true)]
async fn drain_ends_although_nobody_listens() {
    let drain = Drain::new();
    let (link, _peer, _) = link(16, config(), &drain);
    let call = link.send(api("longer than the buffer between them"));
    let (call, ()) = tokio::join!(call, async {
        advance(Duration::from_secs(1)).await;
        end(&drain).await;
    });
    assert!(not_sent(&call), "{call:?}");
}

/// A caller whose future is held but not polled had been given room in the queue.
#[tokio::test(start_paused = true)]
async fn caller_that_sleeps_does_not_hold_the_task() {
    let drain = Drain::new();
    let config = ConnectionConfig {
        queue: 1,
        max_pending: 1,
        ..config()
    };
    let (link, mut peer, _) = link(1024, config, &drain);
    let mut sends: Vec<_> = (0..3)
        .map(|n| Box::pin(link.send(api(&n.to_string()))))
        .collect();
    for send in &mut sends {
        poll_and_drop(send.as_mut(), 2).await;
    }
    // The reply makes room, which goes to the third caller; it is not polled again for now.
    peer.expect("api 0").await;
    peer.api_reply("0").await;
    peer.expect("api 1").await;
    drop(peer);
    end(&drain).await;
    let third = timeout(MINUTE, sends.remove(2)).await.expect("it is told");
    assert!(not_sent(&third), "{third:?}");
}

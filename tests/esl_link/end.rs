//! How a link is closed from this side.

use std::time::Duration;

use switchgate::esl::{ConnectionConfig, Lost};
use switchgate::shutdown::Drain;
use tokio::time::{Instant, advance, timeout};

use super::{MINUTE, end, not_sent, ok, poll_and_drop, unknown};
use crate::peer::{api, config, link};

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

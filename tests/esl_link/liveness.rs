//! Silence that is death, and silence that is work.

use std::time::Duration;

use switchgate::esl::{Link, Lost};
use switchgate::shutdown::Drain;
use tokio::time::{Instant, timeout};

use super::{MINUTE, end, not_sent, ok};
use crate::peer::{api, config, link};

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

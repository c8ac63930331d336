//! What makes FreeSWITCH look for the events that it holds.

use std::time::Duration;

use switchgate::shutdown::Drain;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::{end, ok};
use crate::peer::{api, config, link};

#[tokio::test(start_paused = true)]
async fn nudge_is_a_line_feed_that_no_reply_belongs_to() {
    let drain = Drain::new();
    let (link, mut peer, seen) = link(1024, config(), &drain);
    link.nudge();
    link.nudge();
    assert_eq!(peer.io.read_u8().await.ok(), Some(b'\n'));
    let more = timeout(Duration::from_secs(1), peer.io.read_u8()).await;
    assert!(more.is_err(), "what is not taken yet needs no second one");

    let call = async {
        link.nudge();
        let one = link.send(api("one")).await;
        link.nudge();
        (one, link.send(api("two")).await)
    };
    let script = async {
        for (command, answer) in [("api one", "1"), ("api two", "2")] {
            let heard = peer.hear().await.expect("a command");
            assert_eq!(heard.trim_start_matches('\n'), command);
            peer.event("EARLY").await;
            peer.api_reply(answer).await;
        }
    };
    let ((one, two), ()) = tokio::join!(call, script);
    assert_eq!((ok(one), ok(two)), ("1".into(), "2".into()));
    assert_eq!(seen.names(), ["EARLY", "EARLY"]);
    drop(peer);
    end(&drain).await;
}

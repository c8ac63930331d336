//! What callers are told when the link is lost, at each moment of a command's way.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use switchgate::esl::{Connection, Event, EventSink, Limits, LinkError, Lost, NoEvents};
use switchgate::shutdown::Drain;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout};

use super::{end, not_sent, ok, poll_and_drop, unknown};
use crate::peer::{Peer, api, api_reply, config, link};

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

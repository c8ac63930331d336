//! The order of a session's events is the wire's.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use bytes::BytesMut;
use switchgate::pb;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::load;
use crate::client::{Feed, answered, hang_up};
use crate::gateway::{Gateway, freeswitch_address, on_each, within};

/// Events of each session: their names and numbers, in order.
type Story = BTreeMap<String, Vec<(String, u64)>>;

/// A plain client of the event socket, which knows nothing of the gateway's code.
struct Listener<S> {
    socket: S,
    buffer: BytesMut,
    heard: Story,
}

// === impl Listener ===

impl<S: AsyncReadExt + AsyncWriteExt + Unpin> Listener<S> {
    async fn begin(socket: S, password: &str) -> Self {
        let mut listener = Self {
            socket,
            buffer: BytesMut::new(),
            heard: Story::new(),
        };
        listener.frame().await;
        for command in [&format!("auth {password}"), "event plain all"] {
            let command = format!("{command}\n\n");
            listener.socket.write_all(command.as_bytes()).await.unwrap();
            let (head, _) = listener.frame().await;
            assert!(head.contains("+OK"), "{head}");
        }
        listener
    }

    /// Head and body of the next frame.
    async fn frame(&mut self) -> (String, String) {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|two| two == b"\n\n") {
                let head = String::from_utf8_lossy(&self.buffer[..at]).into_owned();
                let length = value(&head, "Content-Length").map_or(0, |text| text.parse().unwrap());
                if self.buffer.len() >= at + 2 + length {
                    let frame = self.buffer.split_to(at + 2 + length);
                    return (head, String::from_utf8_lossy(&frame[at + 2..]).into_owned());
                }
            }
            let read = self.socket.read_buf(&mut self.buffer).await.unwrap();
            assert_ne!(read, 0, "the socket stays open");
        }
    }

    /// Listens until all of these sessions have ended.
    async fn until_ended(&mut self, mut sessions: BTreeSet<String>) {
        while !sessions.is_empty() {
            let (_, body) = self.frame().await;
            let (Some(name), Some(id)) = (value(&body, "Event-Name"), value(&body, "Unique-ID"))
            else {
                continue;
            };
            if !name.starts_with("CHANNEL_") {
                continue;
            }
            let sequence = value(&body, "Event-Sequence").unwrap().parse().unwrap();
            let story = self.heard.entry(id.to_owned()).or_default();
            story.push((name.to_owned(), sequence));
            if name == "CHANNEL_DESTROY" {
                sessions.remove(id);
            }
        }
    }
}

fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// Places calls, ends them all, and gives their ids.
async fn calls(gateway: &Gateway) -> BTreeSet<String> {
    let ids = futures_util::future::join_all((0..8).map(async |_| {
        let id = answered(gateway).await.session_id;
        load::set(gateway, &id, 1).await;
        hang_up(gateway, &id).await;
        id
    }));
    ids.await.into_iter().collect()
}

fn told(events: Vec<pb::Event>) -> Story {
    let mut story = Story::new();
    for event in events {
        if event.name.starts_with("CHANNEL_") {
            let events = story.entry(event.session_id).or_default();
            events.push((event.name, event.sequence));
        }
    }
    story
}

async fn check<S>(gateway: &Gateway, mut listener: Listener<S>)
where
    S: AsyncReadExt + AsyncWriteExt + Unpin,
{
    let mut feed = Feed::from_now(gateway).await;
    let sessions = calls(gateway).await;
    within(listener.until_ended(sessions.clone())).await;
    let left = RefCell::new(sessions.clone());
    let is_last = |event: &pb::Event| {
        if event.name == "CHANNEL_DESTROY" {
            left.borrow_mut().remove(&event.session_id);
        }
        left.borrow().is_empty()
    };
    let events = feed.events_until(is_last).await;
    let told = told(events);
    for session in &sessions {
        assert_eq!(told[session], listener.heard[session]);
        assert!(told[session].len() > 5);
    }
}

#[tokio::test]
async fn a_sessions_events_come_in_the_order_of_the_wire() {
    on_each(async |gateway| {
        match gateway.sims.first() {
            Some(sim) => {
                let listener = Listener::begin(sim.connect(), "ClueCon").await;
                check(&gateway, listener).await;
            }
            None => {
                let address = freeswitch_address().unwrap();
                let socket = TcpStream::connect(address).await.unwrap();
                let listener = Listener::begin(socket, "ClueCon").await;
                check(&gateway, listener).await;
            }
        }
        gateway
    })
    .await;
}

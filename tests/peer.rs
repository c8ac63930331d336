//! The other end of a link, played by hand: a FreeSWITCH that says what a test lets it say.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use switchgate::esl::{
    Command, Connection, ConnectionConfig, Event, EventSink, Limits, Link, Liveness,
};
use switchgate::shutdown::Drain;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// The far end of a `duplex`.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) io: DuplexStream,
    inbound: BytesMut,
}

/// Keeps the names of events.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Vec<String>>>);

// === impl Peer ===

impl Peer {
    pub(crate) fn new(io: DuplexStream) -> Self {
        Self {
            io,
            inbound: BytesMut::new(),
        }
    }

    /// The next command, without the empty line at its end; `None` at the end of the stream.
    pub(crate) async fn hear(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.inbound.windows(2).position(|pair| pair == b"\n\n") {
                let command = self.inbound.split_to(end);
                self.inbound.advance(2);
                return Some(String::from_utf8(command.to_vec()).expect("commands are text"));
            }
            if self.io.read_buf(&mut self.inbound).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// Asserts what the next command is.
    pub(crate) async fn expect(&mut self, command: &str) {
        assert_eq!(self.hear().await.as_deref(), Some(command));
    }

    pub(crate) async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.io
            .write_all(bytes.as_ref())
            .await
            .expect("the link reads");
    }

    pub(crate) async fn reply(&mut self, text: &str) {
        self.say(reply(text)).await;
    }

    pub(crate) async fn api_reply(&mut self, body: &str) {
        self.say(api_reply(body)).await;
    }

    pub(crate) async fn event(&mut self, name: &str) {
        self.say(event(name)).await;
    }
}

// === impl Seen ===

impl Seen {
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.lock().expect("no test panics in here").clone()
    }
}

impl EventSink for Seen {
    fn event(&mut self, event: Event) {
        let mut names = self.0.lock().expect("no test panics in here");
        names.push(event.name().into_owned());
    }
}

pub(crate) fn reply(text: &str) -> String {
    format!("Content-Type: command/reply\nReply-Text: {text}\n\n")
}

pub(crate) fn api_reply(body: &str) -> String {
    format!(
        "Content-Type: api/response\nContent-Length: {}\n\n{body}",
        body.len()
    )
}

pub(crate) fn event(name: &str) -> String {
    let event = format!("Event-Name: {name}\nEvent-Sequence: 1\n\n");
    format!(
        "Content-Length: {}\nContent-Type: text/event-plain\n\n{event}",
        event.len()
    )
}

pub(crate) fn api(line: &str) -> Command {
    Command::api(line).expect("the line is one line")
}

/// A link that is through its login, and its peer, `buffer` bytes apart.
pub(crate) fn link(buffer: usize, config: ConnectionConfig, drain: &Drain) -> (Link, Peer, Seen) {
    let (near, far) = tokio::io::duplex(buffer);
    let seen = Seen::default();
    let link =
        Connection::new(Box::new(near), Limits::default()).start(config, seen.clone(), drain);
    (link, Peer::new(far), seen)
}

/// Times that are easy to reckon with: probe after 10 s, dead after 30 s, 2 s for the goodbye.
pub(crate) fn config() -> ConnectionConfig {
    ConnectionConfig {
        liveness: Liveness {
            probe_after: Duration::from_secs(10),
            dead_after: Duration::from_secs(30),
            probe: Command::noevents(),
        },
        exit_timeout: Duration::from_secs(2),
        ..ConnectionConfig::default()
    }
}

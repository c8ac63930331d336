//! A link of the test's own to a FreeSWITCH, real or simulated: it fires events and hears them.

use switchgate::sim::Sim;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::gateway::{Gateway, within};
use crate::sim_conformance::record::{Event, Frame, Side, take_frame};

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

pub(crate) struct RawLink {
    wire: Box<dyn Wire>,
    buffer: Vec<u8>,
    /// Events that came before a reply.
    events: Vec<Frame>,
}

impl RawLink {
    /// To the only node of a gateway.
    pub(crate) async fn of(gateway: &Gateway) -> Self {
        let node = gateway.control.fleet.nodes().next().unwrap();
        Self::to(node.address()).await
    }

    /// To the FreeSWITCH at `host:port`.
    pub(crate) async fn to(address: &str) -> Self {
        let stream = within(TcpStream::connect(address)).await.unwrap();
        Self::login(Box::new(stream), "auth ClueCon").await
    }

    pub(crate) async fn to_sim(sim: &Sim, login: &str) -> Self {
        Self::login(Box::new(sim.connect()), login).await
    }

    async fn login(wire: Box<dyn Wire>, login: &str) -> Self {
        let mut link = Self {
            wire,
            buffer: Vec::new(),
            events: Vec::new(),
        };
        link.frame().await;
        assert_eq!(link.ask(login).await, "+OK accepted");
        link
    }

    /// The answer to a command.
    pub(crate) async fn ask(&mut self, command: &str) -> String {
        let command = format!("{command}\n\n");
        within(self.wire.write_all(command.as_bytes()))
            .await
            .unwrap();
        loop {
            let frame = self.frame().await;
            if frame.event().is_some() {
                self.events.push(frame);
                continue;
            }
            let text = frame.header("Reply-Text").unwrap_or_default();
            return text.to_owned() + &String::from_utf8_lossy(&frame.body);
        }
    }

    /// Fires an event: by its name, or `CUSTOM` and a subclass.
    pub(crate) async fn fire(&mut self, event: &str, mark: &str) {
        let (name, subclass) = event.split_once(' ').unwrap_or((event, ""));
        let subclass = match subclass {
            "" => String::new(),
            subclass => format!("\nEvent-Subclass: {subclass}"),
        };
        let reply = self
            .ask(&format!("sendevent {name}{subclass}\nMark: {mark}"))
            .await;
        assert!(reply.starts_with("+OK"), "{reply}");
    }

    /// What came with this mark, up to the event that is called `last`: the events as they are
    /// fired.
    pub(crate) async fn heard(&mut self, mark: &str, last: &str) -> Vec<String> {
        let mut heard = Vec::new();
        loop {
            let frame = match self.events.is_empty() {
                true => self.frame().await,
                false => self.events.remove(0),
            };
            let Some(event) = frame.event() else { continue };
            if event.get("Mark") != mark {
                continue;
            }
            let name = event.get("Event-Name");
            if name == last {
                return heard;
            }
            let subclass = event.get("Event-Subclass");
            heard.push(format!("{name} {subclass}").trim().to_owned());
        }
    }

    /// The next event.
    pub(crate) async fn event(&mut self) -> Event {
        loop {
            let frame = match self.events.is_empty() {
                true => self.frame().await,
                false => self.events.remove(0),
            };
            if let Some(event) = frame.event() {
                return event;
            }
        }
    }

    /// All events up to the one of this subclass, as they came.
    pub(crate) async fn until_subclass(&mut self, subclass: &str) -> Vec<Event> {
        let mut events = Vec::new();
        let mut early = std::mem::take(&mut self.events).into_iter();
        loop {
            let frame = match early.next() {
                Some(frame) => frame,
                None => self.frame().await,
            };
            let Some(event) = frame.event() else { continue };
            if event.get("Event-Subclass") == subclass {
                self.events = early.collect();
                return events;
            }
            events.push(event);
        }
    }

    async fn frame(&mut self) -> Frame {
        loop {
            if let Some(frame) = take_frame(&mut self.buffer, Side::Server, 0.0) {
                return frame;
            }
            let read = within(self.wire.read_buf(&mut self.buffer)).await.unwrap();
            assert!(read > 0, "the connection ended");
        }
    }
}

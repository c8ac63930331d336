//! A FreeSWITCH of which only the event socket exists: it has no channels, says yes to everything,
//! and sends the events that it is given.

#![allow(dead_code, reason = "each benchmark uses its part")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Chunks of events that wait for the link.
const QUEUE: usize = 64;

/// The node; it lives as long as its runtime. The first link that asks for events gets them.
#[derive(Debug)]
pub(crate) struct WireNode {
    pub(crate) address: SocketAddr,
    /// Takes frames, as many at a time as one likes.
    pub(crate) events: mpsc::Sender<Bytes>,
}

#[derive(Debug)]
struct Node {
    core_uuid: String,
    events: Mutex<Option<mpsc::Receiver<Bytes>>>,
}

/// Puts the body of an event into its frame.
pub(crate) fn add_frame(out: &mut Vec<u8>, event: &[u8]) {
    let head = format!(
        "Content-Length: {}\nContent-Type: text/event-plain\n\n",
        event.len()
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(event);
}

// === impl WireNode ===

impl WireNode {
    pub(crate) async fn start(core_uuid: &str) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (events, queue) = mpsc::channel(QUEUE);
        let node = Arc::new(Node {
            core_uuid: core_uuid.to_owned(),
            events: Mutex::new(Some(queue)),
        });
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let node = Arc::clone(&node);
                // Ends with the gateway's link.
                tokio::spawn(async move { node.talk(socket).await });
            }
        });
        Ok(Self { address, events })
    }

    /// Bytes that the kernel holds because the gateway has not read them.
    pub(crate) fn unread(&self) -> Result<usize> {
        let table = std::fs::read_to_string("/proc/net/tcp")?;
        let port = format!(":{:04X}", self.address.port());
        let bytes = table.lines().skip(1).filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let (local, remote) = (fields.next()?, fields.next()?);
            let (sending, receiving) = fields.nth(1)?.split_once(':')?;
            let is_open = !remote.ends_with(":0000");
            let waiting = match (local.ends_with(&port), remote.ends_with(&port)) {
                (true, _) if is_open => sending,
                (_, true) => receiving,
                _ => return None,
            };
            usize::from_str_radix(waiting, 16).ok()
        });
        Ok(bytes.sum())
    }

    /// Chunks that wait because the link takes none.
    pub(crate) fn queued(&self) -> usize {
        QUEUE - self.events.capacity()
    }
}

// === impl Node ===

impl Node {
    async fn talk(&self, mut socket: TcpStream) -> Result<()> {
        socket.set_nodelay(true)?;
        socket.write_all(b"Content-Type: auth/request\n\n").await?;
        let mut input = BytesMut::new();
        let mut events = None;
        loop {
            while let Some(end) = memchr::memmem::find(&input, b"\n\n") {
                let command = input.split_to(end + 2);
                let command = String::from_utf8_lossy(&command[..end]).into_owned();
                if command.starts_with("event ") && events.is_none() {
                    let mut waiting = self.events.lock().unwrap_or_else(PoisonError::into_inner);
                    events = waiting.take();
                }
                socket.write_all(self.answer(&command).as_bytes()).await?;
            }
            let next = async {
                match &mut events {
                    Some(events) => events.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                read = socket.read_buf(&mut input) => {
                    if read? == 0 {
                        return Ok(());
                    }
                }
                chunk = next => {
                    let chunk = chunk.context("the benchmark is over")?;
                    socket.write_all(&chunk).await?;
                }
            }
        }
    }

    fn answer(&self, command: &str) -> String {
        let api = |body: &str| {
            format!(
                "Content-Type: api/response\nContent-Length: {}\n\n{body}",
                body.len()
            )
        };
        match command.strip_prefix("api ") {
            Some("global_getvar core_uuid") => api(&self.core_uuid),
            Some("version short") => api("1.10.12"),
            Some(list) if list.starts_with("show ") => api("{\"row_count\":0}"),
            Some(ask) if ask.starts_with("uuid_exists ") => api("false"),
            Some(_) => api("+OK"),
            None => "Content-Type: command/reply\nReply-Text: +OK\n\n".to_owned(),
        }
    }
}

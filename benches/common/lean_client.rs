//! A gRPC client that costs next to nothing: it speaks HTTP/2 over a blocking socket, subscribes,
//! and counts events without decoding them. One thread for each connection, named `subscribers`.

#![allow(dead_code, reason = "each benchmark uses its part")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};

use super::counter::Counters;
use super::message_walk::Walk;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const PATH: &str = "/switchgate.v1.EventService/Subscribe";
/// What a stream, and a connection, may have under way.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 64 << 20;
const READ_BYTES: usize = 256 << 10;
/// How often a reader looks whether it is to stop.
const TICK: Duration = Duration::from_millis(200);

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// One connection with its streams.
#[derive(Debug)]
struct Connection {
    socket: TcpStream,
    streams: Vec<Stream>,
    /// Bytes that were taken since the server was last told.
    taken: u32,
    out: Vec<u8>,
    counters: Arc<Counters>,
    started: usize,
}

#[derive(Debug)]
struct Stream {
    walk: Walk,
    taken: u32,
    /// Its place among the counters.
    at: usize,
}

/// Subscribes `count` times over `connections` connections; the first stream of each takes the
/// lateness of its events. Returns at once.
pub(crate) fn subscribe(
    address: SocketAddr,
    count: usize,
    connections: usize,
    counters: &Arc<Counters>,
) -> Result<()> {
    let connections = connections.min(count);
    for first in 0..connections {
        let places = (first..count).step_by(connections).collect();
        start(address, places, counters, None)?;
    }
    Ok(())
}

/// One more subscriber, with a connection of its own, that stops reading while `stalled`.
pub(crate) fn subscribe_stalling(
    address: SocketAddr,
    stalled: &Arc<AtomicBool>,
    counters: &Arc<Counters>,
) -> Result<()> {
    start(address, vec![0], counters, Some(Arc::clone(stalled)))
}

fn start(
    address: SocketAddr,
    places: Vec<usize>,
    counters: &Arc<Counters>,
    stalled: Option<Arc<AtomicBool>>,
) -> Result<()> {
    let mut connection = Connection::open(address, places, counters)?;
    let counters = Arc::clone(counters);
    std::thread::Builder::new()
        .name("subscribers".to_owned())
        .spawn(move || {
            if let Err(error) = connection.run(stalled.as_deref()) {
                counters.fail(&format!("{error:#}"));
            }
        })?;
    Ok(())
}

// === impl Connection ===

impl Connection {
    fn open(address: SocketAddr, places: Vec<usize>, counters: &Arc<Counters>) -> Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(TICK))?;
        let mut out = PREFACE.to_vec();
        let mut settings = 4u16.to_be_bytes().to_vec();
        settings.extend(STREAM_WINDOW.to_be_bytes());
        frame(&mut out, SETTINGS, 0, 0, &settings);
        window_update(&mut out, 0, CONNECTION_WINDOW);
        let head = request_head(&address.to_string());
        for at in 0..places.len() {
            let id = stream_id(at);
            frame(&mut out, HEADERS, END_HEADERS, id, &head);
            // An empty request: all events with all their headers, from now on.
            frame(&mut out, DATA, END_STREAM, id, &[0; 5]);
        }
        let streams = places.into_iter().enumerate().map(|(nth, at)| Stream {
            walk: Walk::new(nth == 0),
            taken: 0,
            at,
        });
        let mut connection = Self {
            socket,
            streams: streams.collect(),
            taken: 0,
            out,
            counters: Arc::clone(counters),
            started: 0,
        };
        connection.flush()?;
        Ok(connection)
    }

    fn run(&mut self, stalled: Option<&AtomicBool>) -> Result<()> {
        let mut buffer = vec![0; READ_BYTES];
        let mut filled = 0;
        while !self.counters.is_over() {
            if stalled.is_some_and(|stalled| stalled.load(Ordering::Relaxed)) {
                std::thread::sleep(TICK);
                continue;
            }
            match self.socket.read(&mut buffer[filled..]) {
                Ok(0) => bail!("the connection was closed"),
                Ok(read) => filled += read,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error.into()),
            }
            let now = SystemTime::now();
            let mut at = 0;
            while let Some(head) = buffer[at..filled].first_chunk::<9>() {
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
                let end = at + 9 + length;
                if end > filled {
                    break;
                }
                let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
                let (kind, flags) = (head[3], head[4]);
                self.take(kind, flags, id, &buffer[at + 9..end], now)?;
                at = end;
            }
            buffer.copy_within(at..filled, 0);
            filled -= at;
            self.flush()?;
        }
        Ok(())
    }

    fn take(&mut self, kind: u8, flags: u8, id: u32, body: &[u8], now: SystemTime) -> Result<()> {
        match kind {
            DATA => self.data(id, body, now)?,
            SETTINGS if flags & ACK == 0 => frame(&mut self.out, SETTINGS, ACK, 0, &[]),
            PING if flags & ACK == 0 => frame(&mut self.out, PING, ACK, 0, body),
            HEADERS if flags & END_STREAM != 0 => {
                let text = String::from_utf8_lossy(body).into_owned();
                bail!("a stream ended: {text:?}")
            }
            RST_STREAM => bail!("a stream was reset: {body:?}"),
            GOAWAY => bail!("the server says goodbye: {body:?}"),
            _ => {}
        }
        Ok(())
    }

    fn data(&mut self, id: u32, body: &[u8], now: SystemTime) -> Result<()> {
        let length = u32::try_from(body.len())?;
        let nth = (id / 2) as usize;
        let stream = self.streams.get_mut(nth).context("an unknown stream")?;
        let had_none = stream.walk.messages == 0;
        stream.walk.feed(body, now)?;
        if had_none && stream.walk.messages > 0 {
            self.started += 1;
            self.counters.started();
        }
        self.counters.set(stream.at, stream.walk.events);
        let messages = stream.walk.take_messages();
        self.counters
            .add(length, messages, &mut stream.walk.lateness);
        stream.taken += length;
        if stream.taken >= STREAM_WINDOW / 2 {
            window_update(&mut self.out, id, stream.taken);
            stream.taken = 0;
        }
        self.taken += length;
        if self.taken >= CONNECTION_WINDOW / 2 {
            window_update(&mut self.out, 0, self.taken);
            self.taken = 0;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if !self.out.is_empty() {
            self.socket.write_all(&self.out)?;
            self.out.clear();
        }
        Ok(())
    }
}

fn stream_id(nth: usize) -> u32 {
    u32::try_from(nth).unwrap_or(u32::MAX / 4) * 2 + 1
}

/// A block of headers without compression (RFC 7541, 6.2.2).
fn request_head(authority: &str) -> Vec<u8> {
    // `:method: POST` and `:scheme: http` are in the static table as they are.
    let mut head = vec![0x83, 0x86];
    let text = |head: &mut Vec<u8>, text: &str| {
        // All are shorter than 127 bytes.
        head.push(text.len() as u8);
        head.extend_from_slice(text.as_bytes());
    };
    for (name, value) in [
        (":path", PATH),
        (":authority", authority),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        head.push(0);
        text(&mut head, name);
        text(&mut head, value);
    }
    head
}

fn window_update(out: &mut Vec<u8>, id: u32, by: u32) {
    frame(out, WINDOW_UPDATE, 0, id, &by.to_be_bytes());
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, id: u32, body: &[u8]) {
    let [_, length @ ..] = (body.len() as u32).to_be_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(body);
}

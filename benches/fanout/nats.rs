//! `nats-server` with core subscribers, over sockets without a library.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::counter::Counters;

const BUFFER: usize = 256 << 10;
/// Debian puts it where users other than root do not look.
const NAMES: [&str; 2] = ["nats-server", "/usr/sbin/nats-server"];
const CONNECT: &str = "CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":false}\r\n";

/// The process; it ends when this is dropped.
pub(crate) struct Nats {
    pub(crate) address: SocketAddr,
    child: Child,
}

/// Who publishes.
pub(crate) struct Publisher {
    socket: TcpStream,
    out: Vec<u8>,
}

/// The version that is installed, if one is.
pub(crate) fn version() -> Option<String> {
    NAMES.iter().find_map(|name| {
        let output = Command::new(name).arg("--version").output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    })
}

// === impl Nats ===

impl Nats {
    pub(crate) fn start() -> Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let child = NAMES.iter().find_map(|name| {
            let mut command = Command::new(name);
            command.args(["-a", "127.0.0.1", "-p", &port.to_string()]);
            command
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .ok()
        });
        let nats = Self {
            address: (Ipv4Addr::LOCALHOST, port).into(),
            child: child.context("nats-server is not installed")?,
        };
        crate::source::until(
            || Ok(TcpStream::connect(nats.address).is_ok()),
            "nats-server listens",
        )?;
        Ok(nats)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Subscribes `count` times over `connections` connections.
    pub(crate) fn subscribe(
        &self,
        count: usize,
        connections: usize,
        counters: &Arc<Counters>,
    ) -> Result<()> {
        let connections = connections.min(count);
        for first in 0..connections {
            let places: Vec<usize> = (first..count).step_by(connections).collect();
            let mut socket = TcpStream::connect(self.address)?;
            let mut hello = CONNECT.to_owned();
            for at in &places {
                hello += &format!("SUB events {at}\r\n");
            }
            hello += "PING\r\n";
            socket.write_all(hello.as_bytes())?;
            let counters = Arc::clone(counters);
            std::thread::Builder::new()
                .name("subscribers".to_owned())
                .spawn(move || {
                    if let Err(error) = read(socket, places.len(), &counters) {
                        counters.fail(&format!("a subscriber of nats-server: {error:#}"));
                    }
                })?;
        }
        Ok(())
    }

    pub(crate) fn publisher(&self) -> Result<Publisher> {
        let mut socket = TcpStream::connect(self.address)?;
        socket.write_all(CONNECT.as_bytes())?;
        Ok(Publisher {
            socket,
            out: Vec::new(),
        })
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// === impl Publisher ===

impl Publisher {
    pub(crate) fn add(&mut self, payload: &[u8]) -> Result<()> {
        write!(self.out, "PUB events {}\r\n", payload.len())?;
        self.out.extend_from_slice(payload);
        self.out.extend_from_slice(b"\r\n");
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> Result<()> {
        self.socket.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }
}

/// Counts messages until the run is over.
fn read(socket: TcpStream, subscribers: usize, counters: &Counters) -> Result<()> {
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    let mut answers = socket.try_clone()?;
    let mut reader = BufReader::with_capacity(BUFFER, socket);
    let mut seen = std::collections::HashMap::<usize, u64>::new();
    let mut line = Vec::new();
    let is_idle = |error: &std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
    while !counters.is_over() {
        match reader.read_until(b'\n', &mut line) {
            Ok(0) => bail!("the connection was closed"),
            Ok(_) => {}
            // What has come of the line stays in it.
            Err(error) if is_idle(&error) => continue,
            Err(error) => return Err(error.into()),
        }
        if let Some(message) = line.strip_prefix(b"MSG events ") {
            let (place, length) = message_head(message).context("a malformed MSG")?;
            let mut left = length + 2;
            while left > 0 {
                let ready = match reader.fill_buf() {
                    Ok([]) => bail!("the connection was closed"),
                    Ok(ready) => ready.len().min(left),
                    Err(error) if is_idle(&error) && !counters.is_over() => continue,
                    Err(error) => return Err(error.into()),
                };
                reader.consume(ready);
                left -= ready;
            }
            let events = seen.entry(place).or_insert(0);
            *events += 1;
            counters.set(place, *events);
            counters.add(u32::try_from(length)?, 1, &mut Vec::new());
        } else if line.starts_with(b"PONG") {
            (0..subscribers).for_each(|_| counters.started());
        } else if line.starts_with(b"PING") {
            answers.write_all(b"PONG\r\n")?;
        } else if line.starts_with(b"-ERR") {
            bail!("{}", String::from_utf8_lossy(&line));
        }
        line.clear();
    }
    Ok(())
}

/// The subscription and the length of the payload: `7 2048\r\n`.
fn message_head(bytes: &[u8]) -> Option<(usize, usize)> {
    let (place, length) = std::str::from_utf8(bytes)
        .ok()?
        .trim_end()
        .split_once(' ')?;
    Some((place.parse().ok()?, length.parse().ok()?))
}

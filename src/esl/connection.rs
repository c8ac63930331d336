//! One authenticated socket before and in its task.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, mpsc, watch};

use super::codec::{Decoder, FrameError, Limits};
use super::command::Command;
use super::counts::LinkCounts;
use super::dialer::BoxIo;
use super::frame::Frame;
use super::link::{EventSink, Link, LinkTask, Liveness};
use crate::shutdown::Drain;

/// Room that a read is given: a burst of a dozen events in one system call.
pub(super) const READ_CHUNK: usize = 64 * 1024;

/// How every frame that can come first begins (`listener_run` in `mod_event_socket.c`).
const GREETING: &[u8] = b"Content-Type: ";

/// A socket with its decoder, used directly only until [`Connection::start`].
pub struct Connection {
    pub(super) io: BoxIo,
    pub(super) decoder: Decoder,
    pub(super) inbound: BytesMut,
}

/// How a link behaves once started.
#[derive(Debug, Clone)]
pub struct ConnectionConfig {
    /// Commands that wait to be written; a caller beyond that waits for room, up to its deadline.
    pub queue: usize,
    /// Commands written whose reply has not come; beyond that none is written.
    pub max_pending: usize,
    /// How silence is noticed.
    pub liveness: Liveness,
    /// How long `exit` may take when the link is closed.
    pub exit_timeout: Duration,
    /// Where it counts what goes over it.
    pub counts: Arc<LinkCounts>,
}

/// Why no frame could be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Frame(#[from] FrameError),
}

// === impl Connection ===

impl Connection {
    /// A connection at the start of its stream.
    pub fn new(io: BoxIo, limits: Limits) -> Self {
        Self {
            io,
            decoder: Decoder::new(limits),
            inbound: BytesMut::with_capacity(READ_CHUNK),
        }
    }

    /// Hands the socket to a task of its own, started through `drain`. Events go to `sink`, on
    /// that task. The link ends when all its handles are dropped, when `drain` stops or when the
    /// socket does.
    pub fn start(self, config: ConnectionConfig, sink: impl EventSink, drain: &Drain) -> Link {
        // Without room for one nothing could ever be sent.
        let config = ConnectionConfig {
            queue: config.queue.max(1),
            max_pending: config.max_pending.max(1),
            ..config
        };
        let (requests_tx, requests_rx) = mpsc::channel(config.queue);
        let (lost_tx, lost_rx) = watch::channel(None);
        let nudge = Arc::<Notify>::default();
        let task = LinkTask::new(self, config, requests_rx, lost_tx, Arc::clone(&nudge), sink);
        drain.spawn(task.run(drain.stopped()));
        Link::new(requests_tx, lost_rx, nudge)
    }

    /// The first frame of the stream. Cancel-safe: bytes read so far stay in the buffer.
    pub(super) async fn read_greeting(&mut self) -> Result<Frame, ReadError> {
        loop {
            // Another protocol need not ever send what ends a header.
            let compared = self.inbound.len().min(GREETING.len());
            if self.inbound[..compared] != GREETING[..compared] {
                let start = &self.inbound[..self.inbound.len().min(32)];
                let start = start.escape_ascii().to_string();
                return Err(FrameError::NoHeader(start).into());
            }
            if let Some(frame) = self.decoder.decode(&mut self.inbound)? {
                return Ok(frame);
            }
            self.read_more().await?;
        }
    }

    /// The next frame. Cancel-safe: bytes read so far stay in the buffer.
    pub(super) async fn read_frame(&mut self) -> Result<Frame, ReadError> {
        loop {
            if let Some(frame) = self.decoder.decode(&mut self.inbound)? {
                return Ok(frame);
            }
            self.read_more().await?;
        }
    }

    async fn read_more(&mut self) -> io::Result<()> {
        self.inbound.reserve(READ_CHUNK);
        match self.io.read_buf(&mut self.inbound).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    pub(super) async fn write(&mut self, command: &Command) -> io::Result<()> {
        self.io.write_all(command.as_bytes()).await?;
        self.io.flush().await
    }

    pub(super) fn expect_userauth_reply(&mut self) {
        self.decoder.expect_userauth_reply();
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("buffered", &self.inbound.len())
            .finish_non_exhaustive()
    }
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            queue: 1024,
            max_pending: 1024,
            liveness: Liveness::default(),
            exit_timeout: Duration::from_secs(1),
            counts: Arc::default(),
        }
    }
}

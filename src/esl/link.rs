//! One socket shared by any number of callers.
//!
//! The task owns the socket and the FIFO of commands whose reply is due; FreeSWITCH answers in the
//! order of the commands (`listener_run` in `mod_event_socket.c`). A caller that gives up leaves
//! its place in the FIFO behind, so its late reply reaches nobody else.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::codec::{Decoder, FrameError};
use super::command::Command;
use super::connection::{Connection, ConnectionConfig, READ_CHUNK};
use super::connector::BoxIo;
use super::event::Event;
use super::frame::{ContentType, Frame};
use super::header::Headers;
use super::outcome::Outcome;
use crate::domain::Deadline;

/// Bytes of commands that may wait for the kernel; more are left in the queue, where a caller that
/// gives up takes its command with it.
const MAX_UNWRITTEN: usize = 64 * 1024;

/// Takes the events of a link, on the link's own task: it must never wait.
pub trait EventSink: Send + 'static {
    /// An event, in the order of the wire.
    fn event(&mut self, event: Event);
}

/// For links that subscribe to nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoEvents;

/// How a link notices that its peer is gone without a word.
#[derive(Debug, Clone)]
pub struct Liveness {
    /// Silence after which a probe is written.
    pub probe_after: Duration,
    /// Silence after which the link counts as lost. While a caller's own command is the one that
    /// is due, it does not: FreeSWITCH runs `api` on the link's thread and may take its time.
    pub dead_after: Duration,
    /// A harmless command that always gets a reply.
    pub probe: Command,
}

/// A handle to the link; clones share it.
#[derive(Debug, Clone)]
pub struct Link {
    requests: mpsc::Sender<Request>,
    lost: watch::Receiver<Option<Lost>>,
}

/// The reply to one command.
#[derive(Debug, Clone)]
pub struct Reply {
    frame: Frame,
}

/// Why a link ended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Lost {
    /// FreeSWITCH closed the connection; its notice, if it sent one.
    #[error("FreeSWITCH closed the connection")]
    Closed,
    /// The socket failed.
    #[error("connection failed: {0}")]
    Io(Arc<io::Error>),
    /// Nothing was heard for too long.
    #[error("nothing was heard for {0:?}")]
    Silent(Duration),
    /// The bytes made no sense, or a limit was passed.
    #[error("{0}")]
    Frame(FrameError),
    /// A reply came that no command was waiting for.
    #[error("a reply came that no command was waiting for")]
    Unasked,
    /// The gateway closed it.
    #[error("the gateway closed the connection")]
    Stopped,
}

/// Why there is no reply.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LinkError {
    /// The command did not reach FreeSWITCH; it may be sent again.
    #[error("command was not sent: {0}")]
    NotSent(Lost),
    /// The command was written but its reply never came; it may have been executed.
    #[error("command was sent but its reply was lost: {0}")]
    OutcomeUnknown(Lost),
    /// The deadline passed first.
    #[error("deadline passed before the reply came")]
    TimedOut {
        /// Whether the command had been taken for writing; if not, it never will be.
        sent: bool,
    },
}

/// The whole interface of the task.
#[derive(Debug)]
pub(super) struct Request {
    command: Command,
    /// Set when the task takes the request, for a caller that gives up.
    taken: Arc<AtomicBool>,
    reply: oneshot::Sender<Result<Reply, LinkError>>,
}

/// A command that is on its way or whose reply is due.
struct Pending {
    /// Absent for the link's own probes.
    reply: Option<oneshot::Sender<Result<Reply, LinkError>>>,
    /// Position in the outbound stream at which the command ends.
    end: u64,
}

/// Owner of the socket, the FIFO and the write buffer.
pub(super) struct LinkTask<S> {
    reader: ReadHalf<BoxIo>,
    writer: WriteHalf<BoxIo>,
    decoder: Decoder,
    inbound: BytesMut,
    outbound: BytesMut,
    /// Bytes ever put into `outbound`, and bytes of those that the kernel took.
    queued: u64,
    written: u64,
    pending: VecDeque<Pending>,
    requests: mpsc::Receiver<Request>,
    lost: watch::Sender<Option<Lost>>,
    config: ConnectionConfig,
    sink: S,
    heard_at: Instant,
    probed: bool,
}

// === impl Link ===

impl Link {
    pub(super) fn new(
        requests: mpsc::Sender<Request>,
        lost: watch::Receiver<Option<Lost>>,
    ) -> Self {
        Self { requests, lost }
    }

    /// Sends a command and waits for its reply. Dropping the future is safe at any time: a command
    /// that was not yet written is then dropped too, the reply of one that was is thrown away.
    ///
    /// # Errors
    /// [`LinkError`] says whether the command may have been executed.
    pub async fn send(&self, command: Command) -> Result<Reply, LinkError> {
        self.exchange(command, Arc::default()).await
    }

    /// As [`Link::send`], until a deadline.
    ///
    /// # Errors
    /// As [`Link::send`]; [`LinkError::TimedOut`] says whether the command was sent.
    pub async fn send_by(&self, command: Command, deadline: Deadline) -> Result<Reply, LinkError> {
        let taken = Arc::<AtomicBool>::default();
        match deadline
            .bound(self.exchange(command, Arc::clone(&taken)))
            .await
        {
            Some(result) => result,
            None => Err(LinkError::TimedOut {
                sent: taken.load(Ordering::Acquire),
            }),
        }
    }

    async fn exchange(&self, command: Command, taken: Arc<AtomicBool>) -> Result<Reply, LinkError> {
        let (reply_tx, reply_rx) = oneshot::channel();
        let request = Request {
            command,
            taken,
            reply: reply_tx,
        };
        if self.requests.send(request).await.is_err() {
            return Err(LinkError::NotSent(self.lost_cause()));
        }
        match reply_rx.await {
            Ok(result) => result,
            // The task answers every request it has taken; this one was still in the queue.
            Err(_) => Err(LinkError::NotSent(self.lost_cause())),
        }
    }

    /// Why the link ended; `None` while it lives.
    pub fn lost(&self) -> Option<Lost> {
        self.lost.borrow().clone()
    }

    /// Whether commands can be sent.
    pub fn is_live(&self) -> bool {
        !self.requests.is_closed()
    }

    /// Waits for the link's end.
    pub async fn ended(&self) -> Lost {
        let mut lost = self.lost.clone();
        match lost.wait_for(Option::is_some).await {
            Ok(cause) => cause.clone().unwrap_or(Lost::Stopped),
            Err(_) => Lost::Stopped,
        }
    }

    /// Commands in the queue, not counting those that are written.
    pub fn queued(&self) -> usize {
        self.requests.max_capacity() - self.requests.capacity()
    }

    fn lost_cause(&self) -> Lost {
        self.lost().unwrap_or(Lost::Stopped)
    }
}

// === impl Reply ===

impl Reply {
    /// The answer: the body of an `api` response, else the `Reply-Text`.
    pub fn answer(&self) -> Bytes {
        match self.frame.content_type() {
            ContentType::ApiResponse => self.frame.body().clone(),
            _ => Bytes::copy_from_slice(self.frame.headers().raw("Reply-Text").unwrap_or_default()),
        }
    }

    /// The answer as text; bytes that are not UTF-8 become U+FFFD.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.answer()).into_owned()
    }

    /// What the answer means.
    pub fn outcome(&self) -> Outcome {
        Outcome::parse(&self.answer())
    }

    /// The headers of the reply.
    pub fn headers(&self) -> &Headers {
        self.frame.headers()
    }
}

// === impl LinkTask ===

impl<S: EventSink> LinkTask<S> {
    pub(super) fn new(
        connection: Connection,
        config: ConnectionConfig,
        requests: mpsc::Receiver<Request>,
        lost: watch::Sender<Option<Lost>>,
        sink: S,
    ) -> Self {
        let (reader, writer) = tokio::io::split(connection.io);
        Self {
            reader,
            writer,
            decoder: connection.decoder,
            inbound: connection.inbound,
            outbound: BytesMut::new(),
            queued: 0,
            written: 0,
            pending: VecDeque::new(),
            requests,
            lost,
            config,
            sink,
            heard_at: Instant::now(),
            probed: false,
        }
    }

    pub(super) async fn run(mut self, stopped: impl Future<Output = ()>) {
        let cause = self.serve(stopped).await;
        if matches!(cause, Lost::Stopped) {
            self.say_exit().await;
        }
        self.fail_all(cause).await;
    }

    /// Runs until the link ends. Reads and writes advance together, or both peers could block on
    /// full buffers.
    async fn serve(&mut self, stopped: impl Future<Output = ()>) -> Lost {
        tokio::pin!(stopped);
        // Frames that came together with the login's reply.
        if let Err(lost) = self.take_frames() {
            return lost;
        }
        loop {
            let check_at = self.next_check();
            let has_room =
                self.outbound.len() < MAX_UNWRITTEN && self.pending.len() < self.config.max_pending;
            self.inbound.reserve(READ_CHUNK);
            // Every branch is cancel-safe: read_buf and write_buf move bytes only when they
            // resolve, recv takes a request only when it resolves. Requests come before reads
            // without starving them, since `has_room` ends.
            tokio::select! {
                biased;
                () = &mut stopped => return Lost::Stopped,
                result = self.writer.write_buf(&mut self.outbound), if self.outbound.has_remaining() => {
                    match result {
                        Ok(count) => self.written += count as u64,
                        Err(error) => return Lost::Io(Arc::new(error)),
                    }
                }
                request = self.requests.recv(), if has_room => {
                    match request {
                        Some(request) => self.take_requests(request),
                        None => return Lost::Stopped,
                    }
                }
                result = self.reader.read_buf(&mut self.inbound) => {
                    match result {
                        Ok(0) => return Lost::Closed,
                        Ok(_) => self.heard(),
                        Err(error) => return Lost::Io(Arc::new(error)),
                    }
                    if let Err(lost) = self.take_frames() {
                        return lost;
                    }
                }
                () = tokio::time::sleep_until(check_at) => {
                    if let Err(lost) = self.check_liveness() {
                        return lost;
                    }
                }
            }
        }
    }

    /// Takes a request and what else waits behind it, so that a burst leaves in one write.
    fn take_requests(&mut self, first: Request) {
        self.take_request(first);
        while self.outbound.len() < MAX_UNWRITTEN && self.pending.len() < self.config.max_pending {
            match self.requests.try_recv() {
                Ok(request) => self.take_request(request),
                Err(_) => break,
            }
        }
    }

    fn take_request(&mut self, request: Request) {
        // Its caller left before anything was written: nothing is owed.
        if request.reply.is_closed() {
            return;
        }
        request.taken.store(true, Ordering::Release);
        self.enqueue(&request.command, Some(request.reply));
    }

    fn enqueue(
        &mut self,
        command: &Command,
        reply: Option<oneshot::Sender<Result<Reply, LinkError>>>,
    ) {
        self.outbound.extend_from_slice(command.as_bytes());
        self.queued += command.as_bytes().len() as u64;
        self.pending.push_back(Pending {
            reply,
            end: self.queued,
        });
    }

    fn take_frames(&mut self) -> Result<(), Lost> {
        while let Some(frame) = self
            .decoder
            .decode(&mut self.inbound)
            .map_err(Lost::Frame)?
        {
            self.take_frame(frame)?;
        }
        Ok(())
    }

    fn take_frame(&mut self, frame: Frame) -> Result<(), Lost> {
        let event = match frame.content_type() {
            ContentType::CommandReply | ContentType::ApiResponse => {
                // Slots of commands that are still unwritten cannot be answered yet.
                let due = self
                    .pending
                    .front()
                    .is_some_and(|slot| slot.end <= self.written);
                let slot = if due { self.pending.pop_front() } else { None };
                let slot = slot.ok_or(Lost::Unasked)?;
                if let Some(reply) = slot.reply {
                    // A caller that left has dropped its end; its reply ends here.
                    let _ = reply.send(Ok(Reply { frame }));
                }
                return Ok(());
            }
            ContentType::EventPlain => Event::parse(frame.into_body()),
            ContentType::EventJson => Event::parse_json(frame.body()),
            // The connection's end follows by itself; everything else is not for us.
            _ => return Ok(()),
        };
        match event {
            Ok(event) => self.sink.event(event),
            Err(error) => tracing::warn!(%error, "event is skipped"),
        }
        Ok(())
    }

    fn heard(&mut self) {
        self.heard_at = Instant::now();
        self.probed = false;
    }

    fn next_check(&self) -> Instant {
        let silence = if self.probed {
            self.config.liveness.dead_after
        } else {
            self.config.liveness.probe_after
        };
        self.heard_at + silence
    }

    fn check_liveness(&mut self) -> Result<(), Lost> {
        if !self.probed {
            self.probed = true;
            let probe = self.config.liveness.probe.clone();
            self.enqueue(&probe, None);
            return Ok(());
        }
        let callers_turn = self
            .pending
            .front()
            .is_some_and(|slot| slot.reply.is_some());
        if callers_turn {
            // Silence is FreeSWITCH's right while it works; look again later. The probe stays in
            // the FIFO, so no other one is needed.
            self.heard_at = Instant::now();
            return Ok(());
        }
        Err(Lost::Silent(self.heard_at.elapsed()))
    }

    /// Says goodbye and lets replies that are due come in, for a moment.
    async fn say_exit(&mut self) {
        self.enqueue(&Command::exit(), None);
        let patience = self.config.exit_timeout;
        let goodbye = async {
            while self.outbound.has_remaining() {
                match self.writer.write_buf(&mut self.outbound).await {
                    Ok(count) => self.written += count as u64,
                    Err(_) => return,
                }
            }
            while !self.pending.is_empty() {
                self.inbound.reserve(READ_CHUNK);
                match self.reader.read_buf(&mut self.inbound).await {
                    Ok(count) if count > 0 => {}
                    _ => return,
                }
                if self.take_frames().is_err() {
                    return;
                }
            }
        };
        // Past the time-out the socket is closed without the ceremony.
        let _ = tokio::time::timeout(patience, goodbye).await;
    }

    /// The order matters: first the cause is published, then the queue closed, then every waiter
    /// told, so that none can slip in between and wait for ever.
    async fn fail_all(mut self, cause: Lost) {
        self.lost.send_replace(Some(cause.clone()));
        self.requests.close();
        for slot in self.pending.drain(..) {
            let Some(reply) = slot.reply else { continue };
            let error = match slot.end <= self.written {
                true => LinkError::OutcomeUnknown(cause.clone()),
                // FreeSWITCH acts on whole commands only.
                false => LinkError::NotSent(cause.clone()),
            };
            let _ = reply.send(Err(error));
        }
        while let Some(request) = self.requests.recv().await {
            let _ = request.reply.send(Err(LinkError::NotSent(cause.clone())));
        }
        let _ = self.writer.shutdown().await;
    }
}

// === impl Liveness ===

impl Default for Liveness {
    fn default() -> Self {
        Self {
            probe_after: Duration::from_secs(15),
            dead_after: Duration::from_secs(45),
            probe: Command::noevents(),
        }
    }
}

// === impl NoEvents ===

impl EventSink for NoEvents {
    fn event(&mut self, _: Event) {}
}

impl<S> fmt::Debug for LinkTask<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkTask")
            .field("pending", &self.pending.len())
            .finish_non_exhaustive()
    }
}

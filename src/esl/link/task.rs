//! The task that owns one socket.
//!
//! It holds the FIFO of commands whose reply is due; FreeSWITCH answers in the order of the
//! commands (`listener_run` in `mod_event_socket.c`). A caller that gives up leaves its place in
//! the FIFO behind, so its late reply reaches nobody else.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::{EventSink, LinkError, Lost, Reply, Request};
use crate::esl::codec::{Decoder, Received};
use crate::esl::command::Command;
use crate::esl::connection::{Connection, ConnectionConfig, READ_CHUNK};
use crate::esl::counts::Due;
use crate::esl::dialer::BoxIo;
use crate::esl::event::{Event, EventError};
use crate::esl::frame::{ContentType, Frame};

/// Bytes of commands that may wait for the kernel; more are left in the queue, where a caller that
/// gives up takes its command with it.
const MAX_UNWRITTEN: usize = 64 * 1024;

/// Who waits for a reply.
enum Waiter {
    Caller(oneshot::Sender<Result<Reply, LinkError>>),
    /// The link itself, to hear whether its peer lives.
    Probe,
    /// The link itself, on its way out.
    Exit,
}

/// A command that is on its way or whose reply is due.
struct Pending {
    waiter: Waiter,
    /// Position in the outbound stream at which the command ends.
    end: u64,
}

/// Owner of the socket, the FIFO and the write buffer.
pub(in crate::esl) struct LinkTask<S> {
    reader: ReadHalf<BoxIo>,
    writer: WriteHalf<BoxIo>,
    decoder: Decoder,
    inbound: BytesMut,
    outbound: BytesMut,
    /// Bytes ever put into `outbound`, and bytes of those that the kernel took.
    queued: u64,
    written: u64,
    pending: VecDeque<Pending>,
    due: Due,
    requests: mpsc::Receiver<Request>,
    lost: watch::Sender<Option<Lost>>,
    nudge: Arc<Notify>,
    config: ConnectionConfig,
    sink: S,
    heard_at: Instant,
    /// When to look next whether the peer is silent.
    check_at: Instant,
    /// A probe is in the FIFO; another one would tell nothing more.
    probing: bool,
}

// === impl LinkTask ===

impl<S: EventSink> LinkTask<S> {
    pub(in crate::esl) fn new(
        connection: Connection,
        config: ConnectionConfig,
        requests: mpsc::Receiver<Request>,
        lost: watch::Sender<Option<Lost>>,
        nudge: Arc<Notify>,
        sink: S,
    ) -> Self {
        let (reader, writer) = tokio::io::split(connection.io);
        let heard_at = Instant::now();
        Self {
            reader,
            writer,
            decoder: connection.decoder,
            inbound: connection.inbound,
            outbound: BytesMut::new(),
            queued: 0,
            written: 0,
            pending: VecDeque::new(),
            due: Due::new(&config.counts),
            requests,
            lost,
            nudge,
            heard_at,
            check_at: heard_at + config.liveness.probe_after,
            config,
            sink,
            probing: false,
        }
    }

    /// The order at the end matters: first the cause is published, then the queue closed, then
    /// every waiter told, so that none can slip in between and wait for ever.
    pub(in crate::esl) async fn run(mut self, stopped: impl Future<Output = ()>) {
        let cause = self.serve(stopped).await;
        self.lost.send_replace(Some(cause.clone()));
        self.requests.close();
        while let Ok(request) = self.requests.try_recv() {
            request.refuse(&cause);
        }
        if matches!(cause, Lost::Stopped) {
            self.enqueue(&Command::exit(), Waiter::Exit);
            let patience = self.config.exit_timeout;
            // Past the time-out the socket is closed without the ceremony.
            let _ = timeout(patience, self.finish_exchange()).await;
        }
        self.fail_all(&cause).await;
    }

    /// Runs until the link ends. Reads and writes advance together, or both peers could block on
    /// full buffers.
    async fn serve(&mut self, stopped: impl Future<Output = ()>) -> Lost {
        let nudge = Arc::clone(&self.nudge);
        // Each event wakes this task, so these two wait on rather than anew each time, which takes
        // locks; the check is put off when it is due.
        let (nudged, check) = (nudge.notified(), sleep_until(self.check_at));
        tokio::pin!(stopped, nudged, check);
        // Frames that came together with the login's reply.
        if let Err(lost) = self.take_frames() {
            return lost;
        }
        loop {
            self.inbound.reserve(READ_CHUNK);
            let has_room = self.has_room();
            if self.check_at < check.deadline() {
                check.as_mut().reset(self.check_at);
            }
            // Every branch is cancel-safe: read_buf and write_buf move bytes only when they
            // resolve, recv takes a request only when it resolves, and a nudge that was not taken
            // stays due. Requests come before reads without starving them, since `has_room` ends.
            tokio::select! {
                biased;
                () = &mut stopped => return Lost::Stopped,
                result = self.writer.write_buf(&mut self.outbound), if self.outbound.has_remaining() => {
                    if let Err(error) = self.wrote(result) {
                        return self.read_last_words(error).await;
                    }
                }
                request = self.requests.recv(), if has_room => {
                    match request {
                        Some(request) => self.take_requests(request),
                        None => return Lost::Stopped,
                    }
                }
                result = self.reader.read_buf(&mut self.inbound) => {
                    if let Err(lost) = self.read(result) {
                        return lost;
                    }
                }
                // A FreeSWITCH that sends or has something to read needs none.
                () = &mut nudged, if self.outbound.is_empty() => {
                    nudged.set(nudge.notified());
                    self.outbound.extend_from_slice(b"\n");
                    self.queued += 1;
                }
                () = &mut check => {
                    if Instant::now() >= self.check_at && let Err(lost) = self.check_liveness() {
                        return lost;
                    }
                    check.as_mut().reset(self.check_at);
                }
            }
        }
    }

    /// Writes what is left and reads until no reply is due or the stream ends.
    async fn finish_exchange(&mut self) -> Result<(), Lost> {
        while !self.pending.is_empty() {
            self.inbound.reserve(READ_CHUNK);
            tokio::select! {
                biased;
                result = self.writer.write_buf(&mut self.outbound), if self.outbound.has_remaining() => {
                    if self.wrote(result).is_err() {
                        self.outbound.clear();
                    }
                }
                result = self.reader.read_buf(&mut self.inbound) => self.read(result)?,
            }
        }
        Ok(())
    }

    /// A peer that closes has answered before what it could still do; those replies have arrived
    /// or are about to.
    async fn read_last_words(&mut self, error: io::Error) -> Lost {
        self.outbound.clear();
        let patience = self.config.exit_timeout;
        match timeout(patience, self.finish_exchange()).await {
            Ok(Err(lost)) => lost,
            Ok(Ok(())) | Err(_) => Lost::Io(Arc::new(error)),
        }
    }

    fn wrote(&mut self, result: io::Result<usize>) -> io::Result<()> {
        match result? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            count => {
                self.written += count as u64;
                self.config.counts.bytes_written.add(count as u64);
                Ok(())
            }
        }
    }

    fn read(&mut self, result: io::Result<usize>) -> Result<(), Lost> {
        match result {
            Ok(0) => Err(Lost::Closed),
            Ok(count) => {
                self.config.counts.bytes_read.add(count as u64);
                self.heard_at = Instant::now();
                self.check_at = self.heard_at + self.config.liveness.probe_after;
                self.take_frames()
            }
            Err(error) => Err(Lost::Io(Arc::new(error))),
        }
    }

    fn has_room(&self) -> bool {
        self.outbound.len() < MAX_UNWRITTEN && self.pending.len() < self.config.max_pending
    }

    /// Takes a request and what else waits behind it, so that a burst leaves in one write.
    fn take_requests(&mut self, first: Request) {
        // What comes in the meantime waits, or callers that come and leave could keep the task
        // from its socket.
        let waiting = self.requests.len();
        self.take_request(first);
        for _ in 0..waiting {
            if !self.has_room() {
                break;
            }
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
        if let Some((span, at)) = request.queued {
            span.record("switchgate.queue_ms", at.elapsed().as_secs_f64() * 1e3);
        }
        self.enqueue(&request.command, Waiter::Caller(request.reply));
    }

    fn enqueue(&mut self, command: &Command, waiter: Waiter) {
        self.outbound.extend_from_slice(command.as_bytes());
        self.queued += command.as_bytes().len() as u64;
        self.pending.push_back(Pending {
            waiter,
            end: self.queued,
        });
        self.config.counts.commands.one();
        self.due.set(self.pending.len());
    }

    fn take_frames(&mut self) -> Result<(), Lost> {
        while let Some(received) = self
            .decoder
            .receive(&mut self.inbound)
            .map_err(Lost::Frame)?
        {
            self.config.counts.frames_read.one();
            match received {
                Received::Event(event) => self.take_event(event),
                Received::Frame(frame) => self.take_frame(frame)?,
            }
        }
        Ok(())
    }

    fn take_frame(&mut self, frame: Frame) -> Result<(), Lost> {
        match frame.content_type() {
            ContentType::CommandReply | ContentType::ApiResponse => self.take_reply(frame),
            ContentType::EventJson => {
                self.take_event(Event::parse_json(frame.body()));
                Ok(())
            }
            // Commands written from here on would be swallowed.
            ContentType::DisconnectNotice if !lingers(&frame) => Err(Lost::Closed),
            _ => Ok(()),
        }
    }

    fn take_event(&mut self, event: Result<Event, EventError>) {
        match event {
            Ok(event) => self.sink.event(event),
            Err(error) => tracing::warn!(%error, "event is skipped"),
        }
    }

    fn take_reply(&mut self, frame: Frame) -> Result<(), Lost> {
        // A command that is still unwritten cannot be answered yet.
        let slot = match self.pending.front() {
            Some(slot) if slot.end <= self.written => self.pending.pop_front(),
            _ => None,
        };
        let slot = slot.ok_or(Lost::Unasked)?;
        self.due.set(self.pending.len());
        match slot.waiter {
            // A caller that left has dropped its end; its reply ends here.
            Waiter::Caller(reply) => drop(reply.send(Ok(Reply { frame }))),
            Waiter::Probe => self.probing = false,
            Waiter::Exit => {}
        }
        Ok(())
    }

    fn check_liveness(&mut self) -> Result<(), Lost> {
        let liveness = &self.config.liveness;
        let silence = self.heard_at.elapsed();
        if silence < liveness.dead_after {
            self.check_at = self.heard_at + liveness.dead_after;
            if !self.probing {
                self.probing = true;
                let probe = liveness.probe.clone();
                self.enqueue(&probe, Waiter::Probe);
            }
            return Ok(());
        }
        if self.is_awaited() {
            self.check_at = Instant::now() + liveness.probe_after;
            return Ok(());
        }
        Err(Lost::Silent(silence))
    }

    /// Whether FreeSWITCH may be at work on a command whose caller still waits: then silence is
    /// its right.
    fn is_awaited(&self) -> bool {
        self.pending.front().is_some_and(|slot| {
            let Waiter::Caller(reply) = &slot.waiter else {
                return false;
            };
            slot.end <= self.written && !reply.is_closed()
        })
    }

    async fn fail_all(mut self, cause: &Lost) {
        for slot in self.pending.drain(..) {
            let Waiter::Caller(reply) = slot.waiter else {
                continue;
            };
            let error = match slot.end <= self.written {
                true => LinkError::OutcomeUnknown(cause.clone()),
                // FreeSWITCH acts on whole commands only (`read_packet` in `mod_event_socket.c`).
                false => LinkError::NotSent(cause.clone()),
            };
            let _ = reply.send(Err(error));
        }
        let _ = self.writer.shutdown().await;
        drop((self.reader, self.writer));
        // A caller may have been given room in the queue and not have used it yet. One whose
        // future is held without being polled finds the queue closed when it is.
        let stragglers = async {
            while let Some(request) = self.requests.recv().await {
                request.refuse(cause);
            }
        };
        let _ = timeout(self.config.exit_timeout, stragglers).await;
    }
}

impl<S> fmt::Debug for LinkTask<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkTask")
            .field("pending", &self.pending.len())
            .finish_non_exhaustive()
    }
}

// === impl Request ===

impl Request {
    fn refuse(self, cause: &Lost) {
        let _ = self.reply.send(Err(LinkError::NotSent(cause.clone())));
    }
}

/// Only an outbound socket's notice can linger (`read_packet` in `mod_event_socket.c`).
fn lingers(notice: &Frame) -> bool {
    notice
        .headers()
        .raw("Content-Disposition")
        .is_some_and(|value| value.trim_ascii() == b"linger")
}

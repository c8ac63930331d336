//! One socket shared by any number of callers: their handle, and what can become of a command.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;
use tracing::{Level, Span, span_enabled};

use super::codec::FrameError;
use super::command::Command;
use super::event::Event;
use super::frame::{ContentType, Frame};
use super::header::Headers;
use super::outcome::Outcome;
use crate::domain::Deadline;
use crate::telemetry::SPANS;

mod task;

pub(super) use task::LinkTask;

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
    /// Silence after which the link counts as lost. It does not as long as a caller waits for the
    /// reply that is due: FreeSWITCH runs `api` on the link's thread and may take its time. Once
    /// that caller has left, the silence counts again.
    pub dead_after: Duration,
    /// A harmless command that always gets a reply.
    pub probe: Command,
}

/// A handle to the link; clones share it.
#[derive(Debug, Clone)]
pub struct Link {
    requests: mpsc::Sender<Request>,
    lost: watch::Receiver<Option<Lost>>,
    nudge: Arc<Notify>,
}

/// The reply to one command.
#[derive(Debug, Clone)]
pub struct Reply {
    frame: Frame,
}

/// Why a link ended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Lost {
    /// FreeSWITCH closed the connection, or said that it is about to.
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
    /// To tell the command's span how long it was in the queue, while there are traces.
    queued: Option<(Span, Instant)>,
}

// === impl Link ===

impl Link {
    pub(super) fn new(
        requests: mpsc::Sender<Request>,
        lost: watch::Receiver<Option<Lost>>,
        nudge: Arc<Notify>,
    ) -> Self {
        Self {
            requests,
            lost,
            nudge,
        }
    }

    /// Sends a command and waits for its reply. Dropping the future is safe at any time: a command
    /// still in the queue is then dropped too; one that the task has taken is executed, and its
    /// reply thrown away.
    ///
    /// # Errors
    /// [`LinkError`] says whether the command may have been executed.
    pub async fn send(&self, command: Command) -> Result<Reply, LinkError> {
        self.exchange(command, Arc::default()).await
    }

    /// As [`Link::send`], until a deadline, or a later one for the reply to what was taken by then
    /// if the command has one.
    ///
    /// # Errors
    /// As [`Link::send`]; [`LinkError::TimedOut`] says whether the command was sent.
    pub async fn send_by(&self, command: Command, deadline: Deadline) -> Result<Reply, LinkError> {
        let taken = Arc::<AtomicBool>::default();
        let reply_by = command.reply_by();
        let mut exchange = Box::pin(self.exchange(command, Arc::clone(&taken)));
        let mut result = deadline.bound(&mut exchange).await;
        if let Some(reply_by) = reply_by
            && result.is_none()
            && taken.load(Ordering::Acquire)
        {
            result = reply_by.bound(&mut exchange).await;
        }
        // Before the flag is read: one that was not taken never will be.
        drop(exchange);
        result.unwrap_or_else(|| {
            Err(LinkError::TimedOut {
                sent: taken.load(Ordering::Acquire),
            })
        })
    }

    async fn exchange(&self, command: Command, taken: Arc<AtomicBool>) -> Result<Reply, LinkError> {
        let (reply_tx, reply_rx) = oneshot::channel();
        let is_traced = span_enabled!(target: SPANS, Level::INFO);
        let request = Request {
            command,
            taken,
            reply: reply_tx,
            queued: is_traced.then(|| (Span::current(), Instant::now())),
        };
        if self.requests.send(request).await.is_err() {
            return Err(LinkError::NotSent(self.lost_cause()));
        }
        match reply_rx.await {
            Ok(result) => result,
            // The task answers every request, also those in the queue at its end, unless it
            // panicked; then nobody knows how far this one came.
            Err(_) => Err(LinkError::OutcomeUnknown(self.lost_cause())),
        }
    }

    /// Lets FreeSWITCH send the events that it holds for this link now. It looks for them when the
    /// socket brings something to read, and else every 20 ms (`read_packet` in
    /// `mod_event_socket.c`): a lone line feed, which means nothing, is enough. Measured: an event
    /// comes 0.1 ms after it, and 15 ms later without.
    pub fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// Why the link ended; `None` while it lives.
    pub fn lost(&self) -> Option<Lost> {
        let cause = self.lost.borrow().clone();
        // A task that panicked has named no cause.
        cause.or_else(|| self.lost.has_changed().is_err().then_some(Lost::Stopped))
    }

    /// Whether commands can be sent.
    pub fn is_live(&self) -> bool {
        !self.requests.is_closed()
    }

    /// Waits for the link's end: from then on it takes no command. Replies that are due may still
    /// come in when the gateway itself closes it.
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

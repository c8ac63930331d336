//! Streams that show something as it is and then as it changes: what they have in common.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio_stream::Stream;
use tonic::{Request, Status};

use super::status::status;
use super::{Services, deadline};
use crate::access::Standing;
use crate::domain::{Deadline, Failure, Reason};
use crate::events::Cursor;

/// After which a client that was sent away may watch again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A stream of responses.
pub(super) type Watching<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What is watched.
pub(super) trait Watched: Send + 'static {
    /// What a client is told.
    type Message: Send + 'static;

    /// Whether it may go on until the grace period is over, since it has an end of its own, which
    /// tells of the stop itself. It also goes on when its caller's proof is good no more.
    const HAS_GRACE: bool = false;

    /// The next message, the first of which comes at once; `None` when there will be no more.
    /// Cancel-safe.
    fn next(&mut self) -> impl Future<Output = Result<Option<Self::Message>, Failure>> + Send;

    /// Where a client may go on: what it was told is not older.
    fn cursor(&self) -> Cursor;

    /// Says in a failure what is watched.
    fn about(&self, failure: Failure) -> Failure {
        failure
    }
}

/// One stream.
struct Watch<W> {
    watched: W,
    /// What ends it from outside; nothing in particular when that is the gateway's stop. One for all
    /// messages, so that none of them costs more than a look.
    end: Pin<Box<dyn Future<Output = Option<Failure>> + Send>>,
}

// === impl Services ===

impl Services {
    /// The client's own deadline; a stream has no other.
    pub(super) fn stream_deadline<T>(request: &Request<T>) -> Option<Deadline> {
        let client = request.extensions().get::<deadline::ClientDeadline>();
        client.map(|client| client.0)
    }

    /// Streams what is watched until it is over, the client's deadline passes, its proof is good no
    /// more or the gateway stops.
    pub(super) fn stream<W: Watched>(
        &self,
        watched: W,
        deadline: Option<Deadline>,
    ) -> Watching<W::Message> {
        let watch = Watch {
            watched,
            end: Box::pin(self.end(deadline, W::HAS_GRACE)),
        };
        Box::pin(futures_util::stream::unfold(
            Some(watch),
            |watch| async move {
                let mut watch = watch?;
                match watch.next().await {
                    Ok(Some(message)) => Some((Ok(message), Some(watch))),
                    Ok(None) => None,
                    Err(failure) => Some((Err(status(&watch.explain(failure))), None)),
                }
            },
        ))
    }

    fn end(
        &self,
        deadline: Option<Deadline>,
        has_grace: bool,
    ) -> impl Future<Output = Option<Failure>> + Send + 'static {
        let stopped = self.drain.stopped();
        let standing = self.standing.clone();
        async move {
            tokio::select! {
                biased;
                () = stopped, if !has_grace => None,
                failure = out_of_time(deadline) => Some(failure),
                failure = lost(standing), if !has_grace => Some(failure),
            }
        }
    }
}

// === impl Watch ===

impl<W: Watched> Watch<W> {
    async fn next(&mut self) -> Result<Option<W::Message>, Failure> {
        tokio::select! {
            biased;
            end = &mut self.end => Err(end.unwrap_or_else(shutting_down)),
            message = self.watched.next() => message,
        }
    }

    /// What is watched, and how to go on.
    fn explain(&self, failure: Failure) -> Failure {
        let failure = self.watched.about(failure);
        match failure.metadata().contains_key("cursor") {
            true => failure,
            false => failure.with("cursor", self.watched.cursor()),
        }
    }
}

async fn out_of_time(deadline: Option<Deadline>) -> Failure {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.instant()).await,
        None => std::future::pending().await,
    }
    Failure::new(Reason::DeadlineExceeded, "the client's deadline passed")
}

async fn lost(standing: Option<Arc<Standing>>) -> Failure {
    match standing {
        Some(standing) => standing.lost().await,
        None => std::future::pending().await,
    }
}

/// Why whoever waits or watches is sent away.
pub(super) fn shutting_down() -> Failure {
    let message = "the gateway or this connection ends; ask again, another replica may answer";
    Failure::new(Reason::ShuttingDown, message).retry_after(RETRY_AFTER)
}

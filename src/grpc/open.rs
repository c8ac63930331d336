//! What is open to anybody: health and reflection, of which nobody may have without end.
//!
//! Who asks them needs no identity, so that no limit of a caller counts. They are bounded by
//! connection, and all together.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::body::Body;

use super::receiving;
use crate::domain::{Failure, Reason};

/// Such RPCs under way on one connection. A load balancer watches a service or two on each of its
/// own, and tools ask one thing after the other.
const MOST_OF_CONNECTION: usize = 16;
/// Such RPCs under way on all connections, each of which takes some 20 KiB as a watch: 20 MiB.
const MOST: usize = 1024;
/// After which time it makes sense to try again.
const PAUSE: Duration = Duration::from_secs(1);
/// Paths of services whose one RPC takes messages as long as the client likes to send some.
const REFLECTION: &str = "/grpc.reflection.";

/// Counts such RPCs. Clones share the counts.
#[derive(Debug, Clone)]
pub(super) struct Open {
    all: Arc<Semaphore>,
    of_connection: Arc<Semaphore>,
}

/// Such an RPC is under way as long as this lives.
#[derive(Debug)]
struct OpenPermit {
    _of_connection: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

// === impl Open ===

impl Open {
    /// Nothing is under way yet.
    pub(super) fn new() -> Self {
        Self {
            all: Arc::new(Semaphore::new(MOST)),
            of_connection: Arc::new(Semaphore::new(MOST_OF_CONNECTION)),
        }
    }

    /// The same for another connection.
    pub(super) fn on_connection(&self) -> Self {
        Self {
            all: Arc::clone(&self.all),
            of_connection: Arc::new(Semaphore::new(MOST_OF_CONNECTION)),
        }
    }

    /// Counts one more, until what it gives is dropped.
    ///
    /// # Errors
    /// RATE_LIMITED when too many are under way on the connection, OVERLOADED when there are on all;
    /// both with the time after which to try again.
    pub(super) fn enter(&self) -> Result<Arc<dyn Any + Send + Sync>, Failure> {
        let Ok(of_connection) = Arc::clone(&self.of_connection).try_acquire_owned() else {
            let message = format!(
                "{MOST_OF_CONNECTION} requests for health and reflection are under way on this \
                 connection already; end one of them"
            );
            let failure = Failure::new(Reason::RateLimited, message);
            return Err(failure.with("limit", "open").retry_after(PAUSE));
        };
        let Ok(of_all) = Arc::clone(&self.all).try_acquire_owned() else {
            let message = format!(
                "the gateway has {MOST} requests for health and reflection under way already; try \
                 again later"
            );
            return Err(Failure::new(Reason::Overloaded, message).retry_after(PAUSE));
        };
        Ok(Arc::new(OpenPermit {
            _of_connection: of_connection,
            _of_all: of_all,
        }))
    }
}

/// Bounds the time until such a request has come. One for reflection has come with its first message.
pub(super) fn bounded(request: Request<Body>) -> Request<Body> {
    match request.uri().path().starts_with(REFLECTION) {
        true => receiving::bounded_to_first(request),
        false => receiving::bounded(request),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_bounded_by_connection_and_all_together() {
        let open = Open::new();
        let why = |open: &Open| {
            let failure = open.enter().expect_err("is let in");
            (failure.reason(), failure.retry_delay().is_some())
        };
        let mut held = Vec::new();
        for _ in 0..MOST / MOST_OF_CONNECTION {
            let connection = open.on_connection();
            held.extend((0..MOST_OF_CONNECTION).map(|_| connection.enter().unwrap()));
            assert_eq!(why(&connection), (Reason::RateLimited, true));
        }
        let another = open.on_connection();
        for _ in 0..2 * MOST_OF_CONNECTION {
            assert_eq!(why(&another), (Reason::Overloaded, true));
        }
        held.pop();
        another.enter().unwrap();
    }
}

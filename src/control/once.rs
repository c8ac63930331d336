//! `request_id`: the same request twice acts once.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::quality::FixedState;
use std::hash::BuildHasher as _;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::{Failure, Reason};
use crate::shutdown::Drain;

/// How many outcomes are kept, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct OnceConfig {
    /// How long an outcome is given to repeats.
    pub retention: Duration,
    /// How many outcomes are kept; the oldest go first.
    pub max_finished: usize,
}

/// Remembers requests that carry a `request_id`, and what came of each.
///
/// Each runs in a task of its own, which all callers with that id wait for; it is dropped when
/// the last of them has left before it was done, just as a request without an id is.
#[derive(Debug)]
pub struct Once {
    config: OnceConfig,
    drain: Drain,
    requests: Mutex<Requests>,
}

#[derive(Debug, Default)]
struct Requests {
    known: HashMap<String, Known>,
    finished: VecDeque<(Instant, String, u64)>,
    next_ticket: u64,
}

/// A request that runs, or has run.
#[derive(Debug)]
struct Known {
    ticket: u64,
    fingerprint: u64,
    outcome: Outcomes,
    /// Held by everyone who waits; the task watches for its last holder to go.
    interest: std::sync::Weak<Interest>,
}

/// Where the outcome appears.
type Outcomes = watch::Receiver<Option<Outcome>>;

type Outcome = Result<Arc<dyn Any + Send + Sync>, Failure>;

/// Cancels the task when the last one who waits has left.
#[derive(Debug)]
struct Interest(CancellationToken);

// === impl OnceConfig ===

impl Default for OnceConfig {
    fn default() -> Self {
        Self {
            retention: Duration::from_secs(3600),
            max_finished: 10_000,
        }
    }
}

// === impl Once ===

impl Once {
    /// Remembers nothing yet; starts its tasks through `drain`.
    pub fn new(config: OnceConfig, drain: &Drain) -> Arc<Self> {
        Arc::new(Self {
            config,
            drain: drain.clone(),
            requests: Mutex::default(),
        })
    }

    /// Runs `action`, unless it has run before under this id: then gives back what came of it. An
    /// empty id always runs it. `request` tells one request from another.
    ///
    /// # Errors
    /// Those of the action; REQUEST_ID_REUSED when the id was used for another request.
    pub async fn run<T, F>(
        self: &Arc<Self>,
        id: &str,
        request: &impl Hash,
        action: F,
    ) -> Result<T, Failure>
    where
        T: Clone + Send + Sync + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        if id.is_empty() {
            return action.await;
        }
        check_id(id)?;
        let (mut outcome, interest) = self.join_or_start(id, fingerprint::<T>(request), action)?;
        let result = match outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone(),
            Err(_) => None,
        };
        drop(interest);
        let gone = || {
            Failure::new(
                Reason::ShuttingDown,
                "the request was dropped since the gateway shuts down",
            )
        };
        let value = result.unwrap_or_else(|| Err(gone()))?;
        match value.downcast_ref::<T>() {
            Some(value) => Ok(value.clone()),
            // The fingerprint includes the type, so this is another request after all.
            None => Err(reused(id)),
        }
    }

    fn join_or_start<T, F>(
        self: &Arc<Self>,
        id: &str,
        fingerprint: u64,
        action: F,
    ) -> Result<(Outcomes, Option<Arc<Interest>>), Failure>
    where
        T: Clone + Send + Sync + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let mut requests = self.lock();
        requests.expire(self.config);
        if let Some(known) = requests.known.get(id) {
            if known.fingerprint != fingerprint {
                return Err(reused(id));
            }
            let interest = known.interest.upgrade();
            // Without anybody's interest it either has finished or is being dropped.
            if interest.is_some() || known.outcome.borrow().is_some() {
                return Ok((known.outcome.clone(), interest));
            }
        }
        let (outcome_tx, outcome_rx) = watch::channel(None);
        let token = CancellationToken::new();
        let interest = Arc::new(Interest(token.clone()));
        requests.next_ticket += 1;
        let ticket = requests.next_ticket;
        let known = Known {
            ticket,
            fingerprint,
            outcome: outcome_rx.clone(),
            interest: Arc::downgrade(&interest),
        };
        requests.known.insert(id.to_owned(), known);
        drop(requests);

        let once = Arc::clone(self);
        let id = id.to_owned();
        self.drain.spawn(async move {
            let result = tokio::select! {
                biased;
                result = action => Some(result),
                () = token.cancelled() => None,
            };
            once.finished(&id, ticket, result.as_ref().is_some_and(is_final));
            let erased = result
                .map(|result| result.map(|value| Arc::new(value) as Arc<dyn Any + Send + Sync>));
            outcome_tx.send_replace(erased);
        });
        Ok((outcome_rx, Some(interest)))
    }

    fn finished(&self, id: &str, ticket: u64, keep: bool) {
        let mut requests = self.lock();
        if keep {
            requests
                .finished
                .push_back((Instant::now(), id.to_owned(), ticket));
            requests.expire(self.config);
        } else {
            requests.forget(id, ticket);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Interest ===

impl Drop for Interest {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

// === impl Requests ===

impl Requests {
    fn expire(&mut self, config: OnceConfig) {
        let now = Instant::now();
        while let Some((at, ..)) = self.finished.front() {
            let is_past = now.saturating_duration_since(*at) >= config.retention;
            if !is_past && self.finished.len() <= config.max_finished {
                return;
            }
            if let Some((_, id, ticket)) = self.finished.pop_front() {
                self.forget(&id, ticket);
            }
        }
    }

    fn forget(&mut self, id: &str, ticket: u64) {
        if self
            .known
            .get(id)
            .is_some_and(|known| known.ticket == ticket)
        {
            self.known.remove(id);
        }
    }
}

/// Whether a repeat shall be given the same: not where nothing was done and a retry makes sense.
fn is_final<T>(result: &Result<T, Failure>) -> bool {
    match result {
        Ok(_) => true,
        Err(failure) => {
            let was_unsent = failure
                .metadata()
                .get("command_sent")
                .is_some_and(|sent| sent == "false");
            let is_malformed = !failure.violations().is_empty();
            failure.retry_delay().is_none() && !was_unsent && !is_malformed
        }
    }
}

fn check_id(id: &str) -> Result<(), Failure> {
    if id.len() > 256
        || !id
            .bytes()
            .all(|byte| byte.is_ascii_graphic() || byte == b' ')
    {
        return Err(Failure::invalid(
            "request_id",
            "is longer than 256 bytes or not printable ASCII; use a UUID",
        ));
    }
    Ok(())
}

fn fingerprint<T: 'static>(request: &impl Hash) -> u64 {
    let mut hasher = FixedState::default().build_hasher();
    std::any::TypeId::of::<T>().hash(&mut hasher);
    request.hash(&mut hasher);
    hasher.finish()
}

fn reused(id: &str) -> Failure {
    let message = format!("request_id {id:?} was used before for another request; use a new one");
    Failure::new(Reason::RequestIdReused, message).with("request_id", id)
}

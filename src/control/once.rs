//! `request_id`: the same request twice acts once.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, info_span};

use crate::domain::{Deadline, Failure, Identity, Reason};
use crate::shutdown::Drain;
use crate::telemetry::{self, SPANS};

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
/// Each runs in a task of its own, which all callers with that id wait for. It runs to its end also
/// when all of them have left, or a repeat could not be told what came of it and would act twice.
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
    identity: Identity,
    outcome: Outcomes,
    /// Held by everyone who waits; the action is told when its last holder has gone.
    interest: std::sync::Weak<Interest>,
}

/// A caller's part in a request.
struct Joined {
    outcome: Outcomes,
    /// Absent when the last caller had left before.
    interest: Option<Arc<Interest>>,
    is_repeat: bool,
}

/// Where the outcome appears.
type Outcomes = watch::Receiver<Option<Outcome>>;

type Outcome = Result<Arc<dyn Any + Send + Sync>, Failure>;

/// Tells the action when the last one who waits has left.
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

    /// Runs `action`, which ends by `deadline` itself, unless it has run before under this id: then
    /// gives back what came of it. Without an id it always runs.
    ///
    /// # Errors
    /// Those of the action; REQUEST_ID_REUSED when the id was used for another request;
    /// DEADLINE_EXCEEDED when the first request goes on longer than this repeat may.
    pub async fn run<T, F>(
        self: &Arc<Self>,
        request: &Identity,
        deadline: Deadline,
        action: F,
    ) -> Result<T, Failure>
    where
        T: Clone + Send + Sync + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        self.run_for(request, deadline, |_| action).await
    }

    /// As [`Once::run`]; the action's token is triggered when nobody waits for it any more. Without
    /// an id the action is dropped then.
    ///
    /// # Errors
    /// As [`Once::run`].
    pub async fn run_for<T, F>(
        self: &Arc<Self>,
        request: &Identity,
        deadline: Deadline,
        action: impl FnOnce(CancellationToken) -> F,
    ) -> Result<T, Failure>
    where
        T: Clone + Send + Sync + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        if request.id.is_empty() {
            return action(CancellationToken::new()).await;
        }
        request.check()?;
        let joined = self.join_or_start(request, action)?;
        let mut outcome = joined.outcome;
        let seen = async {
            match outcome.wait_for(Option::is_some).await {
                Ok(outcome) => outcome.clone(),
                // The task sends before it ends.
                Err(_) => None,
            }
        };
        let result = match joined.is_repeat {
            true => deadline
                .bound(seen)
                .await
                .ok_or_else(|| late(&request.id))?,
            false => seen.await,
        };
        drop(joined.interest);
        let value = result.unwrap_or_else(|| Err(panicked()))?;
        match value.downcast_ref::<T>() {
            Some(value) => Ok(value.clone()),
            // Requests of one kind have results of one type.
            None => Err(panicked()),
        }
    }

    /// Number of requests that run.
    pub fn running(&self) -> usize {
        let requests = self.lock();
        requests.known.len() - requests.finished.len()
    }

    /// Number of requests that are remembered, those that run included.
    pub fn remembered(&self) -> usize {
        self.lock().known.len()
    }

    fn join_or_start<T, F>(
        self: &Arc<Self>,
        request: &Identity,
        action: impl FnOnce(CancellationToken) -> F,
    ) -> Result<Joined, Failure>
    where
        T: Clone + Send + Sync + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let mut requests = self.lock();
        requests.expire(self.config);
        if let Some(known) = requests.known.get(&request.key()) {
            request.check_same(&known.identity)?;
            return Ok(Joined {
                outcome: known.outcome.clone(),
                interest: known.interest.upgrade(),
                is_repeat: true,
            });
        }
        let (outcome_tx, outcome_rx) = watch::channel(None);
        let left = CancellationToken::new();
        let interest = Arc::new(Interest(left.clone()));
        requests.next_ticket += 1;
        let ticket = requests.next_ticket;
        let known = Known {
            ticket,
            identity: request.clone(),
            outcome: outcome_rx.clone(),
            interest: Arc::downgrade(&interest),
        };
        requests.known.insert(request.key(), known);
        drop(requests);

        let once = Arc::clone(self);
        let id = request.key();
        let action = AssertUnwindSafe(action(left)).catch_unwind();
        // It may outlive its caller, whose span is not to wait for it.
        let span = info_span!(target: SPANS, parent: None, "once");
        telemetry::detach(&span);
        let run = async move {
            // Nobody knows how far an action came that panicked, so it is not to be repeated.
            let result = action.await.unwrap_or_else(|_| Err(panicked()));
            once.finished(&id, ticket, is_final(&result));
            let erased = result.map(|value| Arc::new(value) as Arc<dyn Any + Send + Sync>);
            outcome_tx.send_replace(Some(erased));
        };
        self.drain.spawn(run.instrument(span));
        Ok(Joined {
            outcome: outcome_rx,
            interest: Some(interest),
            is_repeat: false,
        })
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
            // Of a wait that ended with its connection: a repeat waits on.
            let is_cut = failure.reason() == Reason::ShuttingDown;
            failure.retry_delay().is_none() && !was_unsent && !is_malformed && !is_cut
        }
    }
}

fn late(id: &str) -> Failure {
    let message = "the deadline passed before the first request with this request_id was done";
    Failure::new(Reason::DeadlineExceeded, message)
        .with("request_id", id)
        .with("command_sent", true)
}

fn panicked() -> Failure {
    Failure::new(
        Reason::Internal,
        "the request met a defect of the gateway; it may have been executed",
    )
}

#[cfg(test)]
mod outcomes;

#[cfg(test)]
mod tests;

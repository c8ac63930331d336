//! Telling of jobs as they change.

use std::sync::Arc;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::{Job, SharedJob};
use crate::domain::{Failure, Reason};

/// Changes that somebody who watches may be behind: more than a busy second has, and few enough to
/// keep.
const MAX_BEHIND: usize = 4096;
/// Largest output that is told; the table alone keeps larger ones.
const MAX_TOLD_BYTES: usize = 16 * 1024;

/// Tells everyone who watches of each change, and waits for nobody.
#[derive(Debug)]
pub(super) struct JobFeeds(broadcast::Sender<SharedJob>);

/// The changes of all jobs from some moment on, in order.
#[derive(Debug)]
pub struct JobFeed(broadcast::Receiver<SharedJob>);

// === impl JobFeeds ===

impl Default for JobFeeds {
    fn default() -> Self {
        Self(broadcast::Sender::new(MAX_BEHIND))
    }
}

impl JobFeeds {
    pub(super) fn subscribe(&self) -> JobFeed {
        JobFeed(self.0.subscribe())
    }

    /// Nothing is kept when nobody watches, and nothing longer than the slowest needs it.
    pub(super) fn tell(&self, job: &SharedJob) {
        if self.0.receiver_count() > 0 {
            let _ = self.0.send(without_large_output(job));
        }
    }
}

// === impl JobFeed ===

impl JobFeed {
    /// The next change: the job as it was then. Cancel-safe.
    ///
    /// # Errors
    /// SLOW_CONSUMER when more changes came than are kept for one who is behind.
    pub async fn next(&mut self) -> Result<SharedJob, Failure> {
        match self.0.recv().await {
            Ok(job) => Ok(job),
            Err(RecvError::Lagged(missed)) => Err(fell_behind(missed)),
            // The table outlives its feeds.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }

    /// The next change if there is one already.
    ///
    /// # Errors
    /// As [`JobFeed::next`].
    pub fn next_now(&mut self) -> Result<Option<SharedJob>, Failure> {
        match self.0.try_recv() {
            Ok(job) => Ok(Some(job)),
            Err(TryRecvError::Lagged(missed)) => Err(fell_behind(missed)),
            Err(TryRecvError::Empty | TryRecvError::Closed) => Ok(None),
        }
    }
}

/// The job, without an output that is too large to be told: then it has ended without an outcome.
pub fn without_large_output(job: &SharedJob) -> SharedJob {
    if job.output_bytes() <= 2 * MAX_TOLD_BYTES {
        return Arc::clone(job);
    }
    Arc::new(Job {
        outcome: None,
        ..Job::clone(job)
    })
}

fn fell_behind(missed: u64) -> Failure {
    let message = "the watch reads too slowly; watch again with a snapshot";
    Failure::new(Reason::SlowConsumer, message).with("missed", missed)
}

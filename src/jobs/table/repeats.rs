//! Jobs that are asked for again.

use std::pin::pin;
use std::sync::Arc;

use super::Jobs;
use crate::domain::{Failure, Identity, JobId};
use crate::jobs::{Job, SharedJob};

// === impl Jobs ===

impl Jobs {
    /// The job that this request has made before, as long as it is kept.
    ///
    /// # Errors
    /// REQUEST_ID_REUSED when another request has made it.
    pub fn repeated(&self, id: &JobId, request: &Identity) -> Result<Option<SharedJob>, Failure> {
        let Some(job) = self.find(id) else {
            return Ok(None);
        };
        let same = request.check_same(&job.spec.request);
        same.map_err(|failure| failure.job(id))?;
        Ok(Some(job))
    }

    /// Waits until there is a job of this id.
    pub async fn registered(&self, id: &JobId) -> SharedJob {
        loop {
            let mut registered = pin!(self.registered.notified());
            registered.as_mut().enable();
            let found = self.find(id);
            if let Some(job) = found {
                return job;
            }
            registered.await;
        }
    }

    /// The job, unless it is to be tried again.
    fn find(&self, id: &JobId) -> Option<SharedJob> {
        let table = self.lock();
        let job = table.jobs.get(id.as_str())?.job.borrow();
        (!is_void(&job)).then(|| Arc::clone(&job))
    }
}

/// Whether a job failed so that it may be tried again, since nothing came of it.
pub(super) fn is_void(job: &Job) -> bool {
    matches!(&job.outcome, Some(Err(failure)) if failure.retry_delay().is_some())
}

//! What a job is like when it has ended.

use std::time::SystemTime;

use super::super::{End, Job, JobState, judge};
use crate::domain::{Failure, Reason};

/// Ends a job that had not ended.
pub(super) fn end_job(job: &mut Job, end: End) {
    let (id, node) = (job.spec.id.clone(), job.spec.node.clone());
    let about = |failure: Failure| failure.job(&id).node(&node);
    if matches!(end, End::Answered(_)) {
        // The result may overtake the reply that it was taken, which comes over another link.
        job.started.get_or_insert_with(SystemTime::now);
    }
    let (state, outcome) = match end {
        End::Answered(raw) => match judge(&job.spec, raw) {
            Ok(output) => (JobState::Succeeded, Ok(output)),
            // What FreeSWITCH says of a cancelled originate is how the cancellation worked.
            Err(failure) => match job.cancel_reason.take() {
                Some(why) => (
                    JobState::Cancelled,
                    Err(about(Failure::new(Reason::Cancelled, why))),
                ),
                None => (JobState::Failed, Err(failure)),
            },
        },
        End::Failed(failure) => (JobState::Failed, Err(about(failure))),
        End::Cancelled => {
            let why = job.cancel_reason.take().unwrap_or_default();
            (
                JobState::Cancelled,
                Err(about(Failure::new(Reason::Cancelled, why))),
            )
        }
        End::Expired => {
            let message = format!(
                "the job did not end within its time-out of {:?}",
                job.spec.timeout
            );
            (
                JobState::Expired,
                Err(about(Failure::new(Reason::DeadlineExceeded, message))
                    .with("command_sent", true)),
            )
        }
        End::Lost(why) => (
            JobState::Lost,
            Err(about(Failure::new(Reason::OutcomeUnknown, why))),
        ),
    };
    let now = SystemTime::now();
    if state == JobState::Succeeded {
        // Its result overtook the reply that says that it was taken.
        job.started.get_or_insert(now);
    }
    job.state = state;
    job.ended = Some(now);
    job.outcome = Some(outcome);
}

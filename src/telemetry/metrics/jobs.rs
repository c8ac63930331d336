//! Jobs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Family, Page, Theme};
use crate::jobs::{ENDS, JobState, Jobs};

const JOBS: Family = Family::gauge(
    "switchgate_jobs",
    "Jobs that have not ended: PENDING until FreeSWITCH takes them, then RUNNING",
    &["state"],
);
const KEPT: Family = Family::gauge(
    "switchgate_jobs_kept",
    "Jobs that have ended and can still be read",
    &[],
);
const OLDEST: Family = Family::gauge(
    "switchgate_job_oldest_seconds",
    "Age of the oldest job that has not ended; 0 without any",
    &[],
);
const ENDED: Family = Family::counter(
    "switchgate_jobs_ended_total",
    "Jobs that ended, by how",
    &["state"],
);

/// Jobs by state.
#[derive(Debug)]
pub struct JobMetrics(pub Arc<Jobs>);

// === impl JobMetrics ===

impl Theme for JobMetrics {
    fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        let census = self.0.census();
        let unfinished = [
            ([JobState::Pending.name()], census.pending),
            ([JobState::Running.name()], census.running),
        ];
        page.samples(&JOBS, unfinished)?;
        page.samples(&KEPT, [([], census.kept)])?;
        let oldest = census.oldest.as_ref().map_or(0.0, Duration::as_secs_f64);
        page.samples(&OLDEST, [([], oldest)])?;
        let ended = ENDS.iter().zip(census.ended);
        page.samples(&ENDED, ended.map(|(state, count)| ([state.name()], count)))
    }
}

//! Jobs: every `bgapi` as a durable operation with exactly one end.
//!
//! The table knows what became of each job; who runs them is `control`. A job is registered before
//! its command is written, so its result can come on any link and at any time.

mod feed;
mod outcome;
mod table;
mod twins;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::domain::{Failure, Identity, JobId, NodeId, SessionId};
use crate::esl::Outcome;
use crate::tracker::Labels;

pub use feed::{JobFeed, without_large_output};
pub use outcome::{LIMIT_RETRY, call_failure, judge};
pub use table::{ENDS, JobCensus, Jobs, JobsConfig};

/// Where a job is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobState {
    /// Registered, not yet taken by FreeSWITCH.
    Pending,
    /// FreeSWITCH runs it.
    Running,
    /// FreeSWITCH answered and did not refuse.
    Succeeded,
    /// FreeSWITCH refused, or was never reached.
    Failed,
    /// Cancelled.
    Cancelled,
    /// Its own time-out passed.
    Expired,
    /// No link can ever tell.
    Lost,
}

/// What FreeSWITCH printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Verbatim.
    pub raw: Bytes,
    /// What it means.
    pub meaning: Outcome,
}

/// What is asked of FreeSWITCH.
#[derive(Debug, Clone)]
pub struct JobSpec {
    /// The `Job-UUID`.
    pub id: JobId,
    /// The api command, one word.
    pub command: String,
    /// Its arguments.
    pub arguments: String,
    /// Who runs it.
    pub node: NodeId,
    /// The session that it acts on.
    pub session: Option<SessionId>,
    /// Labels to find it by.
    pub labels: Labels,
    /// How long it may take.
    pub timeout: Duration,
    /// Of a job that other gateways may run under the same id: what stands in this one's command
    /// alone.
    pub mark: Option<String>,
    /// The request that asked for it, so that a repeat is known as long as the job is.
    pub request: Identity,
}

/// A job at one moment.
#[derive(Debug, Clone)]
pub struct Job {
    /// What was asked.
    pub spec: JobSpec,
    /// Where it is on its way.
    pub state: JobState,
    /// When it was registered.
    pub created: SystemTime,
    /// When FreeSWITCH took it.
    pub started: Option<SystemTime>,
    /// When it ended.
    pub ended: Option<SystemTime>,
    /// What came of it, once it has ended.
    pub outcome: Option<Result<Output, Failure>>,
    /// Why it shall be cancelled, once somebody asked for that.
    pub cancel_reason: Option<String>,
    /// It was not this gateway's command that counts: it was refused, or was not sent.
    pub is_elsewhere: bool,
}

/// A way in which a job ends.
#[derive(Debug, Clone)]
pub enum End {
    /// FreeSWITCH printed this.
    Answered(Bytes),
    /// It could not be run.
    Failed(Failure),
    /// It was cancelled.
    Cancelled,
    /// Its time-out passed.
    Expired,
    /// No link can ever tell, with the reason.
    Lost(&'static str),
}

// === impl JobState ===

impl JobState {
    /// Whether this is one of the five ends.
    pub fn is_end(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }

    /// Its name, as in the proto without the prefix.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
            Self::Expired => "EXPIRED",
            Self::Lost => "LOST",
        }
    }
}

// === impl Job ===

impl Job {
    fn new(spec: JobSpec) -> Self {
        Self {
            spec,
            state: JobState::Pending,
            created: SystemTime::now(),
            started: None,
            ended: None,
            outcome: None,
            cancel_reason: None,
            is_elsewhere: false,
        }
    }

    /// Bytes of its output, which is kept as it is and as text.
    pub fn output_bytes(&self) -> usize {
        match &self.outcome {
            Some(Ok(output)) => 2 * output.raw.len(),
            Some(Err(_)) | None => 0,
        }
    }

    /// Its identifier.
    pub fn id(&self) -> &JobId {
        &self.spec.id
    }
}

/// A job as the table hands it out.
pub type SharedJob = Arc<Job>;

#[cfg(test)]
mod tests;

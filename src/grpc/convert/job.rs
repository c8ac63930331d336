//! Jobs.

use super::{to_duration, to_labels, to_timestamp};
use crate::domain::Failure;
use crate::esl::Outcome;
use crate::grpc::status::reason_name;
use crate::jobs::{Job, JobState, Output};
use crate::pb;

/// A job with what came of it.
pub(in crate::grpc) fn to_job(job: &Job) -> pb::Job {
    let spec = &job.spec;
    pb::Job {
        job_id: spec.id.to_string(),
        command: spec.command.clone(),
        arguments: spec.arguments.clone(),
        node_id: spec.node.to_string(),
        session_id: spec
            .session
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        labels: to_labels(&spec.labels),
        state: to_job_state(job.state).into(),
        created: Some(to_timestamp(job.created)),
        started: job.started.map(to_timestamp),
        ended: job.ended.map(to_timestamp),
        timeout: Some(to_duration(spec.timeout)),
        outcome: job.outcome.as_ref().map(|outcome| match outcome {
            Ok(output) => pb::job::Outcome::Result(to_output(output)),
            Err(failure) => pb::job::Outcome::Error(to_error(failure)),
        }),
    }
}

pub(in crate::grpc) fn to_job_state(state: JobState) -> pb::JobState {
    match state {
        JobState::Pending => pb::JobState::Pending,
        JobState::Running => pb::JobState::Running,
        JobState::Succeeded => pb::JobState::Succeeded,
        JobState::Failed => pb::JobState::Failed,
        JobState::Cancelled => pb::JobState::Cancelled,
        JobState::Expired => pb::JobState::Expired,
        JobState::Lost => pb::JobState::Lost,
    }
}

fn to_output(output: &Output) -> pb::JobOutput {
    use pb::JobOutputKind as Kind;
    let (kind, text) = match &output.meaning {
        Outcome::Ok(text) => (Kind::Ok, text.clone()),
        Outcome::Data(text) => (Kind::Data, text.clone()),
        Outcome::NoReply => (Kind::NoReply, String::new()),
        Outcome::Error(text) => (Kind::Error, text.clone()),
        Outcome::Usage(text) => (Kind::Usage, text.clone()),
    };
    pb::JobOutput {
        kind: kind.into(),
        text,
        raw: output.raw.to_vec(),
    }
}

fn to_error(failure: &Failure) -> pb::JobError {
    pb::JobError {
        reason: reason_name(failure.reason()).to_owned(),
        message: failure.message().to_owned(),
        metadata: failure
            .metadata()
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone()))
            .collect(),
    }
}

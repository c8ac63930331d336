//! A job as a trace shows it.

use tracing::field::Empty;
use tracing::{Span, info_span};

use crate::domain::JobId;
use crate::jobs::{JobSpec, Jobs};
use crate::telemetry::{self, SPANS};

/// The span of a job that is about to be registered. It outlives its caller, whose span is not to
/// wait for it.
pub(super) fn span(spec: &JobSpec) -> Span {
    let span = info_span!(
        target: SPANS,
        parent: None,
        "job",
        otel.name = format_args!("job {}", spec.command),
        switchgate.job.id = %spec.id,
        switchgate.node.id = %spec.node,
        switchgate.command = spec.command,
        switchgate.job.state = Empty,
        "error.type" = Empty,
        otel.status_code = Empty,
    );
    telemetry::detach(&span);
    span
}

/// Tells how the job ended.
pub(super) fn tell_end(span: &Span, jobs: &Jobs, id: &JobId) {
    if span.is_disabled() {
        return;
    }
    let Ok(job) = jobs.get(id) else {
        return;
    };
    span.record("switchgate.job.state", job.state.name());
    if let Some(Err(failure)) = &job.outcome {
        span.record("error.type", telemetry::error_type(failure.reason()));
        span.record("otel.status_code", telemetry::FAILED);
    }
}

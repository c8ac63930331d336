//! The only place that builds a `Status`.

use std::collections::HashMap;

use tonic::{Code, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::domain::{Failure, Reason};

/// Domain of our reasons in ErrorInfo.
const DOMAIN: &str = "switchgate";

/// Turns a failure into what the client sees.
pub(super) fn status(failure: &Failure) -> Status {
    let (code, name) = code_and_name(failure.reason());
    let metadata: HashMap<String, String> = failure
        .metadata()
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone()))
        .collect();
    let mut details = ErrorDetails::new();
    details.set_error_info(name, DOMAIN, metadata);
    for violation in failure.violations() {
        details.add_bad_request_violation(&violation.field, &violation.description);
    }
    if let Some(delay) = failure.retry_delay() {
        details.set_retry_info(Some(delay));
    }
    if code == Code::Internal {
        tracing::error!(%failure, reason = name, "request failed");
    }
    Status::with_error_details(code, failure.message(), details)
}

/// The answer of a unary RPC.
pub(super) fn respond<T>(answer: Result<T, Failure>) -> Result<Response<T>, Status> {
    answer
        .map(Response::new)
        .map_err(|failure| status(&failure))
}

/// The name of a reason, as in ErrorReason without its prefix.
pub(super) fn reason_name(reason: Reason) -> &'static str {
    code_and_name(reason).1
}

fn code_and_name(reason: Reason) -> (Code, &'static str) {
    match reason {
        Reason::InvalidArgument => (Code::InvalidArgument, "INVALID_ARGUMENT"),
        Reason::UnknownApplication => (Code::InvalidArgument, "UNKNOWN_APPLICATION"),
        Reason::SessionNotFound => (Code::NotFound, "SESSION_NOT_FOUND"),
        Reason::CallNotFound => (Code::NotFound, "CALL_NOT_FOUND"),
        Reason::JobNotFound => (Code::NotFound, "JOB_NOT_FOUND"),
        Reason::NodeNotFound => (Code::NotFound, "NODE_NOT_FOUND"),
        Reason::SessionEnded => (Code::FailedPrecondition, "SESSION_ENDED"),
        Reason::SessionState => (Code::FailedPrecondition, "SESSION_STATE"),
        Reason::JobEnded => (Code::FailedPrecondition, "JOB_ENDED"),
        Reason::CallFailed => (Code::Aborted, "CALL_FAILED"),
        Reason::EndpointUnusable => (Code::FailedPrecondition, "ENDPOINT_UNUSABLE"),
        Reason::CommandRejected => (Code::FailedPrecondition, "COMMAND_REJECTED"),
        Reason::NodeLimit => (Code::ResourceExhausted, "NODE_LIMIT"),
        Reason::Overloaded => (Code::ResourceExhausted, "OVERLOADED"),
        Reason::NoNodeAvailable => (Code::Unavailable, "NO_NODE_AVAILABLE"),
        Reason::NodeUnavailable => (Code::Unavailable, "NODE_UNAVAILABLE"),
        Reason::OutcomeUnknown => (Code::Unavailable, "OUTCOME_UNKNOWN"),
        Reason::DeadlineExceeded => (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
        Reason::Cancelled => (Code::Cancelled, "CANCELLED"),
        Reason::RequestIdReused => (Code::AlreadyExists, "REQUEST_ID_REUSED"),
        Reason::ShuttingDown => (Code::Unavailable, "SHUTTING_DOWN"),
        Reason::SlowConsumer => (Code::ResourceExhausted, "SLOW_CONSUMER"),
        Reason::CursorLost => (Code::OutOfRange, "CURSOR_LOST"),
        Reason::ProtocolError => (Code::Internal, "PROTOCOL_ERROR"),
        Reason::Internal => (Code::Internal, "INTERNAL"),
        Reason::JobRunning => (Code::FailedPrecondition, "JOB_RUNNING"),
        Reason::NodeExists => (Code::AlreadyExists, "NODE_EXISTS"),
        Reason::NodeBusy => (Code::FailedPrecondition, "NODE_BUSY"),
        Reason::Unauthenticated => (Code::Unauthenticated, "UNAUTHENTICATED"),
        Reason::PermissionDenied => (Code::PermissionDenied, "PERMISSION_DENIED"),
        Reason::RateLimited => (Code::ResourceExhausted, "RATE_LIMITED"),
    }
}

/// A status code as the protocol writes it (`google/rpc/code.proto`).
pub(super) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pb::ErrorReason;

    /// One of each; the exhaustive match above does not compile when one is missing there, and the
    /// count below fails when one is missing here.
    const ALL: [Reason; 31] = [
        Reason::InvalidArgument,
        Reason::UnknownApplication,
        Reason::SessionNotFound,
        Reason::CallNotFound,
        Reason::JobNotFound,
        Reason::NodeNotFound,
        Reason::SessionEnded,
        Reason::SessionState,
        Reason::JobEnded,
        Reason::CallFailed,
        Reason::EndpointUnusable,
        Reason::CommandRejected,
        Reason::NodeLimit,
        Reason::Overloaded,
        Reason::NoNodeAvailable,
        Reason::NodeUnavailable,
        Reason::OutcomeUnknown,
        Reason::DeadlineExceeded,
        Reason::Cancelled,
        Reason::RequestIdReused,
        Reason::ShuttingDown,
        Reason::SlowConsumer,
        Reason::CursorLost,
        Reason::ProtocolError,
        Reason::Internal,
        Reason::JobRunning,
        Reason::NodeExists,
        Reason::NodeBusy,
        Reason::Unauthenticated,
        Reason::PermissionDenied,
        Reason::RateLimited,
    ];

    #[test]
    fn every_reason_is_one_of_the_proto_and_all_of_the_proto_are_used() {
        let mut numbers: Vec<i32> = ALL
            .iter()
            .map(|reason| {
                let name = format!("ERROR_REASON_{}", reason_name(*reason));
                ErrorReason::from_str_name(&name)
                    .map(|known| known as i32)
                    .expect(&name)
            })
            .collect();
        numbers.sort_unstable();
        let of_proto: Vec<i32> = (1..)
            .take_while(|number| ErrorReason::try_from(*number).is_ok())
            .collect();
        assert_eq!(numbers, of_proto);
    }

    #[test]
    fn spans_name_reasons_as_the_api_does() {
        for reason in ALL {
            assert_eq!(crate::telemetry::error_type(reason), reason_name(reason));
        }
    }

    #[test]
    fn a_status_carries_reason_metadata_violations_and_retry() {
        let failure = Failure::invalid("session_id", "is empty")
            .with("node_id", "a")
            .retry_after(std::time::Duration::from_secs(1));
        let status = status(&failure);
        assert_eq!(status.code(), Code::InvalidArgument);
        let details = status.get_error_details();
        let info = details.error_info().expect("ErrorInfo");
        assert_eq!(
            (info.reason.as_str(), info.domain.as_str()),
            ("INVALID_ARGUMENT", "switchgate")
        );
        assert_eq!(info.metadata.get("node_id").map(String::as_str), Some("a"));
        let request = details.bad_request().expect("BadRequest");
        assert_eq!(request.field_violations[0].field, "session_id");
        assert!(details.retry_info().is_some());
    }
}

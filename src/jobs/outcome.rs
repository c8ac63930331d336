//! What a job's output means.

use std::time::Duration;

use bytes::Bytes;

use super::{JobSpec, Output};
use crate::domain::{Failure, HangupCause, Reason};
use crate::esl::Outcome;

/// After which a retry makes sense when FreeSWITCH takes no more calls: its limits count seconds.
pub const LIMIT_RETRY: Duration = Duration::from_secs(1);

/// Reads a job's output: a result, or why FreeSWITCH refused.
///
/// # Errors
/// `-ERR` and `-USAGE`. An originate's `-ERR CAUSE` is the call's end, with its cause.
pub fn judge(spec: &JobSpec, raw: Bytes) -> Result<Output, Failure> {
    let meaning = Outcome::parse(&raw);
    let refusal = match &meaning {
        Outcome::Error(text) => text,
        Outcome::Usage(text) => text,
        Outcome::Ok(_) | Outcome::Data(_) | Outcome::NoReply => return Ok(Output { raw, meaning }),
    };
    let failure = match refusal.parse::<HangupCause>() {
        Ok(cause) if spec.command == "originate" => call_failure(cause),
        _ => Failure::new(
            Reason::CommandRejected,
            format!("FreeSWITCH refused {}: {refusal}", spec.command),
        ),
    };
    let failure = failure
        .reply(&String::from_utf8_lossy(&raw))
        .node(&spec.node)
        .job(&spec.id);
    Err(match &spec.session {
        Some(session) => failure.session(session),
        None => failure,
    })
}

/// Why a call did not come about. Causes that say that the endpoint can never be called as it is
/// written, or that FreeSWITCH is full, are told apart from those with which calls normally fail.
pub fn call_failure(cause: HangupCause) -> Failure {
    use HangupCause as C;
    let (reason, words) = match cause {
        C::InvalidGateway
        | C::GatewayDown
        | C::NoRouteDestination
        | C::NoRouteTransitNet
        | C::ChanNotImplemented
        | C::InvalidUrl
        | C::InvalidProfile
        | C::InvalidNumberFormat
        | C::DestinationOutOfOrder
        | C::ServiceNotImplemented
        | C::FacilityNotImplemented
        | C::IncompatibleDestination
        | C::MandatoryIeMissing => (Reason::EndpointUnusable, "the endpoint cannot be called"),
        C::SwitchCongestion => (Reason::NodeLimit, "FreeSWITCH takes no more calls"),
        _ => (Reason::CallFailed, "the call failed"),
    };
    let failure = Failure::new(reason, format!("{words}: {cause}")).cause(cause);
    match reason {
        Reason::NodeLimit => failure.retry_after(LIMIT_RETRY),
        _ => failure,
    }
}

#[cfg(test)]
mod tests;

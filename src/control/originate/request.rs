//! The call that is asked for: what is checked of it, and what it becomes on the wire.

use std::time::Duration;

use crate::domain::{Deadline, Failure, Identity, JobId, SessionId};
use crate::esl::quote::{Leg, LegStrategy, OriginateCommand, Target};
use crate::fleet::Selector;
use crate::telemetry;
use crate::tracker::Labels;

/// What a ringing leg is given beyond the caller's deadline, so that it is the gateway that ends
/// the attempt, not FreeSWITCH a moment earlier with another cause.
const RING_MARGIN: Duration = Duration::from_secs(1);
/// Lets failover go on to the next leg when one does not answer in time
/// (`switch_ivr_originate`); without it only a refusal does.
const FAILOVER: (&str, &str) = ("originate_continue_on_timeout", "true");
/// How long a far end may ring whose caller does not wait: FreeSWITCH's own default.
const DEFAULT_RING: Duration = Duration::from_secs(60);

/// Variable of a call with a `request_id`: which gateway's command it was that placed it.
const MARK: &str = "switchgate_mark";

/// When Originate returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OriginateWait {
    /// When a leg is answered.
    Answered,
    /// When a leg rings or has early media.
    Progress,
    /// When a leg exists.
    Started,
}

/// The ids of a call before there is one.
#[derive(Debug, Clone)]
pub struct CallIds {
    /// The job that places it.
    pub job: JobId,
    /// One for each endpoint.
    pub legs: Vec<SessionId>,
}

/// A call to place.
#[derive(Debug, Clone)]
pub struct Originate {
    /// Dial strings, one each.
    pub endpoints: Vec<String>,
    /// How several are tried.
    pub strategy: LegStrategy,
    /// Channel variables.
    pub variables: Vec<(String, String)>,
    /// Name that the called party sees.
    pub caller_id_name: Option<String>,
    /// Number that the called party sees.
    pub caller_id_number: Option<String>,
    /// Where an answered leg goes.
    pub target: Target,
    /// Who places the call.
    pub selector: Selector,
    /// When to return.
    pub wait: OriginateWait,
    /// Whether the call goes on without its caller.
    pub detach: bool,
    /// Labels of the session and the job.
    pub labels: Labels,
    /// What job and legs take their ids from; fresh ones without protection.
    pub identity: Identity,
    /// What they are.
    pub ids: CallIds,
    /// How long the far end may ring.
    pub ring_timeout: Option<Duration>,
}

// === impl CallIds ===

impl CallIds {
    /// Those of a call with so many endpoints: the same for each repeat.
    pub fn of(request: &Identity, endpoints: usize) -> Self {
        let leg = |at: usize| {
            let derived = request.derived(&format!("leg {at}"));
            derived.map_or_else(SessionId::generate, SessionId::from)
        };
        let job = request.derived("job");
        Self {
            job: job.map_or_else(JobId::generate, JobId::from),
            legs: (0..endpoints).map(leg).collect(),
        }
    }
}

/// Variables that have fields of their own, or are the gateway's.
const OWN_VARIABLES: [(&str, &str); 7] = [
    (MARK, "the gateway marks its own calls"),
    ("origination_uuid", "the gateway chooses the session id"),
    ("origination_caller_id_name", "use caller_id_name"),
    ("origination_caller_id_number", "use caller_id_number"),
    ("originate_timeout", "use ring_timeout"),
    ("ignore_early_media", "use wait_for"),
    ("originate_retries", "originate again instead"),
];

/// Whether the first answer that is seen may be that of a leg that loses.
pub(super) fn is_race(request: &Originate) -> bool {
    request.strategy == LegStrategy::Forked
        && request.endpoints.len() > 1
        && request.wait == OriginateWait::Answered
}

pub(super) fn check(request: &Originate) -> Result<(), Failure> {
    if request.endpoints.is_empty() {
        return Err(Failure::invalid(
            "endpoints",
            "is empty; give one dial string at least, such as user/1000",
        ));
    }
    for (name, _) in &request.variables {
        let own = OWN_VARIABLES
            .iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name));
        if let Some((_, remedy)) = own {
            return Err(Failure::invalid(
                format!("variables[{name:?}]"),
                format!("is not yours to set: {remedy}"),
            ));
        }
    }
    if request
        .ring_timeout
        .is_some_and(|ring| ring < Duration::from_secs(1))
    {
        return Err(Failure::invalid(
            "ring_timeout",
            "is shorter than 1 s, FreeSWITCH's smallest",
        ));
    }
    Ok(())
}

/// A call that outlives its RPC may ring as long as it likes, one that does not ends with it.
pub(super) fn ring_time(request: &Originate, deadline: Deadline) -> Duration {
    let outlives = request.detach || request.wait != OriginateWait::Answered;
    let most = match outlives {
        true => Duration::from_secs(3600),
        false => deadline.remaining() + RING_MARGIN,
    };
    match request.ring_timeout {
        Some(ring) => ring.min(most),
        None if outlives => DEFAULT_RING,
        None => most,
    }
}

pub(super) fn command(
    request: &Originate,
    legs: &[SessionId],
    ring: Duration,
    mark: Option<&str>,
) -> OriginateCommand {
    let leg = |(endpoint, session): (&String, &SessionId)| Leg {
        endpoint: endpoint.clone(),
        session: Some(session.clone()),
        variables: Vec::new(),
    };
    // Whole seconds, never less than asked for.
    let seconds = ring.as_secs() + u64::from(ring.subsec_nanos() > 0);
    let mut variables = request.variables.clone();
    let is_failover = request.strategy == LegStrategy::Failover && legs.len() > 1;
    if is_failover && !variables.iter().any(|(name, _)| name == FAILOVER.0) {
        variables.push((FAILOVER.0.to_owned(), FAILOVER.1.to_owned()));
    }
    variables.extend(mark.map(|mark| (MARK.to_owned(), mark.to_owned())));
    OriginateCommand {
        legs: request.endpoints.iter().zip(legs).map(leg).collect(),
        strategy: request.strategy,
        variables,
        caller_id_name: request.caller_id_name.clone(),
        caller_id_number: request.caller_id_number.clone(),
        timeout_seconds: Some(u32::try_from(seconds).unwrap_or(u32::MAX)),
        // Early media is progress; only an answer is an answer.
        ignore_early_media: true,
        target: request.target.clone(),
    }
}

/// Lets whoever reads the call's records find its trace. What the client sets itself stays.
pub(super) fn add_trace(variables: &mut Vec<(String, String)>, names: &[String]) {
    if names.is_empty() {
        return;
    }
    let Some(traceparent) = telemetry::traceparent() else {
        return;
    };
    for name in names {
        // FreeSWITCH does not tell names apart by their case.
        let is_set = |(known, _): &(String, String)| known.eq_ignore_ascii_case(name);
        if !variables.iter().any(is_set) {
            variables.push((name.clone(), traceparent.clone()));
        }
    }
}

#[cfg(test)]
mod tests;

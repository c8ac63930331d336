//! Placing a call.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select_all;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::effect::{AFTERMATH, wait_span};
use super::{Control, Seen};
use crate::chance;
use crate::domain::{Deadline, Failure, HangupCause, JobId, Reason, SessionId};
use crate::esl::Outcome;
use crate::esl::quote::{ApiCommand, LegStrategy, Target};
use crate::fleet::Node;
use crate::jobs::{JobSpec, LIMIT_RETRY};
use crate::tracker::{Watch, WatchLost};

mod request;

pub use request::{CallIds, Originate, OriginateWait};
use request::{add_trace, check, command, is_race, ring_time};

/// What the job is given beyond all ringing: FreeSWITCH counts whole seconds for each leg, and its
/// own end tells more than the job's time-out.
const JOB_MARGIN: Duration = Duration::from_secs(10);
/// How long the events of a call may take whose result has come.
pub(super) const EVENT_PATIENCE: Duration = Duration::from_secs(5);
/// After which a client may ask another gateway for a call that this one left.
const HANDOVER_RETRY: Duration = Duration::from_millis(100);
/// Why a call is hung up whose caller does not wait.
const ABANDONED: &str = "the client cancelled, its deadline passed, or the gateway was stopped";

/// A call that was placed.
#[derive(Debug, Clone)]
pub struct Originated {
    /// The leg when the condition was seen.
    pub seen: Seen,
    /// The job that places it.
    pub job: JobId,
}

/// A call that was checked and placed, but not started.
struct Plan {
    node: Arc<Node>,
    /// Absent for a repeat: its job is there already.
    start: Option<Start>,
}

/// How the job of a call is started.
struct Start {
    ring: Duration,
    api: ApiCommand,
    mark: Option<String>,
    /// Another gateway has placed it already.
    is_elsewhere: bool,
}

/// Cancels the job when its caller leaves.
struct CancelOnDrop {
    control: Control,
    job: JobId,
    armed: bool,
}

// === impl Control ===

impl Control {
    /// `bgapi originate`; proof: the job's result, and what `wait` says in the leg's events. A
    /// repeat follows the job of the first call, and leaves it to itself.
    ///
    /// # Errors
    /// CALL_FAILED, ENDPOINT_UNUSABLE and NODE_LIMIT with the cause; DEADLINE_EXCEEDED and
    /// SHUTTING_DOWN with `session_id` and `job_id`, the latter to be asked for again where there is a
    /// `request_id`; CANCELLED when `left` says that nobody waits any more.
    pub async fn originate(
        &self,
        request: &Originate,
        deadline: Deadline,
        left: &CancellationToken,
    ) -> Result<Originated, Failure> {
        let plan = self.plan(request, deadline).await?;
        let (node, CallIds { job, legs }) = (Arc::clone(&plan.node), &request.ids);
        let is_first = plan.start.is_some();
        let mut watches: Vec<_> = legs
            .iter()
            .map(|leg| self.watch_leg(&node, leg, request.wait))
            .collect();
        self.carry_out(plan, request)?;
        let mut guard = CancelOnDrop::new(self, job, is_first && !request.detach);

        let seen = select_all(watches.iter_mut().map(|watch| Box::pin(watch.seen())));
        let outcome = async {
            tokio::select! {
                biased;
                (seen, _, _) = seen => seen.map_err(|lost| self.unseen(job, &lost)),
                result = self.without_events(job) => result,
                () = tokio::time::sleep_until(deadline.instant()) => Err(self.out_of_time(job, request.detach || !is_first)),
                () = left.cancelled(), if !request.detach => Err(Failure::new(Reason::Cancelled, ABANDONED)),
                () = self.cut.cancelled() => Err(self.shut_down(job, request, is_first)),
            }
        };
        let result = outcome.instrument(wait_span("originate", node.id())).await;
        let result = match result {
            Ok(seen) if is_race(request) => Ok(self.winner(job, seen).await),
            result => result,
        };
        // Without a caller, or past its deadline, the guard ends the call; with any other answer
        // the caller knows how things stand. Whoever can ask again under the same request_id has not
        // left: the gateway has.
        guard.armed &= result
            .as_ref()
            .is_err_and(|failure| match failure.reason() {
                Reason::DeadlineExceeded | Reason::Cancelled => true,
                Reason::ShuttingDown => !is_shared(request),
                _ => false,
            });
        match result {
            Ok(seen) => Ok(Originated {
                seen,
                job: job.clone(),
            }),
            Err(failure) => {
                let failure = self.explain(failure, legs);
                Err(about(failure.job(job).node(node.id()), legs.first()))
            }
        }
    }

    /// Checks a call and chooses its node and ids. Nothing is sent yet.
    async fn plan(&self, request: &Originate, deadline: Deadline) -> Result<Plan, Failure> {
        check(request)?;
        if let Some(node) = &request.selector.node {
            self.node(node)?;
        }
        let CallIds { job, legs } = &request.ids;
        if let Some(job) = self.jobs.repeated(job, &request.identity)? {
            let node = self.fleet.node(&job.spec.node)?;
            return Ok(Plan { node, start: None });
        }
        let placed = self.placed_elsewhere(job, legs);
        let node = match &placed {
            Some(node) => Arc::clone(node),
            None => {
                let at_once = match request.strategy {
                    LegStrategy::Forked => &legs[..],
                    LegStrategy::Failover => legs.get(..1).unwrap_or_default(),
                };
                self.fleet
                    .place(&self.within_view(&request.selector), at_once)?
            }
        };
        self.check_rights(&node, request)
            .inspect_err(|_| node.gives_up(legs))?;
        if let Target::Application { name, .. } = &request.target {
            self.check_application(&node, name, "application.name", deadline)
                .await
                .inspect_err(|_| node.gives_up(legs))?;
        }
        let ring = ring_time(request, deadline);
        let mark = is_shared(request).then(|| chance::uuid().to_string());
        let mut command = command(request, legs, ring, mark.as_deref());
        add_trace(&mut command.variables, &self.trace_variables);
        let own = self.tenants_variable().into_iter();
        command
            .variables
            .extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let api = match self.caller.may_expand(node.id()) {
            true => command.to_expanding_api(),
            false => command.to_api(),
        };
        let api = api
            .map_err(|refused| Failure::invalid(&refused.field, refused.reason.to_string()))
            .inspect_err(|_| node.gives_up(legs))?;
        let start = Start {
            ring,
            api,
            mark,
            is_elsewhere: placed.is_some(),
        };
        Ok(Plan {
            node,
            start: Some(start),
        })
    }

    /// That the caller may place such a call there.
    fn check_rights(&self, node: &Node, request: &Originate) -> Result<(), Failure> {
        let node = node.id();
        for (name, value) in &request.variables {
            self.check_mentions(value)?;
            self.caller.may_set(node, name, value)?;
        }
        for endpoint in &request.endpoints {
            self.check_mentions(endpoint)?;
            self.caller.may_dial(node, endpoint)?;
        }
        match &request.target {
            Target::Application { name, arguments } => {
                self.check_mentions(arguments)?;
                self.caller.may_execute(node, name, arguments)
            }
            Target::Extension { dialplan, .. } => self.caller.may_route(node, dialplan),
        }
    }

    /// The node on which another gateway has placed a call under the same `request_id`, by what its
    /// legs have told. FreeSWITCH itself refuses a second leg only while the first one lives.
    fn placed_elsewhere(&self, job: &JobId, legs: &[SessionId]) -> Option<Arc<Node>> {
        // Of a job of this gateway's own nothing came, or it may not be repeated.
        if self.jobs.get(job).is_ok() {
            return None;
        }
        let leg = legs.iter().find_map(|leg| self.tracker.session(leg))?;
        self.fleet.node(&leg.node).ok()
    }

    /// Starts the job of a planned call. Whoever wants to see its legs watches them before.
    fn carry_out(&self, plan: Plan, request: &Originate) -> Result<(), Failure> {
        let Plan { node, start } = plan;
        let Some(start) = start else {
            return Ok(());
        };
        let Start {
            ring,
            api,
            mark,
            is_elsewhere,
        } = start;
        let CallIds { job, legs } = request.ids.clone();
        let labels = Arc::clone(&request.labels);
        let spec = JobSpec {
            id: job,
            command: "originate".to_owned(),
            arguments: api.arguments().to_owned(),
            node: node.id().clone(),
            session: legs.first().cloned(),
            labels: Arc::clone(&request.labels),
            // Failover tries one leg after the other, each for as long as it may ring.
            timeout: ring * u32::try_from(legs.len()).unwrap_or(1) + JOB_MARGIN,
            mark,
            request: request.identity.clone(),
        };
        let started = node.check_hears().and_then(|()| match is_elsewhere {
            true => self.follow(&node, spec, legs, labels),
            false => self.launch(&node, spec, &api, legs, labels),
        });
        started
            .map(drop)
            .inspect_err(|_| node.gives_up(&request.ids.legs))
    }

    fn watch_leg(&self, node: &Node, leg: &SessionId, wait: OriginateWait) -> Watch<Seen> {
        let witness = self.witness();
        self.tracker.watch(node.id(), leg, move |sight| {
            let session = sight.session;
            let is_seen = match wait {
                // A leg that FreeSWITCH has not yet sent on its way drops what it is told to do.
                OriginateWait::Answered => {
                    session.answered && (session.is_under_way() || !session.is_live())
                }
                OriginateWait::Progress => session.answered || session.times.progress.is_some(),
                OriginateWait::Started => true,
            };
            is_seen.then(|| witness(session))
        })
    }

    /// Why the call did not come about. Of one that did, the leg's own events tell, which come at
    /// about the same time; where they do not, what is known of the leg has to do.
    async fn without_events(&self, job: &JobId) -> Result<Seen, Failure> {
        let winner = match &self.jobs.ended(job).await?.outcome {
            Some(Err(failure)) => return Err(failure.clone()),
            Some(Ok(output)) => winner_of(&output.meaning),
            None => None,
        };
        tokio::time::sleep(EVENT_PATIENCE).await;
        let seen = winner.and_then(|winner| self.look(&winner).ok());
        seen.filter(|seen| seen.session.answered)
            .ok_or_else(events_lost)
    }

    /// Of legs that are answered at the same moment FreeSWITCH keeps one; the result names it.
    async fn winner(&self, job: &JobId, seen: Seen) -> Seen {
        let ended = Deadline::after(AFTERMATH).bound(self.jobs.ended(job)).await;
        let Some(Ok(job)) = ended else { return seen };
        match &job.outcome {
            Some(Ok(output)) => winner_of(&output.meaning)
                .filter(|winner| *winner != seen.session.id)
                .and_then(|winner| self.look(&winner).ok())
                .unwrap_or(seen),
            _ => seen,
        }
    }

    /// What the legs tell of a failure beyond its cause: the far end's own SIP status, where one
    /// leg was called, and whether there was a leg at all. Without one, FreeSWITCH's
    /// DESTINATION_OUT_OF_ORDER means that its limits allow no more sessions
    /// (`switch_core_session_request_uuid` in `switch_core_session.c`); with one, that its id is
    /// taken.
    fn explain(&self, failure: Failure, legs: &[SessionId]) -> Failure {
        let cause = failure.metadata().get("hangup_cause").map(String::as_str);
        let seen = || legs.iter().filter_map(|leg| self.tracker.session(leg));
        if cause == Some(HangupCause::DestinationOutOfOrder.name()) && seen().next().is_none() {
            return node_is_full(&failure);
        }
        let told = match legs {
            [leg] if cause.is_some() => self.tracker.session(leg),
            _ => None,
        };
        match told.and_then(|session| session.hangup?.sip_code) {
            Some(code) => failure.with("sip_code", code),
            None => failure,
        }
    }

    /// The job was registered, so its command is on its way if it has not been written yet.
    fn out_of_time(&self, job: &JobId, detach: bool) -> Failure {
        let end = self.end_of_wait(job, detach);
        let message = format!("the deadline passed; the call {end}");
        Failure::new(Reason::DeadlineExceeded, message).with("command_sent", true)
    }

    fn shut_down(&self, job: &JobId, request: &Originate, is_first: bool) -> Failure {
        let failure = match is_shared(request) {
            true => {
                let message = "the gateway or this connection ends; the call goes on: ask again with the \
                               same request_id, another replica may answer";
                Failure::new(Reason::ShuttingDown, message).retry_after(HANDOVER_RETRY)
            }
            false => {
                let end = self.end_of_wait(job, request.detach || !is_first);
                let message = format!("the gateway or this connection ends; the call {end}");
                Failure::new(Reason::ShuttingDown, message)
            }
        };
        failure.with("command_sent", true)
    }

    /// What becomes of a call for which its caller waits no longer.
    fn end_of_wait(&self, job: &JobId, detach: bool) -> &'static str {
        match detach || self.jobs.get(job).is_ok_and(|job| job.is_elsewhere) {
            true => "goes on",
            false => "is hung up with ORIGINATOR_CANCEL",
        }
    }

    fn unseen(&self, job: &JobId, lost: &WatchLost) -> Failure {
        let message = format!("the call cannot be seen: {lost}; look at job {job} later");
        Failure::new(Reason::OutcomeUnknown, message)
    }
}

// === impl CancelOnDrop ===

impl CancelOnDrop {
    fn new(control: &Control, job: &JobId, armed: bool) -> Self {
        Self {
            control: control.clone(),
            job: job.clone(),
            armed,
        }
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if self.armed {
            // A job that has ended needs no cancellation.
            let _ = self.control.jobs.cancel(&self.job, ABANDONED);
        }
    }
}

/// Whether another gateway can go on with the call: a `request_id` gives it the same ids there.
fn is_shared(request: &Originate) -> bool {
    !request.identity.id.is_empty()
}

fn events_lost() -> Failure {
    let message = "the call came about, but its events were lost; look at the session";
    Failure::new(Reason::OutcomeUnknown, message)
}

/// `+OK` and the id of the leg.
fn winner_of(result: &Outcome) -> Option<SessionId> {
    match result {
        Outcome::Ok(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// FreeSWITCH has refused a leg that does not exist.
pub(super) fn node_is_full(failure: &Failure) -> Failure {
    let message = "FreeSWITCH takes no more calls: its limit of sessions, or of new ones per second, is reached";
    let full = Failure::new(Reason::NodeLimit, message)
        .cause(HangupCause::DestinationOutOfOrder)
        .retry_after(LIMIT_RETRY);
    match failure.metadata().get("freeswitch_reply") {
        Some(reply) => full.reply(reply),
        None => full,
    }
}

fn about(failure: Failure, leg: Option<&SessionId>) -> Failure {
    match leg {
        Some(leg) if !failure.metadata().contains_key("session_id") => failure.session(leg),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_names_the_leg_that_won() {
        let winner = |result: &[u8]| winner_of(&Outcome::parse(result));
        assert_eq!(winner(b"+OK x-1\n"), "x-1".parse().ok());
        assert_eq!(winner(b"-ERR NO_ANSWER\n"), None);
    }
}

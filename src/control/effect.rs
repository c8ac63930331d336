//! Sending a command and waiting until its effect is seen.

use std::time::Duration;

use tracing::{Instrument as _, Span, info_span};

use super::{Control, accepted, ended};
use crate::domain::{Deadline, Failure, NodeId, Reason, SessionId};
use crate::esl::Command;
use crate::fleet::Node;
use crate::telemetry::SPANS;
use crate::tracker::{Session, Sighting, Watch};

/// A command whose reply was lost with its link may still have worked: so long is waited for its
/// effect, which would come over the event link.
pub(super) const AFTERMATH: Duration = Duration::from_millis(500);

/// A wait for an effect: what was seen, or why it will never be.
pub(super) type EffectWatch<T> = Watch<Result<T, Failure>>;

// === impl Control ===

impl Control {
    /// Watches a session for an effect; the end of the session ends the watch too, unless `seen`
    /// takes it for the effect.
    pub(super) fn watch_effect<T: Send + 'static>(
        &self,
        node: &Node,
        id: &SessionId,
        mut seen: impl FnMut(&Sighting<'_>) -> Option<T> + Send + 'static,
    ) -> EffectWatch<T> {
        self.tracker
            .watch(node.id(), id, move |sighting| match seen(sighting) {
                Some(effect) => Some(Ok(effect)),
                None if sighting.session.is_live() => None,
                None => Some(Err(ended(sighting.session))),
            })
    }

    /// Sends a command about a session and waits for the effect.
    pub(super) async fn effect<T: Send + 'static>(
        &self,
        node: &Node,
        session: &Session,
        what: &str,
        command: Command,
        mut watch: EffectWatch<T>,
        deadline: Deadline,
    ) -> Result<T, Failure> {
        node.check_hears()
            .map_err(|failure| failure.session(&session.id))?;
        let reply = match node.send(command, Some(&session.id), deadline).await {
            Ok(reply) => reply,
            Err(failure) if failure.reason() == Reason::OutcomeUnknown => {
                let soon = deadline.min(Deadline::after(AFTERMATH));
                return match soon.bound(watch.seen()).await {
                    Some(Ok(effect)) => effect,
                    _ => Err(failure),
                };
            }
            Err(failure) => return Err(failure),
        };
        if let Err(refusal) = accepted(&reply, what, session) {
            return Err(self.explained(node, session, refusal, deadline).await);
        }
        // The effect's event may be waiting by now.
        node.expect_event();
        await_effect(node, session, what, watch, deadline).await
    }
}

/// Waits for the effect of a command that FreeSWITCH has accepted.
pub(super) async fn await_effect<T: Send + 'static>(
    node: &Node,
    session: &Session,
    what: &str,
    mut watch: EffectWatch<T>,
    deadline: Deadline,
) -> Result<T, Failure> {
    let seen = deadline.bound(watch.seen());
    match seen.instrument(wait_span(what, node.id())).await {
        Some(Ok(effect)) => effect,
        Some(Err(lost)) => {
            let message = format!("{what} was accepted, but its effect cannot be seen: {lost}");
            Err(Failure::new(Reason::OutcomeUnknown, message)
                .session(&session.id)
                .node(node.id()))
        }
        None => {
            let message =
                format!("{what} was accepted, but the deadline passed before its effect was seen");
            Err(Failure::new(Reason::DeadlineExceeded, message)
                .session(&session.id)
                .node(node.id())
                .with("command_sent", true))
        }
    }
}

/// The wait for the event that proves a command's effect.
pub(super) fn wait_span(what: &str, node: &NodeId) -> Span {
    info_span!(
        target: SPANS,
        "wait for the effect",
        switchgate.command = what,
        switchgate.node.id = %node,
    )
}

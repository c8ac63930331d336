//! Sessions as asking FreeSWITCH for them (`uuid_dump`) shows them, and what that corrects.

use std::sync::Arc;

use super::session::{Application, Session};
use super::told::Told;
use super::{CallVariable, Tracker};
use crate::domain::{CallState, ChannelState, HangupCause, NodeId, SessionId};
use crate::esl::Event;

/// Something that FreeSWITCH would have told by an event of its own, had it been heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The far end rings.
    Rings,
    /// Early media began.
    EarlyMedia,
    /// Answered.
    Answered,
    /// Parked.
    Parked,
    /// No longer parked.
    Unparked,
    /// No longer bridged with this leg.
    Unbridged(SessionId),
    /// Bridged with this leg.
    Bridged(SessionId),
    /// On hold.
    Held,
    /// No longer on hold.
    Unheld,
    /// Hung up, though the channel is still there.
    HungUp,
}

/// A session that was found or corrected.
#[derive(Debug)]
pub struct Correction {
    /// The session as it is now.
    pub session: Arc<Session>,
    /// What became of it, in the order in which FreeSWITCH would have told; may be empty where
    /// something without an event of its own changed.
    pub changes: Vec<Change>,
    /// The leg that is no longer bridged because this one has ended.
    pub parted: Option<Arc<Session>>,
}

/// What an answer did to a tracked session.
#[derive(Debug)]
pub enum Refreshed {
    /// Nothing: it was tracked as it is, or is not tracked as living on that node.
    Same,
    /// Nothing: the session has told more of itself since.
    Outdated,
    /// It was corrected.
    Corrected(Correction),
}

// === impl Tracker ===

impl Tracker {
    /// Takes in a session that was found by asking, unless its own events have told of it
    /// meanwhile: they are newer than any answer. Nobody is told yet.
    pub fn adopt(&self, node: &NodeId, dump: &Event) -> Option<Correction> {
        let session = self.take_in(node, dump, true)?.session;
        let blank = Session::begin(session.id.clone(), node, dump)?;
        let session = self.update(&session.id, |session| session.complete(&blank, dump))?;
        Some(Correction {
            changes: session.changes_since(&blank),
            session,
            parted: None,
        })
    }

    /// Whether asking for a session shows it otherwise than it is tracked.
    pub fn differs(&self, node: &NodeId, dump: &Event) -> bool {
        let known = id_of(dump).and_then(|id| self.session(&id));
        known.is_some_and(|known| {
            lives_on(&known, node) && known.as_found(dump, &self.variable).differs_from(&known)
        })
    }

    /// Brings a session up to date with what asking for it showed, unless it has told more of
    /// itself since. Nobody is told yet.
    pub fn refresh(&self, node: &NodeId, dump: &Event) -> Refreshed {
        let Some(id) = id_of(dump) else {
            return Refreshed::Same;
        };
        let (before, after, moves) = {
            let mut shard = self.shard(id.as_str());
            let Some(known) = shard.sessions.get_mut(id.as_str()) else {
                return Refreshed::Same;
            };
            if !lives_on(known, node) {
                return Refreshed::Same;
            }
            if known.last_event > dump.number("Event-Date-Timestamp") {
                return Refreshed::Outdated;
            }
            let mut after = known.as_found(dump, &self.variable);
            if !after.differs_from(known) {
                return Refreshed::Same;
            }
            let moves = self.settle(&mut after);
            if !after.is_live() {
                self.rest(&id);
                self.live.ended(node);
            }
            let after = Arc::new(after);
            (std::mem::replace(known, Arc::clone(&after)), after, moves)
        };
        self.follow(moves);
        // A living partner speaks for itself: it is asked for too.
        let parted = before.peer.as_ref().filter(|_| !after.is_live());
        Refreshed::Corrected(Correction {
            changes: after.changes_since(&before),
            parted: parted.and_then(|peer| self.part(&id, peer)),
            session: after,
        })
    }

    /// Ends a session that the node no longer has, without its word for it, if it lived there
    /// until now. Nobody is told yet.
    pub fn end_synthetic(
        &self,
        node: &NodeId,
        id: &SessionId,
        cause: Option<HangupCause>,
    ) -> Option<Correction> {
        let session = {
            let mut shard = self.shard(id.as_str());
            let session = shard
                .sessions
                .get_mut(id.as_str())
                .filter(|session| lives_on(session, node))?;
            Arc::make_mut(session).end_synthetic(cause);
            self.rest(id);
            self.live.ended(node);
            Arc::clone(session)
        };
        let parted = session.peer.as_ref().and_then(|peer| self.part(id, peer));
        Some(Correction {
            session,
            changes: vec![Change::HungUp],
            parted,
        })
    }

    /// Tells those who watch a session that it was corrected; `event` is how the journal tells it.
    pub fn show(&self, session: &Arc<Session>, event: &Event) {
        self.shard(session.id.as_str())
            .sighted(session, Some(event));
        self.call_changed(&session.call);
    }
}

// === impl Session ===

impl Session {
    /// This session as an answer shows it.
    fn as_found(&self, dump: &Event, variable: &CallVariable) -> Self {
        let mut found = self.clone();
        found.apply(dump, &Told::read(dump.headers(), variable), variable);
        found.complete(self, dump);
        found
    }

    /// Adds what no event but an answer tells in this way, after it was applied.
    fn complete(&mut self, before: &Self, dump: &Event) {
        if !self.is_live() {
            return;
        }
        let application = dump.filled("variable_current_application");
        self.parked = match self.state {
            ChannelState::Park => true,
            // The variable keeps the name of what was executed on the parked leg meanwhile; only
            // when it is routed anew is it certain to have left.
            ChannelState::Execute => {
                application.as_deref() == Some("park")
                    || (before.parked && before.destination == self.destination)
            }
            _ => false,
        };
        // Set on both legs for as long as they are bridged (`audio_bridge_thread`,
        // `switch_ivr_multi_threaded_bridge` and `signal_bridge_on_hangup` in
        // `switch_ivr_bridge.c`).
        self.peer = dump
            .filled("variable_bridge_to")
            .and_then(|peer| peer.parse().ok());
        // What executes by another way than the dial plan, such as a bridge by `uuid_bridge`, is in
        // events alone: a dump fills in only what was never told.
        if let Some(name) = application
            && self.application.is_none()
        {
            let arguments = dump.filled("variable_current_application_data");
            self.application = Some(Application {
                name: name.into_owned(),
                arguments: arguments.unwrap_or_default().into_owned(),
            });
        }
    }

    /// Whether anything is other than before that a client would want to know. Times are left out:
    /// events and answers round them differently.
    fn differs_from(&self, before: &Self) -> bool {
        let shown = |session: &Self| {
            (
                (session.state, session.call_state, session.is_live()),
                (session.answered, session.parked),
                session.times.progress.is_some(),
            )
        };
        shown(self) != shown(before)
            || self.peer != before.peer
            || self.claim.name() != before.claim.name()
            || self.caller != before.caller
            || self.callee != before.callee
            || self.destination != before.destination
            || self.channel_name != before.channel_name
    }

    fn changes_since(&self, before: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        // An answer needs no ringing before it.
        let has_begun = self.times.progress.is_some() && before.times.progress.is_none();
        if has_begun && self.answered == before.answered {
            changes.push(match self.call_state {
                CallState::Early => Change::EarlyMedia,
                _ => Change::Rings,
            });
        }
        if self.answered && !before.answered {
            changes.push(Change::Answered);
        }
        match (before.parked, self.parked) {
            (false, true) => changes.push(Change::Parked),
            (true, false) => changes.push(Change::Unparked),
            _ => {}
        }
        if self.peer != before.peer {
            changes.extend(before.peer.clone().map(Change::Unbridged));
            changes.extend(self.peer.clone().map(Change::Bridged));
        }
        let is_held = |session: &Self| session.call_state == CallState::Held;
        match (is_held(before), is_held(self)) {
            (false, true) => changes.push(Change::Held),
            (true, false) if self.is_live() => changes.push(Change::Unheld),
            _ => {}
        }
        if !self.is_live() && before.is_live() {
            changes.push(Change::HungUp);
        }
        changes
    }
}

fn lives_on(session: &Session, node: &NodeId) -> bool {
    session.node == *node && session.is_live()
}

fn id_of(dump: &Event) -> Option<SessionId> {
    dump.text("Unique-ID")?.parse().ok()
}

//! Which sessions belong to which call.

use std::collections::HashMap;
use std::time::SystemTime;

use crate::domain::{CallId, SessionId};

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Members of each call in the order in which they joined, and who goes along with whom. A call is
/// here as long as one of its sessions is; each session is in exactly one.
#[derive(Debug, Default)]
pub(super) struct CallIndex {
    calls: Map<CallId, Members>,
    homes: Map<SessionId, Home>,
    /// Live sessions by the name that they claim, as far as it may be a session's.
    followers: Map<CallId, Vec<SessionId>>,
}

/// The sessions of one call.
#[derive(Debug, Clone, Default)]
pub(super) struct Members {
    /// For the order of lists: the age of the session with which the call began, for good.
    pub(super) age: u64,
    /// In the order in which they joined.
    pub(super) sessions: Vec<SessionId>,
    /// The first one, when it was forgotten before the call.
    pub(super) first: Option<(SessionId, Option<SystemTime>)>,
}

#[derive(Debug)]
struct Home {
    call: CallId,
    claim: Option<CallId>,
}

/// A session is in another call now.
#[derive(Debug)]
pub(super) struct Move {
    pub(super) session: SessionId,
    /// Absent for a session that is new.
    pub(super) from: Option<CallId>,
    pub(super) to: CallId,
}

// === impl CallIndex ===

impl CallIndex {
    /// Puts a session into the call that it claims, or one of its own, and those that follow it
    /// too. `age` is its own. Gives back who is in another call now, itself first.
    pub(super) fn settle(
        &mut self,
        session: &SessionId,
        age: u64,
        claim: Option<&CallId>,
    ) -> Vec<Move> {
        let claimed_before = self
            .homes
            .get(session.as_str())
            .and_then(|home| home.claim.clone());
        if claimed_before.as_ref() != claim {
            self.unfollow(session, claimed_before.as_ref());
            if let Some(name) = claim {
                let followers = self.followers.entry(name.clone()).or_default();
                followers.push(session.clone());
            }
        }
        let leader = claim.and_then(|name| self.homes.get(name.as_str()));
        let call = match (leader, claim) {
            (Some(leader), _) => leader.call.clone(),
            (None, Some(name)) => name.clone(),
            (None, None) => match session.as_str().parse() {
                Ok(call) => call,
                // Both ids obey the same rule.
                Err(_) => return Vec::new(),
            },
        };
        let mut moves = Vec::new();
        self.enter(session, age, claim.cloned(), &call, &mut moves);
        let mut at = 0;
        while let Some(leader) = moves.get(at).map(|moved| moved.session.clone()) {
            at += 1;
            let followers = self.followers.get(leader.as_str());
            for follower in followers.cloned().unwrap_or_default() {
                let claim = self
                    .homes
                    .get(follower.as_str())
                    .and_then(|home| home.claim.clone());
                self.enter(&follower, age, claim, &call, &mut moves);
            }
        }
        moves
    }

    /// A session has ended: it stays where it is, whatever those do whom it followed.
    pub(super) fn rest(&mut self, session: &SessionId) {
        let home = self.homes.get_mut(session.as_str());
        let claim = home.and_then(|home| home.claim.take());
        self.unfollow(session, claim.as_ref());
    }

    /// Forgets a session that has ended. `created` is when it was made.
    pub(super) fn remove(&mut self, session: &SessionId, created: Option<SystemTime>) {
        let Some(home) = self.homes.remove(session.as_str()) else {
            return;
        };
        self.unfollow(session, home.claim.as_ref());
        self.leave(&home.call, session, Some(created));
    }

    pub(super) fn members(&self, call: &CallId) -> Option<Members> {
        self.calls.get(call.as_str()).cloned()
    }

    /// The call of a session.
    pub(super) fn home(&self, session: &SessionId) -> Option<&CallId> {
        self.homes.get(session.as_str()).map(|home| &home.call)
    }

    pub(super) fn all(&self) -> Vec<(CallId, Members)> {
        let calls = self.calls.iter();
        calls
            .map(|(id, members)| (id.clone(), members.clone()))
            .collect()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn ids(&self) -> Vec<CallId> {
        self.calls.keys().cloned().collect()
    }

    fn enter(
        &mut self,
        session: &SessionId,
        age: u64,
        claim: Option<CallId>,
        call: &CallId,
        moves: &mut Vec<Move>,
    ) {
        let home = Home {
            call: call.clone(),
            claim,
        };
        let before = self.homes.insert(session.clone(), home);
        let from = before.map(|home| home.call);
        if from.as_ref() == Some(call) {
            return;
        }
        if let Some(from) = &from {
            self.leave(from, session, None);
        }
        let members = self.calls.entry(call.clone()).or_insert_with(|| Members {
            age,
            ..Members::default()
        });
        members.sessions.push(session.clone());
        moves.push(Move {
            session: session.clone(),
            from,
            to: call.clone(),
        });
    }

    /// `forgotten` holds when it was made, if it is not in another call from now on.
    fn leave(&mut self, call: &CallId, session: &SessionId, forgotten: Option<Option<SystemTime>>) {
        let Some(members) = self.calls.get_mut(call.as_str()) else {
            return;
        };
        if let Some(created) = forgotten
            && members.first.is_none()
            && members.sessions.first() == Some(session)
        {
            members.first = Some((session.clone(), created));
        }
        members.sessions.retain(|member| member != session);
        if members.sessions.is_empty() {
            self.calls.remove(call.as_str());
        }
    }

    fn unfollow(&mut self, session: &SessionId, name: Option<&CallId>) {
        let Some(name) = name else { return };
        if let Some(followers) = self.followers.get_mut(name.as_str()) {
            followers.retain(|follower| follower != session);
            if followers.is_empty() {
                self.followers.remove(name.as_str());
            }
        }
    }
}

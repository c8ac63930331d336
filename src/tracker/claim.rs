//! To which call a leg says that it belongs.
//!
//! In this order: the tracking variable, `Channel-Call-UUID`, the leg that it was made for. A name
//! that is a session's id stands for the call of that session, whichever that is: so legs that
//! FreeSWITCH counts to a session (`call_uuid` of a bridged leg is its partner's id,
//! `switch_ivr_multi_threaded_bridge` in `switch_ivr_bridge.c`) go along with it.

use crate::domain::{CallId, Direction, SessionId};
use crate::esl::filled_value;

/// The variable in which FreeSWITCH itself says to which call a leg belongs; `Channel-Call-UUID` is
/// the same (`switch_channel_event_set_basic_data` in `switch_channel.c`).
pub(super) const FREESWITCH_CALL_VARIABLE: &str = "call_uuid";

/// Values of one event that are about its call, as they stand on the wire, as far as it has them.
#[derive(Debug, Default)]
pub(super) struct Heard<'a> {
    /// FreeSWITCH's time stamp of the event.
    pub(super) at: Option<u64>,
    /// Whether it is an answer to `uuid_dump`.
    pub(super) is_answer: bool,
    /// Whether the leg has ever been bridged.
    pub(super) was_bridged: bool,
    /// The tracking variable.
    pub(super) tracked: Option<&'a [u8]>,
    /// `Channel-Call-UUID`.
    pub(super) channel: Option<&'a [u8]>,
    /// The leg that called this one.
    pub(super) originator: Option<&'a [u8]>,
    /// The other half of a loopback channel.
    pub(super) other_half: Option<&'a [u8]>,
}

/// What a leg has said of its call so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Claim {
    /// A name other than its own id, which says nothing.
    said: Option<CallId>,
    /// The tracking variable said so, which is not FreeSWITCH's own and outweighs that.
    is_tracked: bool,
    /// The leg that it was made for.
    made_for: Option<CallId>,
    /// That is the other half of a loopback channel, to which it belongs as long as it lives.
    is_half: bool,
    /// Whether it has been bridged: FreeSWITCH says from then on to whom it belongs.
    was_bridged: bool,
    /// FreeSWITCH's time stamp of the answer (`uuid_dump`) taken in last. Events that were made
    /// before it know less.
    asked_at: u64,
}

// === impl Claim ===

impl Claim {
    /// The name of the call; `None` for a call of its own.
    pub(super) fn name(&self) -> Option<&CallId> {
        self.said.as_ref().or(self.made_for.as_ref())
    }

    /// Takes in what an event says; tells whether the name may be another one now.
    pub(super) fn hear(
        &mut self,
        own: &SessionId,
        direction: Option<Direction>,
        heard: &Heard<'_>,
        variable_is_freeswitchs: bool,
    ) -> bool {
        if !self.is_news(heard.at) {
            return false;
        }
        if heard.is_answer {
            self.asked_at = heard.at.unwrap_or(self.asked_at);
        }
        let is_new_origin = match heard.was_bridged {
            true => self.was_bridged(),
            false => self.learn_origin(own, direction, heard),
        };
        let source = match heard.tracked {
            Some(name) => {
                self.is_tracked |= !variable_is_freeswitchs;
                Some(name)
            }
            None if self.is_tracked => None,
            None => heard.channel,
        };
        let Some(name) = source else {
            return is_new_origin;
        };
        let known = match &self.said {
            Some(said) => said.as_str(),
            None => own.as_str(),
        };
        // An id has nothing that would be encoded.
        if name == known.as_bytes() {
            return is_new_origin;
        }
        let Some(name) = filled_value(name).filter(|name| *name != *known) else {
            return is_new_origin;
        };
        let is_own = *name == *own.as_str();
        match (is_own, name.parse()) {
            (true, _) => self.said = None,
            (false, Ok(name)) => self.said = Some(name),
            // What cannot be a call's id is no call.
            (false, Err(_)) => return is_new_origin,
        }
        true
    }

    /// The leg was bridged; `leader` is the partner to whose call FreeSWITCH counts it now, if it
    /// is not the one to whom the other is counted. Tells whether the name may be another one now.
    pub(super) fn bridged(&mut self, leader: Option<&SessionId>, at: Option<u64>) -> bool {
        let mut is_new = self.was_bridged();
        if self.is_tracked || !self.is_news(at) {
            return is_new;
        }
        let leader: Option<CallId> = leader.and_then(|leader| leader.as_str().parse().ok());
        if leader.is_some() && self.said != leader {
            self.said = leader;
            is_new = true;
        }
        is_new
    }

    /// Whether an event is no older than the answer that was taken in last.
    fn is_news(&self, at: Option<u64>) -> bool {
        at.is_none_or(|at| at >= self.asked_at)
    }

    /// FreeSWITCH says from now on to whom it belongs.
    fn was_bridged(&mut self) -> bool {
        self.was_bridged = true;
        !self.is_half && self.made_for.take().is_some()
    }

    /// Legs that ring tell who called them, and the inner half of a loopback channel which the
    /// outer one is (`channel_on_init` in `mod_loopback.c`; it alone is inbound).
    fn learn_origin(
        &mut self,
        own: &SessionId,
        direction: Option<Direction>,
        heard: &Heard<'_>,
    ) -> bool {
        if self.made_for.is_some() || self.was_bridged {
            return false;
        }
        let half = heard
            .other_half
            .filter(|_| direction == Some(Direction::Inbound));
        let origin = half.or(heard.originator);
        let origin = origin.and_then(filled_value);
        let origin = origin.filter(|id| **id != *own.as_str());
        self.made_for = origin.and_then(|id| id.parse().ok());
        self.is_half = half.is_some();
        self.made_for.is_some()
    }
}

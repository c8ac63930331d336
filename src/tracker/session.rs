//! A session: one leg, a FreeSWITCH channel, folded from its events.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::claim::{Claim, Heard};
use super::told::{Header, Told};
use super::{CallVariable, Labels};
use crate::access::Owners;
use crate::domain::{CallId, CallState, ChannelState, Direction, HangupCause, NodeId, SessionId};
use crate::esl::{Event, decimal, value_text};

mod header;
mod variables;

pub(super) use header::event_time;
use header::{
    set, set_time, sip_status, time_of, wire_call_state, wire_cause, wire_direction, wire_state,
};

/// One party of a leg.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Party {
    /// Display name; may be empty.
    pub name: String,
    /// Number or user; may be empty.
    pub number: String,
}

/// The application executed last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// Its name.
    pub name: String,
    /// Its arguments.
    pub arguments: String,
}

/// How a leg ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hangup {
    /// Why; absent when FreeSWITCH did not say.
    pub cause: Option<HangupCause>,
    /// The SIP status that the far end sent, if it sent one.
    pub sip_code: Option<u16>,
}

/// Moments of a leg's life, by FreeSWITCH's clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// The channel was made.
    pub created: Option<SystemTime>,
    /// The far end rang, or early media began.
    pub progress: Option<SystemTime>,
    /// The leg was answered.
    pub answered: Option<SystemTime>,
    /// The leg was bridged last.
    pub bridged: Option<SystemTime>,
    /// The leg was put on hold last.
    pub held: Option<SystemTime>,
    /// The leg was hung up.
    pub hung_up: Option<SystemTime>,
}

/// One leg at one moment.
#[derive(Debug, Clone)]
pub struct Session {
    /// UUID of the channel.
    pub id: SessionId,
    /// Where it lives.
    pub node: NodeId,
    /// The call to which it belongs.
    pub call: CallId,
    /// Who made it.
    pub direction: Option<Direction>,
    /// Where it is in FreeSWITCH's state machine.
    pub state: ChannelState,
    /// What it is from a caller's point of view.
    pub call_state: CallState,
    /// Whether it has ever been answered.
    pub answered: bool,
    /// Whether it is parked.
    pub parked: bool,
    /// The calling party.
    pub caller: Party,
    /// The called party.
    pub callee: Party,
    /// What was dialled.
    pub destination: String,
    /// Name of the channel.
    pub channel_name: String,
    /// Profile of the endpoint.
    pub profile: String,
    /// Moments of its life.
    pub times: Times,
    /// How it ended; absent while it lives.
    pub hangup: Option<Hangup>,
    /// The leg with which it is bridged.
    pub peer: Option<SessionId>,
    /// The application executed last.
    pub application: Option<Application>,
    /// Labels of its originate.
    pub labels: Labels,
    /// Whether its end was concluded, not told.
    pub synthetic_end: bool,
    /// The event with its final variables, once it has come.
    pub final_event: Option<Event>,
    /// Its age for the order of lists, in microseconds since 1970. Fixed by its first event: when it
    /// was made may be told later, and must not move it from one page to another.
    age: u64,
    /// The newest event with all of its variables. It shares its bytes with the journal while that
    /// holds it, and is some 8 KiB of the session's own after that.
    pub(super) variables: Option<Event>,
    /// FreeSWITCH's time stamp of that event.
    variables_at: Option<u64>,
    /// The tenants whose it is.
    pub owners: Owners,
    /// FreeSWITCH's time stamp of the event taken in last.
    pub(super) last_event: Option<u64>,
    /// When it ended, by our clock.
    pub(super) ended_at: Option<Instant>,
    /// What it has said of its call.
    pub(super) claim: Claim,
}

/// What an event means beside the session's own state.
#[derive(Debug)]
pub(super) struct Outcome {
    /// For its partner.
    pub(super) effect: Effect,
    /// Whether it may belong to another call now.
    pub(super) claims_anew: bool,
}

/// What an event means for the session's partner.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    None,
    Bridged(SessionId),
    Unbridged(SessionId),
}

// === impl Session ===

impl Session {
    /// A session of which nothing is known but that `event` is about it. `None` when that event
    /// does not say that the channel lives: the last words of one whose life was not seen.
    pub(super) fn begin(id: SessionId, node: &NodeId, event: &Event) -> Option<Self> {
        let state = event.headers().raw("Channel-State").and_then(wire_state)?;
        if state.is_down() || event.headers().raw("Event-Name") == Some(b"CHANNEL_DESTROY") {
            return None;
        }
        let made_at = ["Caller-Channel-Created-Time", "Event-Date-Timestamp"];
        let known = made_at.iter().filter_map(|header| event.number(header));
        Some(Self {
            age: known.into_iter().find(|micros| *micros > 0).unwrap_or(0),
            // A session is a call of its own until it is known to belong elsewhere. Its id is a
            // valid call id: both obey the same rule.
            call: id.as_str().parse().ok()?,
            id,
            node: node.clone(),
            direction: None,
            state: ChannelState::New,
            call_state: CallState::Down,
            answered: false,
            parked: false,
            caller: Party::default(),
            callee: Party::default(),
            destination: String::new(),
            channel_name: String::new(),
            profile: String::new(),
            times: Times::default(),
            hangup: None,
            peer: None,
            application: None,
            labels: Labels::default(),
            synthetic_end: false,
            final_event: None,
            variables: None,
            variables_at: None,
            owners: Owners::default(),
            last_event: None,
            ended_at: None,
            claim: Claim::default(),
        })
    }

    /// Whether `event`, which has the same id, is about a new life: it has ended, and the event is
    /// of another node, or the first one after an end that was only concluded. FreeSWITCH keeps the
    /// ids of the calls that it recovers (`sofia recover`), here or on another node.
    pub(super) fn gives_way_to(&self, node: &NodeId, event: &Event) -> bool {
        let is_first = || {
            let name = event.headers().raw("Event-Name");
            matches!(name, Some(b"CHANNEL_CREATE" | b"CHANNEL_DATA"))
        };
        !self.is_live() && (self.node != *node || (self.synthetic_end && is_first()))
    }

    /// Whether it has not been hung up.
    pub fn is_live(&self) -> bool {
        self.hangup.is_none()
    }

    /// Whether it has ended and its last event has come.
    pub fn is_over(&self) -> bool {
        !self.is_live() && (self.synthetic_end || self.state == ChannelState::Destroy)
    }

    /// Whether media can flow: answered, or early media.
    pub fn has_media(&self) -> bool {
        self.answered || self.call_state == CallState::Early
    }

    /// Whether it works on what it was made for: FreeSWITCH moves an answered leg on from the state
    /// in which it waited for the answer, and an application that was executed there is broken off
    /// (`switch_channel_test_ready` in `switch_channel.c`).
    pub fn is_under_way(&self) -> bool {
        use ChannelState as S;
        matches!(
            self.state,
            S::SoftExecute | S::Execute | S::ExchangeMedia | S::Park | S::Hibernate | S::Reset
        )
    }

    /// Whether its media flow past FreeSWITCH: it is bridged, and sleeps
    /// (`switch_ivr_signal_bridge` in `switch_ivr_bridge.c`).
    pub fn is_bypassed(&self) -> bool {
        self.state == ChannelState::Hibernate && self.peer.is_some()
    }

    /// How long it has lived, or lived until it was hung up.
    pub fn uptime(&self) -> Duration {
        let Some(created) = self.times.created else {
            return Duration::ZERO;
        };
        let until = self.times.hung_up.unwrap_or_else(SystemTime::now);
        until.duration_since(created).unwrap_or_default()
    }

    /// Sorts sessions by age, by id where the age is the same. Microseconds since 1970; never
    /// changes.
    pub fn order(&self) -> (u64, &str) {
        (self.age, self.id.as_str())
    }

    /// Takes in an event by what it tells.
    pub(super) fn apply(
        &mut self,
        event: &Event,
        told: &Told<'_>,
        variable: &CallVariable,
    ) -> Outcome {
        use Header as H;
        let name = told.get(H::EventName).unwrap_or_default();
        let at = told.get(H::EventTime).and_then(decimal);
        let time = at.and_then(time_of);
        // Most events say again what is known, which is sooner compared than read.
        if let Some(state) = told.get(H::State)
            && state != self.state.name().as_bytes()
        {
            self.advance(wire_state(state));
        }
        if let Some(state) = told.get(H::CallState)
            && state != self.call_state.name().as_bytes()
        {
            self.advance_call(wire_call_state(state));
        }
        self.answered |= told.get(H::AnswerState) == Some(b"answered");
        if let Some(direction) = told.get(H::Direction)
            && self.direction.map(Direction::name).map(str::as_bytes) != Some(direction)
        {
            self.direction = wire_direction(direction).or(self.direction);
        }
        set(&mut self.channel_name, told.get(H::ChannelName));
        set(&mut self.caller.name, told.get(H::CallerName));
        set(&mut self.caller.number, told.get(H::CallerNumber));
        set(&mut self.callee.name, told.get(H::CalleeName));
        set(&mut self.callee.number, told.get(H::CalleeNumber));
        set(&mut self.destination, told.get(H::Destination));
        set(&mut self.profile, told.get(H::Profile));
        set_time(&mut self.times.created, told.get(H::Created));
        if self.times.progress.is_none() {
            set_time(&mut self.times.progress, told.get(H::EarlyMedia));
            set_time(&mut self.times.progress, told.get(H::Progress));
        }
        set_time(&mut self.times.answered, told.get(H::Answered));
        set_time(&mut self.times.bridged, told.get(H::Bridged));
        set_time(&mut self.times.held, told.get(H::Held));
        set_time(&mut self.times.hung_up, told.get(H::HungUp));
        self.last_event = at.or(self.last_event);
        if told.get(H::IdVariable).is_some() {
            self.keep_variables(event, at, &variable.tenants);
        }
        let other_leg = told.get(H::OtherLeg).or(told.get(H::BridgedLeg));
        let is_called = told.get(H::OtherType) == Some(b"originator");
        let heard = Heard {
            at,
            is_answer: name == b"CHANNEL_DATA",
            was_bridged: self.times.bridged.is_some(),
            tracked: told.get(H::CallVariable),
            channel: told.get(H::ChannelCall),
            originator: told.get(H::Originator).or(other_leg.filter(|_| is_called)),
            other_half: told.get(H::OtherHalf),
        };
        // What a channel says of its call when it ends is about the channel alone: FreeSWITCH has
        // parted it from its partner by then.
        let is_ending = !self.is_live() || self.state.is_down() || name == b"CHANNEL_HANGUP";
        let mut claims_anew = !is_ending && self.hear(&heard, variable);
        let text = |value: Option<&[u8]>| value.map(|value| value_text(value).into_owned());
        let other_leg = || text(other_leg).and_then(|id| id.parse().ok());
        let end = |session: &mut Self| {
            let cause = told.get(H::HangupCause).and_then(wire_cause);
            let sip_code = told.get(H::SipStatus).and_then(sip_status);
            session.end(cause, sip_code, time);
        };
        match name {
            b"CHANNEL_PROGRESS" | b"CHANNEL_PROGRESS_MEDIA" => {
                self.times.progress = self.times.progress.or(time);
            }
            b"CHANNEL_ANSWER" => {
                // The event still shows the call state before; CHANNEL_CALLSTATE follows.
                self.answered = true;
                self.advance_call(Some(CallState::Active));
                self.times.answered = self.times.answered.or(time);
            }
            b"CHANNEL_PARK" => self.parked = self.is_live(),
            b"CHANNEL_UNPARK" => self.parked = false,
            b"CHANNEL_HOLD" => self.times.held = time.or(self.times.held),
            b"CHANNEL_EXECUTE" => {
                if let Some(name) = text(told.get(H::Application)) {
                    let arguments = text(told.get(H::ApplicationData)).unwrap_or_default();
                    self.application = Some(Application { name, arguments });
                }
            }
            b"CHANNEL_BRIDGE" => {
                if let Some(peer) = other_leg() {
                    claims_anew |= self.bridged_with(&peer, None, time, at);
                    return Outcome {
                        effect: Effect::Bridged(peer),
                        claims_anew,
                    };
                }
            }
            b"CHANNEL_UNBRIDGE" => {
                let told = other_leg().filter(|peer| *peer != self.id);
                // It can come when the leg is bridged to another one already.
                let is_other = self.peer.is_some() && told.is_some() && self.peer != told;
                if !is_other && let Some(peer) = self.peer.take().or(told) {
                    return Outcome {
                        effect: Effect::Unbridged(peer),
                        claims_anew,
                    };
                }
            }
            b"CHANNEL_HANGUP" => end(self),
            b"CHANNEL_HANGUP_COMPLETE" => {
                end(self);
                self.final_event = Some(event.clone());
            }
            b"CHANNEL_DESTROY" => {
                end(self);
                self.state = ChannelState::Destroy;
            }
            _ if self.state.is_down() => end(self),
            _ => {}
        }
        let effect = match self.peer.take_if(|_| self.hangup.is_some()) {
            Some(peer) => Effect::Unbridged(peer),
            None => Effect::None,
        };
        Outcome {
            effect,
            claims_anew,
        }
    }

    /// It was bridged; `leader` is its partner when FreeSWITCH counts it to the call of that one.
    /// Tells whether it may belong to another call now.
    pub(super) fn bridged_with(
        &mut self,
        peer: &SessionId,
        leader: Option<&SessionId>,
        time: Option<SystemTime>,
        at: Option<u64>,
    ) -> bool {
        if !self.is_live() {
            return false;
        }
        self.peer = Some(peer.clone());
        self.times.bridged = time.or(self.times.bridged);
        self.claim.bridged(leader, at)
    }

    fn hear(&mut self, heard: &Heard<'_>, variable: &CallVariable) -> bool {
        let is_freeswitchs = variable.is_freeswitchs;
        self.claim
            .hear(&self.id, self.direction, heard, is_freeswitchs)
    }

    /// Takes only what an answer to `uuid_dump` says of its call, unless an event has said more
    /// since. Tells whether it may belong to another call now.
    pub(super) fn hear_answer(&mut self, dump: &Event, variable: &CallVariable) -> bool {
        let at = dump.number("Event-Date-Timestamp");
        // Each event tells FreeSWITCH's own variable, but only some tell the others.
        if variable.is_freeswitchs && self.last_event > at {
            return false;
        }
        let heard = Heard {
            at,
            is_answer: true,
            tracked: dump.headers().raw(&variable.header),
            channel: dump.headers().raw("Channel-Call-UUID"),
            ..Heard::default()
        };
        self.hear(&heard, variable)
    }

    pub(super) fn end_synthetic(&mut self, cause: Option<HangupCause>) {
        self.end(cause, None, Some(SystemTime::now()));
        self.state = ChannelState::Destroy;
        self.synthetic_end = true;
    }

    /// An end is told several times; later tellings only add what was missing.
    fn end(&mut self, cause: Option<HangupCause>, sip_code: Option<u16>, at: Option<SystemTime>) {
        let known = self.hangup.get_or_insert(Hangup {
            cause: None,
            sip_code: None,
        });
        known.cause = known.cause.or(cause);
        known.sip_code = known.sip_code.or(sip_code);
        self.times.hung_up = self.times.hung_up.or(at);
        self.ended_at.get_or_insert_with(Instant::now);
        self.parked = false;
        self.call_state = CallState::Hangup;
        self.state = self.state.max(ChannelState::Hangup);
    }

    /// A channel that is down never comes up again, whatever a belated event says.
    fn advance(&mut self, state: Option<ChannelState>) {
        let Some(state) = state.filter(|state| *state != ChannelState::None) else {
            return;
        };
        if !self.state.is_down() || state > self.state {
            self.state = state;
        }
    }

    fn advance_call(&mut self, state: Option<CallState>) {
        let Some(state) = state else { return };
        let is_before_answer = matches!(
            state,
            CallState::Down
                | CallState::Dialing
                | CallState::Ringing
                | CallState::Early
                | CallState::RingWait
        );
        if self.hangup.is_some() || (self.answered && is_before_answer) {
            return;
        }
        self.call_state = state;
    }
}

//! A channel: what FreeSWITCH knows of one leg, and how it is written into events.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU16;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::event::Event;
use super::names::EventKind;
use super::profile::{Profile, Times, Vars};
use super::wire::WireCommand;
use crate::domain::{CallState, ChannelState, Direction, HangupCause};

/// What kind of far end a channel has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// SIP, to itself.
    Sofia,
    /// One of the two halves of a `loopback/` leg.
    Loopback,
    /// `null/`: answers, and nothing else.
    Null,
    /// `sim/`: an outcome after a delay.
    Sim,
}

/// How far the channel is towards an answer (`Answer-State`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Answer {
    /// Not answered.
    Ringing,
    /// Early media flows.
    Early,
    /// Answered.
    Answered,
}

/// The codec of both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Codec {
    /// Its name.
    pub(super) name: &'static str,
    /// Its bits per second.
    pub(super) bits: u32,
    /// Whether the writing side has it too.
    pub(super) both: bool,
}

/// What waits for the session's own task.
#[derive(Debug)]
pub(super) enum Message {
    /// A `sendmsg`.
    Command(Arc<WireCommand>),
    /// An application, as `uuid_broadcast` queues it.
    Execute(String, String),
}

/// A call that has arrived.
#[derive(Debug, Clone)]
pub(super) struct Invite {
    /// Who is called.
    pub(super) to: String,
    /// Who calls.
    pub(super) from: String,
    /// The caller's name, perhaps empty.
    pub(super) display: String,
}

/// Where an outbound leg goes.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// SIP: `user@host:port`.
    Sip(String),
    /// A destination in the dialplan, over loopback.
    Loopback,
    /// An outcome after a delay.
    Script(super::script::Script),
    /// Answers at once.
    Null,
}

/// The file that plays.
#[derive(Debug, Clone, Copy)]
pub(super) struct Play {
    /// When it ends, unless it is paused.
    pub(super) ends: Instant,
    /// How long it is.
    pub(super) lasts: std::time::Duration,
    /// Since when it is paused.
    pub(super) paused_at: Option<Instant>,
}

/// A digit that was received.
#[derive(Debug, Clone, Copy)]
pub(super) struct Digit {
    /// The key.
    pub(super) key: char,
    /// `DTMF-Source`: `RTP`, or `APP` when an api made it.
    pub(super) source: &'static str,
}

/// An originate that waits for its legs.
#[derive(Debug, Default)]
pub(super) struct Originator {
    /// Woken when one of them has changed.
    pub(super) changed: Notify,
    /// Number of the cause that the last of them ended with, 0 for none.
    pub(super) last_cause: AtomicU16,
}

/// The application that runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Running {
    /// Its name.
    pub(super) name: String,
    /// Its argument, expanded.
    pub(super) data: String,
}

/// A leg. The world owns it; the session's task and the commands change it under the world's lock.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) uuid: String,
    /// `session_id`.
    pub(super) number: u64,
    pub(super) name: String,
    pub(super) endpoint: Endpoint,
    pub(super) direction: Direction,
    pub(super) state: ChannelState,
    pub(super) running: ChannelState,
    pub(super) call_state: CallState,
    pub(super) answer: Answer,
    pub(super) codec: Option<Codec>,
    pub(super) hit_dialplan: bool,
    pub(super) profile: Option<Profile>,
    /// The other leg's profile and whether that one is `originator` or `originatee`.
    pub(super) other: Option<(&'static str, Profile)>,
    pub(super) vars: Vars,
    pub(super) cause: Option<HangupCause>,
    /// Who is called instead, after a redirection.
    pub(super) redirected: Option<String>,
    /// The channel at the other end of the wire: the inbound half of a SIP or loopback leg.
    pub(super) far: Option<String>,
    /// The channel that this one is bridged to.
    pub(super) partner: Option<String>,
    /// The controller at the other end of an outbound socket.
    pub(super) control: Option<super::outbound::Control>,
    /// Its part in the bridge.
    pub(super) part: Option<super::bridge::Part>,
    /// It has come to the place where a bridge is made.
    pub(super) met: bool,
    /// It was the second leg of a bridge and is told who it is when it is routed again.
    pub(super) update_due: bool,
    /// It was the second leg of a bridge that the first has left.
    pub(super) was_second: bool,
    /// Made by an originate that has not ended.
    pub(super) originating: bool,
    /// The INVITE that made an inbound leg and has not been read yet.
    pub(super) invite: Option<Invite>,
    /// Where an outbound leg's far end is, until it has been reached.
    pub(super) target: Option<Target>,
    /// Applications still to run.
    pub(super) extension: VecDeque<(String, String)>,
    /// The applications that run, one inside the other.
    pub(super) stack: Vec<Running>,
    pub(super) inbox: VecDeque<Message>,
    /// What plays.
    pub(super) play: Option<Play>,
    /// Counts `uuid_break`s; an application that sees it grow ends.
    pub(super) breaks: u64,
    /// What is executed in a loop ends with this round.
    pub(super) stops_loop: bool,
    /// Digits received and not yet read.
    pub(super) digits: VecDeque<Digit>,
    /// Recordings and other media bugs: function and target.
    pub(super) bugs: Vec<(&'static str, String)>,
    /// Begin and end of each time on hold.
    pub(super) holds: Vec<(u64, u64)>,
    pub(super) held: bool,
    /// Its media flow past the node.
    pub(super) bypassed: bool,
    /// Who listens for a beep.
    pub(super) amd: Option<super::amd::Listening>,
    /// Wakes the session's task.
    pub(super) wake: Arc<Notify>,
    /// Wakes the originate that made the channel.
    pub(super) originator: Option<Arc<Originator>>,
    /// The session's task has come to its end; what is left is a name in the list.
    pub(super) signalled: bool,
}

// === impl Play ===

impl Play {
    /// The same, begun this much later.
    pub(super) fn held_up(self, span: std::time::Duration) -> Self {
        Self {
            ends: self.ends + span,
            lasts: self.lasts,
            paused_at: self.paused_at.map(|at| at + span),
        }
    }
}

// === impl Channel ===

impl Channel {
    /// A channel that has just been made.
    pub(super) fn new(uuid: String, number: u64, endpoint: Endpoint, direction: Direction) -> Self {
        let mut vars = Vars::default();
        vars.set("direction", direction.name());
        if direction == Direction::Outbound {
            vars.set("is_outbound", "true");
        }
        vars.set("uuid", uuid.clone());
        vars.set("session_id", number.to_string());
        Self {
            uuid,
            number,
            name: "N/A".to_owned(),
            endpoint,
            direction,
            state: ChannelState::New,
            running: ChannelState::None,
            call_state: CallState::Down,
            answer: Answer::Ringing,
            codec: None,
            hit_dialplan: false,
            profile: None,
            other: None,
            vars,
            cause: None,
            redirected: None,
            far: None,
            partner: None,
            control: None,
            part: None,
            met: false,
            update_due: false,
            was_second: false,
            originating: false,
            invite: None,
            target: None,
            extension: VecDeque::new(),
            stack: Vec::new(),
            inbox: VecDeque::new(),
            play: None,
            breaks: 0,
            stops_loop: false,
            digits: VecDeque::new(),
            bugs: Vec::new(),
            holds: Vec::new(),
            held: false,
            bypassed: false,
            amd: None,
            wake: Arc::new(Notify::new()),
            originator: None,
            signalled: false,
        }
    }

    /// Whether the channel has been hung up.
    pub(super) fn is_down(&self) -> bool {
        self.state.is_down()
    }

    /// The times of the present profile.
    pub(super) fn times(&mut self) -> Option<&mut Times> {
        self.profile.as_mut().map(|profile| &mut profile.times)
    }

    /// Writes what every event of a channel carries (`switch_channel_event_set_basic_data` in
    /// `switch_channel.c`), and the variables if the event's kind is one of those that have them.
    pub(super) fn write(&self, event: &mut Event, verbose: bool) {
        event.add("Channel-State", self.running.name());
        event.add("Channel-Call-State", self.call_state.name());
        event.add("Channel-State-Number", state_number(self.state).to_string());
        event.add("Channel-Name", self.name.as_str());
        event.add("Unique-ID", self.uuid.as_str());
        event.add("Call-Direction", self.direction.name());
        event.add("Presence-Call-Direction", self.direction.name());
        let hit = self.direction == Direction::Inbound || self.hit_dialplan;
        event.add("Channel-HIT-Dialplan", if hit { "true" } else { "false" });
        for (name, variable) in [
            ("Channel-Presence-ID", "presence_id"),
            ("Channel-Presence-Data", "presence_data"),
        ] {
            event.add_some(name, self.vars.get(variable).unwrap_or_default());
        }
        event.add(
            "Channel-Call-UUID",
            self.vars.get("call_uuid").unwrap_or(&self.uuid),
        );
        event.add("Answer-State", self.answer_state());
        if let Some(cause) = self.cause {
            event.add("Hangup-Cause", cause.name());
        }
        if let Some(codec) = self.codec {
            for side in ["Read", "Write"]
                .into_iter()
                .take(1 + usize::from(codec.both))
            {
                event.add(format!("Channel-{side}-Codec-Name"), codec.name);
                event.add(format!("Channel-{side}-Codec-Rate"), "8000");
                event.add(
                    format!("Channel-{side}-Codec-Bit-Rate"),
                    codec.bits.to_string(),
                );
            }
        }
        if let Some(profile) = &self.profile {
            profile.write("Caller", event);
        }
        if let Some((kind, profile)) = &self.other {
            event.add("Other-Type", *kind);
            profile.write("Other-Leg", event);
        }
        if verbose || (event.kind.carries_variables() && event.kind != EventKind::Custom) {
            for (name, value) in self.vars.iter() {
                event.add(format!("variable_{name}"), value);
            }
        }
    }

    fn answer_state(&self) -> &'static str {
        match self.answer {
            _ if self.is_down() => "hangup",
            Answer::Answered => "answered",
            Answer::Early => "early",
            Answer::Ringing => "ringing",
        }
    }
}

/// FreeSWITCH's number of a state (`switch_channel_state_t`).
pub(super) fn state_number(state: ChannelState) -> u8 {
    match state {
        ChannelState::New => 0,
        ChannelState::Init => 1,
        ChannelState::Routing => 2,
        ChannelState::SoftExecute => 3,
        ChannelState::Execute => 4,
        ChannelState::ExchangeMedia => 5,
        ChannelState::Park => 6,
        ChannelState::ConsumeMedia => 7,
        ChannelState::Hibernate => 8,
        ChannelState::Reset => 9,
        ChannelState::Hangup => 10,
        ChannelState::Reporting => 11,
        ChannelState::Destroy => 12,
        ChannelState::None => 13,
    }
}

/// FreeSWITCH's number of a call state (`switch_channel_callstate_t`).
pub(super) fn call_state_number(state: CallState) -> u8 {
    match state {
        CallState::Down => 0,
        CallState::Dialing => 1,
        CallState::Ringing => 2,
        CallState::Early => 3,
        CallState::Active => 4,
        CallState::Held => 5,
        CallState::RingWait => 6,
        CallState::Hangup => 7,
        CallState::Unheld => 8,
    }
}

//! A channel: what FreeSWITCH knows of one leg, and how it is written into events.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU16;

use tokio::sync::Notify;

use super::event::Event;
use super::names::EventKind;
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

/// Microseconds since 1970 of what happened to a channel; 0 = has not.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Times {
    pub(super) profile_created: u64,
    pub(super) created: u64,
    pub(super) answered: u64,
    pub(super) progress: u64,
    pub(super) progress_media: u64,
    pub(super) hungup: u64,
    pub(super) transferred: u64,
    pub(super) bridged: u64,
    pub(super) last_hold: u64,
    pub(super) hold_accum: u64,
}

/// Who calls whom (`switch_caller_profile_t`); empty = absent.
#[derive(Debug, Clone)]
pub(super) struct Profile {
    pub(super) direction: Direction,
    pub(super) logical_direction: Direction,
    pub(super) username: String,
    pub(super) dialplan: String,
    pub(super) caller_id_name: String,
    pub(super) caller_id_number: String,
    pub(super) orig_caller_id_name: String,
    pub(super) orig_caller_id_number: String,
    pub(super) callee_id_name: String,
    pub(super) callee_id_number: String,
    pub(super) network_addr: String,
    pub(super) ani: String,
    pub(super) destination_number: String,
    pub(super) uuid: String,
    pub(super) source: &'static str,
    pub(super) transfer_source: String,
    pub(super) context: String,
    pub(super) rdnis: String,
    pub(super) channel_name: String,
    pub(super) profile_index: u32,
    pub(super) times: Times,
}

/// Channel variables in the order in which they were set; about a hundred, so a list is as good as
/// a map and keeps FreeSWITCH's order.
#[derive(Debug, Clone, Default)]
pub(super) struct Vars(Vec<(String, String)>);

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
    /// The channel at the other end of the wire: the inbound half of a SIP or loopback leg.
    pub(super) far: Option<String>,
    /// The channel that this one is bridged to.
    pub(super) partner: Option<String>,
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
    /// Counts `uuid_break`s; an application that sees it grow ends.
    pub(super) breaks: u64,
    /// Digits received and not yet read.
    pub(super) digits: VecDeque<Digit>,
    /// Recordings and other media bugs: function and target.
    pub(super) bugs: Vec<(&'static str, String)>,
    /// Begin and end of each time on hold.
    pub(super) holds: Vec<(u64, u64)>,
    pub(super) held: bool,
    /// Wakes the session's task.
    pub(super) wake: Arc<Notify>,
    /// Wakes the originate that made the channel.
    pub(super) originator: Option<Arc<Originator>>,
    /// The session's task has come to its end; what is left is a name in the list.
    pub(super) signalled: bool,
}

// === impl Vars ===

impl Vars {
    /// The value of a variable.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self
            .0
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Sets a variable; an empty value takes it away.
    pub(super) fn set(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        let at = self
            .0
            .iter()
            .position(|(key, _)| key.eq_ignore_ascii_case(name));
        match (at, value.is_empty()) {
            (Some(at), true) => drop(self.0.remove(at)),
            (Some(at), false) => self.0[at].1 = value,
            (None, true) => {}
            (None, false) => self.0.push((name.to_owned(), value)),
        }
    }

    /// All variables.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

// === impl Profile ===

impl Profile {
    /// A profile with nothing but a direction and its times.
    pub(super) fn new(direction: Direction, source: &'static str, now: u64) -> Self {
        Self {
            direction,
            logical_direction: direction,
            username: String::new(),
            dialplan: String::new(),
            caller_id_name: String::new(),
            caller_id_number: String::new(),
            orig_caller_id_name: String::new(),
            orig_caller_id_number: String::new(),
            callee_id_name: String::new(),
            callee_id_number: String::new(),
            network_addr: String::new(),
            ani: String::new(),
            destination_number: String::new(),
            uuid: String::new(),
            source,
            transfer_source: String::new(),
            context: String::new(),
            rdnis: String::new(),
            channel_name: String::new(),
            profile_index: 1,
            times: Times {
                profile_created: now,
                created: now,
                ..Times::default()
            },
        }
    }

    /// The profile as the other leg's events show it: a copy loses its index and its transfers.
    pub(super) fn copied(&self) -> Self {
        let mut copy = self.clone();
        copy.profile_index = 0;
        copy.transfer_source.clear();
        copy
    }

    /// Writes the profile with this prefix (`switch_caller_profile_event_set_data` in
    /// `switch_caller.c`).
    fn write(&self, prefix: &str, event: &mut Event) {
        let mut some = |name: &str, value: &str| {
            if !value.is_empty() {
                event.add(format!("{prefix}-{name}"), value);
            }
        };
        some("Direction", self.direction.name());
        some("Logical-Direction", self.logical_direction.name());
        some("Username", &self.username);
        some("Dialplan", &self.dialplan);
        some("Caller-ID-Name", &self.caller_id_name);
        some("Caller-ID-Number", &self.caller_id_number);
        some("Orig-Caller-ID-Name", &self.orig_caller_id_name);
        some("Orig-Caller-ID-Number", &self.orig_caller_id_number);
        some("Callee-ID-Name", &self.callee_id_name);
        some("Callee-ID-Number", &self.callee_id_number);
        some("Network-Addr", &self.network_addr);
        some("ANI", &self.ani);
        some("Destination-Number", &self.destination_number);
        some("Unique-ID", &self.uuid);
        some("Source", self.source);
        some("Transfer-Source", &self.transfer_source);
        some("Context", &self.context);
        some("RDNIS", &self.rdnis);
        some("Channel-Name", &self.channel_name);
        if self.profile_index > 0 {
            some("Profile-Index", &self.profile_index.to_string());
        }
        for (name, value) in self.times.named() {
            some(name, &value.to_string());
        }
        some("Screen-Bit", "true");
        some("Privacy-Hide-Name", "false");
        some("Privacy-Hide-Number", "false");
    }
}

impl Times {
    /// The times with the names of their headers, in FreeSWITCH's order.
    fn named(&self) -> [(&'static str, u64); 11] {
        [
            ("Profile-Created-Time", self.profile_created),
            ("Channel-Created-Time", self.created),
            ("Channel-Answered-Time", self.answered),
            ("Channel-Progress-Time", self.progress),
            ("Channel-Progress-Media-Time", self.progress_media),
            ("Channel-Hangup-Time", self.hungup),
            ("Channel-Transfer-Time", self.transferred),
            ("Channel-Resurrect-Time", 0),
            ("Channel-Bridged-Time", self.bridged),
            ("Channel-Last-Hold", self.last_hold),
            ("Channel-Hold-Accum", self.hold_accum),
        ]
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
            far: None,
            partner: None,
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
            breaks: 0,
            digits: VecDeque::new(),
            bugs: Vec::new(),
            holds: Vec::new(),
            held: false,
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

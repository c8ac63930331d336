//! Who calls whom and when, and a channel's variables.

use super::event::Event;
use crate::domain::Direction;

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
    pub(super) fn write(&self, prefix: &str, event: &mut Event) {
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

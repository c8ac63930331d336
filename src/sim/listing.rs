//! The tables behind `show channels` and `show calls`, which lag behind the core.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::channel::Channel;
use super::core::World;

/// A row of the table of channels; the fields in the order of the columns.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// The channel.
    pub(super) uuid: String,
    /// The columns of `channels` and their values.
    pub(super) columns: Vec<(&'static str, String)>,
    /// The channel it is bridged to, and since when, in seconds since 1970.
    pub(super) bridged: Option<(String, u64)>,
}

/// What a writer of the table still has to do.
#[derive(Debug)]
enum Change {
    Put(u64, Box<Row>),
    Delete(u64),
}

/// The table, as a writer that is always late has filled it.
#[derive(Debug)]
pub(super) struct Listing {
    lag: Duration,
    disabled: bool,
    pending: VecDeque<(Instant, Change)>,
    rows: BTreeMap<u64, Row>,
    numbers: std::collections::HashMap<String, u64>,
}

// === impl Listing ===

impl Listing {
    /// An empty table.
    pub(super) fn new(lag: Duration, disabled: bool) -> Self {
        Self {
            lag,
            disabled,
            pending: VecDeque::new(),
            rows: BTreeMap::new(),
            numbers: std::collections::HashMap::new(),
        }
    }

    fn queue(&mut self, change: Change) {
        if self.disabled {
            return;
        }
        self.pending.push_back((Instant::now() + self.lag, change));
        self.catch_up();
    }

    fn catch_up(&mut self) {
        let now = Instant::now();
        while self.pending.front().is_some_and(|(due, _)| *due <= now) {
            match self.pending.pop_front() {
                Some((_, Change::Put(number, row))) => drop(self.rows.insert(number, *row)),
                Some((_, Change::Delete(number))) => drop(self.rows.remove(&number)),
                None => {}
            }
        }
    }

    /// The rows, oldest channel first.
    pub(super) fn rows(&mut self) -> impl Iterator<Item = &Row> {
        self.catch_up();
        self.rows.values()
    }
}

// === impl World ===

impl World {
    /// Writes a channel into the table, in time.
    pub(super) fn list(&mut self, uuid: &str) {
        let Some(channel) = self.channels.get(uuid) else {
            return;
        };
        // The table learns of a channel with its CHANNEL_CREATE.
        if channel.profile.is_none() || channel.state == crate::domain::ChannelState::Init {
            return;
        }
        let (number, row) = (channel.number, Box::new(row(channel, &self.switch_name)));
        self.listing.numbers.insert(uuid.to_owned(), number);
        self.listing.queue(Change::Put(number, row));
    }

    /// Takes a channel out of the table, in time.
    pub(super) fn unlist(&mut self, uuid: &str) {
        if let Some(number) = self.listing.numbers.remove(uuid) {
            self.listing.queue(Change::Delete(number));
        }
    }
}

fn row(channel: &Channel, host: &str) -> Row {
    let var = |name: &str| channel.vars.get(name).unwrap_or_default().to_owned();
    let empty = String::new;
    let mut columns = Vec::with_capacity(39);
    let created = channel
        .profile
        .as_ref()
        .map_or(0, |profile| profile.times.created);
    columns.push(("uuid", channel.uuid.clone()));
    columns.push(("direction", channel.direction.name().to_owned()));
    columns.push(("created", super::clock::stamp(created)));
    columns.push(("created_epoch", (created / 1_000_000).to_string()));
    columns.push(("name", channel.name.clone()));
    columns.push(("state", channel.running.name().to_owned()));
    let Some(profile) = &channel.profile else {
        return Row {
            uuid: channel.uuid.clone(),
            columns,
            bridged: None,
        };
    };
    let running = channel.stack.last().cloned().unwrap_or_default();
    let (codec, rate, bits) = channel.codec.map_or_else(
        || (empty(), empty(), empty()),
        |codec| {
            (
                codec.name.to_owned(),
                "8000".to_owned(),
                codec.bits.to_string(),
            )
        },
    );
    let flipped = channel.vars.get("channel_cid_flipped").is_some();
    let shown = |value: &String| {
        if flipped {
            value.clone()
        } else {
            String::new()
        }
    };
    let rest = [
        ("cid_name", profile.caller_id_name.clone()),
        ("cid_num", profile.caller_id_number.clone()),
        ("ip_addr", profile.network_addr.clone()),
        ("dest", profile.destination_number.clone()),
        ("application", running.name),
        ("application_data", running.data),
        ("dialplan", profile.dialplan.clone()),
        ("context", profile.context.clone()),
        ("read_codec", codec.clone()),
        ("read_rate", rate.clone()),
        ("read_bit_rate", bits.clone()),
        ("write_codec", codec),
        ("write_rate", rate),
        ("write_bit_rate", bits),
        ("secure", empty()),
        ("hostname", host.to_owned()),
        ("presence_id", var("presence_id")),
        ("presence_data", var("presence_data")),
        ("accountcode", var("accountcode")),
        ("callstate", channel.call_state.name().to_owned()),
        ("callee_name", shown(&profile.callee_id_name)),
        ("callee_num", shown(&profile.callee_id_number)),
        (
            "callee_direction",
            if flipped { "RECV".to_owned() } else { empty() },
        ),
        ("call_uuid", var("call_uuid")),
        ("sent_callee_name", var("last_sent_callee_id_name")),
        ("sent_callee_num", var("last_sent_callee_id_number")),
        ("initial_cid_name", profile.orig_caller_id_name.clone()),
        ("initial_cid_num", profile.orig_caller_id_number.clone()),
        ("initial_ip_addr", profile.network_addr.clone()),
        ("initial_dest", profile.destination_number.clone()),
        ("initial_dialplan", profile.dialplan.clone()),
        ("initial_context", profile.context.clone()),
    ];
    columns.extend(rest);
    let bridged = channel
        .partner
        .clone()
        .map(|uuid| (uuid, profile.times.bridged / 1_000_000));
    Row {
        uuid: channel.uuid.clone(),
        columns,
        bridged,
    }
}

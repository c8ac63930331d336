//! The tables behind `show channels` and `show calls`, which lag behind the core.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::channel::Channel;
use super::core::World;
use crate::domain::ChannelState;

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

/// Which channels the table shows, as a writer that is always late has filled it. A row is made
/// when it is read, from the channel as it is then: coming and going lag, states do not.
#[derive(Debug)]
pub(super) struct Listing {
    lag: Duration,
    disabled: bool,
    /// The channels that live, with the time from which they are shown.
    live: BTreeMap<u64, (Instant, String)>,
    /// Those that have gone, with the times between which they are still shown.
    gone: VecDeque<(Instant, Instant, u64, Row)>,
}

// === impl Listing ===

impl Listing {
    /// An empty table.
    pub(super) fn new(lag: Duration, disabled: bool) -> Self {
        Self {
            lag,
            disabled,
            live: BTreeMap::new(),
            gone: VecDeque::new(),
        }
    }

    /// Whether there is no database.
    pub(super) fn is_disabled(&self) -> bool {
        self.disabled
    }
}

// === impl World ===

impl World {
    /// Writes a channel into the table, in time. The table learns of it with its CHANNEL_CREATE.
    pub(super) fn list(&mut self, uuid: &str) {
        let Some(channel) = self.channels.get(uuid) else {
            return;
        };
        let early = channel.profile.is_none() || channel.state == ChannelState::Init;
        if early || self.listing.disabled || self.listing.live.contains_key(&channel.number) {
            return;
        }
        let shown_from = Instant::now() + self.listing.lag;
        let entry = (shown_from, uuid.to_owned());
        self.listing.live.insert(channel.number, entry);
    }

    /// Takes a channel that is gone out of the table, in time.
    pub(super) fn unlist(&mut self, channel: &Channel) {
        let now = Instant::now();
        let over = |gone: &(Instant, Instant, u64, Row)| gone.1 <= now;
        while self.listing.gone.front().is_some_and(over) {
            self.listing.gone.pop_front();
        }
        if let Some((shown_from, _)) = self.listing.live.remove(&channel.number) {
            let until = now + self.listing.lag;
            let row = row(channel, &self.switch_name);
            let gone = (shown_from, until, channel.number, row);
            self.listing.gone.push_back(gone);
        }
    }

    /// The rows of the table, oldest channel first.
    pub(super) fn rows(&self) -> Vec<Row> {
        let rows = self.rows_after(None, usize::MAX);
        rows.into_iter().map(|(_, row)| row).collect()
    }

    /// Up to `max` rows behind that of this channel, with the numbers of their channels.
    pub(super) fn rows_after(&self, after: Option<u64>, max: usize) -> Vec<(u64, Row)> {
        let now = Instant::now();
        let is_behind = |number: u64| after.is_none_or(|after| number > after);
        let mut gone: Vec<_> = self
            .listing
            .gone
            .iter()
            .filter(|(from, until, number, _)| (*from..*until).contains(&now) && is_behind(*number))
            .map(|(_, _, number, row)| (*number, row))
            .collect();
        gone.sort_unstable_by_key(|(number, _)| *number);
        let mut gone = gone.into_iter().peekable();
        let first = after.map_or(0, |after| after + 1);
        let live = self.listing.live.range(first..);
        let mut live = live
            .filter_map(|(number, (shown_from, uuid))| {
                let channel = self.channels.get(uuid).filter(|_| *shown_from <= now);
                channel.map(|channel| (*number, channel))
            })
            .peekable();
        let mut rows = Vec::new();
        while rows.len() < max {
            let is_gone = match (gone.peek(), live.peek()) {
                (Some((gone, _)), Some((live, _))) => gone < live,
                (gone, None) => gone.is_some(),
                (None, Some(_)) => false,
            };
            let next = match is_gone {
                true => gone.next().map(|(number, row)| (number, row.clone())),
                false => live
                    .next()
                    .map(|(number, channel)| (number, row(channel, &self.switch_name))),
            };
            match next {
                Some(next) => rows.push(next),
                None => break,
            }
        }
        rows
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

//! Values of headers that tell of a session.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::domain::{CallState, ChannelState};
use crate::esl::{Event, value_text};

/// FreeSWITCH's time stamp of an event.
pub(in crate::tracker) fn event_time(event: &Event) -> Option<SystemTime> {
    event.headers().raw("Event-Date-Timestamp").and_then(micros)
}

/// Most headers say again what is known; only a change allocates.
pub(super) fn set(field: &mut String, value: &[u8]) {
    let value = value_text(value);
    if *field != *value {
        *field = value.into_owned();
    }
}

pub(super) fn set_time(field: &mut Option<SystemTime>, value: &[u8]) {
    if let Some(time) = micros(value) {
        *field = Some(time);
    }
}

fn micros(value: &[u8]) -> Option<SystemTime> {
    time_of(std::str::from_utf8(value).ok()?.parse().ok()?)
}

/// Of microseconds since 1970; 0 means that it has not happened.
pub(super) fn time_of(micros: u64) -> Option<SystemTime> {
    (micros > 0).then(|| UNIX_EPOCH + Duration::from_micros(micros))
}

/// `sip:486`, its colon percent-encoded (`mod_sofia` sets it from the far end's response).
pub(super) fn sip_status(value: &[u8]) -> Option<u16> {
    std::str::from_utf8(value.strip_prefix(b"sip%3A")?)
        .ok()?
        .parse()
        .ok()
}

pub(super) fn wire_state(value: &[u8]) -> Option<ChannelState> {
    std::str::from_utf8(value)
        .ok()
        .and_then(ChannelState::from_wire)
}

pub(super) fn wire_call_state(value: &[u8]) -> Option<CallState> {
    std::str::from_utf8(value)
        .ok()
        .and_then(CallState::from_wire)
}

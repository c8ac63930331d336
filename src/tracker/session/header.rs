//! Values of headers that tell of a session.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::domain::{CallState, ChannelState, Direction, HangupCause};
use crate::esl::{Event, decimal, value_text};

/// FreeSWITCH's time stamp of an event.
pub(in crate::tracker) fn event_time(event: &Event) -> Option<SystemTime> {
    let value = event.headers().raw("Event-Date-Timestamp");
    value.and_then(decimal).and_then(time_of)
}

/// Most headers say again what is known; only a change allocates.
pub(super) fn set(field: &mut String, value: Option<&[u8]>) {
    if let Some(value) = value
        && !says(value, field.as_bytes())
    {
        *field = value_text(value).into_owned();
    }
}

/// Whether a value is this text, encoded as FreeSWITCH does it; may miss that it is.
fn says(mut value: &[u8], mut text: &[u8]) -> bool {
    while let Some(percent) = memchr::memchr(b'%', value) {
        let (plain, encoded) = value.split_at(percent);
        let (Some(rest), [_, high, low, more @ ..]) = (text.strip_prefix(plain), encoded) else {
            return false;
        };
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let byte = digit(*high).zip(digit(*low));
        match (byte, rest) {
            (Some((high, low)), [first, rest @ ..]) if u32::from(*first) == high * 16 + low => {
                (value, text) = (more, rest);
            }
            _ => return false,
        }
    }
    value == text
}

pub(super) fn set_time(field: &mut Option<SystemTime>, value: Option<&[u8]>) {
    // Most have not happened.
    let value = value.filter(|value| *value != b"0");
    if let Some(time) = value.and_then(decimal).and_then(time_of) {
        *field = Some(time);
    }
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

pub(super) fn wire_cause(value: &[u8]) -> Option<HangupCause> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

pub(super) fn wire_direction(value: &[u8]) -> Option<Direction> {
    std::str::from_utf8(value)
        .ok()
        .and_then(Direction::from_wire)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_value_that_is_set_is_the_text_of_the_value(
            value in "[a%0-9A-F]{0,12}", before in "[a%]{0,4}"
        ) {
            let mut field = before;
            for _ in 0..2 {
                set(&mut field, Some(value.as_bytes()));
                prop_assert_eq!(field.as_str(), value_text(value.as_bytes()));
            }
        }
    }
}

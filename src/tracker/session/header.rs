//! Values of headers that tell of a session.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::domain::{CallState, ChannelState};
use crate::esl::{Event, value_text};

/// FreeSWITCH's time stamp of an event.
pub(in crate::tracker) fn event_time(event: &Event) -> Option<SystemTime> {
    event.headers().raw("Event-Date-Timestamp").and_then(micros)
}

/// Headers that tell of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    EventName,
    EventTime,
    State,
    CallState,
    ChannelName,
    ChannelCall,
    Direction,
    AnswerState,
    HangupCause,
    Application,
    ApplicationData,
    OtherType,
    OtherLeg,
    BridgedLeg,
    CallerName,
    CallerNumber,
    CalleeName,
    CalleeNumber,
    Destination,
    Created,
    Progress,
    Answered,
    Bridged,
    Held,
    HungUp,
    /// A variable that every channel has: an event with it has all others too.
    IdVariable,
    Originator,
    OtherHalf,
    SipStatus,
    Profile,
}

/// The first of these names, as FreeSWITCH writes a header, that a line begins with.
macro_rules! first {
    ($line:expr, $($name:literal => $told:ident,)*) => {{
        let line = $line;
        $(if let Some(value) = line.strip_prefix(concat!($name, ": ").as_bytes()) {
            return Some((Told::$told, value));
        })*
        None
    }};
}

/// What a line tells of a session, with the value. Three of four tell nothing, which the look at a
/// few of their bytes shows.
#[inline]
pub(super) fn told(line: &[u8]) -> Option<(Told, &[u8])> {
    match line {
        [b'v', ..] => {
            let name = line.strip_prefix(b"variable_")?;
            match name.first()? {
                b'u' => first!(name, "uuid" => IdVariable,),
                b'o' => first!(name,
                    "originator" => Originator,
                    "other_loopback_leg_uuid" => OtherHalf,
                ),
                b'p' => first!(name, "proto_specific_hangup_cause" => SipStatus,),
                b's' => first!(name, "sofia_profile_name" => Profile,),
                _ => None,
            }
        }
        [b'C', b'a', b'l', b'l', b'e', b'r', b'-', name @ ..] => match name {
            [b'C', b'h', ..] => first!(name.strip_prefix(b"Channel-")?,
                "Created-Time" => Created,
                "Answered-Time" => Answered,
                "Progress-Time" => Progress,
                "Progress-Media-Time" => Progress,
                "Hangup-Time" => HungUp,
                "Bridged-Time" => Bridged,
                "Last-Hold" => Held,
            ),
            [b'C', b'a', ..] => first!(name,
                "Caller-ID-Name" => CallerName,
                "Caller-ID-Number" => CallerNumber,
                "Callee-ID-Name" => CalleeName,
                "Callee-ID-Number" => CalleeNumber,
            ),
            [b'D', b'e', ..] => first!(name, "Destination-Number" => Destination,),
            _ => None,
        },
        [b'C', ..] => first!(line,
            "Channel-State" => State,
            "Channel-Call-State" => CallState,
            "Channel-Name" => ChannelName,
            "Channel-Call-UUID" => ChannelCall,
            "Call-Direction" => Direction,
        ),
        [b'E', ..] => first!(line,
            "Event-Name" => EventName,
            "Event-Date-Timestamp" => EventTime,
        ),
        [b'A', ..] => first!(line,
            "Answer-State" => AnswerState,
            "Application" => Application,
            "Application-Data" => ApplicationData,
        ),
        [b'H', ..] => first!(line, "Hangup-Cause" => HangupCause,),
        [b'O', ..] => first!(line,
            "Other-Type" => OtherType,
            "Other-Leg-Unique-ID" => OtherLeg,
        ),
        [b'B', ..] => first!(line, "Bridge-B-Unique-ID" => BridgedLeg,),
        _ => None,
    }
}

/// Most headers say again what is known; only a change allocates.
pub(super) fn set(field: &mut String, value: &[u8]) {
    if !says(value, field.as_bytes()) {
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

pub(super) fn set_time(field: &mut Option<SystemTime>, value: &[u8]) {
    if let Some(time) = micros(value) {
        *field = Some(time);
    }
}

fn micros(value: &[u8]) -> Option<SystemTime> {
    let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let number = value.iter().try_fold(0u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit & 15))
    });
    time_of(number.filter(|_| is_number)?)
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
                set(&mut field, value.as_bytes());
                prop_assert_eq!(field.as_str(), value_text(value.as_bytes()));
            }
        }

        #[test]
        fn times_are_read_as_numbers(value in "[0-9]{0,22}|[0-9a]{0,4}") {
            let number = value.parse().ok();
            prop_assert_eq!(micros(value.as_bytes()), number.and_then(time_of));
        }
    }
}

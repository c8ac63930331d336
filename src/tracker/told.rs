//! What an event tells of its session, found in one look through its lines.

use super::CallVariable;
use crate::esl::Headers;

/// A header that tells of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Header {
    EventName,
    EventTime,
    Id,
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
    EarlyMedia,
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
    /// The variable that groups sessions to calls.
    CallVariable,
}

/// The number of headers that tell of a session.
const HEADERS: usize = Header::CallVariable as usize + 1;

/// The values of an event's headers that tell of a session, as they stand on the wire. Of two lines
/// with the same name the first counts.
#[derive(Debug)]
pub(super) struct Told<'a>([Option<&'a [u8]>; HEADERS]);

// === impl Told ===

impl<'a> Told<'a> {
    pub(super) fn read(headers: &'a Headers, variable: &CallVariable) -> Self {
        let mut told = Self([None; HEADERS]);
        for line in headers.lines() {
            if let Some((header, value)) = header_of(line) {
                told.note(header, value);
            }
            if line.first() == Some(&b'v')
                && let Some(value) = variable.value_in(line)
            {
                told.note(Header::CallVariable, value);
            }
        }
        told
    }

    #[inline]
    pub(super) fn get(&self, header: Header) -> Option<&'a [u8]> {
        self.0[header as usize]
    }

    #[inline]
    fn note(&mut self, header: Header, value: &'a [u8]) {
        self.0[header as usize].get_or_insert(value);
    }
}

/// The first of these names, as FreeSWITCH writes a header, that a line begins with.
macro_rules! first {
    ($line:expr, $($name:literal => $header:ident,)*) => {{
        let line = $line;
        $(if let Some(value) = line.strip_prefix(concat!($name, ": ").as_bytes()) {
            return Some((Header::$header, value));
        })*
        None
    }};
}

/// Goes by eight bytes of a line, which are compared at once.
macro_rules! by_word {
    ($line:expr, $at:literal, $($word:literal => $found:expr,)*) => {{
        let word = u64::from_ne_bytes(*$line.get($at..)?.first_chunk()?);
        $(if word == const { u64::from_ne_bytes(*$word) } { $found } else)* { None }
    }};
}

/// What a line tells of a session, with the value. Three of four tell nothing, which a look at eight
/// of their bytes, or twice eight, shows.
#[inline]
fn header_of(line: &[u8]) -> Option<(Header, &[u8])> {
    by_word!(line, 0,
        b"variable" => match line.get(9)? {
            b'u' => first!(line, "variable_uuid" => IdVariable,),
            b'o' => first!(line,
                "variable_originator" => Originator,
                "variable_other_loopback_leg_uuid" => OtherHalf,
            ),
            b'p' => first!(line, "variable_proto_specific_hangup_cause" => SipStatus,),
            b's' => first!(line, "variable_sofia_profile_name" => Profile,),
            _ => None,
        },
        b"Caller-C" => by_word!(line, 7,
            b"Caller-I" => first!(line,
                "Caller-Caller-ID-Name" => CallerName,
                "Caller-Caller-ID-Number" => CallerNumber,
            ),
            b"Callee-I" => first!(line,
                "Caller-Callee-ID-Name" => CalleeName,
                "Caller-Callee-ID-Number" => CalleeNumber,
            ),
            b"Channel-" => match line.get(15)? {
                b'A' => first!(line, "Caller-Channel-Answered-Time" => Answered,),
                b'B' => first!(line, "Caller-Channel-Bridged-Time" => Bridged,),
                b'C' => first!(line, "Caller-Channel-Created-Time" => Created,),
                b'H' => first!(line, "Caller-Channel-Hangup-Time" => HungUp,),
                b'L' => first!(line, "Caller-Channel-Last-Hold" => Held,),
                b'P' => first!(line,
                    "Caller-Channel-Progress-Time" => Progress,
                    "Caller-Channel-Progress-Media-Time" => EarlyMedia,
                ),
                _ => None,
            },
        ),
        b"Caller-D" => first!(line, "Caller-Destination-Number" => Destination,),
        b"Channel-" => first!(line,
            "Channel-State" => State,
            "Channel-Call-State" => CallState,
            "Channel-Name" => ChannelName,
            "Channel-Call-UUID" => ChannelCall,
        ),
        b"Event-Na" => first!(line, "Event-Name" => EventName,),
        b"Event-Da" => first!(line, "Event-Date-Timestamp" => EventTime,),
        b"Unique-I" => first!(line, "Unique-ID" => Id,),
        b"Call-Dir" => first!(line, "Call-Direction" => Direction,),
        b"Answer-S" => first!(line, "Answer-State" => AnswerState,),
        b"Applicat" => first!(line,
            "Application" => Application,
            "Application-Data" => ApplicationData,
        ),
        b"Hangup-C" => first!(line, "Hangup-Cause" => HangupCause,),
        b"Other-Le" => first!(line, "Other-Leg-Unique-ID" => OtherLeg,),
        b"Other-Ty" => first!(line, "Other-Type" => OtherType,),
        b"Bridge-B" => first!(line, "Bridge-B-Unique-ID" => BridgedLeg,),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::esl::Event;
    use crate::tracker::{Tracker, TrackerConfig};

    const NAMES: [(&str, Header); HEADERS - 1] = [
        ("Event-Name", Header::EventName),
        ("Event-Date-Timestamp", Header::EventTime),
        ("Unique-ID", Header::Id),
        ("Channel-State", Header::State),
        ("Channel-Call-State", Header::CallState),
        ("Channel-Name", Header::ChannelName),
        ("Channel-Call-UUID", Header::ChannelCall),
        ("Call-Direction", Header::Direction),
        ("Answer-State", Header::AnswerState),
        ("Hangup-Cause", Header::HangupCause),
        ("Application", Header::Application),
        ("Application-Data", Header::ApplicationData),
        ("Other-Type", Header::OtherType),
        ("Other-Leg-Unique-ID", Header::OtherLeg),
        ("Bridge-B-Unique-ID", Header::BridgedLeg),
        ("Caller-Caller-ID-Name", Header::CallerName),
        ("Caller-Caller-ID-Number", Header::CallerNumber),
        ("Caller-Callee-ID-Name", Header::CalleeName),
        ("Caller-Callee-ID-Number", Header::CalleeNumber),
        ("Caller-Destination-Number", Header::Destination),
        ("Caller-Channel-Created-Time", Header::Created),
        ("Caller-Channel-Progress-Time", Header::Progress),
        ("Caller-Channel-Progress-Media-Time", Header::EarlyMedia),
        ("Caller-Channel-Answered-Time", Header::Answered),
        ("Caller-Channel-Bridged-Time", Header::Bridged),
        ("Caller-Channel-Last-Hold", Header::Held),
        ("Caller-Channel-Hangup-Time", Header::HungUp),
        ("variable_uuid", Header::IdVariable),
        ("variable_originator", Header::Originator),
        ("variable_other_loopback_leg_uuid", Header::OtherHalf),
        ("variable_proto_specific_hangup_cause", Header::SipStatus),
        ("variable_sofia_profile_name", Header::Profile),
    ];

    proptest! {
        #[test]
        fn what_is_told_is_what_a_search_finds(
            lines in prop::collection::vec((0..NAMES.len(), 0..8usize, "[a-z]?", "[a-z0-9]{0,3}"), 0..80),
            call_variable in prop_oneof![Just("call_uuid"), Just("uuid"), Just("x")],
        ) {
            let mut plain = "Event-Name: X\n".to_owned();
            for (at, cut, end, value) in lines {
                let (name, _) = NAMES[at];
                // Some names are cut short or go on.
                let name = &name[..name.len() - if cut == 7 { 3 } else { 0 }];
                let end = if cut == 6 { end } else { String::new() };
                plain += &format!("{name}{end}: {value}\n");
            }
            plain += &format!("variable_{call_variable}: of the call\n\n");
            let event = Event::parse(plain).unwrap();
            let config = TrackerConfig {
                call_variable: call_variable.to_owned(),
                ..TrackerConfig::default()
            };
            let variable = Tracker::new(config).variable;
            let told = Told::read(event.headers(), &variable);
            for (name, header) in NAMES {
                prop_assert_eq!(told.get(header), event.headers().raw(name), "{}", name);
            }
            let call = event.headers().raw(&variable.header);
            prop_assert_eq!(told.get(Header::CallVariable), call);
        }
    }
}

//! Events that the gateway makes of what it learned by asking.
//!
//! They have the names that FreeSWITCH's own would have had, so that a client which follows a few
//! names sees the same story, and the header `Switchgate-Synthetic`, which says why.

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::{CallState, SessionId};
use crate::esl::{Event, EventError};
use crate::tracker::{Change, Correction, Session};

/// The header that only synthetic events have.
const MARK: &str = "Switchgate-Synthetic";

/// Why FreeSWITCH's own events are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// There was no link.
    Disconnected,
    /// There was one, yet they did not come.
    EventsLost,
    /// FreeSWITCH was started anew.
    Restarted,
    /// The node was removed.
    Removed,
    /// FreeSWITCH has no event for it: a client put the session into a call.
    Appended,
}

/// What a sync concluded of a session.
#[derive(Debug, Clone, Copy)]
enum Conclusion {
    Begun,
    Changed,
    Ended,
}

/// What all events of one conclusion have in common.
struct Stamp<'a> {
    core: &'a str,
    /// In microseconds since 1970.
    at: String,
    why: &'a str,
}

// === impl Stamp ===

impl<'a> Stamp<'a> {
    fn now(core: &'a str, why: &'a str) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let at = since.unwrap_or_default().as_micros().to_string();
        Self { core, at, why }
    }
}

// === impl Why ===

impl Why {
    fn of(self, conclusion: Conclusion) -> &'static str {
        match (conclusion, self) {
            (_, Self::Restarted) => "FreeSWITCH restarted",
            (_, Self::Removed) => "node removed",
            (_, Self::Appended) => "put into a call",
            (Conclusion::Begun, Self::Disconnected) => "begun while disconnected",
            (Conclusion::Begun, Self::EventsLost) => "begun while events were lost",
            (Conclusion::Changed, Self::Disconnected) => "changed while disconnected",
            (Conclusion::Changed, Self::EventsLost) => "changed while events were lost",
            (Conclusion::Ended, Self::Disconnected) => "lost while disconnected",
            (Conclusion::Ended, Self::EventsLost) => "lost while events were lost",
        }
    }
}

/// A session that was found: CHANNEL_CREATE with all that FreeSWITCH says of it, then one event
/// for each thing that became of it since.
pub(super) fn begun(
    dump: &Event,
    correction: &Correction,
    why: Why,
) -> Result<Vec<Event>, EventError> {
    told(
        "CHANNEL_CREATE",
        dump,
        correction,
        why.of(Conclusion::Begun),
    )
}

/// A session that is not as it was tracked: CHANNEL_DATA with all that FreeSWITCH says of it, then
/// one event for each thing that became of it.
pub(super) fn changed(
    dump: &Event,
    correction: &Correction,
    why: Why,
) -> Result<Vec<Event>, EventError> {
    told(
        "CHANNEL_DATA",
        dump,
        correction,
        why.of(Conclusion::Changed),
    )
}

/// A session that was put into a call: CHANNEL_DATA with all that FreeSWITCH says of it.
pub(super) fn appended(dump: &Event) -> Result<Event, EventError> {
    let why = Why::Appended.of(Conclusion::Changed);
    dump.with_headers(&[("Event-Name", "CHANNEL_DATA"), (MARK, why)])
}

/// The last event of a session of which FreeSWITCH says nothing any more.
pub(super) fn ended(session: &Session, core: &str, why: Why) -> Result<Event, EventError> {
    let stamp = Stamp::now(core, why.of(Conclusion::Ended));
    brief("CHANNEL_HANGUP_COMPLETE", session, &stamp, None)
}

/// The leg that is left of a bridge.
pub(super) fn parted(
    session: &Session,
    from: &Session,
    core: &str,
    why: Why,
) -> Result<Event, EventError> {
    let stamp = Stamp::now(core, why.of(Conclusion::Changed));
    brief("CHANNEL_UNBRIDGE", session, &stamp, Some(&from.id))
}

fn told(
    first: &str,
    dump: &Event,
    correction: &Correction,
    why: &str,
) -> Result<Vec<Event>, EventError> {
    let text = |name| dump.text(name).unwrap_or_default();
    let stamp = Stamp {
        core: &text("Core-UUID"),
        at: text("Event-Date-Timestamp").into_owned(),
        why,
    };
    let mut events = Vec::with_capacity(1 + correction.changes.len());
    events.push(dump.with_headers(&[("Event-Name", first), (MARK, why)])?);
    for change in &correction.changes {
        let (name, other) = match change {
            Change::Rings => ("CHANNEL_PROGRESS", None),
            Change::EarlyMedia => ("CHANNEL_PROGRESS_MEDIA", None),
            Change::Answered => ("CHANNEL_ANSWER", None),
            Change::Parked => ("CHANNEL_PARK", None),
            Change::Unparked => ("CHANNEL_UNPARK", None),
            Change::Unbridged(other) => ("CHANNEL_UNBRIDGE", Some(other)),
            Change::Bridged(other) => ("CHANNEL_BRIDGE", Some(other)),
            Change::Held => ("CHANNEL_HOLD", None),
            Change::Unheld => ("CHANNEL_UNHOLD", None),
            Change::HungUp => ("CHANNEL_HANGUP", None),
        };
        events.push(brief(name, &correction.session, &stamp, other)?);
    }
    Ok(events)
}

/// An event with what most clients look at. The variables of a session are in the one before.
fn brief(
    name: &str,
    session: &Session,
    stamp: &Stamp<'_>,
    other_leg: Option<&SessionId>,
) -> Result<Event, EventError> {
    let answer_state = match session.call_state {
        CallState::Hangup => "hangup",
        _ if session.answered => "answered",
        CallState::Early => "early",
        _ => "ringing",
    };
    let mut headers = vec![
        ("Event-Name", name),
        (MARK, stamp.why),
        ("Core-UUID", stamp.core),
        ("Event-Date-Timestamp", stamp.at.as_str()),
        ("Unique-ID", session.id.as_str()),
        ("Channel-State", session.state.name()),
        ("Channel-Call-State", session.call_state.name()),
        ("Answer-State", answer_state),
        ("Channel-Name", session.channel_name.as_str()),
        ("Channel-Call-UUID", session.call.as_str()),
        ("Caller-Caller-ID-Name", session.caller.name.as_str()),
        ("Caller-Caller-ID-Number", session.caller.number.as_str()),
        ("Caller-Destination-Number", session.destination.as_str()),
    ];
    if let Some(hangup) = session.hangup {
        let cause = hangup.cause.map_or("NONE", |cause| cause.name());
        headers.push(("Hangup-Cause", cause));
    }
    if let Some(other) = other_leg {
        headers.push(("Other-Leg-Unique-ID", other.as_str()));
    }
    Event::from_headers(
        headers
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name, Cow::Borrowed(value))),
    )
}

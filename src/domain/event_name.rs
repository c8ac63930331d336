//! The names of FreeSWITCH's events.

use super::text::nearest;

/// Every `Event-Name` (`EVENT_NAMES` in FreeSWITCH's `switch_event.c`, in its order).
#[rustfmt::skip]
pub const EVENT_NAMES: [&str; 93] = [
    "CUSTOM", "CLONE", "CHANNEL_CREATE", "CHANNEL_DESTROY", "CHANNEL_STATE", "CHANNEL_CALLSTATE",
    "CHANNEL_ANSWER", "CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE", "CHANNEL_EXECUTE",
    "CHANNEL_EXECUTE_COMPLETE", "CHANNEL_HOLD", "CHANNEL_UNHOLD", "CHANNEL_BRIDGE",
    "CHANNEL_UNBRIDGE", "CHANNEL_PROGRESS", "CHANNEL_PROGRESS_MEDIA", "CHANNEL_OUTGOING",
    "CHANNEL_PARK", "CHANNEL_UNPARK", "CHANNEL_APPLICATION", "CHANNEL_ORIGINATE", "CHANNEL_UUID",
    "API", "LOG", "INBOUND_CHAN", "OUTBOUND_CHAN", "STARTUP", "SHUTDOWN", "PUBLISH", "UNPUBLISH",
    "TALK", "NOTALK", "SESSION_CRASH", "MODULE_LOAD", "MODULE_UNLOAD", "DTMF", "MESSAGE",
    "PRESENCE_IN", "NOTIFY_IN", "PRESENCE_OUT", "PRESENCE_PROBE", "MESSAGE_WAITING",
    "MESSAGE_QUERY", "ROSTER", "CODEC", "BACKGROUND_JOB", "DETECTED_SPEECH", "DETECTED_TONE",
    "PRIVATE_COMMAND", "HEARTBEAT", "TRAP", "ADD_SCHEDULE", "DEL_SCHEDULE", "EXE_SCHEDULE",
    "RE_SCHEDULE", "RELOADXML", "NOTIFY", "PHONE_FEATURE", "PHONE_FEATURE_SUBSCRIBE",
    "SEND_MESSAGE", "RECV_MESSAGE", "REQUEST_PARAMS", "CHANNEL_DATA", "GENERAL", "COMMAND",
    "SESSION_HEARTBEAT", "CLIENT_DISCONNECTED", "SERVER_DISCONNECTED", "SEND_INFO", "RECV_INFO",
    "RECV_RTCP_MESSAGE", "SEND_RTCP_MESSAGE", "CALL_SECURE", "NAT", "RECORD_START", "RECORD_STOP",
    "PLAYBACK_START", "PLAYBACK_STOP", "CALL_UPDATE", "FAILURE", "SOCKET_DATA", "MEDIA_BUG_START",
    "MEDIA_BUG_STOP", "CONFERENCE_DATA_QUERY", "CONFERENCE_DATA", "CALL_SETUP_REQ",
    "CALL_SETUP_RESULT", "CALL_DETAIL", "DEVICE_STATE", "TEXT", "SHUTDOWN_REQUESTED", "ALL",
];

/// What begins the names of a channel's events; no module gives its own such a name.
const OF_A_CHANNEL: &str = "CHANNEL_";

/// Why a name is that of no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventNameError {
    /// Nothing.
    #[error("is missing; name an event such as CHANNEL_ANSWER")]
    Empty,
    /// Nearly that of an event.
    #[error("{name:?} is no event of FreeSWITCH; write {meant}")]
    Mistaken {
        /// What was written.
        name: String,
        /// The event that must be meant.
        meant: &'static str,
    },
    /// As if it were of a channel.
    #[error("{0:?} is no event of FreeSWITCH; write one such as CHANNEL_ANSWER or CHANNEL_HANGUP")]
    Unknown(String),
}

/// Refuses what no event is called. Any text may be the subclass of a module's own event, save
/// those that must be meant for an event of FreeSWITCH.
///
/// # Errors
/// What is wrong, and what to write.
pub fn check_event_name(name: &str) -> Result<(), EventNameError> {
    let upper = name.to_ascii_uppercase();
    let mistaken = |meant| EventNameError::Mistaken {
        name: name.to_owned(),
        meant,
    };
    match EVENT_NAMES.into_iter().find(|known| *known == upper) {
        _ if name.is_empty() => Err(EventNameError::Empty),
        Some(known) if known == name => Ok(()),
        Some(known) => Err(mistaken(known)),
        None if upper.starts_with(OF_A_CHANNEL) && !name.contains("::") => {
            let near = nearest(&upper, EVENT_NAMES.into_iter());
            Err(near.map_or_else(|| EventNameError::Unknown(name.to_owned()), mistaken))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_another_case_and_unknown_ones_of_channels_are_mistakes() {
        for name in [
            "CHANNEL_ANSWER",
            "CUSTOM",
            "conference::maintenance",
            "my_event",
        ] {
            assert_eq!(check_event_name(name), Ok(()));
        }
        for (name, told) in [
            ("channel_hold", "write CHANNEL_HOLD"),
            ("Dtmf", "write DTMF"),
            ("CHANNEL_ANSWR", "write CHANNEL_ANSWER"),
            ("channel_answr", "write CHANNEL_ANSWER"),
            ("CHANNEL_PARKED_BY_ME", "write one such as"),
            ("", "is missing"),
        ] {
            let error = check_event_name(name).unwrap_err().to_string();
            assert!(error.contains(told), "{name}: {error}");
        }
    }
}

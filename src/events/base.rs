//! The events that the gateway itself cannot do without.

use super::event_set::EventSet;

/// Names of events, or subclasses of `CUSTOM` ones.
const BASE: &[&[&str]] = &[
    // Sessions and calls are folded from them, and most verbs see their effect in one of them.
    &[
        "CHANNEL_CREATE",
        "CHANNEL_DESTROY",
        "CHANNEL_STATE",
        "CHANNEL_CALLSTATE",
        "CHANNEL_ANSWER",
        "CHANNEL_HANGUP",
        "CHANNEL_HANGUP_COMPLETE",
        "CHANNEL_EXECUTE",
        "CHANNEL_EXECUTE_COMPLETE",
        "CHANNEL_HOLD",
        "CHANNEL_UNHOLD",
        "CHANNEL_BRIDGE",
        "CHANNEL_UNBRIDGE",
        "CHANNEL_PROGRESS",
        "CHANNEL_PROGRESS_MEDIA",
        "CHANNEL_OUTGOING",
        "CHANNEL_PARK",
        "CHANNEL_UNPARK",
        "CHANNEL_APPLICATION",
        "CHANNEL_ORIGINATE",
        "CHANNEL_UUID",
        "CHANNEL_DATA",
    ],
    // They carry a channel's headers and tell of what is in no other event at that moment: a codec,
    // which can be the first event of a channel; the parties, when they are changed in a call.
    &["CODEC", "CALL_UPDATE"],
    // What the verbs for media wait for, and the other end of each.
    &[
        "DTMF",
        "PLAYBACK_START",
        "PLAYBACK_STOP",
        "RECORD_START",
        "RECORD_STOP",
        "MEDIA_BUG_START",
        "MEDIA_BUG_STOP",
    ],
    // Answering machine detection.
    &["avmd::start", "avmd::stop", "avmd::beep"],
    // The results of jobs.
    &["BACKGROUND_JOB"],
    // A node's load and its count of sessions; which applications it has.
    &["HEARTBEAT", "MODULE_LOAD", "MODULE_UNLOAD"],
];

/// The events that tracking, jobs and verbs need, whoever listens.
pub fn base_events() -> EventSet {
    EventSet::named(BASE.iter().copied().flatten().copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::EVENT_NAMES;

    #[test]
    fn every_event_of_a_channel_is_needed_and_each_name_is_one_of_freeswitch() {
        let base = base_events();
        for name in EVENT_NAMES
            .into_iter()
            .filter(|name| name.starts_with("CHANNEL_"))
        {
            assert!(base.contains(name, None), "{name}");
        }
        for name in BASE.iter().copied().flatten() {
            assert!(name.contains("::") || EVENT_NAMES.contains(name), "{name}");
        }
        assert!(!base.is_everything());
    }
}

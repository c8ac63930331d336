//! The inputs that broke other clients' tracking and quoting; the numbers are those of the list
//! they come from. 18 is among the faults: `input_18_...` in `faults/fill.rs`.

use switchgate::domain::{ChannelState, HangupCause, NodeId, SessionId};
use switchgate::esl::Event;
use switchgate::esl::quote::{Unquotable, uuid_setvar};
use switchgate::shutdown::Drain;
use switchgate::tracker::{Tracker, TrackerConfig};

const ID: &str = "d78b4930-c104-4804-a17c-0ac21e631e6c";

fn event(name: &str, state: &str, more: &str) -> Event {
    let text = format!(
        "Event-Name: {name}\nUnique-ID: {ID}\nChannel-State: {state}\nCall-Direction: outbound\n{more}\n"
    );
    Event::parse(text).unwrap()
}

fn tracker_after(events: &[Event]) -> std::sync::Arc<Tracker> {
    let tracker = Tracker::start(TrackerConfig::default(), &Drain::new());
    let node: NodeId = "a".parse().unwrap();
    for event in events {
        tracker.apply(&node, event);
    }
    tracker
}

#[tokio::test]
async fn input_14_states_come_before_create_and_after_destroy() {
    let begin = [
        event("CHANNEL_ORIGINATE", "CS_INIT", ""),
        event("CHANNEL_STATE", "CS_INIT", ""),
        event("CHANNEL_CREATE", "CS_INIT", ""),
    ];
    for order in [[0, 1, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let events = order.map(|at| begin[at].clone());
        let sessions = tracker_after(&events).sessions();
        assert_eq!(sessions.len(), 1, "{order:?}");
        assert_eq!(sessions[0].state, ChannelState::Init);
    }
    let end = [
        event("CHANNEL_CREATE", "CS_INIT", ""),
        event("CHANNEL_HANGUP", "CS_EXECUTE", "Hangup-Cause: USER_BUSY\n"),
        event(
            "CHANNEL_DESTROY",
            "CS_REPORTING",
            "Hangup-Cause: USER_BUSY\n",
        ),
        event("CHANNEL_STATE", "CS_DESTROY", ""),
        event("CHANNEL_STATE", "CS_EXECUTE", ""),
    ];
    let sessions = tracker_after(&end).sessions();
    assert_eq!(sessions.len(), 1);
    assert_eq!(
        sessions[0].hangup.unwrap().cause,
        Some(HangupCause::UserBusy)
    );
    assert!(!sessions[0].is_live() && sessions[0].state == ChannelState::Destroy);
}

#[tokio::test]
async fn input_15_call_uuid_changes_between_create_and_hangup() {
    let tracker = tracker_after(&[
        event("CHANNEL_CREATE", "CS_INIT", "variable_call_uuid: first\n"),
        event(
            "CHANNEL_ANSWER",
            "CS_EXECUTE",
            "variable_call_uuid: second\n",
        ),
        event("CHANNEL_STATE", "CS_EXECUTE", "Channel-Call-UUID: third\n"),
        event(
            "CHANNEL_HANGUP",
            "CS_EXECUTE",
            "variable_call_uuid: fourth\n",
        ),
    ]);
    let calls = tracker.calls();
    assert_eq!(
        calls.len(),
        1,
        "the leg is in one call, neither lost nor doubled"
    );
    let members: Vec<&str> = calls[0]
        .sessions
        .iter()
        .map(|session| session.id.as_str())
        .collect();
    assert_eq!(members, [ID]);
    assert!(tracker.call(&"first".parse().unwrap()).is_none());
}

#[test]
fn input_17_apostrophe_comma_brace_expansion_and_caret_in_a_variable() {
    let session: SessionId = ID.parse().unwrap();
    for value in ["O'Neil", "a,b", "}", "{", "^^:a:b", "O'Neil, \"Ann\" {x}"] {
        assert!(uuid_setvar(&session, "x", value).is_ok(), "{value}");
    }
    for value in ["${system(id)}", "$${x}", "a${b"] {
        assert_eq!(
            uuid_setvar(&session, "x", value),
            Err(Unquotable::Expansion),
            "{value}"
        );
    }
}

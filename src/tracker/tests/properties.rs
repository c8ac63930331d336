use std::borrow::Cow;

use proptest::prelude::*;

use super::super::*;
use crate::domain::{CallState, ChannelState, Direction, HangupCause};

const A: &str = "aaaaaaaa-0000-4000-8000-000000000000";
const B: &str = "bbbbbbbb-0000-4000-8000-000000000000";
const C: &str = "cccccccc-0000-4000-8000-000000000000";

fn event(name: &str, id: &str, more: &[(&str, &str)]) -> Event {
    let headers = [("Event-Name", name), ("Unique-ID", id)];
    let all = headers.iter().chain(more);
    Event::from_headers(all.map(|(name, value)| (*name, Cow::Borrowed(*value)))).unwrap()
}

fn state(id: &str, state: &str) -> Event {
    event("CHANNEL_STATE", id, &[("Channel-State", state)])
}

fn node(name: &str) -> NodeId {
    name.parse().unwrap()
}

fn id(text: &str) -> SessionId {
    text.parse().unwrap()
}

fn tracker() -> Arc<Tracker> {
    let config = TrackerConfig::default();
    Arc::new(Tracker::new(config))
}

fn fed(events: &[Event]) -> Arc<Tracker> {
    let tracker = tracker();
    for event in events {
        tracker.apply(&node("n"), event);
    }
    tracker
}

fn only(tracker: &Tracker) -> Arc<Session> {
    let sessions = tracker.sessions();
    assert_eq!(sessions.len(), 1);
    Arc::clone(&sessions[0])
}

/// What a client can see of a session, in one comparable text.
fn shown(session: &Session) -> String {
    let Session {
        id,
        call,
        direction,
        state,
        call_state,
        answered,
        parked,
        caller,
        destination,
        channel_name,
        times,
        hangup,
        peer,
        ..
    } = session;
    format!(
        "{id} {call} {direction:?} {state} {call_state} {answered} {parked} {caller:?} \
         {destination} {channel_name} {times:?} {hangup:?} {peer:?}"
    )
}

/// The first events of an outbound leg, which FreeSWITCH sends in any order.
fn beginnings() -> Vec<Event> {
    let common = [
        ("Channel-State", "CS_INIT"),
        ("Channel-Call-State", "DOWN"),
        ("Call-Direction", "outbound"),
        ("Channel-Name", "sofia/internal/a%40b"),
        ("Caller-Caller-ID-Number", "1000"),
        ("Caller-Destination-Number", "2000"),
        ("Caller-Channel-Created-Time", "1700000000000000"),
        ("Channel-Call-UUID", B),
    ];
    ["CHANNEL_CREATE", "CHANNEL_ORIGINATE", "CHANNEL_STATE"]
        .map(|name| event(name, A, &common))
        .into()
}

proptest! {
    #[test]
    fn the_first_events_make_the_same_session_in_any_order(events in Just(beginnings()).prop_shuffle()) {
        let session = only(&fed(&events));
        prop_assert_eq!(shown(&session), shown(&only(&fed(&beginnings()))));
        prop_assert_eq!(session.direction, Some(Direction::Outbound));
        prop_assert_eq!(session.call.as_str(), B);
    }

    /// Each leg is in exactly one call, whichever it says that it is in, and however often it
    /// changes its mind.
    #[test]
    fn a_call_that_changes_neither_loses_nor_doubles_a_leg(
        changes in prop::collection::vec((0..3usize, prop::option::of(0..4u8), prop::option::of(0..4u8), 0..8u8), 1..60)
    ) {
        let tracker = tracker();
        for (leg, tracked, channel, step) in changes {
            let name = match step {
                0 => "CHANNEL_HANGUP",
                1 => "CHANNEL_DESTROY",
                _ => "CHANNEL_STATE",
            };
            let (tracked, channel) = (tracked.map(|call| format!("call-{call}")), channel.map(|call| format!("call-{call}")));
            let mut more = vec![("Channel-State", "CS_EXECUTE")];
            more.extend(tracked.iter().map(|call| ("variable_call_uuid", call.as_str())));
            more.extend(channel.iter().map(|call| ("Channel-Call-UUID", call.as_str())));
            tracker.apply(&node("n"), &event(name, [A, B, C][leg], &more));

            let calls = tracker.calls();
            let members: usize = calls.iter().map(|call| call.sessions.len()).sum();
            prop_assert_eq!(members, tracker.sessions().len());
            for session in tracker.sessions() {
                let call = tracker.call(&session.call).expect("its call is known");
                prop_assert!(call.sessions.iter().any(|member| member.id == session.id));
            }
        }
    }

    /// A channel that is down never comes up again, whatever comes in whatever order.
    #[test]
    fn nothing_resurrects_a_session(
        after in prop::collection::vec((0..8usize, 0..8usize), 0..30)
    ) {
        let names = ["CHANNEL_CREATE", "CHANNEL_STATE", "CHANNEL_CALLSTATE", "CHANNEL_ANSWER", "CHANNEL_PARK", "CHANNEL_DESTROY", "CHANNEL_BRIDGE", "CHANNEL_EXECUTE"];
        let states = ["CS_INIT", "CS_NEW", "CS_ROUTING", "CS_EXECUTE", "CS_EXCHANGE_MEDIA", "CS_HANGUP", "CS_REPORTING", "CS_DESTROY"];
        let tracker = fed(&beginnings());
        tracker.apply(&node("n"), &event("CHANNEL_HANGUP", A, &[("Channel-State", "CS_HANGUP"), ("Hangup-Cause", "USER_BUSY")]));
        for (name, state) in after {
            let more = [("Channel-State", states[state]), ("Channel-Call-State", "ACTIVE"), ("Other-Leg-Unique-ID", B)];
            tracker.apply(&node("n"), &event(names[name], A, &more));
            let session = only(&tracker);
            prop_assert!(!session.is_live() && session.state.is_down() && !session.parked);
            prop_assert_eq!(session.peer.clone(), None);
            prop_assert_eq!(session.call_state, CallState::Hangup);
            prop_assert_eq!(session.hangup.and_then(|hangup| hangup.cause), Some(HangupCause::UserBusy));
        }
    }
}

#[test]
fn a_state_before_create_begins_a_session_and_the_last_state_does_not() {
    let tracker = fed(&[state(A, "CS_INIT"), beginnings().remove(0)]);
    assert!(only(&tracker).is_live());
    let destroyed = event("CHANNEL_DESTROY", A, &[("Channel-State", "CS_REPORTING")]);
    tracker.apply(&node("n"), &destroyed);
    tracker.apply(&node("n"), &state(A, "CS_DESTROY"));
    assert_eq!(only(&tracker).state, ChannelState::Destroy);
    // Also when it was forgotten meanwhile.
    let other = fed(&[state(A, "CS_DESTROY"), destroyed]);
    assert!(other.sessions().is_empty() && other.calls().is_empty());
}

#[test]
fn another_nodes_channel_of_the_same_id_does_not_touch_the_live_one() {
    let tracker = fed(&beginnings());
    let end = event("CHANNEL_DESTROY", A, &[("Channel-State", "CS_DESTROY")]);
    assert!(tracker.apply(&node("other"), &end).is_none());
    assert!(
        tracker
            .apply(&node("other"), &state(A, "CS_HANGUP"))
            .is_none()
    );
    assert!(only(&tracker).is_live());

    // After its end another node may have one of that id, and it is that node's.
    tracker.apply(&node("n"), &end);
    tracker.apply(&node("other"), &state(A, "CS_INIT"));
    let session = only(&tracker);
    assert!(session.is_live() && session.node == node("other"));
    let calls = tracker.calls();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].sessions.len(), 1);
}

#[test]
fn a_belated_unbridge_does_not_part_the_next_bridge() {
    let bridge = |one, other| {
        let more = [
            ("Channel-State", "CS_EXECUTE"),
            ("Other-Leg-Unique-ID", other),
        ];
        event("CHANNEL_BRIDGE", one, &more)
    };
    let unbridge = |one, other| {
        let more = [
            ("Channel-State", "CS_EXECUTE"),
            ("Other-Leg-Unique-ID", other),
        ];
        event("CHANNEL_UNBRIDGE", one, &more)
    };
    let tracker = fed(&[
        state(A, "CS_EXECUTE"),
        state(B, "CS_EXECUTE"),
        state(C, "CS_EXECUTE"),
        bridge(A, B),
        bridge(C, B),
        unbridge(A, B),
        unbridge(B, A),
    ]);
    let peer = |one| tracker.session(&id(one)).unwrap().peer.clone();
    assert_eq!((peer(B), peer(C)), (Some(id(C)), Some(id(B))));
    assert_eq!(peer(A), None);
    tracker.apply(&node("n"), &unbridge(C, B));
    assert_eq!((peer(B), peer(C)), (None, None));
}

#[test]
fn an_answer_older_than_the_last_event_changes_nothing() {
    let dump = |at, more: &[(&str, &str)]| {
        let common = [
            ("Channel-State", "CS_EXECUTE"),
            ("Event-Date-Timestamp", at),
        ];
        event("CHANNEL_DATA", A, &[&common, more].concat())
    };
    let answered = [
        ("Answer-State", "answered"),
        ("variable_current_application", "park"),
    ];
    let began = [
        ("Channel-State", "CS_EXECUTE"),
        ("Event-Date-Timestamp", "20"),
    ];
    let tracker = fed(&[event("CHANNEL_CREATE", A, &began)]);
    tracker.refresh(&node("n"), &dump("19", &answered));
    assert!(!only(&tracker).answered);
    tracker.refresh(&node("n"), &dump("20", &answered));
    assert!(only(&tracker).answered && only(&tracker).parked);
    // What is executed on a parked leg takes the place of `park` in the variable.
    let plays = [("variable_current_application", "playback")];
    tracker.refresh(&node("n"), &dump("21", &plays));
    assert!(only(&tracker).parked);
    tracker.refresh(
        &node("n"),
        &dump("21", &[("Caller-Destination-Number", "other")]),
    );
    assert!(!only(&tracker).parked);
    // Unknown and ended ones are not brought back.
    tracker.end_synthetic(&node("n"), &id(A), None);
    tracker.refresh(&node("n"), &dump("22", &answered));
    assert!(!only(&tracker).is_live());
    let empty = fed(&[]);
    empty.refresh(&node("n"), &dump("22", &answered));
    assert!(empty.sessions().is_empty());
}

#[tokio::test(start_paused = true)]
async fn ended_sessions_are_swept_after_their_retention_with_all_that_is_theirs() {
    let drain = Drain::new();
    let tracker = Tracker::start(TrackerConfig::default(), &drain);
    for event in beginnings() {
        tracker.apply(&node("n"), &event);
    }
    tracker.apply(&node("n"), &state(B, "CS_INIT"));
    tracker.end_synthetic(&node("n"), &id(A), Some(HangupCause::Crash));
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(tracker.sessions().len(), 2);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(only(&tracker).id, id(B));
    tracker.end_synthetic(&node("n"), &id(B), None);
    tokio::time::sleep(Duration::from_secs(62)).await;
    assert!(tracker.sessions().is_empty() && tracker.calls().is_empty());
    assert!(drain.finish(Duration::from_secs(1)).await);
}

#[test]
fn a_lost_node_ends_the_waits_for_it_alone() {
    let tracker = fed(&[state(A, "CS_INIT")]);
    let mut here = tracker.watch(&node("n"), &id(A), |_| None::<()>);
    let mut there = tracker.watch(&node("other"), &id(B), |_| None::<()>);
    tracker.node_lost(&node("n"));
    use futures_util::FutureExt as _;
    assert_eq!(here.seen().now_or_never(), Some(Err(WatchLost)));
    assert_eq!(there.seen().now_or_never(), None);
    drop((here, there));
    assert_eq!(tracker.watches(), 0);
}

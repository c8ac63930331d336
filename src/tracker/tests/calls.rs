//! Which sessions are a call.

use std::borrow::Cow;
use std::collections::BTreeMap;

use futures_util::FutureExt as _;
use proptest::prelude::*;

use super::super::*;
use crate::domain::CallId;

const LEGS: [&str; 4] = ["leg-a", "leg-b", "leg-c", "leg-d"];
const A: &str = LEGS[0];
const B: &str = LEGS[1];
const C: &str = LEGS[2];
const D: &str = LEGS[3];

fn node() -> NodeId {
    "n".parse().unwrap()
}

fn id(text: &str) -> SessionId {
    text.parse().unwrap()
}

fn tracker(call_variable: &str) -> Arc<Tracker> {
    Arc::new(Tracker::new(TrackerConfig {
        call_variable: call_variable.to_owned(),
        ..TrackerConfig::default()
    }))
}

fn event(name: &str, leg: &str, more: &[(&str, &str)]) -> Event {
    let own = [("Event-Name", name), ("Unique-ID", leg)];
    let state = [("Channel-State", "CS_EXECUTE")];
    let has_state = more.iter().any(|(name, _)| *name == "Channel-State");
    let all = own
        .iter()
        .chain(more)
        .chain(if has_state { &[][..] } else { &state });
    Event::from_headers(all.map(|(name, value)| (*name, Cow::Borrowed(*value)))).unwrap()
}

fn tell(tracker: &Tracker, name: &str, leg: &str, more: &[(&str, &str)]) {
    tracker.apply(&node(), &event(name, leg, more));
}

fn says(tracker: &Tracker, leg: &str, call: &str) {
    tell(
        tracker,
        "CHANNEL_STATE",
        leg,
        &[("Channel-Call-UUID", call)],
    );
}

fn call_of(tracker: &Tracker, leg: &str) -> String {
    tracker.session(&id(leg)).unwrap().call.to_string()
}

/// All calls by the legs in them.
fn calls(tracker: &Tracker) -> BTreeMap<String, Vec<String>> {
    let members = |call: Call| {
        let ids = call.sessions.iter().map(|session| session.id.to_string());
        (call.id.to_string(), ids.collect())
    };
    tracker.calls().into_iter().map(members).collect()
}

fn assert_whole(tracker: &Tracker) {
    let members: usize = tracker.calls().iter().map(|call| call.sessions.len()).sum();
    assert_eq!(
        members,
        tracker.sessions().len(),
        "no leg is lost or doubled"
    );
    for session in tracker.sessions() {
        let call = tracker.call(&session.call).expect("its call is known");
        assert!(call.sessions.iter().any(|member| member.id == session.id));
    }
    for node in ["n", "m"] {
        let node: NodeId = node.parse().unwrap();
        assert_eq!(tracker.live_count(&node), tracker.live_on(&node).len());
    }
}

#[test]
fn a_leg_that_rings_is_in_the_call_of_its_caller() {
    let tracker = tracker("call_uuid");
    says(&tracker, A, A);
    // CHANNEL_OUTGOING comes before FreeSWITCH gives the leg its caller's call.
    let caller = [
        ("Channel-Call-UUID", B),
        ("Other-Type", "originator"),
        ("Other-Leg-Unique-ID", A),
    ];
    tell(&tracker, "CHANNEL_OUTGOING", B, &caller);
    assert_eq!(call_of(&tracker, B), A);
    tell(
        &tracker,
        "CHANNEL_PROGRESS",
        B,
        &[("Channel-Call-UUID", B), ("variable_originator", A)],
    );
    assert_eq!(calls(&tracker).len(), 1);
    // Once it was bridged, FreeSWITCH's word counts.
    tell(
        &tracker,
        "CHANNEL_BRIDGE",
        A,
        &[("Channel-Call-UUID", A), ("Other-Leg-Unique-ID", B)],
    );
    assert_eq!(call_of(&tracker, B), A);
    tell(
        &tracker,
        "CHANNEL_STATE",
        B,
        &[("Channel-Call-UUID", B), ("variable_originator", A)],
    );
    assert_eq!(call_of(&tracker, B), B);
    assert_whole(&tracker);
}

#[test]
fn the_halves_of_a_loopback_channel_are_in_one_call_also_behind_a_caller() {
    let tracker = tracker("call_uuid");
    says(&tracker, A, A);
    // The inner half is told of first; C is the outer one, which A called.
    let inner = [
        ("Call-Direction", "inbound"),
        ("Channel-Call-UUID", D),
        ("variable_other_loopback_leg_uuid", C),
    ];
    tell(&tracker, "CHANNEL_CREATE", D, &inner);
    let outer = [
        ("Call-Direction", "outbound"),
        ("Channel-Call-UUID", C),
        ("variable_other_loopback_leg_uuid", D),
    ];
    tell(&tracker, "CHANNEL_CREATE", C, &outer);
    assert_eq!(
        (call_of(&tracker, C), call_of(&tracker, D)),
        (C.to_owned(), C.to_owned())
    );
    says(&tracker, C, A);
    assert_eq!(
        calls(&tracker),
        BTreeMap::from([(A.to_owned(), vec![A.into(), C.into(), D.into()])])
    );
    assert_whole(&tracker);
}

#[test]
fn a_name_that_is_a_sessions_means_the_call_of_that_session() {
    let tracker = tracker("call_uuid");
    says(&tracker, A, "order");
    says(&tracker, B, A);
    says(&tracker, C, B);
    assert_eq!(calls(&tracker).len(), 1);
    assert_eq!(call_of(&tracker, C), "order");
    // Those go along that are counted to it.
    says(&tracker, A, "other");
    assert_eq!(
        calls(&tracker),
        BTreeMap::from([("other".to_owned(), vec![A.into(), B.into(), C.into()])])
    );
    // One that is counted to nobody any more is alone, with its own behind it.
    says(&tracker, B, B);
    assert_eq!(
        (call_of(&tracker, A), call_of(&tracker, C)),
        ("other".to_owned(), B.to_owned())
    );
    assert_whole(&tracker);
}

#[test]
fn a_variable_of_ones_own_outweighs_freeswitchs_and_takes_partners_along() {
    let tracker = tracker("sip_h_X-Call");
    let own = [("variable_sip_h_X-Call", "order"), ("Channel-Call-UUID", A)];
    tell(&tracker, "CHANNEL_CREATE", A, &own);
    says(&tracker, B, B);
    tell(
        &tracker,
        "CHANNEL_BRIDGE",
        A,
        &[("Channel-Call-UUID", A), ("Other-Leg-Unique-ID", B)],
    );
    // Most events do not carry variables.
    says(&tracker, A, A);
    says(&tracker, B, A);
    assert_eq!(
        calls(&tracker),
        BTreeMap::from([("order".to_owned(), vec![A.into(), B.into()])])
    );
    assert_whole(&tracker);
}

#[test]
fn what_a_leg_says_when_it_ends_changes_nothing() {
    let tracker = tracker("call_uuid");
    says(&tracker, A, A);
    tell(
        &tracker,
        "CHANNEL_BRIDGE",
        A,
        &[("Channel-Call-UUID", A), ("Other-Leg-Unique-ID", B)],
    );
    says(&tracker, B, A);
    tell(&tracker, "CHANNEL_HANGUP", B, &[("Channel-Call-UUID", B)]);
    tell(
        &tracker,
        "CHANNEL_STATE",
        B,
        &[("Channel-Call-UUID", B), ("Channel-State", "CS_REPORTING")],
    );
    assert_eq!(calls(&tracker).len(), 1);
    // Nor does it go along with its partner any more.
    says(&tracker, A, "elsewhere");
    assert_eq!(call_of(&tracker, B), A);
    assert_whole(&tracker);
}

#[test]
fn events_older_than_an_answer_do_not_move_a_leg_back() {
    for variable in ["call_uuid", "order_id"] {
        let tracker = tracker(variable);
        let header = format!("variable_{variable}");
        let old = [("Event-Date-Timestamp", "10"), ("Channel-Call-UUID", A)];
        tell(&tracker, "CHANNEL_CREATE", A, &old);
        let channel = if variable == "call_uuid" { "order" } else { A };
        let dump = [
            ("Event-Date-Timestamp", "20"),
            (&*header, "order"),
            ("Channel-Call-UUID", channel),
        ];
        let taken = tracker
            .take_call(&node(), &event("CHANNEL_DATA", A, &dump))
            .unwrap();
        assert_eq!(taken.session.call.as_str(), "order");
        // Made before the answer, on its way behind it.
        let late = [
            ("Event-Date-Timestamp", "19"),
            ("Channel-Call-UUID", "before"),
            (&*header, "before"),
        ];
        tell(&tracker, "CHANNEL_EXECUTE", A, &late);
        assert_eq!(call_of(&tracker, A), "order", "{variable}");
        let bridge = [
            ("Event-Date-Timestamp", "19"),
            ("Other-Leg-Unique-ID", A),
            ("Channel-Call-UUID", B),
        ];
        tell(&tracker, "CHANNEL_BRIDGE", B, &bridge);
        assert_eq!(call_of(&tracker, A), "order", "{variable}");
        let new = [
            ("Event-Date-Timestamp", "21"),
            (&*header, "next"),
            ("Channel-Call-UUID", "next"),
        ];
        tell(&tracker, "CHANNEL_EXECUTE", A, &new);
        assert_eq!(call_of(&tracker, A), "next", "{variable}");
        // An answer that is older than the events says nothing.
        if variable == "call_uuid" {
            tracker.take_call(&node(), &event("CHANNEL_DATA", A, &dump));
            assert_eq!(call_of(&tracker, A), "next");
        }
        assert_whole(&tracker);
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_leg_is_known_for_as_long_as_the_call() {
    let drain = Drain::new();
    let tracker = Tracker::start(TrackerConfig::default(), &drain);
    let made = [
        ("Channel-Call-UUID", A),
        ("Caller-Channel-Created-Time", "1000000"),
    ];
    tell(&tracker, "CHANNEL_CREATE", A, &made);
    says(&tracker, B, A);
    says(&tracker, C, A);
    tracker.end_synthetic(&node(), &id(A), None);
    tokio::time::sleep(Duration::from_secs(62)).await;
    assert!(tracker.session(&id(A)).is_none());
    let call = tracker.call(&A.parse().unwrap()).unwrap();
    assert_eq!((call.first(), call.last()), (Some(&id(A)), Some(&id(C))));
    assert_eq!(call.order().0, 1_000_000);
    assert!(call.is_live());
    assert_whole(&tracker);
}

#[test]
fn who_follows_a_call_is_told_of_its_sessions_and_of_who_comes_and_goes() {
    let tracker = tracker("call_uuid");
    says(&tracker, A, A);
    let mut follow = tracker.follow_call(&A.parse::<CallId>().unwrap());
    assert!(follow.changed().now_or_never().is_none());
    let mut is_told = || follow.changed().now_or_never().is_some();
    says(&tracker, A, A);
    assert!(is_told() && !is_told());
    says(&tracker, B, B);
    assert!(!is_told(), "another call");
    says(&tracker, B, A);
    assert!(is_told(), "one came");
    tell(&tracker, "CHANNEL_BRIDGE", C, &[("Other-Leg-Unique-ID", B)]);
    assert!(is_told(), "one went, by the event of another");
    let ended = tracker.end_synthetic(&node(), &id(A), None).unwrap();
    tracker.show(&ended.session, &event("CHANNEL_HANGUP_COMPLETE", A, &[]));
    assert!(is_told());
    assert_eq!(tracker.followed_calls(), 1);
    drop(follow);
    assert_eq!(tracker.followed_calls(), 0);
}

/// Anything that happens to a leg: events in any order with whatever FreeSWITCH may say in them.
#[derive(Debug, Clone)]
enum Step {
    Says(usize, usize, bool),
    Called(usize, usize),
    Half(usize, usize),
    Bridge(usize, usize, usize),
    Unbridge(usize, usize),
    Answer(usize, usize),
    Hangup(usize),
    Destroy(usize),
    Gone(usize),
    Create(usize, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let leg = || 0..LEGS.len();
    let name = || 0..LEGS.len() + 2;
    prop_oneof![
        4 => (leg(), name(), any::<bool>()).prop_map(|(leg, call, tracked)| Step::Says(leg, call, tracked)),
        2 => (leg(), leg()).prop_map(|(leg, by)| Step::Called(leg, by)),
        2 => (leg(), leg()).prop_map(|(leg, half)| Step::Half(leg, half)),
        3 => (leg(), leg(), name()).prop_map(|(leg, peer, call)| Step::Bridge(leg, peer, call)),
        2 => (leg(), leg()).prop_map(|(leg, peer)| Step::Unbridge(leg, peer)),
        2 => (leg(), name()).prop_map(|(leg, call)| Step::Answer(leg, call)),
        1 => leg().prop_map(Step::Hangup),
        1 => leg().prop_map(Step::Destroy),
        1 => leg().prop_map(Step::Gone),
        2 => (leg(), any::<bool>()).prop_map(|(leg, there)| Step::Create(leg, there)),
    ]
}

fn take(tracker: &Tracker, step: &Step, at: usize) {
    let name = |call: usize| {
        LEGS.get(call)
            .copied()
            .unwrap_or(["order-1", "order-2"][call % 2])
    };
    let at = at.to_string();
    let at = ("Event-Date-Timestamp", &*at);
    match *step {
        Step::Says(leg, call, tracked) => {
            let header = if tracked {
                "variable_order"
            } else {
                "Channel-Call-UUID"
            };
            tell(
                tracker,
                "CHANNEL_EXECUTE",
                LEGS[leg],
                &[at, (header, name(call))],
            );
        }
        Step::Called(leg, by) => {
            let more = [
                at,
                ("Other-Type", "originator"),
                ("Other-Leg-Unique-ID", LEGS[by]),
            ];
            tell(tracker, "CHANNEL_OUTGOING", LEGS[leg], &more);
        }
        Step::Half(leg, half) => {
            let more = [
                at,
                ("Call-Direction", "inbound"),
                ("variable_other_loopback_leg_uuid", LEGS[half]),
            ];
            tell(tracker, "CHANNEL_CREATE", LEGS[leg], &more);
        }
        Step::Bridge(leg, peer, call) => {
            let more = [
                at,
                ("Other-Leg-Unique-ID", LEGS[peer]),
                ("Channel-Call-UUID", name(call)),
            ];
            tell(tracker, "CHANNEL_BRIDGE", LEGS[leg], &more);
        }
        Step::Unbridge(leg, peer) => {
            tell(
                tracker,
                "CHANNEL_UNBRIDGE",
                LEGS[leg],
                &[at, ("Other-Leg-Unique-ID", LEGS[peer])],
            );
        }
        Step::Answer(leg, call) => {
            let dump = [
                at,
                ("Channel-Call-UUID", name(call)),
                ("variable_order", name(call)),
            ];
            tracker.take_call(&node(), &event("CHANNEL_DATA", LEGS[leg], &dump));
        }
        Step::Hangup(leg) => tell(tracker, "CHANNEL_HANGUP", LEGS[leg], &[at]),
        Step::Destroy(leg) => tell(tracker, "CHANNEL_DESTROY", LEGS[leg], &[at]),
        Step::Gone(leg) => {
            tracker.end_synthetic(&node(), &id(LEGS[leg]), None);
        }
        Step::Create(leg, there) => {
            let node: NodeId = if there { "m" } else { "n" }.parse().unwrap();
            tracker.apply(&node, &event("CHANNEL_CREATE", LEGS[leg], &[at]));
        }
    }
}

proptest! {
    #[test]
    fn no_leg_is_ever_lost_or_doubled(
        steps in prop::collection::vec(step(), 1..80),
        variable in prop_oneof![Just("call_uuid"), Just("order")],
    ) {
        let tracker = tracker(variable);
        for (at, step) in steps.iter().enumerate() {
            take(&tracker, step, at);
            assert_whole(&tracker);
        }
    }
}

#[test]
fn legs_that_change_their_call_from_several_tasks_are_neither_lost_nor_doubled() {
    let tracker = tracker("call_uuid");
    for leg in LEGS {
        says(&tracker, leg, leg);
    }
    std::thread::scope(|scope| {
        for thread in 0..4_usize {
            let tracker = &tracker;
            scope.spawn(move || {
                for round in 0..2000 {
                    let leg = (round + thread) % LEGS.len();
                    take(
                        tracker,
                        &Step::Says(leg, (round / 3 + thread) % 6, false),
                        0,
                    );
                    take(tracker, &Step::Bridge(leg, (leg + 1) % LEGS.len(), leg), 0);
                }
            });
        }
    });
    assert_whole(&tracker);
}

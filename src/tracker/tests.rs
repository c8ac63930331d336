use std::borrow::Cow;

use super::*;

mod calls;
mod properties;

fn event(
    name: &'static str,
    session: &'static str,
    more: &[(&'static str, &'static str)],
) -> Event {
    let own = [("Event-Name", name), ("Unique-ID", session)];
    let state = ("Channel-State", "CS_EXECUTE");
    let has_state = more.iter().any(|(name, _)| *name == state.0);
    let headers = own.into_iter().chain((!has_state).then_some(state));
    let headers = headers.chain(more.iter().copied());
    Event::from_headers(headers.map(|(name, value)| (name, Cow::Borrowed(value)))).unwrap()
}

fn tracker() -> Arc<Tracker> {
    Tracker::start(TrackerConfig::default(), &Drain::new())
}

fn id<T: std::str::FromStr<Err = crate::domain::IdError>>(text: &str) -> T {
    text.parse().unwrap()
}

#[tokio::test]
async fn an_end_on_another_node_ends_no_live_session() {
    let tracker = tracker();
    let (here, there) = (id("here"), id("there"));
    tracker
        .apply(&here, &event("CHANNEL_CREATE", "x", &[]))
        .unwrap();
    let hangup = event("CHANNEL_HANGUP", "x", &[("Channel-State", "CS_HANGUP")]);
    assert!(tracker.apply(&there, &hangup).is_none());
    assert!(tracker.end_synthetic(&there, &id("x"), None).is_none());
    assert!(tracker.session(&id("x")).unwrap().is_live());
}

#[tokio::test]
async fn a_recovered_session_lives_again() {
    let tracker = tracker();
    let (here, there): (NodeId, NodeId) = (id("here"), id("there"));
    tracker
        .apply(&here, &event("CHANNEL_CREATE", "x", &[]))
        .unwrap();
    tracker.end_synthetic(&here, &id("x"), None).unwrap();
    // What is still on its way from the first life changes nothing.
    tracker.apply(&here, &event("CHANNEL_STATE", "x", &[]));
    assert!(!tracker.session(&id("x")).unwrap().is_live());
    for node in [here, there] {
        let again = tracker
            .apply(&node, &event("CHANNEL_CREATE", "x", &[]))
            .unwrap();
        assert!(again.session.is_live() && again.session.node == node);
        assert_eq!(tracker.calls().len(), 1);
        tracker.end_synthetic(&node, &id("x"), None).unwrap();
    }
}

#[tokio::test]
async fn an_answer_is_older_than_the_events_of_its_session() {
    let tracker = tracker();
    let node = id("a");
    let dump = event("CHANNEL_DATA", "x", &[]);
    assert!(tracker.adopt(&node, &dump).is_some());
    assert!(tracker.adopt(&node, &dump).is_none());
    tracker
        .apply(&node, &event("CHANNEL_DESTROY", "x", &[]))
        .unwrap();
    assert!(tracker.adopt(&node, &dump).is_none());
}

#[tokio::test]
async fn whoever_sees_a_bridge_finds_the_other_leg_bridged() {
    let tracker = tracker();
    let node = id("a");
    for session in ["x", "y"] {
        tracker
            .apply(&node, &event("CHANNEL_CREATE", session, &[]))
            .unwrap();
    }
    let mut both = tracker.watch(&node, &id("x"), |sight| {
        sight
            .session
            .peer
            .is_some()
            .then(|| Arc::clone(sight.session))
    });
    let bridge = event("CHANNEL_BRIDGE", "x", &[("Other-Leg-Unique-ID", "y")]);
    tracker.apply(&node, &bridge).unwrap();
    both.seen().await.unwrap();
    assert_eq!(tracker.session(&id("y")).unwrap().peer, Some(id("x")));
    assert_eq!(tracker.watches(), 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_follows_a_call_learns_that_the_last_of_it_was_forgotten() {
    let tracker = tracker();
    let node = id("a");
    for (name, state) in [
        ("CHANNEL_CREATE", "CS_INIT"),
        // The CHANNEL_DESTROY behind it never comes.
        ("CHANNEL_HANGUP", "CS_HANGUP"),
    ] {
        let event = event(name, "x", &[("Channel-State", state)]);
        tracker.apply(&node, &event).unwrap();
    }
    let mut follow = tracker.follow_call(&id("x"));
    tokio::time::advance(tracker.config.retention).await;
    tracker.sweep();
    assert!(tracker.call(&id("x")).is_none());
    let told = tokio::time::timeout(std::time::Duration::from_secs(1), follow.changed());
    told.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_others_keep_of_a_session_goes_when_nothing_is_told_of_it_any_more() {
    let tracker = tracker();
    let forgotten = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&forgotten);
    tracker.on_forget(move |id| lock(&told).push(id.clone()));
    let node = id("a");
    for name in ["CHANNEL_CREATE", "CHANNEL_DESTROY"] {
        tracker.apply(&node, &event(name, "x", &[])).unwrap();
    }
    tokio::time::advance(tracker.config.retention).await;
    tracker.sweep();
    // An event that the tracker took just before is perhaps on its way into the journal.
    assert!(tracker.session(&id("x")).is_none() && lock(&forgotten).is_empty());
    tracker.sweep();
    assert_eq!(*lock(&forgotten), [id("x")]);
}

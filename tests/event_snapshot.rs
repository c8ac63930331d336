//! Subscribe from a snapshot: what there is as of one cursor, and then all that comes.

use std::collections::{BTreeMap, HashSet};

use futures_util::future::join_all;
use switchgate::events::Cursor;
use switchgate::pb::subscribe_response::Message;
use switchgate::pb::{self, subscribe_start};
use tokio::sync::mpsc;
use tonic::Streaming;

use crate::client::*;
use crate::gateway::{Gateway, on_each, within};

/// How many are taken.
const SNAPSHOTS: usize = 12;

/// A snapshot, and the stream that follows it.
struct Followed {
    stream: Streaming<pb::SubscribeResponse>,
    cursor: String,
    nodes: Vec<pb::Node>,
    sessions: Vec<pb::Session>,
    calls: Vec<pb::Call>,
}

impl Followed {
    async fn begin(gateway: &Gateway, filter: pb::EventFilter) -> Self {
        let snapshot = subscribe_start::Position::Snapshot(pb::StartSnapshot {});
        let request = pb::SubscribeRequest {
            filter: Some(filter),
            start: Some(pb::SubscribeStart {
                position: Some(snapshot),
            }),
            ..Default::default()
        };
        let stream = within(gateway.events().subscribe(request)).await.unwrap();
        let mut followed = Self {
            stream: stream.into_inner(),
            cursor: String::new(),
            nodes: Vec::new(),
            sessions: Vec::new(),
            calls: Vec::new(),
        };
        loop {
            let response = followed.next().await;
            if followed.cursor.is_empty() {
                followed.cursor.clone_from(&response.cursor);
            }
            assert_eq!(
                response.cursor, followed.cursor,
                "all parts are as of one cursor"
            );
            match response.message.unwrap() {
                Message::Snapshot(part) => {
                    assert!(part.nodes.is_empty() || followed.sessions.is_empty());
                    assert!(part.sessions.is_empty() || followed.calls.is_empty());
                    followed.nodes.extend(part.nodes);
                    followed.sessions.extend(part.sessions);
                    followed.calls.extend(part.calls);
                }
                Message::SnapshotEnd(end) => {
                    let counts = [end.nodes, end.sessions, end.calls];
                    assert_eq!(counts.map(|count| count as usize), followed.counts());
                    return followed;
                }
                other => panic!("{other:?} before the end of the snapshot"),
            }
        }
    }

    fn counts(&self) -> [usize; 3] {
        [self.nodes.len(), self.sessions.len(), self.calls.len()]
    }

    async fn next(&mut self) -> pb::SubscribeResponse {
        within(self.stream.message()).await.unwrap().unwrap()
    }

    /// The cursors of all events up to the one with this tag.
    async fn events_until(&mut self, tag: &str) -> Vec<String> {
        let mut cursors = Vec::new();
        loop {
            if let Message::Events(batch) = self.next().await.message.unwrap() {
                for event in batch.events {
                    cursors.push(event.cursor);
                    if event.headers.get("X-Tag").is_some_and(|found| found == tag) {
                        return cursors;
                    }
                }
            }
        }
    }
}

fn position(cursor: &str) -> u64 {
    cursor.parse::<Cursor>().unwrap().position
}

async fn publish_marker(gateway: &Gateway, tag: &str) {
    let request = pb::PublishEventRequest {
        subclass: "test::marker".to_owned(),
        headers: map(&[("X-Tag", tag)]),
        ..Default::default()
    };
    within(gateway.events().publish_event(request))
        .await
        .unwrap();
}

/// What a reader who knows nothing but the events makes of a session.
#[derive(Debug, Default, PartialEq)]
struct Leg {
    is_hung_up: bool,
    is_parked: bool,
    application: String,
}

/// The sessions that begin among these events, as their events up to a position make them.
fn folded(events: &[pb::Event], end: u64) -> BTreeMap<&str, Leg> {
    let mut legs: BTreeMap<&str, Leg> = BTreeMap::new();
    let begun = events.iter().filter(|event| event.name == "CHANNEL_CREATE");
    let begun: HashSet<&str> = begun.map(|event| &*event.session_id).collect();
    for event in events {
        if !begun.contains(&*event.session_id) || position(&event.cursor) > end {
            continue;
        }
        let leg = legs.entry(&event.session_id).or_default();
        match &*event.name {
            "CHANNEL_HANGUP" => (leg.is_hung_up, leg.is_parked) = (true, false),
            "CHANNEL_PARK" => leg.is_parked = !leg.is_hung_up,
            "CHANNEL_UNPARK" => leg.is_parked = false,
            "CHANNEL_EXECUTE" => leg.application.clone_from(&event.headers["Application"]),
            _ => {}
        }
    }
    legs
}

#[tokio::test]
async fn a_snapshot_is_what_the_events_before_it_made_and_all_others_follow() {
    on_each(async |gateway| {
        let tag = tag();
        let mut undisturbed = Feed::from_now(&gateway).await;
        let (begun_tx, mut begun_rx) = mpsc::channel(SNAPSHOTS);
        // Each begins at another moment of the traffic that all of them make.
        let snapshots = join_all((0..SNAPSHOTS).map(async |at| {
            for _ in 0..=at / 2 {
                answered_and_gone(&gateway).await;
            }
            let mut followed = Followed::begin(&gateway, pb::EventFilter::default()).await;
            begun_tx.send(()).await.unwrap();
            let rest = followed.events_until(&tag).await;
            (followed, rest)
        }));
        let end = async {
            for _ in 0..SNAPSHOTS {
                within(begun_rx.recv()).await.unwrap();
            }
            publish_marker(&gateway, &tag).await;
        };
        let is_end = |event: &pb::Event| event.headers.get("X-Tag") == Some(&tag);
        let (snapshots, (), events) =
            tokio::join!(snapshots, end, undisturbed.events_until(is_end));
        let compared: usize = snapshots
            .iter()
            .map(|(snapshot, rest)| compare(snapshot, rest, &events))
            .sum();
        assert!(compared > 20, "{compared}");
        gateway
    })
    .await;
}

/// Holds a snapshot and what followed it to what one stream has told; says how many sessions were
/// compared.
fn compare(snapshot: &Followed, rest: &[String], events: &[pb::Event]) -> usize {
    let at = position(&snapshot.cursor);
    let told: BTreeMap<&str, &pb::Session> = snapshot
        .sessions
        .iter()
        .map(|session| (&*session.session_id, session))
        .collect();
    assert_eq!(told.len(), snapshot.sessions.len(), "none is told twice");
    let expected = folded(events, at);
    for (id, leg) in &expected {
        let session = told.get(id).unwrap_or_else(|| panic!("{id} is missing"));
        let application = session.last_application.as_ref();
        let shown = Leg {
            is_hung_up: session.hangup.is_some(),
            is_parked: session.parked,
            application: application.map(|one| one.name.clone()).unwrap_or_default(),
        };
        assert_eq!(shown, *leg, "{id} at {at}");
    }
    // Those whose first event comes later are not there yet.
    let later = events.iter().filter(|event| {
        position(&event.cursor) > at
            && event.name == "CHANNEL_CREATE"
            && !expected.contains_key(&*event.session_id)
    });
    for event in later {
        let began_before = events
            .iter()
            .any(|one| one.session_id == event.session_id && position(&one.cursor) <= at);
        assert!(
            began_before || !told.contains_key(&*event.session_id),
            "{event:?}"
        );
    }
    let calls = snapshot.calls.iter();
    let members: Vec<&pb::Session> = calls.flat_map(|call| &call.sessions).collect();
    assert_eq!(members.len(), told.len(), "each session is in one call");
    for member in members {
        let session = told[&*member.session_id];
        assert_eq!(
            (member.state, &member.call_id),
            (session.state, &session.call_id)
        );
    }
    let all: Vec<&String> = events
        .iter()
        .map(|event| &event.cursor)
        .filter(|cursor| position(cursor) > at)
        .collect();
    assert_eq!(rest.iter().collect::<Vec<_>>(), all, "behind {at}");
    expected.len()
}

async fn answered_and_gone(gateway: &Gateway) {
    let id = answered(gateway).await.session_id;
    hang_up(gateway, &id).await;
}

#[tokio::test]
async fn a_snapshot_has_what_the_filter_wants() {
    on_each(async |gateway| {
        let (one, other) = tokio::join!(answered(&gateway), answered(&gateway));
        let ids = |sessions: &[pb::Session]| -> Vec<String> {
            let sessions = sessions.iter();
            sessions.map(|session| session.session_id.clone()).collect()
        };
        let of_session = pb::EventFilter {
            session_ids: vec![one.session_id.clone()],
            // Of events alone.
            event_names: vec!["CHANNEL_DESTROY".to_owned()],
            ..Default::default()
        };
        let mut followed = Followed::begin(&gateway, of_session).await;
        assert_eq!(ids(&followed.sessions), [&*one.session_id]);
        assert_eq!(followed.nodes.len(), 1);
        assert_eq!(followed.nodes[0].state(), pb::NodeState::Ready);
        assert_eq!(followed.calls.len(), 1);
        let of_call = pb::EventFilter {
            call_ids: vec![other.call_id.clone()],
            ..Default::default()
        };
        let by_call = Followed::begin(&gateway, of_call).await;
        assert!(ids(&by_call.sessions).contains(&other.session_id));
        assert!(!ids(&by_call.sessions).contains(&one.session_id));
        assert_eq!(by_call.calls[0].call_id, other.call_id);
        let elsewhere = pb::EventFilter {
            node_ids: vec!["elsewhere".to_owned()],
            ..Default::default()
        };
        let nothing = Followed::begin(&gateway, elsewhere).await;
        assert_eq!(nothing.counts(), [0, 0, 0]);
        hang_up(&gateway, &other.session_id).await;
        hang_up(&gateway, &one.session_id).await;
        // Nothing of the other one, and no other event.
        loop {
            match followed.next().await.message.unwrap() {
                Message::Events(batch) => {
                    let event = &batch.events[0];
                    assert_eq!(event.session_id, one.session_id);
                    assert_eq!(event.name, "CHANNEL_DESTROY");
                    break;
                }
                Message::Checkpoint(_) => {}
                other => panic!("{other:?}"),
            }
        }
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_snapshot_of_many_sessions_comes_in_parts() {
    let gateway = Gateway::over_sim().await;
    // Each has an inbound leg too.
    join_all((0..150).map(|_| answered(&gateway))).await;
    let mut followed = Followed::begin(&gateway, pb::EventFilter::default()).await;
    assert_eq!(followed.nodes[0].tracked_sessions, 300);
    assert_eq!(followed.sessions.len(), 300);
    let tag = tag();
    publish_marker(&gateway, &tag).await;
    let events = followed.events_until(&tag).await;
    assert!(position(&events[0]) > position(&followed.cursor));
    gateway.stop().await;
}

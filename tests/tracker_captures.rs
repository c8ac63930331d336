//! All recordings through the tracker: what a real FreeSWITCH's calls come to.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::BytesMut;
use switchgate::domain::NodeId;
use switchgate::esl::{ContentType, Decoder, Event, Limits};
use switchgate::shutdown::Drain;
use switchgate::tracker::{Tracker, TrackerConfig};

use crate::recordings::{self, Recording};

/// What a reader that knows nothing of the tracker's rules makes of one channel's events.
#[derive(Debug, Default)]
struct Leg {
    /// Of CHANNEL_HANGUP_COMPLETE.
    cause: Option<String>,
    is_down: bool,
    parked: bool,
    answered: bool,
}

fn events(recording: &Recording) -> Vec<Event> {
    let mut decoder = Decoder::new(Limits::default());
    let mut buffer = BytesMut::from(&recording.stream()[..]);
    let mut events = Vec::new();
    while let Some(frame) = decoder.decode(&mut buffer).expect("recordings are frames") {
        match frame.content_type() {
            ContentType::EventPlain => events.push(Event::parse(frame.body()).unwrap()),
            ContentType::EventJson => events.push(Event::parse_json(frame.body()).unwrap()),
            _ => {}
        }
    }
    events
}

#[tokio::test(start_paused = true)]
async fn each_recordings_sessions_end_as_they_did_and_leave_nothing_behind() {
    let node: NodeId = "recorded".parse().unwrap();
    let (mut ended, mut bridges, mut renamed) = (0, 0, 0);
    for recording in recordings::all() {
        let drain = Drain::new();
        let tracker = Tracker::start(TrackerConfig::default(), &drain);
        let mut legs: BTreeMap<String, Leg> = BTreeMap::new();
        let mut former_ids = Vec::new();
        // The bridge that each leg is in, as its last BRIDGE or UNBRIDGE says.
        let mut peers: BTreeMap<String, String> = BTreeMap::new();
        for event in events(&recording) {
            tracker.apply(&node, &event);
            let Some(id) = event.text("Unique-ID").map(|id| id.into_owned()) else {
                continue;
            };
            let leg = legs.entry(id.clone()).or_default();
            leg.answered |= event.text("Answer-State").as_deref() == Some("answered");
            match &*event.name() {
                "CHANNEL_HANGUP_COMPLETE" => {
                    leg.cause = event.text("Hangup-Cause").map(|cause| cause.into_owned());
                }
                "CHANNEL_HANGUP" | "CHANNEL_DESTROY" => {
                    leg.is_down = true;
                    peers.retain(|one, other| *one != id && *other != id);
                }
                // Nothing more is told of the id that the leg had before.
                "CHANNEL_UUID" => {
                    let former = event.text("Old-Unique-ID").unwrap().into_owned();
                    legs.remove(&former);
                    former_ids.push(former);
                }
                "CHANNEL_PARK" => leg.parked = true,
                "CHANNEL_UNPARK" => leg.parked = false,
                "CHANNEL_BRIDGE" => {
                    bridges += 1;
                    let other = event.text("Other-Leg-Unique-ID").unwrap().into_owned();
                    peers.insert(id.clone(), other.clone());
                    peers.insert(other, id);
                }
                "CHANNEL_UNBRIDGE" => peers.retain(|one, other| *one != id && *other != id),
                _ => {}
            }
        }
        let name = &recording.name;
        for former in former_ids {
            let former = former.parse().unwrap();
            assert!(tracker.session(&former).is_none(), "{name}: {former}");
            renamed += 1;
        }
        for (id, leg) in &legs {
            let Some(session) = tracker.session(&id.parse().unwrap()) else {
                assert!(leg.is_down, "{name}: {id} lives and is unknown");
                continue;
            };
            assert_eq!(session.is_live(), !leg.is_down, "{name}: {id}");
            assert_eq!(session.parked, leg.parked && !leg.is_down, "{name}: {id}");
            assert!(session.answered || !leg.answered, "{name}: {id}");
            assert_eq!(
                session.peer.as_ref().map(|peer| peer.as_str()),
                peers.get(id).map(String::as_str),
                "{name}: {id}"
            );
            if let Some(cause) = &leg.cause {
                let hangup = session.hangup.expect("it was hung up");
                assert_eq!(
                    hangup.cause.expect("with a cause").name(),
                    cause,
                    "{name}: {id}"
                );
                assert!(session.final_event.is_some());
                ended += 1;
            }
            let call = tracker.call(&session.call).expect("its call is known");
            assert!(call.sessions.iter().any(|member| member.id == session.id));
        }
        for session in tracker.sessions() {
            tracker.end_synthetic(&session.node, &session.id, None);
        }
        tokio::time::sleep(Duration::from_secs(63)).await;
        assert!(
            tracker.sessions().is_empty() && tracker.calls().is_empty(),
            "{name}"
        );
        assert_eq!((tracker.watches(), tracker.expected()), (0, 0));
        assert!(drain.finish(Duration::from_secs(1)).await);
    }
    assert!(
        ended > 100 && bridges > 10 && renamed > 0,
        "{ended} ends, {bridges} bridges and {renamed} new ids were checked"
    );
}

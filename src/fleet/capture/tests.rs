use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;
use crate::domain::NodeId;
use crate::esl::{ContentType, Decoder, Event, EventSink as _, Limits};
use crate::events::{
    Entry, EventFilter, EventSet, HistoryConfig, Item, Journal, JournalConfig, SlowPolicy, Start,
    Wants,
};
use crate::fleet::Sinks;
use crate::fleet::fixtures::spec;
use crate::fleet::sink::NodeSink;
use crate::jobs::{Jobs, JobsConfig};
use crate::shutdown::Drain;
use crate::tracker::{Tracker, TrackerConfig};

/// One for each node; no session is in two of them.
const RECORDINGS: [&str; 3] = [
    "corpus_60_calls.server.raw.zst",
    "verbs_transfer.events.transcript.zst",
    "conference.events.transcript.zst",
];

fn events(name: &str) -> Vec<Event> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/captures")
        .join(name);
    let bytes = zstd::decode_all(std::fs::File::open(path).unwrap()).unwrap();
    let mut buffer = match name.contains(".raw.") {
        true => BytesMut::from(&bytes[..]),
        false => received(&bytes),
    };
    let mut decoder = Decoder::new(Limits::default());
    let mut events = Vec::new();
    while let Some(frame) = decoder.decode(&mut buffer).unwrap() {
        if frame.content_type() == ContentType::EventPlain {
            events.push(Event::parse(frame.body().clone()).unwrap());
        }
    }
    events
}

/// What FreeSWITCH wrote: records of the form `D T LEN\n`, LEN bytes, `\n`.
fn received(mut bytes: &[u8]) -> BytesMut {
    let mut received = BytesMut::new();
    while let Some(at) = memchr::memchr(b'\n', bytes) {
        let line = std::str::from_utf8(&bytes[..at]).unwrap();
        let length: usize = line.rsplit(' ').next().unwrap().parse().unwrap();
        let data = &bytes[at + 1..];
        if line.starts_with('<') {
            received.extend_from_slice(&data[..length]);
        }
        bytes = &data[length + 1..];
    }
    received
}

fn sinks(drain: &Drain) -> Sinks {
    let config = TrackerConfig {
        retention: Duration::from_secs(3600),
        ..TrackerConfig::default()
    };
    let journal = Journal::start(JournalConfig::default(), HistoryConfig::default(), drain);
    Sinks {
        tracker: Tracker::start(config, drain),
        jobs: Jobs::start(JobsConfig::default(), drain),
        wants: Wants::new(&EventSet::default(), Duration::ZERO, &journal),
        journal,
    }
}

/// What can be seen of everything, in one comparable text.
fn shown(sessions: &[Arc<Session>], calls: &[Call]) -> Vec<String> {
    let mut all: Vec<String> = sessions
        .iter()
        .map(|session| {
            let Session {
                id,
                node,
                call,
                direction,
                state,
                call_state,
                answered,
                parked,
                caller,
                callee,
                destination,
                times,
                hangup,
                peer,
                application,
                ..
            } = &**session;
            format!(
                "{id} {node} {call} {direction:?} {state} {call_state} {answered} {parked} \
                 {caller:?} {callee:?} {destination} {times:?} {hangup:?} {peer:?} {application:?}"
            )
        })
        .collect();
    all.extend(calls.iter().map(|call| {
        let members: Vec<_> = call.sessions.iter().map(|member| &member.id).collect();
        format!(
            "{} {:?} {:?} {members:?}",
            call.id,
            call.started(),
            call.ended()
        )
    }));
    all
}

/// Everything that the journal holds.
async fn entries(journal: &Arc<Journal>) -> Vec<(Cursor, Arc<Entry>)> {
    let end = journal.cursor();
    let silence = Duration::from_secs(3600);
    let filter = EventFilter::default();
    let mut reader = crate::events::Subscription::begin(
        journal,
        filter,
        Start::Earliest,
        SlowPolicy::End,
        u64::MAX,
        silence,
    )
    .unwrap();
    let mut all = Vec::new();
    while reader.cursor().position < end.position {
        if let Item::Events(events) = reader.next().await.unwrap() {
            all.extend(events);
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3, ..ProptestConfig::default() })]

    /// Under load from several nodes: a second tracker that is told what the journal holds up to
    /// the cursor of a capture knows exactly what the capture does, and so does it at the end.
    #[test]
    fn a_capture_is_what_the_events_before_its_cursor_make(seed: u64) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let drain = Drain::new();
        runtime.block_on(async {
            let sinks = sinks(&drain);
            let ids = ["1", "2", "3"];
            let fleet = Fleet::start(ids.map(spec).into(), &sinks, &drain);
            let is_over = AtomicBool::new(false);
            let captures = std::thread::scope(|scope| {
                let capturing = scope.spawn(|| {
                    let mut captures = Vec::new();
                    while !is_over.load(Ordering::Acquire) {
                        captures.push(fleet.capture());
                    }
                    captures
                });
                let feeding: Vec<_> = ids.iter().zip(RECORDINGS).map(|(id, recording)| {
                    let node = fleet.node(&id.parse().unwrap()).unwrap();
                    let mut sink = NodeSink::new(&node, &sinks);
                    scope.spawn(move || {
                        // Some events are lost, others each time.
                        let mut dice = seed | 1;
                        for event in events(recording) {
                            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                            if dice >> 60 > 0 {
                                sink.event(event);
                            }
                        }
                    })
                }).collect();
                feeding.into_iter().for_each(|one| one.join().unwrap());
                is_over.store(true, Ordering::Release);
                capturing.join().unwrap()
            });
            let last = fleet.capture();
            let second = Tracker::start(
                TrackerConfig { retention: Duration::from_secs(3600), ..TrackerConfig::default() },
                &drain,
            );
            let mut entries = entries(&sinks.journal).await.into_iter().peekable();
            let mut told = 0;
            for capture in captures.iter().chain([&last]) {
                let end = capture.cursor.position;
                while let Some((_, entry)) = entries.next_if(|(at, _)| at.position <= end) {
                    if let Entry::Event(record) = &*entry {
                        second.apply(&record.node, &record.event);
                        told += 1;
                    }
                }
                let expected = shown(&second.sessions(), &second.calls());
                assert_eq!(shown(&capture.sessions, &capture.calls), expected, "at {end}");
            }
            assert!(entries.next().is_none() && told > 1000, "{told}");
            assert_eq!(shown(&last.sessions, &last.calls), shown(&sinks.tracker.sessions(), &sinks.tracker.calls()));
            drain.finish(Duration::from_secs(5)).await;
        });
    }
}

#[tokio::test]
async fn a_node_that_is_being_removed_is_there_until_the_journal_tells_that_it_is_gone() {
    let drain = Drain::new();
    let sinks = sinks(&drain);
    let fleet = Fleet::start(vec![spec("1"), spec("2")], &sinks, &drain);
    let names = |capture: &Capture| -> Vec<NodeId> {
        let nodes = capture.nodes.iter();
        nodes.map(|(node, _)| node.id().clone()).collect()
    };
    assert_eq!(names(&fleet.capture()).len(), 2);
    fleet.remove(&"1".parse().unwrap(), false).await.unwrap();
    assert_eq!(names(&fleet.capture()), ["2".parse().unwrap()]);
    drain.finish(Duration::from_secs(5)).await;
}

/// Run by hand: `cargo test --release --lib capture -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "prints a time, which is the machine's; run by hand for docs/architecture.md"]
async fn how_long_events_wait_for_a_capture() {
    let drain = Drain::new();
    let sinks = sinks(&drain);
    let fleet = Fleet::start(vec![spec("1")], &sinks, &drain);
    let node = fleet.node(&"1".parse().unwrap()).unwrap();
    let mut sink = NodeSink::new(&node, &sinks);
    for _ in 0..10_000 {
        let id = crate::chance::uuid().to_string();
        let headers = [
            ("Event-Name", "CHANNEL_CREATE"),
            ("Core-UUID", "core"),
            ("Unique-ID", &*id),
            ("Channel-State", "CS_EXECUTE"),
        ];
        let headers = headers.map(|(name, value)| (name, value.into()));
        sink.event(Event::from_headers(headers).unwrap());
    }
    for _ in 0..5 {
        let began = Instant::now();
        let tracked = sinks.tracker.capture();
        let taken = began.elapsed();
        let ordered = tracked.in_order();
        println!(
            "{taken:?} to take, {:?} in all, {} sessions",
            began.elapsed(),
            ordered.0.len()
        );
    }
    drain.finish(Duration::from_secs(5)).await;
}

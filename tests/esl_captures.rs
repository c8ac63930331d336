//! All recordings decode to what `expected.json` says of them, in any chunking.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use serde::Deserialize;
use switchgate::esl::{ContentType, Decoder, Event, Frame, Limits};

use crate::recordings::{self, Recording};

/// What an independent reader counted in a recording.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
struct Census {
    content_types: BTreeMap<String, usize>,
    plain_events: BTreeMap<String, usize>,
    plain_headers: usize,
    plain_inner_body_bytes: usize,
    distinct_unique_ids: usize,
}

fn expected() -> BTreeMap<String, Census> {
    let text = std::fs::read(recordings::folder().join("expected.json"))
        .expect("the recordings come with expected.json");
    serde_json::from_slice(&text).expect("expected.json has the known form")
}

/// Decodes a stream that arrives in `chunks`.
fn decode<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Frame> {
    let mut decoder = Decoder::new(Limits::default());
    let mut buffer = BytesMut::new();
    let mut frames = Vec::new();
    for chunk in chunks {
        buffer.extend_from_slice(chunk);
        while let Some(frame) = decoder.decode(&mut buffer).expect("recordings are frames") {
            frames.push(frame);
        }
    }
    assert!(
        decoder.is_between_frames(&buffer),
        "the recording ends within a frame"
    );
    frames
}

fn census(frames: &[Frame]) -> Census {
    let mut census = Census::default();
    let mut unique_ids = BTreeSet::new();
    for frame in frames {
        let content_type = frame
            .headers()
            .text("Content-Type")
            .expect("a recorded frame has a type");
        *census
            .content_types
            .entry(content_type.into_owned())
            .or_default() += 1;
        if frame.content_type() != ContentType::EventPlain {
            continue;
        }
        let event = Event::parse(frame.body()).expect("a recorded event has a name");
        let name = match (event.name().as_ref(), event.subclass()) {
            ("CUSTOM", Some(subclass)) => format!("CUSTOM/{subclass}"),
            (name, _) => name.to_owned(),
        };
        *census.plain_events.entry(name).or_default() += 1;
        census.plain_headers += event.headers().len();
        census.plain_inner_body_bytes += event.body().len();
        if let Some(id) = event.text("Unique-ID") {
            unique_ids.insert(id.into_owned());
        }
    }
    census.distinct_unique_ids = unique_ids.len();
    census
}

/// Headers and body.
type Wire<'a> = (Vec<(&'a [u8], &'a [u8])>, &'a Bytes);

fn wire(frames: &[Frame]) -> Vec<Wire<'_>> {
    frames
        .iter()
        .map(|frame| (frame.headers().iter_raw().collect(), frame.body()))
        .collect()
}

fn for_each_recording(check: impl Fn(&Recording, &Census)) {
    let expected = expected();
    let recordings = recordings::all();
    let names: BTreeSet<&str> = recordings.iter().map(|r| r.name.as_str()).collect();
    for name in expected.keys() {
        assert!(names.contains(name.as_str()), "{name} is not in the folder");
    }
    for recording in &recordings {
        let census = expected
            .get(&recording.name)
            .unwrap_or_else(|| panic!("expected.json knows nothing of {}", recording.name));
        check(recording, census);
    }
}

#[test]
fn recordings_decode_whole() {
    for_each_recording(|recording, expected| {
        let stream = recording.stream();
        assert_eq!(
            &census(&decode([stream.as_slice()])),
            expected,
            "{}",
            recording.name
        );
    });
}

#[test]
fn recordings_decode_in_recorded_chunks() {
    for_each_recording(|recording, expected| {
        assert_eq!(
            &census(&decode(recording.received())),
            expected,
            "{}",
            recording.name
        );
    });
}

#[test]
fn recordings_decode_one_byte_at_a_time() {
    for_each_recording(|recording, expected| {
        let stream = recording.stream();
        assert_eq!(
            &census(&decode(stream.chunks(1))),
            expected,
            "{}",
            recording.name
        );
    });
}

#[test]
fn recordings_decode_in_any_chunking() {
    let recordings = recordings::all();
    let streams: Vec<Vec<u8>> = recordings.iter().map(Recording::stream).collect();
    let whole: Vec<Vec<Frame>> = streams.iter().map(|s| decode([s.as_slice()])).collect();
    let inputs = (
        0..streams.len(),
        // Small steps meet every boundary, large ones many frames at once.
        proptest::collection::vec(
            prop_oneof![1..8_usize, 1..600_usize, 1..70_000_usize],
            1..40,
        ),
    );
    proptest!(ProptestConfig::with_cases(256), |((at, steps) in inputs)| {
        let mut rest = streams[at].as_slice();
        let mut sizes = steps.iter().copied().cycle();
        let chunks = std::iter::from_fn(|| {
            let size = sizes.next()?.min(rest.len());
            let (chunk, behind) = rest.split_at(size);
            rest = behind;
            (size > 0).then_some(chunk)
        });
        let frames = decode(chunks);
        prop_assert!(wire(&frames) == wire(&whole[at]), "{} differs", recordings[at].name);
    });
}

#[test]
fn accessors_take_every_recorded_event() {
    for recording in recordings::all() {
        for frame in decode([recording.stream().as_slice()]) {
            let event = match frame.content_type() {
                ContentType::EventPlain => Event::parse(frame.body()),
                ContentType::EventJson => Event::parse_json(frame.body()),
                _ => continue,
            };
            let event = event.expect("a recorded event can be read");
            assert!(!event.name().is_empty());
            assert!(event.size() > event.body().len());
            assert!(event.number("Event-Sequence").is_some());
            let _ = (event.subclass(), event.filled("Unique-ID"));
            let headers = event.headers();
            let texts: Vec<_> = headers.iter_text().collect();
            assert_eq!(texts.len(), headers.len());
            assert_eq!(headers.is_empty(), texts.is_empty());
            for (name, _, replaced) in texts {
                assert!(!replaced, "{name} is not UTF-8");
                assert!(headers.raw(&name).is_some());
                assert_eq!(
                    headers.decoded(&name),
                    headers.decoded(&name.to_ascii_uppercase())
                );
            }
        }
    }
}

/// What the JSON says, name by name, is what the event says.
fn assert_same(event: &Event, json: &serde_json::Map<String, serde_json::Value>, from: &str) {
    for (name, value) in json {
        match value {
            serde_json::Value::String(text) if name == "_body" => {
                assert_eq!(event.body(), text.as_bytes(), "{from}: body");
            }
            serde_json::Value::String(text) => {
                assert_eq!(
                    event.text(name).as_deref(),
                    Some(text.as_str()),
                    "{from}: {name}"
                );
            }
            serde_json::Value::Array(items) => {
                let items: Vec<_> = items.iter().filter_map(|item| item.as_str()).collect();
                let array = format!("ARRAY::{}", items.join("|:"));
                assert_eq!(event.text(name), Some(array.into()), "{from}: {name}");
            }
            other => panic!("{from}: {name} is {other}"),
        }
    }
    // CODEC events have the same name twice, of which the map keeps one.
    let headers = json.keys().filter(|name| *name != "_body").count();
    assert!(event.headers().len() >= headers, "{from}");
}

#[test]
fn json_events_hold_the_values_of_their_json() {
    let mut seen = 0;
    for recording in recordings::all() {
        for frame in decode([recording.stream().as_slice()]) {
            // Events, and the answers to `uuid_dump ... json`.
            let object = match frame.content_type() {
                ContentType::EventJson | ContentType::ApiResponse => {
                    serde_json::from_slice::<serde_json::Map<_, _>>(frame.body())
                }
                _ => continue,
            };
            let Ok(object) = object else { continue };
            if !object.contains_key("Event-Name") {
                continue;
            }
            let event = Event::parse_json(frame.body()).expect("a recorded event can be read");
            assert_same(&event, &object, &recording.name);
            seen += 1;
        }
    }
    if std::env::var_os("SWITCHGATE_CAPTURES").is_none() {
        assert!(seen > 50, "only {seen} JSON events were compared");
    }
}

/// Events by their identity, which is the same for every listener.
fn by_identity(recording: &Recording) -> BTreeMap<(Option<String>, Option<u64>), Event> {
    let events = decode(recording.received())
        .into_iter()
        .filter_map(|frame| {
            let event = match frame.content_type() {
                ContentType::EventPlain => Event::parse(frame.body()),
                ContentType::EventJson => Event::parse_json(frame.body()),
                _ => return None,
            };
            let event = event.expect("a recorded event can be read");
            let core = event.text("Core-UUID").map(|id| id.into_owned());
            Some(((core, event.number("Event-Sequence")), event))
        });
    events.collect()
}

/// One call, heard by two listeners at once, one in each format: UTF-8 and what FreeSWITCH
/// encodes in values, an array, a body that looks like headers.
#[test]
fn plain_and_json_forms_of_one_event_are_alike() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats");
    let plain = by_identity(&recordings::read(&folder.join("plain.transcript.zst")));
    let json = by_identity(&recordings::read(&folder.join("json.transcript.zst")));
    let mut compared = 0;
    for (identity, event) in &json {
        let Some(other) = plain.get(identity) else {
            continue;
        };
        let texts = |event: &Event| -> Vec<(String, String)> {
            let texts = event.headers().iter_text();
            texts
                .map(|(name, value, _)| (name.into_owned(), value.into_owned()))
                .collect()
        };
        assert_eq!(texts(event), texts(other), "{identity:?}");
        assert_eq!(event.body(), other.body(), "{identity:?}");
        compared += 1;
    }
    assert!(compared >= 20, "only {compared} events are in both");
}

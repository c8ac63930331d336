use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;

use super::super::shared::{Chunks, Listed, Page, Run, Streamed};
use super::*;
use crate::esl::Event;
use crate::grpc::convert::to_event;
use crate::pb::{self, subscribe_response};

fn record(plain: Vec<u8>, synthetic: bool) -> Option<Record> {
    Some(Record {
        node: "fs1".parse().unwrap(),
        event: Event::parse(plain).ok()?,
        session: synthetic.then(|| "session".parse().unwrap()),
        call: synthetic.then(|| "call".parse().unwrap()),
        job: (!synthetic).then(|| "job".parse().unwrap()),
        synthetic,
    })
}

fn names() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "Event-Name",
        "event-name",
        "Core-UUID",
        "Event-Sequence",
        "Event-Subclass",
        "Event-Date-Timestamp",
        "Channel-State",
        "variable_a",
    ]);
    prop_oneof![
        4 => known.prop_map(|name| name.as_bytes().to_vec()),
        1 => "[A-Za-z_-]{1,12}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 1..6),
    ]
}

fn values() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        2 => "[A-Za-z0-9 ]{0,20}".prop_map(String::into_bytes),
        2 => "(%[0-9A-Fa-f]{2}|%|[a-z]|%[g-z]){0,8}".prop_map(String::into_bytes),
        1 => "[0-9]{1,19}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ]
}

prop_compose! {
    fn events()(
        name in prop_oneof![Just("CUSTOM"), Just("CHANNEL_ANSWER"), Just("100%25%FF")],
        headers in prop::collection::vec((names(), values()), 0..12),
        body in prop::collection::vec(any::<u8>(), 0..40),
        synthetic: bool,
    ) -> Option<Record> {
        let mut plain = format!("Event-Name: {name}\n").into_bytes();
        for (name, value) in headers {
            plain.extend_from_slice(&name);
            plain.extend_from_slice(b": ");
            plain.extend_from_slice(&value);
            plain.push(b'\n');
        }
        plain.extend_from_slice(format!("Content-Length: {}\n\n", body.len()).as_bytes());
        plain.extend_from_slice(&body);
        record(plain, synthetic)
    }
}

fn selections() -> impl Strategy<Value = Selection> {
    let names = prop::collection::vec("(Event-NAME|core-uuid|variable_a|X|[a-z_-]{1,12})", 0..4);
    prop_oneof![
        Just(Selection::All),
        Just(Selection::None),
        names.prop_map(|names| Selection::of_names(&names)),
    ]
}

fn batch(chunks: Vec<Bytes>) -> pb::EventBatch {
    pb::EventBatch::decode(&*chunks.concat()).unwrap()
}

/// Few enough for one page, every other slot of it.
fn chunks(events: &[Bytes]) -> Chunks {
    let (page, mut mask) = (Page::default(), 0);
    for (at, event) in events.iter().enumerate() {
        page.slots[2 * at + 1].set(event.clone()).unwrap();
        mask |= 1 << (2 * at + 1);
    }
    let len = events.iter().map(Bytes::len).sum();
    let page = Arc::new(page);
    Chunks::new(vec![Run { page, mask }], len)
}

proptest! {
    #[test]
    fn the_bytes_are_those_of_the_event(
        record in events(),
        selection in selections(),
        epoch: u64,
        position: u64,
    ) {
        // Some are no events at all.
        let Some(record) = record else { return Ok(()) };
        let cursor = Cursor { epoch, position };
        let mut encoder = Encoder::default();
        let bytes = encoder.encode(&record, cursor, &selection);
        let expected = to_event(&record, cursor, &selection);
        prop_assert_eq!(batch(vec![bytes]).events, vec![expected]);
    }

    #[test]
    fn responses_are_what_their_parts_say(
        records in prop::collection::vec(events(), 0..4),
        selection in selections(),
    ) {
        let mut encoder = Encoder::default();
        let mut encoded = Vec::new();
        let mut events = Vec::new();
        for (position, record) in (1..).zip(records.iter().flatten()) {
            let cursor = Cursor { epoch: 7, position };
            encoded.push(encoder.encode(record, cursor, &selection));
            events.push(to_event(record, cursor, &selection));
        }
        let streamed = Streamed::Events {
            cursor: "7.9".to_owned(),
            events: chunks(&encoded),
        };
        let bytes = streamed.encode_to_vec();
        prop_assert_eq!(bytes.len(), streamed.encoded_len());
        let expected = pb::SubscribeResponse {
            cursor: "7.9".to_owned(),
            message: Some(subscribe_response::Message::Events(pb::EventBatch {
                events: events.clone(),
            })),
        };
        prop_assert_eq!(pb::SubscribeResponse::decode(&*bytes).unwrap(), expected);

        let rest = pb::ListEventsResponse {
            events: Vec::new(),
            gaps: vec![pb::Gap { count: 3, ..pb::Gap::default() }],
            next_page_token: "next".to_owned(),
            cursor: "7.9".to_owned(),
        };
        let listed = Listed {
            events: chunks(&encoded),
            rest: rest.clone(),
        };
        let bytes = listed.encode_to_vec();
        prop_assert_eq!(bytes.len(), listed.encoded_len());
        let expected = pb::ListEventsResponse { events, ..rest };
        prop_assert_eq!(pb::ListEventsResponse::decode(&*bytes).unwrap(), expected);
    }
}

#[test]
fn of_two_headers_with_one_name_the_first_counts() {
    let plain = b"Event-Name: CODEC\nX: first\nX: %FF\nY: %FF\nY: second\n\n".to_vec();
    let record = record(plain, false).unwrap();
    let cursor = Cursor {
        epoch: 1,
        position: 2,
    };
    let mut encoder = Encoder::default();
    let mut encode = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let bytes = encoder.encode(&record, cursor, &Selection::of_names(&names));
        batch(vec![bytes]).events.remove(0)
    };
    let event = encode(&["x"]);
    assert_eq!(
        (&*event.headers["X"], event.headers_replaced),
        ("first", false)
    );
    let event = encode(&["Y"]);
    assert_eq!(
        (&*event.headers["Y"], event.headers_replaced),
        ("\u{fffd}", true)
    );
}

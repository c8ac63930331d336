use proptest::prelude::*;
use prost::Message as _;

use super::super::shared::{Chunks, Listed};
use super::*;
use crate::esl::Event;
use crate::grpc::convert::to_event;
use crate::pb;

fn record(plain: Vec<u8>, synthetic: bool) -> Option<Record> {
    Some(Record {
        node: "fs1".parse().unwrap(),
        event: Event::parse(plain).ok()?,
        session: synthetic.then(|| "session".parse().unwrap()),
        call: synthetic.then(|| "call".parse().unwrap()),
        job: (!synthetic).then(|| "job".parse().unwrap()),
        synthetic,
        owners: Default::default(),
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

fn batch(bytes: &Bytes) -> pb::EventBatch {
    pb::EventBatch::decode(&**bytes).unwrap()
}

proptest! {
    #[test]
    fn the_bytes_are_those_of_the_events(
        records in prop::collection::vec(events(), 1..5),
        selection in selections(),
        epoch: u64,
        first: u64,
    ) {
        let mut encoder = Encoder::default();
        let mut expected = Vec::new();
        // Some are no events at all.
        for (back, record) in (0..).zip(records.iter().flatten()) {
            let cursor = Cursor { epoch, position: first.wrapping_sub(back) };
            encoder.put(record, cursor, &selection);
            expected.insert(0, to_event(record, cursor, &selection));
        }
        let len = encoder.len();
        let bytes = encoder.take();
        prop_assert_eq!((bytes.len(), encoder.len()), (len, 0));
        prop_assert_eq!(batch(&bytes).events, expected.clone());

        let rest = pb::ListEventsResponse {
            events: Vec::new(),
            gaps: vec![pb::Gap { count: 3, ..pb::Gap::default() }],
            next_page_token: "next".to_owned(),
            cursor: "7.9".to_owned(),
        };
        let at = len / 2;
        let listed = Listed {
            events: Chunks { pieces: vec![bytes.slice(..at), bytes.slice(at..)], len },
            rest: rest.clone(),
        };
        let bytes = listed.encode_to_vec();
        prop_assert_eq!(bytes.len(), listed.encoded_len());
        let expected = pb::ListEventsResponse { events: expected, ..rest };
        prop_assert_eq!(pb::ListEventsResponse::decode(&*bytes).unwrap(), expected);
    }
}

#[test]
fn any_length_of_a_line_is_told() {
    let mut encoder = Encoder::default();
    for length in (0..300).chain([16_000, 16_400, 70_000]) {
        for plain in [
            format!("N: {}", "v".repeat(length)),
            format!("{}:v", "n".repeat(length)),
        ] {
            let plain = format!("Event-Name: CUSTOM\n{plain}\n\n").into_bytes();
            let record = record(plain, false).unwrap();
            let cursor = Cursor {
                epoch: 1,
                position: 2,
            };
            encoder.put(&record, cursor, &Selection::All);
            let expected = to_event(&record, cursor, &Selection::All);
            assert_eq!(batch(&encoder.take()).events, [expected]);
        }
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
        encoder.put(&record, cursor, &Selection::of_names(&names));
        batch(&encoder.take()).events.remove(0)
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

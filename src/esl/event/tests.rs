use proptest::prelude::*;

use super::*;

fn event(text: impl AsRef<[u8]>) -> Event {
    Event::parse(text).unwrap()
}

fn json(text: &str) -> Event {
    Event::parse_json(text.as_bytes()).unwrap()
}

#[test]
fn inner_length_decides_the_body_as_far_as_it_is_there() {
    for (length, body) in [
        ("3", "abc"),
        ("5", "abcde"),
        ("9", "abcde"),
        ("0", ""),
        ("x", ""),
        ("-1", ""),
    ] {
        let event = event(format!(
            "Event-Name: CUSTOM\nContent-Length: {length}\n\nabcde"
        ));
        assert_eq!(event.body(), body.as_bytes(), "{length}");
    }
    assert_eq!(event("Event-Name: CUSTOM\n\nabcde").body(), b"");
    assert_eq!(event("Event-Name: CUSTOM\nContent-Length: 5").body(), b"");
}

/// A `content-length` that a client of `sendevent` chose stands before the one that
/// `switch_event_serialize` writes last.
#[test]
fn last_inner_length_is_freeswitchs_own() {
    let event = event("content-length: 2\nEvent-Name: CUSTOM\nContent-Length: 5\n\nabcde");
    assert_eq!(event.body(), b"abcde");
}

#[test]
fn body_may_look_like_headers() {
    let event = event(
        "Event-Name: BACKGROUND_JOB\nContent-Length: 33\n\nEvent-Name: FORGED\nUnique-ID: 1\n\n",
    );
    assert_eq!(event.name(), "BACKGROUND_JOB");
    assert_eq!(event.headers().len(), 2);
    assert_eq!(event.body(), b"Event-Name: FORGED\nUnique-ID: 1\n\n");
}

#[test]
fn event_without_a_name_is_none() {
    for text in ["", "\n", "Unique-ID: 1\n\n", "\n\nEvent-Name: X\n"] {
        assert_eq!(Event::parse(text).unwrap_err(), EventError::Nameless);
    }
    assert_eq!(Event::parse_json(b"{}").unwrap_err(), EventError::Nameless);
}

#[test]
fn json_that_is_no_object_of_strings_is_refused() {
    for text in [
        "",
        "[]",
        "\"x\"",
        "{\"Event-Name\":\"X\"",
        "{\"Event-Name\":{}}",
        "null",
    ] {
        let error = Event::parse_json(text.as_bytes()).unwrap_err();
        assert!(matches!(error, EventError::Json(_)), "{text}: {error}");
    }
}

#[test]
fn json_keeps_the_order_of_the_wire_and_the_first_of_a_double_counts() {
    let event = json(r#"{"Event-Name":"CODEC","b":"1","a":"2","B":"3","a":"4"}"#);
    let names: Vec<_> = event
        .headers()
        .iter_text()
        .map(|(name, ..)| name.into_owned())
        .collect();
    assert_eq!(names, ["Event-Name", "b", "a", "B", "a"]);
    assert_eq!(event.text("A").as_deref(), Some("2"));
}

#[test]
fn json_arrays_take_the_plain_form() {
    let event = json(r#"{"Event-Name":"X","variable_a":["x:y","","z|:"]}"#);
    assert_eq!(
        event.text("variable_a").as_deref(),
        Some("ARRAY::x:y|:|:z|:")
    );
}

#[test]
fn json_cannot_forge_a_header_by_value_or_name() {
    let event = json(
        r#"{"Event-Name":"X","a":"1\nUnique-ID: forged","b\nUnique-ID: forged":"2","Unique-ID: forged":"3","\n\nUnique-ID":"4","c:":"5"}"#,
    );
    assert_eq!(event.text("Unique-ID"), None);
    assert_eq!(event.headers().len(), 6);
    assert_eq!(event.text("a").as_deref(), Some("1\nUnique-ID: forged"));
    assert_eq!(event.text("c:").as_deref(), Some("5"));
}

/// FreeSWITCH prints bytes that are not UTF-8 raw, and they take more room once replaced.
#[test]
fn json_body_is_whole_whatever_its_length_says() {
    for (body, expected) in [("caf\u{e9}!", "café!"), ("", "")] {
        let text = format!(r#"{{"Event-Name":"X","Content-Length":"1","_body":"{body}"}}"#);
        assert_eq!(json(&text).body(), expected.as_bytes());
    }
    let latin_1 = b"{\"Event-Name\":\"X\",\"Content-Length\":\"5\",\"_body\":\"caf\xe9!\"}";
    let event = Event::parse_json(latin_1).unwrap();
    assert_eq!(event.body(), "caf\u{fffd}!".as_bytes());
    assert_eq!(
        event.number("Content-Length"),
        Some(event.body().len() as u64)
    );
}

#[test]
fn from_headers_round_trips_what_freeswitch_would_encode() {
    let value = "a: b\n\r%0A grüß \"#&+;<=>?@[\\]^`{|}";
    let event = Event::from_headers([("Event-Name", "X".into()), ("v", value.into())]).unwrap();
    assert_eq!(event.text("v").as_deref(), Some(value));
}

#[test]
fn headers_in_front_replace_those_of_the_event_and_nothing_else() {
    let event =
        event("Event-Name: CHANNEL_DATA\nCore-UUID: c\nv: a%3Ab\nodd: %zz\nContent-Length: 1\n\nx");
    let renamed = event
        .with_headers(&[("Event-Name", "CHANNEL_CREATE"), ("Why", "a: b")])
        .unwrap();
    let headers: Vec<_> = renamed.headers().iter_raw().collect();
    let expected: [(&[u8], &[u8]); 5] = [
        (b"Event-Name", b"CHANNEL_CREATE"),
        (b"Why", b"a%3A%20b"),
        (b"Core-UUID", b"c"),
        (b"v", b"a%3Ab"),
        (b"odd", b"%zz"),
    ];
    assert_eq!(headers, expected);
    assert!(renamed.body().is_empty());
}

#[test]
fn empty_value_is_not_filled() {
    let event = event("Event-Name: X\na: \nb: _undef_\nc: 7\n\n");
    assert_eq!(event.filled("a"), None);
    assert_eq!(event.filled("c").as_deref(), Some("7"));
    // `switch_event_serialize` writes an empty value as this word.
    assert_eq!(event.filled("b"), None);
    assert_eq!(event.text("b").as_deref(), Some("_undef_"));
    assert_eq!((event.number("c"), event.number("b")), (Some(7), None));
}

proptest! {
    #[test]
    fn any_bytes_are_an_event_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Event::parse_json(&bytes);
        let mut named = b"Event-Name: X\n".to_vec();
        named.extend_from_slice(&bytes);
        for bytes in [bytes, named] {
            if let Ok(event) = Event::parse(bytes) {
                let _ = (event.name(), event.subclass(), event.number("Content-Length"), event.size());
                prop_assert!(event.headers().iter_text().count() > 0);
            }
        }
    }

    #[test]
    fn json_and_plain_forms_say_the_same(
        pairs in proptest::collection::btree_map("[A-Za-z_-]{1,12}:?", "\\PC{0,20}\n?", 0..10),
        body in "\\PC{0,40}",
    ) {
        let pairs: Vec<_> = pairs.into_iter().filter(|(name, _)| !name.eq_ignore_ascii_case("_body")
            && !name.eq_ignore_ascii_case("content-length") && !name.eq_ignore_ascii_case("event-name")).collect();
        let mut object: serde_json::Map<_, _> = pairs.iter().map(|(n, v)| (n.clone(), v.clone().into())).collect();
        object.insert("Event-Name".into(), "X".into());
        object.insert("_body".into(), body.clone().into());
        let from_json = Event::parse_json(serde_json::Value::Object(object).to_string().as_bytes()).unwrap();
        let headers = pairs.iter().map(|(n, v)| (n.as_str(), v.as_str().into()));
        let plain = Event::from_headers(headers.chain([("Event-Name", "X".into())])).unwrap();
        for (name, value) in plain.headers().iter_raw() {
            let name = std::str::from_utf8(name).unwrap();
            prop_assert_eq!(from_json.headers().iter_raw().find(|(n, _)| *n == name.as_bytes()), Some((name.as_bytes(), value)));
        }
        prop_assert_eq!(from_json.body(), body.as_bytes());
    }

    #[test]
    fn decimals_are_read_as_numbers(value in prop_oneof![
        "[0-9]{0,22}", "[0-9/:a+]{0,10}", "[0-9]{7}\\PC", Just("18446744073709551616".to_owned()),
    ]) {
        let number = value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse().ok());
        prop_assert_eq!(decimal(value.as_bytes()), number.flatten());
    }
}

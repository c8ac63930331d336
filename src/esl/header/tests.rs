use proptest::prelude::*;

use super::*;

fn headers(text: impl AsRef<[u8]>) -> Headers {
    Headers::new(text.as_ref())
}

#[test]
fn lookup_ignores_case_and_the_first_of_a_double_counts() {
    let headers =
        headers("Channel-Read-Codec-Bit-Rate: 64000\nchannel-read-codec-bit-rate: 8000\n\n");
    assert_eq!(headers.len(), 2);
    for name in ["Channel-Read-Codec-Bit-Rate", "CHANNEL-READ-CODEC-BIT-RATE"] {
        assert_eq!(headers.text(name).as_deref(), Some("64000"));
    }
    let both: Vec<_> = headers.iter_raw().map(|(_, value)| value).collect();
    assert_eq!(both, [b"64000".as_slice(), b"8000"]);
}

#[test]
fn names_may_hold_a_colon() {
    let headers =
        headers("variable_a:b: c%3Ad\nvariable_x::y: z\nbare:value\nempty:\nvoid: \n: nameless\n");
    let all: Vec<_> = headers
        .iter_text()
        .map(|(name, value, _)| format!("{name}={value}"))
        .collect();
    assert_eq!(
        all,
        [
            "variable_a:b=c:d",
            "variable_x::y=z",
            "bare=value",
            "empty=",
            "void=",
            "=nameless"
        ]
    );
}

#[test]
fn value_may_hold_a_second_colon_and_space() {
    let headers = headers("Reply-Text: -ERR invalid session id [a: b]\n\n");
    assert_eq!(
        headers.raw("Reply-Text"),
        Some(&b"-ERR invalid session id [a: b]"[..])
    );
}

#[test]
fn line_without_a_colon_is_no_header() {
    let headers = headers("nothing\nA: 1\nnor this\n\nB: 2\n");
    assert_eq!(headers.len(), 1);
    assert_eq!(headers.block_len(), 23);
    assert_eq!(headers.raw("B"), None, "it is behind the empty line");
}

#[test]
fn encoded_line_feed_cannot_forge_a_header() {
    let headers = headers("variable_x: a%0AUnique-ID: forged%0A%0Abody\nUnique-ID: true\n\n");
    assert_eq!(headers.text("Unique-ID").as_deref(), Some("true"));
    assert_eq!(
        headers.text("variable_x").as_deref(),
        Some("a\nUnique-ID: forged\n\nbody")
    );
}

#[test]
fn decoding_is_lenient_and_never_loses_a_byte_that_is_not_encoded() {
    for (raw, decoded) in [
        ("gr%C3%BC%c3%9f", "grüß"),
        ("a+b", "a+b"),
        ("100%", "100%"),
        ("%zz%4", "%zz%4"),
        ("%2525", "%25"),
        ("", ""),
    ] {
        let headers = headers(format!("A: {raw}\n"));
        assert_eq!(headers.text("a").as_deref(), Some(decoded), "{raw}");
    }
}

#[test]
fn latin_1_is_kept_as_bytes_and_replaced_in_text() {
    let headers = headers("A: caf%E9\nB: caf%C3%A9\n\n");
    assert_eq!(headers.decoded("A").as_deref(), Some(&b"caf\xe9"[..]));
    assert_eq!(headers.text("A").as_deref(), Some("caf\u{fffd}"));
    let replaced: Vec<_> = headers.iter_text().map(|(.., replaced)| replaced).collect();
    assert_eq!(replaced, [true, false]);
}

proptest! {
    #[test]
    fn any_bytes_can_be_read_and_asked(bytes in proptest::collection::vec(
        prop_oneof![Just(b'\n'), Just(b':'), Just(b' '), Just(b'%'), any::<u8>()], 0..200)) {
        let headers = headers(&bytes);
        prop_assert!(headers.block_len() <= bytes.len());
        prop_assert_eq!(headers.iter_text().count(), headers.len());
        for (name, value) in headers.iter_raw() {
            prop_assert!(!value.contains(&b'\n') && !name.contains(&b'\n'));
            if let Ok(name) = std::str::from_utf8(name) {
                let mut first = headers.iter_raw();
                let first = first.find(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()));
                prop_assert_eq!(headers.raw(name), first.map(|(_, value)| value));
            }
        }
    }

    #[test]
    fn lines_come_back_as_written(lines in proptest::collection::vec(("[a-zA-Z_:.()~,-]{1,20}", "[ -~]{0,30}"), 0..20)) {
        let text: String = lines.iter().map(|(name, value)| format!("{name}: {}\n", value.replace(':', "%3A"))).collect();
        let headers = headers(text);
        let back: Vec<_> = headers.iter_raw().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
        let wrote: Vec<_> = lines.iter().map(|(n, v)| (n.as_bytes().to_vec(), v.replace(':', "%3A").into_bytes())).collect();
        prop_assert_eq!(back, wrote);
    }

    #[test]
    fn lines_are_given_from_the_first_one_on_that_begins_so(
        before in "(a: [av_]{0,3}\n){0,3}", rest in "(v_[ab]: [av_]?\n(a: v_\n)?){0,3}",
    ) {
        let headers = headers(format!("{before}{rest}"));
        prop_assert_eq!(headers.from_line(b"v_"), rest.as_bytes());
    }
}

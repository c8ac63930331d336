//! Arbitrary bytes as an event, plain and JSON, and as an answer.

#![no_main]

use libfuzzer_sys::fuzz_target;
use switchgate::esl::{Event, Outcome};

fuzz_target!(|data: &[u8]| {
    if let Ok(event) = Event::parse(data) {
        ask(&event);
    }
    if let Ok(event) = Event::parse_json(data) {
        ask(&event);
    }
    let outcome = Outcome::parse(data);
    let _ = (outcome.is_success(), outcome.to_string());
});

fn ask(event: &Event) {
    let headers = event.headers();
    let _ = (
        event.name(),
        event.subclass(),
        event.number("Event-Sequence"),
    );
    assert!(event.size() >= event.body().len());
    assert!(!headers.is_empty());
    assert_eq!(headers.iter_raw().count(), headers.len());
    for ((name, raw), (text_name, ..)) in headers.iter_raw().zip(headers.iter_text()) {
        assert!(!name.contains(&b'\n') && !raw.contains(&b'\n'));
        let Ok(name) = std::str::from_utf8(name) else {
            continue;
        };
        assert_eq!(name, text_name);
        // Of doubles the first counts.
        let first = headers
            .iter_raw()
            .find(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()));
        assert_eq!(headers.raw(name), first.map(|(_, value)| value));
        assert!(headers.decoded(name).is_some() && headers.text(name).is_some());
        let _ = (event.filled(name), event.number(name));
    }
}

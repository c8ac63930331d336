//! Strings that are meant to become more than a string.

use std::collections::BTreeSet;

const KNOWN: &[&str] = include!("../hostile_strings.rs");

/// What an attacker wants to happen: a variable of this name, or the end of somebody else's call.
pub(super) const CANARY: &str = "injected";

/// What ends or opens something for FreeSWITCH or for ESL.
const FRAMES: [(&str, &str); 30] = [
    ("", ""),
    ("\n", ""),
    ("\n\n", ""),
    ("\r\n\r\n", "\r\n\r\n"),
    ("\r", "\r"),
    ("\0", ""),
    ("a\n\n", "\n\n"),
    ("%0A%0A", ""),
    ("%0d%0a%0d%0a", "%0d%0a"),
    ("\\n\\n", "\\n"),
    ("'", "'"),
    ("' ", " '"),
    ("\"", "\""),
    ("\\'", "\\'"),
    (",", ""),
    (",", ","),
    ("}", "{"),
    ("]", "["),
    (">", "<"),
    ("'}", "{'"),
    (";", ";"),
    ("|", "|"),
    ("|:", "|:"),
    (":_:", ":_:"),
    ("^^:", ":"),
    ("&", ""),
    (" ", " "),
    ("\u{b}", "\u{b}"),
    ("!", "!"),
    ("~", "~"),
];

/// What stands between them.
const PAYLOADS: [&str; 8] = [
    "injected=1",
    "{injected=1}",
    "[injected=1]",
    "<injected=1>",
    "set:injected=1",
    "api hupall",
    "execute-app-name: set\nexecute-app-arg: injected=1",
    "${hupall()}",
];

/// At least 500 of them, each once.
pub(super) fn corpus() -> Vec<String> {
    let mut all: Vec<String> = KNOWN.iter().map(|known| (*known).to_owned()).collect();
    all.extend(framed(&PAYLOADS));
    for payload in PAYLOADS {
        all.push(payload.to_owned());
        all.push(format!("sofia/internal/answer@127.0.0.1,{payload}"));
        all.push(format!("{payload}sofia/internal/answer@127.0.0.1"));
    }
    all.push("x".repeat(9_000));
    all.push("'".repeat(70_000));
    all.push("\\".repeat(70_000));
    all.push(format!("{}\n\napi hupall\n\n", "y".repeat(70_000)));
    let mut seen = BTreeSet::new();
    all.retain(|text| seen.insert(text.clone()));
    all
}

/// Each payload behind, and within, all that might let it out.
pub(super) fn framed<T: AsRef<str>>(payloads: &[T]) -> impl Iterator<Item = String> {
    FRAMES.into_iter().flat_map(move |(before, after)| {
        let payloads = payloads.iter().map(AsRef::as_ref);
        payloads.map(move |payload| format!("x{before}{payload}{after}"))
    })
}

#[test]
fn the_corpus_is_large_enough() {
    assert!(corpus().len() >= 500, "{}", corpus().len());
}

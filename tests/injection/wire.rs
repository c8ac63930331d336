//! What a command on the wire consists of, whatever its arguments are.

use std::collections::BTreeSet;

/// A command without its arguments: its verb, the api or application that it names, the names of
/// its headers, and whether its body is as long as it says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shape {
    verbs: Vec<String>,
    headers: BTreeSet<String>,
    application: Option<String>,
    honest: bool,
}

// === impl Shape ===

impl Shape {
    /// Of one command, byte for byte as it was received.
    pub(super) fn of(raw: &[u8]) -> Self {
        let (head, body) = match raw.windows(2).position(|pair| pair == b"\n\n") {
            Some(at) => raw.split_at(at + 2),
            None => (raw, &[][..]),
        };
        let head = String::from_utf8_lossy(head);
        let mut lines = head.trim_end_matches('\n').split('\n');
        let first = lines.next().unwrap_or_default();
        let verb = first.split(' ').next().unwrap_or_default();
        let words = match verb {
            "api" | "bgapi" | "event" | "nixevent" => 2,
            _ => 1,
        };
        let (mut headers, mut length, mut application) = (BTreeSet::new(), 0, None);
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap_or((line, ""));
            match name {
                "content-length" | "Content-Length" => length = value.parse().unwrap_or(usize::MAX),
                "execute-app-name" => application = Some(value.to_owned()),
                _ => {}
            }
            headers.insert(name.to_owned());
        }
        Self {
            verbs: first.split(' ').take(words).map(str::to_owned).collect(),
            headers,
            application,
            honest: length == body.len(),
        }
    }

    /// The same where a client names what is run, or a header: with `harmless` for `text`.
    pub(super) fn with(mut self, harmless: &str, text: &str) -> Self {
        let name = self.application.as_mut().or(self.verbs.get_mut(1));
        if let Some(name) = name.filter(|name| *name == text) {
            harmless.clone_into(name);
        }
        if self.headers.remove(text) {
            self.headers.insert(harmless.to_owned());
        }
        self
    }
}

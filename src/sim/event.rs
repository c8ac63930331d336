//! An event: headers, perhaps a body, and its three renderings.

use std::borrow::Cow;
use std::sync::OnceLock;

use bytes::Bytes;

use super::encode;
use super::names::EventKind;

/// How a listener wants its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// `text/event-plain`.
    Plain,
    /// `text/event-json`.
    Json,
    /// `text/event-xml`.
    Xml,
}

/// An event, complete and unchangeable once fired. Each rendering is made once, when the first
/// listener that wants it takes it, and shared by all others.
#[derive(Debug)]
pub(super) struct Event {
    /// What it is about.
    pub(super) kind: EventKind,
    /// `Event-Subclass` of a `CUSTOM` event.
    pub(super) subclass: Option<String>,
    /// The headers in the order in which they were added, values not yet encoded.
    pub(super) headers: Vec<(Cow<'static, str>, String)>,
    /// Whether the headers that every event has stand behind its own, as in events that did not
    /// begin as events.
    pub(super) own_first: bool,
    /// The inner body.
    pub(super) body: Option<Vec<u8>>,
    renderings: [OnceLock<Bytes>; 3],
}

// === impl Event ===

impl Event {
    /// An event without headers.
    pub(super) fn new(kind: EventKind) -> Self {
        Self {
            kind,
            subclass: None,
            own_first: false,
            headers: Vec::with_capacity(64),
            body: None,
            renderings: Default::default(),
        }
    }

    /// A `CUSTOM` event.
    pub(super) fn custom(subclass: &str) -> Self {
        let mut event = Self::new(EventKind::Custom);
        event.subclass = Some(subclass.to_owned());
        event
    }

    /// Adds a header.
    pub(super) fn add(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) {
        self.headers.push((name.into(), value.into()));
    }

    /// Adds a header unless its value is empty, as most of FreeSWITCH's do.
    pub(super) fn add_some(&mut self, name: impl Into<Cow<'static, str>>, value: &str) {
        if !value.is_empty() {
            self.headers.push((name.into(), value.to_owned()));
        }
    }

    /// Adds a header, to read well in chains.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.add(name, value);
        self
    }

    /// The first header with this name in any case.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The whole frame in this format.
    pub(super) fn frame(&self, format: Format) -> Bytes {
        let cell = &self.renderings[format as usize];
        cell.get_or_init(|| {
            let (kind, body) = match format {
                Format::Plain => ("plain", encode::plain(self)),
                Format::Json => ("json", encode::json(self)),
                Format::Xml => ("xml", encode::xml(self)),
            };
            let head = format!(
                "Content-Length: {}\nContent-Type: text/event-{kind}\n\n",
                body.len()
            );
            let mut frame = head.into_bytes();
            frame.extend_from_slice(&body);
            frame.into()
        })
        .clone()
    }
}

impl Format {
    /// The word in the reply to `event`.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Json => "json",
            Self::Xml => "xml",
        }
    }
}

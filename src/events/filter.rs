//! Which events a subscriber wants.

use std::borrow::Cow;
use std::collections::HashSet;

use percent_encoding::percent_decode;
use regex::bytes::{Regex, RegexBuilder};

use super::event_set::EventSet;
use super::journal::{Entry, Record};
use crate::access::View;
use crate::domain::{CallId, NodeId, SessionId};

/// The name of the events that have a subclass.
pub(super) const CUSTOM: &[u8] = b"CUSTOM";
/// Most matchers that one filter may have.
pub const MAX_MATCHERS: usize = 16;
/// Longest regular expression, in bytes.
const MAX_REGEX_BYTES: usize = 1000;
/// Largest compiled one, in bytes; as much again is for what it works with.
const MAX_REGEX_SIZE: usize = 64 << 10;
/// Bytes of a value that one is asked about; the rest is as if it were not there.
const MAX_REGEX_TEXT: usize = 8 << 10;
/// Deepest nesting of one.
const MAX_REGEX_NESTING: u32 = 32;

/// What a filter is made of. An empty list wants all; all lists must agree.
#[derive(Debug, Clone, Default)]
pub struct FilterSpec {
    /// `Event-Name`s.
    pub names: Vec<String>,
    /// `Event-Subclass`es of `CUSTOM` events.
    pub subclasses: Vec<String>,
    /// Nodes.
    pub nodes: Vec<NodeId>,
    /// Sessions.
    pub sessions: Vec<SessionId>,
    /// Calls.
    pub calls: Vec<CallId>,
    /// Headers, all of which must fit.
    pub headers: Vec<HeaderMatcher>,
}

/// What a header must be.
#[derive(Debug, Clone)]
pub struct HeaderMatcher {
    name: String,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    Exact(String),
    Prefix(String),
    Regex(Box<Regex>),
    Present(bool),
}

/// A regular expression cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegexError {
    /// It is too long.
    #[error("is longer than {MAX_REGEX_BYTES} bytes")]
    TooLong,
    /// It takes too much memory once compiled.
    #[error("takes more than {MAX_REGEX_SIZE} bytes compiled; use smaller counts")]
    TooLarge,
    /// It is malformed.
    #[error("is no regular expression of RE2's syntax: {0}")]
    Malformed(String),
}

type Set<T> = HashSet<T, foldhash::fast::RandomState>;

/// A filter, compiled once for each subscription. To ask it costs no allocation, unless a value has
/// to be decoded.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    names: Set<Box<[u8]>>,
    subclasses: Set<Box<[u8]>>,
    nodes: Set<NodeId>,
    sessions: Set<SessionId>,
    calls: Set<CallId>,
    headers: Vec<HeaderMatcher>,
    /// It is told where FreeSWITCH was not asked for some of these before.
    needs: EventSet,
    /// What the subscriber may see at all.
    view: View,
}

/// What an event must have for a filter to want it. A filter has several of a kind, one of which
/// must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    Session(SessionId),
    Call(CallId),
    Name(Box<[u8]>),
    /// Of a `CUSTOM` event.
    Subclass(Box<[u8]>),
    Node(NodeId),
    /// Nothing in particular.
    Any,
}

// === impl HeaderMatcher ===

impl HeaderMatcher {
    /// Exactly this value.
    pub fn exact(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self::new(name, Test::Exact(value.into()))
    }

    /// A value that begins so.
    pub fn prefix(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self::new(name, Test::Prefix(value.into()))
    }

    /// A value that fits a regular expression, which is asked about its first 8 KiB.
    ///
    /// # Errors
    /// When it is malformed or too large.
    pub fn regex(name: impl Into<String>, pattern: &str) -> Result<Self, RegexError> {
        if pattern.len() > MAX_REGEX_BYTES {
            return Err(RegexError::TooLong);
        }
        let regex = RegexBuilder::new(pattern)
            .size_limit(MAX_REGEX_SIZE)
            .dfa_size_limit(MAX_REGEX_SIZE)
            .nest_limit(MAX_REGEX_NESTING)
            .build();
        let regex = regex.map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => RegexError::TooLarge,
            other => RegexError::Malformed(other.to_string()),
        })?;
        Ok(Self::new(name, Test::Regex(Box::new(regex))))
    }

    /// Whether the header is there.
    pub fn present(name: impl Into<String>, is_present: bool) -> Self {
        Self::new(name, Test::Present(is_present))
    }

    fn new(name: impl Into<String>, test: Test) -> Self {
        Self {
            name: name.into(),
            test,
        }
    }

    fn fits(&self, record: &Record) -> bool {
        let value = record.event.headers().raw(&self.name);
        match (&self.test, value) {
            (Test::Present(is_wanted), value) => *is_wanted == value.is_some(),
            (_, None) => false,
            // A byte is encoded in three.
            (Test::Exact(wanted), Some(value)) if value.len() > 3 * wanted.len() => false,
            (Test::Exact(wanted), Some(value)) => match memchr::memchr(b'%', value) {
                None => value == wanted.as_bytes(),
                Some(_) => percent_decode(value).eq(wanted.bytes()),
            },
            (Test::Prefix(wanted), Some(value)) => {
                let mut decoded = percent_decode(value);
                wanted.bytes().all(|byte| decoded.next() == Some(byte))
            }
            (Test::Regex(wanted), Some(value)) => wanted.is_match(&beginning(value)),
        }
    }

    /// Whether it is expensive to ask.
    fn is_slow(&self) -> bool {
        matches!(self.test, Test::Regex(_))
    }

    /// Whether the header might fit, as far as can be said at once.
    fn might_fit(&self, record: &Record) -> bool {
        match self.test {
            Test::Regex(_) => record.event.headers().raw(&self.name).is_some(),
            Test::Exact(_) | Test::Prefix(_) | Test::Present(_) => self.fits(record),
        }
    }
}

// === impl EventFilter ===

impl From<FilterSpec> for EventFilter {
    fn from(spec: FilterSpec) -> Self {
        let bytes = |text: String| text.into_bytes().into_boxed_slice();
        Self {
            names: spec.names.into_iter().map(bytes).collect(),
            subclasses: spec.subclasses.into_iter().map(bytes).collect(),
            nodes: spec.nodes.into_iter().collect(),
            sessions: spec.sessions.into_iter().collect(),
            calls: spec.calls.into_iter().collect(),
            headers: spec.headers,
            needs: EventSet::default(),
            view: View::default(),
        }
    }
}

impl EventFilter {
    /// Wants no event, but what is told of nodes.
    pub fn of_nodes() -> Self {
        Self::from(FilterSpec {
            // No event has such a name.
            names: vec![String::new()],
            ..FilterSpec::default()
        })
    }

    /// Wants to be told where FreeSWITCH was not asked for some of these events.
    pub fn needing(mut self, needs: EventSet) -> Self {
        self.needs = needs;
        self
    }

    /// Wants nothing but what this shows.
    pub fn seen_by(mut self, view: &View) -> Self {
        self.view = view.clone();
        self
    }

    /// Whether the event is wanted. What costs least is asked first.
    pub fn wants(&self, record: &Record) -> bool {
        self.wants_kind(record) && self.headers.iter().all(|matcher| matcher.fits(record))
    }

    /// Whether the event might be wanted, as far as can be said at once, which is all but for
    /// regular expressions.
    pub(super) fn might_want(&self, record: &Record) -> bool {
        self.wants_kind(record) && self.headers.iter().all(|matcher| matcher.might_fit(record))
    }

    /// Whether it may take long to ask it.
    pub(super) fn is_slow(&self) -> bool {
        self.headers.iter().any(HeaderMatcher::is_slow)
    }

    fn wants_kind(&self, record: &Record) -> bool {
        wants(
            &self.sessions,
            record.session.as_ref().map(SessionId::as_str),
        ) && wants(&self.calls, record.call.as_ref().map(CallId::as_str))
            && self.wants_node(&record.node)
            && self.view.shows(&record.node, &record.owners)
            && self.wants_name(record)
    }

    /// The events that it lets through, whatever they are about.
    pub fn events(&self) -> EventSet {
        EventSet::filtered(texts(&self.names), texts(&self.subclasses))
    }

    /// Whether something about the whole node is wanted.
    pub fn wants_node(&self, node: &NodeId) -> bool {
        wants(&self.nodes, Some(node.as_str())) && self.view.shows_node(node)
    }

    /// Whether an entry is wanted, of whatever kind.
    pub(super) fn wants_entry(&self, entry: &Entry) -> bool {
        match entry {
            Entry::Event(record) => self.wants(record),
            Entry::NodeState { node, .. } => self.wants_node(node),
            // One of any node's events is everybody's.
            Entry::Gap(gap) => gap.node.as_ref().is_none_or(|node| self.wants_node(node)),
            Entry::Asked(asked) => asked.is_news_to(&self.needs),
        }
    }

    /// Whether every event is wanted.
    pub(super) fn wants_all(&self) -> bool {
        self.names.is_empty()
            && self.subclasses.is_empty()
            && self.nodes.is_empty()
            && self.sessions.is_empty()
            && self.calls.is_empty()
            && self.headers.is_empty()
            && self.view.is_all()
    }

    /// What an event must have one of, of the kind that fewest events have.
    pub(super) fn keys(&self) -> Vec<Key> {
        if !self.sessions.is_empty() {
            return self.sessions.iter().cloned().map(Key::Session).collect();
        }
        if !self.calls.is_empty() {
            return self.calls.iter().cloned().map(Key::Call).collect();
        }
        let names = self.names.iter().cloned().map(Key::Name);
        let subclasses = self.subclasses.iter().cloned().map(Key::Subclass);
        let mut keys: Vec<Key> = names.chain(subclasses).collect();
        if keys.is_empty() {
            keys.extend(self.nodes.iter().cloned().map(Key::Node));
        }
        if keys.is_empty() {
            keys.push(Key::Any);
        }
        keys
    }

    fn wants_name(&self, record: &Record) -> bool {
        if self.names.is_empty() && self.subclasses.is_empty() {
            return true;
        }
        let name = name_of(record);
        if *name == *CUSTOM && !self.subclasses.is_empty() {
            return subclass_of(record)
                .is_some_and(|subclass| self.subclasses.contains(&*subclass));
        }
        self.names.contains(&*name)
    }
}

/// They were text once.
fn texts(set: &Set<Box<[u8]>>) -> impl Iterator<Item = &str> {
    set.iter().filter_map(|text| std::str::from_utf8(text).ok())
}

fn wants<T>(set: &Set<T>, value: Option<&str>) -> bool
where
    T: std::borrow::Borrow<str> + Eq + std::hash::Hash,
{
    set.is_empty() || value.is_some_and(|value| set.contains(value))
}

/// `Event-Name`, as its bytes.
pub(super) fn name_of(record: &Record) -> Cow<'_, [u8]> {
    decode(record.event.headers().raw("Event-Name").unwrap_or_default())
}

/// `Event-Subclass`, as its bytes.
pub(super) fn subclass_of(record: &Record) -> Option<Cow<'_, [u8]>> {
    record.event.headers().raw("Event-Subclass").map(decode)
}

fn decode(value: &[u8]) -> Cow<'_, [u8]> {
    match memchr::memchr(b'%', value) {
        None => Cow::Borrowed(value),
        Some(_) => percent_decode(value).into(),
    }
}

/// As much of a value, decoded, as a regular expression is asked about.
fn beginning(value: &[u8]) -> Cow<'_, [u8]> {
    let start = value.get(..MAX_REGEX_TEXT).unwrap_or(value);
    match memchr::memchr(b'%', start) {
        None => Cow::Borrowed(start),
        Some(_) => percent_decode(value).take(MAX_REGEX_TEXT).collect(),
    }
}

#[cfg(test)]
mod tests;

//! Which events a subscriber wants.

use std::collections::HashSet;

use regex::bytes::{Regex, RegexBuilder};

use super::journal::Record;
use crate::domain::{CallId, NodeId, SessionId};

/// Most matchers that one filter may have.
pub const MAX_MATCHERS: usize = 16;
/// Longest regular expression, in bytes.
const MAX_REGEX_BYTES: usize = 1000;
/// Largest compiled one, in bytes.
const MAX_REGEX_SIZE: usize = 64 << 10;

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

/// A filter, compiled once for each subscription.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    names: HashSet<String>,
    subclasses: HashSet<String>,
    nodes: HashSet<NodeId>,
    sessions: HashSet<SessionId>,
    calls: HashSet<CallId>,
    headers: Vec<HeaderMatcher>,
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

    /// A value that fits a regular expression.
    ///
    /// # Errors
    /// When it is malformed or too large.
    pub fn regex(name: impl Into<String>, pattern: &str) -> Result<Self, RegexError> {
        if pattern.len() > MAX_REGEX_BYTES {
            return Err(RegexError::TooLong);
        }
        let regex = RegexBuilder::new(pattern)
            .size_limit(MAX_REGEX_SIZE)
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
        let value = record.event.headers().decoded(&self.name);
        match (&self.test, value) {
            (Test::Present(is_wanted), value) => *is_wanted == value.is_some(),
            (_, None) => false,
            (Test::Exact(wanted), Some(value)) => *value == *wanted.as_bytes(),
            (Test::Prefix(wanted), Some(value)) => value.starts_with(wanted.as_bytes()),
            (Test::Regex(wanted), Some(value)) => wanted.is_match(&value),
        }
    }
}

// === impl EventFilter ===

impl From<FilterSpec> for EventFilter {
    fn from(spec: FilterSpec) -> Self {
        Self {
            names: spec.names.into_iter().collect(),
            subclasses: spec.subclasses.into_iter().collect(),
            nodes: spec.nodes.into_iter().collect(),
            sessions: spec.sessions.into_iter().collect(),
            calls: spec.calls.into_iter().collect(),
            headers: spec.headers,
        }
    }
}

impl EventFilter {
    /// Wants no event, but what is told of nodes.
    pub fn of_nodes() -> Self {
        Self {
            // No event has such a name.
            names: [String::new()].into(),
            ..Self::default()
        }
    }

    /// Whether the event is wanted.
    pub fn wants(&self, record: &Record) -> bool {
        wants(&self.nodes, Some(record.node.as_str()))
            && wants(
                &self.sessions,
                record.session.as_ref().map(SessionId::as_str),
            )
            && wants(&self.calls, record.call.as_ref().map(CallId::as_str))
            && self.wants_name(record)
            && self.headers.iter().all(|matcher| matcher.fits(record))
    }

    /// Whether something about the whole node is wanted.
    pub fn wants_node(&self, node: &NodeId) -> bool {
        wants(&self.nodes, Some(node.as_str()))
    }

    fn wants_name(&self, record: &Record) -> bool {
        if self.names.is_empty() && self.subclasses.is_empty() {
            return true;
        }
        let name = record.event.name();
        if name == "CUSTOM" && !self.subclasses.is_empty() {
            return record
                .event
                .subclass()
                .is_some_and(|subclass| self.subclasses.contains(&*subclass));
        }
        self.names.contains(&*name)
    }
}

fn wants<T>(set: &HashSet<T>, value: Option<&str>) -> bool
where
    T: std::borrow::Borrow<str> + Eq + std::hash::Hash,
{
    set.is_empty() || value.is_some_and(|value| set.contains(value))
}

//! Which events a subscriber wants.

use std::collections::HashSet;

use super::journal::Record;
use crate::domain::{CallId, NodeId, SessionId};

/// Sets of wanted values; an empty set wants all. All sets must agree.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// `Event-Name`s.
    pub names: HashSet<String>,
    /// `Event-Subclass`es of `CUSTOM` events.
    pub subclasses: HashSet<String>,
    /// Nodes.
    pub nodes: HashSet<NodeId>,
    /// Sessions.
    pub sessions: HashSet<SessionId>,
    /// Calls.
    pub calls: HashSet<CallId>,
}

// === impl EventFilter ===

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

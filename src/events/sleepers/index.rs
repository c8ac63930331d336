//! From what an event has to who might want it.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

use super::super::filter::{CUSTOM, Key, name_of, subclass_of};
use super::super::journal::Record;
use crate::domain::{CallId, NodeId, SessionId};

type Table<K> = HashMap<K, Vec<Place>, foldhash::fast::RandomState>;

/// Who sleeps, by the keys of their filters.
#[derive(Debug, Default)]
pub(super) struct Index {
    sessions: Table<SessionId>,
    calls: Table<CallId>,
    names: Table<Box<[u8]>>,
    subclasses: Table<Box<[u8]>>,
    nodes: Table<NodeId>,
    rest: Vec<Place>,
}

/// A bed, and the key by which it is found here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) bed: usize,
    pub(super) key: usize,
}

// === impl Index ===

impl Index {
    pub(super) fn add(&mut self, key: &Key, place: Place) {
        let places = match key {
            Key::Session(id) => self.sessions.entry(id.clone()).or_default(),
            Key::Call(id) => self.calls.entry(id.clone()).or_default(),
            Key::Name(name) => self.names.entry(name.clone()).or_default(),
            Key::Subclass(name) => self.subclasses.entry(name.clone()).or_default(),
            Key::Node(id) => self.nodes.entry(id.clone()).or_default(),
            Key::Any => &mut self.rest,
        };
        places.push(place);
    }

    pub(super) fn remove(&mut self, key: &Key, bed: usize) {
        match key {
            Key::Session(id) => remove(&mut self.sessions, id, bed),
            Key::Call(id) => remove(&mut self.calls, id, bed),
            Key::Name(name) => remove(&mut self.names, name, bed),
            Key::Subclass(name) => remove(&mut self.subclasses, name, bed),
            Key::Node(id) => remove(&mut self.nodes, id, bed),
            Key::Any => remove_from(&mut self.rest, bed),
        }
    }

    /// Whether nobody is in it, for tests.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.sessions.is_empty()
            && self.calls.is_empty()
            && self.names.is_empty()
            && self.subclasses.is_empty()
            && self.nodes.is_empty()
            && self.rest.is_empty()
    }

    /// Visits all who might want the event, and takes out those of whom `stays` says no.
    pub(super) fn visit(&mut self, record: &Record, mut stays: impl FnMut(Place) -> bool) {
        let mut visit = |places: Option<&mut Vec<Place>>| {
            let Some(places) = places else { return };
            let mut at = 0;
            while let Some(place) = places.get(at) {
                match stays(*place) {
                    true => at += 1,
                    false => drop(places.swap_remove(at)),
                }
            }
        };
        if !self.sessions.is_empty() {
            visit(find(&mut self.sessions, record.session.as_ref()));
        }
        if !self.calls.is_empty() {
            visit(find(&mut self.calls, record.call.as_ref()));
        }
        if !self.names.is_empty() || !self.subclasses.is_empty() {
            let name = name_of(record);
            visit(self.names.get_mut(&*name));
            if *name == *CUSTOM && !self.subclasses.is_empty() {
                visit(subclass_of(record).and_then(|subclass| self.subclasses.get_mut(&*subclass)));
            }
        }
        if !self.nodes.is_empty() {
            visit(self.nodes.get_mut(record.node.as_str()));
        }
        visit(Some(&mut self.rest));
    }
}

fn find<'a, K: Eq + Hash>(table: &'a mut Table<K>, key: Option<&K>) -> Option<&'a mut Vec<Place>> {
    table.get_mut(key?)
}

fn remove<K, Q>(table: &mut Table<K>, key: &Q, bed: usize)
where
    K: Eq + Hash + Borrow<Q>,
    Q: Eq + Hash + ?Sized,
{
    let Some(places) = table.get_mut(key) else {
        return;
    };
    remove_from(places, bed);
    if places.is_empty() {
        table.remove(key);
    }
}

fn remove_from(places: &mut Vec<Place>, bed: usize) {
    if let Some(at) = places.iter().position(|place| place.bed == bed) {
        places.swap_remove(at);
    }
}

//! The events of each session, for as long as the session can be read.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cursor::Cursor;
use super::journal::Entry;
use crate::domain::SessionId;

/// What an event costs here beside its own bytes: its places in two tables.
const OVERHEAD: usize = 128;

/// Positions that may be noted for nothing however few events are kept.
const SPARE: usize = 64;

/// How much is remembered of sessions.
#[derive(Debug, Clone, Copy)]
pub struct HistoryConfig {
    /// Events of one session.
    pub max_events: usize,
    /// Bytes of events over all sessions, and of what holds them.
    pub max_bytes: usize,
}

/// What is remembered of one session.
#[derive(Debug, Clone, Default)]
pub struct SessionHistory {
    /// The events with the position behind each, oldest first.
    pub events: Vec<(Cursor, Arc<Entry>)>,
    /// Events before them that had to go.
    pub left_out: u64,
}

/// A ring of events for each session, which shares them with the journal. When all of them together
/// have too many bytes, the oldest go first, whose ever they are.
#[derive(Debug)]
pub(super) struct History {
    config: HistoryConfig,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    sessions: HashMap<SessionId, Ring, foldhash::fast::RandomState>,
    /// Positions of the journal with whose event stands there, nearly in ascending order. Some are
    /// no longer kept.
    order: VecDeque<(u64, SessionId)>,
    /// Events that are kept, and their bytes.
    held: usize,
    held_bytes: usize,
}

#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<Kept>,
    left_out: u64,
}

#[derive(Debug)]
struct Kept {
    position: u64,
    entry: Arc<Entry>,
    size: usize,
}

// === impl HistoryConfig ===

impl Default for HistoryConfig {
    fn default() -> Self {
        Self {
            max_events: 200,
            max_bytes: 128 << 20,
        }
    }
}

// === impl History ===

impl History {
    pub(super) fn new(config: HistoryConfig) -> Self {
        Self {
            config,
            table: Mutex::default(),
        }
    }

    /// Adds an event of the journal if it is about a session.
    pub(super) fn push(&self, position: u64, entry: &Arc<Entry>) {
        let Entry::Event(record) = &**entry else {
            return;
        };
        let Some(session) = &record.session else {
            return;
        };
        let kept = Kept {
            position,
            entry: Arc::clone(entry),
            size: record.event.size() + OVERHEAD,
        };
        let mut table = self.lock();
        table.push(session, kept, self.config.max_events);
        table.trim(self.config.max_bytes);
    }

    /// What is remembered of a session; the epoch is the journal's.
    pub(super) fn of(&self, session: &SessionId, epoch: u64) -> SessionHistory {
        let table = self.lock();
        let Some(ring) = table.sessions.get(session) else {
            return SessionHistory::default();
        };
        let event = |kept: &Kept| {
            let position = kept.position;
            (Cursor { epoch, position }, Arc::clone(&kept.entry))
        };
        SessionHistory {
            events: ring.events.iter().map(event).collect(),
            left_out: ring.left_out,
        }
    }

    /// The session can no longer be read.
    pub(super) fn forget(&self, session: &SessionId) {
        let mut table = self.lock();
        let Some(ring) = table.sessions.remove(session) else {
            return;
        };
        table.held -= ring.events.len();
        table.held_bytes -= ring.events.iter().map(|kept| kept.size).sum::<usize>();
    }

    /// Bytes that are held, and sessions of which anything is known.
    pub(super) fn held(&self) -> (usize, usize) {
        let table = self.lock();
        (table.held_bytes, table.sessions.len())
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Table ===

impl Table {
    fn push(&mut self, session: &SessionId, kept: Kept, max_events: usize) {
        let position = kept.position;
        self.held += 1;
        self.held_bytes += kept.size;
        let ring = match self.sessions.get_mut(session) {
            Some(ring) => ring,
            None => self.sessions.entry(session.clone()).or_default(),
        };
        ring.push(kept);
        while ring.events.len() > max_events {
            let Some(size) = ring.drop_first() else { break };
            self.held -= 1;
            self.held_bytes -= size;
        }
        self.note(position, session);
    }

    /// Notes whose event stands at a position.
    fn note(&mut self, position: u64, session: &SessionId) {
        // An end that was concluded comes from another task than events do, and may come here in
        // the other order.
        let is_last = self.order.back().is_none_or(|(last, _)| *last < position);
        let at = match is_last {
            true => self.order.len(),
            false => self.order.partition_point(|(known, _)| *known < position),
        };
        self.order.insert(at, (position, session.clone()));
        // Those that are no longer kept go when they are as many as the others.
        if self.order.len() > 2 * self.held + SPARE {
            let sessions = &self.sessions;
            self.order.retain(|(position, session)| {
                let ring = sessions.get(session);
                ring.is_some_and(|ring| ring.has(*position))
            });
        }
    }

    /// Makes room again.
    fn trim(&mut self, max_bytes: usize) {
        while self.held_bytes > max_bytes {
            let Some((position, session)) = self.order.pop_front() else {
                return;
            };
            let ring = self.sessions.get_mut(&session);
            let Some(ring) = ring.filter(|ring| ring.first() == Some(position)) else {
                continue;
            };
            if let Some(size) = ring.drop_first() {
                self.held -= 1;
                self.held_bytes -= size;
            }
        }
    }
}

// === impl Ring ===

impl Ring {
    fn push(&mut self, kept: Kept) {
        let is_last = self
            .events
            .back()
            .is_none_or(|last| last.position < kept.position);
        let at = match is_last {
            true => self.events.len(),
            false => self
                .events
                .partition_point(|known| known.position < kept.position),
        };
        self.events.insert(at, kept);
    }

    fn first(&self) -> Option<u64> {
        self.events.front().map(|kept| kept.position)
    }

    /// Whether an event is still kept: those that go are the first ones.
    fn has(&self, position: u64) -> bool {
        self.first().is_some_and(|first| first <= position)
    }

    /// Leaves the first event out; gives back its size.
    fn drop_first(&mut self) -> Option<usize> {
        let kept = self.events.pop_front()?;
        self.left_out += 1;
        Some(kept.size)
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;
    use crate::esl::Event;
    use crate::events::Record;

    fn entry(session: &str, bytes: usize) -> Arc<Entry> {
        let headers = [
            ("Event-Name", Cow::Borrowed("CUSTOM")),
            ("Filler", Cow::Owned("x".repeat(bytes))),
        ];
        Arc::new(Entry::Event(Record {
            node: "a".parse().unwrap(),
            event: Event::from_headers(headers).unwrap(),
            session: Some(session.parse().unwrap()),
            call: None,
            job: None,
            synthetic: false,
            owners: Default::default(),
        }))
    }

    fn size(entry: &Entry) -> usize {
        match entry {
            Entry::Event(record) => record.event.size() + OVERHEAD,
            Entry::Gap(_) | Entry::NodeState { .. } | Entry::Asked(_) => 0,
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push(usize, usize),
        Forget(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            8 => (0..4usize, 0..2000usize).prop_map(|(session, bytes)| Step::Push(session, bytes)),
            1 => (0..4usize).prop_map(Step::Forget),
        ];
        prop::collection::vec(step, 0..80)
    }

    proptest! {
        /// As a plain list of all events would have it, from which the oldest are struck.
        #[test]
        fn the_bounds_hold_and_the_oldest_go_first(
            steps in steps(),
            max_events in 1..6usize,
            max_bytes in 0..20_000usize,
        ) {
            let history = History::new(HistoryConfig { max_events, max_bytes });
            let mut all: Vec<(u64, usize, usize)> = Vec::new();
            let mut left_out = [0u64; 4];
            for (position, step) in (1..).zip(steps) {
                match step {
                    Step::Push(session, bytes) => {
                        let entry = entry(&format!("s{session}"), bytes);
                        history.push(position, &entry);
                        all.push((position, session, size(&entry)));
                        if all.iter().filter(|(_, of, _)| *of == session).count() > max_events {
                            let first = all.iter().position(|(_, of, _)| *of == session).unwrap();
                            all.remove(first);
                            left_out[session] += 1;
                        }
                        while all.iter().map(|(_, _, size)| size).sum::<usize>() > max_bytes {
                            left_out[all.remove(0).1] += 1;
                        }
                    }
                    Step::Forget(session) => {
                        history.forget(&format!("s{session}").parse().unwrap());
                        all.retain(|(_, of, _)| *of != session);
                        left_out[session] = 0;
                    }
                }
                let bytes = all.iter().map(|(_, _, size)| size).sum::<usize>();
                prop_assert_eq!(history.held().0, bytes);
                prop_assert!(bytes <= max_bytes);
                prop_assert_eq!(history.lock().held, all.len());
                prop_assert!(history.lock().order.len() <= 2 * (all.len() + 1) + SPARE);
                for (session, left_out) in left_out.iter().enumerate() {
                    let kept = history.of(&format!("s{session}").parse().unwrap(), 7);
                    let positions: Vec<u64> = kept.events.iter().map(|(at, _)| at.position).collect();
                    let expected: Vec<u64> = all.iter().filter(|(_, of, _)| *of == session).map(|(at, ..)| *at).collect();
                    prop_assert_eq!(positions, expected);
                    prop_assert_eq!(kept.left_out, *left_out);
                }
            }
        }
    }

    #[test]
    fn an_event_that_comes_late_stands_in_its_place() {
        let history = History::new(HistoryConfig::default());
        for position in [1, 3, 2] {
            history.push(position, &entry("s", 1));
        }
        let kept = history.of(&"s".parse().unwrap(), 7);
        let positions: Vec<u64> = kept.events.iter().map(|(at, _)| at.position).collect();
        assert_eq!(positions, [1, 2, 3]);
    }
}

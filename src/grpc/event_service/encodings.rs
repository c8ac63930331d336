//! Encoded events, shared by all who want the same headers of them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::page::{PAGE, Page};
use super::selection::Selection;
use super::shared::Chunks;
use crate::events::{Cursor, Entry, Record};

/// Bytes of encoded events that are kept, over all selections. Subscribers that read promptly are
/// close together; one that lags by its whole bound (8 MiB of events by default) still finds what
/// the others have had encoded.
const MAX_BYTES: usize = 32 << 20;
/// What a page costs beside the bytes of its events: itself, and its places in the table and in the
/// order.
const OVERHEAD: usize = size_of::<Page>() + 128;

/// Each event is encoded once for each selection of headers, when the first subscriber wants it so,
/// for as long as it is kept here: in pages of neighbouring positions, of which the oldest goes first
/// when there are too many bytes. The lock is held to look up a page, never to encode.
#[derive(Debug)]
pub struct Encodings {
    max_bytes: usize,
    table: Mutex<Table>,
}

/// A selection of headers that has its place in the table, for as long as somebody has it.
#[derive(Debug)]
pub(super) struct Selected {
    id: u64,
    selection: Selection,
}

#[derive(Debug, Default)]
struct Table {
    selections: HashMap<Selection, Weak<Selected>>,
    next_id: u64,
    kept: HashMap<Key, Kept, foldhash::fast::RandomState>,
    /// In the order in which they came.
    order: VecDeque<Key>,
    bytes: usize,
}

/// A selection's id, and the number of the page.
type Key = (u64, u64);

#[derive(Debug)]
struct Kept {
    page: Arc<Page>,
    /// What is counted of it.
    bytes: usize,
}

// === impl Encodings ===

impl Default for Encodings {
    fn default() -> Self {
        Self::bounded(MAX_BYTES)
    }
}

impl Encodings {
    fn bounded(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            table: Mutex::default(),
        }
    }

    /// The selection as all who have the same one share it.
    pub(super) fn select(&self, selection: Selection) -> Arc<Selected> {
        let mut table = self.lock();
        let known = table.selections.get(&selection).and_then(Weak::upgrade);
        if let Some(known) = known {
            return known;
        }
        table.selections.retain(|_, known| known.strong_count() > 0);
        let id = table.next_id;
        table.next_id += 1;
        let selected = Arc::new(Selected {
            id,
            selection: selection.clone(),
        });
        table
            .selections
            .insert(selection, Arc::downgrade(&selected));
        selected
    }

    /// The events among these entries of the journal, which are in its order, encoded.
    pub(super) fn of(&self, selected: &Selected, entries: &[(Cursor, Arc<Entry>)]) -> Chunks {
        let events: Vec<(Cursor, &Record)> = records(entries).collect();
        let number = |(cursor, _): &(Cursor, &Record)| cursor.position / PAGE;
        let mut chunks = Chunks::default();
        for events in events.chunk_by(|one, next| number(one) == number(next)) {
            let key = (selected.id, number(&events[0]));
            let page = Arc::clone(self.lock().page(key));
            let made = page.read(events, &selected.selection, &mut chunks);
            if made > 0 {
                self.lock().count(key, made, self.max_bytes);
            }
        }
        chunks
    }

    /// A panic while the lock was held leaves plain data behind, which is better than none.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The events among the entries.
fn records(entries: &[(Cursor, Arc<Entry>)]) -> impl Iterator<Item = (Cursor, &Record)> {
    entries.iter().filter_map(|(cursor, entry)| match &**entry {
        Entry::Event(record) => Some((*cursor, record)),
        Entry::Gap(_) | Entry::NodeState { .. } | Entry::Asked(_) => None,
    })
}

// === impl Table ===

impl Table {
    fn page(&mut self, key: Key) -> &Arc<Page> {
        let kept = self.kept.entry(key).or_insert_with(|| {
            self.order.push_back(key);
            self.bytes += OVERHEAD;
            Kept {
                page: Arc::default(),
                bytes: OVERHEAD,
            }
        });
        &kept.page
    }

    /// Counts what was encoded, and makes room.
    fn count(&mut self, key: Key, made: usize, max_bytes: usize) {
        if let Some(kept) = self.kept.get_mut(&key) {
            kept.bytes += made;
            self.bytes += made;
        }
        while self.bytes > max_bytes {
            let Some(oldest) = self.order.pop_front() else {
                return;
            };
            if let Some(gone) = self.kept.remove(&oldest) {
                self.bytes -= gone.bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::esl::Event;

    fn entries(positions: std::ops::Range<u64>) -> Vec<(Cursor, Arc<Entry>)> {
        let entry = |position: u64| {
            let headers = [
                ("Event-Name", Cow::Borrowed("CUSTOM")),
                ("Number", Cow::Owned(position.to_string())),
            ];
            let record = Record {
                node: "a".parse().unwrap(),
                event: Event::from_headers(headers).unwrap(),
                session: None,
                call: None,
                job: None,
                synthetic: false,
                owners: Default::default(),
            };
            let cursor = Cursor { epoch: 7, position };
            (cursor, Arc::new(Entry::Event(record)))
        };
        positions.map(entry).collect()
    }

    /// Where the events end of which there may be more or fewer in front.
    fn end(chunks: &Chunks) -> *const u8 {
        chunks.pieces.last().unwrap().as_ptr_range().end
    }

    fn bytes(chunks: &Chunks) -> Vec<u8> {
        assert_eq!(
            chunks.len,
            chunks.pieces.iter().map(|piece| piece.len()).sum::<usize>()
        );
        chunks.pieces.concat()
    }

    #[test]
    fn all_who_want_the_same_share_the_bytes() {
        let encodings = Encodings::default();
        let names = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            encodings.select(Selection::of_names(&names))
        };
        let (one, same) = (names(&["B", "a"]), names(&["A", "b", "a"]));
        let other = encodings.select(Selection::All);
        let events = entries(1..20);
        let first = encodings.of(&one, &events);
        assert_eq!(first.pieces.len(), 1);
        let rest = encodings.of(&same, &events[5..]);
        assert_eq!(end(&first), end(&rest));
        assert!(rest.len < first.len);
        assert_ne!(end(&first), end(&encodings.of(&other, &events)));
    }

    #[test]
    fn whatever_others_wanted_each_gets_what_is_its_own() {
        let encodings = Encodings::default();
        let selected = encodings.select(Selection::All);
        let events = entries(1..200);
        let every = |nth: usize| events.iter().step_by(nth).cloned().collect::<Vec<_>>();
        for wanted in [
            every(7),
            every(3),
            events[90..110].to_vec(),
            events.clone(),
            every(2),
        ] {
            let alone = Encodings::default();
            let expected = alone.of(&alone.select(Selection::All), &wanted);
            assert_eq!(bytes(&encodings.of(&selected, &wanted)), bytes(&expected));
        }
    }

    #[test]
    fn the_bytes_that_are_kept_are_bounded_and_the_oldest_go_first() {
        let max_bytes = 4 * OVERHEAD;
        let encodings = Encodings::bounded(max_bytes);
        let selected = encodings.select(Selection::All);
        for at in (0..100).map(|at| at * PAGE / 2) {
            encodings.of(&selected, &entries(at..at + 3));
            let table = encodings.lock();
            let counted: usize = table.kept.values().map(|kept| kept.bytes).sum();
            assert_eq!(
                (counted, table.order.len()),
                (table.bytes, table.kept.len())
            );
            assert!(counted <= max_bytes);
            assert!(table.kept.contains_key(&(selected.id, at / PAGE)));
        }
    }

    #[test]
    fn selections_leave_nothing_behind() {
        let encodings = Encodings::default();
        for name in 0..100 {
            encodings.select(Selection::of_names(&[name.to_string()]));
        }
        assert!(encodings.lock().selections.len() <= 1);
    }

    #[test]
    fn many_who_come_at_once_get_the_same_bytes() {
        let encodings = Encodings::default();
        let events = entries(1..200);
        let kept = encodings.select(Selection::All);
        let seen: Vec<_> = std::thread::scope(|scope| {
            let one = || {
                let selected = encodings.select(Selection::All);
                encodings.of(&selected, &events)
            };
            let all: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let events_kept = encodings.of(&kept, &events);
        for one in &seen {
            assert_eq!(bytes(one), bytes(&events_kept));
            assert_eq!(end(one), end(&events_kept));
        }
    }
}

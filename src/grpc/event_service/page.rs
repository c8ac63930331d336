//! Encoded events of neighbouring positions.

use std::cell::RefCell;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::encode::Encoder;
use super::selection::Selection;
use super::shared::Chunks;
use crate::events::{Cursor, Record};

/// Positions of the journal that share a page.
pub(super) const PAGE: u64 = 64;

thread_local! {
    /// So that room is made once.
    static ENCODER: RefCell<Encoder> = RefCell::default();
}

/// Encoded events of [`PAGE`] positions, as far as anybody wanted them. What is wanted and not there
/// yet is encoded by the first who needs it, all of it into one block; others who come meanwhile
/// wait.
#[derive(Debug)]
pub(super) struct Page(Mutex<Filled>);

#[derive(Debug)]
struct Filled {
    blocks: Vec<Bytes>,
    places: [Option<Place>; PAGE as usize],
}

/// Where an event stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    block: usize,
    start: usize,
    end: usize,
}

// === impl Page ===

impl Default for Page {
    fn default() -> Self {
        Self(Mutex::new(Filled {
            blocks: Vec::new(),
            places: [None; PAGE as usize],
        }))
    }
}

impl Page {
    /// Adds these events, all of this page and in order, to the chunks, and gives the number of
    /// bytes that had to be encoded for that.
    pub(super) fn read(
        &self,
        events: &[(Cursor, &Record)],
        selection: &Selection,
        chunks: &mut Chunks,
    ) -> usize {
        let mut filled = self.lock();
        let made = filled.encode(events, selection);
        filled.collect(events, chunks);
        made
    }

    /// A panic while the lock was held leaves plain data behind, which is better than none.
    fn lock(&self) -> MutexGuard<'_, Filled> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Filled ===

impl Filled {
    fn encode(&mut self, events: &[(Cursor, &Record)], selection: &Selection) -> usize {
        let is_missing = |(cursor, _): &&(Cursor, &Record)| self.places[slot(*cursor)].is_none();
        let missing: Vec<_> = events.iter().rev().filter(is_missing).collect();
        if missing.is_empty() {
            return 0;
        }
        let (bytes, ends) = ENCODER.with_borrow_mut(|encoder| {
            encoder.clear();
            let put = |(cursor, record): &(Cursor, &Record)| {
                let end = encoder.len();
                encoder.put(record, *cursor, selection);
                (slot(*cursor), encoder.len(), end)
            };
            let ends: Vec<_> = missing.into_iter().map(put).collect();
            (encoder.take(), ends)
        });
        let (block, len) = (self.blocks.len(), bytes.len());
        // They are counted from the end of the block, where it began to be written.
        for (slot, start, end) in ends {
            self.places[slot] = Some(Place {
                block,
                start: len - start,
                end: len - end,
            });
        }
        self.blocks.push(bytes);
        len
    }

    /// What stands side by side is one piece.
    fn collect(&self, events: &[(Cursor, &Record)], chunks: &mut Chunks) {
        let places = events
            .iter()
            .filter_map(|(cursor, _)| self.places[slot(*cursor)]);
        let mut run: Option<Place> = None;
        for place in places {
            match &mut run {
                Some(run) if (run.block, run.end) == (place.block, place.start) => {
                    run.end = place.end;
                }
                _ => {
                    self.add(run.replace(place), chunks);
                }
            }
        }
        self.add(run, chunks);
    }

    fn add(&self, run: Option<Place>, chunks: &mut Chunks) {
        if let Some(Place { block, start, end }) = run {
            chunks.len += end - start;
            chunks.pieces.push(self.blocks[block].slice(start..end));
        }
    }
}

/// The remainder is below the number of slots.
fn slot(cursor: Cursor) -> usize {
    (cursor.position % PAGE) as usize
}

//! What the journal's entries stand in.

use std::fmt;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::journal::Entry;

/// Entries in one order. A position is the number of entries before it, and stays what it is when
/// the oldest entries go.
pub(super) trait Log: fmt::Debug + Send + Sync + 'static {
    /// Which log it is: positions of another one mean nothing here.
    fn epoch(&self) -> u64;

    /// What it holds.
    fn bounds(&self) -> Bounds;

    /// Appends an entry and gives the position behind it. Never waits for a reader or another
    /// machine. The entry may become readable later, in the order of the positions.
    fn append(&self, entry: Arc<Entry>) -> u64;

    /// Up to `max` entries behind `position`, and no more bytes of entries than `max_bytes` unless
    /// the first one alone has more. None at the end, and where nothing is readable yet.
    fn read(&self, position: u64, max: usize, max_bytes: usize) -> Result<Found, Overrun>;

    /// When the entry in front of `position` was appended, if it is still there.
    fn appended_at(&self, position: u64) -> Option<Instant>;

    /// Told each time that more can be read. One task alone waits for it.
    fn grown(&self) -> &Notify;
}

/// What a log holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Position before the oldest entry.
    pub(super) oldest: u64,
    /// Position behind the newest entry that can be read.
    pub(super) end: u64,
    /// Bytes of the entries between them.
    pub(super) bytes: usize,
}

/// What a reader found.
#[derive(Debug)]
pub(super) struct Found {
    /// Entries with the position behind each.
    pub(super) entries: Vec<(u64, Arc<Entry>)>,
    /// Bytes between the reader's position and the end.
    pub(super) lag_bytes: u64,
    /// Those that lie behind the entries found.
    pub(super) left_bytes: u64,
}

/// The reader's position is no longer in the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Overrun {
    /// Where it goes on.
    pub(super) oldest: u64,
    /// How many events stood between, when that is known.
    pub(super) events: Option<u64>,
}

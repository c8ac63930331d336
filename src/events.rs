//! Events for clients: a journal with cursors, filters, and subscriptions that read it.

mod cursor;
mod filter;
mod history;
mod journal;
mod log;
mod page;
mod ring;
mod sleepers;
mod subscription;

pub use cursor::{Cursor, CursorError};
pub use filter::{EventFilter, FilterSpec, HeaderMatcher, MAX_MATCHERS, RegexError};
pub use history::{HistoryConfig, SessionHistory};
pub use journal::{Entry, Gap, GapReason, Journal, JournalConfig, Record};
pub use page::EventPage;
pub use subscription::{Item, SlowPolicy, Start, Subscription};

#[cfg(test)]
mod tests;

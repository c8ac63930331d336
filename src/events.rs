//! Events for clients: a journal with cursors, filters, and subscriptions that read it.

mod base;
mod counts;
mod cursor;
mod event_set;
mod filter;
mod history;
mod journal;
mod log;
mod page;
mod ring;
mod sleepers;
mod subscription;
mod turn;
mod wants;

pub use base::base_events;
pub use counts::{Delivered, GAP_REASONS, JournalNow};
pub use cursor::{Cursor, CursorError};
pub use event_set::EventSet;
pub use filter::{EventFilter, FilterSpec, HeaderMatcher, MAX_MATCHERS, RegexError};
pub use history::{HistoryConfig, SessionHistory};
pub use journal::{Entry, Gap, GapReason, Journal, JournalConfig, Record};
pub use page::EventPage;
pub use subscription::{Item, SlowPolicy, Start, Subscription};
pub use wants::{Asked, Follower, Want, Wanted, Wants};

#[cfg(test)]
mod tests;

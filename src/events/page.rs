//! Pages of the journal, for those who read on demand.

use std::sync::Arc;

use super::cursor::Cursor;
use super::filter::EventFilter;
use super::journal::{Entry, Gap, Journal};
use super::subscription::{check_cursor, too_old};
use super::turn::Turn;
use crate::domain::Failure;

/// Entries and bytes of events that are looked at in one go.
const READ_AHEAD: usize = 256;
const READ_AHEAD_BYTES: usize = 512 * 1024;
/// Entries that are looked at for one page: a filter that wants little makes short pages.
const MAX_SCAN: usize = 16 * 1024;
/// Bytes of the events of one page, unless one alone has more: what becomes of them on the wire
/// stays below the 4 MiB that gRPC clients take by default.
const MAX_BYTES: usize = 1 << 20;
/// Most gaps of one page.
const MAX_GAPS: usize = 1000;

/// Some of what the journal holds.
#[derive(Debug)]
pub struct EventPage {
    /// Events, each with the cursor behind it, oldest first.
    pub events: Vec<(Cursor, Arc<Entry>)>,
    /// Where events are missing, likewise.
    pub gaps: Vec<(Cursor, Gap)>,
    /// Behind everything that was looked at.
    pub cursor: Cursor,
    /// Whether there is more behind it already.
    pub has_more: bool,
}

// === impl EventPage ===

impl EventPage {
    /// The first events behind `after`, or of all that are left, that the filter wants; `max` at
    /// most.
    ///
    /// # Errors
    /// CURSOR_LOST when `after` is of another journal or older than its oldest entry.
    pub async fn read(
        journal: &Journal,
        filter: &EventFilter,
        after: Option<Cursor>,
        max: usize,
    ) -> Result<Self, Failure> {
        let mut position = match after {
            Some(cursor) => check_cursor(journal, cursor)?,
            None => journal.oldest().position,
        };
        let mut is_begun = after.is_some();
        let mut events = Vec::new();
        let mut gaps = Vec::new();
        let (mut bytes, mut scanned) = (0, 0);
        let page = |events, gaps, position, has_more| Self {
            events,
            gaps,
            cursor: journal.cursor_at(position),
            has_more,
        };
        let mut turn = Turn::new(filter);
        while scanned < MAX_SCAN {
            let found = match journal.read(position, READ_AHEAD, READ_AHEAD_BYTES) {
                Ok(found) => found,
                // The oldest entry goes while it is read; then the next one is the oldest.
                Err(overrun) if !is_begun => {
                    position = overrun.oldest;
                    continue;
                }
                // What was found so far is good.
                Err(_) if scanned > 0 => return Ok(page(events, gaps, position, true)),
                Err(_) => return Err(too_old(journal)),
            };
            is_begun = true;
            if found.entries.is_empty() {
                return Ok(page(events, gaps, position, false));
            }
            for (at, entry) in found.entries {
                let size = match &*entry {
                    Entry::Event(record) if filter.wants(record) => record.event.size(),
                    _ => 0,
                };
                let is_full = events.len() == max || gaps.len() == MAX_GAPS;
                if is_full || (!events.is_empty() && bytes + size > MAX_BYTES) {
                    return Ok(page(events, gaps, position, true));
                }
                match &*entry {
                    Entry::Event(_) if size > 0 => {
                        bytes += size;
                        events.push((journal.cursor_at(at), entry));
                    }
                    Entry::Gap(gap) if concerns(filter, gap) => {
                        gaps.push((journal.cursor_at(at), gap.clone()));
                    }
                    Entry::Asked(asked) if filter.wants_entry(&entry) => {
                        gaps.push((journal.cursor_at(at), asked.gap()));
                    }
                    _ => {}
                }
                position = at;
                scanned += 1;
                turn.pass().await;
            }
            tokio::task::consume_budget().await;
        }
        let has_more = journal.cursor().position > position;
        Ok(page(events, gaps, position, has_more))
    }
}

fn concerns(filter: &EventFilter, gap: &Gap) -> bool {
    gap.node.as_ref().is_none_or(|node| filter.wants_node(node))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, SystemTime};

    use proptest::prelude::*;

    use super::*;
    use crate::domain::{NodeState, Reason};
    use crate::esl::Event;
    use crate::events::{
        FilterSpec, GapReason, HeaderMatcher, HistoryConfig, Item, JournalConfig, Record,
        SlowPolicy, Start, Subscription,
    };
    use crate::shutdown::Drain;

    fn journal(config: JournalConfig) -> Arc<Journal> {
        Journal::start(config, HistoryConfig::default(), &Drain::new())
    }

    fn event(node: &str, name: &'static str, bytes: usize) -> Entry {
        let headers = [
            ("Event-Name", name.into()),
            ("Filler", "x".repeat(bytes).into()),
        ];
        Entry::Event(Record {
            node: node.parse().unwrap(),
            event: Event::from_headers(headers).unwrap(),
            session: None,
            call: None,
            job: None,
            synthetic: false,
            owners: Default::default(),
        })
    }

    fn entries() -> impl Strategy<Value = Vec<Entry>> {
        let node = || prop::sample::select(vec!["a", "b"]);
        let entry = prop_oneof![
            12 => (node(), prop::sample::select(vec!["HEARTBEAT", "DTMF"]), 0..3000usize)
                .prop_map(|(node, name, bytes)| event(node, name, bytes)),
            1 => (node(), 600_000..1_200_000usize).prop_map(|(node, bytes)| event(node, "DTMF", bytes)),
            1 => node().prop_map(|node| Entry::Gap(Gap {
                node: Some(node.parse().unwrap()),
                count: 0,
                reason: GapReason::LinkLost,
                began: SystemTime::UNIX_EPOCH,
                ended: None,
            })),
            1 => node().prop_map(|node| Entry::NodeState {
                node: node.parse().unwrap(),
                state: NodeState::Ready,
            }),
        ];
        prop::collection::vec(entry, 0..400)
    }

    fn filter(names: &[&str], nodes: &[&str]) -> EventFilter {
        EventFilter::from(FilterSpec {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            nodes: nodes.iter().map(|node| node.parse().unwrap()).collect(),
            ..FilterSpec::default()
        })
    }

    fn filters() -> impl Strategy<Value = EventFilter> {
        prop::sample::select(vec![
            EventFilter::default(),
            filter(&["DTMF"], &[]),
            filter(&[], &["a"]),
            filter(&["NAT"], &["b"]),
        ])
    }

    /// Positions of the events and of the gaps that one stream tells.
    async fn streamed(journal: &Arc<Journal>, filter: EventFilter) -> (Vec<u64>, Vec<u64>) {
        let silence = Duration::from_secs(15);
        let (start, policy) = (Start::Earliest, SlowPolicy::End);
        let mut stream =
            Subscription::begin(journal, filter, start, policy, u64::MAX, silence).unwrap();
        let (mut events, mut gaps) = (Vec::new(), Vec::new());
        let mut was_silent = false;
        loop {
            match stream.next().await.unwrap() {
                Item::Events(batch) => events.extend(batch.iter().map(|(at, _)| at.position)),
                Item::Other(entry) => {
                    if let Entry::Gap(_) = &*entry {
                        gaps.push(stream.cursor().position);
                    }
                }
                Item::Gap(gap) => panic!("{gap:?}"),
                Item::Checkpoint if was_silent => return (events, gaps),
                // The first one comes at once, the next when there is nothing more.
                Item::Checkpoint => was_silent = true,
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn pages_together_are_what_one_stream_tells(
            entries in entries(),
            filter in filters(),
            max in 1..50usize,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap();
            let _inside = runtime.enter();
            let journal = journal(JournalConfig::default());
            for entry in entries {
                journal.append(entry);
            }
            let (mut events, mut gaps) = (Vec::new(), Vec::new());
            let mut after = None;
            loop {
                let page = runtime.block_on(EventPage::read(&journal, &filter, after, max)).unwrap();
                let bytes: usize = page.events.iter().map(|(_, entry)| match &**entry {
                    Entry::Event(record) => record.event.size(),
                    Entry::Gap(_) | Entry::NodeState { .. } | Entry::Asked(_) => 0,
                }).sum();
                prop_assert!(page.events.len() <= max);
                prop_assert!(bytes <= MAX_BYTES || page.events.len() == 1);
                events.extend(page.events.iter().map(|(at, _)| at.position));
                gaps.extend(page.gaps.iter().map(|(at, _)| at.position));
                if !page.has_more {
                    prop_assert_eq!(page.cursor, journal.cursor());
                    break;
                }
                after = Some(page.cursor);
            }
            prop_assert_eq!((events, gaps), runtime.block_on(streamed(&journal, filter)));
        }
    }

    #[tokio::test]
    async fn a_page_looks_at_so_many_entries_and_no_more() {
        let journal = journal(JournalConfig::default());
        for _ in 0..MAX_SCAN + READ_AHEAD {
            journal.append(event("a", "DTMF", 1));
        }
        let unwanted = filter(&["NAT"], &[]);
        let page = EventPage::read(&journal, &unwanted, None, 10)
            .await
            .unwrap();
        assert!(page.events.is_empty() && page.has_more);
        let page = EventPage::read(&journal, &unwanted, Some(page.cursor), 10)
            .await
            .unwrap();
        assert!(!page.has_more);
        assert_eq!(page.cursor, journal.cursor());
    }

    #[tokio::test]
    async fn a_page_that_takes_long_lets_others_have_their_turn() {
        let journal = journal(JournalConfig::default());
        for _ in 0..MAX_SCAN {
            journal.append(event("a", "DTMF", 1));
        }
        let turns = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&turns);
        let mut others = tokio::task::JoinSet::<()>::new();
        others.spawn(async move {
            loop {
                counter.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        let unwanted = filter(&["NAT"], &[]);
        for _ in 0..8 {
            let page = EventPage::read(&journal, &unwanted, None, 10).await;
            assert!(page.unwrap().events.is_empty());
        }
        // What tokio allows each task is used up with 128 reads.
        let turns_before = turns.load(Ordering::Relaxed);
        assert!(turns_before >= 3, "{turns_before}");
        let regex = HeaderMatcher::regex("Filler", "[a-e][a-j]{50}[k-z]$").unwrap();
        let slow = EventFilter::from(FilterSpec {
            headers: vec![regex],
            ..FilterSpec::default()
        });
        EventPage::read(&journal, &slow, None, 10).await.unwrap();
        let turns = turns.load(Ordering::Relaxed) - turns_before;
        assert!(turns >= 2, "{turns}");
    }

    #[tokio::test]
    async fn a_cursor_that_the_journal_no_longer_reaches_is_lost() {
        let journal = journal(JournalConfig {
            max_bytes: 10_000,
            ..JournalConfig::default()
        });
        let first = journal.cursor();
        for _ in 0..100 {
            journal.append(event("a", "DTMF", 1000));
        }
        let all = EventFilter::default();
        let failure = EventPage::read(&journal, &all, Some(first), 10)
            .await
            .unwrap_err();
        assert_eq!(failure.reason(), Reason::CursorLost);
        let oldest = failure.metadata()["oldest_cursor"].parse().unwrap();
        for after in [Some(oldest), None] {
            let page = EventPage::read(&journal, &all, after, 10).await.unwrap();
            assert_eq!(page.events[0].0.position, oldest.position + 1);
        }
    }
}

//! Subscribers that are too slow: what they are told adds up.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::super::log::{Bounds, Found, Log, Overrun};
use super::super::ring::Ring;
use super::late::kinds;
use super::*;

/// A ring to which many are appended in front of one of its reads.
#[derive(Debug)]
struct Busy {
    ring: Ring,
    reads_until_burst: AtomicUsize,
    burst: usize,
}

/// What was told, up to which position.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Entry(u64, String),
    Gap(u64, u64, GapReason),
}

fn ready_told(subscription: &mut Subscription) -> Vec<Told> {
    let mut told = Vec::new();
    while let Some(item) = tokio::task::unconstrained(subscription.next()).now_or_never() {
        let position = subscription.cursor().position;
        match item.unwrap() {
            Item::Events(events) => told.extend(
                events
                    .iter()
                    .map(|(cursor, entry)| Told::Entry(cursor.position, text(entry))),
            ),
            Item::Other(entry) => told.push(Told::Entry(position, text(&entry))),
            Item::Gap(gap) => {
                assert!(gap.began <= gap.ended.unwrap());
                told.push(Told::Gap(position, gap.count, gap.reason));
            }
            Item::Checkpoint => {}
        }
    }
    told
}

fn size() -> usize {
    record("E", "n").size()
}

/// The next gap, and from where to where it reaches.
async fn gap_of(subscription: &mut Subscription) -> (u64, u64, Gap) {
    let before = subscription.cursor().position;
    match subscription.next().await {
        Ok(Item::Gap(gap)) => (before, subscription.cursor().position, gap),
        other => panic!("{other:?}"),
    }
}

// === impl Busy ===

impl Log for Busy {
    fn epoch(&self) -> u64 {
        self.ring.epoch()
    }

    fn bounds(&self) -> Bounds {
        self.ring.bounds()
    }

    fn append(&self, entry: Arc<Entry>) -> u64 {
        self.ring.append(entry)
    }

    fn read(&self, position: u64, max: usize, max_bytes: usize) -> Result<Found, Overrun> {
        if self.reads_until_burst.fetch_sub(1, Ordering::Relaxed) == 1 {
            for _ in 0..self.burst {
                self.ring.append(Arc::new(record("E", "n")));
            }
        }
        self.ring.read(position, max, max_bytes)
    }

    fn appended_at(&self, position: u64) -> Option<Instant> {
        self.ring.appended_at(position)
    }

    fn grown(&self) -> &Notify {
        self.ring.grown()
    }
}

/// What is appended: its kind, and its filler in bytes.
fn bursts() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(0..12u8, 0..60), 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// What is told, and what is told to be left out, make up all that is wanted, each in its
    /// place; and only events are ever left out, unless the journal has not kept them.
    #[test]
    fn what_is_left_out_is_counted(
        kind in kinds(),
        bursts in bursts(),
        wants_all: bool,
        max_bytes in prop_oneof![Just(usize::MAX), 500..9000usize],
        max_lag in 100..6000u64,
        shown in prop::collection::vec(0..80usize, 20),
    ) {
        in_runtime(async {
            let (journal, late) = kind.start(max_bytes);
            let filter = match wants_all {
                true => EventFilter::default(),
                false => names(&["WANTED", "ALSO"]),
            };
            let mut subscription = begin(&journal, filter, Start::Now, SlowPolicy::Gap, max_lag).unwrap();
            let mut entries: Vec<String> = Vec::new();
            let mut told = Vec::new();
            for (burst, shown) in bursts.iter().zip(&shown) {
                for kind in burst {
                    let entry = match kind {
                        0 => gap("n"),
                        1 => state("n"),
                        2..6 => record("OTHER", "n"),
                        6..10 => record("WANTED", "n"),
                        _ => record("ALSO", "n"),
                    };
                    entries.push(text(&entry));
                    journal.append(entry);
                }
                late.show(*shown);
                told.extend(ready_told(&mut subscription));
            }
            late.show(usize::MAX);
            told.extend(ready_told(&mut subscription));

            let is_other = |text: &str| text == "gap" || text == "state";
            let is_wanted = |text: &str| wants_all || text != "OTHER";
            let mut at = 0;
            for told in told {
                let (position, told_entry) = match &told {
                    Told::Entry(position, text) => (*position, Some(text)),
                    Told::Gap(position, ..) => (*position, None),
                };
                prop_assert!(position > at, "{told:?} behind {at}");
                let between = &entries[usize::try_from(at).unwrap()..usize::try_from(position).unwrap()];
                let events = between.iter().filter(|text| is_wanted(text) && !is_other(text)).count() as u64;
                match (&told, told_entry) {
                    (Told::Gap(_, count, GapReason::SlowConsumer), _) => {
                        prop_assert_eq!(*count, events);
                        prop_assert!(!between.iter().any(|text| is_other(text)), "{:?}", between);
                    }
                    (Told::Gap(_, count, reason), _) => {
                        prop_assert_eq!(*reason, GapReason::JournalOverrun);
                        prop_assert_ne!(max_bytes, usize::MAX);
                        prop_assert_eq!(*count, if wants_all { events } else { 0 });
                    }
                    (_, text) => {
                        let wanted: Vec<_> = between.iter().filter(|text| is_wanted(text)).collect();
                        prop_assert_eq!(wanted, text.into_iter().collect::<Vec<_>>());
                    }
                }
                at = position;
            }
            let rest = &entries[usize::try_from(at).unwrap()..];
            prop_assert!(!rest.iter().any(|text| is_wanted(text)), "{:?}", rest);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_slow_reader_ends_with_the_cursor_to_go_on_from() {
    let journal = journal(usize::MAX);
    let mut subscription = begin(
        &journal,
        EventFilter::default(),
        Start::Now,
        SlowPolicy::End,
        1000,
    )
    .unwrap();
    journal.append(record("E0", "n"));
    assert_eq!(texts(ready(&mut subscription)), ["E0"]);
    for at in 1..100 {
        journal.append(record(&format!("E{at}"), "n"));
    }
    let failure = subscription.next().await.unwrap_err();
    assert_eq!(failure.reason(), Reason::SlowConsumer);
    let cursor: Cursor = failure.metadata()["cursor"].parse().unwrap();
    let told = texts(ready(&mut all(&journal, Start::After(cursor))));
    assert_eq!((told.len(), told[0].as_str()), (99, "E1"));
}

#[tokio::test]
async fn what_a_subscriber_does_not_want_never_makes_it_slow() {
    let journal = journal(usize::MAX);
    let filter = names(&["WANTED"]);
    let mut subscription = begin(&journal, filter, Start::Now, SlowPolicy::End, 1000).unwrap();
    assert_eq!(ready(&mut subscription), []);
    for at in 0..2000 {
        journal.append(record("OTHER", "n"));
        if at % 500 == 0 {
            journal.append(record("WANTED", "n"));
        }
    }
    assert_eq!(texts(ready(&mut subscription)), ["WANTED"; 4]);
    for _ in 0..20 {
        journal.append(record("OTHER", "n"));
        journal.append(record("WANTED", "n"));
    }
    let failure = subscription.next().await.unwrap_err();
    assert_eq!(failure.reason(), Reason::SlowConsumer);
}

#[tokio::test]
async fn one_that_keeps_up_with_what_it_wants_is_not_slow() {
    let journal = journal(usize::MAX);
    let filter = names(&["WANTED"]);
    let room_for_ten = 10 * record("WANTED", "n").size() as u64;
    let (start, policy) = (Start::Now, SlowPolicy::End);
    let mut subscription = begin(&journal, filter, start, policy, room_for_ten).unwrap();
    assert_eq!(ready(&mut subscription), []);
    let append = || {
        for name in [&["OTHER"; 300][..], &["WANTED"; 3]].concat() {
            journal.append(record(name, "n"));
        }
    };
    append();
    append();
    for _ in 0..20 {
        append();
        match subscription.next().await {
            Ok(Item::Events(events)) => assert_eq!(events.len(), 3),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_gap_says_from_when_to_when() {
    let journal = journal(usize::MAX);
    let filter = names(&["WANTED"]);
    let mut subscription = begin(&journal, filter, Start::Now, SlowPolicy::Gap, 500).unwrap();
    assert_eq!(ready(&mut subscription), []);
    let second = Duration::from_secs(1);
    for name in [
        "OTHER", "WANTED", "WANTED", "WANTED", "WANTED", "WANTED", "WANTED", "OTHER",
    ] {
        tokio::time::advance(second).await;
        journal.append(record(name, "n"));
    }
    tokio::time::advance(second).await;
    let Ok(Item::Gap(gap)) = subscription.next().await else {
        panic!("it is too slow");
    };
    assert_eq!((gap.count, gap.reason), (6, GapReason::SlowConsumer));
    let span = gap.ended.unwrap().duration_since(gap.began).unwrap();
    // The two moments are computed by two looks at the clock of the wall.
    assert!(
        span.abs_diff(5 * second) < Duration::from_millis(500),
        "{span:?}"
    );
}

#[tokio::test]
async fn one_whose_next_event_is_gone_ends_with_the_oldest_that_is_left() {
    let journal = journal(2000);
    let mut subscription = all(&journal, Start::Now);
    assert_eq!(ready(&mut subscription), []);
    for _ in 0..100 {
        journal.append(record("E", "n"));
    }
    let failure = subscription.next().await.unwrap_err();
    assert_eq!(failure.reason(), Reason::CursorLost);
    assert_eq!(failure.metadata()["why"], "too_old");
    let oldest = failure.metadata()["oldest_cursor"].parse().unwrap();
    assert_eq!(oldest, journal.oldest());
    let told = ready(&mut all(&journal, Start::After(oldest)));
    assert_eq!(told.len() as u64, 100 - oldest.position);
}

#[tokio::test(start_paused = true)]
async fn what_was_counted_is_told_when_the_journal_overruns_meanwhile() {
    for reads_until_burst in 3..12 {
        let log = Arc::new(Busy {
            ring: Ring::new(JournalConfig {
                max_bytes: 1000 * size(),
                max_age: Duration::from_secs(600),
            }),
            reads_until_burst: AtomicUsize::new(reads_until_burst),
            burst: 600,
        });
        let journal = Journal::start_over(log, HistoryConfig::default(), &Drain::new());
        let (filter, policy) = (EventFilter::default(), SlowPolicy::Gap);
        let max_lag = 20 * size() as u64;
        let mut subscription = begin(&journal, filter, Start::Now, policy, max_lag).unwrap();
        assert_eq!(ready(&mut subscription), []);
        for _ in 0..1000 {
            journal.append(record("E", "n"));
        }
        let mut counted = 0;
        for told in ready_told(&mut subscription) {
            let (position, count) = match told {
                Told::Entry(position, _) => (position, 1),
                Told::Gap(position, count, _) => (position, count),
            };
            counted += count;
            assert_eq!(counted, position, "{reads_until_burst}");
        }
        assert!(counted >= 1000, "{counted}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_the_journal_overran_is_bounded_as_before() {
    let journal = journal(1000 * size());
    let (filter, policy) = (EventFilter::default(), SlowPolicy::Gap);
    let max_lag = 20 * size() as u64;
    let mut subscription = begin(&journal, filter, Start::Now, policy, max_lag).unwrap();
    assert_eq!(ready(&mut subscription), []);
    for _ in 0..1500 {
        journal.append(record("E", "n"));
    }
    let (before, after, gap) = gap_of(&mut subscription).await;
    assert_eq!(gap.reason, GapReason::JournalOverrun);
    assert_eq!((before, after, gap.count), (0, 500, 500));
    let (before, after, gap) = gap_of(&mut subscription).await;
    assert_eq!(gap.reason, GapReason::SlowConsumer);
    assert_eq!((before, after, gap.count), (500, 1500, 1000));
    journal.append(record("E", "n"));
    assert_eq!(texts(ready(&mut subscription)), ["E"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_begins_far_behind_may_catch_up_though_the_journal_overruns_it() {
    let journal = journal(1000 * size());
    for _ in 0..1000 {
        journal.append(record("E", "n"));
    }
    let (filter, policy) = (EventFilter::default(), SlowPolicy::Gap);
    let max_lag = 20 * size() as u64;
    let mut subscription = begin(&journal, filter, Start::Earliest, policy, max_lag).unwrap();
    journal.append(record("E", "n"));
    let told = texts(ready(&mut subscription));
    assert_eq!((told.len(), told[0].as_str()), (1001, "left out 1"));
}

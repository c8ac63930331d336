use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use proptest::prelude::*;
use tokio::time::Instant;

use super::*;
use crate::domain::{NodeState, Reason};
use crate::esl::Event;
use crate::shutdown::Drain;

mod late;
mod sleeping;
mod slow;

const SILENCE: Duration = Duration::from_secs(15);
const NO_LIMIT: u64 = u64::MAX;

fn record(name: &str, node: &str) -> Entry {
    of_session(name, node, None)
}

fn of_session(name: &str, node: &str, session: Option<&str>) -> Entry {
    let headers = [("Event-Name", Cow::Borrowed(name))];
    Entry::Event(Record {
        node: node.parse().unwrap(),
        event: Event::from_headers(headers).unwrap(),
        session: session.map(|session| session.parse().unwrap()),
        call: None,
        job: None,
        synthetic: false,
        owners: Default::default(),
    })
}

fn gap(node: &str) -> Entry {
    Entry::Gap(Gap {
        node: Some(node.parse().unwrap()),
        count: 0,
        reason: GapReason::LinkLost,
        began: SystemTime::UNIX_EPOCH,
        ended: None,
    })
}

fn state(node: &str) -> Entry {
    Entry::NodeState {
        node: node.parse().unwrap(),
        state: NodeState::Down,
    }
}

fn journal(max_bytes: usize) -> Arc<Journal> {
    start(JournalConfig {
        max_bytes,
        max_age: Duration::from_secs(600),
    })
}

fn start(config: JournalConfig) -> Arc<Journal> {
    Journal::start(config, HistoryConfig::default(), &Drain::new())
}

fn names(names: &[&str]) -> EventFilter {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    EventFilter::from(FilterSpec {
        names,
        ..FilterSpec::default()
    })
}

fn begin(
    journal: &Arc<Journal>,
    filter: EventFilter,
    start: Start,
    policy: SlowPolicy,
    max_lag: u64,
) -> Result<Subscription, crate::domain::Failure> {
    Subscription::begin(journal, filter, start, policy, max_lag, SILENCE)
}

fn all(journal: &Arc<Journal>, start: Start) -> Subscription {
    begin(
        journal,
        EventFilter::default(),
        start,
        SlowPolicy::End,
        NO_LIMIT,
    )
    .unwrap()
}

fn text(entry: &Entry) -> String {
    match entry {
        Entry::Event(record) => record.event.name().into_owned(),
        Entry::Gap(_) => "gap".to_owned(),
        Entry::NodeState { .. } | Entry::Asked(_) => "state".to_owned(),
    }
}

/// All that is ready, with the subscription's cursor behind each.
fn ready(subscription: &mut Subscription) -> Vec<(Cursor, String)> {
    let mut told = Vec::new();
    while let Some(item) = tokio::task::unconstrained(subscription.next()).now_or_never() {
        match item.unwrap() {
            Item::Events(events) => {
                assert!(!events.is_empty());
                told.extend(events.iter().map(|(cursor, entry)| (*cursor, text(entry))));
            }
            Item::Other(entry) => told.push((subscription.cursor(), text(&entry))),
            Item::Gap(gap) => told.push((subscription.cursor(), format!("left out {}", gap.count))),
            Item::Checkpoint => {}
        }
    }
    told
}

fn texts(told: Vec<(Cursor, String)>) -> Vec<String> {
    told.into_iter().map(|(_, text)| text).collect()
}

fn in_runtime<T>(test: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(test)
}

/// Entries of every kind.
fn entries() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(0..6u8, 0..700)
}

fn entry(kind: u8, at: usize) -> Entry {
    match kind {
        0 => gap("n"),
        1 => state("n"),
        2 => record("UNWANTED", "n"),
        _ => record(&format!("E{at}"), "n"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the reader does in between - reads, gives a read up, begins anew behind its last
    /// cursor - it is told everything wanted once, in order.
    #[test]
    fn nothing_is_lost_or_repeated(kind in late::kinds(), kinds in entries(), acts in prop::collection::vec((0..40usize, 0..5u8), 1..40)) {
        in_runtime(async {
            let (journal, late) = kind.start(usize::MAX);
            let wanted: Vec<_> = (0..kinds.len()).map(|at| format!("E{at}")).collect();
            let filter = names(&wanted.iter().map(String::as_str).collect::<Vec<_>>());
            // An empty set would want everything.
            prop_assume!(!kinds.is_empty());
            let open = |start| begin(&journal, filter.clone(), start, SlowPolicy::End, NO_LIMIT).unwrap();
            let mut subscription = open(Start::Now);
            let (mut appended, mut told) = (0, Vec::new());
            for (count, act) in acts {
                for _ in 0..count {
                    if let Some(kind) = kinds.get(appended) {
                        journal.append(entry(*kind, appended));
                        appended += 1;
                    }
                }
                match act {
                    0 => told.extend(ready(&mut subscription)),
                    1 => {
                        // Looked at once and dropped at its first wait.
                        if let Some(item) = tokio::task::unconstrained(subscription.next()).now_or_never() {
                            match item.unwrap() {
                                Item::Events(events) => told.extend(events.iter().map(|(cursor, entry)| (*cursor, text(entry)))),
                                Item::Other(entry) => told.push((subscription.cursor(), text(&entry))),
                                Item::Checkpoint => {}
                                Item::Gap(_) => panic!("nobody is slow"),
                            }
                        }
                    }
                    2 => {
                        let cursor = subscription.cursor();
                        subscription = open(Start::After(cursor));
                    }
                    3 => late.show(count),
                    _ => {
                        // From the cursor of the last thing told, wherever in a batch it stood.
                        if let Some((cursor, _)) = told.last() {
                            subscription = open(Start::After(*cursor));
                        }
                    }
                }
            }
            late.show(usize::MAX);
            told.extend(ready(&mut subscription));
            let expected: Vec<_> = kinds[..appended].iter().enumerate().filter_map(|(at, kind)| match kind {
                0 => Some("gap".to_owned()),
                1 => Some("state".to_owned()),
                2 => None,
                _ => Some(format!("E{at}")),
            }).collect();
            prop_assert_eq!(texts(told), expected);
            Ok(())
        })?;
    }

    /// Bytes and age bound what is kept, and who comes too late is told where to go on.
    #[test]
    fn the_ring_keeps_to_its_bounds(steps in prop::collection::vec((0..6u8, 0..90u64), 1..120), max_bytes in 0..4000usize) {
        in_runtime(async {
            let config = JournalConfig { max_bytes, max_age: Duration::from_secs(600) };
            let journal = start(config);
            let first = journal.cursor();
            let mut model: Vec<(Instant, usize)> = Vec::new();
            let mut dropped = 0;
            for (at, (kind, seconds)) in steps.iter().enumerate() {
                tokio::time::advance(Duration::from_secs(*seconds)).await;
                let new = entry(*kind, at);
                let size = match &new {
                    Entry::Event(record) => record.event.size(),
                    _ => 256,
                };
                journal.append(new);
                model.push((Instant::now(), size));
                while model.first().is_some_and(|(at, _)| at.elapsed() > config.max_age)
                    || model.iter().map(|(_, size)| size).sum::<usize>() > max_bytes
                {
                    model.remove(0);
                    dropped += 1;
                }
                prop_assert_eq!(journal.oldest().position, dropped);
                prop_assert_eq!(journal.cursor().position, dropped + model.len() as u64);
                prop_assert_eq!(journal.held_bytes(), model.iter().map(|(_, size)| size).sum::<usize>());
            }
            let result = begin(&journal, EventFilter::default(), Start::After(first), SlowPolicy::End, NO_LIMIT);
            match dropped {
                0 => prop_assert!(result.is_ok()),
                _ => {
                    let lost = result.expect_err("the cursor is too old");
                    prop_assert_eq!(lost.reason(), Reason::CursorLost);
                    let oldest = journal.oldest().to_string();
                    prop_assert_eq!(lost.metadata().get("oldest_cursor"), Some(&oldest));
                    prop_assert_eq!(&lost.metadata()["why"], "too_old");
                }
            }
            let told = ready(&mut all(&journal, Start::Earliest));
            prop_assert_eq!(told.len(), model.len());
            Ok(())
        })?;
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_word_comes_at_once_and_the_next_when_there_is_one_or_it_is_due() {
    let journal = journal(usize::MAX);
    let mut subscription = all(&journal, Start::Now);
    assert!(matches!(
        subscription.next().now_or_never(),
        Some(Ok(Item::Checkpoint))
    ));
    let began = Instant::now();
    assert!(matches!(subscription.next().await, Ok(Item::Checkpoint)));
    assert_eq!(began.elapsed(), SILENCE);
    let append = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        journal.append(record("E", "n"));
    };
    let (item, ()) = tokio::join!(subscription.next(), append);
    assert!(matches!(item, Ok(Item::Events(events)) if events.len() == 1));
    assert_eq!(began.elapsed(), SILENCE + Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_moves_on_past_what_is_not_wanted() {
    let journal = journal(usize::MAX);
    let filter = names(&["WANTED"]);
    let mut subscription = begin(&journal, filter, Start::Now, SlowPolicy::End, NO_LIMIT).unwrap();
    assert_eq!(ready(&mut subscription), []);
    for _ in 0..1000 {
        journal.append(record("OTHER", "n"));
    }
    assert!(matches!(subscription.next().await, Ok(Item::Checkpoint)));
    assert_eq!(subscription.cursor(), journal.cursor());
}

#[tokio::test]
async fn gaps_and_states_of_other_nodes_are_not_told() {
    let journal = journal(usize::MAX);
    let filter = EventFilter::from(FilterSpec {
        nodes: vec!["a".parse().unwrap()],
        ..FilterSpec::default()
    });
    let mut subscription = begin(&journal, filter, Start::Now, SlowPolicy::End, NO_LIMIT).unwrap();
    for node in ["a", "b"] {
        journal.append(state(node));
        journal.append(gap(node));
        journal.append(record("E", node));
    }
    assert_eq!(texts(ready(&mut subscription)), ["state", "gap", "E"]);
    assert_eq!(subscription.cursor(), journal.cursor());
}

#[tokio::test]
async fn a_cursor_of_another_journal_or_of_the_future_is_lost() {
    let (journal, other) = (journal(usize::MAX), journal(usize::MAX));
    let mut future = journal.cursor();
    future.position += 1;
    for cursor in [other.cursor(), future] {
        let result = begin(
            &journal,
            EventFilter::default(),
            Start::After(cursor),
            SlowPolicy::Gap,
            NO_LIMIT,
        );
        let failure = result.unwrap_err();
        assert_eq!(failure.reason(), Reason::CursorLost);
        assert_eq!(failure.metadata()["why"], "other_epoch");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_too_old_goes_though_nothing_comes() {
    let journal = journal(usize::MAX);
    let first = journal.cursor();
    journal.append(record("E", "n"));
    tokio::time::advance(Duration::from_secs(590)).await;
    assert_eq!(texts(ready(&mut all(&journal, Start::After(first)))), ["E"]);
    let mut behind = all(&journal, Start::After(first));
    tokio::time::advance(Duration::from_secs(11)).await;
    // The first word is only a checkpoint.
    assert!(matches!(behind.next().await, Ok(Item::Checkpoint)));
    let failure = behind.next().await.unwrap_err();
    assert_eq!(failure.reason(), Reason::CursorLost);
    assert_eq!(ready(&mut all(&journal, Start::Earliest)), []);
    assert_eq!(
        (journal.held_bytes(), journal.oldest()),
        (0, journal.cursor())
    );
}

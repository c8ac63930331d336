use super::super::history::HistoryConfig;
use super::super::journal::{JournalConfig, Record};
use super::*;
use crate::esl::Event;
use crate::shutdown::Drain;

const KIB: usize = 1024;

fn event(bytes: usize) -> Entry {
    let filler = "x".repeat(bytes);
    let headers = [("Event-Name", "CUSTOM".into()), ("Filler", filler.into())];
    Entry::Event(Record {
        node: "a".parse().unwrap(),
        event: Event::from_headers(headers).unwrap(),
        session: None,
        call: None,
        job: None,
        synthetic: false,
        owners: Default::default(),
    })
}

fn journal() -> Arc<Journal> {
    Journal::start(
        JournalConfig::default(),
        HistoryConfig::default(),
        &Drain::new(),
    )
}

fn subscribe(journal: &Arc<Journal>, start: Start, policy: SlowPolicy) -> Subscription {
    let max_lag = 16 * KIB as u64;
    let silence = Duration::from_secs(15);
    let filter = EventFilter::default();
    Subscription::begin(journal, filter, start, policy, max_lag, silence).unwrap()
}

async fn events(subscription: &mut Subscription) -> usize {
    loop {
        match subscription.next().await.unwrap() {
            Item::Events(events) => return events.len(),
            Item::Checkpoint => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_begins_far_behind_may_catch_up_and_is_bounded_from_then_on() {
    let journal = journal();
    for _ in 0..1000 {
        journal.append(event(KIB));
    }
    let mut subscription = subscribe(&journal, Start::Earliest, SlowPolicy::End);
    let mut seen = 0;
    while seen < 1000 {
        seen += events(&mut subscription).await;
    }
    for _ in 0..32 {
        journal.append(event(KIB));
    }
    let failure = subscription.next().await.unwrap_err();
    assert_eq!(failure.reason(), Reason::SlowConsumer);
    // The cursor that it is told is good for going on.
    let cursor = failure.metadata()["cursor"].parse().unwrap();
    let mut again = subscribe(&journal, Start::After(cursor), SlowPolicy::End);
    assert_eq!(events(&mut again).await, 32);
}

#[tokio::test(start_paused = true)]
async fn a_slow_subscriber_is_told_of_the_gap_and_goes_on() {
    let journal = journal();
    let mut subscription = subscribe(&journal, Start::Now, SlowPolicy::Gap);
    journal.append(event(1));
    assert_eq!(events(&mut subscription).await, 1);
    for _ in 0..32 {
        journal.append(event(KIB));
    }
    match subscription.next().await.unwrap() {
        Item::Gap(gap) => assert_eq!(gap.count, 32),
        other => panic!("{other:?}"),
    }
    journal.append(event(1));
    assert_eq!(events(&mut subscription).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_bounded_in_bytes_too() {
    let journal = journal();
    for _ in 0..3 {
        journal.append(event(400 * KIB));
    }
    journal.append(event(8000 * KIB));
    let mut subscription = subscribe(&journal, Start::Earliest, SlowPolicy::End);
    for _ in 0..4 {
        assert_eq!(events(&mut subscription).await, 1);
    }
}

#[tokio::test]
async fn a_silence_without_end_is_kept() {
    let journal = journal();
    let (start, policy, filter) = (Start::Now, SlowPolicy::End, EventFilter::default());
    let mut subscription =
        Subscription::begin(&journal, filter, start, policy, u64::MAX, Duration::MAX).unwrap();
    assert!(matches!(subscription.next().await, Ok(Item::Checkpoint)));
    let patience = Duration::from_millis(10);
    let silent = tokio::time::timeout(patience, subscription.next()).await;
    assert!(silent.is_err(), "{silent:?}");
    journal.append(event(1));
    assert_eq!(events(&mut subscription).await, 1);
}

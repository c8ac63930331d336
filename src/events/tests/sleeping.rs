//! Subscribers that sleep: woken for what they want, and for nothing else.

use std::collections::BTreeSet;

use tokio::task::JoinSet;

use super::late::kinds;
use super::*;

const NAMES: [&str; 3] = ["A", "B", "CUSTOM"];
const SUBCLASSES: [&str; 2] = ["x::y", "z"];
const NODES: [&str; 2] = ["n", "m"];
const SESSIONS: [&str; 3] = ["s", "t", "u"];

/// An entry in short: its name, subclass, node, session and call, each by its place in a list.
type Short = (u8, u8, u8, u8, u8);

fn shorts() -> impl Strategy<Value = Vec<Short>> {
    prop::collection::vec((0..6u8, 0..3u8, 0..2u8, 0..4u8, 0..4u8), 1..150)
}

fn short_entry((name, subclass, node, session, call): Short) -> Entry {
    let node = NODES[usize::from(node)];
    let name = match name {
        0 => return gap(node),
        1 => return state(node),
        other => NAMES[usize::from(other) % NAMES.len()],
    };
    let mut headers = vec![("Event-Name", Cow::Borrowed(name))];
    if let Some(subclass) = SUBCLASSES.get(usize::from(subclass)) {
        headers.push(("Event-Subclass", Cow::Borrowed(*subclass)));
    }
    let id = |at: u8| SESSIONS.get(usize::from(at));
    Entry::Event(Record {
        node: node.parse().unwrap(),
        event: Event::from_headers(headers).unwrap(),
        session: id(session).map(|id| id.parse().unwrap()),
        call: id(call).map(|id| id.parse().unwrap()),
        job: None,
        synthetic: false,
        owners: Default::default(),
    })
}

fn some<T>(from: &[&str]) -> impl Strategy<Value = Vec<T>> + use<T>
where
    T: std::str::FromStr<Err: std::fmt::Debug> + std::fmt::Debug + Clone,
{
    let from: Vec<String> = from.iter().map(|text| (*text).to_owned()).collect();
    let parsed = |texts: Vec<String>| texts.iter().map(|text| text.parse().unwrap()).collect();
    let none = Just(Vec::new());
    prop_oneof![
        2 => none,
        1 => prop::sample::subsequence(from, 1..=2).prop_map(parsed),
    ]
}

fn specs() -> impl Strategy<Value = FilterSpec> {
    let lists = (
        some(&NAMES),
        some(&SUBCLASSES),
        some(&NODES),
        some(&SESSIONS),
        some(&SESSIONS),
    );
    lists.prop_map(|(names, subclasses, nodes, sessions, calls)| FilterSpec {
        names,
        subclasses,
        nodes,
        sessions,
        calls,
        headers: Vec::new(),
    })
}

/// A subscriber that now and then gives a read up, or leaves and resumes, until its cursor is at
/// the end.
async fn follow(
    journal: Arc<Journal>,
    filter: EventFilter,
    acts: Vec<u8>,
    end: Cursor,
) -> Vec<u64> {
    let open = |start| begin(&journal, filter.clone(), start, SlowPolicy::End, NO_LIMIT).unwrap();
    let mut subscription = open(Start::Earliest);
    let (mut told, mut acts) = (Vec::new(), acts.into_iter().cycle());
    while subscription.cursor() != end {
        let act = acts.next().unwrap();
        let patience = Duration::from_millis(u64::from(act) * 7 + 1);
        match tokio::time::timeout(patience, subscription.next()).await {
            Ok(Ok(Item::Events(events))) => {
                told.extend(events.iter().map(|(cursor, _)| cursor.position));
            }
            Ok(Ok(Item::Other(_))) => told.push(subscription.cursor().position),
            Ok(Ok(Item::Checkpoint)) | Err(_) => {}
            Ok(other) => panic!("{other:?}"),
        }
        if act == 0 {
            subscription = open(Start::After(subscription.cursor()));
            assert!(matches!(subscription.next().await, Ok(Item::Checkpoint)));
        }
    }
    told
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whoever sleeps, gives up, leaves and resumes in between: each is told what its filter
    /// wants, once and in order, and nobody is woken for nothing.
    #[test]
    fn each_is_told_what_it_wants_and_nobody_is_woken_in_vain(
        kind in kinds(),
        shorts in shorts(),
        pauses in prop::collection::vec(0..30u64, 1..20),
        specs in prop::collection::vec((specs(), prop::collection::vec(0..20u8, 1..10)), 1..12),
    ) {
        in_runtime(async {
            let (journal, late) = kind.start(usize::MAX);
            let mut end = journal.cursor();
            end.position = shorts.len() as u64;
            let mut followers = JoinSet::new();
            for (at, (spec, acts)) in specs.iter().enumerate() {
                let filter = EventFilter::from(spec.clone());
                let told = follow(Arc::clone(&journal), filter, acts.clone(), end);
                followers.spawn(async move { (at, told.await) });
            }
            let entries: Vec<Entry> = shorts.iter().map(|short| short_entry(*short)).collect();
            for (entry, pause) in entries.iter().zip(pauses.iter().cycle()) {
                journal.append(entry.clone());
                if let Some(pause) = pause.checked_sub(20) {
                    late.show(usize::try_from(pause).unwrap());
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
            }
            late.show(usize::MAX);
            let mut all_told = 0;
            while let Some(followed) = followers.join_next().await {
                let (at, told) = followed.unwrap();
                let filter = EventFilter::from(specs[at].0.clone());
                let wanted = (1..).zip(&entries).filter(|(_, entry)| filter.wants_entry(entry));
                let wanted: Vec<u64> = wanted.map(|(position, _)| position).collect();
                all_told += told.len() as u64;
                prop_assert_eq!(told, wanted, "{:?}", specs[at].0);
            }
            prop_assert!(journal.sleepers().wake_ups() <= all_told);
            prop_assert_eq!(journal.sleepers().asleep(), 0);
            Ok(())
        })?;
    }
}

/// Subscribes to one session and sleeps.
fn of_one(journal: &Arc<Journal>, session: &str) -> Subscription {
    let filter = EventFilter::from(FilterSpec {
        sessions: vec![session.parse().unwrap()],
        ..FilterSpec::default()
    });
    begin(journal, filter, Start::Now, SlowPolicy::End, NO_LIMIT).unwrap()
}

async fn until_asleep(journal: &Journal, count: usize) {
    while journal.sleepers().asleep() != count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_thousand_that_follow_a_session_each_only_the_one_concerned_is_woken() {
    let journal = journal(usize::MAX);
    let mut followers = JoinSet::new();
    for at in 0..1000 {
        let mut subscription = of_one(&journal, &format!("session-{at}"));
        followers.spawn(async move {
            assert!(matches!(subscription.next().await, Ok(Item::Checkpoint)));
            let item = subscription.next().await.unwrap();
            (at, subscription.cursor().position, item)
        });
    }
    until_asleep(&journal, 1000).await;
    for _ in 0..10_000 {
        journal.append(of_session("E", "n", Some("another")));
    }
    journal.append(of_session("E", "n", Some("session-7")));
    let (at, position, item) = followers.join_next().await.unwrap().unwrap();
    assert_eq!((at, position), (7, 10_001));
    assert!(matches!(item, Item::Events(events) if events.len() == 1));
    // The others have read as much, without a look of their own.
    while let Some(follower) = followers.join_next().await {
        let (_, position, item) = follower.unwrap();
        assert!(matches!(item, Item::Checkpoint), "{item:?}");
        assert_eq!(position, 10_001);
    }
    assert_eq!(journal.sleepers().wake_ups(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_looked_at_in_vain_counts_as_read() {
    let journal = journal(usize::MAX);
    let mut subscription = of_one(&journal, "one");
    assert_eq!(ready(&mut subscription), []);
    let began = Instant::now();
    let append = async {
        until_asleep(&journal, 1).await;
        for _ in 0..1000 {
            journal.append(of_session("E", "n", Some("another")));
        }
    };
    let (item, ()) = tokio::join!(subscription.next(), append);
    assert!(matches!(item, Ok(Item::Checkpoint)));
    assert_eq!(began.elapsed(), SILENCE);
    assert_eq!(subscription.cursor(), journal.cursor());
    assert_eq!(journal.sleepers().wake_ups(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_wake_is_missed_while_many_append_and_fall_asleep() {
    const EVENTS: usize = 2000;
    let journal = journal(usize::MAX);
    let mut followers = JoinSet::new();
    for at in 0..24 {
        // Some follow a session, some what all have, some all.
        let spec = match at % 3 {
            0 => FilterSpec {
                sessions: vec![format!("{}", at % 4).parse().unwrap()],
                ..FilterSpec::default()
            },
            1 => FilterSpec {
                names: vec!["E".to_owned()],
                ..FilterSpec::default()
            },
            _ => FilterSpec::default(),
        };
        let expected = if at % 3 == 0 { EVENTS } else { 4 * EVENTS };
        let (filter, journal) = (EventFilter::from(spec), Arc::clone(&journal));
        let hour = Duration::from_secs(3600);
        let mut subscription = Subscription::begin(
            &journal,
            filter,
            Start::Now,
            SlowPolicy::End,
            NO_LIMIT,
            hour,
        )
        .unwrap();
        followers.spawn(async move {
            let mut positions = BTreeSet::new();
            while positions.len() < expected {
                if let Item::Events(events) = subscription.next().await.unwrap() {
                    positions.extend(events.iter().map(|(cursor, _)| cursor.position));
                }
            }
        });
    }
    let mut appenders = JoinSet::new();
    for session in 0..4 {
        let journal = Arc::clone(&journal);
        appenders.spawn(async move {
            for _ in 0..EVENTS {
                journal.append(of_session("E", "n", Some(&session.to_string())));
                tokio::task::yield_now().await;
            }
        });
    }
    let all = async {
        while let Some(result) = followers.join_next().await {
            result.unwrap();
        }
    };
    let patience = Duration::from_secs(60);
    tokio::time::timeout(patience, all)
        .await
        .expect("everyone was told everything");
    assert_eq!(journal.sleepers().asleep(), 0);
}

/// A filter that is slow to ask about [`slow_to_ask`], which it does not want.
fn slow_filter() -> EventFilter {
    let regex = HeaderMatcher::regex("Filler", "[a-e][a-j]{100}[k-z]").unwrap();
    EventFilter::from(FilterSpec {
        headers: vec![regex],
        ..FilterSpec::default()
    })
}

fn slow_to_ask(last: &str) -> Entry {
    let mut random = 12345u32;
    let letters = std::iter::repeat_with(|| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'a' + u8::try_from((random >> 24) % 10).unwrap())
    });
    let filler: String = letters.take(60_000).collect();
    let headers = [
        ("Event-Name", "CUSTOM".into()),
        ("Filler", format!("{last}{filler}").into()),
    ];
    Entry::Event(Record {
        node: "n".parse().unwrap(),
        event: Event::from_headers(headers).unwrap(),
        session: None,
        call: None,
        job: None,
        synthetic: false,
        owners: Default::default(),
    })
}

#[tokio::test]
async fn one_that_is_slow_to_ask_delays_nobody_else() {
    let journal = journal(usize::MAX);
    let begin = |filter| begin(&journal, filter, Start::Now, SlowPolicy::End, NO_LIMIT).unwrap();
    let (mut slow, mut other) = (begin(slow_filter()), of_one(&journal, "s"));
    for subscription in [&mut slow, &mut other] {
        assert!(matches!(subscription.next().await, Ok(Item::Checkpoint)));
    }
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let item = slow.next().await.unwrap();
        assert!(matches!(item, Item::Events(events) if events.len() == 1));
        "slow"
    });
    tasks.spawn(async move {
        let item = other.next().await.unwrap();
        assert!(matches!(item, Item::Events(events) if events.len() == 1));
        "other"
    });
    until_asleep(&journal, 2).await;
    for _ in 0..16 {
        journal.append(slow_to_ask(""));
    }
    // It looks for itself, and others have many a turn meanwhile: there is but one thread.
    let mut turns = 0;
    while (journal.sleepers().asleep(), journal.sleepers().wake_ups()) != (2, 1) {
        tokio::task::yield_now().await;
        turns += 1;
        assert!(turns < 1000, "it is not woken");
    }
    assert!(turns > 8, "{turns}");
    for _ in 0..4 {
        journal.append(slow_to_ask(""));
    }
    journal.append(of_session("E", "n", Some("s")));
    let wanted = format!("{}z", "a".repeat(101));
    journal.append(slow_to_ask(&wanted));
    assert_eq!(tasks.join_next().await.unwrap().unwrap(), "other");
    assert_eq!(tasks.join_next().await.unwrap().unwrap(), "slow");
}

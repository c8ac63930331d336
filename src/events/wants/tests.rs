use std::collections::{BTreeMap, BTreeSet};

use futures_util::FutureExt as _;
use proptest::prelude::*;

use super::super::journal::JournalConfig;
use super::super::{EventFilter, HistoryConfig, Item, SlowPolicy, Start, Subscription};
use super::*;
use crate::shutdown::Drain;

const LINGER: Duration = Duration::from_secs(600);
/// Beside the base.
const ALWAYS: &str = "TRAP";
/// What holders want in the tests: names, subclasses, everything, what is always there.
const KINDS: [&str; 8] = ["API", "NAT", "a::b", "c::d", "e::f", "ALL", "TRAP", "CODEC"];

fn named(names: &[&str]) -> EventSet {
    EventSet::named(names.iter().copied())
}

fn registry() -> (Arc<Wants>, Arc<Journal>) {
    let config = JournalConfig {
        max_age: LINGER * 1000,
        ..JournalConfig::default()
    };
    let journal = Journal::start(config, HistoryConfig::default(), &Drain::new());
    (Wants::new(&named(&[ALWAYS]), LINGER, &journal), journal)
}

fn in_force(wants: &Wants, names: &[&str]) -> bool {
    wants.set().covers(&named(names))
}

async fn answers(follower: &mut Follower) {
    let wanted = follower.next().await;
    follower.confirm(wanted.version);
}

/// How often one who needs these is told that they may be missing, from `start` on.
fn gaps(journal: &Arc<Journal>, start: Start, needs: &EventSet) -> usize {
    let mut subscription = Subscription::begin(
        journal,
        EventFilter::default().needing(needs.clone()),
        start,
        SlowPolicy::End,
        u64::MAX,
        Duration::from_secs(15),
    )
    .unwrap();
    let mut gaps = 0;
    while let Some(item) = subscription.next().now_or_never() {
        match item.unwrap() {
            Item::Gap(gap) => {
                assert_eq!(gap.reason, GapReason::NotSubscribed);
                gaps += 1;
            }
            Item::Checkpoint => {}
            other => panic!("{other:?}"),
        }
    }
    gaps
}

fn paused<T>(test: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(test)
}

#[tokio::test(start_paused = true)]
async fn a_want_stays_in_force_for_a_while_after_its_last_holder() {
    let (wants, _) = registry();
    let one = wants.want(named(&["API", "a::b"]));
    let two = wants.want(named(&["API"]));
    drop(one);
    tokio::time::advance(LINGER / 2).await;
    assert!(in_force(&wants, &["API", "a::b"]));
    tokio::time::advance(LINGER / 2).await;
    assert!(in_force(&wants, &["API", ALWAYS]) && !in_force(&wants, &["a::b"]));
    drop(two);
    tokio::time::advance(LINGER / 2).await;
    // Whoever comes back in time stops the clock.
    let again = wants.want(named(&["API"]));
    tokio::time::advance(LINGER * 2).await;
    assert!(in_force(&wants, &["API"]));
    drop(again);
    tokio::time::advance(LINGER).await;
    assert!(!in_force(&wants, &["API"]));
    let state = wants.lock();
    assert!(state.holdings.is_empty() && state.lingering.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_nobody_wants_any_more_is_bounded_and_the_oldest_goes_first() {
    let (wants, _) = registry();
    let names: Vec<String> = (0..MAX_LINGERING + 10)
        .map(|at| format!("x::{at}"))
        .collect();
    for name in &names {
        drop(wants.want(named(&[name])));
    }
    assert!(!in_force(&wants, &["x::9"]) && in_force(&wants, &["x::10"]));
    assert_eq!(wants.lock().holdings.len(), MAX_LINGERING);
}

#[tokio::test(start_paused = true)]
async fn for_too_many_subclasses_freeswitch_is_asked_for_everything() {
    let (wants, _) = registry();
    let names: Vec<String> = (0..MAX_SUBCLASSES).map(|at| format!("x::{at}")).collect();
    let _want = wants.want(EventSet::named(names.iter().map(String::as_str)));
    assert!(wants.set().is_everything());
}

#[tokio::test(start_paused = true)]
async fn whoever_begins_to_want_waits_for_each_node_but_not_for_one_that_is_gone_or_silent() {
    let (wants, _) = registry();
    let base = wants.want(named(&["CHANNEL_ANSWER", ALWAYS]));
    let (mut one, mut two) = (wants.follow(), wants.follow());
    // They send nothing yet.
    assert_eq!(base.in_force().now_or_never(), None);
    answers(&mut one).await;
    assert_eq!(base.in_force().now_or_never(), None);
    answers(&mut two).await;
    assert_eq!(base.in_force().now_or_never(), Some(true));

    let want = wants.want(named(&["API"]));
    assert_eq!(want.in_force().now_or_never(), None);
    answers(&mut one).await;
    assert_eq!(want.in_force().now_or_never(), None);
    answers(&mut two).await;
    assert_eq!(want.in_force().now_or_never(), Some(true));

    let began = Instant::now();
    let silent = wants.want(named(&["NAT"]));
    answers(&mut one).await;
    assert!(!silent.in_force().await);
    assert_eq!(began.elapsed(), LONGEST_WAIT);
    drop(two);
    assert!(silent.in_force().await);
    // A node that comes is asked for all of it at once, and is waited for.
    let mut three = wants.follow();
    let late = wants.want(named(&["a::b"]));
    answers(&mut one).await;
    assert_eq!(late.in_force().now_or_never(), None);
    let wanted = three.next().await;
    assert!(
        wanted
            .set
            .covers(&named(&["API", "NAT", "a::b", "HEARTBEAT"]))
    );
    three.confirm(wanted.version);
    assert!(late.in_force().await);
}

#[tokio::test(start_paused = true)]
async fn who_begins_while_a_node_is_being_asked_waits_for_it_but_for_none_that_comes_later() {
    let (wants, _) = registry();
    // The link is up, the gap is told, the subscription is under way.
    let mut node = wants.follow();
    let base = wants.want(named(&["CHANNEL_ANSWER"]));
    let began = Instant::now();
    assert!(!base.in_force().await);
    assert_eq!(began.elapsed(), LONGEST_WAIT);
    let mut waiting = Box::pin(base.in_force());
    assert_eq!(waiting.as_mut().now_or_never(), None);
    let _later = wants.follow();
    answers(&mut node).await;
    assert!(waiting.await);
    assert_eq!(began.elapsed(), LONGEST_WAIT);
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_told_for_as_long_as_not_all_of_it_is_in_force() {
    let (wants, _) = registry();
    let mut node = wants.follow();
    answers(&mut node).await;
    let is_told = |needs: &[&str]| wants.gap(&named(needs)).is_some();
    assert!(!is_told(&["CHANNEL_ANSWER", ALWAYS]));
    let want = wants.want(named(&["API", "a::b"]));
    assert!(is_told(&["API"]));
    answers(&mut node).await;
    assert!(!is_told(&["API", "a::b", ALWAYS]));
    assert!(is_told(&["API", "NAT"]) && is_told(&["ALL"]));
    let _all = wants.want(EventSet::everything());
    answers(&mut node).await;
    assert!(!is_told(&["NAT", "ALL"]));
    drop(want);
}

#[tokio::test(start_paused = true)]
async fn a_node_hears_when_a_want_is_over() {
    let (wants, _) = registry();
    let mut node = wants.follow();
    answers(&mut node).await;
    let want = wants.want(named(&["API"]));
    answers(&mut node).await;
    drop(want);
    let began = Instant::now();
    let wanted = node.next().await;
    assert!(!wanted.set.covers(&named(&["API"])));
    assert_eq!(began.elapsed(), LINGER);
}

#[tokio::test(start_paused = true)]
async fn who_begins_before_a_want_was_in_force_is_told_and_nobody_else() {
    let (wants, journal) = registry();
    let api = named(&["API", "CHANNEL_ANSWER"]);
    let before = journal.cursor();
    assert_eq!(gaps(&journal, Start::Earliest, &api), 0);
    let want = wants.want(api.clone());
    let now = journal.cursor();
    let told = |start, needs: &[&str]| gaps(&journal, start, &named(needs));
    assert_eq!(told(Start::After(before), &["API"]), 1);
    assert_eq!(told(Start::Earliest, &["API", "NAT"]), 1);
    assert_eq!(told(Start::Earliest, &["ALL"]), 1);
    assert_eq!(told(Start::After(now), &["API"]), 0);
    assert_eq!(told(Start::Earliest, &["CHANNEL_ANSWER", ALWAYS, "NAT"]), 0);

    // Who had it before everything was wanted has missed nothing of it.
    let all = wants.want(EventSet::everything());
    assert_eq!(told(Start::After(now), &["API", ALWAYS, "CHANNEL_PARK"]), 0);
    assert_eq!(told(Start::After(now), &["API", "NAT"]), 1);
    let later = journal.cursor();
    // Nothing new comes by name under everything.
    let nat = wants.want(named(&["NAT", "a::b"]));
    assert_eq!(told(Start::After(later), &["ALL"]), 0);
    drop(all);
    tokio::time::advance(LINGER).await;
    assert_eq!(told(Start::After(later), &["NAT", "a::b", "API"]), 0);

    // It goes on after a pause in time; after a longer one it is told.
    drop((want, nat));
    tokio::time::advance(LINGER / 2).await;
    drop(wants.want(api.clone()));
    assert_eq!(told(Start::After(later), &["API"]), 0);
    tokio::time::advance(LINGER).await;
    let _again = wants.want(api);
    assert_eq!(told(Start::After(later), &["API"]), 1);
    assert_eq!(told(Start::After(later), &["NAT"]), 0);
}

#[tokio::test(start_paused = true)]
async fn a_want_that_a_node_confirms_late_is_told_where_it_came_into_force() {
    let (wants, journal) = registry();
    let mut node = wants.follow();
    answers(&mut node).await;
    let all = wants.want(EventSet::everything());
    let api = wants.want(named(&["API"]));
    let began = journal.cursor();
    assert!(!api.in_force().await);
    assert_eq!(gaps(&journal, Start::After(began), api.set()), 0);
    answers(&mut node).await;
    assert!(all.in_force().await);
    // Both in one.
    assert_eq!(gaps(&journal, Start::After(began), api.set()), 1);
    assert_eq!(gaps(&journal, Start::After(began), all.set()), 1);
}

#[derive(Debug, Clone)]
enum Step {
    Want(Vec<usize>),
    Leave(usize),
    Pass(u64),
    Answer(usize),
    NodeComes,
    NodeGoes(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => proptest::collection::vec(0..KINDS.len(), 0..4).prop_map(Step::Want),
        3 => any::<usize>().prop_map(Step::Leave),
        3 => (0..LINGER.as_secs()).prop_map(Step::Pass),
        3 => any::<usize>().prop_map(Step::Answer),
        1 => Just(Step::NodeComes),
        1 => any::<usize>().prop_map(Step::NodeGoes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The set is what is always there, what is held, and what was held less than the time ago; a
    /// want is in force when each node has confirmed a set with it, and one that is new to all
    /// nodes is marked in the journal exactly then.
    #[test]
    fn the_set_is_what_is_needed_held_or_was_held_lately(
        steps in proptest::collection::vec(step(), 0..60)
    ) {
        paused(async move {
            let (wants, journal) = registry();
            let mut held: Vec<(Want, Vec<&str>)> = Vec::new();
            let mut left: BTreeMap<&str, Instant> = BTreeMap::new();
            // Each with what it has confirmed last.
            let mut nodes: Vec<(Follower, Option<Arc<EventSet>>)> = Vec::new();
            let mut asked: BTreeSet<&str> = BTreeSet::new();
            for step in steps {
                match step {
                    Step::Want(kinds) => {
                        let kinds: Vec<_> = kinds.into_iter().map(|kind| KINDS[kind]).collect();
                        held.push((wants.want(named(&kinds)), kinds));
                    }
                    Step::Leave(at) if !held.is_empty() => {
                        let (want, kinds) = held.swap_remove(at % held.len());
                        drop(want);
                        left.extend(kinds.into_iter().map(|kind| (kind, Instant::now())));
                    }
                    Step::Pass(seconds) => tokio::time::advance(Duration::from_secs(seconds)).await,
                    Step::Answer(at) if !nodes.is_empty() => {
                        let at = at % nodes.len();
                        if let Some(wanted) = nodes[at].0.next().now_or_never() {
                            nodes[at].1 = Some(Arc::clone(&wanted.set));
                            nodes[at].0.confirm(wanted.version);
                        }
                    }
                    Step::NodeComes => nodes.push((wants.follow(), None)),
                    Step::NodeGoes(at) if !nodes.is_empty() => {
                        nodes.swap_remove(at % nodes.len());
                    }
                    _ => {}
                }
                let mut expected = base_events();
                expected.add_all(&named(&[ALWAYS]));
                for (_, kinds) in &held {
                    expected.add_all(&named(kinds));
                }
                let lately = left.iter().filter(|(_, at)| at.elapsed() < LINGER);
                for (kind, _) in lately {
                    expected.add_all(&named(&[kind]));
                }
                assert_eq!(*wants.set(), expected);
                // Told before anyone believes it.
                let has = |set: &Arc<EventSet>, want: &Want| set.covers(want.set());
                for (want, kinds) in &held {
                    if want.in_force().now_or_never() == Some(true) {
                        let all = nodes.iter().filter_map(|(_, set)| set.as_ref());
                        for set in all {
                            // One that came later has not said so yet, but was not heard either.
                            assert!(has(set, want), "{kinds:?}");
                        }
                        asked.extend(kinds);
                    }
                }
            }
            for kind in &asked {
                let is_always = base_events().covers(&named(&[kind])) || *kind == ALWAYS;
                let told = gaps(&journal, Start::Earliest, &named(&[kind]));
                assert_eq!(told == 0, is_always, "{kind}");
            }
        });
    }
}

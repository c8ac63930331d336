//! The orders of events that no scheduler can be made to show.

use std::time::SystemTime;

use super::super::filter::FilterSpec;
use super::super::journal::{Gap, GapReason};
use super::*;

fn sleeper(sleepers: &Arc<Sleepers>) -> Sleeper {
    let filter = EventFilter::from(FilterSpec {
        nodes: vec!["n".parse().unwrap()],
        ..FilterSpec::default()
    });
    Sleeper::new(sleepers, filter, 0)
}

/// Entries of a node, which stand behind these positions.
fn entries(node: &str, positions: std::ops::Range<u64>) -> Vec<(u64, Arc<Entry>)> {
    let entry = Arc::new(Entry::Gap(Gap {
        node: Some(node.parse().unwrap()),
        count: 0,
        reason: GapReason::LinkLost,
        began: SystemTime::UNIX_EPOCH,
        ended: None,
    }));
    positions.map(|at| (at + 1, Arc::clone(&entry))).collect()
}

#[test]
fn who_has_not_read_what_was_looked_at_for_others_reads_on() {
    let sleepers = Arc::default();
    let (first, second) = (sleeper(&sleepers), sleeper(&sleepers));
    let (mut read, mut behind) = (10, 12);
    let sleep = first.sleep(&mut read).unwrap();
    sleepers.show(10, &entries("another", 10..15));
    assert!(second.sleep(&mut behind).is_none());
    behind = 15;
    drop(second.sleep(&mut behind).unwrap());
    drop(sleep);
    assert_eq!((read, behind), (15, 15));
    // Nor does anybody when nobody sleeps.
    behind = 14;
    assert!(second.sleep(&mut behind).is_none());
}

#[test]
fn entries_that_were_read_for_those_who_slept_before_are_not_shown_to_others() {
    let sleepers = Arc::default();
    let sleeper = sleeper(&sleepers);
    let mut position = 10;
    let sleep = sleeper.sleep(&mut position).unwrap();
    sleepers.show(5, &entries("another", 5..8));
    sleepers.wake_all(5, 8);
    assert_eq!(sleepers.looked_to(), Some(10));
    // One that has read on is not woken for what it has read, and for the next once.
    sleepers.show(10, &entries("n", 10..13));
    drop(sleep);
    assert_eq!((position, sleepers.wake_ups()), (10, 1));
}

#[test]
fn one_that_has_read_further_than_was_looked_is_woken_behind_it() {
    let sleepers = Arc::default();
    let (first, second) = (sleeper(&sleepers), sleeper(&sleepers));
    let (mut early, mut late) = (0, 3);
    let sleeps = (
        first.sleep(&mut early).unwrap(),
        second.sleep(&mut late).unwrap(),
    );
    sleepers.show(0, &entries("n", 0..2));
    assert_eq!(sleepers.wake_ups(), 1);
    sleepers.show(1, &entries("n", 1..5));
    sleepers.show(2, &entries("n", 2..5));
    assert_eq!(sleepers.wake_ups(), 2);
    drop(sleeps);
    assert_eq!((early, late), (0, 3));
}

#[test]
fn what_went_by_unseen_wakes_everyone_and_nothing_is_kept_of_who_left() {
    let sleepers = Arc::default();
    let (first, second) = (sleeper(&sleepers), sleeper(&sleepers));
    let (mut one, mut other) = (4, 4);
    let sleeps = (
        first.sleep(&mut one).unwrap(),
        second.sleep(&mut other).unwrap(),
    );
    sleepers.wake_all(4, 9);
    assert_eq!((sleepers.wake_ups(), sleepers.asleep()), (2, 0));
    drop(sleeps);
    assert_eq!((one, other), (4, 4));
    drop((first, second));
    let state = sleepers.lock();
    assert_eq!(state.free.len(), 2);
    assert!(state.beds.iter().all(Option::is_none) && state.index.is_empty());
}

//! Streams that leave and resume, stall and are lost, while calls come and go and links break: each
//! is told exactly what one was told that nothing happened to.

mod follower;
mod load;
mod wire;

use std::sync::Arc;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use switchgate::pb::{self, header_matcher};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::client::answered;
use crate::faults::quick;
use crate::gateway::Gateway;
use follower::{Follower, Manner, Told};

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn matching(name: &str, test: header_matcher::Test) -> pb::EventFilter {
    pb::EventFilter {
        headers: vec![pb::HeaderMatcher {
            name: name.to_owned(),
            test: Some(test),
        }],
        ..Default::default()
    }
}

/// Filters of every kind, of which those of one session and one call concern this one.
fn filters(session: &pb::Session) -> Vec<pb::EventFilter> {
    vec![
        pb::EventFilter::default(),
        pb::EventFilter {
            event_names: strings(&["CHANNEL_CREATE", "CHANNEL_DESTROY"]),
            ..Default::default()
        },
        pb::EventFilter {
            node_ids: strings(&["sim-1"]),
            ..Default::default()
        },
        pb::EventFilter {
            session_ids: vec![session.session_id.clone()],
            ..Default::default()
        },
        pb::EventFilter {
            call_ids: vec![session.call_id.clone()],
            event_names: strings(&["CHANNEL_EXECUTE", "CHANNEL_HANGUP"]),
            ..Default::default()
        },
        matching(
            "channel-state",
            header_matcher::Test::Regex("^CS_(HANGUP|REPORTING|DESTROY)$".to_owned()),
        ),
        matching("hangup-cause", header_matcher::Test::Present(true)),
    ]
}

/// How many of these events lie between two positions.
fn events_between(told: &[Told], from: u64, to: u64) -> u64 {
    let events = told.iter().filter(|told| told.is_event());
    events
        .filter(|told| (from + 1..=to).contains(&told.position))
        .count() as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_leaves_and_resumes_is_told_what_one_is_told_who_stays() {
    let gateway = Arc::new(Gateway::over_sims(2, quick).await);
    let lasting = answered(&gateway).await;
    let start = gateway.control.journal.cursor();
    let end_tx = watch::Sender::new(None);
    let mut followers = JoinSet::new();
    for (at, filter) in filters(&lasting).into_iter().enumerate() {
        for which in 0..4 {
            let manner = match which {
                0 => Manner::Stays,
                _ => Manner::Leaves(Box::new(StdRng::seed_from_u64(at as u64 * 10 + which))),
            };
            let policy = match which % 2 {
                0 => pb::SlowConsumerPolicy::End,
                _ => pb::SlowConsumerPolicy::Gap,
            };
            let follower = Follower::new(&gateway, filter.clone(), policy, start);
            let followed = follower.follow(manner, end_tx.subscribe());
            followers.spawn(async move { (at, which, followed.await) });
        }
    }
    load::run(&gateway, &lasting.session_id, 4, 12, true).await;
    end_tx.send_replace(Some(gateway.control.journal.cursor().position));

    let mut told = vec![vec![Vec::new(); 4]; 7];
    while let Some(followed) = followers.join_next().await {
        let (at, which, followed) = followed.unwrap();
        told[at][usize::try_from(which).unwrap()] = followed.told;
    }
    for (at, told) in told.iter().enumerate() {
        assert!(
            told[0].iter().any(Told::is_event),
            "filter {at} wants nothing"
        );
        for (which, other) in told.iter().enumerate().skip(1) {
            assert_same(&told[0], other, &format!("filter {at}, subscriber {which}"));
        }
    }
    let gaps = told[0][0]
        .iter()
        .filter(|told| told.what.starts_with("gap"));
    assert!(gaps.count() > 0, "links were lost");
    Arc::into_inner(gateway).unwrap().stop().await;
}

#[track_caller]
fn assert_same(one: &[Told], other: &[Told], who: &str) {
    let differs = one.iter().zip(other).position(|(one, other)| one != other);
    let near = |told: &[Told]| {
        let from = differs
            .unwrap_or(one.len().min(other.len()))
            .saturating_sub(1);
        told.iter().skip(from).take(3).cloned().collect::<Vec<_>>()
    };
    assert!(
        differs.is_none() && one.len() == other.len(),
        "{who}: {} and {} were told, different from {differs:?} on: {:?} and {:?}",
        one.len(),
        other.len(),
        near(one),
        near(other)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_slow_stream_is_told_and_what_it_is_told_to_miss_add_up() {
    let tune = |config: &mut switchgate::config::Config| {
        quick(config);
        config.events.subscriber_bytes = "64KiB".parse().unwrap();
    };
    let gateway = Arc::new(Gateway::over_sims(2, tune).await);
    let lasting = answered(&gateway).await;
    let start = gateway.control.journal.cursor();
    let end_tx = watch::Sender::new(None);
    let mut followers = JoinSet::new();
    let filters = filters(&lasting);
    for (at, filter) in filters.iter().enumerate() {
        for policy in [pb::SlowConsumerPolicy::End, pb::SlowConsumerPolicy::Gap] {
            let follower = Follower::new(&gateway, filter.clone(), policy, start);
            let followed = follower.follow(Manner::Stalls, end_tx.subscribe());
            followers.spawn(async move { (at, policy, followed.await) });
        }
    }
    load::run(&gateway, &lasting.session_id, 4, 25, true).await;
    let end = gateway.control.journal.cursor().position;
    end_tx.send_replace(Some(end));

    // One that begins far behind may catch up.
    let mut whole = Vec::new();
    for filter in &filters {
        let policy = pb::SlowConsumerPolicy::End;
        let follower = Follower::new(&gateway, filter.clone(), policy, start);
        whole.push(
            follower
                .follow(Manner::Stays, end_tx.subscribe())
                .await
                .told,
        );
    }
    let (mut left_out, mut ends) = (0, 0);
    while let Some(followed) = followers.join_next().await {
        let (at, policy, followed) = followed.unwrap();
        ends += followed.ends;
        if policy == pb::SlowConsumerPolicy::End {
            assert_same(&whole[at], &followed.told, &format!("filter {at}"));
            continue;
        }
        let mut position = start.position;
        let mut told = Vec::new();
        for one in &followed.told {
            match one.left_out() {
                Some(count) => {
                    let expected = events_between(&whole[at], position, one.position.min(end));
                    assert_eq!(
                        count, expected,
                        "filter {at}, {position} to {}",
                        one.position
                    );
                    left_out += count;
                }
                None => told.push(one.clone()),
            }
            position = one.position;
        }
        // All else was told, in its place.
        let is_told = |one: &&Told| told.contains(one) || one.is_event();
        assert!(whole[at].iter().all(|one| is_told(&one)), "filter {at}");
        assert!(
            told.iter().all(|one| whole[at].contains(one)),
            "filter {at}"
        );
        let sum = told.iter().filter(|one| one.is_event()).count() as u64
            + followed.told.iter().filter_map(Told::left_out).sum::<u64>();
        assert_eq!(
            sum,
            events_between(&whole[at], start.position, end),
            "filter {at}"
        );
    }
    assert!(
        left_out > 0 && ends > 0,
        "nobody was slow: {left_out}, {ends}"
    );
    Arc::into_inner(gateway).unwrap().stop().await;
}

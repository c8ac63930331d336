//! Fault simulation: 50 clients do random things over three simulated nodes while links and nodes
//! fail at random, and then nothing may be wrong and nothing left.
//!
//! All that is random comes from the number of a seed, and the time is tokio's paused one: a seed
//! takes minutes of it within a fraction of a second, and does the same again each time.
//!
//! `SWITCHGATE_SEEDS=FROM..TO` chooses the seeds, `SWITCHGATE_SEED=N` repeats one and prints what
//! happened.

mod checks;
mod client;
mod findings;
pub(crate) mod house;
mod requests;
mod scenario;
mod subscriber;
mod trace;

use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use scenario::Scenario;
use tokio::time::Instant;
use trace::Trace;

/// What the suite runs; each takes about as long as a test.
const DEFAULT_SEEDS: Range<u64> = 0..1000;

#[test]
fn whatever_fails_no_seed_finds_a_wrong_answer_or_anything_left() {
    if let Some(seed) = variable("SWITCHGATE_SEED") {
        let trace = run(seed.parse().expect("SWITCHGATE_SEED is a number"), true);
        assert!(trace.wrongs().is_empty(), "{:#?}", trace.wrongs());
        return;
    }
    let seeds = variable("SWITCHGATE_SEEDS").map_or(DEFAULT_SEEDS, |text| {
        let (from, to) = text.split_once("..").expect("SWITCHGATE_SEEDS is FROM..TO");
        from.parse().expect("a number")..to.parse().expect("a number")
    });
    let began = Instant::now();
    let count = seeds.end - seeds.start;
    let failed = run_all(seeds);
    println!("{count} seeds in {:.1?}", began.elapsed());
    let report: Vec<_> = failed
        .iter()
        .map(|(seed, wrongs)| format!("seed {seed}: {}", wrongs.join("\n    ")))
        .collect();
    assert!(
        failed.is_empty(),
        "{} of {count} seeds failed; SWITCHGATE_SEED=N repeats one\n{}",
        failed.len(),
        report.join("\n")
    );
}

#[test]
fn a_seed_does_the_same_again() {
    for seed in 0..5 {
        let (first, second) = (run(seed, false).story(), run(seed, false).story());
        let differs = first.iter().zip(&second).find(|(a, b)| a != b);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(first.len(), second.len());
    }
}

/// Runs seeds on all cores; gives back those that failed, and why.
fn run_all(seeds: Range<u64>) -> Vec<(u64, Vec<String>)> {
    let next = AtomicU64::new(seeds.start);
    let failed = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if !seeds.contains(&seed) {
                        return;
                    }
                    let ran = std::panic::catch_unwind(AssertUnwindSafe(|| run(seed, false)));
                    let wrongs = match ran {
                        Ok(trace) => trace.wrongs(),
                        Err(_) => vec!["panicked, see above".to_owned()],
                    };
                    if !wrongs.is_empty() {
                        failed.lock().unwrap().push((seed, wrongs));
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort();
    failed
}

/// Runs one seed on a runtime of its own.
fn run(seed: u64, prints: bool) -> Arc<Trace> {
    switchgate::chance::seed(seed);
    // Made under paused time, or its clock would have begun before.
    paused(async { Scenario::new(seed, prints).run().await })
}

/// Runs a future under paused time.
fn paused<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build();
    runtime.unwrap().block_on(future)
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

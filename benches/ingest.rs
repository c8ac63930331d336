//! Events per second: the gateway's whole ingest path beside other readers of the same bytes, in
//! one run.
//!
//! A recording of real calls (`tests/captures/corpus_60_calls`), again and again with fresh UUIDs,
//! goes over loopback TCP to each reader in turn, round by round, so that whatever else the machine
//! does hits all of them alike. See `docs/benchmarks-ingest.md`.

// The clock is the machine's, and tasks end with the process.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use clap::Parser;

#[path = "ingest/corpus.rs"]
mod corpus;
#[path = "ingest/cpu.rs"]
mod cpu;
#[path = "ingest/gateway.rs"]
mod gateway;
#[path = "ingest/peers.rs"]
mod peers;
#[path = "ingest/source.rs"]
mod source;

use corpus::Corpus;
use source::Source;

/// What to measure with.
#[derive(Debug, Parser)]
struct Arguments {
    /// Rounds; the medians of all are reported.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Megabytes that a reader is sent in a round, at least.
    #[arg(long, default_value_t = 100)]
    megabytes: usize,
    /// The same for the two fast readers, bare and gateway.
    #[arg(long, default_value_t = 400)]
    fast_megabytes: usize,
    /// Megabytes that the gateway is sent before, which fill its journal (256 MiB).
    #[arg(long, default_value_t = 300)]
    warm_megabytes: usize,
    /// Which readers, in this order.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "bare,gateway,tokio,libesl"
    )]
    readers: Vec<String>,
    /// What the C compiler needs to find libesl, for example `-I esl/src/include esl/libesl.a`.
    #[arg(long, env = "SWITCHGATE_BENCH_LIBESL", allow_hyphen_values = true)]
    libesl: Option<String>,
    /// Sends the recording; for the benchmark itself.
    #[arg(long, hide = true)]
    source: Option<u16>,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What a reader took.
#[derive(Debug)]
struct Reading {
    /// When its count began, if it was not when the first byte was sent.
    began: Option<SystemTime>,
    ended: SystemTime,
    /// What its process spent.
    cpu: Duration,
    events: usize,
}

/// All rounds of one reader.
#[derive(Debug, Default)]
struct Rounds {
    /// Events per second.
    rates: Vec<f64>,
    /// Microseconds of CPU for each event, of the reader and of the source.
    cpu: Vec<f64>,
    source_cpu: Vec<f64>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(laps) = arguments.source {
        return source::run(laps);
    }
    let corpus = Corpus::load()?;
    let laps = |megabytes: usize| (megabytes * 1_000_000).div_ceil(corpus.bytes.len()).max(1);
    let (slow, fast) = (laps(arguments.megabytes), laps(arguments.fast_megabytes));
    let warm = laps(arguments.warm_megabytes);
    let libesl = match &arguments.libesl {
        Some(flags) => Some(peers::Libesl::build(flags)?),
        None => {
            println!("libesl is left out: SWITCHGATE_BENCH_LIBESL is not set");
            None
        }
    };
    let mut source = Source::start(slow.max(warm + fast))?;
    let mut readers: BTreeMap<&str, Rounds> = BTreeMap::new();
    for _ in 0..arguments.rounds {
        for reader in &arguments.readers {
            let reading = match (reader.as_str(), &libesl) {
                ("bare", _) => peers::bare(&mut source, fast, &corpus)?,
                ("gateway", _) => gateway::run(&mut source, warm, warm + fast, &corpus)?,
                ("tokio", _) => peers::tokio(&mut source, slow, &corpus)?,
                ("libesl", Some(libesl)) => libesl.run(&mut source, slow, &corpus)?,
                ("libesl", None) => continue,
                (other, _) => anyhow::bail!("no reader {other}"),
            };
            let sent = source.sent()?;
            let count = reading.events as f64;
            let began = reading.began.unwrap_or(sent.began);
            let elapsed = reading.ended.duration_since(began)?;
            let rounds = readers.entry(reader).or_default();
            rounds.rates.push(count / elapsed.as_secs_f64());
            rounds.cpu.push(reading.cpu.as_secs_f64() * 1e6 / count);
            let sent_events = sent.laps * corpus.events;
            rounds
                .source_cpu
                .push(sent.cpu.as_secs_f64() * 1e6 / sent_events as f64);
        }
    }
    ensure!(!readers.is_empty(), "nothing was measured");
    report(&corpus, readers);
    Ok(())
}

fn report(corpus: &Corpus, readers: BTreeMap<&str, Rounds>) {
    let event_bytes = corpus.bytes.len() as f64 / corpus.events as f64;
    println!("events of {event_bytes:.0} bytes on average; CPU in us for each event");
    println!("  reader   events/s   MB/s    CPU  source's CPU   events/s of the rounds");
    let mut medians = BTreeMap::new();
    for (reader, rounds) in readers {
        let rate = median(&rounds.rates);
        let all = rounds.rates.iter().map(|rate| format!("{rate:.0}"));
        println!(
            "{reader:>8} {rate:>10.0} {:>6.0} {:>6.2} {:>13.2}   {}",
            rate * event_bytes / 1e6,
            median(&rounds.cpu),
            median(&rounds.source_cpu),
            all.collect::<Vec<_>>().join(" ")
        );
        medians.insert(reader, rate);
    }
    let Some(gateway) = medians.get("gateway") else {
        return;
    };
    for (peer, mark) in [("bare", 0.6), ("tokio", 25.0), ("libesl", 10.0)] {
        if let Some(rate) = medians.get(peer) {
            println!("gateway / {peer}: {:.2} (mark {mark})", gateway / rate);
        }
    }
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

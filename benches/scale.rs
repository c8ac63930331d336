//! What an event costs the gateway when it comes from one node, from 16, from 256, all together at
//! the same rate.
//!
//! The nodes are event sockets in this process, which play recorded legs. See
//! `docs/benchmarks-scale.md`.

// The clock is the machine's, and tasks end with the process.
#![allow(clippy::disallowed_methods)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use clap::Parser;
use switchgate::config::Size;
use tokio::sync::mpsc;

#[path = "common/corpus.rs"]
mod corpus;
#[path = "common/figures.rs"]
mod figures;
#[path = "common/gateway.rs"]
mod gateway;
#[path = "common/machine.rs"]
mod machine;
#[path = "common/replay.rs"]
mod replay;
#[path = "common/wire_node.rs"]
mod wire_node;

use corpus::Corpus;
use figures::{Figure, mib, micros, verdict};
use gateway::Gateway;
use machine::{Busy, busy, cpu_of_threads, resident, runtime};
use replay::{Legs, Player, core_uuid};
use wire_node::WireNode;

/// How much more an event may cost.
const MARK: f64 = 1.2;
/// Legs that go on side by side, over all nodes.
const AT_ONCE: usize = 256;
const RUN_IN: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(30);

/// What to measure with.
#[derive(Debug, Parser)]
struct Arguments {
    /// Rounds; the medians of all are reported.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// How many nodes, one number after the other, 256 at most; the first is what the others are
    /// compared with.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 256])]
    nodes: Vec<usize>,
    /// Events per second, over all nodes.
    #[arg(long, default_value_t = 10_000.0)]
    rate: f64,
    /// Seconds for which each is measured.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What was measured with one number of nodes.
#[derive(Debug, Default)]
struct Report {
    each: Figure,
    idle: Figure,
    times: Figure,
    resident: Figure,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let legs = Arc::new(Legs::new(&Corpus::read()?, &[])?);
    println!(
        "{} rounds; {:.0} events/s of {:.0} bytes over all nodes, {:.0} of a leg, {AT_ONCE} legs at a time",
        arguments.rounds,
        arguments.rate,
        legs.bytes_of_an_event(),
        legs.events_of_a_leg(),
    );
    let mut reports: Vec<Report> = arguments.nodes.iter().map(|_| Report::default()).collect();
    for _ in 0..arguments.rounds {
        let mut first = None;
        for (&nodes, report) in arguments.nodes.iter().zip(&mut reports) {
            let each = measure(nodes, &arguments, &legs, report)?;
            let first = *first.get_or_insert(each);
            report.each.add(each);
            report.times.add(each / first);
        }
    }
    println!("\nmedians (range):");
    for (nodes, report) in arguments.nodes.iter().zip(&reports) {
        let (least, most) = report.each.range();
        let times = report.times.median();
        println!(
            "{nodes:>4} nodes: {:>6.2} us of the gateway's CPU for an event ({least:.2} to {most:.2}), {times:.2} times; without events {:.2} % of a core; {:.0} MiB resident",
            report.each.median(),
            report.idle.median(),
            report.resident.median(),
        );
    }
    let worst = reports
        .iter()
        .map(|report| report.times.median())
        .fold(0.0, f64::max);
    println!(
        "the mark is up to {MARK:.1} times: {}",
        verdict(worst <= MARK)
    );
    Ok(())
}

/// Microseconds of CPU for an event.
fn measure(
    count: usize,
    arguments: &Arguments,
    legs: &Arc<Legs>,
    report: &mut Report,
) -> Result<f64> {
    ensure!((1..=256).contains(&count), "1 to 256 nodes");
    let (sockets, threads) = (runtime("nodes")?, runtime("gateway")?);
    let numbers = 0..u32::try_from(count)?;
    let nodes = numbers.map(|number| sockets.block_on(WireNode::start(&core_uuid(number))));
    let nodes: Vec<WireNode> = nodes.collect::<Result<_>>()?;
    let addresses: Vec<_> = nodes.iter().map(|node| node.address).collect();
    let mut config = Gateway::config(&addresses)?;
    config.events.journal_bytes = Size::from_mib(64);
    config.sessions.history_bytes = Size::from_mib(32);
    config.sessions.retention = Duration::from_secs(2);
    let gateway = threads.block_on(Gateway::start(&config))?;

    let (began, before) = (Instant::now(), cpu_of_threads("gateway"));
    std::thread::sleep(RUN_IN);
    let idle = cpu_of_threads("gateway").saturating_sub(before);
    let idle = idle.as_secs_f64() / began.elapsed().as_secs_f64();

    let senders = nodes.iter().map(|node| node.events.clone()).collect();
    let source = Source::start(senders, arguments.rate, Arc::clone(legs))?;
    std::thread::sleep(RUN_IN);
    let position = || gateway.control.journal.cursor().position;
    let machine = Busy::now()?;
    let (began, events, before) = (Instant::now(), position(), cpu_of_threads("gateway"));
    std::thread::sleep(Duration::from_secs_f64(arguments.seconds));
    let events = position() - events;
    let cpu = cpu_of_threads("gateway").saturating_sub(before);
    let elapsed = began.elapsed().as_secs_f64();
    let used = busy(&machine)?;
    let sent = source.stop();
    let patience = Instant::now();
    // Node states are in the journal too.
    while position() < sent {
        ensure!(patience.elapsed() < PATIENCE, "events are missing");
        std::thread::sleep(Duration::from_millis(10));
    }
    let each = micros(cpu) / events.max(1) as f64;
    let memory = resident(std::process::id())?;
    println!(
        "{count:>4} nodes: {each:>6.2} us for an event, {:.0} events/s; the machine was {:.0} % busy",
        events as f64 / elapsed,
        used * 100.0,
    );
    report.idle.add(idle * 100.0);
    report.resident.add(mib(memory));
    threads.block_on(gateway.stop())?;
    Ok(each)
}

/// Sends one event after the other, each to another node.
struct Source {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: std::thread::JoinHandle<Result<()>>,
}

// === impl Source ===

impl Source {
    fn start(nodes: Vec<mpsc::Sender<Bytes>>, rate: f64, legs: Arc<Legs>) -> Result<Self> {
        let (stop, sent) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&sent));
        let at_once = AT_ONCE.div_ceil(nodes.len());
        let numbers = 0..u32::try_from(nodes.len())?;
        let players = numbers.map(|number| Player::new(number, at_once, u32::MAX));
        let mut players: Vec<Player> = players.collect();
        let thread = std::thread::Builder::new()
            .name("source".to_owned())
            .spawn(move || {
                let (began, mut position) = (Instant::now(), 0);
                while !stopped.load(Ordering::Relaxed) {
                    let due = (began.elapsed().as_secs_f64() * rate) as u64;
                    while position < due {
                        let at = position as usize % nodes.len();
                        let mut frame = Vec::new();
                        players[at].next(&legs, &mut frame);
                        nodes[at]
                            .blocking_send(frame.into())
                            .context("a node is gone")?;
                        position += 1;
                        count.store(position, Ordering::Relaxed);
                    }
                    std::thread::sleep(Duration::from_micros(50));
                }
                Ok(())
            })?;
        Ok(Self { stop, sent, thread })
    }

    /// Gives how many were sent.
    fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
        self.sent.load(Ordering::Relaxed)
    }
}

//! What an event costs the gateway when it comes from one node, from 16, from 256, all together at
//! the same rate.
//!
//! The nodes are event sockets in this process, which play recorded legs. See
//! `docs/benchmarks-scale.md`.

// The clock is the machine's, and tasks end with the process.
#![allow(clippy::disallowed_methods)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use clap::Parser;
use switchgate::config::Size;
use tokio::runtime::Runtime;
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
use figures::{Figure, micros, verdict};
use gateway::Gateway;
use machine::{Busy, busy, cpu_of_threads, runtime};
use replay::{Legs, Player, core_uuid};
use wire_node::WireNode;

/// How much more an event may cost.
const MARK: f64 = 1.2;
/// Legs that go on side by side, over all nodes.
const AT_ONCE: usize = 256;
const RUN_IN: Duration = Duration::from_millis(300);
/// How long the gateways are left without events.
const IDLE: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(30);

/// What to measure with.
#[derive(Debug, Parser)]
struct Arguments {
    /// Turns of each number of nodes; the medians of all are reported.
    #[arg(long, default_value_t = 15)]
    turns: u32,
    /// How many nodes, one number after the other, 256 at most; the first is what the others are
    /// compared with.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 256])]
    nodes: Vec<usize>,
    /// Events per second, over all nodes.
    #[arg(long, default_value_t = 10_000.0)]
    rate: f64,
    /// Seconds of a turn.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

/// So many nodes, the gateway in front of them, and what was measured.
struct Setup {
    count: usize,
    gateway: Gateway,
    /// Those of the gateway, and their name.
    threads: Runtime,
    name: String,
    sockets: Runtime,
    nodes: Vec<WireNode>,
    players: Option<Vec<Player>>,
    /// Microseconds of CPU for an event.
    each: Figure,
    /// Times the first one's in the same round of turns.
    times: Figure,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let legs = Arc::new(Legs::new(&Corpus::read()?, &[])?);
    println!(
        "{} turns of {} s; {:.0} events/s of {:.0} bytes over all nodes, {:.0} of a leg, {AT_ONCE} legs at a time",
        arguments.turns,
        arguments.seconds,
        arguments.rate,
        legs.bytes_of_an_event(),
        legs.events_of_a_leg(),
    );
    let counts = arguments.nodes.iter();
    let mut setups: Vec<Setup> = counts
        .map(|&count| Setup::start(count))
        .collect::<Result<_>>()?;
    let before: Vec<Duration> = setups.iter().map(|one| cpu_of_threads(&one.name)).collect();
    std::thread::sleep(IDLE);
    for (setup, before) in setups.iter().zip(before) {
        let spent = cpu_of_threads(&setup.name).saturating_sub(before);
        println!(
            "{:>4} nodes: without events {:.2} % of a core",
            setup.count,
            100.0 * spent.as_secs_f64() / IDLE.as_secs_f64()
        );
    }
    // Before any turn counts: tables and buffers get their size.
    for setup in &mut setups {
        setup.measure(arguments.rate, Duration::from_secs(2), &legs)?;
    }
    let machine = Busy::now()?;
    let span = Duration::from_secs_f64(arguments.seconds);
    for _ in 0..arguments.turns {
        let mut first = None;
        for setup in &mut setups {
            let each = setup.measure(arguments.rate, span, &legs)?;
            setup.each.add(each);
            setup.times.add(each / *first.get_or_insert(each));
        }
    }
    println!(
        "the machine was {:.0} % busy\n\nmedians (range):",
        busy(&machine)? * 100.0
    );
    let mut worst: f64 = 0.0;
    for setup in setups {
        let ((least, most), times) = (setup.each.range(), setup.times.median());
        println!(
            "{:>4} nodes: {:>6.2} us of the gateway's CPU for an event ({least:.2} to {most:.2}), {times:.2} times",
            setup.count,
            setup.each.median(),
        );
        worst = worst.max(times);
        setup.end()?;
    }
    println!(
        "the mark is up to {MARK:.1} times: {}",
        verdict(worst <= MARK)
    );
    Ok(())
}

// === impl Setup ===

impl Setup {
    fn start(count: usize) -> Result<Self> {
        ensure!((1..=256).contains(&count), "1 to 256 nodes");
        let name = format!("gateway-{count}");
        let (sockets, threads) = (runtime("nodes")?, runtime(&name)?);
        let numbers = 0..u32::try_from(count)?;
        let nodes = numbers.map(|number| sockets.block_on(WireNode::start(&core_uuid(number))));
        let nodes: Vec<WireNode> = nodes.collect::<Result<_>>()?;
        let addresses: Vec<_> = nodes.iter().map(|node| node.address).collect();
        let mut config = Gateway::config(&addresses)?;
        config.events.journal_bytes = Size::from_mib(64);
        config.sessions.history_bytes = Size::from_mib(32);
        config.sessions.retention = Duration::from_secs(2);
        let at_once = AT_ONCE.div_ceil(count);
        let numbers = 0..u32::try_from(count)?;
        let players = numbers.map(|number| Player::new(number, at_once, u32::MAX));
        Ok(Self {
            count,
            gateway: threads.block_on(Gateway::start(&config))?,
            threads,
            name,
            sockets,
            nodes,
            players: Some(players.collect()),
            each: Figure::default(),
            times: Figure::default(),
        })
    }

    /// Microseconds of CPU for an event.
    fn measure(&mut self, rate: f64, span: Duration, legs: &Arc<Legs>) -> Result<f64> {
        let begin = self.position();
        let senders = self.nodes.iter().map(|node| node.events.clone()).collect();
        let players = self.players.take().context("no legs")?;
        let source = Source::start(senders, players, rate, Arc::clone(legs))?;
        std::thread::sleep(RUN_IN);
        let (events, before) = (self.position(), cpu_of_threads(&self.name));
        std::thread::sleep(span);
        let events = self.position() - events;
        let cpu = cpu_of_threads(&self.name).saturating_sub(before);
        let (players, sent) = source.stop()?;
        self.players = Some(players);
        let patience = Instant::now();
        while self.position() < begin + sent {
            ensure!(patience.elapsed() < PATIENCE, "events are missing");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(micros(cpu) / events.max(1) as f64)
    }

    fn position(&self) -> u64 {
        self.gateway.control.journal.cursor().position
    }

    fn end(self) -> Result<()> {
        let stopped = self.threads.block_on(self.gateway.stop());
        self.sockets.shutdown_background();
        stopped
    }
}

/// Sends one event after the other, each to another node.
struct Source {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<(Vec<Player>, u64)>>,
}

// === impl Source ===

impl Source {
    fn start(
        nodes: Vec<mpsc::Sender<Bytes>>,
        mut players: Vec<Player>,
        rate: f64,
        legs: Arc<Legs>,
    ) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let source = std::thread::Builder::new().name("source".to_owned());
        let thread = source.spawn(move || {
            let (began, mut position) = (Instant::now(), 0);
            while !stopped.load(Ordering::Relaxed) {
                let due = (began.elapsed().as_secs_f64() * rate) as u64;
                while position < due {
                    let at = position as usize % nodes.len();
                    let mut frame = Vec::new();
                    players[at].next(&legs, &mut frame);
                    let sent = nodes[at].blocking_send(frame.into());
                    sent.context("a node is gone")?;
                    position += 1;
                }
                std::thread::sleep(Duration::from_micros(50));
            }
            Ok((players, position))
        })?;
        Ok(Self { stop, thread })
    }

    /// Gives the legs as they are then, and how many events were sent.
    fn stop(self) -> Result<(Vec<Player>, u64)> {
        self.stop.store(true, Ordering::Relaxed);
        let stopped = self.thread.join();
        stopped.unwrap_or_else(|_| anyhow::bail!("the source panicked"))
    }
}

//! What the gateway holds in memory: for an idle session, a subscriber, a finished job; and that a
//! million calls leave nothing behind.
//!
//! Simulator and gateway are processes of their own; memory is the gateway's VmRSS. See
//! `docs/benchmarks-memory.md`.

// The clock is the machine's, and tasks end with the process.
#![allow(clippy::disallowed_methods)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use switchgate::pb;
use switchgate::pb::job_service_client::JobServiceClient;
use tonic::transport::Endpoint;

#[path = "memory/apart.rs"]
mod apart;
#[path = "common/corpus.rs"]
mod corpus;
#[path = "common/counter.rs"]
mod counter;
#[path = "common/figures.rs"]
mod figures;
#[path = "common/gateway.rs"]
mod gateway;
#[path = "common/lean_client.rs"]
mod lean_client;
#[path = "common/machine.rs"]
mod machine;
#[path = "common/message_walk.rs"]
mod message_walk;
#[path = "common/replay.rs"]
mod replay;
#[path = "common/simulated.rs"]
mod simulated;
#[path = "common/wire_node.rs"]
mod wire_node;

use apart::{Apart, Bounds};
use corpus::Corpus;
use counter::Counters;
use figures::{mib, thousands, verdict};
use replay::{Legs, Player, core_uuid};
use simulated::Simulated;
use wire_node::WireNode;

/// Concurrent callers of RunJob.
const CALLERS: usize = 32;
/// Jobs before those that are counted: connections and buffers have their size then.
const WARM_UP: usize = 2000;
/// Memory may be so many times that after the first fifth of the calls.
const FLAT: f64 = 1.1;
const PATIENCE: Duration = Duration::from_secs(60);
/// Memory is read so many times.
const STEPS: usize = 10;
/// What is short enough that a few seconds show the steady state.
const SHORT: Bounds = Bounds {
    journal_mib: 32,
    history_mib: 32,
    retention_seconds: 2,
    finished_jobs: 1,
};
/// Recorded legs that go on side by side.
const AT_ONCE: usize = 1000;
/// Calls of the simulator at a time: more, and its own queue of events grows.
const SIMULATED_AT_ONCE: usize = 200;
/// Events that are sent together.
const CHUNK: usize = 16;
/// The events of a leg from which its state is told.
const STATE_EVENTS: [&str; 11] = [
    "CHANNEL_CREATE",
    "CHANNEL_PROGRESS",
    "CHANNEL_PROGRESS_MEDIA",
    "CHANNEL_ANSWER",
    "CHANNEL_BRIDGE",
    "CHANNEL_UNBRIDGE",
    "CHANNEL_PARK",
    "CHANNEL_UNPARK",
    "CHANNEL_HANGUP",
    "CHANNEL_HANGUP_COMPLETE",
    "CHANNEL_DESTROY",
];

/// What to measure with.
#[derive(Debug, Parser)]
struct Arguments {
    /// Idle sessions.
    #[arg(long, default_value_t = 10_000)]
    sessions: usize,
    /// Idle subscribers.
    #[arg(long, default_value_t = 1000)]
    subscribers: usize,
    /// Finished jobs.
    #[arg(long, default_value_t = 50_000)]
    jobs: usize,
    /// Recorded legs, from their first event to their last.
    #[arg(long, default_value_t = 1_000_000)]
    calls: usize,
    /// How many of them end in a second, if the gateway is that fast.
    #[arg(long, default_value_t = 5000.0)]
    rate: f64,
    /// Calls that the simulator makes.
    #[arg(long, default_value_t = 10_000)]
    simulator_calls: usize,
    /// Runs the simulator; for the benchmark itself.
    #[arg(long, hide = true)]
    simulate: bool,
    /// Runs the gateway; for the benchmark itself.
    #[arg(long, hide = true)]
    gateway: Option<String>,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.simulate {
        return simulated::run();
    }
    if let Some(what) = &arguments.gateway {
        return apart::run(what);
    }
    if arguments.sessions > 0 {
        sessions(arguments.sessions)?;
    }
    if arguments.subscribers > 0 {
        for connections in [32, arguments.subscribers] {
            subscribers(arguments.subscribers, connections)?;
        }
    }
    if arguments.jobs > 0 {
        jobs(arguments.jobs)?;
    }
    if arguments.simulator_calls > 0 {
        simulated(arguments.simulator_calls)?;
    }
    if arguments.calls > 0 {
        replayed(arguments.calls, arguments.rate)?;
    }
    Ok(())
}

/// Events are hardly kept, so that what is seen is what sessions, subscribers and jobs take.
fn few_events(finished_jobs: usize) -> Bounds {
    Bounds {
        journal_mib: 1,
        history_mib: 1,
        retention_seconds: 60,
        finished_jobs,
    }
}

fn sessions(count: usize) -> Result<()> {
    let mut node = Simulated::start()?;
    let mut gateway = Apart::start(node.address, few_events(1))?;
    let before = gateway.resident()?;
    node.park(count)?;
    let began = Instant::now();
    while gateway.holdings()?.live < count {
        ensure!(began.elapsed() < PATIENCE, "sessions are missing");
        std::thread::sleep(Duration::from_millis(20));
    }
    let after = gateway.resident()?;
    println!("an empty gateway: {:.1} MiB", mib(before));
    print_each("idle session", before, after, count);
    Ok(())
}

fn subscribers(count: usize, connections: usize) -> Result<()> {
    let node = Simulated::start()?;
    let gateway = Apart::start(node.address, few_events(1))?;
    let before = gateway.resident()?;
    let counters = Arc::new(Counters::new(count));
    lean_client::subscribe(gateway.address, count, connections, &counters)?;
    let began = Instant::now();
    while !counters.have_all_started() {
        ensure!(began.elapsed() < PATIENCE, "subscribers are missing");
        std::thread::sleep(Duration::from_millis(20));
    }
    let after = gateway.resident()?;
    counters.end();
    print_each(
        &format!("idle subscriber, on {connections} connections"),
        before,
        after,
        count,
    );
    Ok(())
}

fn jobs(count: usize) -> Result<()> {
    let node = Simulated::start()?;
    let gateway = Apart::start(node.address, few_events(count + WARM_UP))?;
    let callers = machine::runtime("callers")?;
    callers.block_on(run_jobs(gateway.address, WARM_UP))?;
    let before = gateway.resident()?;
    callers.block_on(run_jobs(gateway.address, count))?;
    let after = gateway.resident()?;
    print_each("finished job", before, after, count);
    Ok(())
}

async fn run_jobs(address: SocketAddr, count: usize) -> Result<()> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    let client = JobServiceClient::new(endpoint.connect().await?);
    let left = Arc::new(AtomicUsize::new(count));
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (mut client, left) = (client.clone(), Arc::clone(&left));
            tokio::spawn(async move {
                let take = |left| usize::checked_sub(left, 1);
                while left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
                    .is_ok()
                {
                    let request = pb::RunJobRequest {
                        command: "uuid_exists".to_owned(),
                        arguments: "00000000-0000-4000-8000-000000000000".to_owned(),
                        ..pb::RunJobRequest::default()
                    };
                    let job = client.run_job(request).await?.into_inner().job;
                    ensure!(job.context("no job")?.outcome.is_some(), "no outcome");
                }
                Ok(())
            })
        })
        .collect();
    for caller in callers {
        caller.await??;
    }
    Ok(())
}

/// Calls as the recording has them, sent by a node that is nothing but its event socket.
fn replayed(count: usize, rate: f64) -> Result<()> {
    let nodes = machine::runtime("nodes")?;
    let core = core_uuid(0);
    let node = nodes.block_on(WireNode::start(&core))?;
    let legs = Legs::new(&Corpus::read()?, &STATE_EVENTS)?;
    println!(
        "\n{} recorded legs, {AT_ONCE} at a time, {:.1} events of {:.0} bytes each",
        thousands(count as f64),
        legs.events_of_a_leg(),
        legs.bytes_of_an_event(),
    );
    let mut player = Player::new(0, AT_ONCE, u32::try_from(count)?);
    let mut sent = 0;
    let resident = calls(node.address, count, |calls, gateway| {
        let (first, until) = (player.ended, player.ended + u32::try_from(calls)?);
        let began = Instant::now();
        let mut has_more = true;
        // Those that are under way stay so until the last ones.
        while has_more && player.ended < until {
            let mut frames = Vec::new();
            for _ in 0..CHUNK {
                has_more &= player.next(&legs, &mut frames);
                sent += u64::from(has_more);
            }
            node.events.blocking_send(frames.into())?;
            let due = Duration::from_secs_f64(f64::from(player.ended - first) / rate);
            std::thread::sleep(due.saturating_sub(began.elapsed()));
        }
        let began = Instant::now();
        while gateway.holdings()?.events < sent {
            ensure!(began.elapsed() < PATIENCE, "events are missing");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    })?;
    let (early, last) = (resident[1], resident[STEPS - 1]);
    let times = last as f64 / early as f64;
    println!(
        "memory at the end is {times:.2} times that after a fifth of the calls; flat is up to {FLAT:.1}: {}",
        verdict(times <= FLAT)
    );
    Ok(())
}

/// Calls of the simulator: each arrives, is answered, hears a tone of 0.3 s and is hung up.
fn simulated(count: usize) -> Result<()> {
    println!("\n{} calls of the simulator", thousands(count as f64));
    let mut node = Simulated::start()?;
    let address = node.address;
    calls(address, count, |calls, gateway| {
        node.calls(calls, SIMULATED_AT_ONCE)?;
        let began = Instant::now();
        while gateway.holdings()?.live > 0 {
            ensure!(began.elapsed() < PATIENCE, "sessions do not end");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    })?;
    Ok(())
}

/// `run` lets so many calls end; the memory after each tenth of them.
fn calls(
    node: SocketAddr,
    count: usize,
    mut run: impl FnMut(usize, &mut Apart) -> Result<()>,
) -> Result<Vec<usize>> {
    let mut gateway = Apart::start(node, SHORT)?;
    println!(
        "kept for {} s after their end; {} MiB for the journal, {} MiB for sessions' events",
        SHORT.retention_seconds, SHORT.journal_mib, SHORT.history_mib,
    );
    let mut seen = Vec::new();
    let mut events = gateway.holdings()?.events;
    for step in 1..=STEPS {
        let began = Instant::now();
        run(count / STEPS, &mut gateway)?;
        let rate = (count / STEPS) as f64 / began.elapsed().as_secs_f64();
        let holdings = gateway.holdings()?;
        let resident = machine::resident(gateway.pid())?;
        println!(
            "{:>9} calls: {:>6.1} MiB; {rate:>6.0} calls/s, {:>4.1} events each; {:>6} sessions kept, {} live; {:.1} MiB in the journal, {:.1} for sessions",
            thousands((count / STEPS * step) as f64),
            mib(resident),
            (holdings.events - events) as f64 / (count / STEPS) as f64,
            holdings.sessions,
            holdings.live,
            mib(holdings.journal),
            mib(holdings.history),
        );
        events = holdings.events;
        seen.push(resident);
    }
    let pause = Duration::from_secs(SHORT.retention_seconds + 1);
    std::thread::sleep(pause);
    let resident = gateway.resident()?;
    println!(
        "{pause:?} later: {} sessions are kept, {:.1} MiB",
        gateway.holdings()?.sessions,
        mib(resident)
    );
    Ok(seen)
}

fn print_each(what: &str, before: usize, after: usize, count: usize) {
    let each = (after as f64 - before as f64) / count as f64;
    println!(
        "{what}: {:.1} KiB each ({} of them: {:.1} MiB)",
        each / 1024.0,
        thousands(count as f64),
        (after as f64 - before as f64) / f64::from(1 << 20),
    );
}

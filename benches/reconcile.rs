//! How long a gateway takes to know a node with many sessions, and what else waits for that.
//!
//! The node is a simulator in a process of its own, so that the memory of this one is the
//! gateway's. Measured are the first sync; a link loss during which some sessions end and others
//! begin; and meanwhile, as when nothing happens, how late events come and how long a verb on
//! another session takes. See `docs/benchmarks.md`.

// The clock is the machine's, and tasks end with the process.
#![allow(clippy::disallowed_methods)]

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use switchgate::app::App;
use switchgate::config::{Config, NodeAddress, NodeConfig, Size};
use switchgate::control::Parts;
use switchgate::domain::{Deadline, NodeState};
use switchgate::fleet::Node;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

#[path = "reconcile/probes.rs"]
mod probes;
#[path = "reconcile/simulated.rs"]
mod simulated;

use probes::Probes;
use simulated::Simulated;

const NODE: &str = "bench";
const PATIENCE: Duration = Duration::from_secs(120);
/// The node looks at the sessions a second time 500 ms after it went into service.
const SETTLE: Duration = Duration::from_secs(3);

/// What to measure with.
#[derive(Debug, Clone, Parser)]
struct Arguments {
    /// Sessions that live on the node.
    #[arg(long, default_value_t = 10_000)]
    sessions: usize,
    /// Sessions that end, and as many that begin, while the link is lost.
    #[arg(long, default_value_t = 500)]
    changes: usize,
    /// Command links of the gateway.
    #[arg(long, default_value_t = 8)]
    links: usize,
    /// Size of the gateway's journal; a small one shows what the sessions alone take.
    #[arg(long, default_value_t = 256)]
    journal_mib: usize,
    /// How long is measured when nothing happens.
    #[arg(long, default_value_t = 3)]
    quiet_seconds: u64,
    /// Runs the simulator; for the benchmark itself.
    #[arg(long, hide = true)]
    simulate: bool,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.simulate {
        return simulated::run();
    }
    let gateway = Builder::new_multi_thread().enable_all().build()?;
    let callers = Builder::new_multi_thread().enable_all().build()?;
    let mut node = Simulated::start()?;
    let placed = Instant::now();
    node.tell(&format!("place {}", arguments.sessions))?;
    println!(
        "{} sessions on a simulated node, made in {:.1} s; {} command links, journal of {} MiB",
        arguments.sessions,
        placed.elapsed().as_secs_f64(),
        arguments.links,
        arguments.journal_mib
    );

    let before = resident()?;
    let began = Instant::now();
    let (control, address, stop, app) = gateway.block_on(async {
        let app = App::build(&config(&arguments, &node)?).await?;
        let (control, address) = (app.control().clone(), app.address()?);
        let (stop, stopped) = oneshot::channel::<()>();
        let app = tokio::spawn(app.run(async move {
            let _ = stopped.await;
        }));
        anyhow::Ok((control, address, stop, app))
    })?;
    let fs = control.fleet.node(&NODE.parse()?)?;
    callers.block_on(ready(&fs, 1))?;
    println!("first sync: in service after {}", millis(began.elapsed()));
    ensure!(
        live(&control) == node.sessions()?,
        "the first sync is wrong"
    );
    std::thread::sleep(SETTLE);
    let per_session = |bytes: usize| bytes as f64 / 1024.0 / arguments.sessions as f64;
    println!(
        "memory: {:.1} KiB resident per session, of which {:.1} KiB in the journal",
        per_session(resident()?.saturating_sub(before)),
        per_session(control.journal.held_bytes()),
    );

    let probes = callers.block_on(Probes::start(address, node.sessions()?))?;
    std::thread::sleep(Duration::from_secs(arguments.quiet_seconds));
    probes.report("quiet");

    node.tell("away")?;
    callers.block_on(within(fs.reached(NodeState::Down)))?;
    node.tell(&format!("end {}", arguments.changes))?;
    node.tell(&format!("place {}", arguments.changes))?;
    let truth = node.sessions()?;
    probes.forget();
    let began = Instant::now();
    node.tell("back")?;
    callers.block_on(within(fs.reached(NodeState::Syncing)))?;
    let up = began.elapsed();
    callers.block_on(ready(&fs, 2))?;
    println!(
        "after a link loss, {} ended and {} begun meanwhile: link up after {}, in service {} later",
        arguments.changes,
        arguments.changes,
        millis(up),
        millis(began.elapsed() - up),
    );
    probes.report("meanwhile");
    ensure!(live(&control) == truth, "the reconciliation is wrong");
    println!("the tracker has exactly the sessions of the node");

    let began = Instant::now();
    probes.forget();
    let differences = callers.block_on(
        control
            .fleet
            .reconcile(&NODE.parse()?, Deadline::after(PATIENCE)),
    )?;
    println!(
        "ReconcileNode: {} with {differences:?}",
        millis(began.elapsed())
    );
    probes.report("meanwhile");
    let _ = stop.send(());
    ensure!(gateway.block_on(app)?, "the gateway did not drain");
    Ok(())
}

fn config(arguments: &Arguments, node: &Simulated) -> Result<Config> {
    let mut config = Config::default();
    config.admin.enabled = false;
    config.grpc.listen = (Ipv4Addr::LOCALHOST, 0).into();
    config.shutdown.delay = Duration::ZERO;
    config.esl.backoff.min = Duration::from_millis(10);
    config.esl.backoff.max = Duration::from_millis(100);
    config.events.journal_bytes = Size::from_mib(arguments.journal_mib);
    config.events.subscriber_bytes = Size::from_mib(arguments.journal_mib);
    let address = NodeAddress::from(node.address);
    config
        .nodes
        .push(NodeConfig::new(NODE.parse()?, address, "ClueCon"));
    config.nodes[0].command_links = arguments.links;
    Ok(config)
}

/// In service after so many connects.
async fn ready(node: &Node, connects: u32) -> Result<()> {
    let mut status = node.follow();
    let is_ready = |status: &switchgate::fleet::NodeStatus| {
        status.connects == connects && status.state == NodeState::Ready
    };
    within(status.wait_for(is_ready))
        .await?
        .context("no status")?;
    Ok(())
}

async fn within<F: Future>(future: F) -> Result<F::Output> {
    let output = tokio::time::timeout(PATIENCE, future).await;
    output.context("it takes too long")
}

fn live(control: &Parts) -> HashSet<String> {
    let sessions = control.tracker.sessions();
    sessions
        .iter()
        .filter(|session| session.is_live())
        .map(|session| session.id.to_string())
        .collect()
}

/// Bytes that this process has in memory (`VmRSS`).
fn resident() -> Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(kib.context("no VmRSS")?.parse::<usize>()? * 1024)
}

pub(crate) fn millis(span: Duration) -> String {
    format!("{:.1} ms", span.as_secs_f64() * 1000.0)
}

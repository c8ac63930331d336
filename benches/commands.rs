//! What the gateway adds to a command: unary RPCs beside a bare tonic echo and a raw round trip on
//! the event socket, one after the other in the same run; and their throughput.
//!
//! The node is a simulator in a process of its own. See `docs/benchmarks-commands.md`.

// The clock is the machine's, and tasks end with the process.
#![allow(clippy::disallowed_methods)]

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;

#[path = "commands/calls.rs"]
mod calls;
#[path = "commands/echo.rs"]
mod echo;
#[path = "common/esl_client.rs"]
mod esl_client;
#[path = "common/figures.rs"]
mod figures;
#[path = "common/gateway.rs"]
mod gateway;
#[path = "common/machine.rs"]
mod machine;
#[path = "common/simulated.rs"]
mod simulated;

use calls::{Caller, Rpc, throughput};
use esl_client::EslClient;
use figures::{Figure, micros, quantile, thousands, verdict};
use gateway::Gateway;
use machine::{cpu_of_threads, runtime};
use simulated::Simulated;

/// How many times as long as echo and round trip together an RPC may take.
const MARK: f64 = 1.3;
/// Calls of each kind before anything is measured.
const WARM_UP: usize = 500;

/// What to measure with.
#[derive(Debug, Parser)]
struct Arguments {
    /// Rounds; the medians of all are reported.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Calls of each kind in a round, one after the other.
    #[arg(long, default_value_t = 4000)]
    calls: usize,
    /// Callers at a time for the throughput, one number after the other.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 64])]
    callers: Vec<usize>,
    /// Leaves the throughput out.
    #[arg(long)]
    latency_only: bool,
    /// Runs the simulator; for the benchmark itself.
    #[arg(long, hide = true)]
    simulate: bool,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Samples of one round.
#[derive(Debug, Default)]
struct Samples {
    echo: Vec<Duration>,
    raw: Vec<Duration>,
    raw_set: Vec<Duration>,
    run_api: Vec<Duration>,
    get_session: Vec<Duration>,
    set_variables: Vec<Duration>,
}

/// One row of the report: p50 and p99 in microseconds.
#[derive(Debug, Default)]
struct Row {
    p50: Figure,
    p99: Figure,
    /// Times the sum of that which it is made of.
    ratio_p50: Figure,
    ratio_p99: Figure,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.simulate {
        return simulated::run();
    }
    let (servers, callers, echoes) = (runtime("gateway")?, runtime("callers")?, runtime("echo")?);
    let mut node = Simulated::start()?;
    let gateway = servers.block_on(Gateway::start(&Gateway::config(&[node.address])?))?;
    let session = node.park(1)?.pop().context("no session")?;
    let echo = echoes.block_on(async { echo::serve() })?;
    let mut raw = EslClient::connect(node.address)?;
    let mut caller = callers.block_on(Caller::connect(gateway.address, &session))?;
    let mut echoed = callers.block_on(Caller::connect(echo, &session))?;

    let names = [
        "bare tonic echo",
        "raw uuid_exists",
        "raw setvar + dump",
        "RunApi",
        "SetVariables",
        "GetSession",
    ];
    let mut rows: [Row; 6] = Default::default();
    println!(
        "{} rounds of {} calls of each kind",
        arguments.rounds, arguments.calls
    );
    let mut measure = |count| {
        sample(
            count,
            &callers,
            &mut caller,
            &mut echoed,
            &mut raw,
            &session,
        )
    };
    measure(WARM_UP)?;
    for _ in 0..arguments.rounds {
        add(&mut rows, measure(arguments.calls)?);
    }
    println!("\none caller, medians of the rounds:");
    for (name, row) in names.iter().zip(&rows) {
        row.print(name);
    }
    let api = rows[3].ratio_p50.median();
    println!(
        "RunApi takes {api:.2} times echo and round trip together at p50; the mark is {MARK:.1}: {}",
        verdict(api <= MARK)
    );
    if !arguments.latency_only {
        println!();
        for rpc in [Rpc::RunApi, Rpc::RunJob] {
            for &many in &arguments.callers {
                let rate = |calls| throughput(gateway.address, &session, rpc, many, calls);
                callers.block_on(rate(WARM_UP))?;
                let (mut rates, mut cpu) = (Figure::default(), Figure::default());
                for _ in 0..arguments.rounds {
                    let before = cpu_of_threads("gateway");
                    rates.add(callers.block_on(rate(arguments.calls))?);
                    let spent = cpu_of_threads("gateway").saturating_sub(before);
                    cpu.add(micros(spent) / arguments.calls as f64);
                }
                let (least, most) = rates.range();
                println!(
                    "{rpc:?} by {many:>3} callers: {:>7}/s ({} to {}), {:.0} us of the gateway's CPU each",
                    thousands(rates.median()),
                    thousands(least),
                    thousands(most),
                    cpu.median(),
                );
            }
        }
    }
    servers.block_on(gateway.stop())
}

/// So many of each kind, in turns, so that what else the machine does hits all alike.
fn sample(
    count: usize,
    runtime: &tokio::runtime::Runtime,
    caller: &mut Caller,
    echoed: &mut Caller,
    raw: &mut EslClient,
    session: &str,
) -> Result<Samples> {
    let mut samples = Samples::default();
    let (exists, set) = (
        format!("api uuid_exists {session}\n\n"),
        // What the gateway sends: the verb, and with it the question what came of it.
        format!("api uuid_setvar {session} bench 1\n\napi uuid_dump {session} json\n\n"),
    );
    for _ in 0..count {
        samples.echo.push(runtime.block_on(echoed.echo())?);
        let began = Instant::now();
        let answer = raw.command(&exists)?;
        samples.raw.push(began.elapsed());
        ensure!(answer.trim() == "true", "wrong answer: {answer}");
        samples
            .run_api
            .push(runtime.block_on(caller.call(Rpc::RunApi))?);
        let began = Instant::now();
        let answer = raw.command(&set)?;
        let dump = raw.read()?;
        samples.raw_set.push(began.elapsed());
        ensure!(
            answer.starts_with("+OK") && dump.starts_with('{'),
            "wrong answer: {answer}"
        );
        samples
            .set_variables
            .push(runtime.block_on(caller.call(Rpc::SetVariables))?);
        samples
            .get_session
            .push(runtime.block_on(caller.call(Rpc::GetSession))?);
    }
    Ok(samples)
}

fn add(rows: &mut [Row; 6], samples: Samples) {
    let sums = |one: &[Duration], other: &[Duration]| -> Vec<Duration> {
        one.iter()
            .zip(other)
            .map(|(one, other)| *one + *other)
            .collect()
    };
    let bare = sums(&samples.echo, &samples.raw);
    let bare_set = sums(&samples.echo, &samples.raw_set);
    let echo = samples.echo.clone();
    let measured = [
        (samples.echo, None),
        (samples.raw, None),
        (samples.raw_set, None),
        (samples.run_api, Some(bare)),
        (samples.set_variables, Some(bare_set)),
        (samples.get_session, Some(echo)),
    ];
    for (row, (mut samples, base)) in rows.iter_mut().zip(measured) {
        let (p50, p99) = (quantile(&mut samples, 0.5), quantile(&mut samples, 0.99));
        row.p50.add(micros(p50));
        row.p99.add(micros(p99));
        if let Some(mut base) = base {
            let times = |span: Duration, base: Duration| span.as_secs_f64() / base.as_secs_f64();
            row.ratio_p50.add(times(p50, quantile(&mut base, 0.5)));
            row.ratio_p99.add(times(p99, quantile(&mut base, 0.99)));
        }
    }
}

// === impl Row ===

impl Row {
    fn print(&self, name: &str) {
        let (least, most) = self.p50.range();
        print!(
            "{name:<18} p50 {:>6.0} us ({least:.0} to {most:.0})   p99 {:>6.0} us",
            self.p50.median(),
            self.p99.median()
        );
        let (p50, p99) = (self.ratio_p50.median(), self.ratio_p99.median());
        if p50.is_finite() {
            print!("   {p50:.2} times its parts at p50, {p99:.2} at p99");
        }
        println!();
    }
}

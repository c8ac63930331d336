//! Deliveries per second to many subscribers, and their cost, beside other ways in the same run.
//!
//! Each round lets, one after the other, the gateway, a bare tonic stream, `nats-server`, and
//! tonic behind `tokio::sync::broadcast` deliver the same events of 2 kB to the same number of
//! subscribers, which count and do no more. `--stall` compares a steady rate without and with one
//! subscriber that stops reading. See `docs/benchmarks-fanout.md`.

// The clock is the machine's, and tasks end with the process.
#![allow(clippy::disallowed_methods)]

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;

#[path = "fanout/contest.rs"]
mod contest;
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
#[path = "fanout/message.rs"]
mod message;
#[path = "common/message_walk.rs"]
mod message_walk;
#[path = "fanout/nats.rs"]
mod nats;
#[path = "fanout/source.rs"]
mod source;
#[path = "fanout/stall.rs"]
mod stall;
#[path = "fanout/streams.rs"]
mod streams;
#[path = "common/wire_node.rs"]
mod wire_node;

use contest::{Contender, Contest, Measured};
use corpus::Corpus;
use figures::{Figure, micros, thousands, verdict};
use source::Templates;
use stall::Stall;

/// Whose events they are.
const NODE: &str = "node-0";
/// Share of a bare stream's deliveries that shall be reached.
const MARK_BARE: f64 = 0.8;
/// Times as many as `nats-server`.
const MARK_NATS: f64 = 1.0;
/// Times as many as with a broadcast, from this many subscribers on.
const MARK_BROADCAST: f64 = 3.0;
const MANY: usize = 100;

/// What to measure with.
#[derive(Debug, Parser)]
struct Arguments {
    /// Rounds; the medians of all are reported.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// How many subscribers, one number after the other; the last one counts for `--stall`.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 100, 1000])]
    subscribers: Vec<usize>,
    /// Most connections that they share.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Bytes of an event on FreeSWITCH's wire.
    #[arg(long, default_value_t = 2000)]
    bytes: usize,
    /// Seconds for which each is measured; 1.5, with `--stall` 20.
    #[arg(long)]
    seconds: Option<f64>,
    /// Measures what one subscriber that stops reading does to the others, and no more.
    #[arg(long)]
    stall: bool,
    /// Events per second with `--stall`; half of what the machine carries unless given.
    #[arg(long)]
    rate: Option<f64>,
    /// Events in a message of the bare stream; as many as the gateway's had unless given.
    #[arg(long)]
    batch: Option<usize>,
    /// Who takes part: gateway, bare, nats, broadcast by their first letters.
    #[arg(long, default_value = "gbnt")]
    measure: String,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

/// All that was measured with one number of subscribers.
#[derive(Debug, Default)]
struct Report {
    rates: HashMap<Contender, Figure>,
    cpu: HashMap<Contender, Figure>,
    ratios: HashMap<Contender, Figure>,
    cpu_ratios: HashMap<Contender, Figure>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let templates = Templates::new(Corpus::read()?.trimmed(arguments.bytes)?)?;
    if arguments.stall {
        let stall = Stall {
            templates,
            subscribers: arguments.subscribers.last().copied().unwrap_or(1),
            connections: arguments.connections,
            rate: arguments.rate,
            seconds: arguments.seconds.unwrap_or(20.0),
            rounds: arguments.rounds,
        };
        return stall.run();
    }
    let contest = Contest {
        templates,
        connections: arguments.connections,
        span: Duration::from_secs_f64(arguments.seconds.unwrap_or(1.5)),
    };
    let contenders = contenders(&arguments.measure);
    println!(
        "{} rounds; events of {} bytes, up to {} connections",
        arguments.rounds, arguments.bytes, arguments.connections
    );
    let mut reports: Vec<Report> = arguments
        .subscribers
        .iter()
        .map(|_| Report::default())
        .collect();
    for _ in 0..arguments.rounds {
        for (&subscribers, report) in arguments.subscribers.iter().zip(&mut reports) {
            let mut round = HashMap::new();
            let mut batch = arguments.batch.unwrap_or(1);
            for &contender in &contenders {
                let measured = contest.run(contender, subscribers, batch)?;
                print(contender, subscribers, &measured);
                if contender == Contender::Gateway && arguments.batch.is_none() {
                    batch = measured.batch.round() as usize;
                }
                round.insert(contender, measured);
            }
            report.add(&round);
        }
    }
    for (subscribers, report) in arguments.subscribers.iter().zip(&reports) {
        report.print(*subscribers);
    }
    Ok(())
}

/// The gateway comes first, since the bare stream does as it did.
fn contenders(letters: &str) -> Vec<Contender> {
    let mut contenders = Vec::new();
    for (letter, contender) in ['g', 'b', 'n', 't'].into_iter().zip(Contender::ALL) {
        if !letters.contains(letter) {
            continue;
        }
        if contender == Contender::Nats {
            let Some(version) = nats::version() else {
                println!(
                    "nats-server is not installed and is skipped (apt-get install nats-server)"
                );
                continue;
            };
            println!("{version}");
        }
        contenders.push(contender);
    }
    contenders
}

fn print(contender: Contender, subscribers: usize, measured: &Measured) {
    println!(
        "{:>5} {:<12}{:>10}/s  {:>6.2} us of CPU each  {:>5.2} us of the source for an event  {:>5.0} bytes  {:>5.1} in a message",
        subscribers,
        contender.name(),
        thousands(measured.deliveries_per_second),
        micros(measured.cpu),
        micros(measured.source_cpu),
        measured.bytes,
        measured.batch,
    );
}

// === impl Report ===

impl Report {
    fn add(&mut self, round: &HashMap<Contender, Measured>) {
        let gateway = round.get(&Contender::Gateway);
        for (&contender, measured) in round {
            let rate = measured.deliveries_per_second;
            self.rates.entry(contender).or_default().add(rate);
            self.cpu
                .entry(contender)
                .or_default()
                .add(micros(measured.cpu));
            if let Some(gateway) = gateway {
                let ratio = gateway.deliveries_per_second / rate;
                self.ratios.entry(contender).or_default().add(ratio);
                let ratio = gateway.cpu.as_secs_f64() / measured.cpu.as_secs_f64();
                self.cpu_ratios.entry(contender).or_default().add(ratio);
            }
        }
    }

    fn print(&self, subscribers: usize) {
        println!("\n{subscribers} subscribers, medians (range):");
        for contender in Contender::ALL {
            let Some(rate) = self.rates.get(&contender) else {
                continue;
            };
            let (least, most) = rate.range();
            let cpu = &self.cpu[&contender];
            print!(
                "  {:<12}{:>10}/s ({} to {})  {:>6.2} us of CPU each",
                contender.name(),
                thousands(rate.median()),
                thousands(least),
                thousands(most),
                cpu.median(),
            );
            match self.ratios.get(&contender) {
                Some(ratio) if contender != Contender::Gateway => {
                    let ratio = ratio.median();
                    let cpu = self.cpu_ratios[&contender].median();
                    print!("  gateway: {ratio:.2} times as many, {cpu:.2} times the CPU");
                    if let Some(mark) = mark(contender, subscribers) {
                        print!("; mark {mark:.1} {}", verdict(ratio >= mark));
                    }
                }
                _ => {}
            }
            println!();
        }
    }
}

fn mark(contender: Contender, subscribers: usize) -> Option<f64> {
    match contender {
        Contender::Gateway => None,
        Contender::Bare => Some(MARK_BARE),
        Contender::Nats => Some(MARK_NATS),
        Contender::Broadcast => (subscribers >= MANY).then_some(MARK_BROADCAST),
    }
}

//! Instructions for each event on its way in, without IO: a regression shows on a noisy machine too.
//!
//! Runs itself under valgrind, once with one lap of the recording and once with more: the difference
//! is what the laps take, and nothing else. Fails when a figure has grown beyond what is kept in
//! `benches/instructions.txt`. See `docs/benchmarks-ingest.md`.

// The clock is the machine's, and tasks end with the process.
#![allow(clippy::disallowed_methods)]

use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{BufMut as _, BytesMut};
use clap::Parser;
use switchgate::domain::NodeId;
use switchgate::esl::{Decoder, Limits, Received};
use switchgate::events::{Entry, HistoryConfig, Journal, JournalConfig, Record};
use switchgate::shutdown::Drain;
use switchgate::tracker::{Tracker, TrackerConfig};

#[path = "ingest/corpus.rs"]
mod corpus;

use corpus::Corpus;

/// Has glibc copy in pieces: `rep movsb`, which it has for large blocks, would count as an
/// instruction for each byte.
const COPY_IN_PIECES: (&str, &str) = (
    "GLIBC_TUNABLES",
    "glibc.cpu.x86_rep_movsb_threshold=1073741824",
);
const KEPT: &str = "benches/instructions.txt";
/// What a socket gives at once.
const READ_BYTES: usize = 64 << 10;
/// More laps than the one that is taken off.
const LAPS: u16 = 4;
/// Growth in percent that is taken for chance.
const TOLERANCE: f64 = 3.0;
/// How far an event goes.
const STAGES: [&str; 3] = ["decode", "tracker", "journal"];

/// What to measure.
#[derive(Debug, Parser)]
struct Arguments {
    /// Keeps the figures of this run.
    #[arg(long)]
    update: bool,
    /// Leaves valgrind's profile of each stage in this folder, for `callgrind_annotate`.
    #[arg(long)]
    profile: Option<String>,
    /// Takes in the recording up to this stage; for the benchmark itself.
    #[arg(long, hide = true)]
    stage: Option<String>,
    /// So many times.
    #[arg(long, hide = true, default_value_t = 1)]
    laps: u16,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut corpus = Corpus::load()?;
    if let Some(stage) = &arguments.stage {
        return take_in(&mut corpus, stage, arguments.laps);
    }
    let kept = std::fs::read_to_string(KEPT).unwrap_or_default();
    let mut figures = String::new();
    let mut grown = Vec::new();
    println!("   stage  instructions per event       kept");
    for stage in STAGES {
        let one = count(stage, 1, None)?;
        let more = count(stage, 1 + LAPS, arguments.profile.as_deref())?;
        let figure = (more - one) / (u64::from(LAPS) * corpus.events as u64);
        let kept = kept.lines().filter_map(|line| line.split_once(' '));
        let kept = kept.filter(|(name, _)| *name == stage);
        let kept: Option<u64> = kept.map(|(_, kept)| kept.parse()).next().transpose()?;
        writeln!(figures, "{stage} {figure}")?;
        let Some(kept) = kept else {
            println!("{stage:>8} {figure:>23} {:>10}", "none");
            continue;
        };
        let change = (figure as f64 / kept as f64 - 1.0) * 100.0;
        println!("{stage:>8} {figure:>23} {kept:>10} {change:>+6.1} %");
        if change > TOLERANCE {
            grown.push(stage);
        }
    }
    if arguments.update {
        return Ok(std::fs::write(KEPT, figures)?);
    }
    ensure!(
        grown.is_empty(),
        "more instructions than before: {}; see --help for how to keep the new figures",
        grown.join(", ")
    );
    Ok(())
}

/// Instructions of this program, for the recording so many times up to a stage.
fn count(stage: &str, laps: u16, profile: Option<&str>) -> Result<u64> {
    let out = match profile {
        Some(folder) => format!("--callgrind-out-file={folder}/callgrind.out.{stage}"),
        None => "--callgrind-out-file=/dev/null".to_owned(),
    };
    let output = Command::new("valgrind")
        .env(COPY_IN_PIECES.0, COPY_IN_PIECES.1)
        .args(["--tool=callgrind", &out])
        .arg(std::env::current_exe()?)
        .args(["--stage", stage, "--laps", &laps.to_string()])
        .output()
        .context("valgrind is missing (Debian: apt-get install valgrind)")?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind: {told}");
    let counted = told
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    let (_, counted) = counted.with_context(|| format!("no count in {told}"))?;
    Ok(counted.trim().parse()?)
}

/// The way of an event from the socket's buffer, as `esl/link` and `fleet/sink.rs` lead it.
fn take_in(corpus: &mut Corpus, stage: &str, laps: u16) -> Result<()> {
    let depth = STAGES.iter().position(|known| *known == stage);
    let depth = depth.with_context(|| format!("no stage {stage}"))?;
    let node: NodeId = "bench".parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let _entered = runtime.enter();
    let tracker = Tracker::start(TrackerConfig::default(), &Drain::new());
    // Full from the second lap on, so that events leave it as they come.
    let max_bytes = corpus.bytes.len() / 2;
    let journal = JournalConfig {
        max_bytes,
        ..JournalConfig::default()
    };
    let history = HistoryConfig {
        max_bytes,
        ..HistoryConfig::default()
    };
    let journal = Journal::start(journal, history, &Drain::new());
    let mut decoder = Decoder::new(Limits::default());
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    let mut taken = 0;
    for lap in 0..laps {
        corpus.set_lap(lap);
        for read in corpus.bytes.chunks(READ_BYTES) {
            buffer.reserve(READ_BYTES);
            buffer.put_slice(read);
            while let Some(received) = decoder.receive(&mut buffer)? {
                let Received::Event(event) = received else {
                    bail!("the recording holds something else than events");
                };
                let event = event?;
                taken += 1;
                if depth == 0 {
                    continue;
                }
                let applied = tracker.take(&node, &event);
                let session = applied.as_ref().map(|applied| &applied.session);
                if depth == 2 {
                    journal.append(Entry::Event(Record {
                        node: node.clone(),
                        event: event.clone(),
                        session: session.map(|session| session.id.clone()),
                        call: session.map(|session| session.call.clone()),
                        job: None,
                        synthetic: false,
                        owners: Default::default(),
                    }));
                }
                if let Some(applied) = &applied {
                    tracker.announce(applied, &event);
                }
            }
        }
    }
    let laps = usize::from(laps);
    ensure!(taken == laps * corpus.events, "events are lost");
    let live = match depth {
        0 => 0,
        _ => laps * (corpus.begun - corpus.ended),
    };
    ensure!(tracker.live_count(&node) == live, "sessions are lost");
    Ok(())
}

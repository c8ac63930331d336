//! The gateway in a process of its own, so that its memory is told from that of its clients.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use switchgate::config::Size;

use crate::gateway::Gateway;
use crate::machine::{resident, runtime};

/// The argument that makes a benchmark the gateway.
const ARGUMENT: &str = "--gateway";
/// How long memory has to come to rest.
const REST: Duration = Duration::from_millis(1500);

/// What it is told at its start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) journal_mib: usize,
    pub(crate) history_mib: usize,
    pub(crate) retention_seconds: u64,
    pub(crate) finished_jobs: usize,
}

/// What it holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Holdings {
    /// Sessions, and those of them that live.
    pub(crate) sessions: usize,
    pub(crate) live: usize,
    /// Bytes of events in the journal, and of those kept for sessions.
    pub(crate) journal: usize,
    pub(crate) history: usize,
    /// Where the journal ends.
    pub(crate) events: u64,
}

/// The process, seen from the benchmark.
pub(crate) struct Apart {
    pub(crate) address: SocketAddr,
    child: Child,
    told: ChildStdin,
    said: BufReader<ChildStdout>,
}

// === impl Apart ===

impl Apart {
    pub(crate) fn start(node: SocketAddr, bounds: Bounds) -> Result<Self> {
        let Bounds {
            journal_mib,
            history_mib,
            retention_seconds,
            finished_jobs,
        } = bounds;
        let what =
            format!("{node} {journal_mib} {history_mib} {retention_seconds} {finished_jobs}");
        let mut child = Command::new(std::env::current_exe()?)
            .args([ARGUMENT, &what])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let told = child.stdin.take().context("no stdin")?;
        let said = BufReader::new(child.stdout.take().context("no stdout")?);
        let mut apart = Self {
            address: node,
            child,
            told,
            said,
        };
        apart.address = apart.line()?.parse()?;
        Ok(apart)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn holdings(&mut self) -> Result<Holdings> {
        writeln!(self.told, "holdings")?;
        self.told.flush()?;
        let line = self.line()?;
        let figures: Vec<u64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let [sessions, live, journal, history, events] = figures[..] else {
            bail!("{line}?");
        };
        Ok(Holdings {
            sessions: usize::try_from(sessions)?,
            live: usize::try_from(live)?,
            journal: usize::try_from(journal)?,
            history: usize::try_from(history)?,
            events,
        })
    }

    /// Bytes that it has in memory, when they have come to rest.
    pub(crate) fn resident(&self) -> Result<usize> {
        std::thread::sleep(REST);
        resident(self.child.id())
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.said.read_line(&mut line)?;
        anyhow::ensure!(!line.is_empty(), "the gateway is gone");
        Ok(line.trim().to_owned())
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process, seen from itself. Ends with its standard input.
pub(crate) fn run(what: &str) -> Result<()> {
    let words: Vec<&str> = what.split(' ').collect();
    let [node, journal, history, retention, finished] = words[..] else {
        bail!("{what}?");
    };
    let mut config = Gateway::config(&[node.parse()?])?;
    config.events.journal_bytes = Size::from_mib(journal.parse()?);
    config.sessions.history_bytes = Size::from_mib(history.parse()?);
    config.sessions.retention = Duration::from_secs(retention.parse()?);
    config.jobs.max_finished = finished.parse()?;
    let threads = runtime("gateway")?;
    let gateway = threads.block_on(Gateway::start(&config))?;
    println!("{}", gateway.address);
    for line in std::io::stdin().lock().lines() {
        line?;
        let (tracker, journal) = (&gateway.control.tracker, &gateway.control.journal);
        let node = crate::gateway::node_name(0).parse()?;
        writeln!(
            std::io::stdout(),
            "{} {} {} {} {}",
            tracker.sessions().len(),
            tracker.live_count(&node),
            journal.held_bytes(),
            journal.history_held().0,
            journal.cursor().position,
        )?;
    }
    Ok(())
}

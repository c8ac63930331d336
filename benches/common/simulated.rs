//! The simulator in a process of its own, told what to do line by line.

#![allow(dead_code, reason = "each benchmark uses its part")]

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use switchgate::domain::ChannelState;
use switchgate::shutdown::Drain;
use switchgate::sim::{Sim, SimConfig};
use tokio::net::TcpListener;
use tokio::runtime::Builder;

/// The argument that makes a benchmark the simulator.
pub(crate) const ARGUMENT: &str = "--simulate";

/// The process, seen from the benchmark.
pub(crate) struct Simulated {
    pub(crate) address: SocketAddr,
    child: Child,
    told: ChildStdin,
    said: BufReader<ChildStdout>,
}

// === impl Simulated ===

impl Simulated {
    pub(crate) fn start() -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let told = child.stdin.take().context("no stdin")?;
        let mut said = BufReader::new(child.stdout.take().context("no stdout")?);
        let mut line = String::new();
        said.read_line(&mut line)?;
        Ok(Self {
            address: line.trim().parse()?,
            child,
            told,
            said,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Calls that arrive, are parked and stay; gives their ids.
    pub(crate) fn park(&mut self, count: usize) -> Result<Vec<String>> {
        let line = self.tell(&format!("park {count}"))?;
        Ok(line.split_whitespace().map(str::to_owned).collect())
    }

    /// Calls that arrive, are answered, hear a tone of 0.3 s and are hung up; no more at a time
    /// than so many. Returns when all have ended.
    pub(crate) fn calls(&mut self, count: usize, at_once: usize) -> Result<()> {
        self.tell(&format!("calls {count} {at_once}"))?;
        Ok(())
    }

    fn tell(&mut self, what: &str) -> Result<String> {
        writeln!(self.told, "{what}")?;
        self.told.flush()?;
        let mut line = String::new();
        self.said.read_line(&mut line)?;
        let done = line.trim_end().strip_prefix("done");
        Ok(done.context("the simulator is gone")?.trim().to_owned())
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process, seen from itself. Ends with its standard input.
pub(crate) fn run() -> Result<()> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let (sim, address) = runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let config = SimConfig {
            max_sessions: 1_000_000,
            sessions_per_second: 1_000_000,
            ..SimConfig::default()
        };
        let drain = Drain::new();
        let sim = Sim::new(config, &drain);
        let server = sim.clone();
        drain.spawn(async move { server.serve(listener).await });
        anyhow::Ok((sim, address))
    })?;
    let _entered = runtime.enter();
    println!("{address}");
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<_> = line.split_whitespace().collect();
        let answer = match words[..] {
            ["park", count] => park(&sim, count.parse()?)?,
            ["calls", count, at_once] => calls(&sim, count.parse()?, at_once.parse()?)?,
            _ => bail!("{line}?"),
        };
        // Not `println!`, which panics when the benchmark is gone.
        writeln!(std::io::stdout(), "done {answer}")?;
    }
    Ok(())
}

fn park(sim: &Sim, count: usize) -> Result<String> {
    let ids: Vec<String> = (0..count)
        .map(|_| sim.place_inbound("park", "1000"))
        .collect();
    let wanted: HashSet<&String> = ids.iter().collect();
    wait(|| {
        let channels = sim.channels();
        let parked = channels
            .iter()
            .filter(|channel| channel.state == ChannelState::Execute);
        parked
            .filter(|channel| wanted.contains(&channel.uuid))
            .count()
            == count
    })?;
    // Listed too, so that nothing has to wait for the list's lag.
    std::thread::sleep(SimConfig::default().list_lag * 2);
    Ok(ids.join(" "))
}

fn calls(sim: &Sim, count: usize, at_once: usize) -> Result<String> {
    let others = sim.live();
    let mut left = count;
    while left > 0 {
        let room = (others + at_once).saturating_sub(sim.live()).min(left);
        for _ in 0..room {
            sim.place_inbound("tone", "1000");
        }
        left -= room;
        std::thread::sleep(Duration::from_millis(2));
    }
    wait(|| sim.live() == others)?;
    Ok(String::new())
}

fn wait(mut is_done: impl FnMut() -> bool) -> Result<()> {
    for _ in 0..12_000 {
        if is_done() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    bail!("the simulator does not get there")
}

//! The simulator in a process of its own, told what to do line by line.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use switchgate::domain::ChannelState;
use switchgate::shutdown::Drain;
use switchgate::sim::{Fault, Sim, SimConfig};
use tokio::net::TcpListener;
use tokio::runtime::Builder;

const AWAY: Duration = Duration::from_secs(600);

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
            .arg("--simulate")
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

    /// Tells it something and waits until it is done.
    pub(crate) fn tell(&mut self, what: &str) -> Result<String> {
        writeln!(self.told, "{what}")?;
        self.told.flush()?;
        let mut line = String::new();
        self.said.read_line(&mut line)?;
        let done = line.trim_end().strip_prefix("done");
        Ok(done.context("the simulator is gone")?.trim().to_owned())
    }

    /// Its sessions now.
    pub(crate) fn sessions(&mut self) -> Result<HashSet<String>> {
        let line = self.tell("sessions")?;
        Ok(line.split_whitespace().map(str::to_owned).collect())
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
            max_sessions: 100_000,
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
        let (word, count) = line.split_once(' ').unwrap_or((&line, "0"));
        let count: usize = count.parse()?;
        let mut answer = String::new();
        match word {
            "place" => {
                let placed: HashSet<String> = (0..count)
                    .map(|_| sim.place_inbound("park", "1000"))
                    .collect();
                // Listed too, so that what is measured is not the list's lag.
                wait(|| {
                    let channels = sim.channels();
                    let parked = channels
                        .iter()
                        .filter(|channel| channel.state == ChannelState::Execute);
                    parked
                        .filter(|channel| placed.contains(&channel.uuid))
                        .count()
                        == count
                })?;
                // Listed too, so that no measured time has the list's lag in it.
                std::thread::sleep(SimConfig::default().list_lag * 2);
            }
            "end" => {
                let before = sim.channels();
                for channel in &before[..count] {
                    sim.hang_up(&channel.uuid);
                }
                wait(|| sim.channels().len() == before.len() - count)?;
                // Listed no more, likewise.
                std::thread::sleep(SimConfig::default().list_lag * 2);
            }
            "away" => {
                sim.inject(Fault::RefuseConnections(AWAY));
                sim.inject(Fault::DropLinks);
            }
            "back" => sim.inject(Fault::Heal),
            "sessions" => {
                let ids: Vec<_> = sim.channels().into_iter().map(|one| one.uuid).collect();
                answer = ids.join(" ");
            }
            other => bail!("{other}?"),
        }
        // Not `println!`, which panics when the benchmark is gone.
        writeln!(std::io::stdout(), "done {answer}")?;
    }
    Ok(())
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

//! What threads and processes take of the machine.

#![allow(dead_code, reason = "each benchmark uses its part")]

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::runtime::{Builder, Runtime};

/// A runtime whose threads have a name, by which their CPU is told from that of others.
pub(crate) fn runtime(name: &str) -> Result<Runtime> {
    Builder::new_multi_thread()
        .enable_all()
        .thread_name(name)
        .build()
        .with_context(|| format!("cannot start the threads of {name}"))
}

/// CPU that the threads of this name have used in this process; zero where the kernel does not
/// tell (`/proc/self/task/*/schedstat`).
pub(crate) fn cpu_of_threads(name: &str) -> Duration {
    cpu("/proc/self/task".as_ref(), |comm| comm == name)
}

/// CPU that a process has used.
pub(crate) fn cpu_of_process(pid: u32) -> Duration {
    cpu(format!("/proc/{pid}/task").as_ref(), |_| true)
}

/// Bytes that a process has in memory (`VmRSS`).
pub(crate) fn resident(pid: u32) -> Result<usize> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(kib.context("no VmRSS")?.parse::<usize>()? * 1024)
}

/// Share of the machine's CPU that was used since `before`, with the present state.
pub(crate) fn busy(before: &Busy) -> Result<f64> {
    let now = Busy::now()?;
    let (all, idle) = (now.all - before.all, now.idle - before.idle);
    Ok(1.0 - idle as f64 / all.max(1) as f64)
}

/// The machine's clock ticks so far.
#[derive(Debug)]
pub(crate) struct Busy {
    all: u64,
    idle: u64,
}

// === impl Busy ===

impl Busy {
    pub(crate) fn now() -> Result<Self> {
        let stat = std::fs::read_to_string("/proc/stat")?;
        let line = stat.lines().next().context("no cpu")?;
        let ticks: Vec<u64> = line.split_whitespace().flat_map(str::parse).collect();
        let idle = ticks.iter().skip(3).take(2).sum();
        Ok(Self {
            all: ticks.iter().take(8).sum(),
            idle,
        })
    }
}

fn cpu(tasks: &Path, is_wanted: impl Fn(&str) -> bool) -> Duration {
    let Ok(tasks) = std::fs::read_dir(tasks) else {
        return Duration::ZERO;
    };
    let nanos = tasks.flatten().filter_map(|task| {
        let path = task.path();
        let comm = std::fs::read_to_string(path.join("comm")).ok()?;
        if !is_wanted(comm.trim_end()) {
            return None;
        }
        let spent = std::fs::read_to_string(path.join("schedstat")).ok()?;
        spent.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

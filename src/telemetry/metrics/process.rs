//! The process, by the names that all exporters use, and what was built.
//!
//! Read from `/proc` (proc(5)), so these families have no samples where there is none.

use std::fmt;
use std::fs;

use super::{Family, Page, Theme};
use crate::shutdown::Drain;

/// Ticks of the CPU's and the start's time in a second: `USER_HZ`, which is 100 to programs
/// whatever the kernel was built with.
const TICKS: f64 = 100.0;

const BUILD: Family = Family::gauge(
    "switchgate_build_info",
    "Always 1: the version of the gateway",
    &["version"],
);
const TASKS: Family = Family::gauge(
    "switchgate_tasks",
    "Tasks that run: front (connections, RPCs, streams), back (jobs, sweeps, one for each node)",
    &["part"],
);
const CPU: Family = Family::counter(
    "process_cpu_seconds_total",
    "CPU time that the process used",
    &[],
);
const RESIDENT: Family = Family::gauge(
    "process_resident_memory_bytes",
    "Memory that the process has in RAM",
    &[],
);
const VIRTUAL: Family = Family::gauge(
    "process_virtual_memory_bytes",
    "Memory that the process has mapped",
    &[],
);
const FDS: Family = Family::gauge("process_open_fds", "Open file descriptors", &[]);
const MAX_FDS: Family = Family::gauge(
    "process_max_fds",
    "Most file descriptors that the process may open",
    &[],
);
const THREADS: Family = Family::gauge("process_threads", "Threads of the process", &[]);
const START: Family = Family::gauge(
    "process_start_time_seconds",
    "When the process was started, in seconds since 1970",
    &[],
);

/// The process and its tasks.
#[derive(Debug)]
pub struct ProcessMetrics {
    front: Drain,
    back: Drain,
    /// When the machine was started; it does not change.
    boot: Option<f64>,
}

/// What `/proc` says.
#[derive(Debug, Default)]
struct Process {
    cpu_seconds: Option<f64>,
    start_seconds: Option<f64>,
    resident_bytes: Option<u64>,
    virtual_bytes: Option<u64>,
    threads: Option<u64>,
    open_fds: Option<u64>,
    max_fds: Option<u64>,
}

// === impl ProcessMetrics ===

impl ProcessMetrics {
    /// Of the process and the tasks of these drains.
    pub fn new(front: &Drain, back: &Drain) -> Self {
        let boot = fs::read_to_string("/proc/stat").ok();
        Self {
            front: front.clone(),
            back: back.clone(),
            boot: boot.and_then(|stat| number(&stat, "btime ")),
        }
    }
}

impl Theme for ProcessMetrics {
    fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        page.samples(&BUILD, [([env!("CARGO_PKG_VERSION")], true)])?;
        let tasks = [
            (["front"], self.front.running()),
            (["back"], self.back.running()),
        ];
        page.samples(&TASKS, tasks)?;
        let process = Process::read();
        let start = process.start_seconds.zip(self.boot);
        let start = start.map(|(since, boot)| boot + since);
        page.samples(&CPU, process.cpu_seconds.map(|value| ([], value)))?;
        page.samples(&RESIDENT, process.resident_bytes.map(|value| ([], value)))?;
        page.samples(&VIRTUAL, process.virtual_bytes.map(|value| ([], value)))?;
        page.samples(&FDS, process.open_fds.map(|value| ([], value)))?;
        page.samples(&MAX_FDS, process.max_fds.map(|value| ([], value)))?;
        page.samples(&THREADS, process.threads.map(|value| ([], value)))?;
        page.samples(&START, start.map(|value| ([], value)))
    }
}

// === impl Process ===

impl Process {
    fn read() -> Self {
        let mut process = Self::default();
        if let Ok(stat) = fs::read_to_string("/proc/self/stat") {
            process.take_stat(&stat);
        }
        if let Ok(status) = fs::read_to_string("/proc/self/status") {
            process.take_status(&status);
        }
        if let Ok(limits) = fs::read_to_string("/proc/self/limits") {
            process.max_fds = number(&limits, "Max open files ");
        }
        process.open_fds = open_fds();
        process
    }

    /// Fields 14, 15 and 22; the second one, the name, may hold anything but ends with the last
    /// bracket.
    fn take_stat(&mut self, stat: &str) {
        let Some((_, rest)) = stat.rsplit_once(')') else {
            return;
        };
        let field = |at: usize| {
            rest.split_ascii_whitespace()
                .nth(at - 3)?
                .parse::<f64>()
                .ok()
        };
        self.cpu_seconds = field(14)
            .zip(field(15))
            .map(|(user, system)| (user + system) / TICKS);
        self.start_seconds = field(22).map(|ticks| ticks / TICKS);
    }

    fn take_status(&mut self, status: &str) {
        let kib = |name| number::<u64>(status, name).map(|kib| kib * 1024);
        self.resident_bytes = kib("VmRSS:");
        self.virtual_bytes = kib("VmSize:");
        self.threads = number(status, "Threads:");
    }
}

/// Since Linux 6.2 the folder's size is their number; before, they are counted.
fn open_fds() -> Option<u64> {
    const FOLDER: &str = "/proc/self/fd";
    match fs::metadata(FOLDER).ok()?.len() {
        0 => Some(fs::read_dir(FOLDER).ok()?.count() as u64),
        number => Some(number),
    }
}

/// The number behind a name at the start of a line.
fn number<T: std::str::FromStr>(text: &str, name: &str) -> Option<T> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proc_says_is_read() {
        let mut process = Process::default();
        process.take_stat("7 (a ) b) S 1 7 7 0 -1 4194560 9 0 0 0 250 150 0 0 20 0 4 0 12300 9 9");
        assert_eq!(process.cpu_seconds, Some(4.0));
        assert_eq!(process.start_seconds, Some(123.0));
        process.take_status("Name:\ta\nVmSize:\t  20 kB\nVmRSS:\t  10 kB\nThreads:\t3\n");
        assert_eq!(process.resident_bytes, Some(10 * 1024));
        assert_eq!(
            (process.virtual_bytes, process.threads),
            (Some(20 * 1024), Some(3))
        );
        let limits =
            "Limit  Soft Limit  Hard Limit\nMax open files            1024   4096   files\n";
        assert_eq!(number(limits, "Max open files "), Some(1024_u64));
        process.take_stat("nonsense");
        process.take_status("");
        assert_eq!(process.resident_bytes, None);
    }
}

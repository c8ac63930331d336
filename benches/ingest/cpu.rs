//! What a process has spent.

use std::time::Duration;

use anyhow::Result;

/// CPU of all threads of this process that are still alive; zero where the kernel does not tell
/// (`/proc/self/task/*/schedstat`).
pub(crate) fn of_process() -> Result<Duration> {
    let mut nanos = 0;
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else {
        return Ok(Duration::ZERO);
    };
    for thread in threads {
        let spent = std::fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
        let spent = spent.split(' ').next().and_then(|nanos| nanos.parse().ok());
        nanos += spent.unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanos))
}

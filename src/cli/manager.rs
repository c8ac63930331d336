//! What the service manager is told while a server runs (`sd_notify(3)`): that it serves, reloads its
//! configuration, stops, and is alive. Without a service manager, which says so by NOTIFY_SOCKET in
//! the environment, nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::shutdown::Drain;

/// What a stop may take beyond `shutdown.grace`: the links' goodbyes, the last lines of the audit, the
/// last spans.
const LAST_WORDS: Duration = Duration::from_secs(15);

/// The server listens.
pub(super) fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("serving gRPC")]);
}

/// A reload has begun.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the service manager is not told of a reload"),
    }
}

/// A reload has ended, well or not: the server serves on.
pub(super) fn reloaded(well: bool) {
    let status = match well {
        true => "serving gRPC",
        false => "serving gRPC; the last reload failed, see the log",
    };
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// A stop has begun, which may take as long as is configured, whatever the unit's own limit is.
pub(super) fn stopping(grace: Duration) {
    let longest = (grace + LAST_WORDS).as_micros();
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("finishing what is under way"),
        NotifyState::ExtendTimeoutUsec(longest.try_into().unwrap_or(u32::MAX)),
    ]);
}

/// Starts to tell that tasks still get their turn, twice as often as the service manager wants it; if
/// it wants it.
pub(super) fn start_watchdog(drain: &Drain) {
    let Some(patience) = sd_notify::watchdog_enabled().filter(|patience| !patience.is_zero())
    else {
        return;
    };
    let mut turns = tokio::time::interval(patience / 2);
    let stopped = drain.stopped();
    drain.spawn(async move {
        let alive = async {
            loop {
                turns.tick().await;
                tell(&[NotifyState::Watchdog]);
            }
        };
        tokio::select! {
            biased;
            () = stopped => {}
            () = alive => {}
        }
    });
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

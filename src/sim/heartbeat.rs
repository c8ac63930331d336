//! `HEARTBEAT`, and the end of the node.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::core::{Core, World};
use super::event::Event;
use super::fault::{Fault, Links};
use super::names::EventKind;
use crate::domain::HangupCause;

/// Fires `HEARTBEAT` with the node's true figures until the node stops (`send_heartbeat` in
/// `switch_core.c`).
pub(super) async fn run(core: Arc<Core>) {
    let stopped = core.drain.stopped();
    tokio::pin!(stopped);
    let mut ticks = tokio::time::interval(core.config.heartbeat);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        tokio::select! {
            biased;
            () = &mut stopped => return,
            _ = ticks.tick() => beat(&mut core.world(), core.config.heartbeat.as_secs()),
        }
    }
}

fn beat(world: &mut World, interval: u64) {
    let stats = world.stats.clone();
    let uptime = world.clock.uptime();
    let seconds = uptime.as_secs();
    let number = |value: u64| value.to_string();
    let event = Event::new(EventKind::Heartbeat)
        .with("Event-Info", "System Ready")
        .with(
            "Up-Time",
            format!(
                "0 years, {} days, {} hours, {} minutes, {} seconds, {} milliseconds, 0 microseconds",
                seconds / 86_400,
                seconds / 3_600 % 24,
                seconds / 60 % 60,
                seconds % 60,
                uptime.subsec_millis()
            ),
        )
        .with("FreeSWITCH-Version", "1.10.12-release~64bit")
        .with("Uptime-msec", uptime.as_millis().to_string())
        .with("Session-Count", world.channels.len().to_string())
        .with("Max-Sessions", number(stats.max_sessions.into()))
        .with("Session-Per-Sec", number(stats.sessions_per_second.into()))
        .with("Session-Per-Sec-Last", number(stats.started_in_second.into()))
        .with("Session-Per-Sec-Max", number(stats.peak_per_second.into()))
        .with("Session-Per-Sec-FiveMin", number(stats.peak_per_second.into()))
        .with("Session-Since-Startup", number(stats.sessions_since_startup))
        .with("Session-Peak-Max", stats.peak.to_string())
        .with("Session-Peak-FiveMin", stats.peak.to_string())
        .with("Idle-CPU", "98.800000")
        .with("Heartbeat-Interval", number(interval));
    world.fire(event);
}

/// Time from `fsctl shutdown` to the end of the connections, as recorded.
const SHUTDOWN_TAKES: Duration = Duration::from_secs(3);

/// Time in which a node that was shut down refuses connections before it is there again, anew.
const SHUTDOWN_LASTS: Duration = Duration::from_secs(5);

// === impl Core ===

impl Core {
    /// The end of a shutdown: the connections are told, and the node starts anew later.
    fn go_down(&self) {
        self.world().strike(Links::All, |link| link.shut_down += 1);
        self.inject(Links::All, Fault::RefuseConnections(SHUTDOWN_LASTS));
        self.world().restart(&self.config);
    }
}

// === impl World ===

impl World {
    /// `fsctl shutdown`: all calls end, the node says so, then its connections end.
    pub(super) fn shut_down(&mut self) {
        self.verbose = true;
        let channels: Vec<String> = self.channels.keys().cloned().collect();
        for uuid in channels {
            self.hangup(&uuid, HangupCause::SystemShutdown);
        }
        let event = Event::new(EventKind::Shutdown).with("Event-Info", "System Shutting Down");
        self.fire(event);
        self.later(SHUTDOWN_TAKES, |world| {
            if let Some(core) = world.core() {
                // The world is locked here; the links notice when it is not.
                let drain = core.drain.clone();
                drain.spawn(async move { core.go_down() });
            }
        });
    }
}

//! What a FreeSWITCH says of itself in its heartbeats.

use std::time::{Duration, SystemTime};

use crate::esl::Event;

/// Figures of the last HEARTBEAT (`send_heartbeat` in FreeSWITCH's `switch_core.c`).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Figures {
    /// Sessions that live.
    pub sessions: u32,
    /// The limit of sessions.
    pub max_sessions: u32,
    /// New sessions in the last second.
    pub sessions_per_second: u32,
    /// The limit of new sessions per second, which `status` alone tells.
    pub max_sessions_per_second: u32,
    /// Idle CPU in percent.
    pub idle_cpu: f64,
    /// How long it has been up.
    pub uptime: Duration,
    /// When it said so, by our clock.
    pub heartbeat_at: Option<SystemTime>,
}

// === impl Figures ===

impl Figures {
    pub(super) fn heartbeat(&mut self, event: &Event) {
        let count = |name: &str| {
            event
                .number(name)
                .map(|number| u32::try_from(number).unwrap_or(u32::MAX))
        };
        self.sessions = count("Session-Count").unwrap_or(self.sessions);
        self.max_sessions = count("Max-Sessions").unwrap_or(self.max_sessions);
        // `Session-Per-Sec` is what is left of the limit in this second (`runtime.sps`).
        let rate = count("Session-Per-Sec-Last");
        self.sessions_per_second = rate.unwrap_or(self.sessions_per_second);
        self.idle_cpu = event
            .text("Idle-CPU")
            .and_then(|idle| idle.parse().ok())
            .unwrap_or(self.idle_cpu);
        self.uptime = event
            .number("Uptime-msec")
            .map_or(self.uptime, Duration::from_millis);
        self.heartbeat_at = Some(SystemTime::now());
    }

    /// Takes the limits out of `status` (`status_function` in FreeSWITCH's `mod_commands.c`):
    /// `0 session(s) per Sec out of max 2000, peak 4, last 5min 4` and `20000 session(s) max`.
    pub(super) fn status(&mut self, status: &str) {
        for line in status.lines() {
            if let Some((_, rest)) = line.split_once("per Sec out of max ") {
                let limit = rest
                    .split(',')
                    .next()
                    .and_then(|limit| limit.trim().parse().ok());
                self.max_sessions_per_second = limit.unwrap_or(self.max_sessions_per_second);
            } else if let Some((limit, _)) = line.split_once(" session(s) max") {
                self.max_sessions = limit.trim().parse().unwrap_or(self.max_sessions);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_second() {
        // As a FreeSWITCH 1.10.12 with `sessions-per-second` 2000 sent it.
        let headers = [
            ("Event-Name", "HEARTBEAT"),
            ("Session-Per-Sec", "2000"),
            ("Session-Per-Sec-Last", "2"),
            ("Session-Per-Sec-Max", "4"),
        ];
        let headers = headers.map(|(name, value)| (name, Cow::Borrowed(value)));
        let mut figures = Figures::default();
        figures.heartbeat(&Event::from_headers(headers).unwrap());
        assert_eq!(figures.sessions_per_second, 2);
    }

    #[test]
    fn the_limits_are_found_in_status() {
        let mut figures = Figures::default();
        figures.status("0 session(s) - peak 4, last 5min 4 \n0 session(s) per Sec out of max 2000, peak 4, last 5min 4 \n");
        assert_eq!(figures.max_sessions_per_second, 2000);
        figures.status("nonsense");
        assert_eq!(figures.max_sessions_per_second, 2000);
    }
}

//! Wall-clock time that runs with tokio's clock, so that paused tests see consistent stamps.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// Reads the wall clock once and advances it with [`Instant`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    began: Instant,
    epoch: Duration,
    /// When FreeSWITCH was started last.
    up_since: Instant,
}

/// A date and a time of day, UTC.
struct Civil {
    year: i64,
    month: usize,
    day: u64,
    weekday: usize,
    seconds: u64,
}

// === impl Clock ===

impl Clock {
    /// A clock that starts at this wall-clock time, or at the present.
    pub(super) fn start(at: Option<SystemTime>) -> Self {
        let epoch = at
            .unwrap_or_else(SystemTime::now)
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let began = Instant::now();
        Self {
            began,
            epoch,
            up_since: began,
        }
    }

    /// FreeSWITCH is started anew; time goes on.
    pub(super) fn restart(&mut self) {
        self.up_since = Instant::now();
    }

    /// Microseconds since 1970, as FreeSWITCH counts.
    pub(super) fn micros(&self) -> u64 {
        u64::try_from((self.epoch + self.began.elapsed()).as_micros()).unwrap_or(u64::MAX)
    }

    /// How long FreeSWITCH runs.
    pub(super) fn uptime(&self) -> Duration {
        self.up_since.elapsed()
    }
}

/// `2026-11-22 22:39:46`.
pub(super) fn stamp(micros: u64) -> String {
    let Civil {
        year,
        month,
        day,
        seconds,
        ..
    } = civil(micros);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!(
        "{year:04}-{:02}-{day:02} {hour:02}:{minute:02}:{second:02}",
        month + 1
    )
}

/// `Sun, 22 Nov 2026 22:39:46 GMT`.
pub(super) fn rfc822(micros: u64) -> String {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let Civil {
        year,
        month,
        day,
        weekday,
        seconds,
    } = civil(micros);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let (weekday, month) = (DAYS[weekday], MONTHS[month]);
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

/// Days since 1970 to a date of the Gregorian calendar (Howard Hinnant's `civil_from_days`).
fn civil(micros: u64) -> Civil {
    let total = micros / 1_000_000;
    let (days, seconds) = (total / 86_400, total % 86_400);
    let shifted = i64::try_from(days).unwrap_or(0) + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = u64::try_from(of_year - (153 * shifted_month + 2) / 5 + 1).unwrap_or(1);
    let month = if shifted_month < 10 {
        shifted_month + 2
    } else {
        shifted_month - 10
    };
    let year = year_of_era + era * 400 + i64::from(month < 2);
    Civil {
        year,
        month: usize::try_from(month).unwrap_or(0),
        day,
        weekday: usize::try_from((days + 4) % 7).unwrap_or(0),
        seconds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_those_of_the_recordings() {
        assert_eq!(stamp(1_795_387_186_565_674), "2026-11-22 22:39:46");
        assert_eq!(
            rfc822(1_795_387_186_565_674),
            "Sun, 22 Nov 2026 22:39:46 GMT"
        );
        assert_eq!(stamp(951_782_400_000_000), "2000-02-29 00:00:00");
    }
}

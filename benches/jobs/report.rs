//! What was measured, and how it is told.

use std::time::Duration;

use anyhow::Result;

/// One measurement through the gateway.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) elapsed: Duration,
    /// In ascending order.
    pub(crate) latencies: Vec<Duration>,
    pub(crate) gateway_cpu: Duration,
}

/// One round of all measurements.
#[derive(Debug, Default)]
pub(crate) struct Round {
    pub(crate) raw_one: Option<Duration>,
    pub(crate) raw_links: Option<Duration>,
    pub(crate) run_job: Measured,
    pub(crate) run_api: Measured,
}

/// All rounds.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rounds: Vec<Round>,
}

/// CPU that the gateway's threads have used so far.
#[derive(Debug)]
pub(crate) struct Cpu(Duration);

// === impl Round ===

impl Round {
    fn jobs(&self) -> f64 {
        self.run_job.latencies.len() as f64
    }

    fn rate(&self, elapsed: Duration) -> f64 {
        self.jobs() / elapsed.as_secs_f64()
    }

    fn times(&self) -> Option<f64> {
        Some(self.raw_one?.as_secs_f64() / self.run_job.elapsed.as_secs_f64())
    }

    pub(crate) fn print(&self) {
        let raw = |elapsed: Option<Duration>| match elapsed {
            Some(elapsed) => format!("{:>6.0}/s", self.rate(elapsed)),
            None => format!("{:>8}", "-"),
        };
        println!(
            "a raw, 1 link {}   d raw, links {}   b RunJob {:>6.0}/s   c RunApi {:>6.0}/s   b/a {}",
            raw(self.raw_one),
            raw(self.raw_links),
            self.rate(self.run_job.elapsed),
            self.rate(self.run_api.elapsed),
            self.times()
                .map_or_else(|| "-".to_owned(), |times| format!("{times:.2}")),
        );
    }
}

// === impl Report ===

impl Report {
    pub(crate) fn add(&mut self, round: Round) {
        self.rounds.push(round);
    }

    pub(crate) fn print(&self, mark: f64) {
        println!("\nmedian of {} rounds:", self.rounds.len());
        self.print_raw("a raw bgapi, one link", |round| round.raw_one);
        self.print_raw("d raw bgapi, all links", |round| round.raw_links);
        self.print_gateway("b RunJob", |round| &round.run_job);
        self.print_gateway("c RunApi", |round| &round.run_api);
        println!("every answer was right and came to the caller that had asked");
        if let Some(ceiling) = self.median(|round| {
            Some(round.raw_links?.as_secs_f64() / round.run_job.elapsed.as_secs_f64())
        }) {
            println!("b/d {ceiling:.2}");
        }
        if let Some(times) = self.median(Round::times) {
            let verdict = match times >= mark {
                true => "reached",
                false => "not reached",
            };
            println!("b/a {times:.2}; the mark is {mark:.1}: {verdict}");
        }
    }

    fn print_raw(&self, name: &str, elapsed: impl Fn(&Round) -> Option<Duration>) {
        if let Some(rate) = self.median(|round| Some(round.rate(elapsed(round)?))) {
            println!("{name:<24}{rate:>8.0}/s");
        }
    }

    fn print_gateway(&self, name: &str, measured: impl Fn(&Round) -> &Measured) {
        let of = |figure: &dyn Fn(&Measured, &Round) -> f64| {
            self.median(|round| Some(figure(measured(round), round)))
                .unwrap_or_default()
        };
        println!(
            "{name:<24}{:>8.0}/s   p50 {:>6.2} ms   p99 {:>6.2} ms   gateway CPU {:>4.0} us each",
            of(&|measured, round| round.rate(measured.elapsed)),
            of(&|measured, _| millis(measured.quantile(0.50))),
            of(&|measured, _| millis(measured.quantile(0.99))),
            of(&|measured, round| millis(measured.gateway_cpu) * 1000.0 / round.jobs()),
        );
    }

    fn median(&self, figure: impl Fn(&Round) -> Option<f64>) -> Option<f64> {
        let mut figures: Vec<f64> = self.rounds.iter().filter_map(figure).collect();
        figures.sort_unstable_by(f64::total_cmp);
        figures.get(figures.len() / 2).copied()
    }
}

// === impl Measured ===

impl Measured {
    fn quantile(&self, share: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        let at = (last as f64 * share).round() as usize;
        self.latencies.get(at).copied().unwrap_or_default()
    }
}

// === impl Cpu ===

impl Cpu {
    /// Zero where the kernel does not tell (`/proc/self/task/*/schedstat`).
    pub(crate) fn now() -> Result<Self> {
        let mut nanos = 0;
        let Ok(threads) = std::fs::read_dir("/proc/self/task") else {
            return Ok(Self(Duration::ZERO));
        };
        for thread in threads {
            let path = thread?.path();
            let name = std::fs::read_to_string(path.join("comm")).unwrap_or_default();
            if name.trim_end() == "gateway" {
                let spent = std::fs::read_to_string(path.join("schedstat")).unwrap_or_default();
                let spent = spent.split(' ').next().and_then(|nanos| nanos.parse().ok());
                nanos += spent.unwrap_or(0);
            }
        }
        Ok(Self(Duration::from_nanos(nanos)))
    }

    pub(crate) fn since(&self, before: &Self) -> Duration {
        self.0.saturating_sub(before.0)
    }
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

//! What was measured, and how it is told.

use std::time::Duration;

use anyhow::Result;

/// One measurement through the gateway.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) elapsed: Duration,
    /// In ascending order.
    pub(crate) latencies: Vec<Duration>,
    pub(crate) gateway_cpu: Duration,
}

/// One round of all measurements.
#[derive(Debug)]
pub(crate) struct Round {
    jobs: usize,
    pub(crate) raw_one: Option<Duration>,
    pub(crate) raw_links: Option<Duration>,
    pub(crate) run_job: Option<Measured>,
    pub(crate) run_api: Option<Measured>,
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
    pub(crate) fn new(jobs: usize) -> Self {
        Self {
            jobs,
            raw_one: None,
            raw_links: None,
            run_job: None,
            run_api: None,
        }
    }

    fn rate(&self, elapsed: Duration) -> f64 {
        self.jobs as f64 / elapsed.as_secs_f64()
    }

    /// How many times as fast as `other` RunJob was.
    fn times(&self, other: Option<Duration>) -> Option<f64> {
        Some(other?.as_secs_f64() / self.run_job.as_ref()?.elapsed.as_secs_f64())
    }

    pub(crate) fn print(&self) {
        let rate = |elapsed: Option<Duration>| match elapsed {
            Some(elapsed) => format!("{:>6.0}/s", self.rate(elapsed)),
            None => format!("{:>8}", "-"),
        };
        let elapsed = |measured: &Option<Measured>| Some(measured.as_ref()?.elapsed);
        println!(
            "a raw, 1 link {}   d raw, links {}   b RunJob {}   c RunApi {}   b/a {:.2}",
            rate(self.raw_one),
            rate(self.raw_links),
            rate(elapsed(&self.run_job)),
            rate(elapsed(&self.run_api)),
            self.times(self.raw_one).unwrap_or(f64::NAN),
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
        self.print_gateway("b RunJob", |round| round.run_job.as_ref());
        self.print_gateway("c RunApi", |round| round.run_api.as_ref());
        println!("every answer was right and came to the caller that had asked");
        if let Some(times) = self.median(|round| round.times(round.raw_links)) {
            println!("b/d {times:.2}");
        }
        if let Some(times) = self.median(|round| round.times(round.raw_one)) {
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

    fn print_gateway(&self, name: &str, measured: impl Fn(&Round) -> Option<&Measured>) {
        let of = |figure: &dyn Fn(&Measured, &Round) -> f64| {
            self.median(|round| Some(figure(measured(round)?, round)))
        };
        let Some(rate) = of(&|measured, round| round.rate(measured.elapsed)) else {
            return;
        };
        let micros = |measured: &Measured, round: &Round| {
            millis(measured.gateway_cpu) * 1000.0 / round.jobs as f64
        };
        println!(
            "{name:<24}{rate:>8.0}/s   p50 {:>6.2} ms   p99 {:>6.2} ms   gateway CPU {:>4.0} us each",
            of(&|measured, _| millis(measured.quantile(0.50))).unwrap_or_default(),
            of(&|measured, _| millis(measured.quantile(0.99))).unwrap_or_default(),
            of(&micros).unwrap_or_default(),
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

//! Medians, ranges and how they are written.

#![allow(dead_code, reason = "each benchmark uses its part")]

use std::time::Duration;

/// One figure of several rounds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figure(Vec<f64>);

// === impl Figure ===

impl Figure {
    pub(crate) fn add(&mut self, value: f64) {
        self.0.push(value);
        self.0.sort_unstable_by(f64::total_cmp);
    }

    pub(crate) fn median(&self) -> f64 {
        let middle = |at: usize| self.0.get(at).copied().unwrap_or(f64::NAN);
        let half = self.0.len() / 2;
        match self.0.len() % 2 {
            0 if half > 0 => f64::midpoint(middle(half - 1), middle(half)),
            _ => middle(half),
        }
    }

    pub(crate) fn range(&self) -> (f64, f64) {
        let of = |value: Option<&f64>| value.copied().unwrap_or(f64::NAN);
        (of(self.0.first()), of(self.0.last()))
    }
}

/// The sample below which this share of all lies; sorts them.
pub(crate) fn quantile(samples: &mut [Duration], share: f64) -> Duration {
    samples.sort_unstable();
    let last = samples.len().saturating_sub(1);
    let at = (last as f64 * share).round() as usize;
    samples.get(at).copied().unwrap_or_default()
}

/// 1234567 as 1,234,567.
pub(crate) fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub(crate) fn micros(span: Duration) -> f64 {
    span.as_secs_f64() * 1e6
}

pub(crate) fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

pub(crate) fn mib(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

pub(crate) fn verdict(is_reached: bool) -> &'static str {
    match is_reached {
        true => "reached",
        false => "NOT reached",
    }
}

//! Families of metrics, and how their samples are written.

use std::collections::HashMap;
use std::fmt;

use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabel as _, EncodeLabelSet, LabelSetEncoder, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;

use super::Format;

/// Metrics of one name.
#[derive(Debug)]
pub struct Family {
    /// With `_total` at the end of a counter's.
    name: &'static str,
    help: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A number.
#[derive(Debug, Clone, Copy)]
pub enum Value {
    /// A whole one.
    Whole(u64),
    /// Any other.
    Float(f64),
}

/// Where families are written.
#[derive(Debug)]
pub struct Page<'a> {
    encoder: DescriptorEncoder<'a>,
    format: Format,
}

/// The labels of one sample.
struct Labels<'a> {
    names: &'static [&'static str],
    values: &'a [&'a str],
}

// === impl Family ===

impl Family {
    /// Numbers that only grow while the process lives. The name ends with `_total`.
    pub const fn counter(
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            help,
            kind: Kind::Counter,
            labels,
        }
    }

    /// Numbers that go up and down.
    pub const fn gauge(
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            help,
            kind: Kind::Gauge,
            labels,
        }
    }

    /// How often something was how large.
    pub const fn histogram(
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            help,
            kind: Kind::Histogram,
            labels,
        }
    }

    fn labels<'a>(&self, values: &'a [&'a str]) -> Labels<'a> {
        debug_assert_eq!(self.labels.len(), values.len(), "{}", self.name);
        Labels {
            names: self.labels,
            values,
        }
    }
}

// === impl Page ===

impl<'a> Page<'a> {
    pub(super) fn new(encoder: DescriptorEncoder<'a>, format: Format) -> Self {
        Self { encoder, format }
    }

    /// Writes a family of counters or gauges: the values of its labels, and the number.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn samples<'v, const N: usize, V: Into<Value>>(
        &mut self,
        family: &Family,
        samples: impl IntoIterator<Item = ([&'v str; N], V)>,
    ) -> fmt::Result {
        // In OpenMetrics a counter's family is called otherwise than its samples.
        let (name, kind) = match (family.kind, self.format) {
            (Kind::Counter, Format::OpenMetrics) => {
                (family.name.trim_end_matches("_total"), MetricType::Counter)
            }
            (Kind::Counter, Format::Prometheus) => (family.name, MetricType::Counter),
            (Kind::Gauge | Kind::Histogram, _) => (family.name, MetricType::Gauge),
        };
        let adds_suffix = name.len() < family.name.len();
        let mut encoder = self
            .encoder
            .encode_descriptor(name, family.help, None, kind)?;
        for (values, value) in samples {
            let value = value.into();
            let labels = family.labels(&values);
            if N == 0 {
                value.encode(&mut encoder, adds_suffix)?;
            } else {
                value.encode(&mut encoder.encode_family(&labels)?, adds_suffix)?;
            }
        }
        Ok(())
    }

    /// Writes a family of histograms: the values of its labels, how many were up to each bound but
    /// above the one before, those beyond all bounds last, and the sum of all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn histograms<'v, const N: usize>(
        &mut self,
        family: &Family,
        bounds: &[f64],
        samples: impl IntoIterator<Item = ([&'v str; N], impl AsRef<[u64]>, f64)>,
    ) -> fmt::Result {
        let mut encoder = self.encoder.encode_descriptor(
            family.name,
            family.help,
            None,
            MetricType::Histogram,
        )?;
        let bounds = bounds.iter().copied().chain([f64::INFINITY]);
        for (values, counts, sum) in samples {
            let counts = counts.as_ref().iter().copied();
            let buckets: Vec<(f64, u64)> = bounds.clone().zip(counts).collect();
            let count = buckets.iter().map(|(_, count)| count).sum();
            let labels = family.labels(&values);
            encoder.encode_family(&labels)?.encode_histogram(
                sum,
                count,
                &buckets,
                None::<&HashMap<usize, Exemplar<NoLabelSet, f64>>>,
            )?;
        }
        Ok(())
    }
}

// === impl Labels ===

impl EncodeLabelSet for Labels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        for label in self.names.iter().copied().zip(self.values.iter().copied()) {
            label.encode(encoder.encode_label())?;
        }
        Ok(())
    }
}

// === impl Value ===

impl Value {
    fn encode(self, encoder: &mut MetricEncoder<'_>, adds_suffix: bool) -> fmt::Result {
        let none = None::<&Exemplar<NoLabelSet, f64>>;
        match (self, adds_suffix) {
            (Self::Whole(number), true) => encoder.encode_counter(&number, none),
            (Self::Float(number), true) => encoder.encode_counter(&number, none),
            (Self::Whole(number), false) => encoder.encode_gauge(&number),
            (Self::Float(number), false) => encoder.encode_gauge(&number),
        }
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Whole(number as u64)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Whole(u64::from(number))
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Whole(u64::from(truth))
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

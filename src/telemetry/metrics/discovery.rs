//! Sources of nodes.

use std::fmt;

use super::{Family, Page, Theme};
use crate::discovery::Discovery;

const LOOKS: Family = Family::counter(
    "switchgate_discovery_looks_total",
    "Looks at a source of nodes: those that were answered, and those that failed and changed nothing",
    &["source", "result"],
);
const ANSWERED: Family = Family::gauge(
    "switchgate_discovery_last_answer_timestamp_seconds",
    "When a source of nodes was last answered, in seconds since 1970; 0 before the first answer",
    &["source"],
);
const NODES: Family = Family::gauge(
    "switchgate_discovery_nodes",
    "Nodes that a source names",
    &["source"],
);
const LEFT_OUT: Family = Family::gauge(
    "switchgate_discovery_left_out_nodes",
    "Nodes that a source names and that are left out, since another node has their name or address",
    &["source"],
);

/// Sources of nodes.
#[derive(Debug)]
pub struct DiscoveryMetrics(pub Discovery);

// === impl DiscoveryMetrics ===

impl Theme for DiscoveryMetrics {
    fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        let all = self.0.figures();
        let looks = all.iter().flat_map(|(source, figures)| {
            let source = &**source;
            [
                ([source, "answered"], figures.answered),
                ([source, "failed"], figures.failed),
            ]
        });
        page.samples(&LOOKS, looks)?;
        let each = |family, read: fn(&crate::discovery::SourceFigures) -> u64| {
            let samples = all.iter();
            (
                family,
                samples.map(move |(source, figures)| ([&**source], read(figures))),
            )
        };
        for (family, samples) in [
            each(&ANSWERED, |figures| figures.answered_at),
            each(&NODES, |figures| figures.nodes),
            each(&LEFT_OUT, |figures| figures.left_out),
        ] {
            page.samples(family, samples)?;
        }
        Ok(())
    }
}

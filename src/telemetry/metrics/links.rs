//! Links to nodes.

use std::fmt;
use std::sync::Arc;

use super::{Family, Page, Theme};
use crate::fleet::{Fleet, LinksNow, Node};

const LINKS: Family = Family::gauge(
    "switchgate_links",
    "Links that are up, and those that are being made anew",
    &["node", "kind", "state"],
);
const CONNECTS: Family = Family::counter(
    "switchgate_link_connects_total",
    "Times that a link came up",
    &["node", "kind"],
);
const FAILURES: Family = Family::counter(
    "switchgate_link_connect_failures_total",
    "Attempts to connect or log in that failed",
    &["node", "kind"],
);
const LOSSES: Family = Family::counter(
    "switchgate_link_losses_total",
    "Times that a link was lost, each of which leads to a reconnect",
    &["node", "kind"],
);
const READ: Family = Family::counter(
    "switchgate_link_read_bytes_total",
    "Bytes that came over links",
    &["node", "kind"],
);
const WRITTEN: Family = Family::counter(
    "switchgate_link_written_bytes_total",
    "Bytes that were written to links",
    &["node", "kind"],
);
const FRAMES: Family = Family::counter(
    "switchgate_link_frames_read_total",
    "Frames that came over links: replies, events and notices",
    &["node", "kind"],
);
const COMMANDS: Family = Family::counter(
    "switchgate_link_commands_total",
    "Commands that were written to links, probes included",
    &["node", "kind"],
);
const PENDING: Family = Family::gauge(
    "switchgate_link_replies_pending",
    "Commands whose reply is due",
    &["node", "kind"],
);
const QUEUED: Family = Family::gauge(
    "switchgate_link_commands_queued",
    "Commands that wait to be written",
    &["node", "kind"],
);

/// A number of some links.
type Number = fn(&LinksNow<'_>) -> u64;

/// Links by node and kind: `event`, `command`, and `query` for what takes long.
#[derive(Debug)]
pub struct LinkMetrics(pub Arc<Fleet>);

// === impl LinkMetrics ===

impl Theme for LinkMetrics {
    fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        let nodes: Vec<Arc<Node>> = self.0.nodes().collect();
        let links: Vec<(&str, LinksNow<'_>)> = nodes
            .iter()
            .flat_map(|node| node.links().map(|links| (node.id().as_str(), links)))
            .collect();
        let states = links.iter().flat_map(|(node, links)| {
            let missing = links.configured.saturating_sub(links.up);
            [
                ([*node, links.kind, "up"], links.up),
                ([*node, links.kind, "connecting"], missing),
            ]
        });
        page.samples(&LINKS, states)?;
        let numbers: [(&Family, Number); 9] = [
            (&CONNECTS, |links| links.counts.connects.get()),
            (&FAILURES, |links| links.counts.failures.get()),
            (&LOSSES, |links| links.counts.losses.get()),
            (&READ, |links| links.counts.traffic.bytes_read.get()),
            (&WRITTEN, |links| links.counts.traffic.bytes_written.get()),
            (&FRAMES, |links| links.counts.traffic.frames_read.get()),
            (&COMMANDS, |links| links.counts.traffic.commands.get()),
            (&PENDING, |links| links.counts.traffic.pending.get()),
            (&QUEUED, |links| links.queued as u64),
        ];
        for (family, number) in numbers {
            let samples = links
                .iter()
                .map(|(node, links)| ([*node, links.kind], number(links)));
            page.samples(family, samples)?;
        }
        Ok(())
    }
}

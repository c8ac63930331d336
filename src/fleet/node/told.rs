//! What operators are told of a node.

use super::{Node, lock};
use crate::esl::Link;
use crate::fleet::counts::{LinksNow, NodeCounts};
use crate::fleet::figures::Figures;

// === impl Node ===

impl Node {
    /// What it says of itself.
    pub fn figures(&self) -> Figures {
        *lock(&self.figures)
    }

    /// Command links that live, and those that are configured.
    pub fn command_links(&self) -> (usize, usize) {
        (self.pool.live(), self.pool.size())
    }

    /// What happened to it.
    pub fn counts(&self) -> &NodeCounts {
        &self.counts
    }

    /// Its links as they are, by kind.
    pub fn links(&self) -> [LinksNow<'_>; 3] {
        let event = lock(&self.event_link).as_ref().map(Link::queued);
        let query = self.pool.aside_queued();
        let one = |kind, queued: Option<usize>, counts| LinksNow {
            kind,
            configured: 1,
            up: usize::from(queued.is_some()),
            queued: queued.unwrap_or(0),
            counts,
        };
        let commands = LinksNow {
            kind: "command",
            configured: self.pool.size(),
            up: self.pool.live(),
            queued: self.pool.queued(),
            counts: &self.counts.command_links,
        };
        [
            one("event", event, &self.counts.event_link),
            commands,
            one("query", query, &self.counts.query_link),
        ]
    }

    /// Commands under way.
    pub fn commands_under_way(&self) -> usize {
        self.pool.load()
    }
}

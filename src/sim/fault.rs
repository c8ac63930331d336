//! Faults on request: what a link or a node can suffer from.

use std::time::Duration;

use tokio::time::Instant;

/// Something that goes wrong with the simulated node, until [`Fault::Heal`] where it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Closes every connection.
    DropLinks,
    /// Connections stay open and new ones are accepted, but nothing is read or answered.
    HalfOpen,
    /// Nothing is read, answered or delivered for this time.
    Stall(Duration),
    /// Closes each connection in the middle of the next frame that it is sent.
    CutMidFrame,
    /// A new `Core-UUID`: all channels are gone without a word, all connections closed.
    Restart,
    /// Loses this many of the next events.
    LoseEvents(u32),
    /// Waits this long before each reply.
    SlowReplies(Duration),
    /// Closes connections as soon as they come, for this time.
    RefuseConnections(Duration),
    /// Ends all faults that last.
    Heal,
}

/// What the links suffer from now. Each connection watches it.
#[derive(Debug, Clone, Default)]
pub(super) struct LinkFault {
    /// Grows when all connections are to be closed.
    pub(super) dropped: u64,
    /// Grows when all connections are to end because the node is shut down.
    pub(super) shut_down: u64,
    /// Nothing is read or answered.
    pub(super) half_open: bool,
    /// Nothing is read, answered or delivered until then.
    pub(super) stalled_until: Option<Instant>,
    /// Grows when each connection is to be cut in its next frame.
    pub(super) cuts: u64,
    /// Waited before each reply.
    pub(super) slow: Duration,
    /// Connections are closed at once until then.
    pub(super) refused_until: Option<Instant>,
}

// === impl Fault ===

impl Fault {
    /// Reads `api sim_fault <name> [arg]`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (name, argument) = text.split_once(' ').unwrap_or((text, ""));
        let span = humantime::parse_duration(argument.trim()).ok();
        Some(match name {
            "drop_links" => Self::DropLinks,
            "half_open" => Self::HalfOpen,
            "stall" => Self::Stall(span?),
            "cut_mid_frame" => Self::CutMidFrame,
            "restart" => Self::Restart,
            "lose_events" => Self::LoseEvents(argument.trim().parse().ok()?),
            "slow_replies" => Self::SlowReplies(span?),
            "refuse_connections" => Self::RefuseConnections(span?),
            "heal" => Self::Heal,
            _ => return None,
        })
    }
}

// === impl Core ===

impl super::core::Core {
    /// Makes a fault happen.
    pub(super) fn inject(&self, fault: Fault) {
        let now = Instant::now();
        self.link_fault.send_modify(|link| match fault {
            Fault::DropLinks | Fault::Restart => link.dropped += 1,
            Fault::HalfOpen => link.half_open = true,
            Fault::Stall(span) => link.stalled_until = Some(now + span),
            Fault::CutMidFrame => link.cuts += 1,
            Fault::SlowReplies(span) => link.slow = span,
            Fault::RefuseConnections(span) => link.refused_until = Some(now + span),
            Fault::LoseEvents(_) => {}
            Fault::Heal => {
                *link = LinkFault {
                    shut_down: link.shut_down,
                    dropped: link.dropped,
                    cuts: link.cuts,
                    ..LinkFault::default()
                };
            }
        });
        match fault {
            Fault::Restart => self.world().restart(&self.config),
            Fault::LoseEvents(count) => self.world().events_to_lose = count,
            Fault::Heal => self.world().events_to_lose = 0,
            _ => {}
        }
    }
}

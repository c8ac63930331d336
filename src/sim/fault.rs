//! Faults on request: what a link or a node can suffer from.

use std::time::Duration;

use tokio::time::Instant;

use super::core::World;
use super::listener::Listener;

/// Which connections a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// All there are, and those to come as long as the fault lasts.
    All,
    /// Those that have subscribed to events.
    Events,
    /// Those that have not.
    Commands,
    /// The one that came first of those that have not.
    OneCommand,
}

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

/// What a connection suffers from now, which its task watches, or a new one would.
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
    /// Reads `api sim_fault <name> [arg] [events|commands|one_command]`.
    pub(super) fn parse(text: &str) -> Option<(Links, Self)> {
        let (links, text) = match text.trim().rsplit_once(' ') {
            Some((rest, "events")) => (Links::Events, rest),
            Some((rest, "commands")) => (Links::Commands, rest),
            Some((rest, "one_command")) => (Links::OneCommand, rest),
            _ => (Links::All, text.trim()),
        };
        let (name, argument) = text.split_once(' ').unwrap_or((text, ""));
        let span = humantime::parse_duration(argument.trim()).ok();
        let fault = match name {
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
        };
        Some((links, fault))
    }

    /// Makes a connection suffer.
    fn strike(self, link: &mut LinkFault) {
        let now = Instant::now();
        match self {
            Self::DropLinks | Self::Restart => link.dropped += 1,
            Self::HalfOpen => link.half_open = true,
            Self::Stall(span) => link.stalled_until = Some(now + span),
            Self::CutMidFrame => link.cuts += 1,
            Self::SlowReplies(span) => link.slow = span,
            Self::RefuseConnections(span) => link.refused_until = Some(now + span),
            Self::LoseEvents(_) => {}
            Self::Heal => {
                *link = LinkFault {
                    shut_down: link.shut_down,
                    dropped: link.dropped,
                    cuts: link.cuts,
                    ..LinkFault::default()
                };
            }
        }
    }
}

// === impl Links ===

impl Links {
    fn include(self, listener: &Listener) -> bool {
        match self {
            Self::All => true,
            Self::Events => listener.listening,
            Self::Commands | Self::OneCommand => !listener.listening,
        }
    }

    fn most(self) -> usize {
        match self {
            Self::OneCommand => 1,
            _ => usize::MAX,
        }
    }
}

// === impl World ===

impl World {
    /// Changes what connections suffer from.
    pub(super) fn strike(&mut self, links: Links, mut change: impl FnMut(&mut LinkFault)) {
        if links == Links::All {
            change(&mut self.link_fault);
        }
        let struck = self.listeners.values().filter(|one| links.include(one));
        for listener in struck.take(links.most()) {
            listener.fault.send_modify(&mut change);
        }
    }
}

// === impl Core ===

impl super::core::Core {
    /// Makes a fault happen. What is not a connection's strikes the node, whatever `links` says.
    pub(super) fn inject(&self, links: Links, fault: Fault) {
        let mut world = self.world();
        let links = match fault {
            Fault::Restart | Fault::RefuseConnections(_) | Fault::Heal => Links::All,
            _ => links,
        };
        world.strike(links, |link| fault.strike(link));
        match fault {
            Fault::Restart => world.restart(&self.config),
            Fault::LoseEvents(count) => world.events_to_lose = count,
            Fault::Heal => world.events_to_lose = 0,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_read_with_its_argument_and_its_links() {
        let stall = Fault::Stall(Duration::from_secs(5));
        assert_eq!(Fault::parse("stall 5s"), Some((Links::All, stall)));
        assert_eq!(
            Fault::parse("stall 5s events"),
            Some((Links::Events, stall))
        );
        assert_eq!(
            Fault::parse("drop_links one_command"),
            Some((Links::OneCommand, Fault::DropLinks))
        );
        assert_eq!(Fault::parse("stall events"), None);
    }
}

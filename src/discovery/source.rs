//! A source that is looked at again and again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::Outlet;
use super::dns::Dns;
use super::file::File;
use crate::config::{NodeConfig, Place, SourceConfig};
use crate::domain::Count;

/// While looks go on failing, the log says so again after this time.
const REMIND: Duration = Duration::from_secs(600);

/// One source, to be looked at until it is dropped.
pub(super) struct Task {
    pub(super) config: SourceConfig,
    pub(super) dns_server: Option<SocketAddr>,
    pub(super) counts: Arc<Counts>,
    pub(super) outlet: Outlet,
}

/// What a look shows.
#[derive(Debug)]
pub(super) struct Look {
    /// The nodes; none when they are those of before.
    pub(super) nodes: Option<Vec<NodeConfig>>,
    /// When to look again.
    pub(super) again: Duration,
}

/// What an operator watches of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceFigures {
    /// Looks that showed something, were it nothing.
    pub answered: u64,
    /// Looks that failed.
    pub failed: u64,
    /// When a look was last answered, in seconds since 1970; 0 before the first.
    pub answered_at: u64,
    /// Nodes that it names.
    pub nodes: u64,
    /// Of these, how many are left out since others have their name or address.
    pub left_out: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    answered: Count,
    failed: Count,
    answered_at: Count,
    nodes: Count,
    pub(super) left_out: Count,
}

/// What is looked at, with what is remembered of it.
enum Eyes {
    Dns(Box<Dns>),
    File(Box<File>),
}

// === impl Counts ===

impl Counts {
    pub(super) fn figures(&self) -> SourceFigures {
        SourceFigures {
            answered: self.answered.get(),
            failed: self.failed.get(),
            answered_at: self.answered_at.get(),
            nodes: self.nodes.get(),
            left_out: self.left_out.get(),
        }
    }
}

// === impl Task ===

impl Task {
    /// Looks for ever.
    pub(super) async fn run(self) {
        let Self {
            config,
            dns_server,
            counts,
            outlet,
        } = self;
        let source = config.name.clone();
        let mut eyes = match &config.place {
            Place::Dns {
                name,
                question,
                node_id,
            } => {
                let (name, node_id) = (name.clone(), node_id.clone());
                let dns = Dns::new(name, *question, node_id, config, dns_server);
                Eyes::Dns(Box::new(dns))
            }
            Place::File(path) => Eyes::File(Box::new(File::new(path.clone(), config))),
        };
        let mut told_at: Option<Instant> = None;
        loop {
            let look = match &mut eyes {
                Eyes::Dns(dns) => dns.look().await,
                Eyes::File(file) => file.look().await,
            };
            let again = match look {
                Ok(look) => {
                    counts.answered.one();
                    let now = SystemTime::now().duration_since(UNIX_EPOCH);
                    counts.answered_at.set(now.map_or(0, |now| now.as_secs()));
                    if told_at.take().is_some() {
                        info!(source, "source of nodes answers again");
                    }
                    if let Some(nodes) = look.nodes {
                        counts.nodes.set(nodes.len() as u64);
                        outlet.put(nodes);
                    }
                    look.again
                }
                Err(trouble) => {
                    counts.failed.one();
                    match told_at {
                        Some(at) if at.elapsed() < REMIND => {
                            debug!(source, error = trouble.error, "source of nodes fails");
                        }
                        _ => {
                            told_at = Some(Instant::now());
                            let error = trouble.error;
                            warn!(source, error, "source of nodes fails; its nodes stay");
                        }
                    }
                    trouble.again
                }
            };
            tokio::time::sleep(again).await;
        }
    }
}

/// A look that failed.
#[derive(Debug)]
pub(super) struct Trouble {
    /// Why.
    pub(super) error: String,
    /// When to look again.
    pub(super) again: Duration,
}

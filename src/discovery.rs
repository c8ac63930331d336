//! Nodes that are found while the gateway runs: in DNS, and in files that are watched.
//!
//! Each source has a task that looks at it again and again. What it found last stays until it finds
//! something else: a look that fails takes no node away. Whoever follows [`Discovery::found`] makes
//! nodes of it.

mod answers;
mod dns;
mod file;
mod merge;
mod resolver;
mod source;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use merge::{Found, LeftOut, Merged, merge};
pub use source::SourceFigures;

use crate::config::{DiscoveryConfig, NodeConfig, Place, SourceConfig};
use crate::shutdown::Drain;
use source::{Counts, Task};

/// The sources of nodes. Clones share them.
#[derive(Debug, Clone)]
pub struct Discovery(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    running: Mutex<Running>,
    found: watch::Sender<Found>,
    drain: Drain,
}

#[derive(Debug, Default)]
struct Running {
    config: DiscoveryConfig,
    sources: Vec<Source>,
}

/// A source and the task that looks at it.
#[derive(Debug)]
struct Source {
    config: SourceConfig,
    stop: CancellationToken,
    counts: Arc<Counts>,
}

/// Where the task of a source puts what it found.
#[derive(Debug, Clone)]
struct Outlet {
    source: String,
    found: watch::Sender<Found>,
    stop: CancellationToken,
}

// === impl Discovery ===

impl Discovery {
    /// Looks at these sources until `drain` stops.
    pub fn start(config: &DiscoveryConfig, drain: &Drain) -> Self {
        let discovery = Self(Arc::new(Shared {
            running: Mutex::default(),
            found: watch::Sender::default(),
            drain: drain.clone(),
        }));
        discovery.follow(config);
        discovery
    }

    /// Looks at these sources from now on. One that is as it was goes on. One of the same name that
    /// is another keeps its nodes until it found others; one that is named no more loses them.
    pub fn follow(&self, config: &DiscoveryConfig) {
        let mut running = self.running();
        let same_server = running.config.dns_server == config.dns_server;
        let mut before = std::mem::take(&mut running.sources);
        for source in &config.sources {
            let at = before.iter().position(|one| one.config == *source);
            let stays = same_server || matches!(source.place, Place::File(_));
            let source = match at.filter(|_| stays).map(|at| before.swap_remove(at)) {
                Some(source) => source,
                None => self.begin(config, source),
            };
            running.sources.push(source);
        }
        // Before what they found is taken away: one that is stopped brings nothing back.
        before.iter().for_each(|source| source.stop.cancel());
        let names = config.sources.iter().map(|source| source.name.clone());
        let names: Vec<_> = names.collect();
        self.0
            .found
            .send_if_modified(|found| found.restrict(&names));
        running.config.clone_from(config);
    }

    /// What was found, and each change of it.
    pub fn found(&self) -> watch::Receiver<Found> {
        self.0.found.subscribe()
    }

    /// What an operator watches, by the name of the source.
    pub fn figures(&self) -> Vec<(String, SourceFigures)> {
        let running = self.running();
        let figures = running.sources.iter();
        figures
            .map(|source| (source.config.name.clone(), source.counts.figures()))
            .collect()
    }

    /// Notes how many nodes of each source are left out, since others have their name or address.
    pub fn set_left_out(&self, left_out: &[LeftOut]) {
        for source in &self.running().sources {
            let of_source = |one: &&LeftOut| one.source == source.config.name;
            let count = left_out.iter().filter(of_source).count();
            source.counts.left_out.set(count as u64);
        }
    }

    fn begin(&self, config: &DiscoveryConfig, source: &SourceConfig) -> Source {
        let stop = CancellationToken::new();
        let counts = Arc::<Counts>::default();
        let task = Task {
            config: source.clone(),
            dns_server: config.dns_server,
            counts: Arc::clone(&counts),
            outlet: Outlet {
                source: source.name.clone(),
                found: self.0.found.clone(),
                stop: stop.clone(),
            },
        };
        let (stopped, cancelled) = (self.0.drain.stopped(), stop.clone().cancelled_owned());
        self.0.drain.spawn(async move {
            tokio::select! {
                biased;
                () = stopped => {}
                () = cancelled => {}
                () = task.run() => {}
            }
        });
        Source {
            config: source.clone(),
            stop,
            counts,
        }
    }

    /// A panic while the lock was held leaves plain data behind.
    fn running(&self) -> MutexGuard<'_, Running> {
        let running = &self.0.running;
        running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Outlet ===

impl Outlet {
    fn put(&self, nodes: Vec<NodeConfig>) {
        self.found.send_if_modified(|found| {
            // Under the lock of what was found, so that nothing comes after a stop.
            !self.stop.is_cancelled() && found.put(&self.source, nodes)
        });
    }
}

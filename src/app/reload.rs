//! The configuration, read again while the gateway runs.
//!
//! What has changed since it was read last is what changes. All is checked before anything is
//! applied: what is bad changes nothing.

mod counts;
mod found;
mod keys;
mod nodes;

use std::sync::Arc;

use tokio::sync::Mutex;
use tracing::{error, info, warn};

pub use counts::{ReloadCounts, ReloadFigures};

use crate::access::{Access, IdentitiesError};
use crate::config::{Config, Origin, Problem, Problems};
use crate::control::Parts;
use crate::discovery::Discovery;
use crate::domain::NodeId;
use crate::telemetry::LogLevel;
use crate::telemetry::audit::Audit;
use crate::tls::{Files, Flaws, Tls};
use nodes::Nodes;

/// Who changes the log level, in the log.
const WHO: &str = "reload";

/// Reloads the configuration of a gateway that runs. Clones share it.
#[derive(Debug, Clone)]
pub struct Reloads(Arc<Shared>);

/// What a reload reaches.
pub(super) struct Reached<'a> {
    pub(super) parts: &'a Parts,
    pub(super) discovery: &'a Discovery,
    pub(super) access: &'a Access,
    pub(super) tls: Option<&'a Tls>,
    pub(super) audit: &'a Audit,
    pub(super) log_level: Option<LogLevel>,
}

#[derive(Debug)]
struct Shared {
    nodes: Arc<Nodes>,
    discovery: Discovery,
    access: Access,
    tls: Option<Tls>,
    audit: Audit,
    log_level: Option<LogLevel>,
    at_start: Config,
    /// What was applied last; held by the reload that is under way.
    applied: Mutex<Config>,
    counts: Arc<ReloadCounts>,
}

/// What a reload has changed, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Sections of the configuration.
    pub sections: Vec<&'static str>,
    /// Nodes that were named for the first time.
    pub added: Vec<NodeId>,
    /// Nodes that are named no more; each goes when nothing lives there.
    pub removed: Vec<NodeId>,
    /// Nodes that are named otherwise.
    pub changed: Vec<NodeId>,
    /// Keys that are others than at the start, where it takes another one for them.
    pub at_next_start: Vec<String>,
}

/// Why all is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The configuration is bad, or does not fit a gateway that runs.
    #[error(transparent)]
    Config(#[from] Problems),
    /// The files of TLS have become bad since they were checked.
    #[error("no TLS (grpc.tls)")]
    Tls(#[from] Flaws),
    /// Keys of an issuer have become bad since they were checked.
    #[error(transparent)]
    Identities(#[from] IdentitiesError),
}

// === impl Reloads ===

impl Reloads {
    /// Of a gateway that was started so.
    pub(super) fn new(at_start: &Config, reached: Reached<'_>) -> Self {
        let nodes = Nodes::new(reached.parts, &at_start.nodes);
        let drain = &reached.parts.drain;
        let (stopped, discovery) = (drain.stopped(), reached.discovery.clone());
        let follows = Arc::clone(&nodes).follow_found(discovery);
        drain.spawn(async move {
            tokio::select! {
                biased;
                () = stopped => {}
                () = follows => {}
            }
        });
        Self(Arc::new(Shared {
            nodes,
            discovery: reached.discovery.clone(),
            access: reached.access.clone(),
            tls: reached.tls.cloned(),
            audit: reached.audit.clone(),
            log_level: reached.log_level,
            at_start: at_start.clone(),
            applied: Mutex::new(at_start.clone()),
            counts: Arc::default(),
        }))
    }

    /// Reads the configuration, checks it and applies what can change at run time. One at a time:
    /// `load` runs when it is its turn. Logs what has changed, or all that is wrong.
    ///
    /// # Errors
    /// Everything that is wrong; then all is as it was.
    pub async fn reload(
        &self,
        load: impl Future<Output = Result<Config, Problems>>,
    ) -> Result<Changes, ReloadError> {
        let mut applied = self.0.applied.lock().await;
        let outcome = match load.await {
            Ok(config) => {
                let changes = self.0.apply(&applied, &config).await;
                changes.map(|changes| (config, changes))
            }
            Err(problems) => Err(problems.into()),
        };
        match outcome {
            Ok((config, changes)) => {
                *applied = config;
                self.0.counts.succeeded();
                changes.log();
                Ok(changes)
            }
            Err(error) => {
                self.0.counts.failed();
                error.log();
                Err(error)
            }
        }
    }

    /// What an operator watches.
    pub fn counts(&self) -> &Arc<ReloadCounts> {
        &self.0.counts
    }
}

// === impl Shared ===

impl Shared {
    async fn apply(&self, before: &Config, config: &Config) -> Result<Changes, ReloadError> {
        self.check(before, config).await?;
        let mut changes = Changes::default();
        // First what can still fail, each of which keeps what it has then.
        if let Some((tls, files)) = self.tls_files(config)
            && tls.replace(files).await?
        {
            changes.sections.push("grpc.tls");
        }
        let who = [
            ("access", before.access != config.access),
            ("roles", before.roles != config.roles),
            ("tenants", before.tenants != config.tenants),
        ];
        let who = who.into_iter().filter(|(_, changed)| *changed);
        let who: Vec<_> = who.map(|(name, _)| name).collect();
        if !who.is_empty() {
            let access = &self.access;
            access.replace(&config.access, &config.roles, &config.tenants)?;
        }
        changes.sections.extend(who);
        if self.nodes.follow(&config.nodes, &mut changes).await {
            changes.sections.push("nodes");
        }
        if before.discovery != config.discovery {
            self.discovery.follow(&config.discovery);
            changes.sections.push("discovery");
        }
        if let Some(level) = &self.log_level
            && before.log.level != config.log.level
        {
            changes.sections.push("log.level");
            if let Err(error) = level.change(&config.log.level, WHO) {
                warn!(%error, "log level stays as it is");
            }
        }
        self.audit.reopen();
        let applied = |key: &str| self.is_applied(key, config);
        changes.at_next_start = keys::that_differ(&self.at_start, config, applied);
        Ok(changes)
    }

    /// What the check of a configuration alone does not know.
    async fn check(&self, before: &Config, config: &Config) -> Result<(), Problems> {
        let mut problems = self.nodes.conflicts(&config.nodes).await;
        let (access, listen) = (&config.access, self.at_start.grpc.listen);
        if self.at_start.is_exposed() && !access.has_source() && !access.insecure {
            problems.0.push(Problem {
                key: "access".to_owned(),
                value: None,
                reason: format!(
                    "would let everybody in, and the gateway listens on {listen} until its next start"
                ),
                remedy: "name who is let in, by access.tokens, access.jwt or access.certificates; or start the gateway again".to_owned(),
                origin: Origin::Default,
            });
        } else if before.access.has_source() && access.lets_everybody_in_unsaid() {
            // On loopback too: whoever takes the last one away hardly means to let all others in.
            problems.0.push(Problem {
                key: "access".to_owned(),
                value: None,
                reason: "names nobody any more, so that everybody would be let in as admin".to_owned(),
                remedy: "leave one of access.tokens, access.jwt or access.certificates; or say who comes without a proof by access.anonymous, or access.insecure: true".to_owned(),
                origin: Origin::Default,
            });
        }
        match problems.0.is_empty() {
            true => Ok(()),
            false => Err(problems),
        }
    }

    /// TLS cannot come or go without a start.
    fn tls_files(&self, config: &Config) -> Option<(&Tls, Files)> {
        self.tls.as_ref().zip(config.grpc.tls.files())
    }

    fn is_applied(&self, key: &str, config: &Config) -> bool {
        let section = key.split('.').next().unwrap_or(key);
        match key {
            "log.level" => self.log_level.is_some(),
            "grpc.tls.reload_interval" => false,
            _ if key.starts_with("grpc.tls.") => self.tls_files(config).is_some(),
            _ => ["access", "discovery", "nodes", "roles", "tenants"].contains(&section),
        }
    }
}

// === impl Changes ===

impl Changes {
    fn log(&self) {
        for key in &self.at_next_start {
            warn!(key, "key takes effect at the next start");
        }
        info!(
            sections = self.sections.join(", "),
            nodes_added = joined(&self.added),
            nodes_removed = joined(&self.removed),
            nodes_changed = joined(&self.changed),
            "configuration reloaded"
        );
    }
}

/// Names of nodes, for a line of the log.
fn joined(nodes: &[NodeId]) -> String {
    let nodes: Vec<_> = nodes.iter().map(NodeId::as_str).collect();
    nodes.join(", ")
}

// === impl ReloadError ===

impl ReloadError {
    /// A line for each thing that is wrong.
    fn log(&self) {
        let one = |problem: &dyn std::fmt::Display| {
            error!(%problem, "configuration is not reloaded, all stays as it was");
        };
        match self {
            Self::Config(problems) => problems.0.iter().for_each(|problem| one(problem)),
            Self::Tls(flaws) => {
                let flaws = flaws.0.iter();
                flaws.for_each(|flaw| one(&format_args!("grpc.tls.{flaw}")));
            }
            Self::Identities(error) => one(error),
        }
    }
}

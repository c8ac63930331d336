//! The configuration: a typed tree with a default for everything but the nodes.
//!
//! `Loader` reads it from a YAML file, the environment and flags; `docs/config.example.yaml` holds
//! every key. A component takes its own section, so that a test builds just that one:
//! `EslConfig { max_pending: 2, ..EslConfig::default() }`.

mod access;
mod added;
mod admin;
mod check;
mod discovery;
mod grpc;
mod layers;
mod limits;
mod loader;
mod names;
mod node;
mod observed;
mod password;
mod problem;
mod roles;
mod section;
mod source;
mod value;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

pub use access::{AccessConfig, AnonymousConfig, CertificateConfig, JwtConfig, TokenConfig};
pub use added::NodeParts;
pub use admin::{AdminConfig, DEFAULT_ADMIN_PORT, LogLevelFrom, ReadyPolicy};
pub use check::is_log_level;
pub use discovery::{DiscoveryConfig, DnsQuestion, NodeFile, NodeName, Place, SourceConfig};
pub use grpc::{DEFAULT_GRPC_PORT, DeadlinesConfig, GrpcConfig, TlsConfig};
pub use limits::LimitsConfig;
pub use loader::{Loader, NodeNeed};
pub use names::Names;
pub use node::{DEFAULT_ESL_PORT, NodeAddress, NodeConfig};
pub use observed::{AuditConfig, TracingConfig};
pub use password::{DEFAULT_ESL_PASSWORD, Password, PasswordOrigin};
pub use problem::{Origin, Problem, Problems};
pub use roles::{NamesConfig, RoleConfig, TenantConfig};
pub use section::{
    BackoffConfig, EslConfig, EventsConfig, JobsConfig, LogConfig, SessionsConfig, ShutdownConfig,
};
#[cfg(test)]
pub(crate) use source::fake::Fake;
pub use source::{Process, Source};
pub use value::{AuditPolicy, LogFormat, SipHeader, Size};

/// Variables that name a key begin with this, with two underscores between the parts of the key.
/// One underscore alone would read the variables that Kubernetes makes for a service which is
/// called "switchgate", such as SWITCHGATE_PORT.
pub const ENVIRONMENT_PREFIX: &str = "SWITCHGATE__";

/// Password of all nodes that have none of their own.
pub const PASSWORD_VARIABLE: &str = "SWITCHGATE_ESL_PASSWORD";

/// A file with the password of all nodes that have none of their own.
pub const PASSWORD_FILE_VARIABLE: &str = "SWITCHGATE_ESL_PASSWORD_FILE";

/// Everything that can be configured.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Config {
    /// The gRPC server.
    pub grpc: GrpcConfig,
    /// Who is let in.
    pub access: AccessConfig,
    /// Metrics and probes.
    pub admin: AdminConfig,
    /// The FreeSWITCHes to control.
    pub nodes: Vec<NodeConfig>,
    /// Where more of them are found while the gateway runs.
    pub discovery: DiscoveryConfig,
    /// Each link to a node.
    pub esl: EslConfig,
    /// Sessions.
    pub sessions: SessionsConfig,
    /// Background jobs.
    pub jobs: JobsConfig,
    /// The journal of events and its subscribers.
    pub events: EventsConfig,
    /// The stop on a signal.
    pub shutdown: ShutdownConfig,
    /// Logs.
    pub log: LogConfig,
    /// Traces.
    pub tracing: TracingConfig,
    /// The audit.
    pub audit: AuditConfig,
    /// How much one caller may use.
    pub limits: LimitsConfig,
    /// What each role may do, by its name; beside and instead of the ready ones.
    pub roles: BTreeMap<String, RoleConfig>,
    /// Whose sessions are whose, by the tenant's name.
    pub tenants: BTreeMap<String, TenantConfig>,
}

// === impl Config ===

impl Config {
    /// The configuration in effect as YAML, without any password.
    ///
    /// # Errors
    /// Only if YAML cannot hold it, which no value of a loaded configuration causes.
    pub fn to_yaml(&self) -> Result<String, yaml_serde::Error> {
        yaml_serde::to_string(self)
    }

    /// The nodes for which no password was given, so that FreeSWITCH's default is used: whoever
    /// reads FreeSWITCH's manual knows it.
    pub fn nodes_with_default_password(&self) -> impl Iterator<Item = &NodeConfig> {
        let default = |node: &&NodeConfig| *node.password.origin() == PasswordOrigin::Default;
        self.nodes.iter().filter(default)
    }

    /// The key of TLS, if every user of this machine may read it.
    pub fn key_open_to_all(&self) -> Option<&Path> {
        let key = self.grpc.tls.key.as_deref()?;
        crate::tls::key_is_open_to_all(key).then_some(key)
    }

    /// Whether other machines can reach the gRPC server.
    pub fn is_exposed(&self) -> bool {
        !self.grpc.listen.ip().to_canonical().is_loopback()
    }

    /// Whether the gRPC server speaks TLS.
    pub fn has_tls(&self) -> bool {
        self.grpc.tls.files().is_some()
    }

    /// What is allowed and yet deserves a warning about who is let in, with its remedy.
    pub fn access_warnings(&self) -> Vec<(&'static str, &'static str)> {
        let mut warnings = Vec::new();
        if self.is_exposed() && !self.access.has_source() {
            warnings.push((
                "everybody who reaches the gateway is let in (insecure)",
                "give access.tokens, access.jwt or access.certificates",
            ));
        }
        if self.is_exposed() && self.access.has_bearers() && !self.has_tls() {
            warnings.push((
                "tokens come over the network without TLS: whoever listens on the way has them",
                "serve TLS, or let a proxy do so on this machine and listen on 127.0.0.1",
            ));
        }
        if !self.access.certificates.is_empty() && !self.has_tls() {
            warnings.push((
                "rules for client certificates never fit, since TLS is not served",
                "serve TLS with client certificates, or leave access.certificates out",
            ));
        }
        warnings
    }
}

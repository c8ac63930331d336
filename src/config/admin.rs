//! The section `admin`: metrics and probes.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::value::{Leaf, read};

/// Port of metrics and probes by default: the one after that of gRPC.
pub const DEFAULT_ADMIN_PORT: u16 = 50062;

/// Metrics and probes, in plain text on a port of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminConfig {
    /// Whether there is such a port at all. Default true.
    #[serde(deserialize_with = "read")]
    pub enabled: bool,
    /// Address and port to listen on. Default 127.0.0.1:50062; port 0 takes any free one. It has
    /// no authentication: whoever reaches it may read metrics, names of nodes and their states.
    #[serde(deserialize_with = "read")]
    pub listen: SocketAddr,
    /// How many nodes must be in service for `/readyz` to say so: `any` (one at least), `all`,
    /// `quorum` (more than half) or `none`. Default any.
    #[serde(deserialize_with = "read")]
    pub ready: ReadyPolicy,
    /// Who may change the log level by `PUT /log-level`: `loopback` (programs of the same machine),
    /// `anyone` or `nobody`. Default loopback.
    #[serde(deserialize_with = "read")]
    pub log_level_from: LogLevelFrom,
}

/// How many nodes must be in service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadyPolicy {
    /// One at least.
    #[default]
    Any,
    /// All of them, of which there must be one.
    All,
    /// More than half of them.
    Quorum,
    /// It does not matter.
    None,
}

/// Who may change the log level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevelFrom {
    /// Programs of the same machine, or of the same pod.
    #[default]
    Loopback,
    /// Whoever reaches the port.
    Anyone,
    /// Nobody.
    Nobody,
}

// === impl AdminConfig ===

impl Default for AdminConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_ADMIN_PORT)),
            ready: ReadyPolicy::default(),
            log_level_from: LogLevelFrom::default(),
        }
    }
}

// === impl ReadyPolicy ===

impl ReadyPolicy {
    /// How many of so many nodes must be in service.
    pub fn needed(self, nodes: usize) -> usize {
        match self {
            Self::None => 0,
            Self::Any => 1,
            Self::All => nodes.max(1),
            Self::Quorum => nodes / 2 + 1,
        }
    }

    /// How it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::All => "all",
            Self::Quorum => "quorum",
            Self::None => "none",
        }
    }
}

// === impl Leaf ===

impl Leaf for ReadyPolicy {
    const WHAT: &'static str = "a number of nodes";
    const REMEDY: &'static str = "write any, all, quorum or none";

    fn from_text(text: &str) -> Option<Self> {
        let all = [Self::Any, Self::All, Self::Quorum, Self::None];
        all.into_iter().find(|policy| policy.name() == text)
    }
}

impl Leaf for LogLevelFrom {
    const WHAT: &'static str = "who may change the log level";
    const REMEDY: &'static str = "write loopback, anyone or nobody";

    fn from_text(text: &str) -> Option<Self> {
        match text {
            "loopback" => Some(Self::Loopback),
            "anyone" => Some(Self::Anyone),
            "nobody" => Some(Self::Nobody),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_needs_so_many_nodes() {
        let needed = |policy: ReadyPolicy| [0, 1, 2, 3, 4].map(|nodes| policy.needed(nodes));
        assert_eq!(needed(ReadyPolicy::Any), [1, 1, 1, 1, 1]);
        assert_eq!(needed(ReadyPolicy::All), [1, 1, 2, 3, 4]);
        assert_eq!(needed(ReadyPolicy::Quorum), [1, 1, 2, 2, 3]);
        assert_eq!(needed(ReadyPolicy::None), [0; 5]);
    }
}

//! The sections `roles` and `tenants`.

use serde::{Deserialize, Serialize};

use super::value::{read, read_list};

/// What a role may do. What is left out is not allowed, but for nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RoleConfig {
    /// RPCs: `SessionService/Hangup`, `SessionService/Get*`, `*`. Default none.
    pub rpcs: NamesConfig,
    /// Nodes that they may be called for. Default all.
    #[serde(deserialize_with = "read_list")]
    pub nodes: Vec<String>,
    /// Api commands, of clients' own words: RunApi, RunJob, StartJob. Default none.
    pub commands: NamesConfig,
    /// Applications, of clients' own words: Execute, Broadcast, Originate. Default none.
    pub applications: NamesConfig,
    /// Whether `${...}` in what a client writes is expanded, by which FreeSWITCH runs any command.
    /// Default false.
    #[serde(deserialize_with = "read")]
    pub expand: bool,
}

/// Names, with `*` for any characters. What is dangerous is allowed by its very name alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NamesConfig {
    /// Those that are allowed.
    pub allow: Vec<String>,
    /// Those of them that are not.
    #[serde(deserialize_with = "read_list")]
    pub deny: Vec<String>,
}

/// A tenant: its sessions are those with this value of this channel variable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TenantConfig {
    /// The variable.
    #[serde(deserialize_with = "read")]
    pub variable: String,
    /// Its value.
    #[serde(deserialize_with = "read")]
    pub value: String,
}

// === impl Default ===

impl Default for RoleConfig {
    fn default() -> Self {
        Self {
            rpcs: NamesConfig::default(),
            nodes: vec!["*".to_owned()],
            commands: NamesConfig::default(),
            applications: NamesConfig::default(),
            expand: false,
        }
    }
}

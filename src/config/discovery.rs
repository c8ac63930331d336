//! Where nodes are found while the gateway runs.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use super::check::Check;
use super::layers::Layers;
use super::node::{Label, NodeConfig, write_password};
use super::password::Password;
use super::problem::Problems;
use super::source::Source;
use super::value::{read_or_none, read_some};
use crate::domain::{IdError, NodeId};

/// Sources of nodes beside the list `nodes`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DiscoveryConfig {
    /// The DNS server that is asked. Default none: those of `/etc/resolv.conf`, with its search
    /// domains.
    pub dns_server: Option<SocketAddr>,
    /// The sources, in the order in which they win where two name the same node. Default none.
    pub sources: Vec<SourceConfig>,
}

/// One source of nodes.
#[derive(Debug, Clone)]
pub struct SourceConfig {
    /// Its name in logs, metrics and names of nodes.
    pub name: String,
    /// What is looked at.
    pub place: Place,
    /// Longest time until it is looked at again. Default 30s for DNS, 5s for a file.
    pub interval: Duration,
    /// `user@domain` for nodes that name none; `auth` when absent.
    pub user: Option<String>,
    /// Password of nodes that name none.
    pub password: Password,
    /// Labels of its nodes; those that a node in a file names itself win.
    pub labels: BTreeMap<String, String>,
    /// Links for commands of nodes that name no number. Default `esl.command_links`.
    pub command_links: usize,
}

/// What a source looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A name in DNS.
    Dns {
        /// The name; without a dot at its end, search domains apply.
        name: String,
        /// What is asked for.
        question: DnsQuestion,
        /// How the nodes are called.
        node_id: NodeName,
    },
    /// A file with a list of nodes.
    File(PathBuf),
}

/// What DNS is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DnsQuestion {
    /// A and, where there are none, AAAA: each address is a node, with this port.
    Addresses(u16),
    /// SRV: each target is a node, with its port.
    Services,
}

/// A template for names of nodes: text with `{source}`, `{address}`, `{port}` and, for SRV,
/// `{host}`, the first label of the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct NodeName(String);

/// How a file with a list of nodes is read.
#[derive(Debug, Clone, Copy)]
pub struct NodeFile<'a> {
    /// Where it is, for problems.
    pub path: &'a std::path::Path,
    /// Whose nodes they are.
    pub source: &'a SourceConfig,
}

/// The section as it is written; `check` makes a `DiscoveryConfig` of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct DiscoveryEntry {
    #[serde(deserialize_with = "read_or_none")]
    pub(super) dns_server: Option<SocketAddr>,
    pub(super) sources: Vec<SourceEntry>,
}

/// A source as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SourceEntry {
    #[serde(deserialize_with = "read_some")]
    pub(super) name: Option<String>,
    pub(super) dns: Option<DnsEntry>,
    #[serde(deserialize_with = "read_some")]
    pub(super) file: Option<PathBuf>,
    #[serde(deserialize_with = "read_some")]
    pub(super) interval: Option<Duration>,
    #[serde(deserialize_with = "read_some")]
    pub(super) node_id: Option<String>,
    #[serde(deserialize_with = "read_some")]
    pub(super) user: Option<String>,
    #[serde(deserialize_with = "super::node::secret")]
    pub(super) password: Option<SecretString>,
    #[serde(deserialize_with = "read_some")]
    pub(super) password_file: Option<String>,
    pub(super) labels: BTreeMap<String, Label>,
    #[serde(deserialize_with = "read_some")]
    pub(super) command_links: Option<usize>,
}

/// A name in DNS as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct DnsEntry {
    #[serde(deserialize_with = "read_some")]
    pub(super) name: Option<String>,
    #[serde(deserialize_with = "read_some")]
    pub(super) port: Option<u32>,
    #[serde(deserialize_with = "read_some")]
    pub(super) srv: Option<bool>,
}

// === impl SourceConfig ===

impl PartialEq for SourceConfig {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.place == other.place
            && self.interval == other.interval
            && self.user == other.user
            && self.password.expose() == other.password.expose()
            && self.labels == other.labels
            && self.command_links == other.command_links
    }
}

impl Eq for SourceConfig {}

impl Serialize for SourceConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &self.name)?;
        match &self.place {
            Place::Dns {
                name,
                question,
                node_id,
            } => {
                map.serialize_entry("dns", &Written(name, *question))?;
                map.serialize_entry("node_id", node_id)?;
            }
            Place::File(path) => map.serialize_entry("file", path)?,
        }
        let interval = humantime::format_duration(self.interval).to_string();
        map.serialize_entry("interval", &interval)?;
        if let Some(user) = &self.user {
            map.serialize_entry("user", user)?;
        }
        write_password::<S>(&mut map, &self.password)?;
        map.serialize_entry("labels", &self.labels)?;
        map.serialize_entry("command_links", &self.command_links)?;
        map.end()
    }
}

/// A question to DNS, as it is written in the configuration.
struct Written<'a>(&'a str, DnsQuestion);

// === impl Written ===

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("name", self.0)?;
        match self.1 {
            DnsQuestion::Addresses(port) => map.serialize_entry("port", &port)?,
            DnsQuestion::Services => map.serialize_entry("srv", &true)?,
        }
        map.end()
    }
}

// === impl NodeName ===

impl NodeName {
    /// The placeholders that there are; the last one is for SRV alone.
    pub(super) const PLACEHOLDERS: [&'static str; 4] =
        ["{source}", "{address}", "{port}", "{host}"];

    /// A template; `check` has looked at it.
    pub fn new(template: impl Into<String>) -> Self {
        Self(template.into())
    }

    /// The name of a node.
    ///
    /// # Errors
    /// When what DNS answered makes no name.
    pub fn of(
        &self,
        source: &str,
        host: &str,
        address: IpAddr,
        port: u16,
    ) -> Result<NodeId, IdError> {
        self.0
            .replace("{source}", source)
            .replace("{address}", &address.to_string())
            .replace("{port}", &port.to_string())
            // Last: what comes from outside is no template.
            .replace("{host}", host)
            .parse()
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl NodeFile ===

impl NodeFile<'_> {
    /// The nodes in this content of the file.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn nodes(&self, content: &str, files: &dyn Source) -> Result<Vec<NodeConfig>, Problems> {
        let layers = Layers::from_node_file(self.path, content)?;
        let mut problems = Problems::default();
        let Some(tree) = layers.read(&mut problems) else {
            return Err(problems.sorted());
        };
        let mut check = Check::new(&layers, files, &mut problems);
        let source = self.source;
        let fallback = Some(&source.password);
        let mut nodes = check.nodes("nodes", tree.nodes, source.command_links, fallback);
        for node in &mut nodes {
            if node.user.is_none() {
                node.user.clone_from(&source.user);
            }
            for (name, value) in &source.labels {
                let label = node.labels.entry(name.clone());
                label.or_insert_with(|| value.clone());
            }
        }
        problems.sorted().or(nodes)
    }
}

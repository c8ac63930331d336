//! The nodes: which FreeSWITCH to reach, where, and with what password.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use secrecy::SecretString;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::password::{Password, PasswordOrigin};
use super::value::{Leaf, read_some};
use crate::domain::NodeId;

/// Port of the event socket where an address names none.
pub const DEFAULT_ESL_PORT: u16 = 8021;

/// One FreeSWITCH.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Name of the node in the API.
    pub id: NodeId,
    /// Where its event socket listens.
    pub address: NodeAddress,
    /// `user@domain` of FreeSWITCH's directory, for `userauth`; `auth` when absent.
    pub user: Option<String>,
    /// Password of the event socket or of `user`.
    pub password: Password,
    /// What clients choose nodes by. Default none.
    pub labels: BTreeMap<String, String>,
    /// Links for commands. Default `esl.command_links`.
    pub command_links: usize,
}

/// Host and port of an event socket. Written `HOST`, `HOST:PORT` or `[IPV6]:PORT`; the port is
/// 8021 where none is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAddress {
    /// Name or IP address, without brackets.
    pub host: String,
    /// TCP port, not 0.
    pub port: u16,
}

/// A node as it is written; `check` makes a `NodeConfig` of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct NodeEntry {
    #[serde(deserialize_with = "read_some")]
    pub(super) id: Option<String>,
    #[serde(deserialize_with = "read_some")]
    pub(super) address: Option<NodeAddress>,
    #[serde(deserialize_with = "read_some")]
    pub(super) user: Option<String>,
    #[serde(deserialize_with = "secret")]
    pub(super) password: Option<SecretString>,
    #[serde(deserialize_with = "read_some")]
    pub(super) password_file: Option<String>,
    pub(super) labels: BTreeMap<String, Label>,
    #[serde(deserialize_with = "read_some")]
    pub(super) command_links: Option<usize>,
}

/// The value of a label.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Label(#[serde(deserialize_with = "super::value::read")] pub(super) String);

/// A password with nothing behind its key is not one that was left out.
pub(super) fn secret<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SecretString>, D::Error> {
    SecretString::deserialize(deserializer).map(Some)
}

// === impl NodeConfig ===

impl PartialEq for NodeConfig {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
            && self.address == other.address
            && self.user == other.user
            && self.password.expose() == other.password.expose()
            && self.labels == other.labels
            && self.command_links == other.command_links
    }
}

impl Eq for NodeConfig {}

impl NodeConfig {
    /// A node with this password, eight command links, and neither user nor labels.
    pub fn new(id: NodeId, address: NodeAddress, password: impl Into<String>) -> Self {
        Self {
            id,
            address,
            user: None,
            password: Password::new(password, PasswordOrigin::Given),
            labels: BTreeMap::new(),
            command_links: super::EslConfig::default().command_links,
        }
    }
}

impl Serialize for NodeConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", self.id.as_str())?;
        map.serialize_entry("address", &self.address.to_string())?;
        if let Some(user) = &self.user {
            map.serialize_entry("user", user)?;
        }
        write_password::<S>(&mut map, &self.password)?;
        map.serialize_entry("labels", &self.labels)?;
        map.serialize_entry("command_links", &self.command_links)?;
        map.end()
    }
}

// === impl NodeAddress ===

impl NodeAddress {
    /// This host and port.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        let host = host.into();
        Self { host, port }
    }
}

impl From<std::net::SocketAddr> for NodeAddress {
    fn from(address: std::net::SocketAddr) -> Self {
        Self::new(address.ip().to_string(), address.port())
    }
}

impl FromStr for NodeAddress {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let ipv6 = |host: &str| host.parse::<Ipv6Addr>().is_ok();
        if ipv6(text) {
            return Ok(Self::new(text, DEFAULT_ESL_PORT));
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !text.ends_with(']') => (host, port.parse().map_err(drop)?),
            _ => (text, DEFAULT_ESL_PORT),
        };
        let bracketed = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let named = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let host = match bracketed {
            Some(inner) if ipv6(inner) => inner,
            None if !host.is_empty() && host.chars().all(named) => host,
            _ => return Err(()),
        };
        if port == 0 {
            return Err(());
        }
        Ok(Self::new(host, port))
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Leaf for NodeAddress {
    const WHAT: &'static str = "a host, with or without a port from 1 to 65535";
    const REMEDY: &'static str = "write HOST or HOST:PORT, such as fs1.example.net:8021";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// Where a password came from, in place of the password.
pub(super) fn write_password<S: Serializer>(
    map: &mut S::SerializeMap,
    password: &Password,
) -> Result<(), S::Error> {
    match password.origin() {
        PasswordOrigin::File(path) => map.serialize_entry("password_file", path),
        PasswordOrigin::Given => map.serialize_entry("password", "[redacted]"),
        PasswordOrigin::Environment(name) => {
            map.serialize_entry("password", &format!("[from {name}]"))
        }
        PasswordOrigin::Default => map.serialize_entry("password", "[FreeSWITCH's default]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown() {
        for (text, shown) in [
            ("127.0.0.1", "127.0.0.1:8021"),
            ("fs_1.example.net:9000", "fs_1.example.net:9000"),
            ("::1", "[::1]:8021"),
            ("[::1]", "[::1]:8021"),
            ("[2001:db8::1]:8022", "[2001:db8::1]:8022"),
        ] {
            let address: NodeAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), shown);
        }
    }

    #[test]
    fn what_names_no_host_and_port_is_no_address() {
        for text in [
            "", ":8021", "a:0", "a:65536", "a:b", "a:1:2", "[::1", "[a]:1", "a b", "[]:1", "x://y",
            "a:",
        ] {
            assert_eq!(text.parse::<NodeAddress>(), Err(()), "{text:?}");
        }
    }

    #[test]
    fn a_password_shows_neither_in_debug_nor_in_yaml() {
        let node = NodeConfig::new(
            "fs1".parse().unwrap(),
            NodeAddress::new("127.0.0.1", 8021),
            "hunter2",
        );
        assert_eq!(node.password.expose(), "hunter2");
        let seen = format!("{node:?}{}", yaml_serde::to_string(&node).unwrap());
        assert!(!seen.contains("hunter2"), "{seen}");
    }
}

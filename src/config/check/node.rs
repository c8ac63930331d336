//! One node: made of its entry when that is complete.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};

use super::Check;
use crate::config::node::NodeEntry;
use crate::config::password::{Password, PasswordOrigin, read_password};
use crate::config::{NodeConfig, Problems};
use crate::domain::{IdError, NodeId, check_wire_text};

// === impl Check ===

impl Check<'_> {
    /// The nodes of the list at `above` that are complete, each with a name and an address of its own.
    pub(in crate::config) fn nodes(
        &mut self,
        above: &str,
        entries: Vec<NodeEntry>,
        links: usize,
        fallback: Option<&Password>,
    ) -> Vec<NodeConfig> {
        let (mut seen, mut reached) = (BTreeMap::new(), BTreeMap::new());
        let mut nodes = Vec::new();
        for (index, entry) in entries.into_iter().enumerate() {
            let key = format!("{above}[{index}]");
            let id = entry.id.as_ref();
            let id = id.and_then(|text| text.parse::<NodeId>().ok());
            if let Some(id) = id
                && let Some(first) = seen.insert(id.clone(), index)
            {
                self.add(
                    &format!("{key}.id"),
                    Some(&format_args!("`{id}`")),
                    &format!("is also the id of {above}[{first}]"),
                    "give each node an id of its own",
                );
            }
            let Some(node) = self.node(&key, entry, links, fallback) else {
                continue;
            };
            let address = node.address.to_string();
            if let Some(first) = reached.insert(address.to_ascii_lowercase(), index) {
                self.add(
                    &format!("{key}.address"),
                    Some(&format_args!("`{address}`")),
                    &format!("is also the address of {above}[{first}]"),
                    "name each FreeSWITCH once",
                );
            }
            nodes.push(node);
        }
        nodes
    }

    /// The node written at `key`. `links` and `fallback` are for a node that names none itself;
    /// there is no fallback where the environment's password is broken, which has been reported.
    pub(in crate::config) fn node(
        &mut self,
        key: &str,
        entry: NodeEntry,
        links: usize,
        fallback: Option<&Password>,
    ) -> Option<NodeConfig> {
        let id = match &entry.id {
            Some(text) => self.node_id(&format!("{key}.id"), text),
            None => {
                self.missing(key, "id", "give the node a name, such as fs1");
                None
            }
        };
        if entry.address.is_none() {
            self.missing(
                key,
                "address",
                "write HOST or HOST:PORT of its event socket",
            );
        }
        if let Some(user) = &entry.user {
            self.user(&format!("{key}.user"), user);
        }
        if let Some(count) = entry.command_links {
            self.links(&format!("{key}.command_links"), count);
        }
        let password = (&entry.password, &entry.password_file);
        let password = self.password(key, password, fallback);
        Some(NodeConfig {
            id: id?,
            address: entry.address?,
            user: entry.user,
            password: password?,
            labels: entry
                .labels
                .into_iter()
                .map(|(name, label)| (name, label.0))
                .collect(),
            command_links: entry.command_links.unwrap_or(links),
        })
    }

    fn node_id(&mut self, key: &str, text: &str) -> Option<NodeId> {
        let parsed: Result<NodeId, IdError> = text.parse();
        if let Err(error) = &parsed {
            let value = format!("`{}`", text.escape_debug());
            let remedy = "give a short name, such as fs1";
            self.add(key, Some(&value), &error.to_string(), remedy);
        }
        parsed.ok()
    }

    pub(super) fn user(&mut self, key: &str, user: &str) {
        let parts: Vec<&str> = user.split('@').collect();
        let plain = |part: &&str| !part.is_empty() && !part.contains([':', ' ', '\t']);
        if parts.len() != 2 || !parts.iter().all(plain) || check_wire_text(user).is_err() {
            self.add(
                key,
                Some(&format_args!("`{}`", user.escape_debug())),
                "is no user of FreeSWITCH's directory",
                "write USER@DOMAIN, or leave it out to use the event socket's own password",
            );
        }
    }

    pub(super) fn password(
        &mut self,
        key: &str,
        given: (&Option<SecretString>, &Option<String>),
        fallback: Option<&Password>,
    ) -> Option<Password> {
        let own_key = format!("{key}.password");
        let file_key = format!("{key}.password_file");
        if !self.sound(&own_key) || !self.sound(&file_key) {
            return None;
        }
        let own = match given {
            (None, None) => return fallback.cloned(),
            (Some(_), Some(_)) => {
                let reason = "is given and so is password_file";
                self.add(&own_key, None, reason, "leave one of them out");
                return None;
            }
            (Some(secret), None) => Password::new(secret.expose_secret(), PasswordOrigin::Given)
                .checked(&own_key, self.layers.origin(&own_key)),
            (None, Some(path)) => self.password_file(&file_key, path),
        };
        self.problems.absorb(own)
    }

    fn password_file(&self, key: &str, path: &str) -> Result<Password, Problems> {
        let from = self.layers.origin(key);
        let secret = read_password(key, path, from.clone(), self.source)?;
        Password::new(secret, PasswordOrigin::File(path.into())).checked(key, from)
    }
}

//! A node that is given at run time, held to the rules of the configuration.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret as _, SecretString};

use super::check::Check;
use super::layers::Layers;
use super::node::{Label, NodeEntry};
use super::value::Leaf as _;
use super::{NodeAddress, NodeConfig, Origin, Problem, Problems, Process};

/// What stands before the names of the fields in problems.
const KEY: &str = "node";

/// A node as it is given. What is empty counts as not given.
#[derive(Debug, Default)]
pub struct NodeParts {
    /// Its name.
    pub id: String,
    /// `HOST` or `HOST:PORT`.
    pub address: String,
    /// `USER@DOMAIN`.
    pub user: String,
    /// Its password, which has no default here: whoever chooses the address would be sent the
    /// gateway's own.
    pub password: SecretString,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Links for commands; 0 for the default.
    pub command_links: usize,
}

// === impl NodeConfig ===

impl NodeConfig {
    /// Makes a node of its parts; `default_links` are its command links where it names none.
    ///
    /// # Errors
    /// All that is wrong; each key is the name of the part.
    pub fn checked(parts: NodeParts, default_links: usize) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let given = |text: String| (!text.is_empty()).then_some(text);
        let address = given(parts.address).and_then(|text| {
            let address = NodeAddress::from_text(&text);
            if address.is_none() {
                problems.0.push(Problem {
                    key: format!("{KEY}.address"),
                    value: Some(format!("`{}`", text.escape_debug())),
                    reason: format!("is not {}", NodeAddress::WHAT),
                    remedy: NodeAddress::REMEDY.to_owned(),
                    origin: Origin::Default,
                });
            }
            address
        });
        let has_password = !parts.password.expose_secret().is_empty();
        let labels = parts.labels.into_iter();
        let entry = NodeEntry {
            id: given(parts.id),
            address,
            user: given(parts.user),
            password: has_password.then_some(parts.password),
            password_file: None,
            labels: labels.map(|(name, value)| (name, Label(value))).collect(),
            command_links: (parts.command_links > 0).then_some(parts.command_links),
        };
        let layers = Layers::default();
        let node =
            Check::new(&layers, &Process, &mut problems).node(KEY, entry, default_links, None);
        if !has_password {
            problems.0.push(Problem {
                key: format!("{KEY}.password"),
                value: None,
                reason: "is missing".to_owned(),
                remedy: "give the password of its Event Socket, which has no default here"
                    .to_owned(),
                origin: Origin::Default,
            });
        }
        for problem in &mut problems.0 {
            problem.key = problem
                .key
                .trim_start_matches(KEY)
                .trim_start_matches('.')
                .to_owned();
        }
        match node {
            Some(node) if problems.0.is_empty() => Ok(node),
            _ => Err(problems),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> NodeParts {
        NodeParts {
            id: "fs9".to_owned(),
            address: "fs9.example.net".to_owned(),
            password: "secret".to_owned().into(),
            ..NodeParts::default()
        }
    }

    #[test]
    fn a_complete_node_is_made() {
        let node = NodeConfig::checked(parts(), 3).unwrap();
        assert_eq!(node.address.to_string(), "fs9.example.net:8021");
        assert_eq!((node.command_links, node.password.expose()), (3, "secret"));
    }

    #[test]
    fn all_that_is_wrong_is_named_but_no_password_shown() {
        let wrong = NodeParts {
            id: "a b".to_owned(),
            address: "x://y".to_owned(),
            user: "nobody".to_owned(),
            password: "two\nlines".to_owned().into(),
            command_links: 1000,
            ..NodeParts::default()
        };
        let problems = NodeConfig::checked(wrong, 3).unwrap_err();
        let mut keys: Vec<_> = problems.0.iter().map(|problem| &*problem.key).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["address", "command_links", "id", "password", "user"]);
        assert!(!format!("{problems:?}").contains("lines"));
        let nothing = NodeConfig::checked(NodeParts::default(), 3).unwrap_err();
        let keys: Vec<_> = nothing.0.iter().map(|problem| &*problem.key).collect();
        assert_eq!(keys, ["id", "address", "password"]);
        assert_eq!(nothing.0[2].reason, "is missing");
    }
}

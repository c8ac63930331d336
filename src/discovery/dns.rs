//! A name in DNS whose addresses, or services, are nodes.

use std::net::SocketAddr;
use std::time::Duration;

use tracing::warn;

use super::answers::Answers;
use super::resolver::{Endpoint, Resolver};
use super::source::{Look, Trouble};
use crate::config::{DnsQuestion, NodeAddress, NodeConfig, NodeName, SourceConfig};

/// Nobody is asked more often, whatever the record's TTL, unless `interval` is shorter.
const SHORTEST: Duration = Duration::from_secs(1);

/// Longest time until DNS is asked again after it failed.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// What is remembered of a name.
#[derive(Debug)]
pub(super) struct Dns {
    name: String,
    question: DnsQuestion,
    node_id: NodeName,
    config: SourceConfig,
    server: Option<SocketAddr>,
    /// Made anew after each failure: by then there may be other servers.
    resolver: Option<Resolver>,
    answers: Answers<Endpoint>,
}

// === impl Dns ===

impl Dns {
    pub(super) fn new(
        name: String,
        question: DnsQuestion,
        node_id: NodeName,
        config: SourceConfig,
        server: Option<SocketAddr>,
    ) -> Self {
        Self {
            name,
            question,
            node_id,
            config,
            server,
            resolver: None,
            answers: Answers::default(),
        }
    }

    pub(super) async fn look(&mut self) -> Result<Look, Trouble> {
        let resolver = match self.resolver.take() {
            Some(resolver) => Ok(resolver),
            None => Resolver::new(self.server),
        };
        let asked = match &resolver {
            Ok(resolver) => resolver.endpoints(&self.name, self.question).await,
            Err(error) => Err(error.clone()),
        };
        match asked {
            Ok(answer) => {
                self.resolver = resolver.ok();
                let is_new = self.answers.take(Some(answer.endpoints));
                Ok(Look {
                    nodes: is_new.then(|| self.nodes()),
                    again: answer.ttl.max(SHORTEST).min(self.config.interval),
                })
            }
            Err(error) => {
                self.answers.take(None);
                Err(Trouble {
                    error: format!("{}: {error}", self.name),
                    again: AFTER_FAILURE.min(self.config.interval),
                })
            }
        }
    }

    fn nodes(&self) -> Vec<NodeConfig> {
        let SourceConfig {
            name: source,
            user,
            password,
            labels,
            command_links,
            ..
        } = &self.config;
        let mut nodes = Vec::new();
        for Endpoint { host, ip, port } in self.answers.current().into_iter().flatten() {
            match self.node_id.of(source, host, *ip, *port) {
                Ok(id) => nodes.push(NodeConfig {
                    id,
                    address: NodeAddress::new(ip.to_string(), *port),
                    user: user.clone(),
                    password: password.clone(),
                    labels: labels.clone(),
                    command_links: *command_links,
                }),
                Err(error) => {
                    warn!(source, host, %ip, %error, "what was found has no name that a node can have");
                }
            }
        }
        nodes
    }
}

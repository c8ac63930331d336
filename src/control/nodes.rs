//! Nodes that are added while the gateway runs.

use std::sync::Arc;

use secrecy::SecretString;

use super::Control;
use crate::config::NodeConfig;
use crate::domain::Failure;
use crate::esl::Credentials;
use crate::fleet::{LinkRecipe, Node, NodeSpec};

// === impl Control ===

impl Control {
    /// Adds a node; it is known and connecting then.
    ///
    /// # Errors
    /// NODE_EXISTS when there is one of this name or at this address; PERMISSION_DENIED when the caller
    /// may not use one of this name.
    pub fn add_node(&self, node: &NodeConfig) -> Result<Arc<Node>, Failure> {
        self.caller.may_use(&node.id)?;
        self.fleet.add(node_spec(&self.links, node))
    }
}

/// How a configured node is reached.
pub fn node_spec(links: &LinkRecipe, node: &NodeConfig) -> NodeSpec {
    let credentials = Credentials {
        user: node.user.clone(),
        password: SecretString::from(node.password.expose().to_owned()),
    };
    links.node(
        node.id.clone(),
        node.address.to_string(),
        credentials,
        Arc::new(node.labels.clone()),
        node.command_links,
    )
}

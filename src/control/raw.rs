//! Commands in a client's own words.

use super::{Control, api};
use crate::domain::{Deadline, Failure, NodeId};
use crate::esl::Reply;
use crate::esl::quote::ApiCommand;
use crate::fleet::{Node, Selector};

// === impl Control ===

impl Control {
    /// Runs an api command and waits for its answer.
    ///
    /// # Errors
    /// INVALID_ARGUMENT when it is malformed; PERMISSION_DENIED; those of the node.
    pub async fn run_api(
        &self,
        node: &NodeId,
        [command, arguments]: [&str; 2],
        deadline: Deadline,
    ) -> Result<Reply, Failure> {
        let node = self.node(node)?;
        let rendered = api_command(command, arguments)?;
        self.check_command(&node, command, arguments)?;
        node.send(api(&rendered), None, deadline).await
    }

    /// That the caller may run it there.
    pub(super) fn check_command(
        &self,
        node: &Node,
        command: &str,
        arguments: &str,
    ) -> Result<(), Failure> {
        self.check_mentions(arguments)?;
        self.caller.may_run(node.id(), command, arguments)
    }

    /// Those of the nodes which a selector fits that the caller may use.
    pub(super) fn within_view(&self, selector: &Selector) -> Selector {
        Selector {
            view: self.caller.view().clone(),
            ..selector.clone()
        }
    }
}

/// An api command of a client's.
///
/// # Errors
/// INVALID_ARGUMENT with the field that cannot be written.
pub(super) fn api_command(command: &str, arguments: &str) -> Result<ApiCommand, Failure> {
    ApiCommand::new(command, arguments).map_err(|error| {
        let field = match ApiCommand::new(command, "") {
            Ok(_) => "arguments",
            Err(_) => "command",
        };
        Failure::invalid(field, error.to_string())
    })
}

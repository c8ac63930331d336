//! Which applications a node has. FreeSWITCH hangs a leg up for one that it does not know.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::Control;
use crate::domain::{Deadline, Failure, Reason};
use crate::esl::Command;
use crate::fleet::{NO_DATABASE, Node};

/// After which a retry makes sense when the link was lost.
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
struct Table {
    #[serde(default)]
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    name: String,
}

// === impl Control ===

impl Control {
    /// Refuses an application that the node does not have. The list is asked for once and again
    /// when a module comes or goes (`show application as json`). Where FreeSWITCH runs without a
    /// database it lists nothing, and nobody can check.
    pub(super) async fn check_application(
        &self,
        node: &Node,
        name: &str,
        field: &str,
        deadline: Deadline,
    ) -> Result<(), Failure> {
        let before = node.applications();
        let known = match &before.known {
            Some(known) => Arc::clone(known),
            None => match ask(node, deadline).await.map_err(unsent)? {
                Some(names) => {
                    let names = Arc::new(names);
                    node.learn_applications(&names, &before);
                    names
                }
                None => return Ok(()),
            },
        };
        // FreeSWITCH looks applications up without regard to case.
        if known.contains(&name.to_ascii_lowercase()) {
            return Ok(());
        }
        let remedy = match name {
            "avmd_start" | "avmd_stop" => "load mod_avmd there",
            _ => "its module is not loaded",
        };
        let description = format!("{name:?} is no application of node {}: {remedy}", node.id());
        Err(
            Failure::invalid_because(Reason::UnknownApplication, field, description)
                .with("application", name)
                .node(node.id()),
        )
    }
}

/// What a query failed with, told of the command that waited for it: that one was not sent.
pub(super) fn unsent(failure: Failure) -> Failure {
    match failure.reason() {
        Reason::OutcomeUnknown => {
            let mut unsent =
                Failure::new(Reason::NodeUnavailable, failure.message()).retry_after(RETRY_AFTER);
            for (key, value) in failure.metadata() {
                unsent = unsent.with(key, value);
            }
            unsent
        }
        Reason::DeadlineExceeded => failure.with("command_sent", false),
        _ => failure,
    }
}

async fn ask(node: &Node, deadline: Deadline) -> Result<Option<HashSet<String>>, Failure> {
    let command = Command::api("show application as json")
        .map_err(|error| Failure::new(Reason::Internal, error.to_string()))?;
    let reply = node.send(command, None, deadline).await?;
    let answer = reply.answer();
    if answer.starts_with(NO_DATABASE) {
        return Ok(None);
    }
    let table: Table = serde_json::from_slice(&answer).map_err(|error| {
        Failure::new(
            Reason::ProtocolError,
            format!("the answer to show application makes no sense: {error}"),
        )
        .node(node.id())
    })?;
    let names = table.rows.into_iter();
    Ok(Some(
        names.map(|row| row.name.to_ascii_lowercase()).collect(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_query_leaves_the_command_unsent() {
        let node = "a".parse().unwrap();
        let lost = unsent(Failure::new(Reason::OutcomeUnknown, "lost").node(&node));
        assert_eq!(lost.reason(), Reason::NodeUnavailable);
        assert!(lost.retry_delay().is_some() && lost.metadata()["node_id"] == "a");
        let late = Failure::new(Reason::DeadlineExceeded, "late").with("command_sent", true);
        assert_eq!(unsent(late).metadata()["command_sent"], "false");
    }
}

//! Which applications a node has. FreeSWITCH hangs a leg up for one that it does not know.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::Control;
use crate::domain::{Deadline, Failure, Reason, nearest};
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
    /// Refuses an application that a client named in `field` and the node does not have.
    pub(super) async fn check_application(
        &self,
        node: &Node,
        name: &str,
        field: &str,
        deadline: Deadline,
    ) -> Result<(), Failure> {
        let Some(lack) = lack(node, name, deadline).await? else {
            return Ok(());
        };
        let refusal =
            Failure::invalid_because(Reason::UnknownApplication, field, &*lack.description);
        Err(lack.told(refusal, node))
    }

    /// Refuses a verb whose application the node does not have: no field is at fault.
    pub(super) async fn check_own_application(
        &self,
        node: &Node,
        name: &str,
        deadline: Deadline,
    ) -> Result<(), Failure> {
        let Some(lack) = lack(node, name, deadline).await? else {
            return Ok(());
        };
        let refusal = Failure::new(Reason::UnknownApplication, &*lack.description);
        Err(lack.told(refusal, node))
    }
}

/// An application that a node does not have.
struct Lack {
    name: String,
    description: String,
    /// The one that may be meant.
    suggestion: Option<String>,
}

// === impl Lack ===

impl Lack {
    fn told(self, refusal: Failure, node: &Node) -> Failure {
        let refusal = refusal.with("application", self.name).node(node.id());
        match self.suggestion {
            Some(suggestion) => refusal.with("suggestion", suggestion),
            None => refusal,
        }
    }
}

/// Whether a node lacks an application. The list is asked for once and again when a module comes or
/// goes (`show application as json`). Where FreeSWITCH runs without a database it lists nothing,
/// and nobody can check.
async fn lack(node: &Node, name: &str, deadline: Deadline) -> Result<Option<Lack>, Failure> {
    let before = node.applications();
    let known = match &before.known {
        Some(known) => Arc::clone(known),
        None => match ask(node, deadline).await.map_err(unsent)? {
            Some(names) => {
                let names = Arc::new(names);
                node.learn_applications(&names, &before);
                names
            }
            None => return Ok(None),
        },
    };
    // FreeSWITCH looks applications up without regard to case.
    let lower = name.to_ascii_lowercase();
    if known.contains(&lower) {
        return Ok(None);
    }
    let suggestion = nearest(&lower, known.iter().map(String::as_str)).map(str::to_owned);
    let remedy = match (name, &suggestion) {
        ("avmd_start" | "avmd_stop", _) => "load mod_avmd there".to_owned(),
        (_, Some(near)) => format!("check the name, {near:?} perhaps, or load its module"),
        (_, None) => "check the name, or load its module".to_owned(),
    };
    Ok(Some(Lack {
        name: name.to_owned(),
        description: format!("{name:?} is no application of node {}: {remedy}", node.id()),
        suggestion,
    }))
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

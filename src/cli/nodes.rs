//! `switchgate nodes`: a client of `NodeService`, to see in one line each what a gateway knows of its
//! nodes. It is beside `healthcheck` the proof that a gateway answers an RPC, for `helm test` and for
//! images that hold nothing but this program.

use std::error::Error as _;
use std::fmt::Write as _;
use std::io::Write;
use std::process::ExitCode;

use clap::Args;

use super::CliError;
use super::client::{ClientArgs, Way, root_cause};
use crate::pb;
use crate::pb::node_service_client::NodeServiceClient;

/// Nodes that are asked for at once: the most that ListNodes gives.
const PAGE: i32 = 1000;

/// Flags of `switchgate nodes`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  switchgate nodes
  switchgate nodes --address gw.example.net:50061 --ca ca.pem --token-file token

Exit codes: 0 answered, 1 refused, 2 unreachable, 64 wrong command line or files.")]
pub struct Nodes {
    /// How to reach the server.
    #[command(flatten)]
    pub client: ClientArgs,
}

/// What came of the question.
enum Answer {
    Nodes(Vec<pb::Node>),
    Refused(tonic::Status),
    Unreachable(String),
}

// === impl Nodes ===

impl Nodes {
    /// Asks, prints a line for each node and gives the exit code.
    ///
    /// # Errors
    /// When a file is not what it should be, or the runtime does not start.
    pub fn run(&self) -> Result<ExitCode, CliError> {
        let way = self.client.way()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let answer = runtime.block_on(async {
            let asked = tokio::time::timeout(self.client.timeout, ask(&way)).await;
            asked.unwrap_or_else(|_| Answer::Unreachable(self.client.no_answer()))
        });
        let address = self.client.authority();
        let (text, code) = match answer {
            Answer::Nodes(nodes) => (table(&nodes), 0),
            Answer::Refused(status) => (
                format!(
                    "{address}: refused ({}: {})\n",
                    status.code(),
                    status.message()
                ),
                1,
            ),
            Answer::Unreachable(why) => (format!("{address}: unreachable ({why})\n"), 2),
        };
        // A closed output is no reason to fail: the exit code still tells.
        let _ = std::io::stdout().write_all(text.as_bytes());
        Ok(code.into())
    }
}

/// Asks for every page.
async fn ask(way: &Way) -> Answer {
    let channel = match way.connect().await {
        Ok(channel) => channel,
        Err(cause) => return Answer::Unreachable(cause),
    };
    let mut client = NodeServiceClient::new(channel);
    let mut nodes = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = way.request(pb::ListNodesRequest {
            page_size: PAGE,
            page_token,
            filter: String::new(),
        });
        match client.list_nodes(request).await {
            Ok(page) => {
                let page = page.into_inner();
                nodes.extend(page.nodes);
                page_token = page.next_page_token;
            }
            // Only what the server did not send itself has a cause, such as a connection that ended:
            // in TLS 1.3 a server refuses a client's certificate after the client's handshake is over.
            Err(status) if status.source().is_some() => {
                return Answer::Unreachable(root_cause(&status));
            }
            Err(status) => return Answer::Refused(status),
        }
        if page_token.is_empty() {
            return Answer::Nodes(nodes);
        }
    }
}

/// A heading, and a line for each node; what is unknown is a dash.
fn table(nodes: &[pb::Node]) -> String {
    let head = ["NODE", "STATE", "VERSION", "SESSIONS", "ADDRESS", "DETAIL"].map(str::to_owned);
    let rows = nodes.iter().map(|node| {
        let state = node.state().as_str_name();
        [
            node.node_id.clone(),
            state
                .strip_prefix("NODE_STATE_")
                .unwrap_or(state)
                .to_owned(),
            node.version.clone(),
            node.tracked_sessions.to_string(),
            node.address.clone(),
            // It quotes FreeSWITCH, and a line shall stay a line.
            node.state_detail.escape_debug().to_string(),
        ]
        .map(|cell| {
            if cell.is_empty() {
                "-".to_owned()
            } else {
                cell
            }
        })
    });
    let rows: Vec<[String; 6]> = std::iter::once(head).chain(rows).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (at, cell) in row.iter().enumerate() {
            let lengths = rows.iter().map(|row| row[at].chars().count());
            let width = lengths.max().unwrap_or_default();
            // Writing to a String does not fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_has_a_line_with_dashes_for_what_is_unknown() {
        let up = pb::Node {
            node_id: "fs1".to_owned(),
            address: "192.0.2.1:8021".to_owned(),
            state: pb::NodeState::Ready.into(),
            version: "1.10.12-release".to_owned(),
            tracked_sessions: 7,
            ..pb::Node::default()
        };
        let down = pb::Node {
            node_id: "a-longer-name".to_owned(),
            address: "fs2:8021".to_owned(),
            state: pb::NodeState::Down.into(),
            state_detail: "cannot connect:\nrefused".to_owned(),
            ..pb::Node::default()
        };
        assert_eq!(
            table(&[up, down]),
            "NODE           STATE  VERSION          SESSIONS  ADDRESS         DETAIL\n\
             fs1            READY  1.10.12-release  7         192.0.2.1:8021  -\n\
             a-longer-name  DOWN   -                0         fs2:8021        cannot connect:\\nrefused\n"
        );
    }

    #[test]
    fn no_node_is_a_heading_alone() {
        assert_eq!(
            table(&[]),
            "NODE  STATE  VERSION  SESSIONS  ADDRESS  DETAIL\n"
        );
    }
}

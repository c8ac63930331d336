//! Reading the truth after a (re)connect: who the node is, and which sessions it has.
//!
//! Events are subscribed before, so whatever changes meanwhile is told by them. The list that
//! FreeSWITCH gives lags behind, so each difference is only a suspicion until `uuid_exists` or
//! `uuid_dump`, which ask the core itself, have confirmed it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use serde::Deserialize;
use tracing::info;

use super::Sinks;
use super::node::Node;
use super::sink::NodeSink;
use crate::domain::{Deadline, Failure, Reason, SessionId};
use crate::esl::{Command, Event, Outcome, Reply};

/// How long one query may take. A table of 10,000 channels takes about a second.
const QUERY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the last events of a session may take that FreeSWITCH says is gone.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Queries for single sessions under way at a time, spread over the command links.
const CONCURRENCY: usize = 32;

/// Why the truth is not known. It changes nothing and is tried again.
#[derive(Debug, thiserror::Error)]
pub(super) enum SyncError {
    #[error("query failed: {0}")]
    Query(#[from] Failure),
    #[error("{query} answered {answer:?}")]
    Refused { query: &'static str, answer: String },
    #[error("answer to {query} is no table")]
    NoTable {
        query: &'static str,
        source: serde_json::Error,
    },
}

/// What a comparison corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Differences {
    /// Sessions that were found on the node and not tracked.
    pub found: usize,
    /// Sessions that were tracked and no longer exist.
    pub ended: usize,
}

/// Compares what a node has with what the tracker knows.
pub(super) struct Syncer {
    node: Arc<Node>,
    sinks: Sinks,
    sink: NodeSink,
}

#[derive(Deserialize)]
struct Table<R> {
    row_count: usize,
    #[serde(default = "Vec::new")]
    rows: Vec<R>,
}

#[derive(Deserialize)]
struct ChannelRow {
    uuid: String,
}

#[derive(Deserialize)]
struct CallRow {
    uuid: String,
    #[serde(default)]
    b_uuid: String,
}

// === impl Syncer ===

impl Syncer {
    pub(super) fn new(node: &Arc<Node>, sinks: &Sinks) -> Self {
        Self {
            node: Arc::clone(node),
            sinks: sinks.clone(),
            sink: NodeSink::new(node, sinks),
        }
    }

    /// As [`Syncer::compare`], for whoever asked for it.
    pub(super) async fn reconcile(&self) -> Result<Differences, Failure> {
        self.compare().await.map_err(|error| match error {
            SyncError::Query(failure) => failure,
            other => Failure::new(Reason::ProtocolError, other.to_string()).node(self.node.id()),
        })
    }

    /// Learns which FreeSWITCH this is. One that was started anew has lost all its sessions and
    /// jobs.
    pub(super) async fn identify(&self) -> Result<(), SyncError> {
        let core_uuid = self.value("global_getvar core_uuid").await?;
        let version = self.value("version short").await?;
        let status = self.query("status").await?.text();
        self.node.told_status(&status);
        self.node.forget_applications();
        self.node.update(|status| status.version = version);
        self.sink.meet(&core_uuid);
        Ok(())
    }

    /// Makes the tracker agree with the node's list of channels.
    pub(super) async fn compare(&self) -> Result<Differences, SyncError> {
        let rows: Vec<ChannelRow> = self.table("show channels as json").await?;
        let listed: HashSet<SessionId> = rows
            .iter()
            .filter_map(|row| row.uuid.parse().ok())
            .collect();
        let tracked = self.sinks.tracker.live_on(self.node.id());

        let known: HashSet<SessionId> = tracked.iter().map(|session| session.id.clone()).collect();
        let unknown: Vec<SessionId> = listed.difference(&known).cloned().collect();
        let adopted = each(unknown, |id| self.adopt(id)).await;
        if !adopted.is_empty() {
            info!(count = adopted.len(), "sessions were found");
            self.adopt_bridges().await?;
        }

        // What was adopted may have ended before it was: then its events came too early to be of
        // use, and nothing else would ever end it.
        let found = adopted.len();
        let suspects = known.difference(&listed).cloned().chain(adopted).collect();
        let gone = each(suspects, |id| self.is_gone(id)).await;
        if !gone.is_empty() {
            // One that is just ending tells more of its end than we know.
            tokio::time::sleep(LAST_WORDS).await;
        }
        for id in &gone {
            self.sink.end(id, None, "lost while disconnected");
        }
        Ok(Differences {
            found,
            ended: gone.len(),
        })
    }

    /// Asks for one session that is listed; it may have ended since.
    async fn adopt(&self, id: SessionId) -> Option<SessionId> {
        let reply = self.query(&format!("uuid_dump {id}")).await.ok()?;
        let dump = match reply.outcome() {
            Outcome::Data(_) => Event::parse(reply.answer()).ok()?,
            _ => return None,
        };
        self.sinks
            .tracker
            .adopt(self.node.id(), &dump)
            .map(|session| session.id.clone())
    }

    async fn adopt_bridges(&self) -> Result<(), SyncError> {
        let rows: Vec<CallRow> = self.table("show calls as json").await?;
        for row in rows {
            if let (Ok(a), Ok(b)) = (row.uuid.parse(), row.b_uuid.parse()) {
                self.sinks.tracker.adopt_bridge(&a, &b);
            }
        }
        Ok(())
    }

    /// The session's id if FreeSWITCH says in so many words that it does not exist.
    async fn is_gone(&self, id: SessionId) -> Option<SessionId> {
        let reply = self.query(&format!("uuid_exists {id}")).await.ok()?;
        (reply.text().trim() == "false").then_some(id)
    }

    async fn table<R: for<'de> Deserialize<'de>>(
        &self,
        query: &'static str,
    ) -> Result<Vec<R>, SyncError> {
        let answer = self.query(query).await?.answer();
        let table: Table<R> = serde_json::from_slice(&answer)
            .map_err(|source| SyncError::NoTable { query, source })?;
        // A truncated table would make sessions vanish that live.
        if table.row_count != table.rows.len() {
            return Err(SyncError::Refused {
                query,
                answer: format!("{} of {} rows", table.rows.len(), table.row_count),
            });
        }
        Ok(table.rows)
    }

    async fn value(&self, query: &'static str) -> Result<String, SyncError> {
        let reply = self.query(query).await?;
        match reply.outcome() {
            Outcome::Data(value) => Ok(value.trim().to_owned()),
            other => Err(SyncError::Refused {
                query,
                answer: other.to_string(),
            }),
        }
    }

    async fn query(&self, line: &str) -> Result<Reply, Failure> {
        let command =
            Command::api(line).map_err(|error| Failure::invalid("query", error.to_string()))?;
        self.node
            .send(command, None, Deadline::after(QUERY_TIMEOUT))
            .await
    }
}

/// Asks about each session, several at a time; gives back those for which the answer is yes.
async fn each<F: Future<Output = Option<SessionId>>>(
    ids: Vec<SessionId>,
    ask: impl Fn(SessionId) -> F,
) -> Vec<SessionId> {
    stream::iter(ids)
        .map(ask)
        .buffer_unordered(CONCURRENCY)
        .filter_map(std::future::ready)
        .collect()
        .await
}

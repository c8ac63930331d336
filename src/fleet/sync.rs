//! Reading the truth after a (re)connect: who the node is, and which sessions it has.
//!
//! Events are subscribed before, so whatever changes meanwhile is told by them. The list that
//! FreeSWITCH gives lags behind, so each difference is only a suspicion until `uuid_exists` or
//! `uuid_dump`, which ask the core itself, have confirmed it.

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

/// In an order that is the same each time, so that a test can be repeated.
type HashSet<T> = std::collections::HashSet<T, foldhash::fast::FixedState>;

/// How long one query may take. A table of 10,000 channels takes about a second.
const QUERY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the last events of a session may take that FreeSWITCH says is gone.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Queries for single sessions under way at a time, spread over the command links.
const CONCURRENCY: usize = 32;

/// How `show` starts its refusal where FreeSWITCH runs without a database (`show_function` in
/// `mod_commands.c`).
const NO_DATABASE: &[u8] = b"-ERR SQL disabled";

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
    /// Events were missed, so of no session is the state known.
    was_deaf: bool,
    /// Bridges that the list, once it has caught up, has yet to confirm: those from before events
    /// were missed, and those that it gave at first.
    doubtful: Vec<(SessionId, SessionId)>,
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
    pub(super) fn new(node: &Arc<Node>, sinks: &Sinks, was_deaf: bool) -> Self {
        Self {
            node: Arc::clone(node),
            sinks: sinks.clone(),
            sink: NodeSink::new(node, sinks),
            was_deaf,
            doubtful: Vec::new(),
        }
    }

    /// Makes the tracker agree with the node's list of channels, for whoever asked for it.
    pub(super) async fn reconcile(&self) -> Result<Differences, Failure> {
        self.correct().await.map_err(|error| match error {
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

    /// Makes the tracker agree with the node: with its list of channels, and after a time without
    /// events with what it says of each session.
    pub(super) async fn first_look(&mut self) -> Result<(), SyncError> {
        let listed = self.listed().await?;
        let tracked = self.sinks.tracker.live_on(self.node.id());
        let known: HashSet<SessionId> = tracked.iter().map(|session| session.id.clone()).collect();
        let adopted = self.adopt_all(without(&listed, &known)).await?;
        if self.was_deaf {
            let mut gone = Vec::new();
            let told = each(known, |id| self.refresh(id)).await;
            for (id, is_there) in told.into_iter().collect::<Result<Vec<_>, _>>()? {
                if !is_there {
                    gone.push(id);
                }
            }
            self.end_gone(gone).await;
            self.end_missing(adopted.clone()).await?;
            self.doubtful = tracked
                .iter()
                .filter_map(|session| Some((session.id.clone(), session.peer.clone()?)))
                .collect();
        } else {
            let missing = without(&known, &listed);
            self.end_missing([missing, adopted.clone()].concat())
                .await?;
        }
        if !adopted.is_empty() || self.was_deaf {
            let bridges = self.bridges().await?;
            for (one, other) in &bridges {
                self.sinks.tracker.adopt_bridge(one, other);
            }
            self.doubtful.extend(bridges);
        }
        Ok(())
    }

    async fn correct(&self) -> Result<Differences, SyncError> {
        let listed = self.listed().await?;
        let tracked = self.sinks.tracker.live_on(self.node.id());
        let known: HashSet<SessionId> = tracked.iter().map(|session| session.id.clone()).collect();
        let adopted = self.adopt_all(without(&listed, &known)).await?;
        let missing = without(&known, &listed);
        let ended = self
            .end_missing([missing, adopted.clone()].concat())
            .await?;
        if !adopted.is_empty() {
            for (one, other) in &self.bridges().await? {
                self.sinks.tracker.adopt_bridge(one, other);
            }
        }
        Ok(Differences {
            found: adopted.len(),
            ended,
        })
    }

    /// Looks again when the list has caught up with the core.
    pub(super) async fn second_look(&mut self) -> Result<(), SyncError> {
        let listed = self.listed().await?;
        let tracked = self.sinks.tracker.live_on(self.node.id());
        let known: HashSet<SessionId> = tracked
            .into_iter()
            .map(|session| session.id.clone())
            .collect();
        let adopted = self.adopt_all(without(&listed, &known)).await?;
        let missing = without(&known, &listed);
        self.end_missing([missing, adopted.clone()].concat())
            .await?;
        if adopted.is_empty() && self.doubtful.is_empty() {
            return Ok(());
        }
        let bridges = self.bridges().await?;
        for (one, other) in self.doubtful.drain(..) {
            let is_bridged = bridges.contains(&(one.clone(), other.clone()))
                || bridges.contains(&(other.clone(), one.clone()));
            // A list that does not have the session itself says nothing about it.
            if !is_bridged && listed.contains(&one) {
                self.sinks.tracker.adopt_unbridge(&one, &other);
            }
        }
        for (one, other) in &bridges {
            self.sinks.tracker.adopt_bridge(one, other);
        }
        Ok(())
    }

    async fn listed(&self) -> Result<HashSet<SessionId>, SyncError> {
        let rows: Vec<ChannelRow> = self.table("show channels as json").await?;
        let ids = rows.iter().filter_map(|row| row.uuid.parse().ok());
        Ok(ids.collect())
    }

    /// Takes in sessions that are listed and unknown. One may have ended before: then its events
    /// came too early to be of use, so each is to be asked for once more.
    async fn adopt_all(&self, ids: Vec<SessionId>) -> Result<Vec<SessionId>, SyncError> {
        let dumps = each(ids, |id| self.dump(id)).await;
        let dumps = dumps.into_iter().collect::<Result<Vec<_>, _>>()?;
        let adopt = |(id, dump): (SessionId, Option<Event>)| {
            let adopted = self.sinks.tracker.adopt(self.node.id(), &dump?);
            adopted.map(|_| id)
        };
        let adopted: Vec<_> = dumps.into_iter().filter_map(adopt).collect();
        if !adopted.is_empty() {
            info!(count = adopted.len(), "sessions were found");
        }
        Ok(adopted)
    }

    /// Brings a known session up to date; says whether it still exists.
    async fn refresh(&self, id: SessionId) -> Result<(SessionId, bool), SyncError> {
        let (id, dump) = self.dump(id).await?;
        if let Some(dump) = &dump {
            self.sinks.tracker.refresh(self.node.id(), dump);
            return Ok((id, true));
        }
        self.exists(id).await
    }

    /// What FreeSWITCH says of one session; `None` when that is nothing: it may have ended.
    async fn dump(&self, id: SessionId) -> Result<(SessionId, Option<Event>), SyncError> {
        let reply = self.query(&format!("uuid_dump {id}")).await?;
        let dump = match reply.outcome() {
            Outcome::Data(_) => Event::parse(reply.answer()).ok(),
            _ => None,
        };
        Ok((id, dump))
    }

    /// Bridges by FreeSWITCH's list, both legs of each.
    async fn bridges(&self) -> Result<HashSet<(SessionId, SessionId)>, SyncError> {
        let rows: Vec<CallRow> = self.table("show calls as json").await?;
        let legs = |row: &CallRow| Some((row.uuid.parse().ok()?, row.b_uuid.parse().ok()?));
        Ok(rows.iter().filter_map(legs).collect())
    }

    async fn end_missing(&self, ids: Vec<SessionId>) -> Result<usize, SyncError> {
        let told = each(ids, |id| self.exists(id)).await;
        let told = told.into_iter().collect::<Result<Vec<_>, _>>()?;
        let gone = told.into_iter().filter(|(_, exists)| !exists);
        let gone: Vec<SessionId> = gone.map(|(id, _)| id).collect();
        let count = gone.len();
        self.end_gone(gone).await;
        Ok(count)
    }

    /// Ends sessions that do not exist any more, unless their own last events come after all.
    async fn end_gone(&self, ids: Vec<SessionId>) {
        if ids.is_empty() {
            return;
        }
        tokio::time::sleep(LAST_WORDS).await;
        for id in &ids {
            self.sink.end(id, None, "lost while disconnected");
        }
    }

    /// Whether the core has the session: only when it says in so many words that it does not, it
    /// does not.
    async fn exists(&self, id: SessionId) -> Result<(SessionId, bool), SyncError> {
        let reply = self.query(&format!("uuid_exists {id}")).await?;
        let exists = reply.text().trim() != "false";
        Ok((id, exists))
    }

    async fn table<R: for<'de> Deserialize<'de>>(
        &self,
        query: &'static str,
    ) -> Result<Vec<R>, SyncError> {
        let answer = self.query(query).await?.answer();
        // `-nosql`: there is no list, which is no reason to stay out of service. Sessions are known
        // by their events then.
        if answer.starts_with(NO_DATABASE) {
            return Ok(Vec::new());
        }
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

fn without(all: &HashSet<SessionId>, some: &HashSet<SessionId>) -> Vec<SessionId> {
    all.difference(some).cloned().collect()
}

/// Asks about each session, several at a time.
async fn each<T, F: Future<Output = T>>(
    ids: impl IntoIterator<Item = SessionId>,
    ask: impl Fn(SessionId) -> F,
) -> Vec<T> {
    stream::iter(ids)
        .map(ask)
        .buffer_unordered(CONCURRENCY)
        .collect()
        .await
}

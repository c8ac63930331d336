//! What a sync asks FreeSWITCH, and how it takes the answers: only what is said in so many words
//! counts.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;
use serde::Deserialize;

use super::SyncError;
use crate::domain::{CallState, Deadline, Failure, SessionId};
use crate::esl::{Command, Event, Outcome, Reply};
use crate::fleet::NO_DATABASE;
use crate::fleet::node::Node;

/// Asks one node.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    node: Arc<Node>,
}

/// What FreeSWITCH says of one session.
#[derive(Debug)]
pub(super) enum Answer {
    /// It exists, and this is how it is.
    Lives(Event),
    /// It does not exist.
    Gone,
    /// Neither.
    Unclear,
}

/// A session as the lists, which lag, show it.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) call_state: Option<CallState>,
    pub(super) peer: Option<SessionId>,
}

/// The listed sessions, in an order that is the same each time, so that a test can be repeated.
pub(super) type List = HashMap<SessionId, Listed, FixedState>;

#[derive(Deserialize)]
struct Table<R> {
    row_count: usize,
    #[serde(default = "Vec::new")]
    rows: Vec<R>,
}

#[derive(Deserialize)]
struct ChannelRow {
    uuid: String,
    #[serde(default)]
    callstate: String,
}

#[derive(Deserialize)]
struct CallRow {
    uuid: String,
    #[serde(default)]
    b_uuid: String,
}

// === impl Ask ===

impl Ask {
    pub(super) fn new(node: &Arc<Node>) -> Self {
        Self {
            node: Arc::clone(node),
        }
    }

    /// The sessions that the lists show; `None` where FreeSWITCH keeps no lists.
    pub(super) async fn listed(&self) -> Result<Option<List>, SyncError> {
        let Some(channels) = self.table::<ChannelRow>("show channels as json").await? else {
            return Ok(None);
        };
        let Some(calls) = self.table::<CallRow>("show calls as json").await? else {
            return Ok(None);
        };
        let mut listed = List::with_capacity_and_hasher(channels.len(), FixedState::default());
        for row in channels {
            if let Ok(id) = row.uuid.parse() {
                let call_state = CallState::from_wire(&row.callstate);
                let peer = None;
                listed.insert(id, Listed { call_state, peer });
            }
        }
        for row in calls {
            let legs: [Result<SessionId, _>; 2] = [row.uuid.parse(), row.b_uuid.parse()];
            if let [Ok(one), Ok(other)] = legs {
                for (id, peer) in [(&one, &other), (&other, &one)] {
                    if let Some(row) = listed.get_mut(id.as_str()) {
                        row.peer = Some(peer.clone());
                    }
                }
            }
        }
        Ok(Some(listed))
    }

    /// What the core itself says of a session.
    pub(super) async fn session(&self, id: &SessionId) -> Result<Answer, SyncError> {
        let reply = self.query(&format!("uuid_dump {id}")).await?;
        if let Outcome::Data(_) = reply.outcome()
            && let Ok(dump) = Event::parse(reply.answer())
        {
            return Ok(Answer::Lives(dump));
        }
        Ok(match self.exists(id).await? {
            true => Answer::Unclear,
            false => Answer::Gone,
        })
    }

    /// Whether the core has the session: only when it says in so many words that it does not, it
    /// does not.
    pub(super) async fn exists(&self, id: &SessionId) -> Result<bool, SyncError> {
        let reply = self.query(&format!("uuid_exists {id}")).await?;
        Ok(reply.text().trim() != "false")
    }

    pub(super) async fn value(&self, query: &'static str) -> Result<String, SyncError> {
        let reply = self.query(query).await?;
        match reply.outcome() {
            Outcome::Data(value) => Ok(value.trim().to_owned()),
            other => Err(SyncError::Refused {
                query,
                answer: other.to_string(),
            }),
        }
    }

    pub(super) async fn text(&self, query: &'static str) -> Result<String, SyncError> {
        Ok(self.query(query).await?.text())
    }

    async fn table<R: for<'de> Deserialize<'de>>(
        &self,
        query: &'static str,
    ) -> Result<Option<Vec<R>>, SyncError> {
        let deadline = Deadline::after(self.node.query_timeout);
        let answer = self.node.send_aside(api(query)?, deadline).await?.answer();
        if answer.starts_with(NO_DATABASE) {
            return Ok(None);
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
        Ok(Some(table.rows))
    }

    async fn query(&self, line: &str) -> Result<Reply, Failure> {
        let deadline = Deadline::after(self.node.query_timeout);
        self.node.send(api(line)?, None, deadline).await
    }
}

fn api(line: &str) -> Result<Command, Failure> {
    Command::api(line).map_err(|error| Failure::invalid("query", error.to_string()))
}

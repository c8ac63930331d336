//! Reading the truth: who the node is, and which sessions it has.
//!
//! Events are subscribed before, so whatever changes meanwhile is told by them. The lists that
//! FreeSWITCH gives lag behind, so each difference is only a suspicion until `uuid_dump` or
//! `uuid_exists`, which ask the core itself, have confirmed it; and an event that tells of it may
//! still be on its way, so before anything is made of it there is a pause, and it is looked at
//! again. What is confirmed goes to the tracker and, as synthetic events, into the journal.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::time::Instant;
use tracing::info;

use super::Sinks;
use super::node::Node;
use super::sink::NodeSink;
use super::synthetic::Why;
use crate::domain::{Failure, HangupCause, Reason, SessionId};
use crate::events::GapReason;
use crate::tracker::{Refreshed, Session};

mod ask;

use ask::{Answer, Ask, List};

/// How long events may be on their way that tell of a difference.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Queries for single sessions under way at a time for each command link: one that is answered and
/// one that follows at once. A verb waits behind these, no more.
const QUERIES_PER_LINK: usize = 2;
/// How often a session is asked for that tells of itself meanwhile each time.
const ATTEMPTS: usize = 3;

/// Q.850 has a cause for what has ended by a cause that cannot be known: interworking,
/// unspecified.
const CAUSE_UNKNOWN: HangupCause = HangupCause::Interworking;

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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Differences {
    /// Sessions that were found on the node and not tracked.
    pub found: usize,
    /// Sessions that were not as they were tracked.
    pub changed: usize,
    /// Sessions that were tracked and no longer exist.
    pub ended: usize,
}

/// A comparison in which each session was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sweep {
    began: Instant,
    differences: Differences,
}

/// Compares what a node has with what the tracker knows.
#[derive(Debug)]
pub(super) struct Syncer {
    node: Arc<Node>,
    sinks: Sinks,
    sink: NodeSink,
    ask: Ask,
}

/// What a look at the node made suspicious.
#[derive(Debug, Default)]
struct Suspects {
    /// Listed, and not known.
    unknown: Vec<SessionId>,
    /// Not as they are tracked.
    changed: Vec<SessionId>,
    /// Known, and said not to exist.
    gone: Vec<SessionId>,
    /// There is no list, so that nobody can tell which sessions are unknown.
    is_blind: bool,
}

// === impl Syncer ===

impl Syncer {
    pub(super) fn new(node: &Arc<Node>, sinks: &Sinks) -> Self {
        Self {
            node: Arc::clone(node),
            sinks: sinks.clone(),
            sink: NodeSink::new(node, sinks),
            ask: Ask::new(node),
        }
    }

    /// Learns which FreeSWITCH this is. One that was started anew has lost all its sessions and
    /// jobs.
    pub(super) async fn identify(&self) -> Result<(), SyncError> {
        let core_uuid = self.ask.value("global_getvar core_uuid").await?;
        let version = self.ask.value("version short").await?;
        let status = self.ask.text("status").await?;
        self.node.told_status(&status);
        // The core's own count, which does not lag: nothing is there that a list could miss.
        if has_no_sessions(&status) {
            self.node.is_read();
        }
        self.node.forget_applications();
        self.node.update(|status| status.version = version);
        self.sink.meet(&core_uuid);
        Ok(())
    }

    /// Makes the tracker agree with the node after a time without a link; `all` asks for each known
    /// session, since any may have changed, else only those are asked for that the lists make
    /// suspicious. Says whether the node keeps lists at all.
    pub(super) async fn look(&self, all: bool) -> Result<bool, SyncError> {
        let _alone = self.node.sweep.lock().await;
        let mut is_blind = false;
        let looked = async {
            let suspects = self.find(all).await?;
            is_blind = suspects.is_blind;
            if !suspects.changed.is_empty() || !suspects.gone.is_empty() {
                tokio::time::sleep(LAST_WORDS).await;
            }
            self.settle(suspects, Why::Disconnected).await
        };
        let differences = looked.await;
        self.node.counts.compared(&differences);
        differences?;
        self.node.agrees();
        Ok(is_blind)
    }

    /// Makes the tracker agree with the node though there is a link, over which everything should
    /// have come. If not, events were lost, and any session may have changed.
    ///
    /// One at a time: whoever asks while another comparison is under way waits for it, and all who
    /// have waited share the next one, which began after they asked.
    pub(super) async fn reconcile(&self, all: bool) -> Result<Differences, SyncError> {
        let asked = Instant::now();
        let mut last = self.node.sweep.lock().await;
        if let Some(sweep) = *last
            && sweep.began >= asked
        {
            return Ok(sweep.differences);
        }
        let began = Instant::now();
        let differences = self.compare(all).await;
        self.node.counts.compared(&differences);
        let differences = differences?;
        if all {
            *last = Some(Sweep { began, differences });
        }
        Ok(differences)
    }

    async fn compare(&self, all: bool) -> Result<Differences, SyncError> {
        let mut suspects = self.confirm(self.find(all).await?).await?;
        if !all && !suspects.is_empty() {
            suspects = self.confirm(self.find(true).await?).await?;
        }
        let mut differences = Differences::default();
        if !suspects.is_empty() {
            self.sink.gap(GapReason::EventsLost, self.node.agreed_at());
            differences = self.settle(suspects, Why::EventsLost).await?;
        }
        self.node.agrees();
        Ok(differences)
    }

    /// As [`Syncer::reconcile`], for whoever asked for it.
    pub(super) async fn reconcile_now(&self) -> Result<Differences, Failure> {
        self.reconcile(true).await.map_err(|error| match error {
            SyncError::Query(failure) => failure,
            other => Failure::new(Reason::ProtocolError, other.to_string()).node(self.node.id()),
        })
    }

    async fn find(&self, all: bool) -> Result<Suspects, SyncError> {
        let listed = self.ask.listed().await?;
        let tracked = self.sinks.tracker.live_on(self.node.id());
        let Some(listed) = listed else {
            let known = tracked.iter().map(|session| session.id.clone());
            return self.examine(known.collect(), true).await;
        };
        let is_suspicious = |session: &&Arc<Session>| all || is_suspicious(session, &listed);
        let asked = tracked.iter().filter(is_suspicious);
        let asked = asked.map(|session| session.id.clone()).collect();
        let mut suspects = self.examine(asked, false).await?;
        let unknown = listed.into_keys().filter(|id| self.is_unknown(id));
        suspects.unknown = unknown.collect();
        Ok(suspects)
    }

    /// Asks for known sessions.
    async fn examine(&self, ids: Vec<SessionId>, is_blind: bool) -> Result<Suspects, SyncError> {
        let mut suspects = Suspects {
            is_blind,
            ..Suspects::default()
        };
        let mut answers = self.each(ids, |id| async move {
            let answer = self.ask.session(&id).await?;
            Ok((id, answer))
        });
        while let Some((id, answer)) = answers.try_next().await? {
            match answer {
                Answer::Lives(dump) if self.sinks.tracker.differs(self.node.id(), &dump) => {
                    suspects.changed.push(id);
                }
                Answer::Gone => suspects.gone.push(id),
                Answer::Lives(_) | Answer::Unclear => {}
            }
        }
        Ok(suspects)
    }

    /// Waits for events that may be on their way, and keeps what is still to be told then.
    async fn confirm(&self, suspects: Suspects) -> Result<Suspects, SyncError> {
        if suspects.is_empty() {
            return Ok(suspects);
        }
        tokio::time::sleep(LAST_WORDS).await;
        let known = [suspects.changed, suspects.gone].concat();
        let mut confirmed = self.examine(known, suspects.is_blind).await?;
        confirmed.gone.retain(|id| self.is_live(id));
        let unknown = suspects.unknown.into_iter();
        let mut existing = self.each(
            unknown.filter(|id| self.is_unknown(id)).collect(),
            |id| async move {
                let exists = self.ask.exists(&id).await?;
                Ok((id, exists))
            },
        );
        while let Some((id, exists)) = existing.try_next().await? {
            if exists && self.is_unknown(&id) {
                confirmed.unknown.push(id);
            }
        }
        drop(existing);
        Ok(confirmed)
    }

    /// Takes in the unknown, corrects the changed, ends the gone.
    async fn settle(&self, suspects: Suspects, why: Why) -> Result<Differences, SyncError> {
        let adopted = self.adopt_all(suspects.unknown, why).await?;
        let mut differences = Differences {
            found: adopted.len(),
            ..Differences::default()
        };
        let corrected = self.each(suspects.changed, |id| self.correct(id, why));
        differences.changed = corrected
            .try_fold(0, |count, is_changed| async move {
                Ok(count + usize::from(is_changed))
            })
            .await?;
        for id in &suspects.gone {
            let ended = self.sink.end(id, Some(CAUSE_UNKNOWN), why);
            differences.ended += usize::from(ended);
            tokio::task::consume_budget().await;
        }
        // One may have ended before it was taken in: then its last events came too early to be of
        // use.
        let mut existing = self.each(adopted, |id| async move {
            let exists = self.ask.exists(&id).await?;
            Ok((id, exists))
        });
        let mut gone = Vec::new();
        while let Some((id, exists)) = existing.try_next().await? {
            if !exists {
                gone.push(id);
            }
        }
        drop(existing);
        if !gone.is_empty() {
            tokio::time::sleep(LAST_WORDS).await;
            for id in &gone {
                self.sink.end(id, Some(CAUSE_UNKNOWN), why);
            }
        }
        if differences != Differences::default() {
            let Differences {
                found,
                changed,
                ended,
            } = differences;
            info!(found, changed, ended, "sessions were reconciled");
        }
        Ok(differences)
    }

    async fn adopt_all(&self, ids: Vec<SessionId>, why: Why) -> Result<Vec<SessionId>, SyncError> {
        let adopted = self.each(ids, |id| async move {
            let is_new = match self.ask.session(&id).await? {
                Answer::Lives(dump) => self.sink.adopt(&dump, why),
                Answer::Gone | Answer::Unclear => false,
            };
            Ok(is_new.then_some(id))
        });
        adopted
            .try_filter_map(|id| async { Ok(id) })
            .try_collect()
            .await
    }

    /// Brings one session up to date; says whether that changed it.
    async fn correct(&self, id: SessionId, why: Why) -> Result<bool, SyncError> {
        for _ in 0..ATTEMPTS {
            let Answer::Lives(dump) = self.ask.session(&id).await? else {
                return Ok(false);
            };
            match self.sink.correct(&dump, why) {
                Refreshed::Corrected(_) => return Ok(true),
                Refreshed::Same => return Ok(false),
                Refreshed::Outdated => {}
            }
        }
        Ok(false)
    }

    /// Whether nothing is known of a session, or only that its end was concluded.
    fn is_unknown(&self, id: &SessionId) -> bool {
        let known = self.sinks.tracker.session(id);
        known.is_none_or(|known| {
            known.synthetic_end || (known.node != *self.node.id() && !known.is_live())
        })
    }

    fn is_live(&self, id: &SessionId) -> bool {
        let known = self.sinks.tracker.session(id);
        known.is_some_and(|known| known.is_live())
    }

    /// Asks about each session, several at a time.
    fn each<'a, T: 'a, F: Future<Output = Result<T, SyncError>> + 'a>(
        &'a self,
        ids: Vec<SessionId>,
        ask: impl Fn(SessionId) -> F + 'a,
    ) -> impl stream::Stream<Item = Result<T, SyncError>> + Unpin + 'a {
        let at_once = QUERIES_PER_LINK * self.node.command_links().1;
        stream::iter(ids).map(ask).buffer_unordered(at_once)
    }
}

// === impl Suspects ===

impl Suspects {
    fn is_empty(&self) -> bool {
        self.unknown.is_empty() && self.changed.is_empty() && self.gone.is_empty()
    }
}

/// Whether the lists show a session otherwise than it is tracked.
fn is_suspicious(session: &Session, listed: &List) -> bool {
    listed.get(session.id.as_str()).is_none_or(|row| {
        row.call_state
            .is_some_and(|call_state| call_state != session.call_state)
            || row.peer != session.peer
    })
}

/// Whether `status` counts no session (`status_function` in FreeSWITCH's `mod_commands.c`): `0
/// session(s) - peak 4, last 5min 4`.
fn has_no_sessions(status: &str) -> bool {
    status
        .lines()
        .any(|line| line.trim_start().starts_with("0 session(s) - peak"))
}

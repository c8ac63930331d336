//! What a node's event link is asked to send, as it changes.

use std::convert::Infallible;
use std::sync::Arc;

use futures_util::future::{join_all, pending};
use tracing::{info, warn};

use super::asked::AskedFor;
use super::node::Node;
use super::sink::NodeSink;
use crate::domain::{NodeState, TextError};
use crate::esl::{Command, Link, LinkError, Reply};
use crate::events::{EventSet, Follower, Wanted, base_events};

/// Longest argument of one command. FreeSWITCH reads commands byte by byte and sends no event
/// meanwhile (`read_packet` in `mod_event_socket.c`).
const MAX_LINE: usize = 4096;

/// Most commands under way at once.
const AT_ONCE: usize = 16;

/// Most refused events that are named to people.
const SHOWN: usize = 5;

/// Keeps FreeSWITCH's listener of one event link at what is wanted.
pub(super) struct Listening {
    node: Arc<Node>,
    sink: NodeSink,
    link: Link,
    follower: Follower,
    asked: AskedFor,
    /// What the user with whom the node is logged in may not have.
    refused: EventSet,
    /// What people were told of that.
    missing: EventSet,
    /// Such a user may ask for all events, but for no subclass.
    takes_all_alone: bool,
    /// How FreeSWITCH refused.
    answer: String,
}

/// Why the node sends nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unheard {
    #[error("{0}")]
    Link(#[from] LinkError),
    #[error("an event cannot be named: {0}")]
    Name(#[from] TextError),
    #[error(
        "FreeSWITCH refused the subscription ({answer}); the user must be allowed these events: {missing}"
    )]
    Refused { answer: String, missing: EventSet },
}

// === impl Listening ===

impl Listening {
    pub(super) fn new(node: &Arc<Node>, sink: NodeSink, link: Link, follower: Follower) -> Self {
        Self {
            node: Arc::clone(node),
            sink,
            link,
            follower,
            asked: AskedFor::default(),
            refused: EventSet::default(),
            missing: EventSet::default(),
            takes_all_alone: false,
            answer: String::new(),
        }
    }

    /// Asks for what is wanted now, on a fresh link.
    pub(super) async fn begin(&mut self) -> Result<(), Unheard> {
        self.node.strays.set(false);
        self.node.remark_refused(String::new());
        let wanted = self.follower.next().await;
        self.turn_to(&wanted).await?;
        let base = base_events();
        let allowed = base.without(&self.refused);
        if allowed != base {
            return Err(Unheard::Refused {
                answer: self.answer.clone(),
                missing: base.without(&allowed),
            });
        }
        Ok(())
    }

    /// Follows what is wanted for as long as the link lives.
    pub(super) async fn follow(mut self) -> Infallible {
        loop {
            let node = Arc::clone(&self.node);
            let result = tokio::select! {
                biased;
                wanted = self.follower.next() => self.turn_to(&wanted).await,
                subclasses = node.strays.noticed() => self.drop_strays(&subclasses).await,
            };
            if let Err(error) = result {
                tracing::debug!(%error, "what is wanted could not be asked for");
                // The link is gone, which ends this too.
                pending::<()>().await;
            }
        }
    }

    /// Asks for what is new, and only then takes back what is no longer wanted.
    async fn turn_to(&mut self, wanted: &Wanted) -> Result<(), Unheard> {
        let goal = self.add(&wanted.set).await?;
        // Before anybody who waits goes on.
        self.node.set_refused(self.refused.by_name());
        self.follower.confirm(wanted.version);
        self.report(&wanted.set);
        let removals = self.asked.removals(&goal);
        self.remove(&removals).await?;
        Ok(())
    }

    /// Gives back as much of what is wanted as FreeSWITCH sends from now on.
    async fn add(&mut self, wanted: &EventSet) -> Result<EventSet, Unheard> {
        loop {
            let goal = self.allowed(wanted);
            let additions = self.asked.additions(&goal);
            // Each round adds what is missing or learns that it may not be had.
            if additions.is_empty() {
                return Ok(goal);
            }
            let refused = self.ask(&additions).await?;
            self.refused.add_all(&refused);
            if refused.subclass_count() > 0 && !self.refused.is_everything() {
                let all = EventSet::everything();
                match self.ask(&all).await?.is_empty() {
                    true => {
                        info!(
                            "the user may have all events but name no subclass; all are asked for"
                        );
                        self.takes_all_alone = true;
                        self.refused = EventSet::default();
                    }
                    false => self.refused.add_all(&all),
                }
            }
        }
    }

    /// What of it the user may have, as far as is known.
    fn allowed(&self, wanted: &EventSet) -> EventSet {
        if self.takes_all_alone {
            return EventSet::everything();
        }
        let mut goal = wanted.without(&self.refused);
        // Who may not ask for all events may have some of them.
        if wanted.is_everything() && !goal.is_everything() {
            goal.add_all(&EventSet::every_name().without(&self.refused));
        }
        goal
    }

    /// Asks for these; gives back those that are refused.
    async fn ask(&mut self, set: &EventSet) -> Result<EventSet, Unheard> {
        let mut refused = EventSet::default();
        if self.put(set).await? {
            return Ok(refused);
        }
        // FreeSWITCH took what stands before the first one that it refuses.
        let singles = match set.is_everything() {
            true => return Ok(set.clone()),
            false => set.singles(),
        };
        for some in singles.chunks(AT_ONCE) {
            let commands = some
                .iter()
                .map(|one| Command::event_plain(&one.to_string()));
            let commands: Vec<_> = commands.collect::<Result<_, _>>()?;
            let replies = join_all(commands.into_iter().map(|command| self.link.send(command)));
            for (one, reply) in some.iter().zip(replies.await) {
                match self.is_granted(&reply?) {
                    true => self.asked.added(one),
                    false => refused.add_all(one),
                }
            }
        }
        Ok(refused)
    }

    /// Asks for all of these; says whether they were granted.
    async fn put(&mut self, set: &EventSet) -> Result<bool, Unheard> {
        for line in set.arguments(MAX_LINE) {
            let reply = self.link.send(Command::event_plain(&line)?).await?;
            if !self.is_granted(&reply) {
                return Ok(false);
            }
        }
        self.asked.added(set);
        Ok(true)
    }

    async fn remove(&mut self, set: &EventSet) -> Result<(), Unheard> {
        for line in set.arguments(MAX_LINE) {
            self.link.send(Command::nixevent(&line)?).await?;
        }
        let had_strays = self.asked.has_strays();
        self.asked.removed(set);
        if self.asked.has_strays() != had_strays {
            self.node.strays.set(self.asked.has_strays());
        }
        Ok(())
    }

    async fn drop_strays(&mut self, subclasses: &[String]) -> Result<(), Unheard> {
        let strays = subclasses.iter().map(String::as_str);
        let strays = strays.filter(|subclass| !self.asked.has_subclass(subclass));
        // What cannot be named cannot be taken back either.
        let strays = EventSet::of_subclasses(strays);
        self.remove(&strays).await
    }

    fn is_granted(&mut self, reply: &Reply) -> bool {
        let is_granted = reply.outcome().is_success();
        if !is_granted {
            reply.text().trim().clone_into(&mut self.answer);
        }
        is_granted
    }

    /// Tells people what of it the user may not have, when that has changed.
    fn report(&mut self, wanted: &EventSet) {
        let missing = match wanted.is_everything() {
            true => self.refused.clone(),
            false => self.refused.common(wanted),
        };
        if missing == self.missing {
            return;
        }
        let is_more = !self.missing.covers(&missing);
        self.missing = missing;
        let missing = self.missing.singles();
        let named: Vec<_> = missing
            .iter()
            .take(SHOWN)
            .map(ToString::to_string)
            .collect();
        let more = match missing.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let detail = match missing.is_empty() {
            true => String::new(),
            false => format!(
                "FreeSWITCH refuses events that are wanted ({}): {}{more}",
                self.answer,
                named.join(", "),
            ),
        };
        if is_more {
            warn!(%detail, "not all events come; see esl-allowed-events of the user");
        }
        self.node.remark_refused(detail);
        self.sink.publish(|status| {
            if matches!(status.state, NodeState::Ready | NodeState::Draining) {
                status.detail = self.node.remarks();
            }
        });
    }
}

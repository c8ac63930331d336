//! What the caller sees: sessions, calls, jobs, nodes and events, without those of others.
//!
//! What is not there for the caller answers as what is not there at all.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Control, Seen};
use crate::access::Caller;
use crate::domain::{CallId, Deadline, Failure, JobId, NodeId, Reason, SessionId};
use crate::events::{
    Cursor, Entry, EventFilter, EventPage, EventSet, Gap, SessionHistory, SlowPolicy, Start,
    Subscription, Want,
};
use crate::fleet::{Capture, Node};
use crate::jobs::{Job, JobFeed, SharedJob};
use crate::tracker::{Call, CallFollow, Session};

/// The changes of the jobs that a caller sees.
#[derive(Debug)]
pub struct JobChanges {
    control: Control,
    feed: JobFeed,
}

// === impl Control ===

impl Control {
    /// The same, acting for this caller.
    pub fn on_behalf_of(&self, caller: Caller) -> Self {
        Self {
            caller,
            ..self.clone()
        }
    }

    /// For whom it acts.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Whether the caller sees no more than what is a tenant's.
    pub fn is_tenants(&self) -> bool {
        self.caller.view().is_tenants()
    }

    /// The session.
    ///
    /// # Errors
    /// SESSION_NOT_FOUND when there is none that the caller sees, NODE_UNAVAILABLE while the gateway
    /// has not read all nodes since its start; PERMISSION_DENIED when it is on a
    /// node that the caller may not use.
    pub fn session(&self, id: &SessionId) -> Result<Arc<Session>, Failure> {
        let found = self.tracker.session(id);
        let session = match found.filter(|session| self.owns(session)) {
            Some(session) => session,
            None => return Err(self.missing(Failure::session_not_found(id))),
        };
        self.caller.may_use(&session.node)?;
        Ok(session)
    }

    /// The sessions, oldest first.
    pub fn sessions(&self) -> Vec<Arc<Session>> {
        let mut sessions = self.tracker.sessions();
        if !self.caller.view().is_all() {
            sessions.retain(|session| self.sees(session));
        }
        sessions
    }

    /// The session as it is now.
    ///
    /// # Errors
    /// As [`Control::session`].
    pub fn look(&self, id: &SessionId) -> Result<Seen, Failure> {
        // In this order: the tracker takes an event before the journal does.
        let cursor = self.journal.cursor();
        let session = self.session(id)?;
        Ok(Seen { session, cursor })
    }

    /// The call, with those of its sessions that the caller sees.
    ///
    /// # Errors
    /// CALL_NOT_FOUND when there is none, or none of its sessions is seen; NODE_UNAVAILABLE as with
    /// [`Control::session`].
    pub fn call(&self, id: &CallId) -> Result<Call, Failure> {
        let call = self.tracker.call(id).and_then(|call| self.shown(call));
        call.ok_or_else(|| self.missing(Failure::call_not_found(id)))
    }

    /// The calls, oldest first, likewise.
    pub fn calls(&self) -> Vec<Call> {
        let calls = self.tracker.calls().into_iter();
        let mut calls: Vec<_> = calls.filter_map(|call| self.shown(call)).collect();
        if !self.caller.view().is_all() {
            calls.sort_by(|a, b| a.order().cmp(&b.order()));
        }
        calls
    }

    /// Follows a call that is there.
    ///
    /// # Errors
    /// As [`Control::call`].
    pub fn watch_call(&self, id: &CallId) -> Result<CallFollow, Failure> {
        // Followed first, so that nothing falls between.
        let follow = self.tracker.follow_call(id);
        self.call(id)?;
        Ok(follow)
    }

    /// The node.
    ///
    /// # Errors
    /// NODE_NOT_FOUND; PERMISSION_DENIED when the caller may not use it.
    pub fn node(&self, id: &NodeId) -> Result<Arc<Node>, Failure> {
        let node = self.fleet.node(id)?;
        self.caller.may_use(id)?;
        Ok(node)
    }

    /// The nodes, by name.
    pub fn nodes(&self) -> Vec<Arc<Node>> {
        let nodes = self.fleet.nodes();
        let view = self.caller.view();
        nodes.filter(|node| view.shows_node(node.id())).collect()
    }

    /// How many sessions of anybody live on a node.
    pub fn live_count(&self, node: &NodeId) -> usize {
        self.tracker.live_count(node)
    }

    /// How many jobs of anybody run on a node.
    pub fn running_jobs(&self, node: &NodeId) -> usize {
        self.jobs.running_on(node)
    }

    /// The job.
    ///
    /// # Errors
    /// JOB_NOT_FOUND when there is none that the caller sees.
    pub fn job(&self, id: &JobId) -> Result<SharedJob, Failure> {
        let job = self.jobs.get(id)?;
        match self.sees_job(&job) {
            true => Ok(job),
            false => Err(Failure::job_not_found(id)),
        }
    }

    /// The jobs, newest first.
    pub fn jobs(&self) -> Vec<SharedJob> {
        let mut jobs = self.jobs.list();
        jobs.retain(|job| self.sees_job(job));
        jobs
    }

    /// The jobs, newest first, and from then on each change of one, in order.
    pub fn watch_jobs(&self) -> (Vec<SharedJob>, JobChanges) {
        let (mut jobs, feed) = self.jobs.watch();
        jobs.retain(|job| self.sees_job(job));
        let control = self.clone();
        (jobs, JobChanges { control, feed })
    }

    /// Forgets a job that has ended.
    ///
    /// # Errors
    /// JOB_NOT_FOUND, or JOB_RUNNING while it has not ended.
    pub fn delete_job(&self, id: &JobId) -> Result<(), Failure> {
        self.job(id)?;
        self.jobs.delete(id)
    }

    /// Position of the last event that any state read from now on includes.
    pub fn cursor(&self) -> Cursor {
        self.journal.cursor()
    }

    /// Whether everything behind a cursor is held.
    ///
    /// # Errors
    /// CURSOR_LOST when the cursor is of another journal or older than the oldest entry.
    pub fn check_reaches(&self, cursor: Cursor) -> Result<(), Failure> {
        self.journal.check_reaches(cursor)
    }

    /// Asks FreeSWITCH to send these events too.
    pub fn want(&self, events: EventSet) -> Want {
        self.wants.want(events)
    }

    /// What is missing of these events, since FreeSWITCH was not asked for them.
    pub fn unasked(&self, events: &EventSet) -> Option<Gap> {
        self.wants.gap(events)
    }

    /// Follows the events that a filter wants, of those that the caller sees.
    ///
    /// # Errors
    /// As [`Subscription::begin`].
    pub fn subscribe(
        &self,
        filter: EventFilter,
        start: Start,
        policy: SlowPolicy,
        max_lag: u64,
        silence: Duration,
    ) -> Result<Subscription, Failure> {
        let filter = filter.seen_by(self.caller.view());
        Subscription::begin(&self.journal, filter, start, policy, max_lag, silence)
    }

    /// A page of such events.
    ///
    /// # Errors
    /// As [`EventPage::read`].
    pub async fn event_page(
        &self,
        filter: EventFilter,
        after: Option<Cursor>,
        max: usize,
    ) -> Result<EventPage, Failure> {
        let filter = filter.seen_by(self.caller.view());
        EventPage::read(&self.journal, &filter, after, max).await
    }

    /// The events of a session, without those from before it was the caller's.
    ///
    /// # Errors
    /// As [`Control::session`].
    pub fn history(&self, id: &SessionId) -> Result<SessionHistory, Failure> {
        self.session(id)?;
        let mut history = self.journal.of_session(id);
        let view = self.caller.view();
        if !view.is_all() {
            history.events.retain(|(_, entry)| match &**entry {
                Entry::Event(record) => view.shows(&record.node, &record.owners),
                Entry::Gap(_) | Entry::NodeState { .. } | Entry::Asked(_) => true,
            });
        }
        Ok(history)
    }

    /// All that the caller sees, at one position of the journal.
    pub fn capture(&self) -> Arc<Capture> {
        let all = self.fleet.capture();
        let view = self.caller.view();
        if view.is_all() {
            return all;
        }
        let nodes = all.nodes.iter();
        let sessions = all.sessions.iter();
        let calls = all.calls.iter().cloned();
        Arc::new(Capture {
            cursor: all.cursor,
            nodes: nodes
                .filter(|(node, _)| view.shows_node(node.id()))
                .cloned()
                .collect(),
            sessions: sessions
                .filter(|session| self.sees(session))
                .cloned()
                .collect(),
            calls: calls.filter_map(|call| self.shown(call)).collect(),
        })
    }

    /// Compares what is known of a node with what FreeSWITCH has.
    ///
    /// # Errors
    /// As [`Control::node`], and those of the node.
    pub async fn reconcile(
        &self,
        id: &NodeId,
        deadline: Deadline,
    ) -> Result<crate::fleet::Differences, Failure> {
        self.node(id)?;
        self.fleet.reconcile(id, deadline).await
    }

    /// Takes a node out of the choice for new work, or puts it back.
    ///
    /// # Errors
    /// As [`Control::node`].
    pub fn set_drained(&self, id: &NodeId, is_drained: bool) -> Result<Arc<Node>, Failure> {
        self.node(id)?;
        self.fleet.set_drained(id, is_drained)
    }

    /// Removes a node.
    ///
    /// # Errors
    /// As [`Control::node`]; NODE_BUSY when it has sessions or jobs, unless it is forced.
    pub async fn remove_node(
        &self,
        id: &NodeId,
        is_forced: bool,
    ) -> Result<crate::fleet::Removed, Failure> {
        self.node(id)?;
        self.fleet.remove(id, is_forced).await
    }

    /// Command links of a node that names no number of them.
    pub fn default_links(&self) -> usize {
        self.links.command_links
    }

    /// Triggered when nobody waits any longer.
    pub fn cut(&self) -> &CancellationToken {
        &self.cut
    }

    /// The same, of a connection that ends before the gateway does.
    pub fn set_cut(&mut self, cut: CancellationToken) {
        self.cut = cut;
    }

    /// Whether a session is the caller's, on whatever node.
    pub(super) fn owns(&self, session: &Session) -> bool {
        let tenant = self.caller.tenant();
        tenant.is_none_or(|tenant| session.owners.has(&tenant.name))
    }

    /// The variable that makes a new leg the tenant's, if the caller has one.
    pub(super) fn tenants_variable(&self) -> Vec<(&str, &str)> {
        let tenant = self.caller.tenant().into_iter();
        tenant
            .map(|tenant| (&*tenant.variable, &*tenant.value))
            .collect()
    }

    /// That the partner of a session is the caller's too, where a verb moves both.
    pub(super) fn check_peer(&self, session: &Session) -> Result<(), Failure> {
        match &session.peer {
            Some(peer) => self.session(peer).map(drop),
            None => Ok(()),
        }
    }

    /// That the partner is the tenant's too, where an application with these arguments acts on it.
    pub(super) fn check_partner(&self, session: &Session, arguments: &str) -> Result<(), Failure> {
        match self.is_tenants() && crate::access::acts_on_partner(arguments) {
            true => self.check_peer(session),
            false => Ok(()),
        }
    }

    /// That a text of a tenant's names no session of others, as some applications take one.
    pub(super) fn check_mentions(&self, text: &str) -> Result<(), Failure> {
        if !self.is_tenants() {
            return Ok(());
        }
        // Between the words of a command stands much that an id may hold too, so both ways count.
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
        let may_be_part = |c: char| is_part(c) || ":+~*!/=".contains(c);
        let bare: String = text
            .chars()
            .filter(|c| !matches!(c, '\'' | '"' | '\\'))
            .collect();
        let words = bare.split(|c| !is_part(c));
        let words = words.chain(bare.split(|c| !may_be_part(c)));
        let ids = words.filter_map(|word| word.parse().ok());
        for id in ids {
            let found = self.tracker.session(&id);
            if found.is_some_and(|session| !self.owns(&session)) {
                return Err(Failure::session_not_found(&id));
            }
        }
        Ok(())
    }

    /// What is not known: it does not exist once all nodes were read.
    fn missing(&self, not_found: Failure) -> Failure {
        let mut nodes = self.fleet.nodes();
        let unread = nodes.find_map(|node| node.check_was_read().err());
        unread.unwrap_or(not_found)
    }

    fn sees(&self, session: &Session) -> bool {
        self.caller.view().shows(&session.node, &session.owners)
    }

    fn shown(&self, call: Call) -> Option<Call> {
        match self.caller.view().is_all() {
            true => Some(call),
            false => call.only(|session| self.sees(session)),
        }
    }

    /// A tenant sees the jobs that it made, and those on its sessions.
    fn sees_job(&self, job: &Job) -> bool {
        if !self.caller.view().shows_node(&job.spec.node) {
            return false;
        }
        let Some(tenant) = self.caller.tenant() else {
            return true;
        };
        if let Some(owner) = &job.spec.request.tenant {
            return **owner == *tenant.name;
        }
        let session = job.spec.session.as_ref();
        session.is_some_and(|session| self.session(session).is_ok())
    }
}

// === impl JobChanges ===

impl JobChanges {
    /// The next change: the job as it was then. Cancel-safe.
    ///
    /// # Errors
    /// SLOW_CONSUMER when more changes came than are kept for one who is behind.
    pub async fn next(&mut self) -> Result<SharedJob, Failure> {
        loop {
            let job = self
                .feed
                .next()
                .await
                .map_err(|failure| self.told(failure))?;
            if self.control.sees_job(&job) {
                return Ok(job);
            }
        }
    }

    /// The next change if there is one already.
    ///
    /// # Errors
    /// As [`JobChanges::next`].
    pub fn next_now(&mut self) -> Result<Option<SharedJob>, Failure> {
        loop {
            match self.feed.next_now().map_err(|failure| self.told(failure))? {
                Some(job) if !self.control.sees_job(&job) => {}
                found => return Ok(found),
            }
        }
    }

    /// How many changes there were of all is not for a tenant.
    fn told(&self, failure: Failure) -> Failure {
        match self.control.is_tenants() && failure.reason() == Reason::SlowConsumer {
            true => Failure::new(Reason::SlowConsumer, failure.message()),
            false => failure,
        }
    }
}

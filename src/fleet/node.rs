//! One node, as everyone but its supervisor sees it.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument as _, info_span};

use super::NodeSpec;
use super::counts::NodeCounts;
use super::figures::Figures;
use super::placement::{Load, Recent};
use super::pool::Pool;
use super::strays::Strays;
use super::sync::Sweep;
use crate::domain::{Deadline, Failure, NodeId, NodeState, Reason, SessionId};
use crate::esl::{Command, Credentials, Event, Link, LinkError, Reply};
use crate::events::EventSet;
use crate::telemetry::{self, SPANS};
use crate::tracker::Labels;

mod told;

/// After which a retry makes sense when a node is away.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long it has for its sessions to be read before what is unknown counts as not there: a node that
/// is down for long must not keep clients asking.
const FIRST_READ: Duration = Duration::from_secs(10);

/// What the supervisor publishes of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStatus {
    /// Whether it is in service.
    pub state: NodeState,
    /// Why it is not, for people; empty when it is.
    pub detail: String,
    /// FreeSWITCH's `Core-UUID`; empty until connected.
    pub core_uuid: String,
    /// FreeSWITCH's version; empty until connected.
    pub version: String,
    /// Times that the event link was connected.
    pub connects: u32,
}

/// Names of a node's applications in lower case.
#[derive(Debug, Clone, Default)]
pub struct Applications {
    /// Absent until they were asked for.
    pub known: Option<Arc<HashSet<String>>>,
    /// Grows with each module that comes or goes.
    generation: u64,
}

/// One FreeSWITCH and the links to it.
#[derive(Debug)]
pub struct Node {
    id: NodeId,
    address: String,
    labels: ArcSwap<BTreeMap<String, String>>,
    /// How its links log in that are made from now on.
    credentials: ArcSwap<Credentials>,
    pub(super) pool: Pool,
    /// While it is up.
    event_link: Mutex<Option<Link>>,
    status: watch::Sender<NodeStatus>,
    added_at: Instant,
    /// Whether its sessions were known once.
    was_read: AtomicBool,
    figures: Mutex<Figures>,
    applications: Mutex<Applications>,
    /// Whether it shall get no new work.
    is_drained: AtomicBool,
    /// What has changed since its last heartbeat.
    recent: Mutex<Recent>,
    /// How long FreeSWITCH may take for an answer when it is asked for its sessions.
    pub(super) query_timeout: Duration,
    /// Held while it is compared with the tracker, with what came of the last whole comparison.
    pub(super) sweep: tokio::sync::Mutex<Option<Sweep>>,
    /// Held while the tracker is changed and the journal told.
    turn: Mutex<()>,
    /// When nothing was known to be missing last.
    agreed_at: Mutex<SystemTime>,
    /// A heartbeat has come.
    pub(super) beat: Notify,
    /// What FreeSWITCH sends though nobody asked for it.
    pub(super) strays: Strays,
    /// What the user with whom it is logged in was refused.
    refused: Mutex<EventSet>,
    /// What is to be said of it while it is in service.
    remarks: Mutex<Remarks>,
    pub(super) counts: NodeCounts,
}

/// What is not as it should be with a node that is in service.
#[derive(Debug, Default)]
struct Remarks {
    lists: &'static str,
    refused: String,
}

// === impl Node ===

impl Node {
    pub(super) fn new(spec: &NodeSpec) -> Self {
        let status = NodeStatus {
            state: NodeState::Connecting,
            detail: "not connected yet".to_owned(),
            core_uuid: String::new(),
            version: String::new(),
            connects: 0,
        };
        Self {
            id: spec.id.clone(),
            address: spec.connector.address.clone(),
            labels: ArcSwap::new(Labels::clone(&spec.labels)),
            credentials: ArcSwap::from_pointee(spec.connector.credentials.clone()),
            pool: Pool::new(spec.command_links),
            event_link: Mutex::default(),
            status: watch::Sender::new(status),
            added_at: Instant::now(),
            was_read: AtomicBool::new(false),
            figures: Mutex::default(),
            applications: Mutex::default(),
            is_drained: AtomicBool::new(false),
            recent: Mutex::default(),
            query_timeout: spec.query_timeout,
            sweep: tokio::sync::Mutex::default(),
            turn: Mutex::default(),
            agreed_at: Mutex::new(SystemTime::now()),
            beat: Notify::new(),
            strays: Strays::default(),
            refused: Mutex::default(),
            remarks: Mutex::default(),
            counts: NodeCounts::default(),
        }
    }

    /// Its name.
    pub fn id(&self) -> &NodeId {
        &self.id
    }

    /// Address of its Event Socket.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its labels.
    pub fn labels(&self) -> Labels {
        self.labels.load_full()
    }

    /// Puts other labels in the place of all.
    pub fn set_labels(&self, labels: Labels) {
        self.labels.store(labels);
    }

    pub(super) fn credentials(&self) -> Credentials {
        Credentials::clone(&self.credentials.load())
    }

    /// Logs in otherwise from the next link on; those that are up stay.
    pub fn set_credentials(&self, credentials: Credentials) {
        self.credentials.store(Arc::new(credentials));
    }

    /// What is known of it.
    pub fn status(&self) -> NodeStatus {
        self.status.borrow().clone()
    }

    /// What is known of it, as it changes.
    pub fn follow(&self) -> watch::Receiver<NodeStatus> {
        self.status.subscribe()
    }

    /// Whether it is in service.
    pub fn is_ready(&self) -> bool {
        self.status.borrow().state == NodeState::Ready
    }

    /// Whether its events are heard, so that the effect of a command can be seen.
    ///
    /// Ask after the watch for the effect is in place: a link that is lost later ends the watch.
    ///
    /// # Errors
    /// NODE_UNAVAILABLE when they are not.
    pub fn check_hears(&self) -> Result<(), Failure> {
        match self.status.borrow().state {
            NodeState::Syncing | NodeState::Ready | NodeState::Draining => Ok(()),
            NodeState::Connecting | NodeState::Down | NodeState::Removed => Err(self.unavailable()),
        }
    }

    /// Whether its sessions were read once, or it has had its time for that: so what is not known does
    /// not exist.
    ///
    /// # Errors
    /// NODE_UNAVAILABLE when a session may be there that is not known yet.
    pub fn check_was_read(&self) -> Result<(), Failure> {
        let has_had_time = || self.added_at.elapsed() >= FIRST_READ;
        match self.was_read.load(Ordering::Acquire) || has_had_time() {
            true => Ok(()),
            false => {
                let message = format!(
                    "the sessions of node {} are not known yet; ask again, another replica may answer",
                    self.id
                );
                let failure = Failure::new(Reason::NodeUnavailable, message);
                Err(failure.retry_after(RETRY_AFTER).node(&self.id))
            }
        }
    }

    /// All its sessions are known, and its events tell of those to come.
    pub(super) fn is_read(&self) {
        self.was_read.store(true, Ordering::Release);
    }

    /// Waits until it has a link for commands, which says nothing of its events.
    pub async fn takes_commands(&self) {
        self.pool.any_live().await;
    }

    /// Waits until it is in this state.
    pub async fn reached(&self, state: NodeState) {
        let mut status = self.status.subscribe();
        // The sender is ours, so the wait ends only when it is fulfilled.
        let _ = status.wait_for(|status| status.state == state).await;
    }

    /// Waits until it is not in this state.
    pub(super) async fn left(&self, state: NodeState) {
        let mut status = self.status.subscribe();
        // The sender is ours, so the wait ends only when it is fulfilled.
        let _ = status.wait_for(|status| status.state != state).await;
    }

    /// Sends a command and waits for the reply. Commands for the same session keep their order.
    ///
    /// # Errors
    /// NODE_UNAVAILABLE when it was not sent, OUTCOME_UNKNOWN when its reply was lost,
    /// DEADLINE_EXCEEDED with the metadata `command_sent`.
    pub async fn send(
        &self,
        command: Command,
        session: Option<&SessionId>,
        deadline: Deadline,
    ) -> Result<Reply, Failure> {
        let span = info_span!(
            target: SPANS,
            "esl",
            otel.name = command.verb(),
            otel.kind = "client",
            switchgate.command = command.verb(),
            switchgate.node.id = %self.id,
            switchgate.queue_ms = Empty,
            "error.type" = Empty,
            otel.status_code = Empty,
        );
        let sent = self.pool.send(command, session, deadline);
        let result = sent.instrument(span.clone()).await;
        result.map_err(|error| {
            let failure = self.failure(&error);
            if !span.is_disabled() {
                span.record("error.type", telemetry::error_type(failure.reason()));
                span.record("otel.status_code", telemetry::FAILED);
            }
            match session {
                Some(session) => failure.session(session),
                None => failure,
            }
        })
    }

    /// As [`Node::send`], over the link for what takes long, so that no verb waits behind it.
    pub(super) async fn send_aside(
        &self,
        command: Command,
        deadline: Deadline,
    ) -> Result<Reply, Failure> {
        let result = self.pool.send_aside(command, deadline).await;
        result.map_err(|error| self.failure(&error))
    }

    /// The right to change the tracker and tell the journal of it. The event task and the sync
    /// take turns for each event, so that whoever reads the journal sees the order of the changes.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        lock(&self.turn)
    }

    /// When it was last compared with the tracker, or counted as many sessions, which hides losses
    /// that balance: events may be missing since.
    pub(super) fn agreed_at(&self) -> SystemTime {
        *lock(&self.agreed_at)
    }

    pub(super) fn agrees(&self) {
        *lock(&self.agreed_at) = SystemTime::now();
    }

    /// Takes it out of placement or puts it back. What that makes of its state is still to be
    /// published ([`Node::in_service`]), if it is in service.
    pub(super) fn set_drained(&self, is_drained: bool) {
        self.is_drained.store(is_drained, Ordering::Release);
    }

    /// Its state once its links are up and its sessions are read. Ask where the status is changed:
    /// of two who do so at the same time, the later one knows what the other did.
    pub(super) fn in_service(&self) -> NodeState {
        match self.is_drained.load(Ordering::Acquire) {
            true => NodeState::Draining,
            false => NodeState::Ready,
        }
    }

    /// Says that an event is due now, which FreeSWITCH would else hold back for a while.
    pub fn expect_event(&self) {
        if let Some(link) = &*lock(&self.event_link) {
            link.nudge();
        }
    }

    pub(super) fn set_event_link(&self, link: Option<Link>) {
        *lock(&self.event_link) = link;
    }

    /// What is not as it should be while it is in service; empty when all is.
    pub(super) fn remarks(&self) -> String {
        let remarks = lock(&self.remarks);
        let all = [remarks.lists, &remarks.refused];
        let told: Vec<_> = all.into_iter().filter(|one| !one.is_empty()).collect();
        told.join("; ")
    }

    /// What its lists lack, or nothing.
    pub(super) fn remark_lists(&self, remark: &'static str) {
        lock(&self.remarks).lists = remark;
    }

    /// Takes note of what it refuses to send.
    pub(super) fn set_refused(&self, refused: EventSet) {
        *lock(&self.refused) = refused;
    }

    /// Whether it was asked for any of these events by their name, and refused.
    pub fn refuses(&self, set: &EventSet) -> bool {
        lock(&self.refused).overlaps(set)
    }

    /// Which events it refuses, or nothing.
    pub(super) fn remark_refused(&self, remark: String) {
        lock(&self.remarks).refused = remark;
    }

    /// Names of its applications, as far as they are known.
    pub fn applications(&self) -> Applications {
        lock(&self.applications).clone()
    }

    /// Keeps the names of its applications until a module comes or goes, unless one did so since
    /// `before`, which was read before they were asked for.
    pub fn learn_applications(&self, names: &Arc<HashSet<String>>, before: &Applications) {
        let mut applications = lock(&self.applications);
        if applications.generation == before.generation {
            applications.known = Some(Arc::clone(names));
        }
    }

    /// A module came or went, or this is another FreeSWITCH.
    pub(super) fn forget_applications(&self) {
        let mut applications = lock(&self.applications);
        applications.known = None;
        applications.generation += 1;
    }

    /// Takes a heartbeat; `live` sessions are tracked at this moment.
    pub(super) fn heartbeat(&self, event: &Event, live: usize) {
        lock(&self.figures).heartbeat(event);
        lock(&self.recent).heartbeat(live);
        self.beat.notify_one();
    }

    /// A session has begun.
    pub(super) fn session_began(&self) {
        lock(&self.recent).began(Instant::now());
    }

    /// Legs are about to be made by this gateway.
    pub(super) fn placed(&self, legs: &[SessionId]) {
        lock(&self.recent).placed(legs, Instant::now());
    }

    /// Legs for which it was chosen will not be made: they give their places back.
    pub fn gives_up(&self, legs: &[SessionId]) {
        lock(&self.recent).not_placed(legs);
    }

    /// How loaded it is now, by its last heartbeat and by what was seen and done since; `live`
    /// sessions are tracked at this moment, and `is_known` says whether one has begun.
    pub(super) fn load(&self, live: usize, is_known: impl Fn(&SessionId) -> bool) -> Load {
        let figures = self.figures();
        lock(&self.recent).load(&figures, live, Instant::now(), is_known)
    }

    pub(super) fn told_status(&self, status: &str) {
        lock(&self.figures).status(status);
    }

    /// Keeps the `Core-UUID`; says whether there was another one before.
    pub(super) fn is_new_core(&self, core: &str) -> bool {
        let mut is_new = false;
        self.status.send_if_modified(|status| {
            if status.core_uuid == core {
                return false;
            }
            is_new = !status.core_uuid.is_empty();
            core.clone_into(&mut status.core_uuid);
            true
        });
        is_new
    }

    /// Changes the status; gives back the state if that is another one now, which the journal has
    /// to tell ([`NodeSink::publish`](super::sink::NodeSink::publish)).
    pub(super) fn update(&self, change: impl FnOnce(&mut NodeStatus)) -> Option<NodeState> {
        let mut new_state = None;
        self.status.send_if_modified(|status| {
            let before = status.clone();
            change(status);
            new_state = (before.state != status.state).then_some(status.state);
            before != *status
        });
        new_state
    }

    fn unavailable(&self) -> Failure {
        let id = &self.id;
        let message = match self.status.borrow().detail.as_str() {
            "" => format!("node {id} has no live link"),
            detail => format!("node {id} has no live link: {detail}"),
        };
        Failure::new(Reason::NodeUnavailable, message)
            .retry_after(RETRY_AFTER)
            .node(id)
    }

    fn failure(&self, error: &LinkError) -> Failure {
        let id = &self.id;
        let failure = match error {
            LinkError::NotSent(_) => self.unavailable(),
            LinkError::OutcomeUnknown(lost) => {
                let message =
                    format!("the link to node {id} was lost after the command was sent: {lost}");
                Failure::new(Reason::OutcomeUnknown, message)
            }
            LinkError::TimedOut { sent } => {
                let message = format!("the deadline passed before node {id} replied");
                Failure::new(Reason::DeadlineExceeded, message).with("command_sent", sent)
            }
        };
        failure.node(id)
    }
}

/// A panic while the lock was held leaves plain data behind, which is better than none.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Keeps a node's links up: one task for the event link, one for each command link.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tracing::{Instrument as _, info, info_span, warn};

use super::census::Census;
use super::cores::Cores;
use super::listening::Listening;
use super::node::Node;
use super::pool::Aside;
use super::sink::NodeSink;
use super::sync::{SyncError, Syncer};
use super::{Differences, NodeSpec, Sinks};
use crate::backoff::Backoff;
use crate::domain::{Deadline, NodeId, NodeState};
use crate::esl::{
    Command, ConnectError, Connection, ConnectionConfig, Connector, Link, Lost, NoEvents, Outcome,
};
use crate::events::GapReason;
use crate::shutdown::Drain;

/// How long the first commands on a fresh event link may take.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause before a failed sync is tried again.
const SYNC_RETRY: Duration = Duration::from_secs(1);
/// `show channels` lags behind the core by 200 to 300 ms, so what was born just before the link
/// came up shows only in a second look.
const SECOND_LOOK: Duration = Duration::from_millis(500);

/// What a node lacks whose FreeSWITCH runs without a database.
const NO_LISTS: &str = "FreeSWITCH runs without a database (-nosql): sessions that began while nobody listened cannot be found";

/// Why an event link is no more, or never was.
enum Ended {
    Stopped,
    Lost(String),
    /// It led to a FreeSWITCH that another node stands for.
    Taken(NodeId),
    /// Without a word, so the other links are dead too.
    Silent(String),
}

/// Everything that the tasks of one node share.
struct Supervisor {
    node: Arc<Node>,
    spec: NodeSpec,
    sinks: Sinks,
    cores: Arc<Cores>,
    drain: Drain,
    /// The links for commands of this epoch; stopped when the event link has gone silent.
    commands: Drain,
    /// Since when events are missing.
    deaf_since: Option<SystemTime>,
}

/// Starts the tasks of a node.
pub(super) fn start(spec: NodeSpec, sinks: Sinks, cores: Arc<Cores>, drain: &Drain) -> Arc<Node> {
    let node = Arc::new(Node::new(&spec));
    let span = info_span!("node", node = %spec.id);
    let supervisor = Supervisor {
        node: Arc::clone(&node),
        spec,
        sinks,
        cores,
        drain: drain.clone(),
        commands: drain.child(),
        deaf_since: None,
    };
    drain.spawn(supervisor.run().instrument(span));
    node
}

// === impl Supervisor ===

impl Supervisor {
    async fn run(mut self) {
        self.start_command_links();
        let (shortest, longest) = self.spec.backoff;
        let mut backoff = Backoff::new(shortest, longest);
        loop {
            match self.live_once(&mut backoff).await {
                Ended::Stopped => return,
                Ended::Lost(detail) => self.went_down(detail),
                Ended::Taken(node) => self.is_taken(&node),
                Ended::Silent(detail) => {
                    self.commands.stop();
                    self.commands = self.drain.child();
                    self.start_command_links();
                    self.went_down(detail);
                }
            }
            if pause(&self.drain, backoff.next_delay()).await.is_err() {
                return;
            }
        }
    }

    /// One life of the event link.
    async fn live_once(&mut self, backoff: &mut Backoff) -> Ended {
        let connected = tokio::select! {
            biased;
            () = self.drain.stopped() => return Ended::Stopped,
            connected = connect(&self.node, &self.spec) => connected,
        };
        let connection = match connected {
            Ok(connection) => connection,
            Err(error) => {
                self.node.counts.event_link.failures.one();
                return Ended::Lost(with_sources(&error));
            }
        };
        self.node.counts.event_link.connects.one();
        let sink = self.sink();
        let mut config = event_link_config(&self.spec.link);
        config.counts = Arc::clone(&self.node.counts.event_link.traffic);
        let link = connection.start(config, sink, &self.drain);
        let deadline = Deadline::after(SUBSCRIBE_TIMEOUT);
        // Before the subscription: nothing may be taken in that another node tells already.
        let core = match ask_core(&link, deadline).await {
            Ok(core) => core,
            Err(detail) => return Ended::Lost(detail),
        };
        let _claim = match self.cores.claim(&core, self.node.id()) {
            Ok(claim) => claim,
            Err(node) => return Ended::Taken(node),
        };
        // Before the gap: whoever begins behind that waits until this node sends events.
        let follower = self.sinks.wants.follow();
        // Before the subscription, or its first events would stand in front of the gap.
        self.tell_gap();
        let mut listening = Listening::new(&self.node, self.sink(), link.clone(), follower);
        match deadline.bound(listening.begin()).await {
            Some(Ok(())) => {}
            Some(Err(error)) => return Ended::Lost(error.to_string()),
            None => return Ended::Lost("FreeSWITCH did not answer the subscription".to_owned()),
        }
        backoff.reset();
        let was_deaf = self.deaf_since.take().is_some();
        self.publish(
            NodeState::Syncing,
            "reading which sessions exist".to_owned(),
        );
        self.node.update(|status| status.connects += 1);
        info!(address = %self.spec.connector.address, "event link is up");
        self.node.set_event_link(Some(link.clone()));
        let end = tokio::select! {
            biased;
            () = self.drain.stopped() => Ended::Stopped,
            lost = link.ended() => {
                self.node.counts.event_link.losses.one();
                self.ended(&lost)
            }
            never = self.keep_in_sync(was_deaf) => match never {},
            never = listening.follow() => match never {},
        };
        // A link that is held lives on.
        self.node.set_event_link(None);
        end
    }

    /// Reads the truth until it is read, then takes a second look, and then compares counts until
    /// the link ends.
    async fn keep_in_sync(&mut self, was_deaf: bool) -> std::convert::Infallible {
        let syncer = Syncer::new(&self.node, &self.sinks);
        loop {
            self.node.pool.any_live().await;
            match syncer.identify().await {
                Ok(()) => break,
                Err(error) => self.sync_failed(&error).await,
            }
        }
        let is_blind = loop {
            match syncer.look(was_deaf).await {
                Ok(is_blind) => break is_blind,
                Err(error) => self.sync_failed(&error).await,
            }
        };
        if is_blind {
            warn!(detail = NO_LISTS, "sessions cannot be listed");
        }
        self.node.remark_lists(if is_blind { NO_LISTS } else { "" });
        self.sink().publish(|status| {
            status.state = self.node.in_service();
            status.detail = self.node.remarks();
        });
        info!(version = %self.node.status().version, links = self.node.command_links().0, "node is in service");
        tokio::time::sleep(SECOND_LOOK).await;
        while let Err(error) = syncer.look(false).await {
            self.sync_failed(&error).await;
        }
        self.node.is_read();
        self.compare_counts(&syncer).await
    }

    /// Notices when events are lost over a link that lives.
    async fn compare_counts(&self, syncer: &Syncer) -> std::convert::Infallible {
        let mut census = Census::new();
        loop {
            self.node.beat.notified().await;
            let counted = usize::try_from(self.node.figures().sessions).unwrap_or(usize::MAX);
            let tracked = self.sinks.tracker.live_count(self.node.id());
            if counted == tracked {
                self.node.agrees();
            }
            if !census.heard(counted, tracked) {
                continue;
            }
            info!(
                counted,
                tracked, "FreeSWITCH counts other sessions; comparing"
            );
            loop {
                match syncer.reconcile(false).await {
                    Ok(differences) => {
                        census.looked(differences != Differences::default());
                        break;
                    }
                    Err(error) => self.sync_failed(&error).await,
                }
            }
        }
    }

    fn ended(&self, lost: &Lost) -> Ended {
        match lost {
            // Also what a link says whose task met a defect: then it is to be made anew.
            Lost::Stopped if self.drain.is_stopping() => Ended::Stopped,
            Lost::Silent(_) => Ended::Silent(lost.to_string()),
            _ => Ended::Lost(lost.to_string()),
        }
    }

    async fn sync_failed(&self, error: &SyncError) {
        warn!(%error, "reading the sessions failed; trying again");
        self.node.update(|status| {
            if status.state == NodeState::Syncing {
                status.detail = error.to_string();
            }
        });
        // A pause between attempts, not a wait for anything.
        tokio::time::sleep(SYNC_RETRY).await;
    }

    fn went_down(&mut self, detail: String) {
        let was_up = matches!(
            self.node.status().state,
            NodeState::Syncing | NodeState::Ready | NodeState::Draining
        );
        warn!(%detail, "event link is down");
        if was_up {
            self.deaf_since.get_or_insert_with(SystemTime::now);
            self.publish(NodeState::Down, detail);
            // Nobody can see an effect until the link is back.
            self.sinks.tracker.node_lost(self.node.id());
        } else {
            self.node.update(|status| status.detail = detail);
        }
    }

    fn is_taken(&self, node: &NodeId) {
        let detail = format!("is the same FreeSWITCH as node {node}");
        let address = &self.spec.connector.address;
        warn!(%detail, %address, "node does not go into service; remove it, or give it the address of another FreeSWITCH");
        self.publish(NodeState::Down, detail);
    }

    /// Tells that events are missing up to now, if any are. Should the subscription fail, the next
    /// one is told again from when on.
    fn tell_gap(&self) {
        let Some(began) = self.deaf_since else {
            return;
        };
        self.sink().gap(GapReason::LinkLost, began);
    }

    fn publish(&self, state: NodeState, detail: String) {
        self.sink().publish(|status| {
            status.state = state;
            status.detail = detail;
        });
    }

    fn sink(&self) -> NodeSink {
        NodeSink::new(&self.node, &self.sinks)
    }

    fn start_command_links(&self) {
        let places = (0..self.spec.command_links).map(Some);
        // The last is the link apart.
        for place in places.chain([None]) {
            let task = keep_command_link(
                Arc::clone(&self.node),
                self.spec.clone(),
                place,
                self.commands.clone(),
            );
            self.drain
                .spawn(task.instrument(info_span!("commands", node = %self.spec.id, place)));
        }
    }
}

/// A connection, logged in as is told by now.
async fn connect(node: &Node, spec: &NodeSpec) -> Result<Connection, ConnectError> {
    let connector = Connector {
        credentials: node.credentials(),
        ..spec.connector.clone()
    };
    connector.connect().await
}

/// Keeps one place of the pool filled, or that of the link apart.
async fn keep_command_link(node: Arc<Node>, spec: NodeSpec, place: Option<usize>, drain: Drain) {
    let mut backoff = Backoff::new(spec.backoff.0, spec.backoff.1);
    let counts = match place {
        Some(_) => &node.counts.command_links,
        None => &node.counts.query_link,
    };
    let mut config = spec.link.clone();
    config.counts = Arc::clone(&counts.traffic);
    let put = |link: Option<(Link, Drain)>| match place {
        Some(place) => node.pool.set(place, link.map(|(link, _)| link)),
        None => {
            let aside = link.map(|(link, life)| Aside { link, life });
            node.pool.set_aside(aside);
        }
    };
    loop {
        let connected = tokio::select! {
            biased;
            () = drain.stopped() => return,
            connected = connect(&node, &spec) => connected,
        };
        match connected {
            Ok(connection) => {
                backoff.reset();
                let life = drain.child();
                counts.connects.one();
                let link = connection.start(config.clone(), NoEvents, &life);
                put(Some((link.clone(), life)));
                let lost = link.ended().await;
                counts.losses.one();
                put(None);
                tracing::debug!(%lost, "command link is down");
            }
            // The event link meets the same error and reports it.
            Err(error) => {
                counts.failures.one();
                tracing::debug!(error = %with_sources(&error), "command link is not up");
            }
        }
        if pause(&drain, backoff.next_delay()).await.is_err() {
            return;
        }
    }
}

/// Which FreeSWITCH the link leads to; it stays the same one while the link lives.
async fn ask_core(link: &Link, deadline: Deadline) -> Result<String, String> {
    let ask = Command::api("global_getvar core_uuid").map_err(|error| error.to_string())?;
    let reply = link.send_by(ask, deadline).await;
    match reply.map_err(|error| error.to_string())?.outcome() {
        Outcome::Data(core) => Ok(core.trim().to_owned()),
        other => Err(format!("FreeSWITCH does not say which one it is: {other}")),
    }
}

/// `event plain HEARTBEAT` is answered at once and changes nothing: that event is always wanted.
fn event_link_config(config: &ConnectionConfig) -> ConnectionConfig {
    let mut config = config.clone();
    if let Ok(probe) = Command::event_plain("HEARTBEAT") {
        config.liveness.probe = probe;
    }
    config
}

/// Waits, unless it is time to stop.
async fn pause(drain: &Drain, span: Duration) -> Result<(), ()> {
    tokio::select! {
        biased;
        () = drain.stopped() => Err(()),
        () = tokio::time::sleep(span) => Ok(()),
    }
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.fold(error.to_string(), |text, source| {
        format!("{text}: {source}")
    })
}

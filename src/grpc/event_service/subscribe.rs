//! Subscribe.

use std::sync::Arc;
use std::time::Duration;

use super::super::Services;
use super::super::convert::{optional_duration, to_gap_at, to_node, to_node_state, unknown_value};
use super::super::watch::Watched;
use super::encodings::Selected;
use super::request::{event_filter, parse_cursor};
use super::selection::Selection;
use super::shared::Streamed;
use super::snapshot::{Scope, SnapshotParts};
use crate::domain::{Failure, NodeId, NodeState};
use crate::events::{Cursor, Entry, Item, SlowPolicy, Start, Subscription, Want};
use crate::pb;
use crate::pb::{subscribe_response, subscribe_start};

/// Shortest silence after which a checkpoint may be asked for.
const MIN_HEARTBEAT: Duration = Duration::from_secs(1);
/// Longest one.
const MAX_HEARTBEAT: Duration = Duration::from_secs(60 * 60);

/// One stream.
pub(super) struct Feed {
    services: Services,
    /// What there is, until it is told.
    snapshot: Option<SnapshotParts>,
    /// What comes then.
    subscription: Subscription,
    selected: Arc<Selected>,
    /// FreeSWITCH sends what the filter lets through for as long as the stream lives.
    _want: Want,
}

// === impl Feed ===

impl Feed {
    pub(super) async fn begin(
        services: &Services,
        request: pb::SubscribeRequest,
    ) -> Result<Self, Failure> {
        let policy = request.slow_consumer_policy;
        let policy = match pb::SlowConsumerPolicy::try_from(policy) {
            Ok(pb::SlowConsumerPolicy::Unspecified | pb::SlowConsumerPolicy::End) => {
                SlowPolicy::End
            }
            Ok(pb::SlowConsumerPolicy::Gap) => SlowPolicy::Gap,
            Err(_) => return Err(unknown_value("slow_consumer_policy", policy)),
        };
        let silence = optional_duration(request.heartbeat_interval, "heartbeat_interval")?;
        let silence = match silence {
            Some(silence) => check_heartbeat(silence)?,
            None => services.heartbeat_interval,
        };
        let selection = Selection::parse(request.header_selection)?;
        let filter = request.filter.unwrap_or_default();
        let scope = Scope::of(&filter);
        let filter = event_filter(filter)?;
        let position = position(request.start)?;
        // Before the want is taken, which outlives this even when it fails.
        if let Position::At(Start::After(cursor)) = position {
            services.control.check_reaches(cursor)?;
        }
        let want = services.control.want(filter.events());
        // Before it begins: its first cursor is one behind which nothing that it wants is missing.
        want.in_force().await;
        let (start, snapshot) = match position {
            Position::At(start) => (start, None),
            // Captured last, since that makes all events wait.
            Position::Snapshot => {
                let capture = services.control.capture();
                let start = Start::After(capture.cursor);
                (start, Some(SnapshotParts::new(services, capture, scope)))
            }
        };
        let subscription = services.control.subscribe(
            filter.needing(want.set().clone()),
            start,
            policy,
            services.subscriber_bytes,
            silence,
        )?;
        Ok(Self {
            services: services.clone(),
            snapshot,
            subscription,
            selected: services.encodings.select(selection),
            _want: want,
        })
    }

    fn tell(&self, message: subscribe_response::Message) -> Streamed {
        Streamed::other(self.subscription.cursor(), message)
    }

    fn node_state(&self, id: &NodeId, state: NodeState) -> pb::Node {
        let mut told = match self.services.control.node(id) {
            Ok(node) => to_node(&node, &self.services.control),
            Err(_) => pb::Node {
                node_id: id.to_string(),
                ..pb::Node::default()
            },
        };
        // What it was then, not what it is by now.
        told.state = to_node_state(state).into();
        told
    }

    fn other(&self, entry: &Entry) -> subscribe_response::Message {
        match entry {
            Entry::Gap(gap) => {
                let gap = to_gap_at(gap, self.subscription.cursor());
                subscribe_response::Message::Gap(gap)
            }
            Entry::NodeState { node, state } => {
                subscribe_response::Message::NodeState(self.node_state(node, *state))
            }
            Entry::Event(_) | Entry::Asked(_) => {
                subscribe_response::Message::Checkpoint(pb::Checkpoint {})
            }
        }
    }
}

impl Watched for Feed {
    type Message = Streamed;

    async fn next(&mut self) -> Result<Option<Streamed>, Failure> {
        if let Some(snapshot) = &mut self.snapshot {
            let told = snapshot.next()?;
            if snapshot.is_told() {
                self.snapshot = None;
                // It has nothing to tell yet but that it begins.
                self.subscription.next().await?;
            }
            return Ok(Some(told));
        }
        let told = match self.subscription.next().await? {
            Item::Events(entries) => Streamed::Events {
                cursor: self.subscription.cursor().to_string(),
                events: self.services.encodings.of(&self.selected, &entries),
            },
            Item::Other(entry) => self.tell(self.other(&entry)),
            Item::Gap(gap) => {
                let gap = to_gap_at(&gap, self.subscription.cursor());
                self.tell(subscribe_response::Message::Gap(gap))
            }
            Item::Checkpoint => {
                self.tell(subscribe_response::Message::Checkpoint(pb::Checkpoint {}))
            }
        };
        Ok(Some(told))
    }

    fn cursor(&self) -> Cursor {
        self.subscription.cursor()
    }
}

fn check_heartbeat(silence: Duration) -> Result<Duration, Failure> {
    let problem = match silence {
        shorter if shorter < MIN_HEARTBEAT => "is shorter than 1 s",
        longer if longer > MAX_HEARTBEAT => "is longer than 1 h",
        _ => return Ok(silence),
    };
    Err(Failure::invalid("heartbeat_interval", problem))
}

/// Where a stream begins.
enum Position {
    At(Start),
    Snapshot,
}

fn position(start: Option<pb::SubscribeStart>) -> Result<Position, Failure> {
    let start = match start.and_then(|start| start.position) {
        None | Some(subscribe_start::Position::Now(_)) => Start::Now,
        Some(subscribe_start::Position::Earliest(_)) => Start::Earliest,
        Some(subscribe_start::Position::Cursor(cursor)) => {
            Start::After(parse_cursor(&cursor, "start.cursor")?)
        }
        Some(subscribe_start::Position::Snapshot(_)) => return Ok(Position::Snapshot),
    };
    Ok(Position::At(start))
}

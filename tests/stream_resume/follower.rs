//! A subscriber over gRPC that keeps what it was told.

use std::sync::Arc;

use rand::Rng as _;
use rand::rngs::StdRng;
use switchgate::events::{Cursor, Journal};
use switchgate::pb::event_service_client::EventServiceClient;
use switchgate::pb::subscribe_response::Message;
use switchgate::pb::{self, header_selection};
use tokio::sync::watch;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::client::{seconds, start_at};
use crate::faults::until;
use crate::gateway::{Gateway, code_and_reason, connect_narrow, metadata, within};

/// How it behaves.
pub(super) enum Manner {
    /// Reads on one stream to the end.
    Stays,
    /// Leaves, forgets the end of what it was told, and resumes.
    Leaves(Box<StdRng>),
    /// Reads nothing until so much has come that it is too slow.
    Stalls,
}

/// One thing that was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) position: u64,
    pub(super) what: String,
}

pub(super) struct Follower {
    address: std::net::SocketAddr,
    journal: Arc<Journal>,
    filter: pb::EventFilter,
    policy: pb::SlowConsumerPolicy,
    cursor: Cursor,
    pub(super) told: Vec<Told>,
    /// How often its stream ended since it was too slow.
    pub(super) ends: usize,
}

/// Why a stream is over.
enum Over {
    /// It was left.
    Left,
    /// All was told.
    Done,
    Ended(Status),
}

// === impl Told ===

impl Told {
    pub(super) fn is_event(&self) -> bool {
        self.what.starts_with("event")
    }

    /// How many events were left out since the subscriber was slow.
    pub(super) fn left_out(&self) -> Option<u64> {
        self.what.strip_prefix("left out ")?.parse().ok()
    }
}

// === impl Follower ===

impl Follower {
    pub(super) fn new(
        gateway: &Gateway,
        filter: pb::EventFilter,
        policy: pb::SlowConsumerPolicy,
        cursor: Cursor,
    ) -> Self {
        Self {
            address: gateway.address,
            journal: Arc::clone(&gateway.control.journal),
            filter,
            policy,
            cursor,
            told: Vec::new(),
            ends: 0,
        }
    }

    /// Follows until all up to the end was told, when that is known.
    pub(super) async fn follow(
        mut self,
        mut manner: Manner,
        end: watch::Receiver<Option<u64>>,
    ) -> Self {
        // Its own, so that nobody else is slow with it.
        let mut client = EventServiceClient::new(connect_narrow(self.address).await);
        loop {
            match self.stay(&mut client, &mut manner, &end).await {
                Over::Left => {}
                Over::Done => break,
                Over::Ended(status) => {
                    let expected = (Code::ResourceExhausted, "SLOW_CONSUMER".to_owned());
                    assert_eq!(code_and_reason(&status), expected, "{status:?}");
                    // What it does not want may lie between.
                    let cursor: Cursor = metadata(&status, "cursor").parse().unwrap();
                    assert!(cursor.position >= self.cursor.position);
                    self.cursor = cursor;
                    self.ends += 1;
                }
            }
        }
        let end = end.borrow().unwrap();
        self.told
            .retain(|told| told.position <= end || told.left_out().is_some());
        self
    }

    async fn stay(
        &mut self,
        client: &mut EventServiceClient<Channel>,
        manner: &mut Manner,
        end: &watch::Receiver<Option<u64>>,
    ) -> Over {
        let request = pb::SubscribeRequest {
            filter: Some(self.filter.clone()),
            header_selection: Some(pb::HeaderSelection {
                selection: Some(header_selection::Selection::None(pb::NoHeaders {})),
            }),
            start: Some(start_at(&self.cursor.to_string())),
            slow_consumer_policy: self.policy.into(),
            heartbeat_interval: Some(seconds(1)),
        };
        let mut stream = within(client.subscribe(request))
            .await
            .unwrap()
            .into_inner();
        let mut messages_left = match manner {
            Manner::Leaves(rng) => rng.random_range(1..8),
            Manner::Stays | Manner::Stalls => usize::MAX,
        };
        loop {
            let response = match within(stream.message()).await {
                Ok(response) => response.expect("the stream goes on"),
                Err(status) => return Over::Ended(status),
            };
            self.take(response);
            if end.borrow().is_some_and(|end| self.cursor.position >= end) {
                return Over::Done;
            }
            messages_left -= 1;
            if messages_left == 0 {
                if let Manner::Leaves(rng) = manner {
                    self.forget(rng.random_range(0..5));
                }
                return Over::Left;
            }
            if matches!(manner, Manner::Stalls) {
                let (journal, until_position) = (&self.journal, self.cursor.position + 700);
                let is_over = || journal.cursor().position >= until_position;
                until(|| is_over() || end.borrow().is_some()).await;
            }
        }
    }

    /// Goes on behind one of the last things that were told.
    fn forget(&mut self, count: usize) {
        let last = self.told.len().saturating_sub(count);
        if let Some(told) = self.told.get(last.wrapping_sub(1)) {
            self.cursor.position = told.position;
            self.told.truncate(last);
        }
    }

    fn take(&mut self, response: pb::SubscribeResponse) {
        let cursor: Cursor = response.cursor.parse().unwrap();
        assert!(
            cursor.position >= self.cursor.position,
            "a cursor never goes back"
        );
        self.cursor = cursor;
        let message = response.message.unwrap();
        let what = match message {
            Message::Events(batch) => {
                for event in batch.events {
                    let cursor: Cursor = event.cursor.parse().unwrap();
                    let what = format!(
                        "event {} {} {}",
                        event.name, event.core_uuid, event.sequence
                    );
                    self.tell(cursor.position, what);
                }
                return;
            }
            Message::Gap(gap) => {
                assert_eq!(gap.cursor, response.cursor);
                assert!(gap.began.is_some());
                match gap.reason() {
                    pb::GapReason::SlowConsumer => format!("left out {}", gap.count),
                    reason => format!("gap {} {reason:?}", gap.node_id),
                }
            }
            Message::NodeState(node) => format!("state {} {:?}", node.node_id, node.state()),
            Message::Checkpoint(_) => return,
            Message::Snapshot(_) | Message::SnapshotEnd(_) => panic!("no snapshot was asked for"),
        };
        self.tell(cursor.position, what);
    }

    fn tell(&mut self, position: u64, what: String) {
        let last = self.told.last().map_or(0, |told| told.position);
        assert!(position > last, "{what} at {position} comes behind {last}");
        self.told.push(Told { position, what });
    }
}

//! A subscriber that goes on at the other gateway when its own stops.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use switchgate::pb::event_service_client::EventServiceClient;
use switchgate::pb::subscribe_response::Message;
use switchgate::pb::subscribe_start::Position;
use switchgate::pb::{self, SubscribeResponse};
use switchgate::shutdown::Drain;
use tokio::task::JoinHandle;
use tonic::{Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::client::lazily;

/// Where it begins at a gateway that does not know its cursor.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start {
    /// With what there is.
    Snapshot,
    /// With all that the gateway still knows, which it has heard in part.
    Earliest,
}

pub(super) struct Subscriber {
    heard: Arc<Heard>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Heard {
    /// How often each session's end was told.
    ends: Mutex<HashMap<String, usize>>,
    /// Events, by what identifies them at every gateway.
    events: Mutex<HashSet<(String, u64)>>,
    gaps: Mutex<Vec<String>>,
    streams: AtomicUsize,
}

// === impl Subscriber ===

impl Subscriber {
    pub(super) fn start(addresses: [SocketAddr; 2], start: Start) -> Self {
        let heard = Arc::<Heard>::default();
        let task = Drain::new().spawn(follow(addresses, start, Arc::clone(&heard)));
        Self { heard, task }
    }

    pub(super) fn has_begun(&self) -> bool {
        self.heard.streams.load(Ordering::Relaxed) > 0
    }

    /// How often it went to another gateway.
    pub(super) fn moves(&self) -> usize {
        self.heard.streams.load(Ordering::Relaxed).saturating_sub(1)
    }

    pub(super) fn gaps(&self) -> Vec<String> {
        self.heard.gaps.lock().unwrap().clone()
    }

    pub(super) fn ends(&self) -> HashMap<String, usize> {
        self.heard.ends.lock().unwrap().clone()
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Heard ===

impl Heard {
    fn take(&self, message: Message) {
        match message {
            Message::Events(batch) => {
                for event in batch.events {
                    let identity = (event.core_uuid, event.sequence);
                    if event.synthetic || self.events.lock().unwrap().insert(identity) {
                        *self
                            .ends
                            .lock()
                            .unwrap()
                            .entry(event.session_id)
                            .or_default() += 1;
                    }
                }
            }
            Message::Snapshot(snapshot) => {
                let ended = snapshot.sessions.into_iter();
                for session in ended.filter(|session| session.hangup.is_some()) {
                    let mut ends = self.ends.lock().unwrap();
                    ends.entry(session.session_id).or_insert(1);
                }
            }
            Message::Gap(gap) => {
                self.gaps.lock().unwrap().push(format!("{gap:?}"));
            }
            Message::Checkpoint(_) | Message::SnapshotEnd(_) | Message::NodeState(_) => {}
        }
    }
}

async fn follow(addresses: [SocketAddr; 2], start: Start, heard: Arc<Heard>) {
    for at in 0.. {
        match subscribe(addresses[at % 2], start).await {
            Ok(mut stream) => {
                let mut is_first = true;
                while let Ok(Some(response)) = stream.message().await {
                    if std::mem::take(&mut is_first) {
                        heard.streams.fetch_add(1, Ordering::Relaxed);
                    }
                    heard.take(response.message.unwrap());
                }
            }
            // A client's back-off.
            Err(_) => tokio::time::sleep(Duration::from_millis(25)).await,
        }
    }
}

async fn subscribe(
    address: SocketAddr,
    start: Start,
) -> Result<Streaming<SubscribeResponse>, Status> {
    let position = match start {
        Start::Snapshot => Position::Snapshot(pb::StartSnapshot {}),
        Start::Earliest => Position::Earliest(pb::StartEarliest {}),
    };
    let request = pb::SubscribeRequest {
        filter: Some(pb::EventFilter {
            event_names: vec!["CHANNEL_HANGUP".to_owned()],
            ..Default::default()
        }),
        start: Some(pb::SubscribeStart {
            position: Some(position),
        }),
        ..Default::default()
    };
    let channel = lazily(address);
    // One that has not read its nodes yet cannot tell what there is.
    let mut health = HealthClient::new(channel.clone());
    let checked = health.check(HealthCheckRequest::default()).await?;
    if checked.into_inner().status() != ServingStatus::Serving {
        return Err(Status::unavailable("does not serve"));
    }
    let stream = EventServiceClient::new(channel).subscribe(request).await?;
    Ok(stream.into_inner())
}

//! Subscribers: one reads on, another leaves again and again and resumes where it was. Both must
//! have been told the same.

use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use switchgate::pb;
use switchgate::pb::subscribe_response::Message;
use switchgate::pb::subscribe_start::Position;
use switchgate::shutdown::Drain;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::client::Shared;
use super::requests::span;
use super::trace::Trace;

/// How long the one that leaves stays, and stays away, at most.
const VISIT: Duration = Duration::from_secs(8);
/// Longer than any stay.
const EVER: Duration = Duration::from_secs(3600);

/// Everyone who subscribed.
pub(super) struct Followers {
    over: CancellationToken,
    told: [JoinHandle<Vec<String>>; 2],
}

/// One subscriber.
struct Follower {
    shared: Shared,
    over: CancellationToken,
    cursor: Option<String>,
    told: Vec<String>,
}

pub(super) fn start(shared: &Shared, tasks: &Drain, seed: u64) -> Followers {
    let over = CancellationToken::new();
    let follower = || Follower {
        shared: shared.clone(),
        over: over.clone(),
        cursor: None,
        told: Vec::new(),
    };
    let (steady, fickle) = (follower(), follower());
    let rng = StdRng::seed_from_u64(seed);
    Followers {
        told: [
            tasks.spawn(steady.stay_on()),
            tasks.spawn(fickle.come_and_go(rng)),
        ],
        over,
    }
}

/// Ends the subscriptions and compares what was told.
pub(super) async fn finish(followers: Followers, trace: &Arc<Trace>) {
    // What has happened is told by then.
    tokio::time::sleep(2 * VISIT).await;
    followers.over.cancel();
    let [steady, fickle] = followers.told;
    let (steady, fickle) = (steady.await.unwrap(), fickle.await.unwrap());
    trace.tell("subscriber", format_args!("{} events", steady.len()));
    let differs = steady.iter().zip(&fickle).position(|(a, b)| a != b);
    if steady.len() != fickle.len() || differs.is_some() {
        trace.wrong(
            "subscriber",
            format_args!(
                "one was told {} events, the other {}, different from {differs:?} on",
                steady.len(),
                fickle.len()
            ),
        );
    }
}

// === impl Follower ===

impl Follower {
    async fn stay_on(mut self) -> Vec<String> {
        self.follow(Instant::now() + EVER).await;
        self.told
    }

    async fn come_and_go(mut self, mut rng: StdRng) -> Vec<String> {
        while !self.over.is_cancelled() {
            let until = Instant::now() + span(&mut rng, VISIT);
            self.follow(until).await;
            tokio::select! {
                biased;
                () = self.over.cancelled() => {}
                () = tokio::time::sleep(span(&mut rng, VISIT)) => {}
            }
        }
        // Away or not at the end, all is read.
        self.over = CancellationToken::new();
        self.follow(Instant::now() + Duration::from_secs(1)).await;
        self.told
    }

    /// Reads on from where it was.
    async fn follow(&mut self, until: Instant) {
        let position = match self.cursor.clone() {
            Some(cursor) => Position::Cursor(cursor),
            None => Position::Earliest(pb::StartEarliest {}),
        };
        let names = [
            "CHANNEL_CREATE",
            "CHANNEL_ANSWER",
            "CHANNEL_HANGUP_COMPLETE",
            "BACKGROUND_JOB",
        ];
        let request = pb::SubscribeRequest {
            filter: Some(pb::EventFilter {
                event_names: names.map(str::to_owned).into(),
                ..Default::default()
            }),
            header_selection: Some(pb::HeaderSelection {
                selection: Some(pb::header_selection::Selection::None(pb::NoHeaders {})),
            }),
            start: Some(pb::SubscribeStart {
                position: Some(position),
            }),
            ..Default::default()
        };
        let trace = Arc::clone(&self.shared.trace);
        let mut stream = match self.shared.events.subscribe(request).await {
            Ok(response) => response.into_inner(),
            Err(status) => return trace.wrong("subscriber", status),
        };
        loop {
            let over = self.over.clone();
            let response = tokio::select! {
                biased;
                response = timeout_at(until, stream.message()) => response,
                () = over.cancelled() => return,
            };
            match response {
                Err(_) => return,
                Ok(Ok(Some(response))) => self.take(response),
                Ok(other) => return trace.wrong("subscriber", format_args!("ends: {other:?}")),
            }
        }
    }

    fn take(&mut self, response: pb::SubscribeResponse) {
        self.cursor = Some(response.cursor);
        match response.message {
            Some(Message::Events(batch)) => {
                let told = batch.events.into_iter();
                self.told.extend(
                    told.map(|event| {
                        format!("{} {} {}", event.cursor, event.name, event.session_id)
                    }),
                );
            }
            Some(Message::Gap(gap)) => self.told.push(format!("gap of {}", gap.node_id)),
            Some(Message::NodeState(node)) => {
                self.told.push(format!("{} {}", node.node_id, node.state));
            }
            Some(Message::Checkpoint(_)) | None => {}
            Some(Message::Snapshot(_) | Message::SnapshotEnd(_)) => {
                panic!("no snapshot was asked for")
            }
        }
    }
}

//! A subscriber that keeps what it was told.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use switchgate::events::Cursor;
use switchgate::pb::{self, header_selection, subscribe_response::Message};
use switchgate::shutdown::Drain;
use tokio::task::JoinHandle;

use crate::client::start_at;
use crate::faults::{Told, until};
use crate::gateway::Gateway;

/// How long a resuming listener stays on one stream.
const STAY: Duration = Duration::from_millis(700);

pub(super) struct Listener {
    heard: Arc<Mutex<Heard>>,
    task: JoinHandle<()>,
}

/// What came, in order.
#[derive(Default)]
pub(super) struct Heard {
    told: Vec<Told>,
    /// Cursors of the events.
    pub(super) events: Vec<String>,
    /// Of the last response.
    cursor: String,
    pub(super) resumed: usize,
}

// === impl Listener ===

impl Listener {
    /// On one stream to the end.
    pub(super) fn begin(gateway: &Gateway, tasks: &Drain) -> Self {
        Self::listen(gateway, None, tasks)
    }

    /// Leaves its stream again and again, and goes on at its cursor.
    pub(super) fn begin_resuming(gateway: &Gateway, tasks: &Drain) -> Self {
        Self::listen(gateway, Some(STAY), tasks)
    }

    fn listen(gateway: &Gateway, stay: Option<Duration>, tasks: &Drain) -> Self {
        let heard = Arc::<Mutex<Heard>>::default();
        // Both begin at the same place, whenever their tasks first run.
        let begin = gateway.control.journal.cursor().to_string();
        lock(&heard).cursor.clone_from(&begin);
        let (mut client, heard_by_task) = (gateway.events(), Arc::clone(&heard));
        let task = tasks.spawn(async move {
            loop {
                let request = pb::SubscribeRequest {
                    start: Some(start_at(&lock(&heard_by_task).cursor)),
                    header_selection: Some(only(&["Switchgate-Synthetic", "Hangup-Cause"])),
                    ..Default::default()
                };
                let mut stream = client.subscribe(request).await.unwrap().into_inner();
                let listen = async {
                    loop {
                        let response = stream.message().await.expect("the stream goes on");
                        lock(&heard_by_task).take(response.expect("the stream goes on"));
                    }
                };
                match stay {
                    Some(stay) => drop(tokio::time::timeout(stay, listen).await),
                    None => listen.await,
                }
                lock(&heard_by_task).resumed += 1;
            }
        });
        Self { heard, task }
    }

    /// How much was told until now.
    pub(super) fn told(&self) -> usize {
        lock(&self.heard).told.len()
    }

    /// What was told since then, up to the node's return to service.
    pub(super) async fn until_ready(&self, count: usize) -> Vec<Told> {
        let is_ready = |told: &Told| matches!(told, Told::State(_, pb::NodeState::Ready));
        until(|| lock(&self.heard).told[count..].iter().any(is_ready)).await;
        lock(&self.heard).told[count..].to_vec()
    }

    async fn reached(&self, end: Cursor) {
        until(|| {
            let cursor: Cursor = lock(&self.heard).cursor.parse().unwrap();
            cursor.position >= end.position
        })
        .await;
    }

    /// Everything up to a cursor, when it has come.
    pub(super) async fn up_to(self, end: Cursor) -> Heard {
        self.reached(end).await;
        self.task.abort();
        let mut heard = std::mem::take(&mut *lock(&self.heard));
        heard.events.retain(|cursor| {
            let cursor: Cursor = cursor.parse().unwrap();
            cursor.position <= end.position
        });
        heard
    }
}

// === impl Heard ===

impl Heard {
    fn take(&mut self, response: pb::SubscribeResponse) {
        self.cursor = response.cursor;
        match response.message.unwrap() {
            Message::Events(batch) => {
                for event in batch.events {
                    self.events.push(event.cursor.clone());
                    self.told.push(Told::Event(Box::new(event)));
                }
            }
            Message::Gap(gap) => self.told.push(Told::Gap(gap)),
            Message::NodeState(node) => {
                self.told
                    .push(Told::State(node.node_id.clone(), node.state()));
            }
            Message::Checkpoint(_) => {}
            Message::Snapshot(_) | Message::SnapshotEnd(_) => panic!("no snapshot was asked for"),
        }
    }
}

fn only(names: &[&str]) -> pb::HeaderSelection {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    pb::HeaderSelection {
        selection: Some(header_selection::Selection::Names(pb::HeaderNames {
            names,
        })),
    }
}

fn lock(heard: &Mutex<Heard>) -> std::sync::MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

//! What clients see when links and nodes fail: code, reason, how soon, and that the gateway
//! recovers by itself and leaves nothing behind.

pub(crate) mod fill;
mod jobs;
mod links;
mod placement;
mod reconcile;
mod refusals;
mod replies;
mod restart;

use std::time::Duration;

use switchgate::config::Config;
use switchgate::domain::{JobId, NodeState, SessionId};
use switchgate::fleet::Node;
use switchgate::jobs::SharedJob;
use switchgate::pb::{self, subscribe_response::Message};
use switchgate::shutdown::Drain;
use switchgate::sim::{Fault, Sim, SimConfig};
use switchgate::tracker::Session;
use tokio::time::Instant;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt as _;

use crate::gateway::{Gateway, code_and_reason, metadata, within};

/// What is allowed on top of a configured time on a busy machine.
pub(crate) const SLACK: Duration = Duration::from_secs(3);
/// Pause between two looks at something that tells nobody when it changes.
const GLANCE: Duration = Duration::from_millis(2);

/// A subscription to everything, read as a test needs it.
pub(crate) struct Watcher {
    stream: Streaming<pb::SubscribeResponse>,
    /// Events of a batch that were not looked at yet.
    rest: std::collections::VecDeque<Told>,
}

/// One thing that a subscriber was told, checkpoints aside.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Told {
    Event(Box<pb::Event>),
    Gap(pb::Gap),
    State(String, pb::NodeState),
}

// === impl Watcher ===

impl Watcher {
    pub(crate) async fn begin(gateway: &Gateway) -> Self {
        let request = pb::SubscribeRequest::default();
        let stream = within(gateway.events().subscribe(request)).await.unwrap();
        let mut watcher = Self {
            stream: stream.into_inner(),
            rest: Default::default(),
        };
        // The first response comes at once: from here on nothing is missed.
        let first = within(watcher.stream.message()).await.unwrap().unwrap();
        assert!(matches!(first.message, Some(Message::Checkpoint(_))));
        watcher
    }

    /// What comes next.
    pub(crate) async fn next(&mut self) -> Result<Told, Status> {
        loop {
            if let Some(told) = self.rest.pop_front() {
                return Ok(told);
            }
            let response = within(self.stream.message())
                .await?
                .expect("a stream ends with a status");
            match response.message.expect("a response says something") {
                Message::Checkpoint(_) => {}
                Message::Events(batch) => self.rest.extend(
                    batch
                        .events
                        .into_iter()
                        .map(|event| Told::Event(Box::new(event))),
                ),
                Message::Gap(gap) => return Ok(Told::Gap(gap)),
                Message::NodeState(node) => {
                    return Ok(Told::State(node.node_id.clone(), node.state()));
                }
                Message::Snapshot(_) | Message::SnapshotEnd(_) => {
                    panic!("no snapshot was asked for")
                }
            }
        }
    }

    /// Reads on until something is what a test waits for; gives back all that came, itself last.
    pub(crate) async fn until(&mut self, mut is_it: impl FnMut(&Told) -> bool) -> Vec<Told> {
        let mut seen = Vec::new();
        loop {
            let told = self.next().await.expect("the stream goes on");
            let found = is_it(&told);
            seen.push(told);
            if found {
                return seen;
            }
        }
    }

    /// Reads on until a node is told to be in this state.
    pub(crate) async fn until_state(&mut self, node: &str, state: pb::NodeState) -> Vec<Told> {
        self.until(|told| *told == Told::State(node.to_owned(), state))
            .await
    }
}

// === impl Told ===

impl Told {
    /// Names and reasons, to compare a whole story in one go; events only where made by the
    /// gateway.
    pub(crate) fn story(seen: &[Self]) -> Vec<String> {
        seen.iter()
            .filter_map(|told| match told {
                Self::State(node, state) => Some(format!("{node} {}", state.as_str_name())),
                Self::Gap(gap) => Some(format!(
                    "{} gap {}",
                    gap.node_id,
                    gap.reason().as_str_name()
                )),
                Self::Event(event) if event.synthetic => Some(format!("synthetic {}", event.name)),
                Self::Event(_) => None,
            })
            .collect()
    }
}

/// Short times, so that a test sees them pass: a silent link is found within 600 ms.
pub(crate) fn quick(config: &mut Config) {
    config.esl.probe_after = Duration::from_millis(200);
    config.esl.dead_after = Duration::from_millis(600);
    config.esl.connect_timeout = Duration::from_millis(500);
}

/// Over one simulated node of this kind.
pub(crate) async fn over(config: SimConfig, tune: impl FnOnce(&mut Config)) -> Gateway {
    let drain = Drain::new();
    let sim = Sim::new(config, &drain);
    Gateway::over(vec![sim], drain, tune).await
}

pub(crate) fn node(gateway: &Gateway, name: &str) -> std::sync::Arc<Node> {
    gateway.control.fleet.node(&name.parse().unwrap()).unwrap()
}

pub(crate) async fn reached(gateway: &Gateway, name: &str, state: NodeState) {
    within(node(gateway, name).reached(state)).await;
}

/// Waits for something that tells nobody when it becomes true.
pub(crate) async fn until(mut is_true: impl FnMut() -> bool) {
    within(async {
        while !is_true() {
            tokio::time::sleep(GLANCE).await;
        }
    })
    .await;
}

/// Waits until the simulator has received a command with this text.
pub(crate) async fn received(sim: &Sim, text: &str) {
    until(|| count_received(sim, text) > 0).await;
}

pub(crate) fn count_received(sim: &Sim, text: &str) -> usize {
    let commands = sim.commands();
    commands
        .iter()
        .filter(|command| String::from_utf8_lossy(command).contains(text))
        .count()
}

/// All links are lost, and the node stays away until the test heals it.
pub(crate) async fn take_away(gateway: &Gateway) {
    let sim = gateway.sim();
    sim.inject(Fault::RefuseConnections(Duration::from_secs(600)));
    sim.inject(Fault::DropLinks);
    reached(gateway, "sim-0", NodeState::Down).await;
    until(|| node(gateway, "sim-0").command_links().0 == 0).await;
}

/// The node comes back and is in service with all its links.
pub(crate) async fn bring_back(gateway: &Gateway) {
    gateway.sim().inject(Fault::Heal);
    in_full_service(gateway).await;
}

pub(crate) async fn in_full_service(gateway: &Gateway) {
    reached(gateway, "sim-0", NodeState::Ready).await;
    let node = node(gateway, "sim-0");
    until(|| {
        let (live, wanted) = node.command_links();
        live == wanted
    })
    .await;
}

/// A call that came from outside and is parked, unanswered.
pub(crate) async fn inbound(gateway: &Gateway) -> String {
    let id = gateway.sim().place_inbound("park", "1000");
    seen(gateway, &id, |session| session.parked).await;
    id
}

/// Waits until the tracker shows a session so.
pub(crate) async fn seen(gateway: &Gateway, id: &str, mut is_so: impl FnMut(&Session) -> bool) {
    let id: SessionId = id.parse().unwrap();
    until(|| {
        let session = gateway.control.tracker.session(&id);
        session.is_some_and(|session| is_so(&session))
    })
    .await;
}

pub(crate) async fn session(gateway: &Gateway, id: &str) -> pb::Session {
    let request = pb::GetSessionRequest {
        session_id: id.to_owned(),
        ..Default::default()
    };
    let response = within(gateway.sessions().get_session(request)).await;
    response.unwrap().into_inner().session.unwrap()
}

/// Waits for a job's end behind the API.
pub(crate) async fn job_end(gateway: &Gateway, id: &str) -> SharedJob {
    let id: JobId = id.parse().unwrap();
    within(gateway.control.jobs.ended(&id)).await.unwrap()
}

pub(crate) async fn answer(gateway: &Gateway, id: &str) -> Result<pb::Session, Status> {
    answer_within(gateway, id, Duration::from_secs(20)).await
}

pub(crate) async fn answer_within(
    gateway: &Gateway,
    id: &str,
    timeout: Duration,
) -> Result<pb::Session, Status> {
    let mut request = tonic::Request::new(pb::AnswerRequest {
        session_id: id.to_owned(),
        ..Default::default()
    });
    request.set_timeout(timeout);
    let response = within(gateway.sessions().answer(request)).await?;
    Ok(response.into_inner().session.unwrap())
}

pub(crate) async fn hang_up(
    gateway: &Gateway,
    id: &str,
    timeout: Duration,
) -> Result<pb::Session, Status> {
    let mut request = tonic::Request::new(pb::HangupRequest {
        session_id: id.to_owned(),
        ..Default::default()
    });
    request.set_timeout(timeout);
    let response = within(gateway.sessions().hangup(request)).await?;
    Ok(response.into_inner().session.unwrap())
}

pub(crate) fn call_to(endpoint: &str) -> pb::OriginateRequest {
    pb::OriginateRequest {
        endpoints: vec![endpoint.to_owned()],
        ..Default::default()
    }
}

pub(crate) async fn originate(gateway: &Gateway, endpoint: &str) -> Result<pb::Session, Status> {
    let response = within(gateway.sessions().originate(call_to(endpoint))).await?;
    Ok(response.into_inner().session.unwrap())
}

pub(crate) fn job(command: &str, arguments: &str) -> pb::RunJobRequest {
    pb::RunJobRequest {
        command: command.to_owned(),
        arguments: arguments.to_owned(),
        ..Default::default()
    }
}

pub(crate) async fn run_job(
    gateway: &Gateway,
    request: pb::RunJobRequest,
) -> Result<pb::Job, Status> {
    let response = within(gateway.jobs().run_job(request)).await?;
    Ok(response.into_inner().job.unwrap())
}

pub(crate) async fn run_api(
    gateway: &Gateway,
    command: &str,
    arguments: &str,
    timeout: Duration,
) -> Result<String, Status> {
    let mut request = tonic::Request::new(pb::RunApiRequest {
        node_id: "sim-0".to_owned(),
        command: command.to_owned(),
        arguments: arguments.to_owned(),
    });
    request.set_timeout(timeout);
    let response = within(gateway.nodes().run_api(request)).await?;
    Ok(response.into_inner().output)
}

/// The command was not sent: the client may send it again, and is told so.
pub(crate) fn assert_unavailable(status: &Status) {
    assert_eq!(
        code_and_reason(status),
        (Code::Unavailable, "NODE_UNAVAILABLE".to_owned()),
        "{status:?}"
    );
    assert_eq!(metadata(status, "node_id"), "sim-0");
    assert!(is_retry_safe(status));
}

/// The command was sent and nobody knows what came of it: nobody may just send it again.
pub(crate) fn assert_unknown(status: &Status) {
    assert_eq!(
        code_and_reason(status),
        (Code::Unavailable, "OUTCOME_UNKNOWN".to_owned()),
        "{status:?}"
    );
    assert_eq!(metadata(status, "node_id"), "sim-0");
    assert!(!is_retry_safe(status));
}

pub(crate) fn assert_too_late(status: &Status, was_sent: bool) {
    assert_eq!(
        code_and_reason(status),
        (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned()),
        "{status:?}"
    );
    assert_eq!(metadata(status, "command_sent"), was_sent.to_string());
}

pub(crate) fn is_retry_safe(status: &Status) -> bool {
    status.get_error_details().retry_info().is_some()
}

/// The gateway serves as before: a call comes about and ends, a job runs.
pub(crate) async fn assert_serves(gateway: &Gateway) {
    let session = originate(gateway, "sofia/internal/answer@127.0.0.1")
        .await
        .expect("a call comes about");
    let ended = hang_up(gateway, &session.session_id, SLACK * 5)
        .await
        .expect("it is hung up");
    assert!(ended.hangup.is_some() && !ended.synthetic_end);
    let ran = run_job(gateway, job("status", ""))
        .await
        .expect("a job runs");
    assert_eq!(ran.state(), pb::JobState::Succeeded);
}

/// Nothing is under way any more; then the gateway drains.
pub(crate) async fn leave(gateway: Gateway) {
    until(|| {
        gateway.control.jobs.unfinished() == 0
            && gateway.control.tracker.expected() == 0
            && gateway
                .control
                .fleet
                .nodes()
                .all(|node| node.commands_under_way() == 0)
    })
    .await;
    gateway.stop().await;
}

/// How long something took.
pub(crate) async fn timed<F: Future>(future: F) -> (F::Output, Duration) {
    let began = Instant::now();
    let output = future.await;
    (output, began.elapsed())
}

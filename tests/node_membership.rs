//! Nodes that come and go: WatchNodes, AddNode, RemoveNode.

use std::net::{Ipv4Addr, SocketAddr};

use switchgate::domain::NodeState;
use switchgate::pb::{self, NodeChange};
use switchgate::shutdown::Drain;
use switchgate::sim::{Sim, SimConfig};
use tokio::net::TcpListener;
use tonic::{Code, Status, Streaming};

use crate::client::*;
use crate::gateway::{Gateway, PATIENCE, code_and_reason, metadata, within};

mod rules;
mod told;

/// A simulated node of its own.
pub(crate) struct Extra {
    pub(crate) address: SocketAddr,
    sim: Sim,
    drain: Drain,
}

impl Extra {
    pub(crate) async fn start(config: SimConfig) -> Self {
        let drain = Drain::new();
        let sim = Sim::new(config, &drain);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = sim.clone();
        drain.spawn(async move { server.serve(listener).await });
        Self {
            address,
            sim,
            drain,
        }
    }

    fn request(&self, node_id: &str) -> pb::AddNodeRequest {
        pb::AddNodeRequest {
            node_id: node_id.to_owned(),
            address: self.address.to_string(),
            password: "ClueCon".to_owned(),
            labels: map(&[("kind", "extra")]),
            command_links: 2,
            ..Default::default()
        }
    }

    pub(crate) async fn stop(self) {
        assert!(self.drain.finish(PATIENCE).await);
    }
}

async fn add(gateway: &Gateway, request: pb::AddNodeRequest) -> Result<pb::Node, Status> {
    let response = within(gateway.nodes().add_node(request)).await?;
    Ok(response.into_inner().node.unwrap())
}

async fn remove(
    gateway: &Gateway,
    node_id: &str,
    force: bool,
) -> Result<pb::RemoveNodeResponse, Status> {
    let request = pb::RemoveNodeRequest {
        node_id: node_id.to_owned(),
        force,
        request_id: String::new(),
    };
    Ok(within(gateway.nodes().remove_node(request))
        .await?
        .into_inner())
}

async fn ready(gateway: &Gateway, node_id: &str) {
    let node = gateway
        .control
        .fleet
        .node(&node_id.parse().unwrap())
        .unwrap();
    within(node.reached(NodeState::Ready)).await;
}

fn on(node_id: &str) -> Option<pb::NodeSelector> {
    Some(pb::NodeSelector {
        node_id: node_id.to_owned(),
        ..Default::default()
    })
}

async fn watch(gateway: &Gateway) -> Streaming<pb::WatchNodesResponse> {
    let request = pb::WatchNodesRequest {};
    within(gateway.nodes().watch_nodes(request))
        .await
        .unwrap()
        .into_inner()
}

/// The next change that is not one of figures or details: which, and the nodes with their states.
async fn change(
    stream: &mut Streaming<pb::WatchNodesResponse>,
) -> (NodeChange, Vec<(String, pb::NodeState)>) {
    loop {
        let message = within(stream.message()).await.unwrap().unwrap();
        assert!(!message.cursor.is_empty());
        let nodes = message
            .nodes
            .iter()
            .map(|node| (node.node_id.clone(), node.state()));
        if !matches!(message.change(), NodeChange::Figures | NodeChange::Detail) {
            return (message.change(), nodes.collect());
        }
    }
}

#[tokio::test]
async fn a_node_that_is_added_serves_and_one_that_is_removed_is_gone() {
    let gateway = Gateway::over_sim().await;
    let extra = Extra::start(SimConfig::default()).await;
    let mut stream = watch(&gateway).await;
    let (first, nodes) = change(&mut stream).await;
    assert_eq!(first, NodeChange::Snapshot);
    assert_eq!(nodes, [("sim-0".to_owned(), pb::NodeState::Ready)]);

    let node = add(&gateway, extra.request("extra")).await.unwrap();
    assert_eq!(
        (&*node.node_id, node.state()),
        ("extra", pb::NodeState::Connecting)
    );
    assert_eq!(node.labels["kind"], "extra");
    let one = |state| vec![("extra".to_owned(), state)];
    let connecting = (NodeChange::Added, one(pb::NodeState::Connecting));
    assert_eq!(change(&mut stream).await, connecting);
    assert_eq!(
        change(&mut stream).await,
        (NodeChange::State, one(pb::NodeState::Syncing))
    );
    assert_eq!(
        change(&mut stream).await,
        (NodeChange::State, one(pb::NodeState::Ready))
    );

    let status = add(&gateway, extra.request("extra")).await.unwrap_err();
    assert_eq!(
        code_and_reason(&status),
        (Code::AlreadyExists, "NODE_EXISTS".to_owned())
    );
    ready(&gateway, "extra").await;
    let call = pb::OriginateRequest {
        node_selector: Some(pb::NodeSelector {
            match_labels: map(&[("kind", "extra")]),
            ..Default::default()
        }),
        ..to(ANSWERS)
    };
    let session = place(&gateway, call).await.unwrap().session.unwrap();
    assert_eq!(session.node_id, "extra");

    // Refused while something lives there, and nothing has changed by that.
    let status = remove(&gateway, "extra", false).await.unwrap_err();
    assert_eq!(
        code_and_reason(&status),
        (Code::FailedPrecondition, "NODE_BUSY".to_owned())
    );
    assert_eq!(
        (metadata(&status, "sessions"), metadata(&status, "jobs")),
        ("2".into(), "0".into())
    );
    hang_up(&gateway, &session.session_id).await;
    let node_id = "extra".parse().unwrap();
    within(async {
        while gateway.control.tracker.live_count(&node_id) > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let removed = remove(&gateway, "extra", false).await.unwrap();
    assert_eq!((removed.sessions_ended, removed.jobs_lost), (0, 0));
    assert_eq!(
        change(&mut stream).await,
        (NodeChange::Removed, one(pb::NodeState::Removed))
    );
    for status in [
        remove(&gateway, "extra", true).await.unwrap_err(),
        place(
            &gateway,
            pb::OriginateRequest {
                node_selector: on("extra"),
                ..to(ANSWERS)
            },
        )
        .await
        .unwrap_err(),
    ] {
        assert_eq!(
            code_and_reason(&status),
            (Code::NotFound, "NODE_NOT_FOUND".to_owned())
        );
    }
    // It may come back under its name.
    add(&gateway, extra.request("extra")).await.unwrap();
    ready(&gateway, "extra").await;
    gateway.stop().await;
    extra.stop().await;
}

#[tokio::test]
async fn a_removal_by_force_ends_all_that_is_on_the_node_and_leaves_nothing() {
    let gateway = Gateway::over_sim().await;
    let extra = Extra::start(SimConfig::default()).await;
    add(&gateway, extra.request("extra")).await.unwrap();
    ready(&gateway, "extra").await;
    let stays = answered_on(&gateway, "sim-0").await;
    let session = answered_on(&gateway, "extra").await;
    let job = pb::StartJobRequest {
        command: "msleep".to_owned(),
        arguments: "60000".to_owned(),
        node_selector: on("extra"),
        ..Default::default()
    };
    let job = within(gateway.jobs().start_job(job))
        .await
        .unwrap()
        .into_inner()
        .job
        .unwrap();
    let mut feed = Feed::of(
        &gateway,
        pb::EventFilter {
            session_ids: vec![session.session_id.clone()],
            ..Default::default()
        },
    )
    .await;
    let watched = pb::WatchSessionRequest {
        session_id: session.session_id.clone(),
    };
    let mut watched = within(gateway.sessions().watch_session(watched))
        .await
        .unwrap()
        .into_inner();
    let removed = remove(&gateway, "extra", true).await.unwrap();
    assert_eq!((removed.sessions_ended, removed.jobs_lost), (2, 1));
    let told = feed.events_until(|event| event.synthetic).await;
    let last = told.last().unwrap();
    assert_eq!(last.name, "CHANNEL_HANGUP_COMPLETE");
    assert_eq!(last.headers["Switchgate-Synthetic"], "node removed");
    let mut end = None;
    while let Some(message) = within(watched.message()).await.unwrap() {
        end = message.session;
    }
    assert!(end.unwrap().synthetic_end);
    let request = pb::GetJobRequest { job_id: job.job_id };
    let job = within(gateway.jobs().get_job(request))
        .await
        .unwrap()
        .into_inner()
        .job
        .unwrap();
    assert_eq!(job.state(), pb::JobState::Lost);

    let left = get(&gateway, &session.session_id).await.unwrap();
    assert!(left.hangup.is_some());
    // Its end can be read as long as any other's.
    let request = pb::WatchSessionRequest {
        session_id: session.session_id.clone(),
    };
    let mut late = within(gateway.sessions().watch_session(request))
        .await
        .unwrap()
        .into_inner();
    let message = within(late.message()).await.unwrap().unwrap();
    assert!(message.session.unwrap().synthetic_end && message.gap.is_none());
    assert!(within(late.message()).await.unwrap().is_none());
    let wait = pb::WaitForEventsRequest {
        session_id: session.session_id.clone(),
        event_names: vec!["CHANNEL_PARK".to_owned()],
        ..Default::default()
    };
    let status = within(gateway.sessions().wait_for_events(wait))
        .await
        .unwrap_err();
    assert_eq!(code_and_reason(&status).1, "SESSION_ENDED", "{status:?}");
    let request = pb::GetVariablesRequest {
        session_id: session.session_id.clone(),
        ..Default::default()
    };
    let status = within(gateway.sessions().get_variables(request))
        .await
        .unwrap_err();
    assert_eq!(code_and_reason(&status).1, "SESSION_ENDED", "{status:?}");
    let status = hang_up_status(&gateway, &session.session_id).await;
    assert_eq!(
        code_and_reason(&status),
        (Code::FailedPrecondition, "SESSION_ENDED".to_owned())
    );
    let control = &gateway.control;
    let node_id = "extra".parse().unwrap();
    assert_eq!(
        control.tracker.live_count(&node_id) + control.jobs.running_on(&node_id),
        0
    );
    // FreeSWITCH itself goes on, and no link is left there.
    within(async {
        while extra.sim.connections() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(
        get(&gateway, &stays.session_id)
            .await
            .unwrap()
            .hangup
            .is_none()
    );
    gateway.stop().await;
    extra.stop().await;
}

#[tokio::test]
async fn two_nodes_of_one_freeswitch_are_not_both_in_service() {
    let gateway = Gateway::over_sim().await;
    let extra = Extra::start(SimConfig::default()).await;
    add(&gateway, extra.request("c")).await.unwrap();
    ready(&gateway, "c").await;
    let twin = pb::AddNodeRequest {
        address: format!("localhost:{}", extra.address.port()),
        ..extra.request("c2")
    };
    let mut watched = watch(&gateway).await;
    add(&gateway, twin).await.unwrap();
    let down = within(async {
        loop {
            let message = watched.message().await.unwrap().unwrap();
            let mut nodes = message.nodes.into_iter();
            let is_down = |node: &pb::Node| node.state() == pb::NodeState::Down;
            if let Some(node) = nodes.find(is_down) {
                return node;
            }
        }
    })
    .await;
    assert_eq!(
        (&*down.node_id, &*down.state_detail),
        ("c2", "is the same FreeSWITCH as node c")
    );

    // Each event is told once, as the first node's.
    let mut feed = Feed::from_now(&gateway).await;
    let call = pb::OriginateRequest {
        node_selector: on("c"),
        ..to(ANSWERS)
    };
    let session = place(&gateway, call).await.unwrap().session.unwrap();
    hang_up(&gateway, &session.session_id).await;
    let told = feed.until_end_of(&session.session_id).await;
    assert!(told.iter().all(|event| event.node_id == "c"));
    let creates = told
        .iter()
        .filter(|event| event.name == "CHANNEL_CREATE" && event.session_id == session.session_id);
    assert_eq!(creates.count(), 1);

    // The second one takes over from the first.
    remove(&gateway, "c", true).await.unwrap();
    ready(&gateway, "c2").await;
    answered_on(&gateway, "c2").await;

    // The very same address is refused at once.
    let twin = pb::AddNodeRequest {
        address: format!("LOCALHOST:{}", extra.address.port()),
        ..extra.request("c3")
    };
    let status = add(&gateway, twin).await.unwrap_err();
    assert_eq!(
        code_and_reason(&status),
        (Code::AlreadyExists, "NODE_EXISTS".to_owned())
    );
    assert_eq!(metadata(&status, "node_id"), "c2");
    gateway.stop().await;
    extra.stop().await;
}

async fn answered_on(gateway: &Gateway, node_id: &str) -> pb::Session {
    let request = pb::OriginateRequest {
        node_selector: on(node_id),
        ..to(ANSWERS)
    };
    place(gateway, request).await.unwrap().session.unwrap()
}

async fn hang_up_status(gateway: &Gateway, session_id: &str) -> Status {
    let request = pb::HangupRequest {
        session_id: session_id.to_owned(),
        ..Default::default()
    };
    within(gateway.sessions().hangup(request))
        .await
        .unwrap_err()
}

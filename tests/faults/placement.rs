//! Nodes that cannot be reached: at all, for now, or with this password.

use std::net::Ipv4Addr;
use std::time::Duration;

use switchgate::config::{NodeAddress, NodeConfig};
use switchgate::domain::NodeState;
use switchgate::pb;
use switchgate::shutdown::Drain;
use switchgate::sim::{Fault, Sim, SimConfig};
use tokio::net::TcpListener;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::{
    SLACK, assert_serves, call_to, is_retry_safe, job, leave, node, originate, reached, run_job,
    until,
};
use crate::gateway::{Gateway, code_and_reason, test_config, within};

#[tokio::test]
async fn a_node_that_was_never_reached_is_connecting_until_it_comes() {
    let drain = Drain::new();
    // Bound and closed again: an address where nobody listens.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let sim = Sim::new(SimConfig::default(), &drain);
    let mut config = test_config();
    let name = "sim-0".parse().unwrap();
    config
        .nodes
        .push(NodeConfig::new(name, NodeAddress::from(address), "ClueCon"));
    let gateway = Gateway::launch(config, vec![sim.clone()], drain.clone()).await;
    until(|| node(&gateway, "sim-0").status().detail.contains("refused")).await;

    let status = originate(&gateway, "sofia/internal/echo@127.0.0.1")
        .await
        .unwrap_err();
    let expected = (Code::Unavailable, "NO_NODE_AVAILABLE".to_owned());
    assert_eq!(code_and_reason(&status), expected);
    assert!(is_retry_safe(&status));
    assert!(
        status.message().contains("cannot connect"),
        "{}",
        status.message()
    );
    assert_eq!(health(&gateway).await, ServingStatus::NotServing);
    let response = within(gateway.nodes().list_nodes(pb::ListNodesRequest::default())).await;
    let nodes = response.unwrap().into_inner().nodes;
    assert_eq!(nodes[0].state(), pb::NodeState::Connecting);
    assert!(
        nodes[0].state_detail.contains("refused"),
        "{}",
        nodes[0].state_detail
    );

    let listener = TcpListener::bind(address).await.unwrap();
    drain.spawn(async move { sim.serve(listener).await });
    reached(&gateway, "sim-0", NodeState::Ready).await;
    until(|| node(&gateway, "sim-0").command_links().0 == 8).await;
    assert_eq!(health(&gateway).await, ServingStatus::Serving);
    assert_serves(&gateway).await;
    leave(gateway).await;
}

#[tokio::test]
async fn a_wrong_password_is_told_as_such() {
    let drain = Drain::new();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let mut config = test_config();
    let address = NodeAddress::from(listener.local_addr().unwrap());
    let name = "sim-0".parse().unwrap();
    config.nodes.push(NodeConfig::new(name, address, "wrong"));
    let sim = Sim::new(SimConfig::default(), &drain);
    let server = sim.clone();
    drain.spawn(async move { server.serve(listener).await });
    let gateway = Gateway::launch(config, vec![sim], drain).await;
    let refused = "login is refused: -ERR invalid";
    until(|| node(&gateway, "sim-0").status().detail == refused).await;
    let status = run_job(&gateway, job("status", "")).await.unwrap_err();
    let expected = (Code::Unavailable, "NO_NODE_AVAILABLE".to_owned());
    assert_eq!(code_and_reason(&status), expected);
    assert!(status.message().contains(refused), "{}", status.message());
    assert!(
        !status.message().contains("wrong"),
        "the password stays here"
    );
    leave(gateway).await;
}

#[tokio::test]
async fn when_one_of_two_nodes_is_down_the_other_gets_the_work() {
    let gateway = Gateway::over_sims(2, |_| {}).await;
    gateway.sims[0].inject(Fault::RefuseConnections(Duration::from_secs(600)));
    gateway.sims[0].inject(Fault::DropLinks);
    reached(&gateway, "sim-0", NodeState::Down).await;
    for _ in 0..8 {
        let session = originate(&gateway, "sofia/internal/answer@127.0.0.1")
            .await
            .unwrap();
        assert_eq!(session.node_id, "sim-1");
        let ran = run_job(&gateway, job("status", "")).await.unwrap();
        assert_eq!(ran.node_id, "sim-1");
    }
    let selector = pb::NodeSelector {
        node_id: "sim-0".to_owned(),
        ..Default::default()
    };
    let chosen = pb::OriginateRequest {
        node_selector: Some(selector),
        ..call_to("sofia/internal/answer@127.0.0.1")
    };
    let status = within(gateway.sessions().originate(chosen.clone()))
        .await
        .unwrap_err();
    let expected = (Code::Unavailable, "NO_NODE_AVAILABLE".to_owned());
    assert_eq!(code_and_reason(&status), expected);
    assert_eq!(health(&gateway).await, ServingStatus::Serving);

    gateway.sims[0].inject(Fault::Heal);
    reached(&gateway, "sim-0", NodeState::Ready).await;
    let response = within(gateway.sessions().originate(chosen)).await.unwrap();
    let session = response.into_inner().session.unwrap();
    assert_eq!(session.node_id, "sim-0");
    leave(gateway).await;
}

async fn health(gateway: &Gateway) -> ServingStatus {
    let request = tonic_health::pb::HealthCheckRequest::default();
    let mut client = HealthClient::new(gateway.channel.clone());
    within(client.check(request))
        .await
        .unwrap()
        .into_inner()
        .status()
}

#[tokio::test]
async fn attempts_to_connect_are_spaced_by_the_back_off() {
    let drain = Drain::new();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let mut config = test_config();
    let address = NodeAddress::from(listener.local_addr().unwrap());
    let name = "sim-0".parse().unwrap();
    config.nodes.push(NodeConfig::new(name, address, "ClueCon"));
    config.nodes[0].command_links = 1;
    config.esl.backoff.min = Duration::from_millis(50);
    config.esl.backoff.max = Duration::from_millis(200);
    let gateway = Gateway::launch(config, Vec::new(), drain).await;
    // Links for events, for a command and for lists, each of which waits 50 ms at least; from the
    // third attempt on 100 ms at least.
    const LINKS: u32 = 3;
    const ATTEMPTS: u32 = 8 * LINKS;
    let began = tokio::time::Instant::now();
    for _ in 0..ATTEMPTS {
        drop(within(listener.accept()).await.unwrap());
    }
    let took = began.elapsed();
    let least = Duration::from_millis(50) + Duration::from_millis(100) * (ATTEMPTS / LINKS - 3);
    let most = Duration::from_millis(200) * ATTEMPTS / LINKS + SLACK;
    assert!((least..most).contains(&took), "{took:?}");
    assert!(
        node(&gateway, "sim-0")
            .status()
            .detail
            .contains("broke during login")
    );
    leave(gateway).await;
}

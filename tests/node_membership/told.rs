//! Who is told of nodes that come and go.

use std::time::Duration;

use super::*;

#[tokio::test]
async fn watchers_of_nodes_learn_why_one_cannot_be_reached() {
    let gateway = Gateway::over_sim().await;
    let mut stream = watch(&gateway).await;
    let request = pb::AddNodeRequest {
        node_id: "nowhere".to_owned(),
        address: "127.0.0.1:1".to_owned(),
        password: "ClueCon".to_owned(),
        ..Default::default()
    };
    add(&gateway, request).await.unwrap();
    let told = within(async {
        loop {
            let message = stream.message().await.unwrap().unwrap();
            let mut nodes = message.nodes.iter();
            if nodes.any(|node| node.state_detail.contains("refused")) {
                return message;
            }
        }
    })
    .await;
    assert_eq!(told.nodes[0].state(), pb::NodeState::Connecting);
    assert!(!told.cursor.is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn watchers_of_nodes_get_newer_figures_and_the_end() {
    let drain = Drain::new();
    let config = SimConfig {
        name: "sim-0".to_owned(),
        heartbeat: Duration::from_secs(1),
        ..SimConfig::default()
    };
    let mut gateway = Gateway::over(vec![Sim::new(config, &drain)], drain, |_| {}).await;
    let mut stream = watch(&gateway).await;
    let snapshot = within(stream.message()).await.unwrap().unwrap();
    let before = snapshot.nodes[0].last_heartbeat;
    let figures = within(stream.message()).await.unwrap().unwrap();
    assert_eq!(figures.change(), NodeChange::Figures);
    assert_ne!(figures.nodes[0].last_heartbeat, before);
    gateway.begin_stop();
    let status = loop {
        match within(stream.message()).await {
            Ok(message) => assert!(message.is_some()),
            Err(status) => break status,
        }
    };
    assert_eq!(
        code_and_reason(&status),
        (Code::Unavailable, "SHUTTING_DOWN".to_owned())
    );
    assert!(!metadata(&status, "cursor").is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn subscribers_are_told_of_nodes_that_come_and_go() {
    let gateway = Gateway::over_sim().await;
    let extra = Extra::start(SimConfig::default()).await;
    let mut feed = Feed::from_now(&gateway).await;
    add(&gateway, extra.request("extra")).await.unwrap();
    ready(&gateway, "extra").await;
    remove(&gateway, "extra", false).await.unwrap();
    let mut states = Vec::new();
    while states.last() != Some(&pb::NodeState::Removed) {
        if let pb::subscribe_response::Message::NodeState(node) = feed.next().await.unwrap() {
            assert_eq!(node.node_id, "extra");
            states.push(node.state());
        }
    }
    assert_eq!(states[0], pb::NodeState::Connecting);
    assert!(states.contains(&pb::NodeState::Ready));
    gateway.stop().await;
    extra.stop().await;
}

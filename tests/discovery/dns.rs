//! Nodes that DNS names.

use switchgate::domain::NodeState::{Draining, Ready};
use switchgate::sim::Fault;
use tonic::Code;

use super::server::Server;
use super::*;
use crate::client::hang_up;
use crate::gateway::code_and_reason;
use crate::verbs::until;

const FS: &str = "fs.test";
const TWO: &str = "pods-127.0.0.2";
const THREE: &str = "pods-127.0.0.3";
const FOUR: &str = "pods-127.0.0.4";

/// The pods with these numbers below one name.
fn hosts(pods: &[usize]) -> Vec<(&'static str, String)> {
    pods.iter().map(|at| (FS, ip(*at).to_string())).collect()
}

fn addresses(server: &Server, pods: &Pods) -> String {
    format!(
        "discovery: {{dns_server: '127.0.0.1:{}', sources: [{{name: pods, dns: {{name: {FS}, port: {}}}, interval: 50ms, labels: {{from: dns}}}}]}}\n",
        server.port, pods.port
    )
}

#[tokio::test]
async fn a_node_comes_and_vanishes_with_a_call_and_comes_back_and_goes() {
    let Some(server) = Server::start(&hosts(&[0]), &[]) else {
        return;
    };
    let pods = Pods::start().await;
    let content = addresses(&server, &pods);
    let house = House::start(pods, &content).await;
    house.comes_to(&[(TWO, Ready)]).await;
    server.change(&hosts(&[0, 1]));
    house.comes_to(&[(TWO, Ready), (THREE, Ready)]).await;
    assert_eq!(house.nodes()[1].2, house.pods.address(1).to_string());
    let request = pb::ListNodesRequest::default();
    let nodes = within(house.gateway.nodes().list_nodes(request)).await;
    for node in nodes.unwrap().into_inner().nodes {
        assert_eq!(node.labels["from"], "dns");
    }

    // It vanishes with a call, which goes on and can be steered.
    let session = house.call_on(TWO).await.unwrap();
    server.change(&hosts(&[1]));
    house.comes_to(&[(TWO, Draining), (THREE, Ready)]).await;
    let refused = house.call_on(TWO).await.unwrap_err();
    let (code, reason) = code_and_reason(&refused);
    assert_eq!((code, &*reason), (Code::Unavailable, "NO_NODE_AVAILABLE"));
    house.looks("pods", "answered", 3.0).await;
    assert_eq!(house.nodes()[0].1, Draining);

    // It comes back before the call has ended, over the same link.
    server.change(&hosts(&[0, 1]));
    house.comes_to(&[(TWO, Ready), (THREE, Ready)]).await;
    let other = house.call_on(TWO).await.unwrap();
    assert_eq!(house.connects(TWO), 1);
    hang_up(&house.gateway, &other.session_id).await;

    server.change(&hosts(&[1]));
    house.comes_to(&[(TWO, Draining), (THREE, Ready)]).await;
    hang_up(&house.gateway, &session.session_id).await;
    house.comes_to(&[(THREE, Ready)]).await;
    house.stop().await;
}

#[tokio::test]
async fn a_failing_server_takes_no_node_away_and_two_empty_answers_do() {
    let Some(mut server) = Server::start(&hosts(&[0, 1]), &[]) else {
        return;
    };
    let pods = Pods::start().await;
    let content = addresses(&server, &pods);
    let house = House::start(pods, &content).await;
    house.comes_to(&[(TWO, Ready), (THREE, Ready)]).await;
    server.stop();
    house.looks("pods", "failed", 1.0).await;
    house.comes_to(&[(TWO, Ready), (THREE, Ready)]).await;

    // It is there again and refuses to answer for the name, which is no answer either.
    server.refuse();
    house.looks("pods", "failed", 3.0).await;
    house.comes_to(&[(TWO, Ready), (THREE, Ready)]).await;
    server.restart(&hosts(&[0, 2]), &[]);
    house.comes_to(&[(TWO, Ready), (FOUR, Ready)]).await;

    // There is no such name: there is no such node.
    server.change(&[]);
    house.comes_to(&[]).await;
    assert_eq!(
        house
            .sample(r#"switchgate_discovery_nodes{source="pods"}"#)
            .await,
        0.0
    );
    server.change(&hosts(&[1]));
    house.comes_to(&[(THREE, Ready)]).await;
    house.stop().await;
}

#[tokio::test]
async fn a_node_that_vanished_goes_with_its_link() {
    let Some(server) = Server::start(&hosts(&[0, 1]), &[]) else {
        return;
    };
    let pods = Pods::start().await;
    let content = addresses(&server, &pods);
    let house = House::start(pods, &content).await;
    house.comes_to(&[(TWO, Ready), (THREE, Ready)]).await;
    let session = house.call_on(TWO).await.unwrap();
    server.change(&hosts(&[1]));
    house.comes_to(&[(TWO, Draining), (THREE, Ready)]).await;
    let sim = &house.pods.sims[0];
    sim.inject(Fault::RefuseConnections(Duration::from_secs(600)));
    sim.inject(Fault::DropLinks);
    house.comes_to(&[(THREE, Ready)]).await;
    let id = session.session_id.parse().unwrap();
    let tracker = &house.gateway.control.tracker;
    until(|| tracker.session(&id).and_then(|session| session.hangup)).await;
    house.stop().await;
}

#[tokio::test]
async fn services_have_ports_and_names_of_their_own() {
    let pods = Pods::start().await;
    let port = pods.port;
    let service = |host: &str| format!("--srv-host=_esl._tcp.{FS},{host}.{FS},{port}");
    let name = |at: usize, ip_at: usize| -> (&str, String) {
        let names = ["fs-0.fs.test", "fs-1.fs.test"];
        (names[at], ip(ip_at).to_string())
    };
    let both = [service("fs-0"), service("fs-1")];
    let Some(mut server) = Server::start(&[name(0, 0), name(1, 1)], &both) else {
        assert!(pods.drain.finish(PATIENCE).await);
        return;
    };
    let content = format!(
        "discovery: {{dns_server: '127.0.0.1:{}', sources: [{{name: set, dns: {{name: _esl._tcp.{FS}, srv: true}}, interval: 50ms}}]}}\n",
        server.port
    );
    let house = House::start(pods, &content).await;
    house.comes_to(&[("fs-0", Ready), ("fs-1", Ready)]).await;
    assert_eq!(house.nodes()[0].2, house.pods.address(0).to_string());

    // It is started anew elsewhere, under its name.
    server.change(&[name(0, 0), name(1, 2)]);
    let elsewhere = house.pods.address(2).to_string();
    within(async {
        while house.nodes().get(1).map(|node| &node.2) != Some(&elsewhere) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    house.comes_to(&[("fs-0", Ready), ("fs-1", Ready)]).await;

    // A target without an address is none; the others stay.
    server.restart(&[name(0, 0)], &both);
    house.comes_to(&[("fs-0", Ready)]).await;
    house.stop().await;
}

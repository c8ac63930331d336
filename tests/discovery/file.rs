//! Nodes that a file names, and what the configuration makes of sources.

use switchgate::domain::NodeState::{Draining, Ready};

use super::*;
use crate::client::hang_up;

/// A list of these pods.
fn list(pods: &Pods, wanted: &[(&str, usize)]) -> String {
    let lines = wanted.iter().map(|(id, at)| {
        let address = pods.address(*at);
        format!("- {{id: {id}, address: '{address}', labels: {{own: '{id}'}}}}\n")
    });
    let lines: String = lines.collect();
    if lines.is_empty() {
        "[]".to_owned()
    } else {
        lines
    }
}

fn source(path: &Path, rest: &str) -> String {
    let path = path.display();
    format!("discovery: {{sources: [{{name: list, file: '{path}', interval: 20ms{rest}}}]}}\n")
}

#[tokio::test]
async fn a_file_is_followed_through_its_links_and_what_is_broken_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let pods = Pods::start().await;
    for (version, wanted) in [("v1", vec![("a", 0)]), ("v2", vec![("a", 0), ("b", 1)])] {
        std::fs::create_dir(at(version)).unwrap();
        let file = at(version).join("nodes.yaml");
        std::fs::write(file, list(&pods, &wanted)).unwrap();
    }
    let link = |version: &str| {
        std::os::unix::fs::symlink(at(version), at("next")).unwrap();
        std::fs::rename(at("next"), at("..data")).unwrap();
    };
    link("v1");
    let path = at("..data").join("nodes.yaml");
    let house = House::start(pods, &source(&path, ", labels: {from: file, own: x}")).await;
    house.comes_to(&[("a", Ready)]).await;
    link("v2");
    house.comes_to(&[("a", Ready), ("b", Ready)]).await;
    let a = house.gateway.control.fleet.node(&"a".parse().unwrap());
    let labels = a.unwrap().labels();
    let labels = ["from", "own"].map(|name| labels[name].clone());
    assert_eq!(labels, ["file", "a"], "its own labels win");

    for broken in [
        "- {id: a",
        "nodes: []",
        "",
        "- {id: a, adress: x}",
        "[{id: b}]",
    ] {
        std::fs::write(&path, broken).unwrap();
        house.looks("list", "failed", 3.0).await;
        house.comes_to(&[("a", Ready), ("b", Ready)]).await;
    }
    std::fs::remove_file(&path).unwrap();
    house.looks("list", "failed", 2.0).await;
    house.comes_to(&[("a", Ready), ("b", Ready)]).await;

    let session = house.call_on("b").await.unwrap();
    std::fs::write(&path, list(&house.pods, &[("a", 0), ("c", 2)])).unwrap();
    house
        .comes_to(&[("a", Ready), ("b", Draining), ("c", Ready)])
        .await;
    hang_up(&house.gateway, &session.session_id).await;
    house.comes_to(&[("a", Ready), ("c", Ready)]).await;
    std::fs::write(&path, "[]").unwrap();
    house.comes_to(&[]).await;
    house.stop().await;
}

#[tokio::test]
async fn a_reload_tells_the_list_and_what_was_found_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nodes.yaml");
    let pods = Pods::start().await;
    std::fs::write(&path, list(&pods, &[("a", 1), ("b", 2)])).unwrap();
    let listed = |pods: &Pods, id: &str, at: usize| {
        format!("nodes: [{{id: {id}, address: '{}'}}]\n", pods.address(at))
    };
    let found = source(&path, "");
    let one = format!("{found}{}", listed(&pods, "a", 0));
    let house = House::start(pods, &one).await;

    // The list has the name, so that the other one is left out.
    house.comes_to(&[("a", Ready), ("b", Ready)]).await;
    assert_eq!(house.nodes()[0].2, house.pods.address(0).to_string());
    let left_out = r#"switchgate_discovery_left_out_nodes{source="list"}"#;
    house.looks("list", "answered", 2.0).await;
    assert_eq!(house.sample(left_out).await, 1.0);

    // The list changes: what was found stays, and what was left out comes.
    let two = format!("{found}{}", listed(&house.pods, "x", 0));
    let changes = house.reload(&two).await.unwrap();
    assert_eq!(changes.sections, ["nodes"]);
    house
        .comes_to(&[("a", Ready), ("b", Ready), ("x", Ready)])
        .await;
    assert_eq!(house.nodes()[0].2, house.pods.address(1).to_string());
    assert_eq!(house.connects("b"), 1);

    // The source is another: its nodes stay and change.
    let three = format!(
        "{}{}",
        source(&path, ", labels: {zone: east}"),
        listed(&house.pods, "x", 0)
    );
    let changes = house.reload(&three).await.unwrap();
    assert_eq!(changes.sections, ["discovery"]);
    assert!(changes.at_next_start.is_empty());
    let b = house
        .gateway
        .control
        .fleet
        .node(&"b".parse().unwrap())
        .unwrap();
    within(async {
        while !b.labels().contains_key("zone") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(house.connects("b"), 1);

    // It is named no more: its nodes drain, that of the list stays.
    let session = house.call_on("b").await.unwrap();
    let changes = house.reload(&listed(&house.pods, "x", 0)).await.unwrap();
    assert_eq!(changes.sections, ["discovery"]);
    house.comes_to(&[("b", Draining), ("x", Ready)]).await;
    hang_up(&house.gateway, &session.session_id).await;
    house.comes_to(&[("x", Ready)]).await;
    house.stop().await;
}

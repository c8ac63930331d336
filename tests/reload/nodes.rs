//! Nodes that come, go and change with the configuration.

use switchgate::app::Changes;
use switchgate::domain::NodeState;
use switchgate::pb;

use super::{House, named, nodes};
use crate::client::{ANSWERS, hang_up, map, place, to};
use crate::gateway::within;
use crate::verbs::until;

#[tokio::test]
async fn a_node_goes_when_its_calls_have_ended_and_another_comes_at_once() {
    let house = House::start(|at| nodes(&[("a", &at[0]), ("b", &at[1])])).await;
    house.gateway.in_service().await;
    let session = house.call_on("a").await.unwrap();

    let changes = house
        .reload(|at| nodes(&[("b", &at[1]), ("c", &at[2])]))
        .await
        .unwrap();
    assert_eq!(
        (changes.added, changes.removed),
        (named(&["c"]), named(&["a"]))
    );
    assert_eq!(
        (changes.sections, changes.changed),
        (vec!["nodes"], named(&[]))
    );
    house.reached("c", NodeState::Ready).await;
    assert_eq!(house.state("a"), NodeState::Draining);
    for _ in 0..8 {
        let session = place(&house.gateway, to(ANSWERS))
            .await
            .unwrap()
            .session
            .unwrap();
        assert_ne!(session.node_id, "a");
        hang_up(&house.gateway, &session.session_id).await;
    }
    assert_eq!(house.state("a"), NodeState::Draining);
    // The call that holds it can be steered to its end.
    hang_up(&house.gateway, &session.session_id).await;
    house.gone("a").await;
    assert_eq!(house.ids(), ["b", "c"]);
    assert_eq!(house.state("b"), NodeState::Ready);
    house.stop().await;
}

#[tokio::test]
async fn a_node_without_work_is_gone_when_the_reload_is_done_also_for_another_name() {
    let house = House::start(|at| nodes(&[("a", &at[0]), ("b", &at[1])])).await;
    house.gateway.in_service().await;
    let changes = house
        .reload(|at| nodes(&[("z", &at[0]), ("b", &at[2])]))
        .await
        .unwrap();
    assert_eq!(changes.changed, named(&["b"]));
    assert_eq!(house.ids(), ["b", "z"]);
    house.gateway.in_service().await;
    let b = house
        .gateway
        .control
        .fleet
        .node(&"b".parse().unwrap())
        .unwrap();
    assert_eq!(b.address(), house.nodes[2].address.to_string());
    house.stop().await;
}

#[tokio::test]
async fn nodes_that_change_their_places_wait_for_each_other() {
    let house = House::start(|at| nodes(&[("a", &at[0]), ("b", &at[1])])).await;
    house.gateway.in_service().await;
    house
        .reload(|at| nodes(&[("a", &at[1]), ("b", &at[0])]))
        .await
        .unwrap();
    let swapped = [("a", 1), ("b", 0)].map(|(id, at)| (id, house.nodes[at].address.to_string()));
    until(|| {
        let there = |(id, address): &(&str, String)| {
            let node = house.gateway.control.fleet.node(&id.parse().unwrap());
            node.is_ok_and(|node| node.address() == address && node.is_ready())
        };
        swapped.iter().all(there).then_some(())
    })
    .await;
    house.stop().await;
}

#[tokio::test]
async fn a_node_that_is_named_again_before_it_went_stays() {
    let both = |at: &[String]| nodes(&[("a", &at[0]), ("b", &at[1])]);
    let house = House::start(both).await;
    house.gateway.in_service().await;
    let session = house.call_on("a").await.unwrap();
    house.reload(|at| nodes(&[("b", &at[1])])).await.unwrap();
    assert_eq!(house.state("a"), NodeState::Draining);
    house.reload(both).await.unwrap();
    assert_eq!(house.state("a"), NodeState::Ready);
    let other = house.call_on("a").await.unwrap();
    hang_up(&house.gateway, &other.session_id).await;
    hang_up(&house.gateway, &session.session_id).await;
    let connects = house
        .gateway
        .control
        .fleet
        .node(&"a".parse().unwrap())
        .unwrap();
    assert_eq!(connects.status().connects, 1);
    house.stop().await;
}

#[tokio::test]
async fn labels_and_passwords_change_in_place() {
    let node = |password: &str, zone: &str| {
        let (password, zone) = (password.to_owned(), zone.to_owned());
        move |at: &[String]| {
            format!(
                "nodes: [{{id: a, address: '{}', password: {password}, labels: {{zone: {zone}}}}}]",
                at[0]
            )
        }
    };
    let house = House::start(node("wrong", "east")).await;
    let a = house
        .gateway
        .control
        .fleet
        .node(&"a".parse().unwrap())
        .unwrap();
    until(|| a.status().detail.contains("login is refused").then_some(())).await;
    let changes = house.reload(node("ClueCon", "east")).await.unwrap();
    assert_eq!(changes.changed, named(&["a"]));
    within(a.reached(NodeState::Ready)).await;

    let session = house.call_on("a").await.unwrap();
    // As when the password is about to change in FreeSWITCH: links that are up stay.
    house.reload(node("next", "west")).await.unwrap();
    let west = pb::OriginateRequest {
        node_selector: Some(pb::NodeSelector {
            match_labels: map(&[("zone", "west")]),
            ..Default::default()
        }),
        ..to(ANSWERS)
    };
    let other = place(&house.gateway, west).await.unwrap().session.unwrap();
    for session in [session, other] {
        hang_up(&house.gateway, &session.session_id).await;
    }
    assert_eq!((a.status().connects, a.is_ready()), (1, true));
    house.stop().await;
}

#[tokio::test]
async fn another_number_of_links_waits_for_a_moment_without_calls() {
    let links = |count: usize| {
        move |at: &[String]| {
            format!(
                "nodes: [{{id: a, address: '{}', command_links: {count}}}]",
                at[0]
            )
        }
    };
    let house = House::start(links(2)).await;
    house.gateway.in_service().await;
    let session = house.call_on("a").await.unwrap();
    house.reload(links(3)).await.unwrap();
    // It is the only one: were it drained, nobody could call.
    assert_eq!(house.state("a"), NodeState::Ready);
    hang_up(&house.gateway, &session.session_id).await;
    let wanted = || {
        let node = house
            .gateway
            .control
            .fleet
            .node(&"a".parse().unwrap())
            .ok()?;
        (node.command_links().1 == 3 && node.is_ready()).then_some(())
    };
    until(wanted).await;
    house.stop().await;
}

#[tokio::test]
async fn nodes_of_clients_stay_and_are_not_taken_for_others() {
    let one = |at: &[String]| nodes(&[("a", &at[0])]);
    let house = House::start(one).await;
    house.gateway.in_service().await;
    let request = pb::AddNodeRequest {
        node_id: "x".to_owned(),
        address: house.nodes[1].address.to_string(),
        password: "ClueCon".to_owned(),
        ..Default::default()
    };
    within(house.gateway.nodes().add_node(request))
        .await
        .unwrap();
    let told = house
        .refused(|at| nodes(&[("a", &at[0]), ("y", &at[1])]))
        .await;
    let address = house.nodes[1].address;
    let expected = format!(
        "nodes[1].address: `{address}` is that of node x, which AddNode added; remove node x with RemoveNode first (the default)"
    );
    assert_eq!(told, [expected]);
    let told = house.refused(|at| nodes(&[("x", &at[2])])).await;
    assert!(
        told[0].starts_with("nodes[0].id: `x` is a node at another address"),
        "{told:?}"
    );
    assert_eq!(house.ids(), ["a", "x"]);
    // Named as it is, it is the file's from then on.
    let changes = house
        .reload(|at| nodes(&[("a", &at[0]), ("x", &at[1])]))
        .await
        .unwrap();
    assert_eq!(changes.added, named(&["x"]));
    assert_eq!(house.ids(), ["a", "x"]);
    house.reached("x", NodeState::Ready).await;
    house.reload(one).await.unwrap();
    assert_eq!(house.ids(), ["a"]);
    house.stop().await;
}

#[tokio::test]
async fn what_a_client_removed_stays_away_until_its_entry_changes() {
    let two = |at: &[String]| nodes(&[("a", &at[0]), ("b", &at[1])]);
    let house = House::start(two).await;
    house.gateway.in_service().await;
    let request = pb::RemoveNodeRequest {
        node_id: "b".to_owned(),
        ..Default::default()
    };
    within(house.gateway.nodes().remove_node(request))
        .await
        .unwrap();
    assert_eq!(house.reload(two).await.unwrap(), Changes::default());
    assert_eq!(house.ids(), ["a"]);
    house
        .reload(|at| nodes(&[("a", &at[0]), ("b", &at[2])]))
        .await
        .unwrap();
    assert_eq!(house.ids(), ["a", "b"]);
    house.gateway.in_service().await;
    house.stop().await;
}

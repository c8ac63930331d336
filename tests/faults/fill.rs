//! What the gateway learns by asking when a link comes up, and what it must not conclude.

use std::time::Duration;

use switchgate::config::{Config, NodeAddress, NodeConfig};
use switchgate::domain::NodeState;
use switchgate::pb;
use switchgate::shutdown::Drain;
use switchgate::sim::{Fault, Sim, SimConfig};

use super::{
    SLACK, Told, Watcher, assert_serves, bring_back, count_received, hang_up, in_full_service,
    inbound, leave, node, originate, over, reached, seen, session, take_away, until,
};
use crate::fake_node::{FakeNode, Say, rows};
use crate::gateway::{Gateway, test_config, within};

const ONE: &str = "11111111-1111-4111-8111-111111111111";
const TWO: &str = "22222222-2222-4222-8222-222222222222";

/// A gateway over a scripted node, `sim-0`, which need not be in service.
pub(crate) async fn over_fake() -> (Gateway, FakeNode) {
    over_fake_with(|_| {}).await
}

pub(crate) async fn over_fake_with(tune: impl FnOnce(&mut Config)) -> (Gateway, FakeNode) {
    let drain = Drain::new();
    let fake = FakeNode::start(&drain).await;
    (launch_with(&fake, drain, tune).await, fake)
}

async fn launch(fake: &FakeNode, drain: Drain) -> Gateway {
    launch_with(fake, drain, |_| {}).await
}

async fn launch_with(fake: &FakeNode, drain: Drain, tune: impl FnOnce(&mut Config)) -> Gateway {
    let mut config = test_config();
    tune(&mut config);
    let name = "sim-0".parse().unwrap();
    let address = NodeAddress::from(fake.address);
    config.nodes.push(NodeConfig::new(name, address, "ClueCon"));
    config.nodes[0].command_links = 2;
    Gateway::launch(config, Vec::new(), drain).await
}

/// Waits until the node is in service again; how long it was not may be too short to be seen.
pub(super) async fn connected_again(gateway: &Gateway) {
    let mut status = node(gateway, "sim-0").follow();
    let is_back = |status: &switchgate::fleet::NodeStatus| {
        status.connects == 2 && status.state == NodeState::Ready
    };
    within(status.wait_for(is_back)).await.unwrap();
}

/// A call that was told of by its events.
pub(crate) async fn living(gateway: &Gateway, fake: &FakeNode, id: &str) {
    reached(gateway, "sim-0", NodeState::Ready).await;
    fake.channel_event("CHANNEL_CREATE", id, &[("Channel-State", "CS_INIT")]);
    seen(gateway, id, |session| session.is_live()).await;
}

/// An answer to `uuid_dump`.
fn dump(id: &str, more: &str) -> Say {
    Say::api(format!(
        "Event-Name: CHANNEL_DATA\nCore-UUID: core-1\nUnique-ID: {id}\n{more}"
    ))
}

/// Names of the events that the gateway made of one session.
pub(super) fn synthetic_of(story: &[Told], id: &str) -> Vec<String> {
    story
        .iter()
        .filter_map(|told| match told {
            Told::Event(event) if event.synthetic && event.session_id == id => {
                Some(event.name.clone())
            }
            _ => None,
        })
        .collect()
}

fn is_live(gateway: &Gateway, id: &str) -> bool {
    let session = gateway.control.tracker.session(&id.parse().unwrap());
    session.is_some_and(|session| session.is_live())
}

#[tokio::test]
async fn sessions_from_before_the_gateway_are_found_with_their_bridges() {
    let drain = Drain::new();
    let sim = Sim::new(SimConfig::default(), &drain);
    let parked = sim.place_inbound("park", "1000");
    let caller = sim.place_inbound("bridge_echo", "1001");
    let callee = async {
        let mut peer = None;
        until(|| {
            let channels = sim.channels();
            let channel = channels.iter().find(|channel| channel.uuid == caller);
            peer = channel.and_then(|channel| channel.peer.clone());
            peer.is_some()
        })
        .await;
        peer.unwrap()
    };
    let callee = callee.await;
    let gateway = Gateway::over(vec![sim], drain, |_| {}).await;
    seen(&gateway, &parked, |session| session.parked).await;
    seen(&gateway, &caller, |session| session.peer.is_some()).await;
    seen(&gateway, &callee, |session| session.peer.is_some()).await;
    let (a, b) = (
        session(&gateway, &caller).await,
        session(&gateway, &callee).await,
    );
    assert_eq!((&a.peer_session_id, &b.peer_session_id), (&callee, &caller));
    assert!(a.answered && b.answered);
    let parked = hang_up(&gateway, &parked, SLACK * 5).await.unwrap();
    assert!(!parked.synthetic_end);
    assert_serves(&gateway).await;
    leave(gateway).await;
}

#[tokio::test]
async fn what_ended_while_the_gateway_was_away_ends_there_too() {
    let gateway = Gateway::over_sim().await;
    let short = originate(&gateway, "sim/answer?talk=700ms").await.unwrap();
    let long = originate(&gateway, "sim/answer").await.unwrap();
    let mut watcher = Watcher::begin(&gateway).await;
    take_away(&gateway).await;
    until(|| gateway.sim().channels().len() == 1).await;
    // Until somebody can know better, nothing is concluded.
    assert!(is_live(&gateway, &short.session_id));
    bring_back(&gateway).await;
    let story = watcher.until_state("sim-0", pb::NodeState::Ready).await;
    let ends: Vec<_> = story
        .iter()
        .filter_map(|told| match told {
            Told::Event(event) if event.synthetic => Some(event.session_id.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(ends, [short.session_id.as_str()]);
    assert!(session(&gateway, &short.session_id).await.synthetic_end);
    assert!(session(&gateway, &long.session_id).await.hangup.is_none());
    assert!(hang_up(&gateway, &long.session_id, SLACK * 5).await.is_ok());
    leave(gateway).await;
}

#[tokio::test]
async fn a_bridge_that_ended_while_the_gateway_was_away_is_no_more() {
    let gateway = Gateway::over_sim().await;
    let sim = gateway.sim();
    let caller = sim.place_inbound("bridge_echo", "1001");
    seen(&gateway, &caller, |session| session.peer.is_some()).await;
    let callee = session(&gateway, &caller).await.peer_session_id;
    take_away(&gateway).await;
    // Parked by somebody else, meanwhile.
    sim.inject(Fault::Heal);
    in_full_service(&gateway).await;
    assert_eq!(session(&gateway, &caller).await.peer_session_id, callee);

    sim.inject(Fault::LoseEvents(u32::MAX));
    let request = format!("{caller} -both park");
    super::run_api(&gateway, "uuid_transfer", &request, SLACK * 5)
        .await
        .unwrap();
    until(|| sim.channels().iter().all(|channel| channel.peer.is_none())).await;
    sim.inject(Fault::Heal);
    sim.inject(Fault::DropLinks);
    seen(&gateway, &caller, |session| session.peer.is_none()).await;
    seen(&gateway, &callee, |session| session.peer.is_none()).await;
    in_full_service(&gateway).await;
    leave(gateway).await;
}

#[tokio::test]
async fn the_lists_lag_does_not_end_young_sessions() {
    let config = SimConfig {
        list_lag: Duration::from_secs(2),
        ..SimConfig::default()
    };
    let gateway = over(config, |_| {}).await;
    let mut young = Vec::new();
    for _ in 0..3 {
        young.push(
            originate(&gateway, "sofia/internal/echo@127.0.0.1")
                .await
                .unwrap(),
        );
    }
    lists_are_read_again(&gateway).await;
    for session in young {
        assert!(is_live(&gateway, &session.session_id));
        hang_up(&gateway, &session.session_id, SLACK * 5)
            .await
            .unwrap();
    }
    leave(gateway).await;
}

#[tokio::test]
async fn without_a_list_nothing_ends_that_lives() {
    let config = SimConfig {
        no_sql: true,
        ..SimConfig::default()
    };
    let gateway = over(config, |_| {}).await;
    let outbound = originate(&gateway, "sofia/internal/echo@127.0.0.1")
        .await
        .unwrap();
    let inbound = inbound(&gateway).await;
    lists_are_read_again(&gateway).await;
    for id in [outbound.session_id, inbound] {
        assert!(is_live(&gateway, &id));
        hang_up(&gateway, &id, SLACK * 5).await.unwrap();
    }
    assert_serves(&gateway).await;
    leave(gateway).await;
}

/// Drops the links and waits until the first and the second look are done.
async fn lists_are_read_again(gateway: &Gateway) {
    let sim = gateway.sim();
    // The first connect's second look is over when there were two.
    until(|| count_received(sim, "show channels") >= 2).await;
    sim.inject(Fault::DropLinks);
    until(|| count_received(sim, "show channels") >= 4).await;
    in_full_service(gateway).await;
    until(|| node(gateway, "sim-0").commands_under_way() == 0).await;
}

#[tokio::test]
async fn a_node_without_a_database_comes_into_service_and_keeps_its_sessions() {
    let drain = Drain::new();
    let fake = FakeNode::start(&drain).await;
    let refusal = "-ERR SQL disabled, no data available!\n";
    fake.on("api show ", [Say::api(refusal)]);
    fake.on("api uuid_exists", [Say::api("true")]);
    let gateway = launch(&fake, drain).await;
    living(&gateway, &fake, ONE).await;
    fake.drop_links();
    connected_again(&gateway).await;
    assert!(is_live(&gateway, ONE));
    leave(gateway).await;
}

#[tokio::test]
async fn input_18_a_list_that_cannot_be_read_changes_nothing_and_is_asked_for_again() {
    let half = r#"{"row_count":2,"rows":[{"uuid":""#.to_owned();
    let bad_lists = [
        Say::api("-ERR Database error!\n"),
        Say::api(half.clone()),
        Say::api(format!(r#"{{"row_count":2,"rows":[{{"uuid":"{TWO}"}}]}}"#)),
        Say::Half(half),
    ];
    for bad in bad_lists {
        let (gateway, fake) = over_fake().await;
        living(&gateway, &fake, ONE).await;
        let asked = fake.count("api show channels");
        fake.on("api show channels", [bad.clone()]);
        fake.drop_links();
        until(|| fake.count("api show channels") > asked).await;
        until(|| {
            let status = node(&gateway, "sim-0").status();
            status.state == NodeState::Syncing && !status.detail.starts_with("reading")
        })
        .await;
        assert!(is_live(&gateway, ONE), "after {bad:?}");
        assert_eq!(fake.count("api uuid_dump"), 0, "a broken list names nobody");

        // It says now that the session is not listed, and when asked that it does not exist.
        fake.on("api show channels", [rows(&[])]);
        reached(&gateway, "sim-0", NodeState::Ready).await;
        assert!(!is_live(&gateway, ONE), "after {bad:?}");
        assert!(session(&gateway, ONE).await.synthetic_end);
        leave(gateway).await;
    }
}

#[tokio::test]
async fn a_list_alone_neither_ends_nor_begins_a_session() {
    let (gateway, fake) = over_fake().await;
    living(&gateway, &fake, ONE).await;
    // Not listed, yet it exists; listed, yet it does not.
    fake.on("api show channels", [rows(&[TWO])]);
    fake.on("api uuid_exists", [Say::api("true")]);
    fake.on("api uuid_dump", [Say::api("-ERR No such channel!\n")]);
    fake.drop_links();
    connected_again(&gateway).await;
    assert!(is_live(&gateway, ONE));
    assert!(
        gateway
            .control
            .tracker
            .session(&TWO.parse().unwrap())
            .is_none()
    );
    leave(gateway).await;
}

#[tokio::test]
async fn a_session_whose_dump_is_lost_is_asked_for_again() {
    let drain = Drain::new();
    let fake = FakeNode::start(&drain).await;
    let dump = format!(
        "Event-Name: CHANNEL_DATA\nUnique-ID: {TWO}\nChannel-State: CS_EXECUTE\nAnswer-State: answered\n"
    );
    fake.on("api show channels", [rows(&[TWO])]);
    fake.on("api uuid_exists", [Say::api("true")]);
    let half = Say::Half(dump.clone());
    fake.on("api uuid_dump", [half, Say::api(dump)]);
    let gateway = launch(&fake, drain).await;
    reached(&gateway, "sim-0", NodeState::Ready).await;
    assert!(
        is_live(&gateway, TWO),
        "no node is in service while a listed session is unknown"
    );
    leave(gateway).await;
}

/// A restarted FreeSWITCH takes calls before the gateway has noticed that it is another one.
#[tokio::test]
async fn a_call_of_the_new_core_is_not_taken_for_one_of_the_old() {
    let (gateway, fake) = over_fake().await;
    living(&gateway, &fake, ONE).await;
    let asked = fake.count("api global_getvar core_uuid");
    // The event link is told at once, the sync has to wait.
    fake.on(
        "api global_getvar core_uuid",
        [Say::api("core-2"), Say::Held(Box::new(Say::api("core-2")))],
    );
    fake.restart("core-2");
    reached(&gateway, "sim-0", NodeState::Syncing).await;
    until(|| fake.channel_event("CHANNEL_CREATE", TWO, &[("Channel-State", "CS_INIT")]) > 0).await;
    seen(&gateway, TWO, |session| session.is_live()).await;
    fake.on("api show channels", [rows(&[TWO])]);
    fake.on("api uuid_exists", [Say::api("true")]);
    until(|| fake.count("api global_getvar core_uuid") > asked + 1).await;
    fake.release();
    reached(&gateway, "sim-0", NodeState::Ready).await;
    assert!(!is_live(&gateway, ONE));
    assert!(is_live(&gateway, TWO));
    leave(gateway).await;
}

#[tokio::test]
async fn a_leg_that_was_bridged_to_another_meanwhile_has_the_new_peer() {
    const THREE: &str = "33333333-3333-4333-8333-333333333333";
    let (gateway, fake) = over_fake().await;
    for id in [ONE, TWO, THREE] {
        living(&gateway, &fake, id).await;
    }
    let peer = [
        ("Channel-State", "CS_EXECUTE"),
        ("Other-Leg-Unique-ID", TWO),
    ];
    fake.channel_event("CHANNEL_BRIDGE", ONE, &peer);
    seen(&gateway, TWO, |session| session.peer.is_some()).await;
    fake.on("api uuid_exists", [Say::api("true")]);
    fake.on("api show channels", [rows(&[ONE, TWO, THREE])]);
    // It lags: it still tells of the bridge that is no more.
    let row = format!(r#"{{"uuid":"{ONE}","b_uuid":"{TWO}"}}"#);
    let calls = format!(r#"{{"row_count":1,"rows":[{row}]}}"#);
    fake.on("api show calls", [Say::api(calls)]);
    for (id, peer) in [(ONE, THREE), (TWO, ""), (THREE, ONE)] {
        let state = "CS_EXCHANGE_MEDIA";
        let more = format!("Channel-State: {state}\nvariable_bridge_to: {peer}\n");
        fake.on(&format!("api uuid_dump {id}"), [dump(id, &more)]);
    }
    let mut watcher = Watcher::begin(&gateway).await;
    fake.drop_links();
    connected_again(&gateway).await;
    let story = watcher.until_state("sim-0", pb::NodeState::Ready).await;
    for (id, peer) in [(ONE, THREE), (TWO, ""), (THREE, ONE)] {
        assert_eq!(session(&gateway, id).await.peer_session_id, peer);
    }
    let told = |id: &str| synthetic_of(&story, id);
    assert_eq!(
        told(ONE),
        ["CHANNEL_DATA", "CHANNEL_UNBRIDGE", "CHANNEL_BRIDGE"]
    );
    assert_eq!(told(TWO), ["CHANNEL_DATA", "CHANNEL_UNBRIDGE"]);
    assert_eq!(told(THREE), ["CHANNEL_DATA", "CHANNEL_BRIDGE"]);
    leave(gateway).await;
}

#[tokio::test]
async fn while_no_event_can_be_seen_no_command_is_sent_whose_effect_is_one() {
    let (gateway, fake) = over_fake().await;
    living(&gateway, &fake, ONE).await;
    // The event link alone is lost and does not come back; commands could still be sent.
    fake.on("event plain ", [Say::Reply("-ERR not now".to_owned())]);
    fake.drop_event_links();
    reached(&gateway, "sim-0", NodeState::Down).await;
    let (status, took) = super::timed(super::answer(&gateway, ONE)).await;
    super::assert_unavailable(&status.unwrap_err());
    assert!(took < SLACK, "{took:?}");
    assert_eq!(fake.count("api uuid_answer"), 0);
    leave(gateway).await;
}

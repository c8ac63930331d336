//! What subscribers are told of the time without events, and what the gateway finds by itself.

use std::time::Duration;

use switchgate::domain::{Deadline, NodeState};
use switchgate::fleet::Differences;
use switchgate::pb;
use switchgate::sim::{Fault, SimConfig};

use super::fill::{connected_again, over_fake_with, synthetic_of};
use super::{
    SLACK, Told, Watcher, assert_serves, assert_unavailable, bring_back, count_received,
    in_full_service, inbound, leave, node, over, reached, run_api, seen, session, take_away, until,
};
use crate::fake_node::{Say, rows};
use crate::gateway::{Gateway, within};

const ONE: &str = "11111111-1111-4111-8111-111111111111";
const TWO: &str = "22222222-2222-4222-8222-222222222222";

/// The events that the gateway made.
fn synthetic(story: &[Told]) -> Vec<&pb::Event> {
    let mut events = Vec::new();
    for told in story {
        if let Told::Event(event) = told
            && event.synthetic
        {
            events.push(&**event);
        }
    }
    events
}

fn why(event: &pb::Event) -> &str {
    &event.headers["Switchgate-Synthetic"]
}

/// What a subscriber that goes on from a cursor is told until the node is in service.
async fn told_again(gateway: &Gateway, cursor: String) -> Vec<String> {
    use pb::subscribe_response::Message;
    let request = pb::SubscribeRequest {
        start: Some(pb::SubscribeStart {
            position: Some(pb::subscribe_start::Position::Cursor(cursor)),
        }),
        ..Default::default()
    };
    let mut stream = within(gateway.events().subscribe(request))
        .await
        .unwrap()
        .into_inner();
    let mut told = Vec::new();
    loop {
        match within(stream.message()).await.unwrap().unwrap().message {
            Some(Message::Events(batch)) => told.extend(
                batch
                    .events
                    .into_iter()
                    .filter(|event| event.synthetic)
                    .map(|event| format!("{} {}", event.session_id, event.name)),
            ),
            Some(Message::NodeState(state)) if state.state() == pb::NodeState::Ready => {
                return told;
            }
            _ => {}
        }
    }
}

/// The second look, some time after the connect, is over: it would find things without a gap.
async fn settled(gateway: &Gateway) {
    until(|| count_received(gateway.sim(), "show calls") >= 2).await;
    until(|| node(gateway, "sim-0").commands_under_way() == 0).await;
}

async fn reconcile(gateway: &Gateway) -> Result<pb::ReconcileNodeResponse, tonic::Status> {
    let request = pb::ReconcileNodeRequest {
        node_id: "sim-0".to_owned(),
    };
    let response = within(gateway.nodes().reconcile_node(request)).await?;
    Ok(response.into_inner())
}

#[tokio::test]
async fn what_happened_while_nobody_listened_is_told_behind_the_gap() {
    let gateway = Gateway::over_sim().await;
    let sim = gateway.sim();
    let (answered, ended) = (inbound(&gateway).await, inbound(&gateway).await);
    let quiet = inbound(&gateway).await;
    let mut watcher = Watcher::begin(&gateway).await;
    let wait = pb::WaitForEventsRequest {
        session_id: answered.clone(),
        event_names: vec!["CHANNEL_ANSWER".to_owned()],
        ..Default::default()
    };
    let mut sessions = gateway.sessions();
    let waits = within(sessions.wait_for_events(wait));
    let happens = async {
        sim.inject(Fault::LoseEvents(u32::MAX));
        run_api(&gateway, "uuid_answer", &answered, SLACK)
            .await
            .unwrap();
        sim.hang_up(&ended);
        let begun = sim.place_inbound("bridge_echo", "1001");
        let mut peer = None;
        until(|| {
            let channels = sim.channels();
            let channel = channels.iter().find(|channel| channel.uuid == begun);
            peer = channel.and_then(|channel| channel.peer.clone());
            peer.is_some() && channels.len() == 5
        })
        .await;
        // Until the list has caught up.
        until(|| {
            sim.channels()
                .iter()
                .all(|channel| channel.state != switchgate::domain::ChannelState::Init)
        })
        .await;
        sim.inject(Fault::Heal);
        sim.inject(Fault::DropLinks);
        begun
    };
    let (waited, begun) = tokio::join!(waits, happens);
    let waited = waited.unwrap().into_inner();
    assert!(waited.events[0].synthetic);
    assert_eq!(waited.events[0].name, "CHANNEL_ANSWER");

    // The list lags, so those that began last may be found at the second look.
    let is_found = |told: &Told| matches!(told, Told::Event(event) if event.synthetic && event.session_id == begun && event.name == "CHANNEL_BRIDGE");
    let mut story = Vec::new();
    while !story.iter().any(is_found) {
        story.push(watcher.next().await.unwrap());
    }
    let at = |is_it: &dyn Fn(&Told) -> bool| story.iter().position(is_it).unwrap();
    let gap = at(&|told| matches!(told, Told::Gap(_)));
    let first = at(&|told| matches!(told, Told::Event(event) if event.synthetic));
    assert!(gap < first, "the gap stands before what is made of it");

    assert_eq!(
        synthetic_of(&story, &answered),
        ["CHANNEL_DATA", "CHANNEL_ANSWER"]
    );
    assert_eq!(synthetic_of(&story, &ended), ["CHANNEL_HANGUP_COMPLETE"]);
    assert_eq!(synthetic_of(&story, &quiet), [""; 0]);
    let names = synthetic_of(&story, &begun);
    assert_eq!(names[0], "CHANNEL_CREATE");
    assert!(names.contains(&"CHANNEL_ANSWER".to_owned()), "{names:?}");
    for event in synthetic(&story) {
        let reason = match event.session_id.as_str() {
            id if id == answered => "changed while disconnected",
            id if id == ended => "lost while disconnected",
            _ => "begun while disconnected",
        };
        assert_eq!(why(event), reason, "{event:?}");
        assert!(event.time.is_some() && !event.core_uuid.is_empty() && !event.call_id.is_empty());
        if event.session_id == ended {
            assert_eq!(event.headers["Hangup-Cause"], "INTERWORKING");
        }
        if event.name == "CHANNEL_CREATE" && event.session_id == begun {
            assert_eq!(event.headers["Caller-Destination-Number"], "bridge_echo");
        }
    }
    let lost = session(&gateway, &ended).await;
    assert!(lost.synthetic_end);
    assert_eq!(
        lost.hangup.unwrap().cause(),
        pb::HangupCause::Interworking,
        "Q.850's cause for what cannot be known"
    );
    in_full_service(&gateway).await;
    leave(gateway).await;
}

#[tokio::test]
async fn a_subscriber_that_goes_on_from_a_cursor_is_told_the_same() {
    let gateway = Gateway::over_sim().await;
    let gone: Vec<String> = [inbound(&gateway).await, inbound(&gateway).await].into();
    let cursor = gateway.control.journal.cursor().to_string();
    let mut watcher = Watcher::begin(&gateway).await;
    take_away(&gateway).await;
    for id in &gone {
        gateway.sim().hang_up(id);
    }
    until(|| gateway.sim().channels().is_empty()).await;
    bring_back(&gateway).await;
    let story = watcher.until_state("sim-0", pb::NodeState::Ready).await;
    let told: Vec<_> = synthetic(&story)
        .into_iter()
        .map(|event| format!("{} {}", event.session_id, event.name))
        .collect();
    assert_eq!(told.len(), 2);
    assert_eq!(told_again(&gateway, cursor).await, told);
    leave(gateway).await;
}

#[tokio::test]
async fn events_that_are_lost_over_a_living_link_show_in_the_count_of_sessions() {
    let config = SimConfig {
        heartbeat: Duration::from_millis(100),
        list_lag: Duration::ZERO,
        ..SimConfig::default()
    };
    let gateway = over(config, |_| {}).await;
    settled(&gateway).await;
    let sim = gateway.sim();
    let (ended, answered) = (inbound(&gateway).await, inbound(&gateway).await);
    let mut watcher = Watcher::begin(&gateway).await;
    sim.inject(Fault::LoseEvents(u32::MAX));
    run_api(&gateway, "uuid_answer", &answered, SLACK)
        .await
        .unwrap();
    sim.hang_up(&ended);
    until(|| sim.channels().len() == 1).await;
    sim.inject(Fault::Heal);
    let is_end = |told: &Told| matches!(told, Told::Event(event) if event.synthetic && event.session_id == ended);
    let story = watcher.until(is_end).await;
    assert_eq!(
        Told::story(&story),
        [
            "sim-0 gap GAP_REASON_EVENTS_LOST",
            "synthetic CHANNEL_DATA",
            "synthetic CHANNEL_ANSWER",
            "synthetic CHANNEL_HANGUP_COMPLETE",
        ]
    );
    assert_eq!(
        why(synthetic(&story)[2]),
        "lost while events were lost",
        "no link was lost"
    );
    assert_eq!(node(&gateway, "sim-0").status().connects, 1);
    assert!(session(&gateway, &answered).await.answered);
    leave(gateway).await;
}

#[tokio::test]
async fn reconciling_on_request_says_what_it_corrected_and_needs_a_link() {
    let config = SimConfig {
        list_lag: Duration::ZERO,
        ..SimConfig::default()
    };
    let gateway = over(config, |_| {}).await;
    settled(&gateway).await;
    let sim = gateway.sim();
    let (ended, answered) = (inbound(&gateway).await, inbound(&gateway).await);
    let counts = |response: &pb::ReconcileNodeResponse| {
        (
            response.sessions_found,
            response.sessions_changed,
            response.sessions_ended,
        )
    };
    assert_eq!(counts(&reconcile(&gateway).await.unwrap()), (0, 0, 0));
    let mut watcher = Watcher::begin(&gateway).await;
    sim.inject(Fault::LoseEvents(u32::MAX));
    run_api(&gateway, "uuid_answer", &answered, SLACK)
        .await
        .unwrap();
    sim.hang_up(&ended);
    let begun = sim.place_inbound("park", "1000");
    until(|| {
        let channels = sim.channels();
        channels.len() == 2
            && channels
                .iter()
                .all(|channel| channel.state == switchgate::domain::ChannelState::Execute)
    })
    .await;
    sim.inject(Fault::Heal);
    assert_eq!(counts(&reconcile(&gateway).await.unwrap()), (1, 1, 1));
    let is_end = |told: &Told| matches!(told, Told::Event(event) if event.synthetic && event.session_id == ended);
    let story = watcher.until(is_end).await;
    assert_eq!(Told::story(&story)[0], "sim-0 gap GAP_REASON_EVENTS_LOST");
    assert_eq!(
        synthetic_of(&story, &begun),
        ["CHANNEL_CREATE", "CHANNEL_PARK"]
    );
    assert_eq!(counts(&reconcile(&gateway).await.unwrap()), (0, 0, 0));

    take_away(&gateway).await;
    assert_unavailable(&reconcile(&gateway).await.unwrap_err());
    bring_back(&gateway).await;
    leave(gateway).await;
}

#[tokio::test]
async fn whoever_waits_for_a_comparison_shares_the_next_one() {
    let gateway = over(SimConfig::default(), |_| {}).await;
    settled(&gateway).await;
    let asked = || count_received(gateway.sim(), "show channels");
    let id = "sim-0".parse().unwrap();
    let deadline = Deadline::after(SLACK);
    // Behind the gateway's own second look, which they would wait for too.
    let first = gateway.control.fleet.reconcile(&id, deadline);
    within(first).await.unwrap();
    let before = asked();
    // All ask before the first comparison has got any answer.
    let compared = (0..8).map(|_| gateway.control.fleet.reconcile(&id, deadline));
    for differences in within(futures_util::future::join_all(compared)).await {
        assert_eq!(differences.unwrap(), Differences::default());
    }
    assert_eq!(asked() - before, 2);
    leave(gateway).await;
}

#[tokio::test]
async fn without_a_database_what_vanished_is_found_and_what_cannot_be_is_said() {
    let config = SimConfig {
        no_sql: true,
        ..SimConfig::default()
    };
    let gateway = over(config, |_| {}).await;
    assert_eq!(
        run_api(&gateway, "show", "channels as json", SLACK)
            .await
            .unwrap(),
        "-ERR SQL disabled, no data available!\n"
    );
    let (ended, lives) = (inbound(&gateway).await, inbound(&gateway).await);
    take_away(&gateway).await;
    gateway.sim().hang_up(&ended);
    let unseen = gateway.sim().place_inbound("park", "1000");
    bring_back(&gateway).await;
    assert!(session(&gateway, &ended).await.synthetic_end);
    assert!(session(&gateway, &lives).await.hangup.is_none());
    let unseen = gateway.control.tracker.session(&unseen.parse().unwrap());
    assert!(unseen.is_none(), "nobody can list it");
    let request = pb::GetNodeRequest {
        node_id: "sim-0".to_owned(),
    };
    let told = within(gateway.nodes().get_node(request)).await.unwrap();
    let told = told.into_inner().node.unwrap();
    assert_eq!(told.state(), pb::NodeState::Ready);
    assert!(told.state_detail.contains("-nosql"), "{told:?}");
    // Applications cannot be listed either; they are executed all the same.
    let execute = pb::ExecuteRequest {
        session_id: lives,
        application: "answer".to_owned(),
        ..Default::default()
    };
    within(gateway.sessions().execute(execute)).await.unwrap();
    assert_serves(&gateway).await;
    leave(gateway).await;
}

#[tokio::test]
async fn a_list_that_takes_too_long_changes_nothing_and_is_asked_for_again() {
    let (gateway, fake) = over_fake_with(|config| {
        config.esl.query_timeout = Duration::from_millis(300);
    })
    .await;
    reached(&gateway, "sim-0", NodeState::Ready).await;
    fake.channel_event("CHANNEL_CREATE", ONE, &[("Channel-State", "CS_INIT")]);
    seen(&gateway, ONE, |session| session.hangup.is_none()).await;
    let asked = fake.count("api show channels");
    fake.on("api show channels", [Say::Nothing, Say::Nothing, rows(&[])]);
    fake.drop_links();
    until(|| fake.count("api show channels") == asked + 2).await;
    assert_eq!(node(&gateway, "sim-0").status().state, NodeState::Syncing);
    assert!(session(&gateway, ONE).await.hangup.is_none());
    // The third is answered, over a link that is not clogged by the first two.
    connected_again(&gateway).await;
    assert!(session(&gateway, ONE).await.synthetic_end);
    leave(gateway).await;
}

#[tokio::test]
async fn no_verb_waits_behind_a_long_list() {
    let (gateway, fake) = over_fake_with(|_| {}).await;
    reached(&gateway, "sim-0", NodeState::Ready).await;
    let asked = fake.count("api show channels");
    fake.on(
        "api show channels",
        [Say::Held(Box::new(rows(&[TWO]))), rows(&[TWO])],
    );
    fake.on("api uuid_exists", [Say::api("true")]);
    fake.drop_links();
    until(|| fake.count("api show channels") > asked).await;
    until(|| node(&gateway, "sim-0").command_links().0 == 2).await;
    for _ in 0..8 {
        let told = run_api(&gateway, "version", "short", SLACK).await.unwrap();
        assert_eq!(told, "1.10.12-release\n");
    }
    assert_eq!(node(&gateway, "sim-0").status().state, NodeState::Syncing);
    fake.release();
    connected_again(&gateway).await;
    leave(gateway).await;
}

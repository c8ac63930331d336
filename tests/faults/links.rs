//! Links that are lost, silent, slow or cut.

use std::future::Future;
use std::io;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use switchgate::app::App;
use switchgate::config::{Config, NodeAddress, NodeConfig};
use switchgate::domain::NodeState;
use switchgate::esl::{BoxIo, Dialer};
use switchgate::pb;
use switchgate::shutdown::Drain;
use switchgate::sim::{Fault, Sim, SimConfig};
use tonic::Code;

use super::{
    SLACK, Told, Watcher, answer, assert_serves, assert_unavailable, assert_unknown, bring_back,
    call_to, count_received, hang_up, in_full_service, inbound, is_retry_safe, job, job_end, leave,
    node, originate, over, quick, reached, received, run_api, run_job, seen, session, take_away,
    timed, until,
};
use crate::gateway::{Gateway, code_and_reason, metadata, within};

const LONG: Duration = Duration::from_secs(20);
/// A link of the simulator that owes a slow reply is dropped only when it has waited for that.
const SLOW: Duration = Duration::from_secs(1);

#[tokio::test]
async fn what_was_not_sent_is_unavailable_and_may_be_tried_again() {
    let gateway = Gateway::over_sim().await;
    let (first, second) = (inbound(&gateway).await, inbound(&gateway).await);
    take_away(&gateway).await;

    let (status, took) = timed(answer(&gateway, &first)).await;
    let status = status.unwrap_err();
    assert_unavailable(&status);
    assert_eq!(metadata(&status, "session_id"), first);
    assert!(took < SLACK, "it is told at once, not after {took:?}");
    assert_unavailable(&hang_up(&gateway, &second, LONG).await.unwrap_err());
    let about_session = pb::RunJobRequest {
        session_id: first.clone(),
        ..job("uuid_exists", &first)
    };
    let status = run_job(&gateway, about_session).await.unwrap_err();
    assert_unavailable(&status);
    assert_ne!(metadata(&status, "job_id"), "");
    assert_unavailable(&run_api(&gateway, "status", "", LONG).await.unwrap_err());
    // New work is refused before a node is chosen.
    for status in [
        originate(&gateway, "sofia/internal/answer@127.0.0.1")
            .await
            .unwrap_err(),
        run_job(&gateway, job("status", "")).await.unwrap_err(),
    ] {
        let expected = (Code::Unavailable, "NO_NODE_AVAILABLE".to_owned());
        assert_eq!(code_and_reason(&status), expected);
        assert!(is_retry_safe(&status));
    }

    bring_back(&gateway).await;
    assert!(answer(&gateway, &first).await.unwrap().answered);
    assert!(
        hang_up(&gateway, &second, LONG)
            .await
            .unwrap()
            .hangup
            .is_some()
    );
    assert_serves(&gateway).await;
    leave(gateway).await;
}

#[tokio::test]
async fn a_request_that_was_not_sent_acts_when_it_is_repeated_with_its_id() {
    let gateway = Gateway::over_sim().await;
    let id = inbound(&gateway).await;
    take_away(&gateway).await;
    let request = || pb::RunJobRequest {
        session_id: id.clone(),
        request_id: "once".to_owned(),
        ..job("uuid_exists", &id)
    };
    assert_unavailable(&run_job(&gateway, request()).await.unwrap_err());
    assert_unavailable(&run_job(&gateway, request()).await.unwrap_err());
    bring_back(&gateway).await;
    let ran = run_job(&gateway, request()).await.unwrap();
    assert_eq!(ran.state(), pb::JobState::Succeeded);
    assert_eq!(
        run_job(&gateway, request()).await.unwrap().job_id,
        ran.job_id
    );
    assert_eq!(count_received(gateway.sim(), "bgapi uuid_exists"), 1);
    leave(gateway).await;
}

#[tokio::test]
async fn an_answer_whose_links_are_lost_after_it_was_sent_has_an_unknown_outcome() {
    let gateway = Gateway::over_sim().await;
    let sim = gateway.sim();
    let id = inbound(&gateway).await;
    sim.inject(Fault::SlowReplies(SLOW));
    sim.inject(Fault::LoseEvents(u32::MAX));
    let drop_links = async {
        received(sim, &format!("uuid_answer {id}")).await;
        sim.inject(Fault::DropLinks);
    };
    let (answered, ()) = tokio::join!(timed(answer(&gateway, &id)), drop_links);
    let (status, took) = (answered.0.unwrap_err(), answered.1);
    assert_unknown(&status);
    assert_eq!(metadata(&status, "session_id"), id);
    assert!(took < SLACK, "{took:?}");

    sim.inject(Fault::Heal);
    in_full_service(&gateway).await;
    // It was executed, which nobody saw: asking again tells, without sending it a second time.
    seen(&gateway, &id, |session| session.answered).await;
    assert!(answer(&gateway, &id).await.unwrap().answered);
    assert_eq!(count_received(sim, "uuid_answer"), 1);
    assert_serves(&gateway).await;
    leave(gateway).await;
}

#[tokio::test]
async fn a_lost_reply_does_not_matter_when_the_effect_was_seen() {
    let gateway = Gateway::over_sim().await;
    let sim = gateway.sim();
    let id = inbound(&gateway).await;
    sim.inject(Fault::SlowReplies(SLOW));
    let drop_links = async {
        seen(&gateway, &id, |session| session.answered).await;
        sim.inject(Fault::DropLinks);
    };
    let (answered, ()) = tokio::join!(answer(&gateway, &id), drop_links);
    assert!(answered.unwrap().answered);
    bring_back(&gateway).await;
    leave(gateway).await;
}

#[tokio::test]
async fn a_hangup_whose_links_are_lost_after_it_was_sent_is_found_out_afterwards() {
    let gateway = Gateway::over_sim().await;
    let sim = gateway.sim();
    let id = inbound(&gateway).await;
    sim.inject(Fault::SlowReplies(SLOW));
    sim.inject(Fault::LoseEvents(u32::MAX));
    let mut watcher = Watcher::begin(&gateway).await;
    let drop_links = async {
        received(sim, &format!("uuid_kill {id}")).await;
        until(|| sim.channels().is_empty()).await;
        sim.inject(Fault::DropLinks);
    };
    let (hung_up, ()) = tokio::join!(hang_up(&gateway, &id, LONG), drop_links);
    assert_unknown(&hung_up.unwrap_err());

    sim.inject(Fault::Heal);
    let seen = watcher.until_state("sim-0", pb::NodeState::Ready).await;
    assert_eq!(
        Told::story(&seen),
        [
            "sim-0 NODE_STATE_DOWN",
            "sim-0 gap GAP_REASON_LINK_LOST",
            "sim-0 NODE_STATE_SYNCING",
            "synthetic CHANNEL_HANGUP_COMPLETE",
            "sim-0 NODE_STATE_READY",
        ]
    );
    let ended = session(&gateway, &id).await;
    assert!(ended.synthetic_end && ended.hangup.is_some());
    let status = hang_up(&gateway, &id, LONG).await.unwrap_err();
    let expected = (Code::FailedPrecondition, "SESSION_ENDED".to_owned());
    assert_eq!(code_and_reason(&status), expected);
    leave(gateway).await;
}

#[tokio::test]
async fn an_originate_that_rings_when_the_links_are_lost_ends_by_itself_later() {
    let gateway = Gateway::over_sim().await;
    let sim = gateway.sim();
    let drop_links = async {
        until(|| {
            let sessions = gateway.control.tracker.sessions();
            sessions
                .iter()
                .any(|session| session.times.progress.is_some())
        })
        .await;
        sim.inject(Fault::DropLinks);
    };
    let call = originate(&gateway, "sim/ring_answer?ring=1500ms");
    let (call, ()) = tokio::join!(call, drop_links);
    let status = call.unwrap_err();
    assert_unknown(&status);
    let (job_id, id) = (metadata(&status, "job_id"), metadata(&status, "session_id"));
    reached(&gateway, "sim-0", NodeState::Ready).await;

    let ended = job_end(&gateway, &job_id).await;
    assert_eq!(ended.state, switchgate::jobs::JobState::Succeeded);
    seen(&gateway, &id, |session| session.answered).await;
    assert!(hang_up(&gateway, &id, LONG).await.unwrap().hangup.is_some());
    leave(gateway).await;
}

/// Its result was told while nobody listened; the call itself must not suffer from that.
#[tokio::test]
async fn a_call_that_was_answered_while_nobody_listened_is_not_hung_up() {
    let gateway = Gateway::over_sim().await;
    let sim = gateway.sim();
    let lose_all = async {
        until(|| {
            let sessions = gateway.control.tracker.sessions();
            sessions
                .iter()
                .any(|session| session.times.progress.is_some())
        })
        .await;
        take_away(&gateway).await;
    };
    let mut request = tonic::Request::new(call_to("sim/ring_answer?ring=500ms"));
    request.set_timeout(Duration::from_millis(2500));
    let (mut sessions, began) = (gateway.sessions(), tokio::time::Instant::now());
    let (call, ()) = tokio::join!(within(sessions.originate(request)), lose_all);
    let status = call.unwrap_err();
    assert_unknown(&status);
    let (job_id, id) = (metadata(&status, "job_id"), metadata(&status, "session_id"));
    until(|| sim.channels().iter().any(|channel| channel.answered)).await;
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "the test is too slow to tell anything"
    );
    bring_back(&gateway).await;

    let ended = job_end(&gateway, &job_id).await;
    assert_eq!(ended.state, switchgate::jobs::JobState::Expired);
    let live = session(&gateway, &id).await;
    assert!(live.answered && live.hangup.is_none());
    assert_eq!(count_received(sim, "uuid_kill"), 0);
    assert!(hang_up(&gateway, &id, LONG).await.unwrap().hangup.is_some());
    leave(gateway).await;
}

#[tokio::test]
async fn a_job_goes_on_when_the_links_are_lost_and_its_result_is_heard_after() {
    let gateway = Gateway::over_sim().await;
    let sim = gateway.sim();
    let drop_links = async {
        until(|| {
            gateway
                .control
                .jobs
                .list()
                .iter()
                .any(|job| job.started.is_some())
        })
        .await;
        sim.inject(Fault::DropLinks);
    };
    let (ran, ()) = tokio::join!(run_job(&gateway, job("msleep", "1500")), drop_links);
    assert_eq!(ran.unwrap().state(), pb::JobState::Succeeded);
    in_full_service(&gateway).await;
    assert_serves(&gateway).await;
    leave(gateway).await;
}

#[tokio::test]
async fn a_job_whose_links_are_lost_before_its_reply_is_lost_after_its_time() {
    let gateway = Gateway::over_sim().await;
    let sim = gateway.sim();
    sim.inject(Fault::SlowReplies(SLOW));
    sim.inject(Fault::LoseEvents(u32::MAX));
    let request = pb::RunJobRequest {
        timeout: Some(prost_types::Duration {
            seconds: 3,
            nanos: 0,
        }),
        ..job("uuid_exists", "x")
    };
    let drop_links = async {
        received(sim, "bgapi uuid_exists").await;
        sim.inject(Fault::DropLinks);
    };
    let (ran, ()) = tokio::join!(timed(run_job(&gateway, request)), drop_links);
    let (ran, took) = (ran.0.unwrap(), ran.1);
    assert_eq!(ran.state(), pb::JobState::Lost);
    let Some(pb::job::Outcome::Error(error)) = ran.outcome else {
        panic!("a lost job has an error");
    };
    assert_eq!(error.reason, "OUTCOME_UNKNOWN");
    assert!((Duration::from_secs(3)..Duration::from_secs(3) + SLACK).contains(&took));
    bring_back(&gateway).await;
    assert_serves(&gateway).await;
    leave(gateway).await;
}

#[tokio::test]
async fn a_half_open_node_is_found_and_all_its_links_are_replaced() {
    let gateway = Gateway::over_sims(1, quick).await;
    let sim = gateway.sim();
    let id = inbound(&gateway).await;
    let mut watcher = Watcher::begin(&gateway).await;
    let logins_before = count_received(sim, "auth ");
    sim.inject(Fault::HalfOpen);

    let down = timed(watcher.until_state("sim-0", pb::NodeState::Down));
    let asked = timed(run_api(&gateway, "status", "", LONG));
    let ((_, found_after), (status, told_after)) = tokio::join!(down, asked);
    assert!(
        found_after < Duration::from_millis(600) + SLACK,
        "{found_after:?}"
    );
    assert_unknown(&status.unwrap_err());
    assert!(
        told_after < Duration::from_millis(1600) + SLACK,
        "{told_after:?}"
    );
    let detail = node(&gateway, "sim-0").status().detail;
    assert!(
        detail.contains("nothing was heard") || detail.contains("no answer"),
        "{detail}"
    );
    // A session that could only be answered blindly is not.
    until(|| node(&gateway, "sim-0").command_links().0 == 0).await;
    assert_unavailable(&answer(&gateway, &id).await.unwrap_err());

    sim.inject(Fault::Heal);
    watcher.until_state("sim-0", pb::NodeState::Ready).await;
    in_full_service(&gateway).await;
    assert!(count_received(sim, "auth ") >= logins_before + 9);
    assert_eq!(node(&gateway, "sim-0").status().connects, 2);
    assert!(answer(&gateway, &id).await.unwrap().answered);
    assert_serves(&gateway).await;
    leave(gateway).await;
}

#[tokio::test]
async fn a_stall_shorter_than_the_limit_is_survived_without_a_loss() {
    let tune = |config: &mut Config| {
        config.esl.probe_after = Duration::from_millis(200);
        config.esl.dead_after = Duration::from_secs(8);
    };
    let gateway = Gateway::over_sims(1, tune).await;
    let mut watcher = Watcher::begin(&gateway).await;
    let id = inbound(&gateway).await;
    gateway.sim().inject(Fault::Stall(Duration::from_secs(1)));
    let ((answered, took), ran, api) = tokio::join!(
        timed(answer(&gateway, &id)),
        run_job(&gateway, job("uuid_exists", &id)),
        run_api(&gateway, "uuid_exists", &id, LONG),
    );
    assert!(answered.unwrap().answered);
    assert_eq!(ran.unwrap().state(), pb::JobState::Succeeded);
    assert_eq!(api.unwrap(), "true");
    assert!(
        took > Duration::from_millis(500),
        "the node has stalled: {took:?}"
    );
    hang_up(&gateway, &id, LONG).await.unwrap();
    let ended = |told: &Told| matches!(told, Told::Event(event) if event.name == "CHANNEL_DESTROY");
    let story = watcher.until(ended).await;
    assert_eq!(
        Told::story(&story),
        [""; 0],
        "no state, no gap, nothing synthetic"
    );
    assert_eq!(node(&gateway, "sim-0").status().connects, 1);
    leave(gateway).await;
}

#[tokio::test]
async fn frames_that_are_cut_in_the_middle_end_their_links_and_nothing_else() {
    let gateway = Gateway::over_sim().await;
    let sim = gateway.sim();
    let id = inbound(&gateway).await;
    let mut watcher = Watcher::begin(&gateway).await;
    // The next frame of each link: on that of the events, and on that of the command.
    sim.inject(Fault::CutMidFrame);
    let (status, took) = timed(answer(&gateway, &id)).await;
    assert_unknown(&status.unwrap_err());
    assert!(took < SLACK, "{took:?}");
    let story = watcher.until_state("sim-0", pb::NodeState::Ready).await;
    assert_eq!(
        Told::story(&story),
        [
            "sim-0 NODE_STATE_DOWN",
            "sim-0 gap GAP_REASON_LINK_LOST",
            "sim-0 NODE_STATE_SYNCING",
            // The answer was executed; the event that told so is the one that was cut.
            "synthetic CHANNEL_DATA",
            "synthetic CHANNEL_ANSWER",
            "sim-0 NODE_STATE_READY",
        ]
    );
    // The other command links are cut in what they are sent next; each is made anew.
    sim.inject(Fault::Heal);
    for _ in 0..32 {
        if let Err(status) = run_api(&gateway, "uuid_exists", &id, LONG).await {
            assert_unknown(&status);
        }
    }
    in_full_service(&gateway).await;
    assert!(
        session(&gateway, &id).await.answered,
        "the answer was found out by asking"
    );
    assert_serves(&gateway).await;
    leave(gateway).await;
}

#[tokio::test]
async fn a_node_that_refuses_connections_is_down_with_the_reason_until_it_does_not() {
    let gateway = over(SimConfig::default(), |config| {
        config.esl.backoff.min = Duration::from_millis(20);
        config.esl.backoff.max = Duration::from_millis(100);
    })
    .await;
    let mut watcher = Watcher::begin(&gateway).await;
    let sim = gateway.sim();
    let refused = Duration::from_millis(800);
    sim.inject(Fault::RefuseConnections(refused));
    sim.inject(Fault::DropLinks);
    let (story, took) = timed(watcher.until_state("sim-0", pb::NodeState::Ready)).await;
    assert_eq!(
        Told::story(&story),
        [
            "sim-0 NODE_STATE_DOWN",
            "sim-0 gap GAP_REASON_LINK_LOST",
            "sim-0 NODE_STATE_SYNCING",
            "sim-0 NODE_STATE_READY",
        ]
    );
    assert!((refused / 2..refused + SLACK).contains(&took), "{took:?}");
    in_full_service(&gateway).await;

    take_away(&gateway).await;
    until(|| node(&gateway, "sim-0").status().detail.contains("login")).await;
    let request = pb::GetNodeRequest {
        node_id: "sim-0".to_owned(),
    };
    let told = within(gateway.nodes().get_node(request)).await.unwrap();
    let told = told.into_inner().node.unwrap();
    assert_eq!(told.state(), pb::NodeState::Down);
    assert!(
        told.state_detail.contains("connection broke during login"),
        "{}",
        told.state_detail
    );
    bring_back(&gateway).await;
    assert_serves(&gateway).await;
    leave(gateway).await;
}

/// Opens in-memory links to a simulated node, which know paused time.
struct InMemory(Sim);

impl Dialer for InMemory {
    fn dial<'a>(
        &'a self,
        _: &'a str,
    ) -> Pin<Box<dyn Future<Output = io::Result<BoxIo>> + Send + 'a>> {
        Box::pin(async { Ok(Box::new(self.0.connect()) as BoxIo) })
    }
}

#[tokio::test(start_paused = true)]
async fn by_default_a_half_open_node_is_found_within_a_minute() {
    let drain = Drain::new();
    let sim = Sim::new(SimConfig::default(), &drain);
    let mut config = Config::default();
    config.admin.enabled = false;
    config.grpc.listen = (Ipv4Addr::LOCALHOST, 0).into();
    let name = "sim-0".parse().unwrap();
    let address = NodeAddress::new("in-memory", 8021);
    config.nodes.push(NodeConfig::new(name, address, "ClueCon"));
    let app = App::build_with(&config, Arc::new(InMemory(sim.clone())))
        .await
        .unwrap();
    let control = app.control().clone();
    let (stop_tx, stop_rx) = tokio::sync::oneshot::channel::<()>();
    let app = drain.spawn(app.run(async move { drop(stop_rx.await) }));
    let node = control.fleet.nodes().next().unwrap().clone();
    node.reached(NodeState::Ready).await;
    // An idle link is kept; its silence is only that of a node with nothing to tell.
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(node.status().connects, 1);

    sim.inject(Fault::HalfOpen);
    let ((), took) = timed(node.reached(NodeState::Down)).await;
    assert!(took <= Duration::from_secs(60), "{took:?}");
    sim.inject(Fault::Heal);
    let ((), took) = timed(node.reached(NodeState::Ready)).await;
    assert!(took <= Duration::from_secs(20), "{took:?}");
    drop(stop_tx);
    assert!(app.await.unwrap(), "it drains");
    assert!(drain.finish(SLACK).await);
}

//! Events that are lost and replies that are late.

use std::time::Duration;

use futures_util::future::join_all;
use switchgate::sim::{Fault, SimConfig};

use super::{
    SLACK, answer_within, assert_serves, assert_too_late, hang_up, in_full_service, inbound, leave,
    node, over, run_api, seen, session, timed, until,
};
use crate::gateway::{Gateway, metadata};

const SHORT: Duration = Duration::from_millis(500);

#[tokio::test]
async fn an_effect_whose_event_is_lost_is_too_late_and_found_at_the_next_sync() {
    let gateway = Gateway::over_sim().await;
    let sim = gateway.sim();
    let (answered, hung_up) = (inbound(&gateway).await, inbound(&gateway).await);
    sim.inject(Fault::LoseEvents(u32::MAX));
    let (status, took) = timed(answer_within(&gateway, &answered, SHORT)).await;
    let status = status.unwrap_err();
    assert_too_late(&status, true);
    assert_eq!(metadata(&status, "session_id"), answered);
    assert!(took < SHORT + SLACK, "{took:?}");
    let status = hang_up(&gateway, &hung_up, SHORT).await.unwrap_err();
    assert_too_late(&status, true);
    assert!(!session(&gateway, &answered).await.answered);
    assert!(session(&gateway, &hung_up).await.hangup.is_none());
    until(|| sim.channels().len() == 1).await;

    sim.inject(Fault::Heal);
    sim.inject(Fault::DropLinks);
    seen(&gateway, &hung_up, |session| session.synthetic_end).await;
    seen(&gateway, &answered, |session| session.answered).await;
    in_full_service(&gateway).await;
    assert_serves(&gateway).await;
    leave(gateway).await;
}

#[tokio::test]
async fn a_late_reply_reaches_nobody_else() {
    let gateway = over(SimConfig::default(), |config| {
        // All commands share one link, so each late reply has somebody to be mistaken for.
        config.nodes[0].command_links = 1;
    })
    .await;
    let sim = gateway.sim();
    sim.inject(Fault::SlowReplies(Duration::from_millis(400)));
    let (status, took) = timed(run_api(
        &gateway,
        "echo",
        "late",
        Duration::from_millis(200),
    ))
    .await;
    assert_too_late(&status.unwrap_err(), true);
    assert!(took < Duration::from_millis(200) + SLACK, "{took:?}");
    let asked = (0..5).map(|at| {
        let gateway = &gateway;
        async move {
            let own = format!("number {at}");
            let told = run_api(gateway, "echo", &own, Duration::from_secs(20)).await;
            assert_eq!(told.unwrap(), own);
        }
    });
    join_all(asked).await;
    sim.inject(Fault::Heal);
    assert_eq!(
        node(&gateway, "sim-0").status().connects,
        1,
        "no link was lost"
    );
    assert_serves(&gateway).await;
    leave(gateway).await;
}

#[tokio::test]
async fn what_waits_behind_a_slow_node_past_its_deadline_says_whether_it_was_sent() {
    let gateway = Gateway::over_sim().await;
    let id = inbound(&gateway).await;
    gateway
        .sim()
        .inject(Fault::Stall(Duration::from_millis(1500)));
    let (status, took) = timed(answer_within(&gateway, &id, SHORT)).await;
    assert_too_late(&status.unwrap_err(), true);
    assert!(took < SHORT + SLACK, "{took:?}");
    // It was sent, so it happens all the same, and is seen.
    seen(&gateway, &id, |session| session.answered).await;
    leave(gateway).await;
}

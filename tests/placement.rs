//! Which node gets new work.

use std::collections::HashMap;
use std::time::Duration;

use switchgate::pb;
use switchgate::shutdown::Drain;
use switchgate::sim::{Sim, SimConfig};
use tonic::Code;

use crate::client::*;
use crate::gateway::{Gateway, code_and_reason, metadata, within};

fn on(node_id: &str) -> Option<pb::NodeSelector> {
    Some(pb::NodeSelector {
        node_id: node_id.to_owned(),
        ..Default::default()
    })
}

fn limited(name: &str, max_sessions: u32, per_second: u32) -> SimConfig {
    SimConfig {
        name: name.to_owned(),
        max_sessions,
        sessions_per_second: per_second,
        // Nothing of what the test does is in any heartbeat.
        heartbeat: Duration::from_secs(600),
        ..SimConfig::default()
    }
}

#[tokio::test]
async fn nodes_fill_up_evenly_and_a_full_one_gets_nothing() {
    let drain = Drain::new();
    let sims = ["sim-0", "sim-1"].map(|name| Sim::new(limited(name, 8, 2000), &drain));
    let gateway = Gateway::over(sims.into(), drain, |_| {}).await;
    // Each call is two sessions on its node: it calls itself.
    let mut placed: HashMap<String, u32> = HashMap::new();
    let mut sessions = Vec::new();
    for _ in 0..8 {
        let session = answered(&gateway).await;
        *placed.entry(session.node_id.clone()).or_default() += 1;
        sessions.push(session);
    }
    assert_eq!(
        placed,
        HashMap::from([("sim-0".to_owned(), 4), ("sim-1".to_owned(), 4)])
    );
    let status = originate(&gateway, ANSWERS).await.unwrap_err();
    assert_eq!(
        code_and_reason(&status),
        (Code::ResourceExhausted, "NODE_LIMIT".to_owned())
    );
    assert!(has_retry(&status));
    let request = pb::OriginateRequest {
        node_selector: on("sim-1"),
        ..to(ANSWERS)
    };
    let status = place(&gateway, request).await.unwrap_err();
    assert_eq!(
        code_and_reason(&status),
        (Code::ResourceExhausted, "NODE_LIMIT".to_owned())
    );
    assert_eq!(metadata(&status, "node_id"), "sim-1");
    // What makes no session is done all the same.
    let job = pb::RunJobRequest {
        command: "status".to_owned(),
        ..Default::default()
    };
    within(gateway.jobs().run_job(job)).await.unwrap();

    let gone = sessions.pop().unwrap();
    hang_up(&gateway, &gone.session_id).await;
    let node_id = gone.node_id.parse().unwrap();
    within(async {
        while gateway.control.tracker.live_count(&node_id) > 6 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(answered(&gateway).await.node_id, gone.node_id);
    gateway.stop().await;
}

#[tokio::test]
async fn a_node_at_its_limit_of_new_sessions_is_spared() {
    let drain = Drain::new();
    let sims = [limited("sim-0", 1000, 4), limited("sim-1", 1000, 2000)];
    let sims = sims.map(|config| Sim::new(config, &drain));
    let gateway = Gateway::over(sims.into(), drain, |_| {}).await;
    let mut on_first = 0;
    for _ in 0..12 {
        // Whichever takes it, none is refused by FreeSWITCH.
        on_first += u32::from(answered(&gateway).await.node_id == "sim-0");
    }
    assert!(on_first >= 1, "it takes part");
    gateway.stop().await;
}

#[tokio::test]
async fn a_call_that_is_refused_takes_no_place() {
    let drain = Drain::new();
    // Room for one call: it calls itself.
    let sim = Sim::new(limited("sim-0", 2, 2000), &drain);
    let gateway = Gateway::over(vec![sim], drain, |_| {}).await;
    for _ in 0..3 {
        let request = pb::OriginateRequest {
            target: Some(application("no_such_application", "")),
            ..to(ANSWERS)
        };
        let status = place(&gateway, request).await.unwrap_err();
        assert_eq!(
            code_and_reason(&status),
            (Code::InvalidArgument, "UNKNOWN_APPLICATION".to_owned())
        );
    }
    answered(&gateway).await;
    gateway.stop().await;
}

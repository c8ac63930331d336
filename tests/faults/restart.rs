//! A FreeSWITCH that was started anew has lost everything.

use switchgate::pb;
use switchgate::sim::Fault;

use super::{
    SLACK, Told, Watcher, assert_serves, assert_unknown, hang_up, in_full_service, inbound, job,
    job_end, leave, node, originate, run_job, session, until,
};
use crate::gateway::{Gateway, code_and_reason, metadata, within};

#[tokio::test]
async fn a_restart_ends_all_sessions_and_loses_all_jobs_and_new_ones_work() {
    let gateway = Gateway::over_sim().await;
    let sim = gateway.sim();
    let inbound = inbound(&gateway).await;
    let outbound = originate(&gateway, "sim/answer").await.unwrap();
    let core_before = node(&gateway, "sim-0").status().core_uuid;
    let mut watcher = Watcher::begin(&gateway).await;

    let restart = async {
        until(|| {
            let jobs = gateway.control.jobs.list();
            let running =
                |job: &&switchgate::jobs::SharedJob| !job.state.is_end() && job.started.is_some();
            // The ringing call's and the sleeping one's.
            jobs.iter().filter(running).count() == 2
        })
        .await;
        until(|| gateway.control.tracker.sessions().len() == 3).await;
        sim.inject(Fault::Restart);
        watcher.until_state("sim-0", pb::NodeState::Ready).await
    };
    let (ran, call, story) = tokio::join!(
        run_job(&gateway, job("msleep", "600000")),
        originate(&gateway, "sim/ring"),
        restart,
    );
    let lost = ran.unwrap();
    assert_eq!(lost.state(), pb::JobState::Lost);
    let status = call.unwrap_err();
    assert_unknown(&status);
    let ended = job_end(&gateway, &metadata(&status, "job_id")).await;
    assert_eq!(ended.state, switchgate::jobs::JobState::Lost);

    assert_eq!(
        Told::story(&story),
        [
            "sim-0 NODE_STATE_DOWN",
            "sim-0 gap GAP_REASON_LINK_LOST",
            "sim-0 NODE_STATE_SYNCING",
            "synthetic CHANNEL_HANGUP_COMPLETE",
            "synthetic CHANNEL_HANGUP_COMPLETE",
            "synthetic CHANNEL_HANGUP_COMPLETE",
            "sim-0 NODE_STATE_READY",
        ]
    );
    for told in &story {
        if let Told::Event(event) = told
            && event.synthetic
        {
            assert_eq!(event.headers["Hangup-Cause"], "CRASH");
            assert_eq!(event.node_id, "sim-0");
        }
    }
    for id in [
        inbound,
        outbound.session_id,
        metadata(&status, "session_id"),
    ] {
        let ended = session(&gateway, &id).await;
        assert!(ended.synthetic_end);
        assert_eq!(ended.hangup.unwrap().cause(), pb::HangupCause::Crash);
        let status = hang_up(&gateway, &id, SLACK).await.unwrap_err();
        assert_eq!(code_and_reason(&status).1, "SESSION_ENDED");
        assert_eq!(metadata(&status, "hangup_cause"), "CRASH");
    }
    let calls = within(gateway.calls().list_calls(pb::ListCallsRequest::default())).await;
    let calls = calls.unwrap().into_inner().calls;
    assert!(
        calls.len() >= 3 && calls.iter().all(|call| call.ended.is_some()),
        "{calls:?}"
    );
    assert_ne!(node(&gateway, "sim-0").status().core_uuid, core_before);
    in_full_service(&gateway).await;
    assert_serves(&gateway).await;
    leave(gateway).await;
}

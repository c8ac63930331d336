//! A call that outlasts the grace period and whose client can ask for it again.

use super::*;
use crate::client::has_retry;
use crate::faults::count_received;
use switchgate::sim::Fault;

async fn get_job(gateway: &Gateway, id: &str) -> Result<pb::Job, tonic::Status> {
    let request = pb::GetJobRequest {
        job_id: id.to_owned(),
    };
    let response = within(gateway.jobs().get_job(request)).await?;
    Ok(response.into_inner().job.unwrap())
}

#[tokio::test]
async fn the_same_request_at_another_gateway_gets_a_call_that_rings_at_the_end() {
    let mut one = Gateway::over_sims(1, |config| {
        config.shutdown.grace = Duration::from_millis(500);
    })
    .await;
    let sim = one.sim().clone();
    let node = one.control.fleet.nodes().next().unwrap();
    let two = Gateway::over_address(node.address().to_owned()).await;
    let request = pb::OriginateRequest {
        request_id: "again".to_owned(),
        ..call_to("sim/ring_answer?ring=2s")
    };
    let mut sessions = one.sessions();
    let stop = async {
        until(|| !sim.channels().is_empty()).await;
        one.begin_stop();
    };
    let (call, ()) = tokio::join!(within(sessions.originate(request.clone())), stop);
    let status = call.unwrap_err();
    let expected = (Code::Unavailable, "SHUTTING_DOWN".to_owned());
    assert_eq!(code_and_reason(&status), expected, "{status:?}");
    assert!(has_retry(&status));
    let job_id = metadata(&status, "job_id");
    // Another gateway knows the job from when it is asked for the call.
    let unknown = get_job(&two, &job_id).await.unwrap_err();
    assert_eq!(code_and_reason(&unknown).1, "JOB_NOT_FOUND");

    let placed = within(two.sessions().originate(request)).await.unwrap();
    let placed = placed.into_inner();
    let session = placed.session.unwrap();
    assert!(session.answered);
    assert_eq!(session.session_id, metadata(&status, "session_id"));
    assert_eq!(placed.job_id, job_id);
    let job = get_job(&two, &job_id).await.unwrap();
    assert_eq!(job.state(), pb::JobState::Succeeded);
    assert_eq!(count_received(&sim, "bgapi originate"), 1);
    one.stopped().await;
    crate::client::hang_up(&two, &session.session_id).await;
    two.stop().await;
}

#[tokio::test]
async fn a_gateway_that_has_not_read_its_node_yet_does_not_say_that_there_is_no_such_session() {
    let drain = Drain::new();
    let sim = Sim::new(SimConfig::default(), &drain);
    // For longer than the test asks.
    sim.inject(Fault::RefuseConnections(Duration::from_millis(500)));
    let gateway = Gateway::over_unready(sim, drain, |_| {}).await;
    let unknown = crate::client::tag();
    let status = crate::client::get(&gateway, &unknown).await.unwrap_err();
    let expected = (Code::Unavailable, "NODE_UNAVAILABLE".to_owned());
    assert_eq!(code_and_reason(&status), expected, "{status:?}");
    assert!(has_retry(&status));
    gateway.in_service().await;
    let status = crate::client::get(&gateway, &unknown).await.unwrap_err();
    let expected = (Code::NotFound, "SESSION_NOT_FOUND".to_owned());
    assert_eq!(code_and_reason(&status), expected, "{status:?}");
    gateway.stop().await;
}

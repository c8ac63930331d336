//! How much one caller may use: what is refused, and that it is given back.

use std::time::Duration;

use switchgate::pb;
use switchgate::shutdown::Drain;
use switchgate::sim::Fault;
use tonic::Code;

use crate::client::{answered, seconds, tag};
use crate::gateway::{Gateway, code_and_reason, metadata, within};
use crate::hostile::wire::{END_STREAM, HEADERS, Wire, without_message};
use crate::verbs::until;

#[tokio::test]
async fn a_stream_counts_until_it_ends_and_one_too_many_is_told_which_limit_it_met() {
    let gateway = Gateway::over_sims(1, |config| config.limits.streams = 1).await;
    let request = || pb::SubscribeRequest {
        heartbeat_interval: Some(seconds(1)),
        ..Default::default()
    };
    let mut events = gateway.events();
    let mut first = within(events.subscribe(request()))
        .await
        .unwrap()
        .into_inner();
    within(first.message()).await.unwrap().unwrap();

    let refused = within(events.subscribe(request())).await.unwrap_err();
    assert_eq!(
        code_and_reason(&refused),
        (Code::ResourceExhausted, "RATE_LIMITED".to_owned())
    );
    assert_eq!(metadata(&refused, "limit"), "streams");
    // Unary RPCs are counted apart.
    let list = pb::ListNodesRequest::default();
    within(gateway.nodes().list_nodes(list)).await.unwrap();

    drop(first);
    // The gateway learns of it when the client's reset arrives.
    let mut second = within(async {
        loop {
            if let Ok(second) = events.subscribe(request()).await {
                return second.into_inner();
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    within(second.message()).await.unwrap().unwrap();
    drop(second);
    gateway.stop().await;
}

#[tokio::test]
async fn a_node_has_no_more_jobs_than_its_limit() {
    let gateway = Gateway::over_sims(2, |config| config.jobs.max_running_per_node = 1).await;
    let mut jobs = gateway.jobs();
    let start = |node: &str| pb::StartJobRequest {
        command: "msleep".to_owned(),
        arguments: "600000".to_owned(),
        node_selector: Some(pb::NodeSelector {
            node_id: node.to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let first = within(jobs.start_job(start("sim-0")))
        .await
        .unwrap()
        .into_inner();
    let refused = within(jobs.start_job(start("sim-0"))).await.unwrap_err();
    assert_eq!(
        code_and_reason(&refused),
        (Code::ResourceExhausted, "OVERLOADED".to_owned())
    );
    assert_eq!(metadata(&refused, "node_id"), "sim-0");
    let other = within(jobs.start_job(start("sim-1")))
        .await
        .unwrap()
        .into_inner();
    for job in [first.job, other.job] {
        let request = pb::CancelJobRequest {
            job_id: job.unwrap().job_id,
            ..Default::default()
        };
        within(jobs.cancel_job(request)).await.unwrap();
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_request_whose_message_never_comes_is_given_up_at_its_deadline() {
    let gateway = Gateway::over_sims(1, |config| config.limits.in_flight = 1).await;
    let mut wire = Wire::connect(gateway.address).await;
    let path = "/switchgate.v1.SessionService/Hangup";
    let timeout = [("grpc-timeout", "200m")];
    assert!(wire.send(&without_message(1, path, &timeout)).await);
    let answer = wire.until(HEADERS).await.unwrap();
    assert_eq!((answer.stream, answer.flags & END_STREAM), (1, END_STREAM));
    let list = pb::ListNodesRequest::default();
    within(gateway.nodes().list_nodes(list)).await.unwrap();
    // Which would be waited for, since it does not answer that it has seen GOAWAY.
    drop(wire);
    gateway.stop().await;
}

#[tokio::test]
async fn what_goes_on_without_its_client_holds_its_place_until_it_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let audit = folder.path().join("audit");
    let gateway = Gateway::over_sims(1, |config| {
        config.limits.in_flight = 1;
        config.grpc.deadlines.default = Duration::from_secs(5);
        config.audit.file = audit.to_str().unwrap().to_owned();
    })
    .await;
    let session = answered(&gateway).await;
    let sim = gateway.sim();
    sim.inject(Fault::SlowReplies(Duration::from_secs(60)));
    let request = pb::HangupRequest {
        session_id: session.session_id,
        request_id: tag(),
        ..Default::default()
    };
    let mut sessions = gateway.sessions();
    let call = Drain::new().spawn(async move { sessions.hangup(request).await });
    let is_killed = |command: &Vec<u8>| command.starts_with(b"api uuid_kill");
    until(|| sim.commands().iter().any(is_killed).then_some(())).await;
    call.abort();
    // The gateway knows that it has left.
    until(|| {
        let content = std::fs::read_to_string(&audit).ok()?;
        content.contains("CANCELLED").then_some(())
    })
    .await;
    let list = async || {
        let list = pb::ListNodesRequest::default();
        within(gateway.nodes().list_nodes(list)).await
    };
    for _ in 0..10 {
        let refused = list().await.unwrap_err();
        assert_eq!(metadata(&refused, "limit"), "in_flight");
    }
    assert_eq!(gateway.access.limits.in_flight(), 1);
    // Until its own deadline.
    until(|| (gateway.access.limits.in_flight() == 0).then_some(())).await;
    list().await.unwrap();
    sim.inject(Fault::Heal);
    gateway.stop().await;
}

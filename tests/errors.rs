//! Every reason of ErrorReason, provoked through the API: its code, whether a retry is safe, and the
//! metadata that come with it.

use std::collections::BTreeMap;
use std::time::Duration;

use switchgate::jobs::JobSpec;
use switchgate::pb::{self, ErrorReason};
use switchgate::sim::Fault;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::callers;
use crate::client::{Feed, answered, hang_up, map, place, seconds, start_at, to, with_deadline};
use crate::fake_node::Say;
use crate::faults::fill::{living, over_fake};
use crate::faults::{bring_back, in_full_service, leave, received, take_away};
use crate::gateway::{Gateway, within};

/// Reason, code, whether RetryInfo comes with it, and keys of its metadata.
const REASONS: [(&str, Code, bool, &[&str]); 30] = [
    ("INVALID_ARGUMENT", Code::InvalidArgument, false, &[]),
    (
        "UNKNOWN_APPLICATION",
        Code::InvalidArgument,
        false,
        &["application", "node_id"],
    ),
    ("SESSION_NOT_FOUND", Code::NotFound, false, &["session_id"]),
    ("CALL_NOT_FOUND", Code::NotFound, false, &[]),
    ("JOB_NOT_FOUND", Code::NotFound, false, &["job_id"]),
    ("NODE_NOT_FOUND", Code::NotFound, false, &["node_id"]),
    (
        "SESSION_ENDED",
        Code::FailedPrecondition,
        false,
        &["hangup_cause", "node_id", "q850", "session_id", "sip_code"],
    ),
    (
        "SESSION_STATE",
        Code::FailedPrecondition,
        false,
        &["call_state", "node_id", "session_id", "state"],
    ),
    ("JOB_ENDED", Code::FailedPrecondition, false, &["job_id"]),
    (
        "CALL_FAILED",
        Code::Aborted,
        false,
        &[
            "freeswitch_reply",
            "hangup_cause",
            "job_id",
            "node_id",
            "q850",
            "session_id",
            "sip_code",
        ],
    ),
    (
        "ENDPOINT_UNUSABLE",
        Code::FailedPrecondition,
        false,
        &[
            "freeswitch_reply",
            "hangup_cause",
            "job_id",
            "node_id",
            "q850",
            "session_id",
            "sip_code",
        ],
    ),
    (
        "COMMAND_REJECTED",
        Code::FailedPrecondition,
        false,
        &["freeswitch_reply", "node_id", "session_id"],
    ),
    (
        "NODE_LIMIT",
        Code::ResourceExhausted,
        true,
        &[
            "freeswitch_reply",
            "hangup_cause",
            "job_id",
            "node_id",
            "q850",
            "sip_code",
        ],
    ),
    ("OVERLOADED", Code::ResourceExhausted, true, &["node_id"]),
    ("NO_NODE_AVAILABLE", Code::Unavailable, true, &[]),
    (
        "NODE_UNAVAILABLE",
        Code::Unavailable,
        true,
        &["node_id", "session_id"],
    ),
    (
        "OUTCOME_UNKNOWN",
        Code::Unavailable,
        false,
        &["node_id", "session_id"],
    ),
    (
        "DEADLINE_EXCEEDED",
        Code::DeadlineExceeded,
        false,
        &["command_sent", "node_id", "session_id"],
    ),
    (
        "CANCELLED",
        Code::Cancelled,
        false,
        &["job_id", "node_id", "session_id"],
    ),
    ("REQUEST_ID_REUSED", Code::AlreadyExists, false, &[]),
    ("SHUTTING_DOWN", Code::Unavailable, true, &["cursor"]),
    ("SLOW_CONSUMER", Code::ResourceExhausted, false, &["cursor"]),
    ("CURSOR_LOST", Code::OutOfRange, false, &["oldest_cursor"]),
    ("PROTOCOL_ERROR", Code::Internal, false, &["node_id"]),
    ("JOB_RUNNING", Code::FailedPrecondition, false, &["job_id"]),
    ("NODE_EXISTS", Code::AlreadyExists, false, &["node_id"]),
    ("NODE_BUSY", Code::FailedPrecondition, false, &["node_id"]),
    ("UNAUTHENTICATED", Code::Unauthenticated, false, &["why"]),
    (
        "PERMISSION_DENIED",
        Code::PermissionDenied,
        false,
        &["application", "caller", "rpc", "session_id"],
    ),
    (
        "RATE_LIMITED",
        Code::ResourceExhausted,
        true,
        &["caller", "limit"],
    ),
];

/// A defect cannot be provoked from outside; `grpc::server` tests what a panic becomes.
const NOT_FROM_OUTSIDE: &str = "INTERNAL";

#[test]
fn every_reason_has_a_case() {
    let declared = (1..100).filter_map(|number| ErrorReason::try_from(number).ok());
    let names = declared.map(|reason| reason.as_str_name().trim_start_matches("ERROR_REASON_"));
    for name in names {
        let has_case = REASONS.iter().any(|(reason, ..)| *reason == name);
        assert!(has_case != (name == NOT_FROM_OUTSIDE), "{name}");
    }
}

#[tokio::test]
async fn each_reason_has_its_code_its_retry_and_its_metadata() {
    let mut provoked = BTreeMap::new();
    for status in [
        plain().await,
        about_jobs().await,
        about_calls().await,
        about_events().await,
        about_links().await,
        vec![nonsense().await, shutting_down().await, too_fast().await],
        about_access().await,
    ]
    .into_iter()
    .flatten()
    {
        let details = status.get_error_details();
        let info = details.error_info().expect("ErrorInfo").clone();
        assert_eq!(info.domain, "switchgate");
        assert!(!status.message().is_empty());
        let keys: Vec<String> = info.metadata.keys().cloned().collect();
        let seen = (status.code(), details.retry_info().is_some(), keys);
        let again = provoked.insert(info.reason.clone(), seen);
        assert!(again.is_none(), "{} was provoked twice", info.reason);
    }
    for (reason, code, has_retry, keys) in REASONS {
        let (seen_code, seen_retry, seen_keys) = provoked.remove(reason).expect(reason);
        assert_eq!((seen_code, seen_retry), (code, has_retry), "{reason}");
        for key in keys {
            assert!(
                seen_keys.iter().any(|seen| seen == key),
                "{reason} has {seen_keys:?}, not {key}"
            );
        }
    }
    assert!(provoked.is_empty(), "{provoked:?}");
}

async fn plain() -> Vec<Status> {
    let gateway = Gateway::over_sim().await;
    let (mut sessions, mut calls, mut nodes) =
        (gateway.sessions(), gateway.calls(), gateway.nodes());
    let nowhere = || uuid::Uuid::new_v4().to_string();
    let leg = answered(&gateway).await.session_id;
    let gone = answered(&gateway).await.session_id;
    hang_up(&gateway, &gone).await;
    let hold = |session_id: &str| pb::HoldRequest {
        session_id: session_id.to_owned(),
        request_id: "one".to_owned(),
    };
    within(sessions.hold(hold(&leg))).await.unwrap();
    let all = vec![
        within(sessions.hold(hold(""))).await.unwrap_err(),
        within(sessions.start_amd(pb::StartAmdRequest {
            session_id: leg.clone(),
            ..Default::default()
        }))
        .await
        .unwrap_err(),
        within(sessions.park(pb::ParkRequest {
            session_id: nowhere(),
            ..Default::default()
        }))
        .await
        .unwrap_err(),
        within(calls.get_call(pb::GetCallRequest { call_id: nowhere() }))
            .await
            .unwrap_err(),
        within(nodes.get_node(pb::GetNodeRequest {
            node_id: "nowhere".to_owned(),
        }))
        .await
        .unwrap_err(),
        within(nodes.add_node(pb::AddNodeRequest {
            node_id: "sim-0".to_owned(),
            address: "127.0.0.1".to_owned(),
            password: "secret".to_owned(),
            ..Default::default()
        }))
        .await
        .unwrap_err(),
        within(nodes.remove_node(pb::RemoveNodeRequest {
            node_id: "sim-0".to_owned(),
            ..Default::default()
        }))
        .await
        .unwrap_err(),
        within(sessions.park(pb::ParkRequest {
            session_id: gone,
            ..Default::default()
        }))
        .await
        .unwrap_err(),
        within(sessions.bypass_media(pb::BypassMediaRequest {
            session_id: leg.clone(),
            mode: pb::BypassMode::On.into(),
            ..Default::default()
        }))
        .await
        .unwrap_err(),
        within(sessions.stop_recording(pb::StopRecordingRequest {
            session_id: leg.clone(),
            ..Default::default()
        }))
        .await
        .unwrap_err(),
        within(sessions.hold(hold(&nowhere()))).await.unwrap_err(),
        within(sessions.execute(with_deadline(
            pb::ExecuteRequest {
                session_id: leg,
                application: "sleep".to_owned(),
                arguments: "5000".to_owned(),
                ..Default::default()
            },
            Duration::from_millis(500),
        )))
        .await
        .unwrap_err(),
    ];
    gateway.stop().await;
    all
}

async fn about_jobs() -> Vec<Status> {
    let gateway = Gateway::over_sim().await;
    let mut jobs = gateway.jobs();
    let request = |command: &str, arguments: &str| pb::StartJobRequest {
        command: command.to_owned(),
        arguments: arguments.to_owned(),
        ..Default::default()
    };
    let running = within(jobs.start_job(request("msleep", "60000")))
        .await
        .unwrap();
    let job_id = running.into_inner().job.unwrap().job_id;
    let delete = |job_id: &str| pb::DeleteJobRequest {
        job_id: job_id.to_owned(),
    };
    let cancel = || pb::CancelJobRequest {
        job_id: job_id.clone(),
        ..Default::default()
    };
    let busy = within(jobs.delete_job(delete(&job_id))).await.unwrap_err();
    within(jobs.cancel_job(cancel())).await.unwrap();
    let over = within(jobs.cancel_job(cancel())).await.unwrap_err();
    within(jobs.delete_job(delete(&job_id))).await.unwrap();
    let unknown = within(jobs.delete_job(delete(&job_id))).await.unwrap_err();
    loop {
        let spec = JobSpec {
            id: uuid::Uuid::new_v4().to_string().parse().unwrap(),
            command: "msleep".to_owned(),
            arguments: String::new(),
            node: "sim-0".parse().unwrap(),
            session: None,
            labels: Default::default(),
            timeout: Duration::from_secs(60),
            mark: None,
            request: Default::default(),
        };
        if gateway.control.jobs.register(spec).is_err() {
            break;
        }
    }
    let full = within(jobs.start_job(request("status", "")))
        .await
        .unwrap_err();
    gateway.stop().await;
    vec![busy, over, unknown, full]
}

async fn about_calls() -> Vec<Status> {
    let gateway = Gateway::over_sim().await;
    let labels = pb::OriginateRequest {
        node_selector: Some(pb::NodeSelector {
            match_labels: map(&[("site", "nowhere")]),
            ..Default::default()
        }),
        ..to("null/x")
    };
    let rings = to("sofia/internal/ring@127.0.0.1");
    let cancelled = async {
        let job = loop {
            let listed = within(gateway.jobs().list_jobs(pb::ListJobsRequest::default())).await;
            let running = |job: &pb::Job| job.state() == pb::JobState::Running;
            if let Some(job) = listed.unwrap().into_inner().jobs.into_iter().find(running) {
                break job;
            }
            tokio::task::yield_now().await;
        };
        let request = pb::CancelJobRequest {
            job_id: job.job_id,
            ..Default::default()
        };
        within(gateway.jobs().cancel_job(request)).await.unwrap();
    };
    let (rung, ()) = tokio::join!(place(&gateway, rings), cancelled);
    let all = vec![
        place(&gateway, to("sofia/internal/busy@127.0.0.1"))
            .await
            .unwrap_err(),
        place(&gateway, to("sofia/gateway/nowhere/1"))
            .await
            .unwrap_err(),
        place(&gateway, to("error/SWITCH_CONGESTION"))
            .await
            .unwrap_err(),
        place(&gateway, labels).await.unwrap_err(),
        rung.unwrap_err(),
    ];
    gateway.stop().await;
    all
}

async fn about_events() -> Vec<Status> {
    let gateway = Gateway::over_sims(1, |config| {
        config.events.subscriber_bytes = "64KiB".parse().unwrap();
    })
    .await;
    let request = pb::SubscribeRequest {
        start: Some(start_at("0.0")),
        ..Default::default()
    };
    let lost = Feed::begin(&gateway, request).await.err().unwrap();
    let mut unread = Feed::from_now(&gateway).await;
    for _ in 0..20 {
        let leg = answered(&gateway).await.session_id;
        hang_up(&gateway, &leg).await;
    }
    let slow = loop {
        if let Err(status) = unread.next().await {
            break status;
        }
    };
    gateway.stop().await;
    vec![lost, slow]
}

async fn about_links() -> Vec<Status> {
    let gateway = Gateway::over_sim().await;
    let leg = answered(&gateway).await.session_id;
    let hold = || pb::HoldRequest {
        session_id: leg.clone(),
        ..Default::default()
    };
    let sim = gateway.sim();
    sim.inject(Fault::LoseEvents(u32::MAX));
    sim.inject(Fault::SlowReplies(Duration::from_millis(150)));
    let lost = async {
        received(sim, "uuid_hold").await;
        sim.inject(Fault::HalfOpen);
        sim.inject(Fault::DropLinks);
    };
    let mut sessions = gateway.sessions();
    let (unknown, ()) = tokio::join!(within(sessions.hold(hold())), lost);
    sim.inject(Fault::Heal);
    in_full_service(&gateway).await;
    take_away(&gateway).await;
    let hangup = pb::HangupRequest {
        session_id: leg.clone(),
        ..Default::default()
    };
    let down = within(gateway.sessions().hangup(hangup)).await.unwrap_err();
    bring_back(&gateway).await;
    leave(gateway).await;
    vec![unknown.unwrap_err(), down]
}

async fn about_access() -> Vec<Status> {
    let gateway = callers::over_sim().await;
    let request = pb::ListNodesRequest::default();
    let unknown = within(gateway.nodes().list_nodes(request)).await;
    let operator = callers::Caller::of(&gateway, "operator");
    let placed = within(operator.sessions().originate(to(crate::client::ANSWERS))).await;
    let request = pb::ExecuteRequest {
        session_id: placed.unwrap().into_inner().session.unwrap().session_id,
        application: "system".to_owned(),
        ..Default::default()
    };
    let denied = within(operator.sessions().execute(request)).await;
    gateway.stop().await;
    vec![unknown.unwrap_err(), denied.unwrap_err()]
}

/// A list of applications that is none.
async fn nonsense() -> Status {
    const ID: &str = "11111111-1111-4111-8111-111111111111";
    let (gateway, fake) = over_fake().await;
    living(&gateway, &fake, ID).await;
    fake.on(
        "api show application",
        [Say::api("neither JSON nor a list")],
    );
    let request = pb::ExecuteRequest {
        session_id: ID.to_owned(),
        application: "park".to_owned(),
        ..Default::default()
    };
    let status = within(gateway.sessions().execute(request))
        .await
        .unwrap_err();
    leave(gateway).await;
    status
}

/// A request without proof to a gateway that asks for one.
/// Somebody who asks faster than the limits allow; the others are served.
async fn too_fast() -> Status {
    let gateway = Gateway::over_sims(1, |config| {
        config.limits.requests_per_second = 1;
    })
    .await;
    let mut nodes = gateway.nodes();
    let status = loop {
        let request = pb::ListNodesRequest::default();
        if let Err(status) = within(nodes.list_nodes(request)).await {
            break status;
        }
    };
    leave(gateway).await;
    status
}

async fn shutting_down() -> Status {
    let mut gateway = Gateway::over_sim().await;
    let request = pb::SubscribeRequest {
        heartbeat_interval: Some(seconds(60)),
        ..Default::default()
    };
    let mut feed = Feed::begin(&gateway, request).await.unwrap();
    gateway.begin_stop();
    let status = loop {
        if let Err(status) = feed.next().await {
            break status;
        }
    };
    gateway.stop().await;
    status
}

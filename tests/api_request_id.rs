//! `request_id`: a repeat acts once and gets the first outcome.

mod fields;
mod replicas;

use std::time::Duration;

use switchgate::control::JobRequest;
use switchgate::domain::{Identity, Reason};
use switchgate::fleet::Selector;
use switchgate::pb::{self, HangupCause};
use switchgate::tracker::Labels;
use tonic::Code;

use crate::client::*;
use crate::gateway::{Gateway, code_and_reason, metadata, on_each, within};

fn call(endpoint: &str, request_id: &str, label: &str) -> pb::OriginateRequest {
    pb::OriginateRequest {
        request_id: request_id.to_owned(),
        labels: map(&[("tag", label)]),
        ..to(endpoint)
    }
}

/// Number of legs with this label, ended ones included.
fn legs(gateway: &Gateway, label: &str) -> usize {
    let sessions = gateway.control.tracker.sessions();
    let ours = |session: &&std::sync::Arc<switchgate::tracker::Session>| {
        session.labels.get("tag").map(String::as_str) == Some(label)
    };
    sessions.iter().filter(ours).count()
}

/// The id had another request: of `used_by`, with other values in the fields `differs`.
#[track_caller]
fn assert_reused(status: &tonic::Status, request_id: &str, used_by: &str, differs: &str) {
    assert_eq!(
        code_and_reason(status),
        (Code::AlreadyExists, "REQUEST_ID_REUSED".to_owned())
    );
    assert_eq!(metadata(status, "request_id"), request_id);
    assert_eq!(metadata(status, "used_by"), used_by);
    assert_eq!(metadata(status, "differs"), differs);
}

#[tokio::test]
async fn a_repeated_originate_returns_the_first_session_and_places_one_leg() {
    on_each(async |gateway| {
        let id = tag();
        let first = place(&gateway, call(ANSWERS, &id, &id)).await.unwrap();
        let again = place(&gateway, call(ANSWERS, &id, &id)).await.unwrap();
        let session = first.session.unwrap();
        assert_eq!(again.session.unwrap().session_id, session.session_id);
        assert_eq!((again.job_id, again.cursor), (first.job_id, first.cursor));
        hang_up(&gateway, &session.session_id).await;
        // Also after its end.
        let again = place(&gateway, call(ANSWERS, &id, &id)).await.unwrap();
        assert_eq!(again.session.unwrap().session_id, session.session_id);
        assert_eq!(legs(&gateway, &id), 1);
        // Whatever differs makes it another request.
        let status = place(&gateway, call(BUSY, &id, &id)).await.unwrap_err();
        assert_reused(&status, &id, "Originate", "endpoints");
        let status = place(&gateway, call(ANSWERS, &id, "x")).await.unwrap_err();
        assert_reused(&status, &id, "Originate", "labels");
        assert_eq!(legs(&gateway, &id), 1);
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_job_is_known_again_by_its_request_as_long_as_it_is_kept() {
    // As when the outcomes of others have pushed this one out: below what remembers them.
    let gateway = Gateway::over_sim().await;
    let identity = |hash: u64| Identity {
        id: "x".to_owned(),
        rpc: "StartJob",
        kind: "Job",
        fields: [("command", hash)].into(),
        ..Identity::default()
    };
    let request = |hash: u64| JobRequest {
        identity: identity(hash),
        command: "status".to_owned(),
        arguments: String::new(),
        selector: Selector::default(),
        session: None,
        timeout: None,
        labels: Labels::default(),
    };
    let first = gateway.control.launch_job(request(1)).unwrap();
    within(gateway.control.jobs.ended(&first)).await.unwrap();
    assert_eq!(gateway.control.launch_job(request(1)).unwrap(), first);
    let failure = gateway.control.launch_job(request(2)).unwrap_err();
    assert_eq!(failure.reason(), Reason::RequestIdReused);
    let told = |key| failure.metadata().get(key).map(String::as_str);
    assert_eq!(told("differs"), Some("command"));
    assert_eq!(told("used_by"), Some("StartJob"));
    assert_eq!(told("job_id"), Some(first.as_str()));
    gateway.stop().await;
}

#[tokio::test]
async fn a_failed_call_fails_the_same_way_again_without_being_placed() {
    on_each(async |gateway| {
        let id = tag();
        for _ in 0..3 {
            let status = place(&gateway, call(BUSY, &id, &id)).await.unwrap_err();
            assert_eq!(metadata(&status, "hangup_cause"), "USER_BUSY");
            assert_eq!(legs(&gateway, &id), 1);
        }
        gateway
    })
    .await;
}

#[tokio::test]
async fn concurrent_twins_place_one_leg() {
    on_each(async |gateway| {
        let id = tag();
        let twins = (0..8).map(|_| place(&gateway, call(ANSWERS, &id, &id)));
        let sessions: std::collections::HashSet<_> = futures_util::future::join_all(twins)
            .await
            .into_iter()
            .map(|response| response.unwrap().session.unwrap().session_id)
            .collect();
        assert_eq!(sessions.len(), 1);
        assert_eq!(legs(&gateway, &id), 1);
        for session in &sessions {
            hang_up(&gateway, session).await;
        }
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_twin_with_less_time_gets_its_own_deadline() {
    on_each(async |gateway| {
        let id = tag();
        let ringing = found(&gateway, |session| {
            session.labels.get("tag") == Some(&id) && session.times.progress.is_some()
        });
        let twin = async {
            ringing.await;
            let request = with_deadline(call(RINGS, &id, &id), Duration::from_secs(2));
            within(gateway.sessions().originate(request))
                .await
                .unwrap_err()
        };
        let mut client = gateway.sessions();
        let status = tokio::select! {
            answer = client.originate(call(RINGS, &id, &id)) => panic!("rings: {answer:?}"),
            status = twin => status,
        };
        assert_eq!(
            code_and_reason(&status),
            (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned()),
            "{status:?}"
        );
        assert_eq!(metadata(&status, "command_sent"), "true");
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_second_gateway_does_not_place_the_call_again() {
    let Some(one) = Gateway::over_freeswitch().await else {
        eprintln!("skipped: SWITCHGATE_TEST_FREESWITCH=host:port is not set");
        return;
    };
    let two = Gateway::over_freeswitch().await.unwrap();
    let (id, number) = (tag(), uuid::Uuid::new_v4().as_u128().to_string());
    let request = || pb::OriginateRequest {
        caller_id_number: number.clone(),
        ..call(ANSWERS, &id, &id)
    };
    let first = place(&one, request()).await.unwrap().session.unwrap();
    let second = place(&two, request()).await.unwrap().session.unwrap();
    assert_eq!(first.session_id, second.session_id);
    let is_far_end = |session: &&std::sync::Arc<switchgate::tracker::Session>| {
        session.caller.number == number && session.id.as_str() != first.session_id
    };
    for gateway in [&one, &two] {
        let sessions = gateway.control.tracker.sessions();
        assert_eq!(sessions.iter().filter(is_far_end).count(), 1);
    }
    hang_up(&one, &first.session_id).await;
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_repeated_hangup_returns_the_first_outcome() {
    on_each(async |gateway| {
        let (id, session) = (tag(), answered(&gateway).await);
        let request = |cause: HangupCause| pb::HangupRequest {
            session_id: session.session_id.clone(),
            cause: cause.into(),
            request_id: id.clone(),
        };
        for _ in 0..2 {
            let ended = within(gateway.sessions().hangup(request(HangupCause::UserBusy))).await;
            let hangup = ended.unwrap().into_inner().session.unwrap().hangup.unwrap();
            assert_eq!(hangup.cause(), HangupCause::UserBusy);
        }
        let status = within(gateway.sessions().hangup(request(HangupCause::NoAnswer)))
            .await
            .unwrap_err();
        assert_reused(&status, &id, "Hangup", "cause");
        // Nor is it good for another kind of request.
        let status = place(&gateway, call(ANSWERS, &id, &id)).await.unwrap_err();
        assert_reused(&status, &id, "Hangup", "");
        assert_eq!(legs(&gateway, &id), 0);
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_repeated_job_is_the_first_job() {
    on_each(async |gateway| {
        let id = tag();
        let starting = |arguments: &str| pb::StartJobRequest {
            command: "msleep".to_owned(),
            arguments: arguments.to_owned(),
            request_id: id.clone(),
            ..Default::default()
        };
        let start = async |arguments: &str| {
            let response = within(gateway.jobs().start_job(starting(arguments))).await?;
            Ok::<_, tonic::Status>(response.into_inner().job.unwrap())
        };
        let (one, two) = tokio::join!(start("300"), start("300"));
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_eq!(one.job_id, two.job_id);
        // RunJob after StartJob waits for the same job.
        let running = pb::RunJobRequest {
            command: "msleep".to_owned(),
            arguments: "300".to_owned(),
            request_id: id.clone(),
            ..Default::default()
        };
        let response = within(gateway.jobs().run_job(running)).await.unwrap();
        let ran = response.into_inner().job.unwrap();
        assert_eq!(ran.job_id, one.job_id);
        assert_eq!(ran.state(), pb::JobState::Succeeded);
        assert_eq!(start("300").await.unwrap(), ran);
        assert_reused(
            &start("301").await.unwrap_err(),
            &id,
            "StartJob",
            "arguments",
        );
        gateway
    })
    .await;
}

#[tokio::test]
async fn what_was_never_sent_may_be_tried_again_under_the_same_id() {
    on_each(async |gateway| {
        let id = tag();
        let mut request = call("{a=b}user/1", &id, &id);
        assert_invalid(
            &place(&gateway, request.clone()).await.unwrap_err(),
            "endpoints[0]",
        );
        request.endpoints = vec![ANSWERS.to_owned()];
        let session = place(&gateway, request).await.unwrap().session.unwrap();
        assert_eq!(legs(&gateway, &id), 1);
        hang_up(&gateway, &session.session_id).await;
        gateway
    })
    .await;
}

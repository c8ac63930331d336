//! Originate: when it returns, what it leaves behind, and how calls fail.

mod nodes;
mod refusals;

use std::time::Duration;

use switchgate::pb::{self, CallState, Direction, JobState, OriginateStrategy, OriginateWait};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::client::*;
use crate::gateway::{Gateway, code_and_reason, metadata, on_each, within};

fn reason(code: Code, reason: &str) -> (Code, String) {
    (code, reason.to_owned())
}

#[tokio::test]
async fn an_answered_call_returns_its_session_and_its_job() {
    on_each(async |gateway| {
        let labels = map(&[("team", "blue"), ("order", "7 / \"x\"")]);
        let request = pb::OriginateRequest {
            labels: labels.clone(),
            ..to(ANSWERS)
        };
        let response = place(&gateway, request).await.unwrap();
        let session = response.session.unwrap();
        assert!(session.answered && session.hangup.is_none());
        assert_eq!(session.call_state(), CallState::Active);
        assert_eq!(session.direction(), Direction::Outbound);
        assert_eq!(session.profile, "internal");
        assert_eq!(session.destination_number, "answer");
        assert!(session.channel_name.starts_with("sofia/internal/answer"));
        assert_eq!(session.labels, labels);
        let times = session.times.unwrap();
        assert!(times.created.is_some() && times.answered.is_some() && times.hung_up.is_none());
        assert!(!response.cursor.is_empty());

        let job_id = response.job_id;
        let request = pb::WaitJobRequest {
            job_id,
            timeout: None,
        };
        let job = within(gateway.jobs().wait_job(request)).await.unwrap();
        let job = job.into_inner().job.unwrap();
        assert_eq!(job.state(), JobState::Succeeded);
        assert_eq!((job.command.as_str(), job.labels), ("originate", labels));
        assert_eq!(job.session_id, session.session_id);
        hang_up(&gateway, &session.session_id).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_leg_that_rings_past_the_deadline_is_hung_up_and_the_client_told_where_to_look() {
    on_each(async |gateway| {
        let request = with_deadline(to(RINGS), Duration::from_secs(2));
        let status = within(gateway.sessions().originate(request))
            .await
            .unwrap_err();
        assert_eq!(
            code_and_reason(&status),
            reason(Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
            "{status:?}"
        );
        assert_eq!(metadata(&status, "command_sent"), "true");
        let session_id = metadata(&status, "session_id");
        assert_eq!(
            until_ended(&gateway, &session_id).await,
            "ORIGINATOR_CANCEL"
        );
        let job = pb::WaitJobRequest {
            job_id: metadata(&status, "job_id"),
            timeout: None,
        };
        let job = within(gateway.jobs().wait_job(job)).await.unwrap();
        assert!(matches!(
            job.into_inner().job.unwrap().state(),
            JobState::Cancelled | JobState::Failed
        ));
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_leg_that_rings_is_hung_up_when_its_client_leaves() {
    on_each(async |gateway| {
        let tag = tag();
        let request = pb::OriginateRequest {
            labels: map(&[("tag", &tag)]),
            ..to(RINGS)
        };
        let mut client = gateway.sessions();
        let rings = found(&gateway, |session| {
            session.labels.get("tag") == Some(&tag) && session.times.progress.is_some()
        });
        let session = tokio::select! {
            answer = client.originate(request) => panic!("nobody answers: {answer:?}"),
            session = rings => session,
        };
        // The client has left.
        let id = session.id.to_string();
        assert_eq!(until_ended(&gateway, &id).await, "ORIGINATOR_CANCEL");
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_detached_call_goes_on_without_its_client_and_past_the_deadline() {
    on_each(async |gateway| {
        let tag = tag();
        let request = pb::OriginateRequest {
            labels: map(&[("tag", &tag)]),
            detach: true,
            ..to(RINGS)
        };
        let request = with_deadline(request, Duration::from_secs(2));
        let status = within(gateway.sessions().originate(request))
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
        let session_id = metadata(&status, "session_id");
        let job = within(gateway.jobs().get_job(pb::GetJobRequest {
            job_id: metadata(&status, "job_id"),
        }))
        .await
        .unwrap();
        assert_eq!(job.into_inner().job.unwrap().state(), JobState::Running);
        assert!(get(&gateway, &session_id).await.unwrap().hangup.is_none());
        let ended = hang_up(&gateway, &session_id).await;
        assert_eq!(
            ended.hangup.unwrap().cause().as_str_name(),
            "HANGUP_CAUSE_NORMAL_CLEARING"
        );
        gateway
    })
    .await;
}

#[tokio::test]
async fn waiting_for_progress_returns_a_ringing_leg_that_goes_on() {
    on_each(async |gateway| {
        let request = pb::OriginateRequest {
            wait_for: OriginateWait::Progress.into(),
            ..to(RINGS)
        };
        let response = place(&gateway, request).await.unwrap();
        let session = response.session.unwrap();
        assert!(!session.answered && session.hangup.is_none());
        assert!(session.times.unwrap().progress.is_some());
        let job = within(gateway.jobs().get_job(pb::GetJobRequest {
            job_id: response.job_id,
        }))
        .await
        .unwrap();
        assert_eq!(job.into_inner().job.unwrap().state(), JobState::Running);
        hang_up(&gateway, &session.session_id).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn waiting_for_progress_takes_early_media_for_it() {
    on_each(async |gateway| {
        let request = pb::OriginateRequest {
            wait_for: OriginateWait::Progress.into(),
            ..to("sofia/internal/early@127.0.0.1")
        };
        let session = place(&gateway, request).await.unwrap().session.unwrap();
        assert!(!session.answered);
        assert!(session.times.unwrap().progress.is_some());
        hang_up(&gateway, &session.session_id).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn waiting_for_the_start_returns_as_soon_as_the_leg_exists() {
    on_each(async |gateway| {
        let request = pb::OriginateRequest {
            wait_for: OriginateWait::Started.into(),
            ..to(WAITS)
        };
        let session = place(&gateway, request).await.unwrap().session.unwrap();
        assert!(!session.answered && session.times.unwrap().answered.is_none());
        hang_up(&gateway, &session.session_id).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn early_media_is_no_answer() {
    on_each(async |gateway| {
        let request = pb::OriginateRequest {
            ring_timeout: Some(seconds(1)),
            ..to("sofia/internal/early@127.0.0.1")
        };
        let status = place(&gateway, request).await.unwrap_err();
        assert_eq!(
            code_and_reason(&status),
            reason(Code::Aborted, "CALL_FAILED"),
            "{status:?}"
        );
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_far_end_that_rings_too_long_did_not_answer() {
    on_each(async |gateway| {
        let request = pb::OriginateRequest {
            ring_timeout: Some(seconds(1)),
            ..to(RINGS)
        };
        let status = place(&gateway, request).await.unwrap_err();
        assert_eq!(
            code_and_reason(&status),
            reason(Code::Aborted, "CALL_FAILED")
        );
        assert_eq!(
            (metadata(&status, "hangup_cause"), metadata(&status, "q850")),
            ("NO_ANSWER".to_owned(), "19".to_owned())
        );
        gateway
    })
    .await;
}

#[tokio::test]
async fn each_way_to_fail_has_its_code_reason_and_cause() {
    let calls_fail = (Code::Aborted, "CALL_FAILED");
    let unusable = (Code::FailedPrecondition, "ENDPOINT_UNUSABLE");
    let table = [
        (BUSY, calls_fail, "USER_BUSY", "17", "486"),
        ("error/USER_BUSY", calls_fail, "USER_BUSY", "17", "486"),
        ("error/NO_ANSWER", calls_fail, "NO_ANSWER", "19", "480"),
        (
            "error/NO_USER_RESPONSE",
            calls_fail,
            "NO_USER_RESPONSE",
            "18",
            "408",
        ),
        (
            "error/CALL_REJECTED",
            calls_fail,
            "CALL_REJECTED",
            "21",
            "603",
        ),
        (
            "error/SUBSCRIBER_ABSENT",
            calls_fail,
            "SUBSCRIBER_ABSENT",
            "20",
            "480",
        ),
        (
            "user/nobody@test",
            calls_fail,
            "SUBSCRIBER_ABSENT",
            "20",
            "480",
        ),
        (
            "error/NO_ROUTE_DESTINATION",
            unusable,
            "NO_ROUTE_DESTINATION",
            "3",
            "404",
        ),
        (
            "sofia/internal/nodest@127.0.0.1",
            unusable,
            "NO_ROUTE_DESTINATION",
            "3",
            "404",
        ),
        (
            "sofia/gateway/nowhere/1000",
            unusable,
            "INVALID_GATEWAY",
            "16",
            "484",
        ),
        ("nosuch/1000", unusable, "CHAN_NOT_IMPLEMENTED", "66", "480"),
    ];
    on_each(async |gateway| {
        let mut wrong = Vec::new();
        for (endpoint, (code, why), cause, q850, sip_code) in table {
            let status = originate(&gateway, endpoint).await.unwrap_err();
            let seen = (
                code_and_reason(&status),
                metadata(&status, "hangup_cause"),
                metadata(&status, "q850"),
                metadata(&status, "sip_code"),
                metadata(&status, "freeswitch_reply"),
            );
            let expected = (
                reason(code, why),
                cause.to_owned(),
                q850.to_owned(),
                sip_code.to_owned(),
                format!("-ERR {cause}"),
            );
            if seen != expected {
                wrong.push(format!("{endpoint}: {seen:?}, not {expected:?}"));
            }
            for key in ["session_id", "job_id", "node_id"] {
                assert_ne!(metadata(&status, key), "", "{endpoint}: {key}");
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        gateway
    })
    .await;
}

#[tokio::test]
async fn failover_tries_one_endpoint_after_the_other() {
    on_each(async |gateway| {
        let request = pb::OriginateRequest {
            endpoints: [BUSY, ANSWERS].map(str::to_owned).into(),
            strategy: OriginateStrategy::Failover.into(),
            ..Default::default()
        };
        let session = place(&gateway, request).await.unwrap().session.unwrap();
        assert!(session.answered);
        assert_eq!(session.destination_number, "answer");
        hang_up(&gateway, &session.session_id).await;

        let request = pb::OriginateRequest {
            endpoints: ["error/NO_ANSWER", BUSY].map(str::to_owned).into(),
            ..Default::default()
        };
        let status = place(&gateway, request).await.unwrap_err();
        assert_eq!(
            code_and_reason(&status),
            reason(Code::Aborted, "CALL_FAILED")
        );
        assert_eq!(metadata(&status, "hangup_cause"), "USER_BUSY");
        gateway
    })
    .await;
}

#[tokio::test]
async fn forked_endpoints_ring_together_and_the_first_to_answer_wins() {
    on_each(async |gateway| {
        let tag = tag();
        let request = pb::OriginateRequest {
            endpoints: [RINGS, ANSWERS].map(str::to_owned).into(),
            strategy: OriginateStrategy::Forked.into(),
            labels: map(&[("tag", &tag)]),
            ..Default::default()
        };
        let session = place(&gateway, request).await.unwrap().session.unwrap();
        assert!(session.answered);
        assert_eq!(session.destination_number, "answer");
        let loser = found(&gateway, |session| {
            session.labels.get("tag") == Some(&tag) && session.destination == "ring"
        })
        .await;
        assert_eq!(until_ended(&gateway, loser.id.as_str()).await, "LOSE_RACE");
        assert!(
            get(&gateway, &session.session_id)
                .await
                .unwrap()
                .hangup
                .is_none()
        );
        hang_up(&gateway, &session.session_id).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn variables_with_hostile_characters_arrive_as_they_are() {
    let hostile = map(&[
        ("sg_quotes", r#"it's "quoted" \'twice\'"#),
        ("sg_commas", "a,b;c|d^^e"),
        ("sg_brackets", "{a}[b]<c>(d)"),
        ("sg_spaces", "  two  spaces  "),
        ("sg_backslash", r"C:\new\\table\s"),
        ("sg_dollar", "$5 $x 100% %41 %{y}"),
        ("sg_unicode", "grüße 日本 🎉"),
        ("sg_equals", "a=b==c"),
        ("sg_amp", "&park() "),
    ]);
    on_each(async |gateway| {
        let request = pb::OriginateRequest {
            variables: hostile.clone(),
            ..to(ANSWERS)
        };
        let session = place(&gateway, request).await.unwrap().session.unwrap();
        let names: Vec<&str> = hostile.keys().map(String::as_str).collect();
        let seen = variables(&gateway, &session.session_id, &names).await;
        assert_eq!(seen, hostile);
        hang_up(&gateway, &session.session_id).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn the_called_party_sees_the_caller_id() {
    on_each(async |gateway| {
        let request = pb::OriginateRequest {
            caller_id_name: "Zoë, the one's".to_owned(),
            caller_id_number: "+4930123456".to_owned(),
            ..to(ANSWERS)
        };
        let session = place(&gateway, request).await.unwrap().session.unwrap();
        let names = ["origination_caller_id_name", "origination_caller_id_number"];
        let seen = variables(&gateway, &session.session_id, &names).await;
        assert_eq!(seen["origination_caller_id_name"], "Zoë, the one's");
        assert_eq!(seen["origination_caller_id_number"], "+4930123456");
        let far = found(&gateway, |other| {
            other.id.as_str() != session.session_id && other.caller.number == "+4930123456"
        })
        .await;
        assert_eq!(far.caller.name, "Zoë, the one's");
        hang_up(&gateway, &session.session_id).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn an_answered_leg_goes_to_its_extension() {
    on_each(async |gateway| {
        let extension = pb::OriginateExtension {
            number: "echo".to_owned(),
            dialplan: "XML".to_owned(),
            context: "default".to_owned(),
        };
        let request = pb::OriginateRequest {
            target: Some(pb::originate_request::Target::Extension(extension)),
            ..to(ANSWERS)
        };
        let session = place(&gateway, request).await.unwrap().session.unwrap();
        let session = until(&gateway, &session.session_id, |session| {
            session
                .application
                .as_ref()
                .is_some_and(|app| app.name == "echo")
        })
        .await;
        hang_up(&gateway, session.id.as_str()).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn an_answered_leg_runs_its_application_with_exactly_its_arguments() {
    on_each(async |gateway| {
        let arguments = r#"sg_said=it is, "so" & 'so' (x) 50%"#;
        let request = pb::OriginateRequest {
            target: Some(application("set", arguments)),
            ..to(ANSWERS)
        };
        let session = place(&gateway, request).await.unwrap().session.unwrap();
        let session = until(&gateway, &session.session_id, |session| {
            session.application.is_some() && !session.is_live()
                || session
                    .application
                    .as_ref()
                    .is_some_and(|app| app.name == "set")
        })
        .await;
        assert_eq!(session.application.as_ref().unwrap().arguments, arguments);
        gateway
    })
    .await;
}

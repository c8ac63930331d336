//! Originate: when it returns, what it leaves behind, and how calls fail.

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

/// Of one that the gateway refuses before the wire: the code, and the field that it names.
async fn refused(gateway: &Gateway, request: pb::OriginateRequest, field: &str) -> tonic::Status {
    let status = place(gateway, request).await.unwrap_err();
    assert_invalid(&status, field);
    status
}

#[tokio::test]
async fn what_cannot_be_written_is_refused_with_its_field_and_nothing_is_sent() {
    let gateway = Gateway::over_sim().await;
    // So that the list of applications is known.
    let session = answered(&gateway).await;
    hang_up(&gateway, &session.session_id).await;
    let sent = |gateway: &Gateway| {
        let commands = gateway.sim().commands();
        // The gateway itself lists the sessions a second time, some time after it came up.
        let is_ours = |raw: &&Vec<u8>| {
            raw.starts_with(b"bgapi")
                || (raw.starts_with(b"api") && !raw.starts_with(b"api show c"))
        };
        commands.iter().filter(is_ours).count()
    };
    let before = sent(&gateway);

    let own_braces = format!("{{sip_h_X=1}}{ANSWERS}");
    let status = refused(&gateway, to(&own_braces), "endpoints[0]").await;
    assert!(status.message().contains("use variables"), "{status:?}");
    refused(&gateway, to(&format!("[a=b]{ANSWERS}")), "endpoints[0]").await;
    refused(
        &gateway,
        to("sofia/internal/${x}@127.0.0.1"),
        "endpoints[0]",
    )
    .await;
    refused(&gateway, to("no dial string"), "endpoints[0]").await;
    refused(&gateway, to(&format!("{ANSWERS},{BUSY}")), "endpoints[0]").await;
    refused(&gateway, pb::OriginateRequest::default(), "endpoints").await;
    for (name, value) in [
        ("origination_uuid", "8c5b2c1e-8a69-4d5c-9a4e-0f6f6f6f6f6f"),
        ("Origination_UUID", "x"),
        ("originate_timeout", "5"),
        ("origination_caller_id_name", "x"),
        ("sg_x", "${system(id)}"),
        ("sg_x", "$${domain}"),
        ("sg_x", "two\nlines"),
        ("sg_x", "carriage\rreturn"),
        ("sg_x", "n\0ul"),
        ("sg_x", ""),
        ("a b", "x"),
        ("a,b", "x"),
        ("", "x"),
    ] {
        let request = pb::OriginateRequest {
            variables: map(&[(name, value)]),
            ..to(ANSWERS)
        };
        refused(&gateway, request, &format!("variables[{name:?}]")).await;
    }
    let names = |name: &str, number: &str| pb::OriginateRequest {
        caller_id_name: name.to_owned(),
        caller_id_number: number.to_owned(),
        ..to(ANSWERS)
    };
    refused(&gateway, names("a\r\nb", ""), "caller_id_name").await;
    refused(&gateway, names("${x}", ""), "caller_id_name").await;
    refused(&gateway, names("", "1\n2"), "caller_id_number").await;
    let running = |name: &str, arguments: &str| pb::OriginateRequest {
        target: Some(application(name, arguments)),
        ..to(ANSWERS)
    };
    refused(
        &gateway,
        running("echo", "${system(id)}"),
        "application.arguments",
    )
    .await;
    refused(&gateway, running("echo", "a\nb"), "application.arguments").await;
    refused(&gateway, running("ec ho", ""), "application.name").await;
    refused(&gateway, running("", ""), "application.name").await;
    let status = refused(&gateway, running("plaback", ""), "application.name").await;
    assert_eq!(
        code_and_reason(&status),
        reason(Code::InvalidArgument, "UNKNOWN_APPLICATION")
    );
    assert_eq!(metadata(&status, "application"), "plaback");
    let going = |number: &str, dialplan: &str, context: &str| pb::OriginateRequest {
        target: Some(pb::originate_request::Target::Extension(
            pb::OriginateExtension {
                number: number.to_owned(),
                dialplan: dialplan.to_owned(),
                context: context.to_owned(),
            },
        )),
        ..to(ANSWERS)
    };
    refused(&gateway, going("", "", ""), "extension.number").await;
    refused(&gateway, going("&park()", "", ""), "extension.number").await;
    refused(&gateway, going("park", "inline", ""), "extension.dialplan").await;
    refused(&gateway, going("park", "XML", "a\nb"), "extension.context").await;
    for field in ["strategy", "wait_for"] {
        let mut request = to(ANSWERS);
        match field {
            "strategy" => request.strategy = 99,
            _ => request.wait_for = 99,
        }
        refused(&gateway, request, field).await;
    }
    for span in [seconds(0), seconds(-1)] {
        let request = pb::OriginateRequest {
            ring_timeout: Some(span),
            ..to(ANSWERS)
        };
        refused(&gateway, request, "ring_timeout").await;
    }
    let request = pb::OriginateRequest {
        request_id: "two\nlines".to_owned(),
        ..to(ANSWERS)
    };
    refused(&gateway, request, "request_id").await;
    let request = pb::OriginateRequest {
        labels: map(&[("", "x")]),
        ..to(ANSWERS)
    };
    refused(&gateway, request, "labels[\"\"]").await;

    assert_eq!(sent(&gateway), before, "something reached the wire");
    gateway.stop().await;
}

#[tokio::test]
async fn an_unknown_application_is_refused_on_any_node() {
    on_each(async |gateway| {
        let request = pb::OriginateRequest {
            target: Some(application("no_such_application", "")),
            ..to(ANSWERS)
        };
        let status = refused(&gateway, request, "application.name").await;
        assert_eq!(code_and_reason(&status).1, "UNKNOWN_APPLICATION");
        gateway
    })
    .await;
}

#[tokio::test]
async fn the_selector_chooses_the_node() {
    let gateway = Gateway::over_sims(2, |config| {
        for (node, zone) in config.nodes.iter_mut().zip(["east", "west"]) {
            node.labels.insert("zone".to_owned(), zone.to_owned());
        }
    })
    .await;
    let selecting = |node_id: &str, labels: &[(&str, &str)]| pb::OriginateRequest {
        node_selector: Some(pb::NodeSelector {
            node_id: node_id.to_owned(),
            match_labels: map(labels),
        }),
        ..to(ANSWERS)
    };
    for (node_id, labels, expected) in [
        ("sim-0", &[][..], "sim-0"),
        ("sim-1", &[], "sim-1"),
        ("", &[("zone", "east")], "sim-0"),
        ("", &[("zone", "west")], "sim-1"),
        ("sim-1", &[("zone", "west")], "sim-1"),
    ] {
        let request = selecting(node_id, labels);
        let session = place(&gateway, request).await.unwrap().session.unwrap();
        assert_eq!(session.node_id, expected);
        let session = get(&gateway, &session.session_id).await.unwrap();
        assert_eq!(session.node_id, expected);
    }
    let status = place(&gateway, selecting("sim-9", &[])).await.unwrap_err();
    assert_eq!(
        code_and_reason(&status),
        reason(Code::NotFound, "NODE_NOT_FOUND")
    );
    for (node_id, labels) in [
        ("", &[("zone", "north")][..]),
        ("", &[("region", "east")]),
        ("sim-0", &[("zone", "west")]),
    ] {
        let status = place(&gateway, selecting(node_id, labels))
            .await
            .unwrap_err();
        assert_eq!(
            code_and_reason(&status),
            reason(Code::Unavailable, "NO_NODE_AVAILABLE")
        );
        assert!(has_retry(&status));
    }
    let status = place(&gateway, selecting("a b", &[])).await.unwrap_err();
    assert_invalid(&status, "node_selector.node_id");
    gateway.stop().await;
}

#[tokio::test]
async fn a_node_that_takes_no_more_calls_says_so_and_when_to_try_again() {
    let gateway = Gateway::over_sim().await;
    let limit = pb::RunApiRequest {
        node_id: "sim-0".to_owned(),
        command: "fsctl".to_owned(),
        arguments: "max_sessions 0".to_owned(),
    };
    within(gateway.nodes().run_api(limit)).await.unwrap();
    let status = originate(&gateway, "null/x").await.unwrap_err();
    assert_eq!(
        code_and_reason(&status),
        (Code::ResourceExhausted, "NODE_LIMIT".to_owned())
    );
    assert_eq!(
        metadata(&status, "hangup_cause"),
        "DESTINATION_OUT_OF_ORDER"
    );
    assert!(status.get_error_details().retry_info().is_some());
    gateway.stop().await;
}

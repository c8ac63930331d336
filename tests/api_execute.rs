//! Execute and Bridge: what is waited for, and what survives a failure.

use std::time::Duration;

use switchgate::pb::bridge_request::Peer;
use switchgate::pb::{self, ExecuteWait};
use tonic::Code;

use crate::client::*;
use crate::gateway::{Gateway, code_and_reason, metadata, on_each, on_freeswitch, within};

fn with(session_id: &str) -> Peer {
    Peer::PeerSessionId(session_id.to_owned())
}

fn call(endpoint: &str) -> Peer {
    Peer::Endpoint(endpoint.to_owned())
}

async fn is_up(gateway: &Gateway, session_id: &str) -> bool {
    get(gateway, session_id).await.unwrap().hangup.is_none()
}

#[tokio::test]
async fn an_application_that_has_ended_gives_its_response() {
    on_each(async |gateway| {
        let id = answered(&gateway).await.session_id;
        let tone = "tone_stream://%(100,0,440)";
        let played = execute(&gateway, &id, "playback", tone, ExecuteWait::Completed)
            .await
            .unwrap();
        assert_eq!(played.response, "FILE PLAYED");
        let application = played.session.unwrap().last_application.unwrap();
        assert_eq!(
            (application.name.as_str(), application.arguments.as_str()),
            ("playback", tone)
        );
        assert!(!played.cursor.is_empty());
        hang_up(&gateway, &id).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn an_applications_arguments_arrive_with_exactly_their_characters() {
    // Not on the simulator yet: it does not expand escapes in arguments.
    on_freeswitch(async |gateway| {
        let id = answered(&gateway).await.session_id;
        let value = r#"it's, "so"; C:\new 100% %41 $x  grüße"#;
        let arguments = format!("sg_set={value}");
        execute(&gateway, &id, "set", &arguments, ExecuteWait::Completed)
            .await
            .unwrap();
        let seen = variables(&gateway, &id, &["sg_set"]).await;
        assert_eq!(seen["sg_set"], value);
        for arguments in ["x=${system(id)}", "x=a\nb", "x=a\rb", "x=a\0b"] {
            let status = execute(&gateway, &id, "set", arguments, ExecuteWait::Completed)
                .await
                .unwrap_err();
            assert_invalid(&status, "arguments");
        }
        hang_up(&gateway, &id).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn waiting_for_the_start_returns_while_the_application_runs() {
    // Not on the simulator yet: an application does not wait behind echo.
    on_freeswitch(async |gateway| {
        let id = answered(&gateway).await.session_id;
        let started = execute(&gateway, &id, "echo", "", ExecuteWait::Started)
            .await
            .unwrap();
        assert_eq!(started.response, "");
        let session = started.session.unwrap();
        assert_eq!(session.last_application.unwrap().name, "echo");
        // Echo never ends, so a second application waits behind it, and is accepted all the same.
        let accepted = execute(&gateway, &id, "sleep", "1", ExecuteWait::Accepted)
            .await
            .unwrap();
        assert_eq!(accepted.response, "");
        assert_eq!(
            accepted.session.unwrap().last_application.unwrap().name,
            "echo"
        );
        hang_up(&gateway, &id).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn an_application_that_does_not_end_in_time_tells_that_it_was_sent() {
    on_each(async |gateway| {
        let id = answered(&gateway).await.session_id;
        let request = pb::ExecuteRequest {
            session_id: id.clone(),
            application: "echo".to_owned(),
            ..Default::default()
        };
        let request = with_deadline(request, Duration::from_secs(2));
        let status = within(gateway.sessions().execute(request))
            .await
            .unwrap_err();
        assert_eq!(
            code_and_reason(&status),
            (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned()),
            "{status:?}"
        );
        assert_eq!(metadata(&status, "command_sent"), "true");
        assert_eq!(metadata(&status, "session_id"), id);
        assert!(is_up(&gateway, &id).await);
        hang_up(&gateway, &id).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_loop_ends_with_its_last_round() {
    on_each(async |gateway| {
        let id = answered(&gateway).await.session_id;
        let filter = pb::EventFilter {
            session_ids: vec![id.clone()],
            ..Default::default()
        };
        let mut feed = Feed::of(&gateway, filter).await;
        let round = "tone_stream://%(700,0,440)";
        let request = pb::ExecuteRequest {
            session_id: id.clone(),
            application: "playback".to_owned(),
            // FreeSWITCH ends a loop whose round took less than 500 ms.
            arguments: round.to_owned(),
            loops: 2,
            ..Default::default()
        };
        within(gateway.sessions().execute(request)).await.unwrap();
        // Behind the end: what ran before it.
        execute(&gateway, &id, "set", "sg_last=1", ExecuteWait::Completed)
            .await
            .unwrap();
        let is_last = |event: &pb::Event| {
            event.name == "CHANNEL_EXECUTE_COMPLETE"
                && event.headers.get("Application-Data").map(String::as_str) == Some("sg_last=1")
        };
        let events = feed.events_until(is_last).await;
        let rounds = events.iter().filter(|event| {
            event.name == "CHANNEL_EXECUTE"
                && event.headers.get("Application-Data").map(String::as_str) == Some(round)
        });
        assert_eq!(rounds.count(), 2);
        hang_up(&gateway, &id).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn an_unknown_application_is_refused_and_the_leg_stays_up() {
    on_each(async |gateway| {
        let id = answered(&gateway).await.session_id;
        for wait in [
            ExecuteWait::Completed,
            ExecuteWait::Started,
            ExecuteWait::Accepted,
        ] {
            let status = execute(&gateway, &id, "plaback", "x", wait)
                .await
                .unwrap_err();
            assert_eq!(
                code_and_reason(&status),
                (Code::InvalidArgument, "UNKNOWN_APPLICATION".to_owned())
            );
            assert_invalid(&status, "application");
            assert_eq!(metadata(&status, "application"), "plaback");
            assert_eq!(metadata(&status, "suggestion"), "playback");
        }
        // The leg still does what it is told to.
        execute(&gateway, &id, "set", "a=b", ExecuteWait::Completed)
            .await
            .unwrap();
        hang_up(&gateway, &id).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_leg_that_is_hung_up_ends_the_wait_for_its_application() {
    // Not on the simulator yet: an application does not wait behind echo.
    on_freeswitch(async |gateway| {
        let id = answered(&gateway).await.session_id;
        let running = execute(&gateway, &id, "echo", "", ExecuteWait::Completed);
        let hanging_up = async {
            until(&gateway, &id, |session| {
                session
                    .application
                    .as_ref()
                    .is_some_and(|app| app.name == "echo")
            })
            .await;
            hang_up(&gateway, &id).await
        };
        let (result, _) = tokio::join!(running, hanging_up);
        // FreeSWITCH tells of the application's end when the leg goes down.
        let ended = result.unwrap().session.unwrap();
        assert!(ended.hangup.is_some());
        // One that was still waiting behind it never began.
        let id = answered(&gateway).await.session_id;
        execute(&gateway, &id, "echo", "", ExecuteWait::Started)
            .await
            .unwrap();
        let waiting = execute(
            &gateway,
            &id,
            "playback",
            "tone_stream://x",
            ExecuteWait::Completed,
        );
        let hanging_up = async {
            // Accepted behind the other one, so that one is with FreeSWITCH.
            execute(&gateway, &id, "sleep", "1", ExecuteWait::Accepted)
                .await
                .unwrap();
            hang_up(&gateway, &id).await
        };
        let (result, _) = tokio::join!(waiting, hanging_up);
        assert_eq!(
            code_and_reason(&result.unwrap_err()),
            (Code::FailedPrecondition, "SESSION_ENDED".to_owned())
        );
        gateway
    })
    .await;
}

#[tokio::test]
async fn an_application_may_hang_its_own_leg_up() {
    on_each(async |gateway| {
        let id = answered(&gateway).await.session_id;
        let response = execute(&gateway, &id, "hangup", "USER_BUSY", ExecuteWait::Completed)
            .await
            .unwrap();
        let hangup = response.session.unwrap().hangup.unwrap();
        assert_eq!(hangup.cause(), pb::HangupCause::UserBusy);
        gateway
    })
    .await;
}

#[tokio::test]
async fn two_legs_are_bridged_and_know_each_other() {
    on_each(async |gateway| {
        let (a, b) = tokio::join!(answered(&gateway), answered(&gateway));
        let (a, b) = (a.session_id, b.session_id);
        let bridged = bridge_to(&gateway, &a, with(&b)).await.unwrap();
        let (session, peer) = (bridged.session.unwrap(), bridged.peer.unwrap());
        assert_eq!((&session.session_id, &session.peer_session_id), (&a, &b));
        assert_eq!((&peer.session_id, &peer.peer_session_id), (&b, &a));
        assert!(session.times.unwrap().bridged.is_some());
        // Once more, from either side, returns at once.
        bridge_to(&gateway, &a, with(&b)).await.unwrap();
        bridge_to(&gateway, &b, with(&a)).await.unwrap();
        hang_up(&gateway, &a).await;
        until_ended(&gateway, &b).await;
        assert_eq!(get(&gateway, &a).await.unwrap().peer_session_id, "");
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_leg_is_bridged_with_an_endpoint_that_is_called_for_it() {
    on_each(async |gateway| {
        let a = answered(&gateway).await.session_id;
        let bridged = bridge_to(&gateway, &a, call(ANSWERS)).await.unwrap();
        let (session, peer) = (bridged.session.unwrap(), bridged.peer.unwrap());
        assert_eq!(session.peer_session_id, peer.session_id);
        assert_eq!(peer.peer_session_id, a);
        assert_eq!(peer.direction(), pb::Direction::Outbound);
        assert!(peer.answered);
        hang_up(&gateway, &a).await;
        until_ended(&gateway, &peer.session_id).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_leg_survives_an_endpoint_that_cannot_be_bridged() {
    on_each(async |gateway| {
        let a = answered(&gateway).await.session_id;
        for (endpoint, code, reason, cause) in [
            (BUSY, Code::Aborted, "CALL_FAILED", "USER_BUSY"),
            ("error/NO_ANSWER", Code::Aborted, "CALL_FAILED", "NO_ANSWER"),
            (
                "sofia/gateway/nowhere/1",
                Code::FailedPrecondition,
                "ENDPOINT_UNUSABLE",
                "INVALID_GATEWAY",
            ),
            (
                "nosuch/1",
                Code::FailedPrecondition,
                "ENDPOINT_UNUSABLE",
                "CHAN_NOT_IMPLEMENTED",
            ),
        ] {
            let status = bridge_to(&gateway, &a, call(endpoint)).await.unwrap_err();
            assert_eq!(
                code_and_reason(&status),
                (code, reason.to_owned()),
                "{endpoint}: {status:?}"
            );
            assert_eq!(metadata(&status, "hangup_cause"), cause, "{endpoint}");
            assert_eq!(metadata(&status, "session_id"), a);
            assert!(is_up(&gateway, &a).await);
        }
        hang_up(&gateway, &a).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_bridged_is_refused() {
    on_each(async |gateway| {
        let a = answered(&gateway).await.session_id;
        let status = bridge_to(&gateway, &a, with(&a)).await.unwrap_err();
        assert_invalid(&status, "peer_session_id");
        let nowhere = "00000000-0000-4000-8000-000000000000";
        let status = bridge_to(&gateway, &a, with(nowhere)).await.unwrap_err();
        assert_eq!(
            code_and_reason(&status),
            (Code::NotFound, "SESSION_NOT_FOUND".to_owned())
        );
        assert_eq!(metadata(&status, "session_id"), nowhere);
        for endpoint in [
            "{a=b}user/1",
            "user/${x}",
            "user/1,user/2",
            "nothing",
            "user/1\n",
            "",
        ] {
            let status = bridge_to(&gateway, &a, call(endpoint)).await.unwrap_err();
            assert_invalid(&status, "endpoint");
        }
        let request = pb::BridgeRequest {
            session_id: a.clone(),
            ..Default::default()
        };
        let status = within(gateway.sessions().bridge(request))
            .await
            .unwrap_err();
        assert_invalid(&status, "peer");
        // Neither leg may be without media.
        let request = pb::OriginateRequest {
            wait_for: pb::OriginateWait::Progress.into(),
            ..to(RINGS)
        };
        let ringing = place(&gateway, request)
            .await
            .unwrap()
            .session
            .unwrap()
            .session_id;
        for (leg, peer) in [(&a, &ringing), (&ringing, &a)] {
            let status = bridge_to(&gateway, leg, with(peer)).await.unwrap_err();
            assert_eq!(
                code_and_reason(&status),
                (Code::FailedPrecondition, "SESSION_STATE".to_owned())
            );
            assert_eq!(metadata(&status, "session_id"), ringing);
        }
        hang_up(&gateway, &ringing).await;
        let status = bridge_to(&gateway, &a, with(&ringing)).await.unwrap_err();
        assert_eq!(code_and_reason(&status).1, "SESSION_ENDED");
        assert!(is_up(&gateway, &a).await);
        hang_up(&gateway, &a).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_leg_that_is_not_answered_cannot_be_bridged_with_an_endpoint() {
    on_each(async |gateway| {
        let request = pb::OriginateRequest {
            wait_for: pb::OriginateWait::Progress.into(),
            ..to(RINGS)
        };
        let ringing = place(&gateway, request)
            .await
            .unwrap()
            .session
            .unwrap()
            .session_id;
        let status = bridge_to(&gateway, &ringing, call(ANSWERS))
            .await
            .unwrap_err();
        assert_eq!(
            code_and_reason(&status),
            (Code::FailedPrecondition, "SESSION_STATE".to_owned()),
            "{status:?}"
        );
        assert!(is_up(&gateway, &ringing).await);
        hang_up(&gateway, &ringing).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn legs_on_different_nodes_cannot_be_bridged_by_their_ids() {
    let gateway = Gateway::over_sims(2, |_| {}).await;
    let mut legs = Vec::new();
    for node in ["sim-0", "sim-1"] {
        let request = pb::OriginateRequest {
            node_selector: Some(pb::NodeSelector {
                node_id: node.to_owned(),
                ..Default::default()
            }),
            ..to(ANSWERS)
        };
        legs.push(
            place(&gateway, request)
                .await
                .unwrap()
                .session
                .unwrap()
                .session_id,
        );
    }
    let status = bridge_to(&gateway, &legs[0], with(&legs[1]))
        .await
        .unwrap_err();
    assert_eq!(
        code_and_reason(&status),
        (Code::FailedPrecondition, "SESSION_STATE".to_owned())
    );
    gateway.stop().await;
}

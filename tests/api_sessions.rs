//! SessionService: what can be asked of sessions, and what hanging up, answering and parking do.

mod listing;
mod variables;

use std::collections::HashSet;

use switchgate::pb::{self, CallState, Direction, HangupCause};
use tonic::Code;

use crate::client::*;
use crate::gateway::{Gateway, code_and_reason, metadata, on_each, on_freeswitch, within};

/// A session that no node has.
use variables::{set, unset};

const NOWHERE: &str = "00000000-0000-4000-8000-000000000000";

async fn hang_up_with(
    gateway: &Gateway,
    session_id: &str,
    cause: HangupCause,
) -> Result<pb::Session, tonic::Status> {
    let request = pb::HangupRequest {
        session_id: session_id.to_owned(),
        cause: cause.into(),
        ..Default::default()
    };
    let response = within(gateway.sessions().hangup(request)).await?;
    Ok(response.into_inner().session.unwrap())
}

async fn answer(gateway: &Gateway, session_id: &str) -> Result<pb::Session, tonic::Status> {
    let request = pb::AnswerRequest {
        session_id: session_id.to_owned(),
        ..Default::default()
    };
    let response = within(gateway.sessions().answer(request)).await?;
    Ok(response.into_inner().session.unwrap())
}

async fn park(gateway: &Gateway, session_id: &str) -> Result<pb::Session, tonic::Status> {
    let request = pb::ParkRequest {
        session_id: session_id.to_owned(),
        ..Default::default()
    };
    let response = within(gateway.sessions().park(request)).await?;
    Ok(response.into_inner().session.unwrap())
}

async fn list(
    gateway: &Gateway,
    filter: &str,
    page_size: i32,
    page_token: &str,
) -> Result<pb::ListSessionsResponse, tonic::Status> {
    let request = pb::ListSessionsRequest {
        filter: filter.to_owned(),
        page_size,
        page_token: page_token.to_owned(),
    };
    Ok(within(gateway.sessions().list_sessions(request))
        .await?
        .into_inner())
}

fn reason(code: Code, reason: &str) -> (Code, String) {
    (code, reason.to_owned())
}

#[tokio::test]
async fn a_leg_is_hung_up_with_the_cause_that_is_asked_for() {
    on_each(async |gateway| {
        for (cause, q850, sip) in [
            (HangupCause::UserBusy, 17, 486),
            (HangupCause::CallRejected, 21, 603),
            (HangupCause::NormalClearing, 16, 200),
        ] {
            let session = answered(&gateway).await;
            let ended = hang_up_with(&gateway, &session.session_id, cause)
                .await
                .unwrap();
            let hangup = ended.hangup.unwrap();
            assert_eq!((hangup.cause(), hangup.q850_code), (cause, q850));
            if cause != HangupCause::NormalClearing {
                assert_eq!(hangup.sip_code, sip);
            }
            assert_eq!(ended.call_state(), CallState::Hangup);
            assert!(ended.times.unwrap().hung_up.is_some());
            let kept = get(&gateway, &session.session_id).await.unwrap();
            assert_eq!(kept.hangup.unwrap().cause(), cause);
        }
        let session = answered(&gateway).await;
        let ended = hang_up_with(&gateway, &session.session_id, HangupCause::Unspecified)
            .await
            .unwrap();
        assert_eq!(ended.hangup.unwrap().cause(), HangupCause::NormalClearing);
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_leg_that_has_ended_can_do_nothing_more() {
    on_each(async |gateway| {
        let session_id = answered(&gateway).await.session_id;
        hang_up_with(&gateway, &session_id, HangupCause::UserBusy)
            .await
            .unwrap();
        let peer = pb::bridge_request::Peer::Endpoint(ANSWERS.to_owned());
        let failures = [
            hang_up_with(&gateway, &session_id, HangupCause::UserBusy)
                .await
                .unwrap_err(),
            answer(&gateway, &session_id).await.unwrap_err(),
            park(&gateway, &session_id).await.unwrap_err(),
            bridge_to(&gateway, &session_id, peer).await.unwrap_err(),
            execute(&gateway, &session_id, "echo", "", pb::ExecuteWait::Started)
                .await
                .unwrap_err(),
            set(&gateway, &session_id, &[("a", "b")]).await.unwrap_err(),
        ];
        for status in failures {
            assert_eq!(
                code_and_reason(&status),
                reason(Code::FailedPrecondition, "SESSION_ENDED")
            );
            assert_eq!(metadata(&status, "session_id"), session_id);
            assert_eq!(metadata(&status, "hangup_cause"), "USER_BUSY");
            assert!(!has_retry(&status));
        }
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_leg_that_nobody_knows_is_not_found_by_any_rpc() {
    on_each(async |gateway| {
        let peer = pb::bridge_request::Peer::Endpoint(ANSWERS.to_owned());
        let variables = pb::GetVariablesRequest {
            session_id: NOWHERE.to_owned(),
            names: vec!["x".to_owned()],
        };
        let failures = [
            get(&gateway, NOWHERE).await.unwrap_err(),
            hang_up_with(&gateway, NOWHERE, HangupCause::UserBusy)
                .await
                .unwrap_err(),
            answer(&gateway, NOWHERE).await.unwrap_err(),
            park(&gateway, NOWHERE).await.unwrap_err(),
            bridge_to(&gateway, NOWHERE, peer).await.unwrap_err(),
            execute(&gateway, NOWHERE, "echo", "", pb::ExecuteWait::Started)
                .await
                .unwrap_err(),
            set(&gateway, NOWHERE, &[("a", "b")]).await.unwrap_err(),
            unset(&gateway, NOWHERE, &["a"]).await.unwrap_err(),
            within(gateway.sessions().get_variables(variables))
                .await
                .unwrap_err(),
        ];
        for status in failures {
            assert_eq!(
                code_and_reason(&status),
                reason(Code::NotFound, "SESSION_NOT_FOUND")
            );
            assert_eq!(metadata(&status, "session_id"), NOWHERE);
        }
        gateway
    })
    .await;
}

#[tokio::test]
async fn an_inbound_leg_is_answered_and_its_caller_sees_it() {
    on_each(async |gateway| {
        let (inbound, outbound) = inbound_unanswered(&gateway).await;
        let before = get(&gateway, &inbound).await.unwrap();
        assert!(!before.answered);
        assert_eq!(before.direction(), Direction::Inbound);
        let session = answer(&gateway, &inbound).await.unwrap();
        assert!(session.answered && session.times.unwrap().answered.is_some());
        until(&gateway, &outbound, |session| session.answered).await;
        // Once more returns at once.
        assert!(answer(&gateway, &inbound).await.unwrap().answered);
        hang_up(&gateway, &inbound).await;
        until_ended(&gateway, &outbound).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_call_from_outside_is_seen_and_answered() {
    let gateway = Gateway::over_sim().await;
    let id = gateway.sim().place_inbound("park", "4930555");
    until(&gateway, &id, |session| session.parked).await;
    let session = answer(&gateway, &id).await.unwrap();
    assert!(session.answered);
    assert_eq!(session.caller.unwrap().number, "4930555");
    assert_eq!(session.destination_number, "park");
    hang_up(&gateway, &id).await;
    gateway.stop().await;
}

#[tokio::test]
async fn an_outbound_leg_cannot_be_answered_from_here() {
    on_each(async |gateway| {
        let request = pb::OriginateRequest {
            wait_for: pb::OriginateWait::Progress.into(),
            ..to(RINGS)
        };
        let session = place(&gateway, request).await.unwrap().session.unwrap();
        let status = answer(&gateway, &session.session_id).await.unwrap_err();
        assert_eq!(
            code_and_reason(&status),
            reason(Code::FailedPrecondition, "SESSION_STATE")
        );
        assert_eq!(metadata(&status, "call_state"), "RINGING");
        hang_up(&gateway, &session.session_id).await;
        // An answered one is what was asked for, whoever answered it.
        let session = answered(&gateway).await;
        assert!(
            answer(&gateway, &session.session_id)
                .await
                .unwrap()
                .answered
        );
        hang_up(&gateway, &session.session_id).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_busy_leg_is_parked_and_a_parked_one_stays_so() {
    on_each(async |gateway| {
        let request = pb::OriginateRequest {
            target: Some(application("echo", "")),
            ..to(ANSWERS)
        };
        let session = place(&gateway, request).await.unwrap().session.unwrap();
        until(&gateway, &session.session_id, |session| {
            session
                .application
                .as_ref()
                .is_some_and(|app| app.name == "echo")
        })
        .await;
        let parked = park(&gateway, &session.session_id).await.unwrap();
        assert!(parked.parked && parked.hangup.is_none());
        assert!(park(&gateway, &session.session_id).await.unwrap().parked);
        hang_up(&gateway, &session.session_id).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_session_is_shown_with_its_variables_on_request() {
    on_each(async |gateway| {
        let request = pb::OriginateRequest {
            variables: map(&[("sg_seen", "a b")]),
            ..to(ANSWERS)
        };
        let id = place(&gateway, request)
            .await
            .unwrap()
            .session
            .unwrap()
            .session_id;
        for is_live in [true, false] {
            let request = |include_variables| pb::GetSessionRequest {
                session_id: id.clone(),
                include_variables,
            };
            let shown = within(gateway.sessions().get_session(request(true)))
                .await
                .unwrap();
            let shown = shown.into_inner();
            assert!(!shown.cursor.is_empty());
            let session = shown.session.unwrap();
            assert_eq!(session.hangup.is_none(), is_live);
            assert_eq!(session.variables["sg_seen"], "a b");
            assert_eq!(session.variables["uuid"], id);
            let shown = within(gateway.sessions().get_session(request(false)))
                .await
                .unwrap();
            assert!(shown.into_inner().session.unwrap().variables.is_empty());
            if is_live {
                // Its variables are there as soon as it is down.
                hang_up(&gateway, &id).await;
            }
        }
        gateway
    })
    .await;
}

//! CallService: which sessions are a call, and hanging all of them up.

use switchgate::pb::{self, HangupCause};
use tonic::Code;

use crate::client::*;
use crate::gateway::{Gateway, code_and_reason, metadata, on_each, on_freeswitch, within};

async fn get_call(gateway: &Gateway, call_id: &str) -> Result<pb::Call, tonic::Status> {
    let request = pb::GetCallRequest {
        call_id: call_id.to_owned(),
    };
    let response = within(gateway.calls().get_call(request))
        .await?
        .into_inner();
    assert!(!response.cursor.is_empty());
    Ok(response.call.unwrap())
}

async fn hang_up_call(
    gateway: &Gateway,
    call_id: &str,
    cause: HangupCause,
) -> Result<pb::Call, tonic::Status> {
    let request = pb::HangupCallRequest {
        call_id: call_id.to_owned(),
        cause: cause.into(),
        ..Default::default()
    };
    let response = within(gateway.calls().hangup_call(request)).await?;
    Ok(response.into_inner().call.unwrap())
}

/// A leg that belongs to the call of this name.
async fn leg_of(gateway: &Gateway, call: &str) -> String {
    // Not at the originate: FreeSWITCH gives a leg that begins to execute its own call again.
    let id = answered(gateway).await.session_id;
    let request = pb::SetVariablesRequest {
        session_id: id.clone(),
        variables: map(&[("call_uuid", call)]),
        ..Default::default()
    };
    within(gateway.sessions().set_variables(request))
        .await
        .unwrap();
    // Its next event tells.
    let done = execute(gateway, &id, "set", "a=b", pb::ExecuteWait::Completed)
        .await
        .unwrap();
    assert_eq!(done.session.unwrap().call_id, call);
    id
}

#[tokio::test]
async fn a_leg_alone_is_a_call() {
    on_each(async |gateway| {
        let session = answered(&gateway).await;
        let call = get_call(&gateway, &session.call_id).await.unwrap();
        assert_eq!(call.call_id, session.call_id);
        assert_eq!(call.sessions.len(), 1);
        assert_eq!(call.first_session_id, session.session_id);
        assert_eq!(call.last_session_id, session.session_id);
        assert_eq!(call.started, session.times.unwrap().created);
        assert_eq!(call.ended, None);
        hang_up(&gateway, &session.session_id).await;
        let call = get_call(&gateway, &session.call_id).await.unwrap();
        assert!(call.ended.is_some());
        gateway
    })
    .await;
}

#[tokio::test]
async fn legs_with_the_same_tracking_variable_are_a_call() {
    on_each(async |gateway| {
        let name = format!("order-{}", tag());
        let (a, b) = (leg_of(&gateway, &name).await, leg_of(&gateway, &name).await);
        let call = get_call(&gateway, &name).await.unwrap();
        let ids: Vec<_> = call
            .sessions
            .iter()
            .map(|s| s.session_id.as_str())
            .collect();
        assert_eq!(ids, [a.as_str(), b.as_str()]);
        assert_eq!(
            (call.first_session_id, call.last_session_id),
            (a.clone(), b.clone())
        );

        let ended = hang_up_call(&gateway, &name, HangupCause::UserBusy)
            .await
            .unwrap();
        assert_eq!(ended.sessions.len(), 2);
        for session in &ended.sessions {
            assert_eq!(session.hangup.unwrap().cause(), HangupCause::UserBusy);
        }
        assert!(ended.ended.is_some());
        let status = hang_up_call(&gateway, &name, HangupCause::UserBusy)
            .await
            .unwrap_err();
        assert_eq!(
            code_and_reason(&status),
            (Code::FailedPrecondition, "SESSION_ENDED".to_owned())
        );
        assert_eq!(metadata(&status, "call_id"), name);
        gateway
    })
    .await;
}

#[tokio::test]
async fn bridged_legs_are_one_call_and_go_down_together() {
    // Not on the simulator yet: it does not read `%[...]` before an argument.
    on_freeswitch(async |gateway| {
        for _ in 0..5 {
            let a = answered(&gateway).await.session_id;
            let peer = pb::bridge_request::Peer::Endpoint(ANSWERS.to_owned());
            let bridged = bridge_to(&gateway, &a, peer).await.unwrap();
            let b = bridged.peer.unwrap();
            let call_id = get(&gateway, &a).await.unwrap().call_id;
            assert_eq!(get(&gateway, &b.session_id).await.unwrap().call_id, call_id);
            let call = get_call(&gateway, &call_id).await.unwrap();
            let ids: Vec<_> = call
                .sessions
                .iter()
                .map(|s| s.session_id.as_str())
                .collect();
            assert_eq!(ids, [a.as_str(), b.session_id.as_str()]);
            // Each leg takes the other one down, which is no failure.
            let ended = hang_up_call(&gateway, &call_id, HangupCause::NormalClearing)
                .await
                .unwrap();
            assert_eq!(ended.sessions.len(), 2);
            assert!(
                ended
                    .sessions
                    .iter()
                    .all(|session| session.hangup.is_some())
            );
        }
        gateway
    })
    .await;
}

#[tokio::test]
async fn two_legs_that_are_joined_become_one_call() {
    // Not on the simulator yet: a bridged leg keeps its `call_uuid`.
    on_freeswitch(async |gateway| {
        let (a, b) = tokio::join!(answered(&gateway), answered(&gateway));
        assert_ne!(a.call_id, b.call_id);
        let peer = pb::bridge_request::Peer::PeerSessionId(b.session_id.clone());
        bridge_to(&gateway, &a.session_id, peer).await.unwrap();
        let a = get(&gateway, &a.session_id).await.unwrap();
        let b = get(&gateway, &b.session_id).await.unwrap();
        assert_eq!(a.call_id, b.call_id);
        let call = get_call(&gateway, &a.call_id).await.unwrap();
        assert_eq!(call.sessions.len(), 2);
        hang_up_call(&gateway, &call.call_id, HangupCause::NormalClearing)
            .await
            .unwrap();
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_call_that_nobody_knows_is_not_found() {
    on_each(async |gateway| {
        let nowhere = tag();
        for status in [
            get_call(&gateway, &nowhere).await.unwrap_err(),
            hang_up_call(&gateway, &nowhere, HangupCause::UserBusy)
                .await
                .unwrap_err(),
        ] {
            assert_eq!(
                code_and_reason(&status),
                (Code::NotFound, "CALL_NOT_FOUND".to_owned())
            );
            assert_eq!(metadata(&status, "call_id"), nowhere);
        }
        gateway
    })
    .await;
}

#[tokio::test]
async fn pages_of_calls_are_the_whole_list() {
    on_each(async |gateway| {
        let mut placed = Vec::new();
        for _ in 0..3 {
            placed.push(answered(&gateway).await);
        }
        let mut listed = Vec::new();
        let mut token = String::new();
        loop {
            let request = pb::ListCallsRequest {
                page_size: 2,
                page_token: token,
                ..Default::default()
            };
            let page = within(gateway.calls().list_calls(request))
                .await
                .unwrap()
                .into_inner();
            assert!(page.calls.len() <= 2 && page.total_size >= 3);
            listed.extend(page.calls.into_iter().map(|call| call.call_id));
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        for session in &placed {
            let times = listed.iter().filter(|id| **id == session.call_id).count();
            assert_eq!(times, 1);
            hang_up(&gateway, &session.session_id).await;
        }
        let request = pb::ListCallsRequest {
            page_size: 1,
            page_token: "nonsense".to_owned(),
            ..Default::default()
        };
        let status = within(gateway.calls().list_calls(request))
            .await
            .unwrap_err();
        assert_invalid(&status, "page_token");
        gateway
    })
    .await;
}

/// FreeSWITCH makes the leg under an id of its own, tells of its codec, and renames it.
#[tokio::test]
async fn a_loopback_leg_leaves_no_session_under_the_id_that_it_had_before() {
    on_each(async |gateway| {
        let request = to("loopback/answer");
        let session = place(&gateway, request).await.unwrap().session.unwrap();
        // Of such a one nothing but its codec was ever told.
        let sessions = gateway.control.tracker.sessions();
        let nameless = sessions.iter().filter(|session| {
            session.channel_name.starts_with("loopback/") && session.times.created.is_none()
        });
        assert_eq!(nameless.count(), 0, "{sessions:?}");
        hang_up(&gateway, &session.session_id).await;
        gateway
    })
    .await;
}

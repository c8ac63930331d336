//! AppendSession.

use switchgate::pb;
use tonic::Code;

use super::{Watch, assert_whole, bridge, call, ids};
use crate::client::*;
use crate::gateway::{Gateway, code_and_reason, on_each, within};

async fn append(
    gateway: &Gateway,
    call_id: &str,
    session_id: &str,
    request_id: &str,
) -> Result<pb::AppendSessionResponse, tonic::Status> {
    let request = pb::AppendSessionRequest {
        call_id: call_id.to_owned(),
        session_id: session_id.to_owned(),
        request_id: request_id.to_owned(),
    };
    Ok(within(gateway.calls().append_session(request))
        .await?
        .into_inner())
}

#[tokio::test]
async fn a_session_is_put_into_a_call_and_stays_there() {
    on_each(async |gateway| {
        let (a, b) = (answered(&gateway).await, answered(&gateway).await);
        let mut there = Watch::of(&gateway, &a.call_id).await;
        let mut here = Watch::of(&gateway, &b.call_id).await;
        there.next().await.unwrap();
        here.next().await.unwrap();

        let mut feed = Feed::of(
            &gateway,
            pb::EventFilter {
                session_ids: vec![b.session_id.clone()],
                ..Default::default()
            },
        )
        .await;
        let request_id = tag();
        for _ in 0..2 {
            let done = append(&gateway, &a.call_id, &b.session_id, &request_id)
                .await
                .unwrap();
            assert_eq!(
                ids(done.call.as_ref().unwrap()),
                [&*a.session_id, &*b.session_id]
            );
            assert_eq!(done.session.unwrap().call_id, a.call_id);
        }
        let told = feed.events_until(|event| event.synthetic).await;
        let told = told.last().unwrap();
        assert_eq!(
            (&*told.name, &*told.headers["Switchgate-Synthetic"]),
            ("CHANNEL_DATA", "put into a call")
        );
        assert_eq!(told.call_id, a.call_id);
        // FreeSWITCH's own events say so from now on.
        let told = execute(
            &gateway,
            &b.session_id,
            "set",
            "x=y",
            pb::ExecuteWait::Completed,
        );
        assert_eq!(told.await.unwrap().session.unwrap().call_id, a.call_id);
        let set = variables(&gateway, &b.session_id, &["call_uuid"]).await;
        assert_eq!(set["call_uuid"], a.call_id);
        there.until(|call| call.sessions.len() == 2).await;
        assert!(
            here.end().await.unwrap().sessions.is_empty(),
            "all have left"
        );
        assert_eq!(here.left, [&*b.session_id]);
        assert_whole(&gateway);

        hang_up(&gateway, &a.session_id).await;
        hang_up(&gateway, &b.session_id).await;
        let last = there.end().await.unwrap();
        assert_eq!((last.sessions.len(), last.ended.is_some()), (2, true));
        assert_eq!(
            (&last.first_session_id, &last.last_session_id),
            (&a.session_id, &b.session_id)
        );
        gateway
    })
    .await;
}

#[tokio::test]
async fn neither_an_ended_session_nor_an_ended_call_can_be_appended_to() {
    on_each(async |gateway| {
        let (a, b) = (answered(&gateway).await, answered(&gateway).await);
        hang_up(&gateway, &b.session_id).await;
        for (call_id, session_id, code, reason) in [
            (
                &a.call_id,
                &b.session_id,
                Code::FailedPrecondition,
                "SESSION_ENDED",
            ),
            (
                &b.call_id,
                &a.session_id,
                Code::FailedPrecondition,
                "SESSION_ENDED",
            ),
            (&tag(), &a.session_id, Code::NotFound, "CALL_NOT_FOUND"),
            (&a.call_id, &tag(), Code::NotFound, "SESSION_NOT_FOUND"),
        ] {
            let status = append(&gateway, call_id, session_id, "").await.unwrap_err();
            assert_eq!(
                code_and_reason(&status),
                (code, reason.to_owned()),
                "{status:?}"
            );
        }
        assert_invalid(
            &append(&gateway, "a b", &a.session_id, "")
                .await
                .unwrap_err(),
            "call_id",
        );
        assert_invalid(
            &append(&gateway, &a.call_id, "", "").await.unwrap_err(),
            "session_id",
        );
        hang_up(&gateway, &a.session_id).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn subscribers_are_told_of_a_session_that_was_put_into_a_call() {
    on_each(async |gateway| {
        let (a, b) = (answered(&gateway).await, answered(&gateway).await);
        let filter = pb::EventFilter {
            call_ids: vec![a.call_id.clone()],
            session_ids: vec![b.session_id.clone()],
            ..Default::default()
        };
        let mut feed = Feed::of(&gateway, filter).await;
        let done = append(&gateway, &a.call_id, &b.session_id, "")
            .await
            .unwrap();
        let told = feed.events_until(|_| true).await;
        assert_eq!(
            (names(&told), told[0].synthetic),
            (vec!["CHANNEL_DATA"], true)
        );
        assert_eq!(told[0].cursor, done.cursor);
        hang_up(&gateway, &a.session_id).await;
        hang_up(&gateway, &b.session_id).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_variable_of_ones_own_keeps_legs_together_over_bridges_and_transfers() {
    let gateway = Gateway::over_sims(1, |config| {
        config.sessions.call_variable = "order_id".to_owned();
    })
    .await;
    let order = tag();
    let of_order = pb::OriginateRequest {
        variables: map(&[("order_id", &order)]),
        ..to(ANSWERS)
    };
    let a = place(&gateway, of_order).await.unwrap().session.unwrap();
    assert_eq!(a.call_id, order);
    let b = answered(&gateway).await;
    append(&gateway, &order, &b.session_id, "").await.unwrap();
    bridge(&gateway, &b.session_id, &a.session_id).await;
    let request = pb::TransferRequest {
        session_id: a.session_id.clone(),
        extension: Some(pb::OriginateExtension {
            number: "park".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    within(gateway.sessions().transfer(request)).await.unwrap();
    until(&gateway, &a.session_id, |session| session.parked).await;
    assert_eq!(
        ids(&call(&gateway, &order).await),
        [&*a.session_id, &*b.session_id]
    );
    assert_whole(&gateway);
    gateway.stop().await;
}

#[tokio::test]
async fn a_leg_that_was_appended_takes_those_along_that_it_is_bridged_with() {
    on_each(async |gateway| {
        let (a, b, c) = (
            answered(&gateway).await,
            answered(&gateway).await,
            answered(&gateway).await,
        );
        append(&gateway, &c.call_id, &a.session_id, "")
            .await
            .unwrap();
        bridge(&gateway, &a.session_id, &b.session_id).await;
        // FreeSWITCH says that B belongs to A, whose call is C's.
        let told = execute(
            &gateway,
            &c.session_id,
            "set",
            "x=y",
            pb::ExecuteWait::Completed,
        );
        told.await.unwrap();
        for session in [&a, &b, &c] {
            let now = get(&gateway, &session.session_id).await.unwrap();
            assert_eq!(now.call_id, c.call_id);
        }
        assert_eq!(call(&gateway, &c.call_id).await.sessions.len(), 3);
        assert_whole(&gateway);
        for session in [&a, &c] {
            hang_up(&gateway, &session.session_id).await;
        }
        gateway
    })
    .await;
}

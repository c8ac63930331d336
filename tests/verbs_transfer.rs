//! Transfers: to the dial plan, and to a third party.

use switchgate::pb;
use tonic::Code;

use crate::gateway::{Gateway, metadata, on_each, within};
use crate::verbs::{
    answered, before, bridged, ended, is_failure, not_now, refuses, release, session, until,
};

fn to(session_id: &str, number: &str, leg: pb::TransferLeg) -> pb::TransferRequest {
    pb::TransferRequest {
        session_id: session_id.to_owned(),
        extension: Some(pb::OriginateExtension {
            number: number.to_owned(),
            ..Default::default()
        }),
        leg: leg.into(),
        ..Default::default()
    }
}

/// Waits until a leg executes this.
async fn executes(gateway: &Gateway, session_id: &str, application: &str) {
    let id = session_id.parse().unwrap();
    until(|| {
        let session = gateway.control.tracker.session(&id)?;
        let last = session.application.as_ref()?;
        (last.name == application).then_some(())
    })
    .await;
}

/// Waits until a leg is bridged with this one.
async fn talks_to(gateway: &Gateway, session_id: &str, peer: &str) {
    let id = session_id.parse().unwrap();
    until(|| {
        let session = gateway.control.tracker.session(&id)?;
        (session.peer.as_ref()?.as_str() == peer).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_leg_is_transferred_and_its_peer_let_go() {
    on_each(async |gateway| {
        let (leg, peer) = bridged(&gateway).await;
        let request = to(&leg, "echo", pb::TransferLeg::Self_);
        let response = within(gateway.sessions().transfer(request)).await;
        let moved = response.unwrap().into_inner().session.unwrap();
        assert_eq!(moved.session_id, leg);
        executes(&gateway, &leg, "echo").await;
        assert_eq!(ended(&gateway, &peer).await, "NORMAL_CLEARING");
        assert_eq!(session(&gateway, &leg).await.peer_session_id, "");
        release(&gateway, &leg).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn the_peer_is_transferred_alone() {
    on_each(async |gateway| {
        let (leg, peer) = bridged(&gateway).await;
        let request = to(&leg, "echo", pb::TransferLeg::Peer);
        within(gateway.sessions().transfer(request)).await.unwrap();
        executes(&gateway, &peer, "echo").await;
        ended(&gateway, &leg).await;
        release(&gateway, &peer).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn both_legs_are_transferred() {
    on_each(async |gateway| {
        let (leg, peer) = bridged(&gateway).await;
        let request = to(&leg, "echo", pb::TransferLeg::Both);
        within(gateway.sessions().transfer(request)).await.unwrap();
        executes(&gateway, &leg, "echo").await;
        executes(&gateway, &peer, "echo").await;
        release(&gateway, &leg).await;
        release(&gateway, &peer).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_leg_without_a_peer_has_none_to_transfer() {
    on_each(async |gateway| {
        let leg = answered(&gateway).await;
        for which in [pb::TransferLeg::Peer, pb::TransferLeg::Both] {
            not_now(gateway.sessions().transfer(to(&leg, "echo", which))).await;
        }
        not_now(
            gateway
                .sessions()
                .attended_transfer(pb::AttendedTransferRequest {
                    session_id: leg.clone(),
                    endpoint: gateway.dial("answer"),
                    ..Default::default()
                }),
        )
        .await;
        release(&gateway, &leg).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_third_party_that_answers_talks_to_the_leg() {
    on_each(async |gateway| {
        let (leg, peer) = bridged(&gateway).await;
        let request = pb::AttendedTransferRequest {
            session_id: leg.clone(),
            endpoint: gateway.dial("answer"),
            ..Default::default()
        };
        let response = within(gateway.sessions().attended_transfer(request)).await;
        let response = response.unwrap().into_inner();
        let (own, third) = (response.session.unwrap(), response.peer.unwrap());
        assert_eq!(own.session_id, leg);
        assert_eq!(own.peer_session_id, third.session_id);
        assert!(third.answered && third.session_id != peer);
        assert!(session(&gateway, &peer).await.hangup.is_none());
        // The leg leaves: those two are left with each other.
        release(&gateway, &leg).await;
        talks_to(&gateway, &third.session_id, &peer).await;
        let call_id = session(&gateway, &peer).await.call_id;
        let request = pb::HangupCallRequest {
            call_id,
            ..Default::default()
        };
        within(gateway.calls().hangup_call(request)).await.unwrap();
        ended(&gateway, &peer).await;
        ended(&gateway, &third.session_id).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_third_party_that_hangs_up_gives_the_leg_back() {
    on_each(async |gateway| {
        let (leg, peer) = bridged(&gateway).await;
        let request = pb::AttendedTransferRequest {
            session_id: leg.clone(),
            endpoint: gateway.dial("answer"),
            ..Default::default()
        };
        let response = within(gateway.sessions().attended_transfer(request)).await;
        let third = response.unwrap().into_inner().peer.unwrap().session_id;
        release(&gateway, &third).await;
        talks_to(&gateway, &leg, &peer).await;
        talks_to(&gateway, &peer, &leg).await;
        release(&gateway, &leg).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_transfer_to_nowhere_ends_the_leg() {
    on_each(async |gateway| {
        let leg = answered(&gateway).await;
        let request = to(&leg, "nodest", pb::TransferLeg::Self_);
        // That there is nothing there is found out behind the transfer.
        within(gateway.sessions().transfer(request)).await.unwrap();
        assert_eq!(ended(&gateway, &leg).await, "NO_ROUTE_DESTINATION");
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_busy_third_party_is_a_failed_call_and_the_bridge_stays() {
    on_each(async |gateway| {
        let (leg, peer) = bridged(&gateway).await;
        let request = pb::AttendedTransferRequest {
            session_id: leg.clone(),
            endpoint: gateway.dial("busy"),
            ..Default::default()
        };
        let status = within(gateway.sessions().attended_transfer(request))
            .await
            .unwrap_err();
        is_failure(&status, Code::Aborted, "CALL_FAILED");
        assert_eq!(metadata(&status, "hangup_cause"), "USER_BUSY");
        assert_eq!(metadata(&status, "q850"), "17");
        assert_eq!(session(&gateway, &leg).await.peer_session_id, peer);
        assert_eq!(session(&gateway, &peer).await.peer_session_id, leg);
        release(&gateway, &leg).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_third_party_that_cannot_be_called_is_an_unusable_endpoint() {
    on_each(async |gateway| {
        let (leg, peer) = bridged(&gateway).await;
        let request = pb::AttendedTransferRequest {
            session_id: leg.clone(),
            endpoint: "sofia/gateway/nonesuch/1".to_owned(),
            ..Default::default()
        };
        let status = within(gateway.sessions().attended_transfer(request))
            .await
            .unwrap_err();
        is_failure(&status, Code::FailedPrecondition, "ENDPOINT_UNUSABLE");
        assert_eq!(session(&gateway, &leg).await.peer_session_id, peer);
        release(&gateway, &leg).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_third_party_that_rings_past_the_deadline_is_told_as_sent() {
    on_each(async |gateway| {
        let (leg, _peer) = bridged(&gateway).await;
        let request = before(
            std::time::Duration::from_millis(700),
            pb::AttendedTransferRequest {
                session_id: leg.clone(),
                endpoint: gateway.dial("ring"),
                ..Default::default()
            },
        );
        let status = within(gateway.sessions().attended_transfer(request))
            .await
            .unwrap_err();
        is_failure(&status, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
        assert_eq!(metadata(&status, "command_sent"), "true");
        release(&gateway, &leg).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn bad_targets_name_their_field_and_reach_nobody() {
    let gateway = Gateway::over_sim().await;
    let (leg, _peer) = bridged(&gateway).await;
    let mut client = gateway.sessions();
    for number in ["", "-both", "&echo", "a\nb", "${x}"] {
        let request = to(&leg, number, pb::TransferLeg::Self_);
        refuses(&gateway, client.transfer(request), "extension.number").await;
    }
    for dialplan in ["inline", "a b", "XML,inline"] {
        let mut request = to(&leg, "echo", pb::TransferLeg::Self_);
        request.extension.as_mut().unwrap().dialplan = dialplan.to_owned();
        refuses(&gateway, client.transfer(request), "extension.dialplan").await;
    }
    let mut request = to(&leg, "echo", pb::TransferLeg::Self_);
    request.extension.as_mut().unwrap().context = "a\nb".to_owned();
    refuses(&gateway, client.transfer(request), "extension.context").await;
    let missing = pb::TransferRequest {
        extension: None,
        ..to(&leg, "echo", pb::TransferLeg::Self_)
    };
    refuses(&gateway, client.transfer(missing), "extension").await;
    let unknown = pb::TransferRequest {
        leg: 9,
        ..to(&leg, "echo", pb::TransferLeg::Self_)
    };
    refuses(&gateway, client.transfer(unknown), "leg").await;
    for endpoint in [
        "",
        "nothing",
        "{a=b}sofia/internal/x@y",
        "sofia/internal/a,b",
        "sofia/internal/${x}",
    ] {
        let request = pb::AttendedTransferRequest {
            session_id: leg.clone(),
            endpoint: endpoint.to_owned(),
            ..Default::default()
        };
        refuses(&gateway, client.attended_transfer(request), "endpoint").await;
    }
    release(&gateway, &leg).await;
    gateway.stop().await;
}

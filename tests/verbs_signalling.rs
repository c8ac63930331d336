//! What an unanswered leg is told, hanging up many, and what happens later.

use std::time::Duration;

use switchgate::pb::{self, HangupCause};
use tonic::Code;

use crate::client::hang_up;
use crate::gateway::{Gateway, on_each, within};
use crate::verbs::{
    answered, ended, is_failure, not_now, pass, refuses, release, seconds, session, unanswered,
    until,
};

#[tokio::test]
async fn an_inbound_leg_rings_and_gets_early_media_before_it_is_answered() {
    on_each(async |gateway| {
        let (outbound, inbound) = unanswered(&gateway).await;
        let ring = pb::RingReadyRequest {
            session_id: inbound.clone(),
            ..Default::default()
        };
        // Again on a leg that rings: at once, with the same answer.
        for _ in 0..2 {
            let response = within(gateway.sessions().ring_ready(ring.clone())).await;
            let ringing = response.unwrap().into_inner().session.unwrap();
            assert!(ringing.times.unwrap().progress.is_some() && !ringing.answered);
        }
        let early = pb::PreAnswerRequest {
            session_id: inbound.clone(),
            ..Default::default()
        };
        for _ in 0..2 {
            let response = within(gateway.sessions().pre_answer(early.clone())).await;
            assert!(!response.unwrap().into_inner().session.unwrap().answered);
        }
        let leg = session(&gateway, &inbound).await;
        assert_eq!(leg.call_state(), pb::CallState::Early);
        release(&gateway, &outbound).await;
        ended(&gateway, &inbound).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn an_outbound_leg_is_not_told_what_its_far_end_decides() {
    on_each(async |gateway| {
        let (outbound, inbound) = unanswered(&gateway).await;
        not_now(gateway.sessions().ring_ready(pb::RingReadyRequest {
            session_id: outbound.clone(),
            ..Default::default()
        }))
        .await;
        not_now(gateway.sessions().pre_answer(pb::PreAnswerRequest {
            session_id: outbound.clone(),
            ..Default::default()
        }))
        .await;
        not_now(gateway.sessions().respond(pb::RespondRequest {
            session_id: outbound.clone(),
            status: 486,
            ..Default::default()
        }))
        .await;
        release(&gateway, &inbound).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn respond_refuses_a_call_with_the_cause_of_its_status() {
    on_each(async |gateway| {
        let (outbound, inbound) = unanswered(&gateway).await;
        let respond = |status, reason: &str| pb::RespondRequest {
            session_id: inbound.clone(),
            status,
            reason: reason.to_owned(),
            ..Default::default()
        };
        // A provisional one leaves the leg as it is.
        let response = within(gateway.sessions().respond(respond(180, "Ringing"))).await;
        let leg = response.unwrap().into_inner().session.unwrap();
        assert!(leg.hangup.is_none());
        let response = within(gateway.sessions().respond(respond(486, "Busy Here"))).await;
        let leg = response.unwrap().into_inner().session.unwrap();
        assert_eq!(leg.hangup.unwrap().cause(), HangupCause::UserBusy);
        assert_eq!(ended(&gateway, &outbound).await, "USER_BUSY");
        gateway
    })
    .await;
}

#[tokio::test]
async fn respond_is_not_for_an_answered_leg() {
    on_each(async |gateway| {
        let (outbound, inbound) = unanswered(&gateway).await;
        let answer = pb::AnswerRequest {
            session_id: inbound.clone(),
            ..Default::default()
        };
        within(gateway.sessions().answer(answer)).await.unwrap();
        not_now(gateway.sessions().respond(pb::RespondRequest {
            session_id: inbound.clone(),
            status: 486,
            ..Default::default()
        }))
        .await;
        release(&gateway, &outbound).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn deflect_redirects_a_leg_that_is_not_answered() {
    on_each(async |gateway| {
        let (outbound, inbound) = unanswered(&gateway).await;
        let place = gateway.dial("answer");
        let request = pb::DeflectRequest {
            session_id: inbound,
            uri: place.replace("sofia/internal/", "sip:"),
            ..Default::default()
        };
        let response = within(gateway.sessions().deflect(request)).await;
        let response = response.unwrap().into_inner();
        assert!(response.session.unwrap().hangup.is_some());
        assert_eq!(response.answer, "");
        // The caller goes where it was sent, and is answered there.
        let id = outbound.parse().unwrap();
        until(|| {
            let session = gateway.control.tracker.session(&id)?;
            session.answered.then_some(())
        })
        .await;
        release(&gateway, &outbound).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn deflect_tells_what_the_far_end_of_an_answered_leg_says() {
    on_each(async |gateway| {
        let (_outbound, inbound) = unanswered(&gateway).await;
        let answer = pb::AnswerRequest {
            session_id: inbound.clone(),
            ..Default::default()
        };
        within(gateway.sessions().answer(answer)).await.unwrap();
        let request = pb::DeflectRequest {
            session_id: inbound,
            uri: "sip:park@127.0.0.1".to_owned(),
            ..Default::default()
        };
        let response = within(gateway.sessions().deflect(request)).await;
        let response = response.unwrap().into_inner();
        assert!(response.session.unwrap().hangup.is_some());
        // FreeSWITCH calling itself does not take a REFER from itself.
        assert_eq!(response.answer, "SIP/2.0 403 Forbidden");
        gateway
    })
    .await;
}

#[tokio::test]
async fn hangup_many_hits_those_of_its_filter_alone() {
    on_each(async |gateway| {
        let batch = format!("b{}", uuid::Uuid::new_v4().simple());
        let mut marked = Vec::new();
        for at in 0..3 {
            let request = pb::OriginateRequest {
                endpoints: vec![gateway.dial("answer")],
                labels: [("batch".to_owned(), batch.clone())].into(),
                ..Default::default()
            };
            let response = within(gateway.sessions().originate(request)).await;
            let id = response.unwrap().into_inner().session.unwrap().session_id;
            // One has ended already, and is none of those that are hung up.
            if at == 2 {
                hang_up(&gateway, &id).await;
            } else {
                marked.push(id);
            }
        }
        let other = answered(&gateway).await;
        let request = pb::HangupManyRequest {
            filter: format!("label.batch = \"{batch}\""),
            cause: HangupCause::NormalTemporaryFailure.into(),
            ..Default::default()
        };
        let response = within(gateway.sessions().hangup_many(request)).await;
        let mut ids = response.unwrap().into_inner().session_ids;
        ids.sort();
        marked.sort();
        assert_eq!(ids, marked);
        for id in &marked {
            // Down when the RPC returns, not some time later.
            let hangup = session(&gateway, id).await.hangup.unwrap();
            assert_eq!(hangup.cause(), HangupCause::NormalTemporaryFailure);
        }
        assert!(session(&gateway, &other).await.hangup.is_none());
        release(&gateway, &other).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_scheduled_hangup_comes_and_says_why() {
    on_each(async |gateway| {
        let leg = answered(&gateway).await;
        let request = pb::ScheduleHangupRequest {
            session_id: leg.clone(),
            delay: Some(seconds(1)),
            ..Default::default()
        };
        within(gateway.sessions().schedule_hangup(request))
            .await
            .unwrap();
        assert_eq!(ended(&gateway, &leg).await, "ALLOTTED_TIMEOUT");
        gateway
    })
    .await;
}

#[tokio::test]
async fn clear_tasks_takes_all_back_and_counts_them() {
    on_each(async |gateway| {
        let leg = answered(&gateway).await;
        let hangup = pb::ScheduleHangupRequest {
            session_id: leg.clone(),
            delay: Some(seconds(1)),
            cause: HangupCause::UserBusy.into(),
            ..Default::default()
        };
        within(gateway.sessions().schedule_hangup(hangup))
            .await
            .unwrap();
        let digits = pb::ScheduleDtmfRequest {
            session_id: leg.clone(),
            delay: Some(seconds(1)),
            digits: "1".to_owned(),
            ..Default::default()
        };
        within(gateway.sessions().schedule_dtmf(digits))
            .await
            .unwrap();
        let clear = pb::ClearTasksRequest {
            session_id: leg.clone(),
            ..Default::default()
        };
        for expected in [2, 0] {
            let response = within(gateway.sessions().clear_tasks(clear.clone())).await;
            assert_eq!(response.unwrap().into_inner().deleted, expected);
        }
        // What is due at the same moment has happened when this has.
        pass(&gateway, 1_500).await;
        assert!(session(&gateway, &leg).await.hangup.is_none());
        release(&gateway, &leg).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn bad_arguments_name_their_field_and_reach_nobody() {
    let gateway = Gateway::over_sim().await;
    let (_outbound, inbound) = unanswered(&gateway).await;
    let mut client = gateway.sessions();
    for status in [0, 99, 200, 302, 700] {
        let request = pb::RespondRequest {
            session_id: inbound.clone(),
            status,
            ..Default::default()
        };
        refuses(&gateway, client.respond(request), "status").await;
    }
    for reason in ["Busy\r\nX: y", "${status()}"] {
        let request = pb::RespondRequest {
            session_id: inbound.clone(),
            status: 486,
            reason: reason.to_owned(),
            ..Default::default()
        };
        refuses(&gateway, client.respond(request), "reason").await;
    }
    for uri in ["", "park@127.0.0.1", "sip:a b@c", "sip:a@b\n", "sip:${x}@b"] {
        let request = pb::DeflectRequest {
            session_id: inbound.clone(),
            uri: uri.to_owned(),
            ..Default::default()
        };
        refuses(&gateway, client.deflect(request), "uri").await;
    }
    for delay in [None, Some(seconds(-1)), Some(seconds(0))] {
        let request = pb::ScheduleHangupRequest {
            session_id: inbound.clone(),
            delay,
            ..Default::default()
        };
        refuses(&gateway, client.schedule_hangup(request), "delay").await;
        let request = pb::ScheduleDtmfRequest {
            session_id: inbound.clone(),
            digits: "1".to_owned(),
            delay,
            ..Default::default()
        };
        refuses(&gateway, client.schedule_dtmf(request), "delay").await;
    }
    let request = pb::ScheduleHangupRequest {
        session_id: inbound.clone(),
        delay: Some(seconds(1)),
        cause: 4711,
        ..Default::default()
    };
    refuses(&gateway, client.schedule_hangup(request), "cause").await;
    for filter in ["", "  ", "nonsense ~ 1"] {
        let request = pb::HangupManyRequest {
            filter: filter.to_owned(),
            ..Default::default()
        };
        refuses(&gateway, client.hangup_many(request), "filter").await;
    }
    release(&gateway, &inbound).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_deadline_tells_that_the_command_was_sent() {
    on_each(async |gateway| {
        let leg = answered(&gateway).await;
        let request = crate::verbs::before(
            Duration::from_millis(500),
            pb::PlaybackRequest {
                session_id: leg.clone(),
                files: vec![crate::verbs::tone(10_000)],
                wait_for: pb::PlaybackWait::Completed.into(),
                ..Default::default()
            },
        );
        let status = within(gateway.sessions().playback(request))
            .await
            .unwrap_err();
        is_failure(&status, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
        assert_eq!(crate::gateway::metadata(&status, "command_sent"), "true");
        assert_eq!(crate::gateway::metadata(&status, "session_id"), leg);
        release(&gateway, &leg).await;
        gateway
    })
    .await;
}

//! SessionService over the simulator and a real FreeSWITCH: what each RPC does and returns.

use switchgate::pb::{self, HangupCause, originate_request};
use tonic::Code;

use crate::client::*;
use crate::gateway::{code_and_reason, metadata, on_each, within};

#[tokio::test]
async fn a_call_is_originated_seen_and_hung_up_with_its_cause() {
    on_each(async |gateway| {
        let session = originate(&gateway, "sofia/internal/echo@127.0.0.1")
            .await
            .unwrap();
        assert!(session.answered);
        assert_eq!(session.call_state(), pb::CallState::Active);
        assert_eq!(session.direction(), pb::Direction::Outbound);
        let request = pb::HangupRequest {
            session_id: session.session_id.clone(),
            cause: HangupCause::UserBusy.into(),
            ..Default::default()
        };
        let ended = within(gateway.sessions().hangup(request))
            .await
            .unwrap()
            .into_inner()
            .session
            .unwrap();
        let hangup = ended.hangup.unwrap();
        assert_eq!(
            (hangup.cause(), hangup.q850_code, hangup.sip_code),
            (HangupCause::UserBusy, 17, 486)
        );
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_busy_far_end_is_a_failed_call_with_its_cause() {
    on_each(async |gateway| {
        let status = originate(&gateway, "sofia/internal/busy@127.0.0.1")
            .await
            .unwrap_err();
        assert_eq!(
            code_and_reason(&status),
            (Code::Aborted, "CALL_FAILED".to_owned())
        );
        let causes = (
            metadata(&status, "hangup_cause"),
            metadata(&status, "q850"),
            metadata(&status, "sip_code"),
        );
        assert_eq!(
            causes,
            ("USER_BUSY".to_owned(), "17".to_owned(), "486".to_owned())
        );
        gateway
    })
    .await;
}

#[tokio::test]
async fn an_originated_leg_runs_the_application_it_is_given() {
    on_each(async |gateway| {
        let request = pb::OriginateRequest {
            endpoints: vec!["sofia/internal/answer@127.0.0.1".to_owned()],
            target: Some(originate_request::Target::Application(
                pb::OriginateApplication {
                    name: "echo".to_owned(),
                    arguments: String::new(),
                },
            )),
            labels: [("team".to_owned(), "blue".to_owned())].into(),
            ..Default::default()
        };
        let response = within(gateway.sessions().originate(request))
            .await
            .unwrap()
            .into_inner();
        let session = response.session.unwrap();
        assert_eq!(session.labels["team"], "blue");
        hang_up(&gateway, &session.session_id).await;
        gateway
    })
    .await;
}

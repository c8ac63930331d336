//! OriginateStream: what is told of a call that is being placed, and how it ends.

use switchgate::pb::originate_stream_response::Progress;
use switchgate::pb::{self, HangupCause};
use tonic::{Code, Status, Streaming};

use crate::client::hang_up;
use crate::gateway::{Gateway, code_and_reason, metadata, on_each, within};

const ECHO: &str = "sofia/internal/echo@127.0.0.1";
const BUSY: &str = "sofia/internal/busy@127.0.0.1";
const RING: &str = "sofia/internal/ring@127.0.0.1";

fn call(endpoints: &[&str], strategy: pb::OriginateStrategy) -> pb::OriginateRequest {
    pb::OriginateRequest {
        endpoints: endpoints
            .iter()
            .map(|endpoint| (*endpoint).to_owned())
            .collect(),
        strategy: strategy.into(),
        ..Default::default()
    }
}

async fn place(
    gateway: &Gateway,
    originate: pb::OriginateRequest,
) -> Streaming<pb::OriginateStreamResponse> {
    let request = pb::OriginateStreamRequest {
        originate: Some(originate),
    };
    within(gateway.sessions().originate_stream(request))
        .await
        .unwrap()
        .into_inner()
}

/// All that a stream tells, and the status with which it ends.
async fn all(
    mut stream: Streaming<pb::OriginateStreamResponse>,
) -> (Vec<Progress>, Option<Status>) {
    let mut told = Vec::new();
    loop {
        match within(stream.message()).await {
            Ok(Some(message)) => told.push(message.progress.unwrap()),
            Ok(None) => return (told, None),
            Err(status) => return (told, Some(status)),
        }
    }
}

/// What was told, in words: the kind and which endpoint.
fn words(told: &[Progress]) -> Vec<String> {
    let word = |progress: &Progress| match progress {
        Progress::Accepted(_) => "accepted".to_owned(),
        Progress::Started(leg) => format!("started {}", leg.endpoint_index),
        Progress::Progressed(leg) => format!("progressed {}", leg.endpoint_index),
        Progress::Answered(leg) => format!("answered {}", leg.endpoint_index),
        Progress::LegEnded(leg) => format!("leg ended {}", leg.endpoint_index),
        Progress::Ended(leg) => format!("ended {}", leg.endpoint_index),
    };
    told.iter().map(word).collect()
}

#[tokio::test]
async fn a_call_that_is_answered_is_told_step_by_step() {
    on_each(async |gateway| {
        let stream = place(&gateway, call(&[ECHO], pb::OriginateStrategy::Failover)).await;
        let (told, status) = all(stream).await;
        assert!(status.is_none());
        assert_eq!(
            words(&told),
            ["accepted", "started 0", "answered 0", "ended 0"]
        );
        let Some(Progress::Ended(leg)) = told.into_iter().last() else {
            panic!("ends")
        };
        hang_up(&gateway, &leg.session.unwrap().session_id).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_call_that_fails_ends_with_the_status_of_originate() {
    on_each(async |gateway| {
        let stream = place(&gateway, call(&[BUSY], pb::OriginateStrategy::Failover)).await;
        let (told, status) = all(stream).await;
        assert_eq!(words(&told), ["accepted", "started 0", "leg ended 0"]);
        let status = status.unwrap();
        assert_eq!(
            code_and_reason(&status),
            (Code::Aborted, "CALL_FAILED".to_owned())
        );
        assert_eq!(metadata(&status, "hangup_cause"), "USER_BUSY");
        gateway
    })
    .await;
}

#[tokio::test]
async fn each_leg_of_a_failover_is_told() {
    on_each(async |gateway| {
        let stream = place(
            &gateway,
            call(&[BUSY, ECHO], pb::OriginateStrategy::Failover),
        )
        .await;
        let (told, status) = all(stream).await;
        assert!(status.is_none());
        let words = words(&told);
        let at = |word: &str| {
            words
                .iter()
                .position(|told| told == word)
                .unwrap_or_else(|| panic!("{word} in {words:?}"))
        };
        assert!(at("started 0") < at("leg ended 0"));
        assert!(at("started 0") < at("started 1"));
        assert!(at("started 1") < at("answered 1"));
        assert_eq!(words.last().unwrap(), "ended 1");
        let Some(Progress::Ended(leg)) = told.into_iter().last() else {
            panic!("ends")
        };
        hang_up(&gateway, &leg.session.unwrap().session_id).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn the_leg_that_answers_first_wins_a_forked_call() {
    on_each(async |gateway| {
        let stream = place(&gateway, call(&[RING, ECHO], pb::OriginateStrategy::Forked)).await;
        let (told, status) = all(stream).await;
        assert!(status.is_none());
        let words = words(&told);
        assert!(
            words.contains(&"started 0".to_owned()) && words.contains(&"started 1".to_owned()),
            "{words:?}"
        );
        assert_eq!(words[words.len() - 2..], ["answered 1", "ended 1"]);
        let Some(Progress::Ended(leg)) = told.into_iter().last() else {
            panic!("ends")
        };
        hang_up(&gateway, &leg.session.unwrap().session_id).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_client_that_leaves_while_it_rings_ends_the_call() {
    on_each(async |gateway| {
        let mut stream = place(&gateway, call(&[RING], pb::OriginateStrategy::Failover)).await;
        let mut leg = None;
        while let Some(message) = within(stream.message()).await.unwrap() {
            match message.progress.unwrap() {
                Progress::Progressed(ringing) => {
                    leg = ringing.session;
                    break;
                }
                Progress::Accepted(_) | Progress::Started(_) => {}
                other => panic!("{other:?} while it rings"),
            }
        }
        let session_id = leg.unwrap().session_id;
        let watch = pb::WatchSessionRequest { session_id };
        let mut watched = within(gateway.sessions().watch_session(watch))
            .await
            .unwrap()
            .into_inner();
        drop(stream);
        let mut last = None;
        while let Some(message) = within(watched.message()).await.unwrap() {
            last = message.session;
        }
        assert_eq!(
            last.unwrap().hangup.unwrap().cause(),
            HangupCause::OriginatorCancel
        );
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_malformed_call_is_refused_before_anything_is_told() {
    let gateway = Gateway::over_sim().await;
    let request = pb::OriginateStreamRequest { originate: None };
    let status = within(gateway.sessions().originate_stream(request))
        .await
        .unwrap_err();
    assert_eq!(
        code_and_reason(&status),
        (Code::InvalidArgument, "INVALID_ARGUMENT".to_owned())
    );
    let request = pb::OriginateStreamRequest {
        originate: Some(call(&["{a=b}user/1"], pb::OriginateStrategy::Failover)),
    };
    let status = within(gateway.sessions().originate_stream(request))
        .await
        .unwrap_err();
    assert_eq!(
        code_and_reason(&status),
        (Code::InvalidArgument, "INVALID_ARGUMENT".to_owned())
    );
    gateway.stop().await;
}

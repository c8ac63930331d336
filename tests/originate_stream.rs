//! OriginateStream: what is told of a call that is being placed, and how it ends.

use std::time::Duration;

use switchgate::pb::originate_stream_response::Progress;
use switchgate::pb::{self, HangupCause};
use tonic::{Code, Status, Streaming};

use crate::client::*;
use crate::gateway::{Gateway, code_and_reason, metadata, on_each, within};

const ECHO: &str = "sofia/internal/echo@127.0.0.1";
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
async fn a_failover_goes_on_from_a_leg_that_does_not_answer_in_time() {
    on_each(async |gateway| {
        let request = pb::OriginateRequest {
            ring_timeout: Some(prost_types::Duration {
                seconds: 2,
                nanos: 0,
            }),
            ..call(&[RING, ECHO], pb::OriginateStrategy::Failover)
        };
        let (told, status) = all(place(&gateway, request).await).await;
        assert!(status.is_none(), "{status:?} after {:?}", words(&told));
        let of = |at| format!("{at} of {:?}", words(&told));
        let place = |word: &str| words(&told).iter().position(|told| told == word);
        assert!(place("leg ended 0").is_some(), "{}", of("leg ended 0"));
        assert!(
            place("started 1") < place("answered 1"),
            "{}",
            of("started 1")
        );
        assert_eq!(words(&told).last().unwrap(), "ended 1");
        let cause = told.iter().find_map(|progress| match progress {
            Progress::LegEnded(leg) => leg.session.as_ref()?.hangup.as_ref().map(|end| end.cause()),
            _ => None,
        });
        assert_eq!(cause, Some(HangupCause::NoAnswer));
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
        // The other one is hung up meanwhile.
        assert!(words.contains(&"answered 1".to_owned()), "{words:?}");
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

/// What is told until this word.
async fn until_word(
    stream: &mut Streaming<pb::OriginateStreamResponse>,
    word: &str,
) -> Vec<Progress> {
    let mut told = Vec::new();
    while words(&told).last().map(String::as_str) != Some(word) {
        let message = within(stream.message()).await.unwrap();
        told.push(message.unwrap().progress.unwrap());
    }
    told
}

fn with_id(endpoint: &str, request_id: &str) -> pb::OriginateRequest {
    pb::OriginateRequest {
        request_id: request_id.to_owned(),
        labels: map(&[("tag", request_id)]),
        ..call(&[endpoint], pb::OriginateStrategy::Failover)
    }
}

#[tokio::test]
async fn a_repeat_follows_the_call_of_the_first() {
    on_each(async |gateway| {
        let id = tag();
        let mut first = place(&gateway, with_id(RING, &id)).await;
        let told = until_word(&mut first, "progressed 0").await;
        let mut again = place(&gateway, with_id(RING, &id)).await;
        let repeated = until_word(&mut again, "progressed 0").await;
        assert_eq!(words(&repeated), ["accepted", "started 0", "progressed 0"]);
        assert_eq!(told[0], repeated[0]);
        let Some(Progress::Progressed(leg)) = repeated.into_iter().last() else {
            panic!("rings")
        };
        let session = leg.session.unwrap();
        assert_eq!(session.labels["tag"], id);
        // The first one may leave while the other one waits.
        drop(first);
        let status = within(
            gateway
                .sessions()
                .originate_stream(pb::OriginateStreamRequest {
                    originate: Some(with_id(ECHO, &id)),
                }),
        )
        .await
        .unwrap_err();
        assert_eq!(metadata(&status, "used_by"), "OriginateStream");
        assert_eq!(metadata(&status, "differs"), "endpoints");
        let now = get(&gateway, &session.session_id).await.unwrap();
        assert!(now.hangup.is_none(), "{now:?}");
        drop(again);
        until_ended(&gateway, &session.session_id).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_stream_and_an_originate_stand_for_each_other() {
    on_each(async |gateway| {
        for wait_for in [pb::OriginateWait::Unspecified, pb::OriginateWait::Started] {
            let request = pb::OriginateRequest {
                wait_for: wait_for.into(),
                ..with_id(ECHO, &tag())
            };
            let placed = crate::client::place(&gateway, request.clone()).await;
            let placed = placed.unwrap();
            let (told, status) = all(place(&gateway, request).await).await;
            assert!(status.is_none(), "{status:?}");
            let words = words(&told);
            assert_eq!(words[..2], ["accepted", "started 0"]);
            assert_eq!(words.last().unwrap(), "ended 0");
            let Some(Progress::Ended(leg)) = told.into_iter().last() else {
                panic!("ends")
            };
            let session_id = leg.session.unwrap().session_id;
            assert_eq!(session_id, placed.session.unwrap().session_id);
            hang_up(&gateway, &session_id).await;
        }
        let request = with_id(ECHO, &tag());
        let (told, _) = all(place(&gateway, request.clone()).await).await;
        let Some(Progress::Ended(leg)) = told.into_iter().last() else {
            panic!("ends")
        };
        let again = crate::client::place(&gateway, request).await.unwrap();
        let session = again.session.unwrap();
        assert_eq!(session.session_id, leg.session.unwrap().session_id);
        hang_up(&gateway, &session.session_id).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_failed_call_is_told_again_and_placed_once() {
    on_each(async |gateway| {
        let request = with_id(BUSY, &tag());
        let first = all(place(&gateway, request.clone()).await).await;
        let again = all(place(&gateway, request).await).await;
        assert_eq!(words(&again.0), ["accepted", "started 0", "leg ended 0"]);
        assert_eq!(again.0[0], first.0[0]);
        let (first, again) = (first.1.unwrap(), again.1.unwrap());
        assert_eq!(first.message(), again.message());
        assert_eq!(metadata(&again, "hangup_cause"), "USER_BUSY");
        gateway
    })
    .await;
}

#[tokio::test]
async fn the_winner_is_the_one_that_freeswitch_keeps() {
    on_each(async |gateway| {
        for _ in 0..5 {
            let forked = call(&[ECHO, ECHO, ECHO], pb::OriginateStrategy::Forked);
            let (told, status) = all(place(&gateway, forked).await).await;
            assert!(status.is_none());
            let Some(Progress::Accepted(accepted)) = told.first() else {
                panic!("is accepted first")
            };
            let job_id = accepted.job_id.parse().unwrap();
            let job = within(gateway.control.jobs.ended(&job_id)).await.unwrap();
            let Some(Ok(output)) = &job.outcome else {
                panic!("succeeds")
            };
            let output = String::from_utf8_lossy(&output.raw).into_owned();
            let Some(Progress::Ended(leg)) = told.into_iter().last() else {
                panic!("ends")
            };
            let session_id = leg.session.unwrap().session_id;
            assert!(output.contains(&session_id), "{session_id} in {output}");
            hang_up(&gateway, &session_id).await;
        }
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_stream_ends_with_the_gateway_and_tells_what_goes_on() {
    for (detach, request_id) in [(false, ""), (true, ""), (false, "again")] {
        let mut gateway = Gateway::over_sims(1, |config| {
            config.shutdown.grace = Duration::from_millis(300);
        })
        .await;
        let request = pb::OriginateRequest {
            detach,
            request_id: request_id.to_owned(),
            ..call(&[RING], pb::OriginateStrategy::Failover)
        };
        let mut stream = place(&gateway, request).await;
        let told = until_word(&mut stream, "progressed 0").await;
        let Some(Progress::Accepted(accepted)) = told.first() else {
            panic!("is accepted first")
        };
        gateway.begin_stop();
        let status = within(stream.message()).await.unwrap_err();
        assert_eq!(
            code_and_reason(&status),
            (Code::Unavailable, "SHUTTING_DOWN".to_owned())
        );
        assert_eq!(has_retry(&status), !request_id.is_empty());
        assert_eq!(metadata(&status, "job_id"), accepted.job_id);
        assert_eq!(metadata(&status, "session_id"), accepted.session_ids[0]);
        assert!(!metadata(&status, "cursor").is_empty());
        gateway.stopped().await;
        let goes_on = detach || !request_id.is_empty();
        crate::faults::until(|| gateway.sim().channels().is_empty() != goes_on).await;
    }
}

#[tokio::test]
async fn a_call_that_rings_at_the_stop_is_told_to_its_end() {
    let mut gateway = Gateway::over_sim().await;
    let request = call(
        &["sim/ring_answer?ring=500ms"],
        pb::OriginateStrategy::Failover,
    );
    let mut stream = place(&gateway, request).await;
    until_word(&mut stream, "progressed 0").await;
    gateway.begin_stop();
    until_word(&mut stream, "ended 0").await;
    assert!(within(stream.message()).await.unwrap().is_none());
    gateway.stop().await;
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

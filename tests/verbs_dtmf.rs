//! Digits: sent, scheduled, collected.

use switchgate::pb;

use crate::gateway::{Gateway, on_each, within};
use crate::verbs::{
    Events, answered, millis, not_now, refuses, release, run_api, seconds, tone, unanswered, until,
};

#[tokio::test]
async fn digits_that_are_sent_arrive_at_the_far_end() {
    on_each(async |gateway| {
        let (outbound, inbound) = unanswered(&gateway).await;
        let answer = pb::AnswerRequest {
            session_id: inbound.clone(),
            ..Default::default()
        };
        within(gateway.sessions().answer(answer)).await.unwrap();
        until(|| {
            let id = outbound.parse().unwrap();
            let session = gateway.control.tracker.session(&id)?;
            session.answered.then_some(())
        })
        .await;
        let mut events = Events::named(&gateway, &["DTMF"]).await;
        let request = pb::SendDtmfRequest {
            session_id: outbound.clone(),
            digits: "1*#".to_owned(),
            tone_duration: Some(millis(100)),
            ..Default::default()
        };
        within(gateway.sessions().send_dtmf(request)).await.unwrap();
        for digit in ["1", "*", "#"] {
            let event = events.next(&inbound).await;
            assert_eq!(event.headers["DTMF-Digit"], digit);
        }
        let request = pb::ScheduleDtmfRequest {
            session_id: outbound.clone(),
            digits: "7".to_owned(),
            delay: Some(seconds(1)),
            ..Default::default()
        };
        within(gateway.sessions().schedule_dtmf(request))
            .await
            .unwrap();
        assert_eq!(events.next(&inbound).await.headers["DTMF-Digit"], "7");
        release(&gateway, &outbound).await;
        gateway
    })
    .await;
}

/// Collects digits while these arrive.
async fn collect(
    gateway: &Gateway,
    request: pb::CollectDigitsRequest,
    digits: &str,
) -> (String, bool, String) {
    let leg = request.session_id.clone();
    let mut events = Events::named(gateway, &["CHANNEL_EXECUTE"]).await;
    let arrive = async {
        events.next(&leg).await;
        if !digits.is_empty() {
            run_api(gateway, "uuid_recv_dtmf", &format!("{leg} {digits}")).await;
        }
    };
    let mut client = gateway.sessions();
    let (response, ()) = tokio::join!(within(client.collect_digits(request)), arrive);
    let response = response.unwrap().into_inner();
    (response.digits, response.matched, response.terminator)
}

#[tokio::test]
async fn collected_digits_end_by_terminator_number_or_time_and_match_or_not() {
    on_each(async |gateway| {
        let leg = answered(&gateway).await;
        let request = pb::CollectDigitsRequest {
            session_id: leg.clone(),
            min_digits: 1,
            max_digits: 4,
            timeout: Some(seconds(2)),
            digit_timeout: Some(seconds(1)),
            terminators: "#".to_owned(),
            prompt: tone(3_000),
            ..Default::default()
        };
        let is = |digits: &str, matched, terminator: &str| {
            (digits.to_owned(), matched, terminator.to_owned())
        };
        assert_eq!(
            collect(&gateway, request.clone(), "12#").await,
            is("12", true, "#")
        );
        // By their number; the terminator of the input before is not this one's.
        let most = pb::CollectDigitsRequest {
            max_digits: 2,
            ..request.clone()
        };
        assert_eq!(collect(&gateway, most, "34").await, is("34", true, ""));
        // By time: enough, though not as many as could be.
        assert_eq!(
            collect(&gateway, request.clone(), "56").await,
            is("56", true, "")
        );
        // Too few.
        let least = pb::CollectDigitsRequest {
            min_digits: 3,
            ..request.clone()
        };
        assert_eq!(collect(&gateway, least, "1#").await, is("1", false, "#"));
        // Not those that are wanted, told all the same.
        let wanted = pb::CollectDigitsRequest {
            pattern: r"^9\d$".to_owned(),
            max_digits: 2,
            ..request.clone()
        };
        assert_eq!(
            collect(&gateway, wanted.clone(), "12").await,
            is("12", false, "")
        );
        assert_eq!(collect(&gateway, wanted, "91").await, is("91", true, ""));
        // None, and no terminators: # is a digit like others.
        let none = pb::CollectDigitsRequest {
            prompt: String::new(),
            ..request.clone()
        };
        assert_eq!(collect(&gateway, none, "").await, is("", false, ""));
        let hash = pb::CollectDigitsRequest {
            terminators: String::new(),
            pattern: "^1#$".to_owned(),
            max_digits: 2,
            ..request
        };
        assert_eq!(collect(&gateway, hash, "1#").await, is("1#", true, ""));
        release(&gateway, &leg).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn digits_need_media() {
    on_each(async |gateway| {
        let (outbound, inbound) = unanswered(&gateway).await;
        let mut client = gateway.sessions();
        not_now(client.send_dtmf(pb::SendDtmfRequest {
            session_id: inbound.clone(),
            digits: "1".to_owned(),
            ..Default::default()
        }))
        .await;
        not_now(client.collect_digits(pb::CollectDigitsRequest {
            session_id: inbound.clone(),
            ..Default::default()
        }))
        .await;
        release(&gateway, &outbound).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn bad_digits_and_numbers_name_their_field_and_reach_nobody() {
    let gateway = Gateway::over_sim().await;
    let leg = answered(&gateway).await;
    let mut client = gateway.sessions();
    for digits in ["", "12x", "1@2", "1 2", "1\n2", "${x}"] {
        let request = pb::SendDtmfRequest {
            session_id: leg.clone(),
            digits: digits.to_owned(),
            ..Default::default()
        };
        refuses(&gateway, client.send_dtmf(request), "digits").await;
        let request = pb::ScheduleDtmfRequest {
            session_id: leg.clone(),
            digits: digits.to_owned(),
            delay: Some(seconds(1)),
            ..Default::default()
        };
        refuses(&gateway, client.schedule_dtmf(request), "digits").await;
    }
    for tone in [millis(0), millis(49), millis(24_001), seconds(-1)] {
        let request = pb::SendDtmfRequest {
            session_id: leg.clone(),
            digits: "1".to_owned(),
            tone_duration: Some(tone),
            ..Default::default()
        };
        refuses(&gateway, client.send_dtmf(request), "tone_duration").await;
    }
    let good = pb::CollectDigitsRequest {
        session_id: leg.clone(),
        ..Default::default()
    };
    for (bad, field) in [
        (
            pb::CollectDigitsRequest {
                min_digits: 3,
                max_digits: 2,
                ..good.clone()
            },
            "max_digits",
        ),
        (
            pb::CollectDigitsRequest {
                max_digits: 129,
                ..good.clone()
            },
            "max_digits",
        ),
        (
            pb::CollectDigitsRequest {
                terminators: "x".to_owned(),
                ..good.clone()
            },
            "terminators",
        ),
        (
            pb::CollectDigitsRequest {
                prompt: "/a b.wav".to_owned(),
                ..good.clone()
            },
            "prompt",
        ),
        (
            pb::CollectDigitsRequest {
                invalid_prompt: "/a\n.wav".to_owned(),
                ..good.clone()
            },
            "invalid_prompt",
        ),
        (
            pb::CollectDigitsRequest {
                pattern: "${system(id)}".to_owned(),
                ..good.clone()
            },
            "pattern",
        ),
        (
            pb::CollectDigitsRequest {
                pattern: "[".to_owned(),
                ..good.clone()
            },
            "pattern",
        ),
        (
            pb::CollectDigitsRequest {
                timeout: Some(seconds(-1)),
                ..good.clone()
            },
            "timeout",
        ),
        (
            pb::CollectDigitsRequest {
                digit_timeout: Some(seconds(-1)),
                ..good.clone()
            },
            "digit_timeout",
        ),
    ] {
        refuses(&gateway, client.collect_digits(bad), field).await;
    }
    release(&gateway, &leg).await;
    gateway.stop().await;
}

//! What is refused, and why.

use super::*;

#[tokio::test]
async fn a_leg_without_media_or_peer_is_told_so() {
    on_each(async |gateway| {
        let (outbound, inbound) = unanswered(&gateway).await;
        let alone = answered(&gateway).await;
        let id = || inbound.clone();
        let mut client = gateway.sessions();
        not_now(client.hold(pb::HoldRequest {
            session_id: id(),
            ..Default::default()
        }))
        .await;
        not_now(client.mute(pb::MuteRequest {
            session_id: id(),
            ..Default::default()
        }))
        .await;
        not_now(client.playback(play(&inbound, &[tone(100)]))).await;
        not_now(client.speak(pb::SpeakRequest {
            session_id: id(),
            engine: "flite".to_owned(),
            voice: "kal".to_owned(),
            text: "x".to_owned(),
            ..Default::default()
        }))
        .await;
        not_now(client.start_recording(pb::StartRecordingRequest {
            session_id: id(),
            path: "/tmp/switchgate.wav".to_owned(),
            ..Default::default()
        }))
        .await;
        not_now(client.echo(pb::EchoRequest {
            session_id: id(),
            ..Default::default()
        }))
        .await;
        for (session_id, target_session_id) in [(id(), alone.clone()), (alone.clone(), id())] {
            not_now(client.eavesdrop(pb::EavesdropRequest {
                session_id,
                target_session_id,
                ..Default::default()
            }))
            .await;
        }
        not_now(client.broadcast(pb::BroadcastRequest {
            session_id: alone.clone(),
            application: "set".to_owned(),
            arguments: "a=b".to_owned(),
            leg: pb::BroadcastLeg::Peer.into(),
            ..Default::default()
        }))
        .await;
        not_now(client.playback(pb::PlaybackRequest {
            leg: pb::BroadcastLeg::Both.into(),
            ..play(&alone, &[tone(100)])
        }))
        .await;
        release(&gateway, &alone).await;
        release(&gateway, &outbound).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn bad_arguments_name_their_field_and_reach_nobody() {
    let gateway = Gateway::over_sim().await;
    let leg = answered(&gateway).await;
    let mut client = gateway.sessions();
    let good = play(&leg, &[tone(100)]);
    let file = |text: &str| play(&leg, &[text.to_owned()]);
    for (bad, field) in [
        (play(&leg, &[]), "files"),
        (file(""), "files[0]"),
        (file("{a=b}x"), "files[0]"),
        (file("/a@@1"), "files[0]"),
        (file("/a\nb"), "files[0]"),
        (file("${x}"), "files[0]"),
        (
            play(&leg, &["/a".to_owned(), "/b!c".to_owned()]),
            "files[1]",
        ),
        (
            pb::PlaybackRequest {
                start_offset_samples: 1,
                ..play(&leg, &["/a".to_owned(), "/b".to_owned()])
            },
            "start_offset_samples",
        ),
        (
            pb::PlaybackRequest {
                endless: true,
                ..to_end(good.clone())
            },
            "endless",
        ),
        (
            pb::PlaybackRequest {
                wait_for: 9,
                ..good.clone()
            },
            "wait_for",
        ),
        (
            pb::PlaybackRequest {
                leg: 9,
                ..good.clone()
            },
            "leg",
        ),
        (
            pb::PlaybackRequest {
                variables: [("vol".to_owned(), "1}x".to_owned())].into(),
                ..good.clone()
            },
            "variables[\"vol\"]",
        ),
        (
            pb::PlaybackRequest {
                variables: [("a b".to_owned(), "1".to_owned())].into(),
                ..good.clone()
            },
            "variables[\"a b\"]",
        ),
    ] {
        refuses(&gateway, client.playback(bad), field).await;
    }
    let seek = |action| pb::SeekPlaybackRequest {
        session_id: leg.clone(),
        action,
        ..Default::default()
    };
    let far = prost_types::Duration {
        seconds: i64::MAX,
        nanos: 0,
    };
    for (action, field) in [
        (None, "action"),
        (Some(Action::Restart(false)), "action"),
        (Some(Action::Relative(millis(0))), "relative"),
        (Some(Action::Relative(far)), "relative"),
        (Some(Action::Position(far)), "position"),
        (Some(Action::Position(millis(-1))), "position"),
    ] {
        refuses(&gateway, client.seek_playback(seek(action)), field).await;
    }
    for (engine, voice, text, field) in [
        ("", "kal", "x", "engine"),
        ("flite", "k|l", "x", "voice"),
        ("flite", "kal", "", "text"),
        ("flite", "kal", "${status()}", "text"),
        ("flite\n", "kal", "x", "engine"),
    ] {
        let request = pb::SpeakRequest {
            session_id: leg.clone(),
            engine: engine.to_owned(),
            voice: voice.to_owned(),
            text: text.to_owned(),
            ..Default::default()
        };
        refuses(&gateway, client.speak(request), field).await;
    }
    let request = pb::MuteRequest {
        session_id: leg.clone(),
        noise_level: 10_001,
        ..Default::default()
    };
    refuses(&gateway, client.mute(request), "noise_level").await;
    let request = pb::MuteRequest {
        session_id: leg.clone(),
        direction: 9,
        ..Default::default()
    };
    refuses(&gateway, client.mute(request), "direction").await;
    for path in ["", "a.wav", "{a=b}/c", "/a\n", "/${x}"] {
        let request = pb::StartRecordingRequest {
            session_id: leg.clone(),
            path: path.to_owned(),
            ..Default::default()
        };
        refuses(&gateway, client.start_recording(request), "path").await;
        let request = pb::MaskRecordingRequest {
            session_id: leg.clone(),
            path: path.to_owned(),
            ..Default::default()
        };
        refuses(&gateway, client.mask_recording(request), "path").await;
    }
    let request = pb::StartRecordingRequest {
        session_id: leg.clone(),
        path: "/a.wav".to_owned(),
        limit: Some(millis(-1)),
        ..Default::default()
    };
    refuses(&gateway, client.start_recording(request), "limit").await;
    let request = pb::BroadcastRequest {
        session_id: leg.clone(),
        application: "set".to_owned(),
        arguments: "a=${status()}".to_owned(),
        ..Default::default()
    };
    refuses(&gateway, client.broadcast(request), "arguments").await;
    let request = pb::EavesdropRequest {
        session_id: leg.clone(),
        target_session_id: leg.clone(),
        ..Default::default()
    };
    refuses(&gateway, client.eavesdrop(request), "target_session_id").await;
    // An application that is not there would end the leg.
    let before = commands(&gateway);
    let request = pb::BroadcastRequest {
        session_id: leg.clone(),
        application: "plaback".to_owned(),
        ..Default::default()
    };
    let status = within(client.broadcast(request)).await.unwrap_err();
    is_failure(&status, Code::InvalidArgument, "UNKNOWN_APPLICATION");
    assert_eq!(commands(&gateway), before);
    release(&gateway, &leg).await;
    gateway.stop().await;
}

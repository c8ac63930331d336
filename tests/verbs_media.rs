//! What a leg hears, says and records.

mod recording;
mod refusals;

use std::time::Duration;

use switchgate::pb::{self, seek_playback_request::Action};
use tokio::time::Instant;
use tonic::Code;

use crate::gateway::{Gateway, metadata, on_each, within};
use crate::verbs::{
    Events, answered, bridged, commands, is_failure, millis, not_now, pass, refuses, release,
    session, tone, unanswered,
};

const BUGS: [&str; 2] = ["MEDIA_BUG_START", "MEDIA_BUG_STOP"];
const FILES: [&str; 2] = ["PLAYBACK_START", "PLAYBACK_STOP"];
const RECORDS: [&str; 2] = ["RECORD_START", "RECORD_STOP"];

fn play(leg: &str, files: &[String]) -> pb::PlaybackRequest {
    pb::PlaybackRequest {
        session_id: leg.to_owned(),
        files: files.to_vec(),
        ..Default::default()
    }
}

fn to_end(request: pb::PlaybackRequest) -> pb::PlaybackRequest {
    pb::PlaybackRequest {
        wait_for: pb::PlaybackWait::Completed.into(),
        ..request
    }
}

async fn played(
    gateway: &Gateway,
    request: pb::PlaybackRequest,
) -> Result<pb::PlaybackResponse, tonic::Status> {
    let response = within(gateway.sessions().playback(request)).await?;
    Ok(response.into_inner())
}

async fn stop(gateway: &Gateway, leg: &str) {
    let request = pb::StopPlaybackRequest {
        session_id: leg.to_owned(),
        ..Default::default()
    };
    within(gateway.sessions().stop_playback(request))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_leg_is_held_and_taken_back() {
    on_each(async |gateway| {
        let leg = answered(&gateway).await;
        let hold = pb::HoldRequest {
            session_id: leg.clone(),
            ..Default::default()
        };
        let unhold = pb::UnholdRequest {
            session_id: leg.clone(),
            ..Default::default()
        };
        // What is so already is no error.
        let response = within(gateway.sessions().unhold(unhold.clone())).await;
        let same = response.unwrap().into_inner().session.unwrap();
        assert_eq!(same.call_state(), pb::CallState::Active);
        for _ in 0..2 {
            let response = within(gateway.sessions().hold(hold.clone())).await;
            let held = response.unwrap().into_inner().session.unwrap();
            assert_eq!(held.call_state(), pb::CallState::Held);
            assert!(held.times.unwrap().held.is_some());
        }
        for _ in 0..2 {
            let response = within(gateway.sessions().unhold(unhold.clone())).await;
            let back = response.unwrap().into_inner().session.unwrap();
            assert_ne!(back.call_state(), pb::CallState::Held);
        }
        release(&gateway, &leg).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_leg_is_muted_once_for_both_directions_and_unmuted() {
    on_each(async |gateway| {
        let leg = answered(&gateway).await;
        let mut events = Events::named(&gateway, &BUGS).await;
        let mute = |direction: pb::MuteDirection| pb::MuteRequest {
            session_id: leg.clone(),
            direction: direction.into(),
            noise_level: 20,
            ..Default::default()
        };
        within(gateway.sessions().mute(mute(pb::MuteDirection::Both)))
            .await
            .unwrap();
        let event = events.next_named(&leg, "MEDIA_BUG_START").await;
        assert_eq!(event.headers["Media-Bug-Function"], "audio");
        // A muted leg gives no second event, and the answer comes all the same.
        for direction in [pb::MuteDirection::Write, pb::MuteDirection::Both] {
            within(gateway.sessions().mute(mute(direction)))
                .await
                .unwrap();
        }
        let unmute = pb::UnmuteRequest {
            session_id: leg.clone(),
            ..Default::default()
        };
        for _ in 0..2 {
            within(gateway.sessions().unmute(unmute.clone()))
                .await
                .unwrap();
        }
        let event = events.next(&leg).await;
        assert_eq!(event.name, "MEDIA_BUG_STOP");
        within(gateway.sessions().mute(mute(pb::MuteDirection::Read)))
            .await
            .unwrap();
        assert_eq!(events.next(&leg).await.name, "MEDIA_BUG_START");
        release(&gateway, &leg).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_playback_returns_at_its_start_or_at_its_end() {
    on_each(async |gateway| {
        let leg = answered(&gateway).await;
        let mut events = Events::named(&gateway, &FILES).await;
        let began = Instant::now();
        let started = played(&gateway, play(&leg, &[tone(5_000)])).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(4));
        assert_eq!(started.response, "");
        assert_eq!(events.next(&leg).await.name, "PLAYBACK_START");
        stop(&gateway, &leg).await;
        let stopped = events.next(&leg).await;
        assert_eq!(stopped.headers["Playback-Status"], "break");
        // Several files are one to FreeSWITCH, which plays them in their order.
        let began = Instant::now();
        let several = to_end(play(&leg, &[tone(400), tone(300)]));
        let ended = played(&gateway, several).await.unwrap();
        assert_eq!(ended.response, "FILE PLAYED");
        assert!(began.elapsed() >= Duration::from_millis(600));
        let event = events.next(&leg).await;
        let both = format!("file_string://{}!{}", tone(400), tone(300));
        assert_eq!(event.headers["Playback-File-Path"], both);
        assert_eq!(events.next(&leg).await.headers["Playback-Status"], "done");
        // Variables go in front, the offset behind.
        let special = to_end(pb::PlaybackRequest {
            variables: [("vol".to_owned(), "1".to_owned())].into(),
            start_offset_samples: 800,
            ..play(&leg, &[tone(200)])
        });
        played(&gateway, special).await.unwrap();
        let event = events.next(&leg).await;
        let path = format!("{{vol=1}}{}", tone(200));
        assert_eq!(event.headers["Playback-File-Path"], path);
        release(&gateway, &leg).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_file_that_is_not_there_is_refused_with_freeswitch_s_words() {
    on_each(async |gateway| {
        let leg = answered(&gateway).await;
        for request in [
            play(&leg, &["/nonesuch/file.wav".to_owned()]),
            to_end(play(&leg, &["/nonesuch/file.wav".to_owned()])),
        ] {
            let status = played(&gateway, request).await.unwrap_err();
            is_failure(&status, Code::FailedPrecondition, "COMMAND_REJECTED");
            assert_eq!(metadata(&status, "freeswitch_reply"), "FILE NOT FOUND");
        }
        release(&gateway, &leg).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn an_endless_playback_goes_on_until_it_is_stopped() {
    on_each(async |gateway| {
        let leg = answered(&gateway).await;
        let names = ["PLAYBACK_START", "CHANNEL_EXECUTE_COMPLETE"];
        let mut events = Events::named(&gateway, &names).await;
        let endless = pb::PlaybackRequest {
            endless: true,
            ..play(&leg, &[tone(700)])
        };
        played(&gateway, endless).await.unwrap();
        for _ in 0..3 {
            events.next_named(&leg, "PLAYBACK_START").await;
        }
        stop(&gateway, &leg).await;
        events.next_named(&leg, "CHANNEL_EXECUTE_COMPLETE").await;
        // The next thing that plays is another one.
        played(&gateway, to_end(play(&leg, &[tone(100)])))
            .await
            .unwrap();
        let event = events.next_named(&leg, "PLAYBACK_START").await;
        assert_eq!(event.headers["Playback-File-Path"], tone(100));
        release(&gateway, &leg).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn the_peer_or_both_legs_of_a_bridge_hear_a_playback() {
    on_each(async |gateway| {
        let (leg, peer) = bridged(&gateway).await;
        let mut events = Events::named(&gateway, &FILES).await;
        let to = |leg_of: pb::BroadcastLeg| pb::PlaybackRequest {
            leg: leg_of.into(),
            ..play(&leg, &[tone(300)])
        };
        played(&gateway, to(pb::BroadcastLeg::Peer)).await.unwrap();
        let event = events.next_named(&peer, "PLAYBACK_START").await;
        assert_eq!(event.headers["Playback-File-Path"], tone(300));
        let mut own = Events::named(&gateway, &FILES).await;
        played(&gateway, to(pb::BroadcastLeg::Both)).await.unwrap();
        own.next_named(&leg, "PLAYBACK_START").await;
        let missing = pb::PlaybackRequest {
            leg: pb::BroadcastLeg::Peer.into(),
            ..play(&leg, &["/nonesuch/file.wav".to_owned()])
        };
        let status = played(&gateway, missing).await.unwrap_err();
        is_failure(&status, Code::FailedPrecondition, "COMMAND_REJECTED");
        assert_eq!(session(&gateway, &leg).await.peer_session_id, peer);
        release(&gateway, &leg).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn what_plays_is_moved_within_paused_and_resumed() {
    on_each(async |gateway| {
        let leg = answered(&gateway).await;
        let seek = |action: Action| pb::SeekPlaybackRequest {
            session_id: leg.clone(),
            action: Some(action),
            ..Default::default()
        };
        let status = within(
            gateway
                .sessions()
                .seek_playback(seek(Action::Restart(true))),
        )
        .await
        .unwrap_err();
        is_failure(&status, Code::FailedPrecondition, "COMMAND_REJECTED");
        let mut events = Events::named(&gateway, &FILES).await;
        played(&gateway, play(&leg, &[tone(1_000)])).await.unwrap();
        for action in [
            Action::TogglePause(true),
            Action::Relative(millis(-100)),
            Action::Position(millis(50)),
        ] {
            within(gateway.sessions().seek_playback(seek(action)))
                .await
                .unwrap();
        }
        // Paused it would not end by itself.
        pass(&gateway, 1_500).await;
        let resume = seek(Action::TogglePause(true));
        within(gateway.sessions().seek_playback(resume))
            .await
            .unwrap();
        assert_eq!(
            events.next_named(&leg, "PLAYBACK_STOP").await.headers["Playback-Status"],
            "done"
        );
        release(&gateway, &leg).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn speak_and_echo_are_executed() {
    on_each(async |gateway| {
        let leg = answered(&gateway).await;
        let names = ["CHANNEL_EXECUTE", "CHANNEL_EXECUTE_COMPLETE"];
        let mut events = Events::named(&gateway, &names).await;
        for wait_for in [pb::PlaybackWait::Started, pb::PlaybackWait::Completed] {
            let request = pb::SpeakRequest {
                session_id: leg.clone(),
                engine: "flite".to_owned(),
                voice: "kal".to_owned(),
                text: "it's 5 o'clock".to_owned(),
                wait_for: wait_for.into(),
                ..Default::default()
            };
            within(gateway.sessions().speak(request)).await.unwrap();
            let event = events.next(&leg).await;
            assert_eq!(
                event.headers["Application-Data"],
                "flite|kal|it's 5 o'clock"
            );
            events.next_named(&leg, "CHANNEL_EXECUTE_COMPLETE").await;
        }
        let request = pb::EchoRequest {
            session_id: leg.clone(),
            ..Default::default()
        };
        let response = within(gateway.sessions().echo(request)).await;
        let echo = response.unwrap().into_inner().session.unwrap();
        assert_eq!(echo.last_application.unwrap().name, "echo");
        release(&gateway, &leg).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_broadcast_runs_on_the_legs_that_are_named_and_keeps_the_bridge() {
    on_each(async |gateway| {
        let (leg, peer) = bridged(&gateway).await;
        let names = ["CHANNEL_EXECUTE_COMPLETE"];
        let mut events = Events::named(&gateway, &names).await;
        let request = pb::BroadcastRequest {
            session_id: leg.clone(),
            application: "set".to_owned(),
            arguments: "switchgate_test=it's a b".to_owned(),
            leg: pb::BroadcastLeg::Peer.into(),
            ..Default::default()
        };
        within(gateway.sessions().broadcast(request)).await.unwrap();
        let event = events.next(&peer).await;
        assert_eq!(
            event.headers["Application-Data"],
            "switchgate_test=it's a b"
        );
        assert_eq!(session(&gateway, &leg).await.peer_session_id, peer);
        release(&gateway, &leg).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn eavesdrop_listens_to_the_other_leg() {
    on_each(async |gateway| {
        let (leg, target) = (answered(&gateway).await, answered(&gateway).await);
        let mut events = Events::named(&gateway, &BUGS).await;
        let request = pb::EavesdropRequest {
            session_id: leg.clone(),
            target_session_id: target.clone(),
            ..Default::default()
        };
        let response = within(gateway.sessions().eavesdrop(request)).await;
        let session = response.unwrap().into_inner().session.unwrap();
        assert_eq!(session.last_application.unwrap().name, "eavesdrop");
        let event = events.next_named(&target, "MEDIA_BUG_START").await;
        assert_eq!(event.headers["Media-Bug-Function"], "eavesdrop");
        let unknown = pb::EavesdropRequest {
            session_id: target.clone(),
            target_session_id: uuid::Uuid::new_v4().to_string(),
            ..Default::default()
        };
        let status = within(gateway.sessions().eavesdrop(unknown))
            .await
            .unwrap_err();
        is_failure(&status, Code::NotFound, "SESSION_NOT_FOUND");
        release(&gateway, &leg).await;
        release(&gateway, &target).await;
        gateway
    })
    .await;
}

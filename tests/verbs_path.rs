//! Where the media of a leg flow, and listening for a beep in them: on the simulator and on a real
//! FreeSWITCH.

use std::time::Duration;

use switchgate::events::Entry;
use switchgate::pb::{self, AmdDetection, BypassMode};
use tonic::{Code, Status};

use crate::client::violations;
use crate::gateway::{Gateway, metadata, on_each, within};
use crate::verbs::{
    Events, answered, before, bridged, commands, ended, is_failure, not_now, refuses, release,
    run_api, seconds, session, unanswered, until,
};

fn to(session_id: &str, mode: BypassMode) -> pb::BypassMediaRequest {
    pb::BypassMediaRequest {
        session_id: session_id.to_owned(),
        mode: mode.into(),
        ..Default::default()
    }
}

async fn bypass(gateway: &Gateway, leg: &str, mode: BypassMode) -> Result<pb::Session, Status> {
    let response = within(gateway.sessions().bypass_media(to(leg, mode))).await?;
    Ok(response.into_inner().session.unwrap())
}

fn listen(session_id: &str) -> pb::StartAmdRequest {
    pb::StartAmdRequest {
        session_id: session_id.to_owned(),
        ..Default::default()
    }
}

async fn start(gateway: &Gateway, leg: &str) -> Result<pb::StartAmdResponse, Status> {
    Ok(within(gateway.sessions().start_amd(listen(leg)))
        .await?
        .into_inner())
}

async fn stop(gateway: &Gateway, leg: &str) -> Result<pb::Session, Status> {
    let request = pb::StopAmdRequest {
        session_id: leg.to_owned(),
        ..Default::default()
    };
    let response = within(gateway.sessions().stop_amd(request)).await?;
    Ok(response.into_inner().session.unwrap())
}

/// Whether the node has `mod_avmd`; loads it where it can be.
async fn has_avmd(gateway: &Gateway) -> bool {
    run_api(gateway, "load", "mod_avmd").await;
    let answer = run_api(gateway, "module_exists", "mod_avmd").await;
    let has = answer.trim() == "true";
    if !has {
        eprintln!("skipped: this FreeSWITCH was built without mod_avmd");
    }
    has
}

/// The leg at the other end of a call to this very node.
async fn far_end(gateway: &Gateway) -> (String, String) {
    let caller = format!("7{}", uuid::Uuid::new_v4().as_u128() % 1_000_000_000);
    let request = pb::OriginateRequest {
        endpoints: vec![gateway.dial("answer")],
        caller_id_number: caller.clone(),
        ..Default::default()
    };
    let placed = within(gateway.sessions().originate(request)).await.unwrap();
    let near = placed.into_inner().session.unwrap().session_id;
    let far = until(|| {
        let sessions = gateway.control.tracker.sessions();
        let mut sessions = sessions.iter();
        let inbound = Some(switchgate::domain::Direction::Inbound);
        sessions
            .find(|one| one.direction == inbound && one.caller.number == caller && one.parked)
            .map(|one| one.id.to_string())
    })
    .await;
    (near, far)
}

#[tokio::test]
async fn media_are_sent_past_freeswitch_and_back_from_either_leg() {
    on_each(async |gateway| {
        let (first, second) = bridged(&gateway).await;
        for leg in [&first, &second] {
            let peer = if *leg == first { &second } else { &first };
            let bypassed = bypass(&gateway, leg, BypassMode::On).await.unwrap();
            assert_eq!(bypassed.state(), pb::SessionState::Hibernate);
            assert_eq!(bypassed.peer_session_id, *peer);
            // So it is already.
            let again = bypass(&gateway, leg, BypassMode::On).await.unwrap();
            assert_eq!(again.state(), pb::SessionState::Hibernate);
            until(|| {
                let id = peer.parse().unwrap();
                let other = gateway.control.tracker.session(&id)?;
                other.is_bypassed().then_some(())
            })
            .await;
            let back = bypass(&gateway, leg, BypassMode::Off).await.unwrap();
            assert_ne!(back.state(), pb::SessionState::Hibernate);
            assert_eq!(back.peer_session_id, *peer);
            let again = bypass(&gateway, leg, BypassMode::Off).await.unwrap();
            assert_eq!(again.peer_session_id, *peer);
        }
        release(&gateway, &first).await;
        release(&gateway, &second).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_comparison_finds_nothing_to_correct_on_a_bridge_whose_media_were_moved() {
    on_each(|gateway| async move {
        let (first, second) = bridged(&gateway).await;
        for mode in [BypassMode::On, BypassMode::Off] {
            bypass(&gateway, &first, mode).await.unwrap();
            let node = gateway.control.fleet.nodes().next().unwrap();
            let request = pb::ReconcileNodeRequest {
                node_id: node.id().to_string(),
            };
            within(gateway.nodes().reconcile_node(request))
                .await
                .unwrap();
            // The node may have other sessions than these.
            for leg in [&first, &second] {
                assert_eq!(synthetic(&gateway, leg), [""; 0], "{mode:?}");
            }
        }
        release(&gateway, &first).await;
        release(&gateway, &second).await;
        gateway
    })
    .await;
}

/// The events that the gateway made of a session.
fn synthetic(gateway: &Gateway, leg: &str) -> Vec<String> {
    let history = gateway.control.journal.of_session(&leg.parse().unwrap());
    let made = history
        .events
        .iter()
        .filter_map(|(_, entry)| match &**entry {
            Entry::Event(record) if record.synthetic => Some(record.event.name().into_owned()),
            _ => None,
        });
    made.collect()
}

#[tokio::test]
async fn a_bypassed_bridge_ends_with_either_of_its_legs() {
    on_each(async |gateway| {
        for ends_first in [true, false] {
            let (first, second) = bridged(&gateway).await;
            bypass(&gateway, &first, BypassMode::On).await.unwrap();
            let (gone, other) = match ends_first {
                true => (first, second),
                false => (second, first),
            };
            release(&gateway, &gone).await;
            assert_eq!(ended(&gateway, &other).await, "NORMAL_CLEARING");
            not_ended_twice(&gateway, &other).await;
        }
        gateway
    })
    .await;
}

async fn not_ended_twice(gateway: &Gateway, leg: &str) {
    let status = bypass(gateway, leg, BypassMode::Off).await.unwrap_err();
    is_failure(&status, Code::FailedPrecondition, "SESSION_ENDED");
}

#[tokio::test]
async fn only_a_bridge_of_two_answered_sip_legs_can_be_bypassed() {
    on_each(async |gateway| {
        let mut sessions = gateway.sessions();
        let alone = answered(&gateway).await;
        not_now(sessions.bypass_media(to(&alone, BypassMode::On))).await;
        // The other way there is nothing to do.
        bypass(&gateway, &alone, BypassMode::Off).await.unwrap();
        let (outbound, inbound) = unanswered(&gateway).await;
        not_now(sessions.bypass_media(to(&inbound, BypassMode::On))).await;
        let looped = crate::client::originate(&gateway, "loopback/answer")
            .await
            .unwrap();
        let request = pb::BridgeRequest {
            session_id: looped.session_id.clone(),
            peer: Some(pb::bridge_request::Peer::PeerSessionId(alone.clone())),
            ..Default::default()
        };
        within(sessions.bridge(request)).await.unwrap();
        for leg in [&looped.session_id, &alone] {
            not_now(sessions.bypass_media(to(leg, BypassMode::On))).await;
        }
        for leg in [alone, looped.session_id, outbound] {
            release(&gateway, &leg).await;
        }
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_leg_in_early_media_is_not_bypassed_since_freeswitch_would_end_it() {
    on_each(async |gateway| {
        let request = pb::OriginateRequest {
            endpoints: vec![gateway.dial("early")],
            wait_for: pb::OriginateWait::Progress.into(),
            ..Default::default()
        };
        let placed = within(gateway.sessions().originate(request)).await.unwrap();
        let early = placed.into_inner().session.unwrap().session_id;
        let other = answered(&gateway).await;
        let request = pb::BridgeRequest {
            session_id: other.clone(),
            peer: Some(pb::bridge_request::Peer::PeerSessionId(early.clone())),
            ..Default::default()
        };
        within(gateway.sessions().bridge(request)).await.unwrap();
        for leg in [&early, &other] {
            not_now(gateway.sessions().bypass_media(to(leg, BypassMode::On))).await;
            assert!(session(&gateway, leg).await.hangup.is_none());
        }
        release(&gateway, &early).await;
        release(&gateway, &other).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_beep_is_told_to_those_who_wait_for_it() {
    on_each(async |gateway| {
        if !has_avmd(&gateway).await {
            return gateway;
        }
        let (near, far) = far_end(&gateway).await;
        let mut events = Events::named(&gateway, &["CUSTOM"]).await;
        start(&gateway, &near).await.unwrap();
        let told = events.next(&near).await;
        assert_eq!(told.subclass, "avmd::start");
        let request = pb::WaitForEventsRequest {
            session_id: near.clone(),
            event_names: vec!["avmd::beep".to_owned()],
            timeout: Some(seconds(10)),
            ..Default::default()
        };
        let mut sessions = gateway.sessions();
        let waiting = sessions.wait_for_events(request);
        let play = async {
            // The wait has begun once nothing is left to do but to wait.
            let request = pb::PlaybackRequest {
                session_id: far.clone(),
                files: vec!["tone_stream://%(2000,0,800)".to_owned()],
                ..Default::default()
            };
            gateway.sessions().playback(request).await
        };
        let (beep, played) = within(async { tokio::join!(waiting, play) }).await;
        played.unwrap();
        let beep = beep.unwrap().into_inner();
        assert!(beep.pending_names.is_empty(), "{beep:?}");
        let headers = &beep.events[0].headers;
        assert_eq!(headers["Beep-Status"], "DETECTED");
        let frequency: f64 = headers["Frequency"].parse().unwrap();
        assert!((700.0..900.0).contains(&frequency), "{frequency}");
        stop(&gateway, &near).await.unwrap();
        let stopped = loop {
            let event = events.next(&near).await;
            if event.subclass == "avmd::stop" {
                break event;
            }
        };
        assert_eq!(stopped.headers["Beep-Status"], "DETECTED");
        release(&gateway, &near).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn listening_is_begun_and_ended_once_with_any_settings_on_both_directions() {
    on_each(async |gateway| {
        if !has_avmd(&gateway).await {
            return gateway;
        }
        let (near, far) = far_end(&gateway).await;
        for leg in [&near, &far] {
            // Nothing to stop.
            stop(&gateway, leg).await.unwrap();
            for detection in [
                AmdDetection::Unspecified,
                AmdDetection::Amplitude,
                AmdDetection::Frequency,
                AmdDetection::Both,
            ] {
                let request = pb::StartAmdRequest {
                    detection: detection.into(),
                    frequency_streak: Some(5),
                    amplitude_streak: Some(0),
                    ..listen(leg)
                };
                within(gateway.sessions().start_amd(request)).await.unwrap();
                start(&gateway, leg).await.unwrap();
                assert!(
                    run_api(&gateway, "uuid_buglist", leg)
                        .await
                        .contains("avmd")
                );
                stop(&gateway, leg).await.unwrap();
                assert!(
                    !run_api(&gateway, "uuid_buglist", leg)
                        .await
                        .contains("avmd")
                );
                stop(&gateway, leg).await.unwrap();
            }
        }
        release(&gateway, &near).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn two_clients_that_start_to_listen_at_once_both_succeed() {
    on_each(async |gateway| {
        if !has_avmd(&gateway).await {
            return gateway;
        }
        let leg = answered(&gateway).await;
        let (one, other) = tokio::join!(start(&gateway, &leg), start(&gateway, &leg));
        one.unwrap();
        other.unwrap();
        release(&gateway, &leg).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_leg_without_media_is_not_listened_to() {
    on_each(async |gateway| {
        let (outbound, inbound) = unanswered(&gateway).await;
        for leg in [&outbound, &inbound] {
            not_now(gateway.sessions().start_amd(listen(leg))).await;
        }
        release(&gateway, &outbound).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn without_its_module_a_leg_is_not_listened_to_and_stays_up() {
    let gateway = Gateway::over_sim().await;
    let leg = answered(&gateway).await;
    let before = commands(&gateway);
    for status in [
        start(&gateway, &leg).await.unwrap_err(),
        stop(&gateway, &leg).await.unwrap_err(),
    ] {
        is_failure(&status, Code::InvalidArgument, "UNKNOWN_APPLICATION");
        assert!(status.message().contains("load mod_avmd"), "{status:?}");
        // The application is the gateway's choice: no field is at fault.
        assert_eq!(violations(&status), [""; 0]);
        assert!(metadata(&status, "application").starts_with("avmd_st"));
    }
    assert_eq!(commands(&gateway), before);
    // Loaded and unloaded while the gateway runs.
    run_api(&gateway, "load", "mod_avmd").await;
    until_known(&gateway, &leg, true).await;
    stop(&gateway, &leg).await.unwrap();
    run_api(&gateway, "unload", "mod_avmd").await;
    until_known(&gateway, &leg, false).await;
    assert!(session(&gateway, &leg).await.hangup.is_none());
    gateway.stop().await;
}

/// The news of the module comes over another link than its command's reply.
async fn until_known(gateway: &Gateway, leg: &str, known: bool) {
    while start(gateway, leg).await.is_ok() != known {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn bad_arguments_name_their_field_and_reach_nobody() {
    let gateway = Gateway::over_sim().await;
    run_api(&gateway, "load", "mod_avmd").await;
    let (leg, _) = bridged(&gateway).await;
    let mut sessions = gateway.sessions();
    for mode in [0, 7] {
        let request = pb::BypassMediaRequest {
            session_id: leg.clone(),
            mode,
            ..Default::default()
        };
        refuses(&gateway, sessions.bypass_media(request), "mode").await;
    }
    let request = pb::StartAmdRequest {
        detection: 9,
        ..listen(&leg)
    };
    refuses(&gateway, sessions.start_amd(request), "detection").await;
    let big = Some(65536);
    for (field, request) in [
        (
            "frequency_streak",
            pb::StartAmdRequest {
                frequency_streak: big,
                ..listen(&leg)
            },
        ),
        (
            "amplitude_streak",
            pb::StartAmdRequest {
                amplitude_streak: big,
                ..listen(&leg)
            },
        ),
    ] {
        refuses(&gateway, sessions.start_amd(request), field).await;
    }
    let late = before(Duration::from_millis(200), listen(&leg));
    within(sessions.start_amd(late)).await.unwrap();
    gateway.stop().await;
}

//! Recordings.

use super::*;

#[tokio::test]
async fn recordings_are_started_masked_and_stopped_by_their_path() {
    on_each(async |gateway| {
        let leg = answered(&gateway).await;
        let mut events = Events::named(&gateway, &RECORDS).await;
        let name = uuid::Uuid::new_v4();
        let paths = [
            format!("/tmp/switchgate-{name}/it's a b.wav"),
            format!("/tmp/switchgate-{name}/plain.wav"),
            format!("/tmp/switchgate-{name}/100%20.wav"),
        ];
        for path in &paths {
            let request = pb::StartRecordingRequest {
                session_id: leg.clone(),
                path: path.clone(),
                sample_rate: 16_000,
                stereo: true,
                ..Default::default()
            };
            // The same path twice is one recording.
            for _ in 0..2 {
                within(gateway.sessions().start_recording(request.clone()))
                    .await
                    .unwrap();
            }
            assert_eq!(events.next(&leg).await.name, "RECORD_START");
        }
        let mask = pb::MaskRecordingRequest {
            session_id: leg.clone(),
            path: paths[0].clone(),
            ..Default::default()
        };
        within(gateway.sessions().mask_recording(mask))
            .await
            .unwrap();
        let unmask = pb::UnmaskRecordingRequest {
            session_id: leg.clone(),
            path: paths[0].clone(),
            ..Default::default()
        };
        within(gateway.sessions().unmask_recording(unmask))
            .await
            .unwrap();
        let stop = |path: &str| pb::StopRecordingRequest {
            session_id: leg.clone(),
            path: path.to_owned(),
            ..Default::default()
        };
        within(gateway.sessions().stop_recording(stop(&paths[0])))
            .await
            .unwrap();
        let event = events.next(&leg).await;
        assert_eq!(event.name, "RECORD_STOP");
        assert_eq!(event.headers["Record-File-Path"], paths[0]);
        within(gateway.sessions().stop_recording(stop("")))
            .await
            .unwrap();
        for _ in 0..2 {
            assert_eq!(events.next(&leg).await.name, "RECORD_STOP");
        }
        // Nothing is left to stop or to mask.
        let status = within(gateway.sessions().stop_recording(stop("")))
            .await
            .unwrap_err();
        is_failure(&status, Code::FailedPrecondition, "COMMAND_REJECTED");
        let mask = pb::MaskRecordingRequest {
            session_id: leg.clone(),
            path: paths[0].clone(),
            ..Default::default()
        };
        let status = within(gateway.sessions().mask_recording(mask))
            .await
            .unwrap_err();
        is_failure(&status, Code::FailedPrecondition, "COMMAND_REJECTED");
        release(&gateway, &leg).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_limited_recording_ends_by_itself() {
    on_each(async |gateway| {
        let leg = answered(&gateway).await;
        let mut events = Events::named(&gateway, &RECORDS).await;
        let request = pb::StartRecordingRequest {
            session_id: leg.clone(),
            path: format!("/tmp/switchgate-{}.wav", uuid::Uuid::new_v4()),
            limit: Some(millis(1_500)),
            read_only: true,
            ..Default::default()
        };
        within(gateway.sessions().start_recording(request))
            .await
            .unwrap();
        events.next_named(&leg, "RECORD_STOP").await;
        release(&gateway, &leg).await;
        gateway
    })
    .await;
}

//! Legs in every state that an RPC is asked about.

use switchgate::pb;

use crate::gateway::{Gateway, within};
use crate::verbs::{answered, bridged, run_api, tone, unanswered};

/// Where tests record to, on the node.
pub(crate) const RECORDING: &str = "/tmp/switchgate.wav";

/// A leg that an RPC is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leg {
    /// An outbound one that its far end has not answered.
    Calling,
    /// An inbound one that is not answered.
    Ringing,
    /// Answered and parked.
    Answered,
    /// Answered and parked, beside another one like it.
    Pair,
    /// Bridged.
    Bridged,
    /// On hold.
    Held,
    /// Hears a file.
    Playing,
    /// Recorded to [`RECORDING`].
    Recorded,
    /// Listened to for a beep.
    Listened,
}

/// What a request is about.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ask {
    pub(crate) session_id: String,
    /// The other leg of [`Leg::Pair`].
    pub(crate) other_id: String,
    pub(crate) request_id: String,
}

/// Makes such a leg.
pub(crate) async fn prepare(gateway: &Gateway, leg: Leg) -> Ask {
    let mut other_id = uuid::Uuid::new_v4().to_string();
    let mut sessions = gateway.sessions();
    let session_id = match leg {
        Leg::Calling => unanswered(gateway).await.0,
        // Placed by nobody here, so that no job waits for it.
        Leg::Ringing if !gateway.sims.is_empty() => crate::faults::inbound(gateway).await,
        Leg::Ringing => unanswered(gateway).await.1,
        Leg::Bridged => bridged(gateway).await.0,
        _ => answered(gateway).await,
    };
    let id = || session_id.clone();
    match leg {
        Leg::Pair => other_id = answered(gateway).await,
        Leg::Held => {
            let request = pb::HoldRequest {
                session_id: id(),
                ..Default::default()
            };
            within(sessions.hold(request)).await.unwrap();
        }
        Leg::Playing => {
            let request = pb::PlaybackRequest {
                session_id: id(),
                files: vec![tone(60_000)],
                ..Default::default()
            };
            within(sessions.playback(request)).await.unwrap();
        }
        Leg::Recorded => {
            let request = pb::StartRecordingRequest {
                session_id: id(),
                path: RECORDING.to_owned(),
                ..Default::default()
            };
            within(sessions.start_recording(request)).await.unwrap();
        }
        Leg::Listened => {
            run_api(gateway, "load", "mod_avmd").await;
            let request = pb::StartAmdRequest {
                session_id: id(),
                ..Default::default()
            };
            within(sessions.start_amd(request)).await.unwrap();
        }
        Leg::Calling | Leg::Ringing | Leg::Answered | Leg::Bridged => {}
    }
    Ask {
        session_id,
        other_id,
        ..Ask::default()
    }
}

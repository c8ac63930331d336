//! Every RPC of SessionService that changes something: a request that works, and the leg that it
//! works on.

use std::future::Future;
use std::pin::Pin;

use switchgate::pb::session_service_client::SessionServiceClient;
use switchgate::pb::{self, bridge_request, seek_playback_request};
use tonic::transport::Channel;
use tonic::{Response, Status};

use super::legs::{Ask, Leg, RECORDING};
use crate::gateway::within;
use crate::verbs::{seconds, tone};

pub(crate) type Answer = Pin<Box<dyn Future<Output = Result<(), Status>> + Send>>;

/// An RPC.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verb {
    pub(crate) rpc: &'static str,
    /// What it works on.
    pub(crate) leg: Leg,
    /// What its command looks like on the wire, beside the session's id.
    pub(crate) wire: &'static str,
    /// A leg on which it cannot work, where there is one.
    pub(crate) wrong: Option<Leg>,
    pub(crate) call: fn(Channel, Ask) -> Answer,
}

macro_rules! verb {
    ($rpc:literal, $method:ident, $request:ident { $($field:ident: $value:expr),* $(,)? }, $leg:ident, $wire:literal, $wrong:expr) => {
        Verb {
            rpc: $rpc,
            leg: Leg::$leg,
            wire: $wire,
            wrong: $wrong,
            call: |channel, ask| {
                let mut client = SessionServiceClient::new(channel);
                let request = pb::$request {
                    session_id: ask.session_id,
                    request_id: ask.request_id,
                    $($field: $value,)*
                    ..Default::default()
                };
                Box::pin(async move { within(client.$method(request)).await.map(|_: Response<_>| ()) })
            },
        }
    };
}

/// Those that change nothing.
pub(crate) const READING: [&str; 6] = [
    "GetSession",
    "ListSessions",
    "GetVariables",
    "WatchSession",
    "ListSessionEvents",
    "WaitForEvents",
];

/// Those that make a session; `api_originate`, `originate_stream` and `faults` try their failures.
pub(crate) const PLACING: [&str; 2] = ["Originate", "OriginateStream"];

/// All others.
#[allow(
    clippy::needless_update,
    reason = "some requests have fields besides those that are given, some have none"
)]
pub(crate) fn verbs() -> Vec<Verb> {
    use Leg::{Answered, Calling, Ringing};
    let mut all = vec![
        verb!(
            "Answer",
            answer,
            AnswerRequest {},
            Ringing,
            "uuid_answer",
            Some(Calling)
        ),
        verb!(
            "PreAnswer",
            pre_answer,
            PreAnswerRequest {},
            Ringing,
            "uuid_pre_answer",
            Some(Calling)
        ),
        verb!(
            "RingReady",
            ring_ready,
            RingReadyRequest {},
            Ringing,
            "uuid_ring_ready",
            Some(Calling)
        ),
        verb!(
            "Respond",
            respond,
            RespondRequest { status: 486 },
            Ringing,
            "respond",
            Some(Answered)
        ),
        verb!(
            "Deflect",
            deflect,
            DeflectRequest {
                uri: "sip:park@127.0.0.1".to_owned()
            },
            Answered,
            "uuid_deflect",
            None
        ),
        verb!(
            "Hangup",
            hangup,
            HangupRequest {},
            Answered,
            "uuid_kill",
            None
        ),
        verb!(
            "ScheduleHangup",
            schedule_hangup,
            ScheduleHangupRequest {
                delay: Some(seconds(60))
            },
            Answered,
            "sched_hangup",
            None
        ),
        verb!(
            "ClearTasks",
            clear_tasks,
            ClearTasksRequest {},
            Answered,
            "sched_del",
            None
        ),
        verb!("Park", park, ParkRequest {}, Bridged, "uuid_park", None),
        verb!(
            "SetVariables",
            set_variables,
            SetVariablesRequest {
                variables: [("switchgate_test".to_owned(), "1".to_owned())].into()
            },
            Answered,
            "uuid_setvar",
            None
        ),
        verb!(
            "UnsetVariables",
            unset_variables,
            UnsetVariablesRequest {
                names: vec!["switchgate_test".to_owned()]
            },
            Answered,
            "uuid_setvar",
            None
        ),
        verb!(
            "Execute",
            execute,
            ExecuteRequest {
                application: "sleep".to_owned(),
                arguments: "100".to_owned()
            },
            Answered,
            "execute-app-name: sleep",
            None
        ),
        verb!(
            "Hold",
            hold,
            HoldRequest {},
            Answered,
            "uuid_hold",
            Some(Ringing)
        ),
        verb!(
            "Unhold",
            unhold,
            UnholdRequest {},
            Held,
            "uuid_hold off",
            None
        ),
        verb!(
            "Mute",
            mute,
            MuteRequest {},
            Answered,
            "uuid_audio",
            Some(Ringing)
        ),
        verb!(
            "Unmute",
            unmute,
            UnmuteRequest {},
            Answered,
            "uuid_audio",
            None
        ),
        verb!(
            "Playback",
            playback,
            PlaybackRequest {
                files: vec![tone(300)]
            },
            Answered,
            "execute-app-name: playback",
            Some(Ringing)
        ),
        verb!(
            "StopPlayback",
            stop_playback,
            StopPlaybackRequest {},
            Answered,
            "uuid_break",
            None
        ),
        verb!(
            "SeekPlayback",
            seek_playback,
            SeekPlaybackRequest {
                action: Some(seek_playback_request::Action::Restart(true))
            },
            Playing,
            "uuid_fileman",
            None
        ),
        verb!(
            "Speak",
            speak,
            SpeakRequest {
                engine: "flite".to_owned(),
                voice: "kal".to_owned(),
                text: "hello".to_owned()
            },
            Answered,
            "execute-app-name: speak",
            Some(Ringing)
        ),
        verb!(
            "Broadcast",
            broadcast,
            BroadcastRequest {
                application: "set".to_owned(),
                arguments: "switchgate_test=1".to_owned()
            },
            Answered,
            "uuid_broadcast",
            None
        ),
        verb!(
            "StartRecording",
            start_recording,
            StartRecordingRequest {
                path: RECORDING.to_owned()
            },
            Answered,
            "uuid_record",
            Some(Ringing)
        ),
        verb!(
            "StopRecording",
            stop_recording,
            StopRecordingRequest {},
            Recorded,
            "stop",
            None
        ),
        verb!(
            "MaskRecording",
            mask_recording,
            MaskRecordingRequest {
                path: RECORDING.to_owned()
            },
            Recorded,
            "mask",
            None
        ),
        verb!(
            "UnmaskRecording",
            unmask_recording,
            UnmaskRecordingRequest {
                path: RECORDING.to_owned()
            },
            Recorded,
            "unmask",
            None
        ),
        verb!(
            "SendDtmf",
            send_dtmf,
            SendDtmfRequest {
                digits: "1".to_owned()
            },
            Answered,
            "uuid_send_dtmf",
            Some(Ringing)
        ),
        verb!(
            "ScheduleDtmf",
            schedule_dtmf,
            ScheduleDtmfRequest {
                digits: "1".to_owned(),
                delay: Some(seconds(60))
            },
            Answered,
            "sched_api",
            None
        ),
        verb!(
            "CollectDigits",
            collect_digits,
            CollectDigitsRequest {
                timeout: Some(seconds(1))
            },
            Answered,
            "play_and_get_digits",
            Some(Ringing)
        ),
        verb!(
            "Echo",
            echo,
            EchoRequest {},
            Answered,
            "execute-app-name: echo",
            Some(Ringing)
        ),
        verb!(
            "Transfer",
            transfer,
            TransferRequest {
                extension: Some(pb::OriginateExtension {
                    number: "answer".to_owned(),
                    ..Default::default()
                })
            },
            Answered,
            "uuid_transfer",
            None
        ),
        verb!(
            "AttendedTransfer",
            attended_transfer,
            AttendedTransferRequest {
                endpoint: "sofia/internal/answer@127.0.0.1".to_owned()
            },
            Bridged,
            "att_xfer",
            Some(Answered)
        ),
        verb!(
            "BypassMedia",
            bypass_media,
            BypassMediaRequest {
                mode: pb::BypassMode::On.into()
            },
            Bridged,
            "uuid_media",
            Some(Answered)
        ),
        verb!(
            "StartAmd",
            start_amd,
            StartAmdRequest {},
            Answered,
            "avmd_start",
            Some(Ringing)
        ),
        verb!(
            "StopAmd",
            stop_amd,
            StopAmdRequest {},
            Listened,
            "avmd_stop",
            None
        ),
    ];
    all.extend([hangup_many(), bridge(), eavesdrop()]);
    all
}

fn hangup_many() -> Verb {
    Verb {
        rpc: "HangupMany",
        leg: Leg::Answered,
        wire: "uuid_kill",
        wrong: None,
        call: |channel, ask| {
            let mut client = SessionServiceClient::new(channel);
            let request = pb::HangupManyRequest {
                // A leg that was placed alone is a call of its own.
                filter: format!("call_id = \"{}\"", ask.session_id),
                request_id: ask.request_id,
                ..Default::default()
            };
            Box::pin(async move { within(client.hangup_many(request)).await.map(|_| ()) })
        },
    }
}

fn bridge() -> Verb {
    Verb {
        rpc: "Bridge",
        leg: Leg::Pair,
        wire: "uuid_bridge",
        wrong: Some(Leg::Ringing),
        call: |channel, ask| {
            let mut client = SessionServiceClient::new(channel);
            let request = pb::BridgeRequest {
                session_id: ask.session_id,
                peer: Some(bridge_request::Peer::PeerSessionId(ask.other_id)),
                request_id: ask.request_id,
            };
            Box::pin(async move { within(client.bridge(request)).await.map(|_| ()) })
        },
    }
}

fn eavesdrop() -> Verb {
    Verb {
        rpc: "Eavesdrop",
        leg: Leg::Pair,
        wire: "execute-app-name: eavesdrop",
        wrong: Some(Leg::Ringing),
        call: |channel, ask| {
            let mut client = SessionServiceClient::new(channel);
            let request = pb::EavesdropRequest {
                session_id: ask.session_id,
                target_session_id: ask.other_id,
                request_id: ask.request_id,
            };
            Box::pin(async move { within(client.eavesdrop(request)).await.map(|_| ()) })
        },
    }
}

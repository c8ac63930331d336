//! What the tests of the verbs share: legs in every state, events, and the failures that all verbs
//! have in common.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use switchgate::domain::Direction;
use switchgate::pb::session_service_client::SessionServiceClient;
use switchgate::pb::{self, bridge_request, seek_playback_request, subscribe_response};
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::StatusExt as _;

use crate::client::{hang_up, originate};
use crate::gateway::{Gateway, code_and_reason, connect, on_each, within};

/// A tone that lasts this long.
pub(crate) fn tone(milliseconds: u32) -> String {
    format!("tone_stream://%({milliseconds},0,440)")
}

pub(crate) fn seconds(count: i64) -> prost_types::Duration {
    prost_types::Duration {
        seconds: count,
        nanos: 0,
    }
}

pub(crate) fn millis(count: i32) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::from(count / 1000),
        nanos: count % 1000 * 1_000_000,
    }
}

/// A leg that is answered and parked, as is its far end.
pub(crate) async fn answered(gateway: &Gateway) -> String {
    let session = originate(gateway, &gateway.dial("answer")).await.unwrap();
    until(|| {
        let id = session.session_id.parse().unwrap();
        let session = gateway.control.tracker.session(&id)?;
        session.parked.then_some(())
    })
    .await;
    session.session_id
}

/// Two legs that are bridged with each other.
pub(crate) async fn bridged(gateway: &Gateway) -> (String, String) {
    let (first, second) = (answered(gateway).await, answered(gateway).await);
    let request = pb::BridgeRequest {
        session_id: first.clone(),
        peer: Some(bridge_request::Peer::PeerSessionId(second.clone())),
        ..Default::default()
    };
    within(gateway.sessions().bridge(request)).await.unwrap();
    (first, second)
}

/// A call that nobody has answered: the outbound leg, and the inbound one, which is parked.
pub(crate) async fn unanswered(gateway: &Gateway) -> (String, String) {
    let caller = format!("7{}", uuid::Uuid::new_v4().as_u128() % 1_000_000_000);
    let request = pb::OriginateRequest {
        endpoints: vec![gateway.dial("park")],
        caller_id_number: caller.clone(),
        wait_for: pb::OriginateWait::Started.into(),
        ..Default::default()
    };
    let outbound = within(gateway.sessions().originate(request))
        .await
        .unwrap()
        .into_inner()
        .session
        .unwrap();
    let inbound = until(|| {
        let sessions = gateway.control.tracker.sessions();
        let mut sessions = sessions.iter();
        sessions
            .find(|session| {
                session.direction == Some(Direction::Inbound)
                    && session.caller.number == caller
                    && session.parked
            })
            .map(|session| session.id.to_string())
    })
    .await;
    (outbound.session_id, inbound)
}

/// Hangs a leg up, if it is still there.
pub(crate) async fn release(gateway: &Gateway, session_id: &str) {
    let request = pb::HangupRequest {
        session_id: session_id.to_owned(),
        ..Default::default()
    };
    let _gone_already = within(gateway.sessions().hangup(request)).await;
}

/// Waits for what comes by itself.
pub(crate) async fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    within(async {
        loop {
            match look() {
                Some(found) => return found,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    })
    .await
}

/// Waits for a leg's end; gives its cause.
pub(crate) async fn ended(gateway: &Gateway, session_id: &str) -> String {
    let id = session_id.parse().unwrap();
    until(|| {
        let session = gateway.control.tracker.session(&id)?;
        let cause = session.hangup?.cause?;
        Some(cause.name().to_owned())
    })
    .await
}

pub(crate) async fn session(gateway: &Gateway, session_id: &str) -> pb::Session {
    let request = pb::GetSessionRequest {
        session_id: session_id.to_owned(),
        ..Default::default()
    };
    let response = within(gateway.sessions().get_session(request)).await;
    response.unwrap().into_inner().session.unwrap()
}

/// An api command, and its output.
pub(crate) async fn run_api(gateway: &Gateway, command: &str, arguments: &str) -> String {
    let node = gateway.control.fleet.nodes().next().unwrap();
    let request = pb::RunApiRequest {
        node_id: node.id().to_string(),
        command: command.to_owned(),
        arguments: arguments.to_owned(),
    };
    let response = within(gateway.nodes().run_api(request)).await;
    response.unwrap().into_inner().output
}

/// Lets this much time pass on the node.
pub(crate) async fn pass(gateway: &Gateway, milliseconds: u32) {
    let request = pb::RunJobRequest {
        command: "msleep".to_owned(),
        arguments: milliseconds.to_string(),
        ..Default::default()
    };
    within(gateway.jobs().run_job(request)).await.unwrap();
}

/// The same request with a deadline.
pub(crate) fn before<T>(span: Duration, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(span);
    request
}

/// Whether the failure is this one, and the session is what it is about.
pub(crate) fn is_failure(status: &Status, code: Code, reason: &str) {
    assert_eq!(
        code_and_reason(status),
        (code, reason.to_owned()),
        "{status:?}"
    );
}

/// The field that the failure names.
pub(crate) fn field(status: &Status) -> String {
    let details = status.get_error_details();
    let violations = details.bad_request().map(|bad| &bad.field_violations);
    violations
        .and_then(|all| all.first())
        .map(|violation| violation.field.clone())
        .unwrap_or_default()
}

/// Events, as a client of EventService sees them.
pub(crate) struct Events {
    stream: Streaming<pb::SubscribeResponse>,
    queue: VecDeque<pb::Event>,
}

impl Events {
    /// Of all sessions from now on.
    pub(crate) async fn named(gateway: &Gateway, names: &[&str]) -> Self {
        let request = pb::SubscribeRequest {
            filter: Some(pb::EventFilter {
                event_names: names.iter().map(|name| (*name).to_owned()).collect(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let response = within(gateway.events().subscribe(request)).await;
        let mut stream = response.unwrap().into_inner();
        // The first response says where the stream begins.
        within(stream.message()).await.unwrap();
        Self {
            stream,
            queue: VecDeque::new(),
        }
    }

    /// The next one of a session.
    pub(crate) async fn next(&mut self, session_id: &str) -> pb::Event {
        within(async {
            loop {
                while let Some(event) = self.queue.pop_front() {
                    if event.session_id == session_id {
                        return event;
                    }
                }
                let response = self.stream.message().await.unwrap().unwrap();
                if let Some(subscribe_response::Message::Events(batch)) = response.message {
                    self.queue.extend(batch.events);
                }
            }
        })
        .await
    }

    /// The next one of this name and session.
    pub(crate) async fn next_named(&mut self, session_id: &str, name: &str) -> pb::Event {
        loop {
            let event = self.next(session_id).await;
            if event.name == name {
                return event;
            }
        }
    }
}

/// A verb: its name, and a request for a session under a request id that is right save for the
/// session.
type Verb = (&'static str, fn(Channel, String, String) -> Answer);
type Answer = Pin<Box<dyn Future<Output = Result<(), Status>>>>;

macro_rules! verb {
    ($rpc:ident, $request:ident { $($field:ident: $value:expr),* $(,)? }) => {
        (stringify!($rpc), |channel, session_id, request_id| {
            let mut client = SessionServiceClient::new(channel);
            let request = pb::$request {
                session_id,
                request_id,
                $($field: $value,)*
                ..Default::default()
            };
            Box::pin(async move { within(client.$rpc(request)).await.map(|_: Response<_>| ()) })
        })
    };
}

/// All verbs that act on one session.
#[allow(
    clippy::needless_update,
    reason = "some requests have fields besides those that are given, some have none"
)]
fn verbs() -> Vec<Verb> {
    vec![
        verb!(pre_answer, PreAnswerRequest {}),
        verb!(ring_ready, RingReadyRequest {}),
        verb!(respond, RespondRequest { status: 486 }),
        verb!(
            deflect,
            DeflectRequest {
                uri: "sip:park@127.0.0.1".to_owned()
            }
        ),
        verb!(
            schedule_hangup,
            ScheduleHangupRequest {
                delay: Some(seconds(60))
            }
        ),
        verb!(clear_tasks, ClearTasksRequest {}),
        verb!(hold, HoldRequest {}),
        verb!(unhold, UnholdRequest {}),
        verb!(mute, MuteRequest {}),
        verb!(unmute, UnmuteRequest {}),
        verb!(
            playback,
            PlaybackRequest {
                files: vec![tone(300)]
            }
        ),
        verb!(stop_playback, StopPlaybackRequest {}),
        verb!(
            seek_playback,
            SeekPlaybackRequest {
                action: Some(seek_playback_request::Action::Restart(true)),
            }
        ),
        verb!(
            speak,
            SpeakRequest {
                engine: "flite".to_owned(),
                voice: "kal".to_owned(),
                text: "hello".to_owned(),
            }
        ),
        verb!(
            broadcast,
            BroadcastRequest {
                application: "set".to_owned(),
                arguments: "switchgate_test=1".to_owned(),
            }
        ),
        verb!(
            start_recording,
            StartRecordingRequest {
                path: "/tmp/switchgate.wav".to_owned()
            }
        ),
        verb!(stop_recording, StopRecordingRequest {}),
        verb!(
            mask_recording,
            MaskRecordingRequest {
                path: "/tmp/switchgate.wav".to_owned()
            }
        ),
        verb!(
            unmask_recording,
            UnmaskRecordingRequest {
                path: "/tmp/switchgate.wav".to_owned()
            }
        ),
        verb!(
            send_dtmf,
            SendDtmfRequest {
                digits: "1".to_owned()
            }
        ),
        verb!(
            schedule_dtmf,
            ScheduleDtmfRequest {
                digits: "1".to_owned(),
                delay: Some(seconds(60)),
            }
        ),
        verb!(
            collect_digits,
            CollectDigitsRequest {
                timeout: Some(seconds(1))
            }
        ),
        verb!(echo, EchoRequest {}),
        verb!(
            transfer,
            TransferRequest {
                extension: Some(pb::OriginateExtension {
                    number: "answer".to_owned(),
                    ..Default::default()
                }),
            }
        ),
        verb!(
            attended_transfer,
            AttendedTransferRequest {
                endpoint: "sofia/internal/answer@127.0.0.1".to_owned(),
            }
        ),
        verb!(
            eavesdrop,
            EavesdropRequest {
                target_session_id: "00000000-0000-4000-8000-000000000001".to_owned(),
            }
        ),
        verb!(
            bypass_media,
            BypassMediaRequest {
                mode: pb::BypassMode::On.into()
            }
        ),
        verb!(start_amd, StartAmdRequest {}),
        verb!(stop_amd, StopAmdRequest {}),
    ]
}

#[tokio::test]
async fn every_verb_tells_a_session_that_never_was_from_one_that_has_ended() {
    on_each(async |gateway| {
        let gone = answered(&gateway).await;
        hang_up(&gateway, &gone).await;
        for (name, call) in verbs() {
            let unknown = uuid::Uuid::new_v4().to_string();
            let status = call(gateway.channel.clone(), unknown, String::new())
                .await
                .expect_err(name);
            is_failure(&status, Code::NotFound, "SESSION_NOT_FOUND");
            let status = call(gateway.channel.clone(), gone.clone(), String::new())
                .await
                .expect_err(name);
            is_failure(&status, Code::FailedPrecondition, "SESSION_ENDED");
            let status = call(
                gateway.channel.clone(),
                "no\nuuid".to_owned(),
                String::new(),
            )
            .await
            .expect_err(name);
            is_failure(&status, Code::InvalidArgument, "INVALID_ARGUMENT");
            assert_eq!(field(&status), "session_id", "{name}");
        }
        gateway
    })
    .await;
}

#[tokio::test]
async fn nothing_reaches_freeswitch_for_a_session_that_cannot() {
    let gateway = Gateway::over_sim().await;
    let gone = answered(&gateway).await;
    hang_up(&gateway, &gone).await;
    let before = commands(&gateway);
    for (name, call) in verbs() {
        let failed = call(gateway.channel.clone(), gone.clone(), String::new()).await;
        assert!(failed.is_err(), "{name}");
    }
    assert_eq!(commands(&gateway), before);
    gateway.stop().await;
}

#[tokio::test]
async fn a_repeat_with_the_same_request_id_acts_once() {
    let gateway = Gateway::over_sim().await;
    let other_client = connect(gateway.address).await;
    run_api(&gateway, "load", "mod_avmd").await;
    for (name, call) in verbs() {
        // Those that end the leg or wait for another.
        let session_id = match name {
            "pre_answer" | "ring_ready" | "respond" | "deflect" => unanswered(&gateway).await.1,
            "seek_playback" | "attended_transfer" | "eavesdrop" => continue,
            "bypass_media" => bridged(&gateway).await.0,
            _ => answered(&gateway).await,
        };
        if matches!(
            name,
            "stop_recording" | "mask_recording" | "unmask_recording"
        ) {
            let request = pb::StartRecordingRequest {
                session_id: session_id.clone(),
                path: "/tmp/switchgate.wav".to_owned(),
                ..Default::default()
            };
            within(gateway.sessions().start_recording(request))
                .await
                .unwrap();
        }
        let request_id = uuid::Uuid::new_v4().to_string();
        call(
            gateway.channel.clone(),
            session_id.clone(),
            request_id.clone(),
        )
        .await
        .unwrap_or_else(|status| panic!("{name}: {status:?}"));
        let before = commands(&gateway);
        call(other_client.clone(), session_id.clone(), request_id.clone())
            .await
            .unwrap_or_else(|status| panic!("{name} again: {status:?}"));
        assert_eq!(commands(&gateway), before, "{name} acts twice");
        let other = uuid::Uuid::new_v4().to_string();
        let status = call(gateway.channel.clone(), other, request_id)
            .await
            .expect_err(name);
        is_failure(&status, Code::AlreadyExists, "REQUEST_ID_REUSED");
        release(&gateway, &session_id).await;
    }
    gateway.stop().await;
}

/// How many commands the simulator has received about sessions; what the gateway asks by itself
/// does not count.
pub(crate) fn commands(gateway: &Gateway) -> usize {
    let commands = gateway.sim().commands();
    commands
        .iter()
        .map(|raw| String::from_utf8_lossy(raw))
        .filter(|line| !line.contains("uuid_exists") && !line.contains("uuid_dump"))
        .filter(|line| {
            ["uuid_", "sched_", "sendmsg"]
                .iter()
                .any(|word| line.contains(word))
        })
        .count()
}

/// A verb with a bad argument: the failure names the field, and nothing reaches FreeSWITCH.
pub(crate) async fn refuses<T>(
    gateway: &Gateway,
    call: impl Future<Output = Result<Response<T>, Status>>,
    bad_field: &str,
) {
    let before = commands(gateway);
    match within(call).await {
        Ok(_) => panic!("{bad_field} is not refused"),
        Err(status) => {
            assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
            assert_eq!(field(&status), bad_field);
        }
    }
    assert_eq!(commands(gateway), before, "{bad_field}");
}

/// A verb on a leg that cannot do it now.
pub(crate) async fn not_now<T>(call: impl Future<Output = Result<Response<T>, Status>>) {
    match within(call).await {
        Ok(_) => panic!("is done all the same"),
        Err(status) => is_failure(&status, Code::FailedPrecondition, "SESSION_STATE"),
    }
}

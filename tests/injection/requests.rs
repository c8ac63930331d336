//! For each RPC a request that works, and what it works on.

use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use prost::Message as _;
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, MethodDescriptor, Value};
use switchgate::pb;
use switchgate::pb::session_service_client::SessionServiceClient;
use tonic::Status;

use crate::access_matrix::raw::Raw;
use crate::client::{to, with_deadline};
use crate::seeds::house::{House, InProcess};

const RECORDING: &str = "/tmp/switchgate.wav";

/// Answers without a far end: the strings are what this is about.
const ENDPOINT: &str = "sim/answer";

/// RPCs that place calls.
const CALLING: [&str; 6] = [
    "Originate",
    "OriginateStream",
    "Bridge",
    "AttendedTransfer",
    "RunJob",
    "StartJob",
];

/// What requests are about.
#[derive(Debug, Clone, Default)]
pub(super) struct Subject {
    pub(super) session: String,
    other: String,
    job: String,
}

// === impl Subject ===

impl Subject {
    /// Legs in the state in which the RPC works. A tenant's are those that it places itself.
    pub(super) async fn of(house: &House, rpc: &str, places: bool) -> Self {
        let node = "sim-0".parse().unwrap();
        house.control.fleet.set_drained(&node, false).unwrap();
        let places = places || rpc.ends_with("Job");
        if places || CALLING.contains(&rpc) {
            // A node takes but so many sessions a second.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let mut sessions = SessionServiceClient::new(house.server.clone());
        let (session, job) = match (places, rpc) {
            (true, _) => answered(&mut sessions).await,
            (false, "Respond" | "Answer" | "PreAnswer" | "RingReady" | "Deflect") => {
                (arrived(house, "park").await, String::new())
            }
            (false, _) => (arrived(house, "answer").await, String::new()),
        };
        let other = match (rpc, places) {
            ("Bridge" | "Eavesdrop" | "AttendedTransfer", true) => answered(&mut sessions).await.0,
            ("Bridge" | "Eavesdrop" | "AttendedTransfer", false) => arrived(house, "answer").await,
            _ => String::new(),
        };
        if rpc.ends_with("Recording") && rpc != "StartRecording" {
            let request = pb::StartRecordingRequest {
                session_id: session.clone(),
                path: RECORDING.to_owned(),
                ..Default::default()
            };
            sessions.start_recording(request).await.unwrap();
        }
        if rpc == "AttendedTransfer" {
            let request = pb::BridgeRequest {
                session_id: session.clone(),
                peer: Some(pb::bridge_request::Peer::PeerSessionId(other.clone())),
                ..Default::default()
            };
            sessions.bridge(request).await.unwrap();
        }
        Self {
            session,
            other,
            job,
        }
    }

    /// One leg that is there.
    pub(super) fn about(session: &str) -> Self {
        Self {
            session: session.to_owned(),
            ..Self::default()
        }
    }

    /// A request of this RPC that works.
    pub(super) fn request(&self, message: &MessageDescriptor) -> DynamicMessage {
        let mut request = DynamicMessage::new(message.clone());
        for field in message.fields() {
            let text = |text: &str| Some(Value::String(text.to_owned()));
            let value = match (message.name(), field.name()) {
                (_, "session_id") if message.name().contains("Job") => None,
                (_, "session_id") => text(&self.session),
                (_, "target_session_id" | "peer_session_id") => text(&self.other),
                // A leg that was placed alone is a call of its own.
                (_, "call_id") => text(&self.session),
                (_, "job_id") => text(&self.job),
                ("AddNodeRequest", "node_id") => text("sim-9"),
                ("RemoveNodeRequest", "node_id") => text("sim-8"),
                (_, "node_id") => text("sim-0"),
                (_, "address") => text("sim-9:8021"),
                (_, "endpoints" | "endpoint") => text(ENDPOINT),
                (_, "command") => text("status"),
                (_, "application") if field.kind() == Kind::String => text("sleep"),
                ("ExecuteRequest" | "BroadcastRequest", "arguments") => text("1"),
                (_, "uri") => text("sip:park@127.0.0.1"),
                (_, "path") => text(RECORDING),
                (_, "files") => text("tone_stream://%(1,1,100)"),
                (_, "engine") => text("flite"),
                (_, "voice") => text("kal"),
                (_, "text") => text("hello"),
                (_, "digits") => text("1"),
                (_, "names") => text("v"),
                ("PublishEventRequest", "name") => text("CUSTOM"),
                (_, "subclass") => text("switchgate::test"),
                ("WaitForEventsRequest", "event_names") => text("CHANNEL_ANSWER"),
                ("OriginateExtension", "number") => text("answer"),
                ("HangupManyRequest", "filter") => text("call_id = \"nobody's\""),
                (_, "status") => Some(Value::U32(486)),
                (_, "mode") => Some(Value::EnumNumber(1)),
                (_, "max_digits") => Some(Value::U32(1)),
                (_, "timeout" | "delay" | "relative") => Some(second(&field.kind())),
                ("TransferRequest", "extension") | (_, "originate") => match field.kind() {
                    Kind::Message(inner) => Some(Value::Message(self.request(&inner))),
                    _ => None,
                },
                _ => None,
            };
            if let Some(value) = value {
                let value = match field.is_list() {
                    true => Value::List(vec![value]),
                    false => value,
                };
                request.set_field(&field, value);
            }
        }
        request
    }
}

fn second(kind: &Kind) -> Value {
    let Kind::Message(duration) = kind else {
        panic!("{kind:?} is no duration");
    };
    let mut second = DynamicMessage::new(duration.clone());
    second.set_field_by_name("seconds", Value::I64(1));
    Value::Message(second)
}

async fn answered(sessions: &mut SessionServiceClient<InProcess>) -> (String, String) {
    let placed = sessions.originate(to(ENDPOINT)).await.unwrap().into_inner();
    (placed.session.unwrap().session_id, placed.job_id)
}

/// An inbound leg to a destination that parks it.
async fn arrived(house: &House, destination: &str) -> String {
    let uuid = house.sims[0].place_inbound(destination, "1000");
    let id = uuid.parse().unwrap();
    while house
        .control
        .tracker
        .session(&id)
        .is_none_or(|session| !session.parked)
    {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    uuid
}

/// Asks, and listens to a stream for a second.
pub(super) async fn ask(
    house: &House,
    method: &MethodDescriptor,
    message: DynamicMessage,
) -> Result<(), Status> {
    ask_bytes(house, method, message.encode_to_vec()).await
}

/// The same with a message as it is on the wire.
pub(super) async fn ask_bytes(
    house: &House,
    method: &MethodDescriptor,
    message: Vec<u8>,
) -> Result<(), Status> {
    let service = method.parent_service().full_name();
    let path = PathAndQuery::try_from(format!("/{service}/{}", method.name())).unwrap();
    let mut client = tonic::client::Grpc::new(house.server.clone());
    client.ready().await.unwrap();
    let request = with_deadline(Bytes::from(message), Duration::from_secs(5));
    if !method.is_server_streaming() {
        return client.unary(request, path, Raw).await.map(drop);
    }
    let mut streaming = client.server_streaming(request, path, Raw).await?;
    let told = async {
        while streaming.get_mut().message().await?.is_some() {}
        Ok(())
    };
    let told = tokio::time::timeout(Duration::from_secs(1), told);
    told.await.unwrap_or(Ok(()))
}

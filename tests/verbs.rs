//! What the tests of the verbs share: legs in every state, events, failures.

use std::collections::VecDeque;
use std::future::Future;
use std::time::Duration;

use switchgate::domain::Direction;
use switchgate::pb::{self, bridge_request, subscribe_response};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::StatusExt as _;

use crate::client::originate;
use crate::gateway::{Gateway, code_and_reason, within};

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

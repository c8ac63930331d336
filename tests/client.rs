//! What the tests of the API have in common: requests in short, and waits for what is to be seen.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use switchgate::domain::NodeId;
use switchgate::pb::{self, subscribe_response, subscribe_start};
use switchgate::tracker;
use tonic::{Code, Request, Status, Streaming};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::gateway::{Gateway, within};

/// Answers and stays.
pub(crate) const ANSWERS: &str = "sofia/internal/answer@127.0.0.1";
/// Rings and never answers.
pub(crate) const RINGS: &str = "sofia/internal/ring@127.0.0.1";
/// Is busy.
pub(crate) const BUSY: &str = "sofia/internal/busy@127.0.0.1";
/// Is neither answered nor ringing until somebody answers its inbound leg.
pub(crate) const WAITS: &str = "sofia/internal/park@127.0.0.1";

/// A word that no other test uses.
pub(crate) fn tag() -> String {
    Uuid::new_v4().simple().to_string()
}

pub(crate) fn map(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

pub(crate) fn to(endpoint: &str) -> pb::OriginateRequest {
    pb::OriginateRequest {
        endpoints: vec![endpoint.to_owned()],
        ..Default::default()
    }
}

pub(crate) fn application(name: &str, arguments: &str) -> pb::originate_request::Target {
    pb::originate_request::Target::Application(pb::OriginateApplication {
        name: name.to_owned(),
        arguments: arguments.to_owned(),
    })
}

pub(crate) fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

pub(crate) fn with_deadline<T>(message: T, deadline: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(deadline);
    request
}

pub(crate) async fn place(
    gateway: &Gateway,
    request: pb::OriginateRequest,
) -> Result<pb::OriginateResponse, Status> {
    Ok(within(gateway.sessions().originate(request))
        .await?
        .into_inner())
}

pub(crate) async fn originate(gateway: &Gateway, endpoint: &str) -> Result<pb::Session, Status> {
    Ok(place(gateway, to(endpoint)).await?.session.unwrap())
}

/// An answered leg.
pub(crate) async fn answered(gateway: &Gateway) -> pb::Session {
    originate(gateway, ANSWERS).await.unwrap()
}

pub(crate) async fn hang_up(gateway: &Gateway, session_id: &str) -> pb::Session {
    let request = pb::HangupRequest {
        session_id: session_id.to_owned(),
        ..Default::default()
    };
    let response = within(gateway.sessions().hangup(request)).await.unwrap();
    response.into_inner().session.unwrap()
}

pub(crate) async fn get(gateway: &Gateway, session_id: &str) -> Result<pb::Session, Status> {
    let request = pb::GetSessionRequest {
        session_id: session_id.to_owned(),
        include_variables: false,
    };
    let response = within(gateway.sessions().get_session(request)).await?;
    Ok(response.into_inner().session.unwrap())
}

pub(crate) async fn variables(
    gateway: &Gateway,
    session_id: &str,
    names: &[&str],
) -> HashMap<String, String> {
    let request = pb::GetVariablesRequest {
        session_id: session_id.to_owned(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    let response = within(gateway.sessions().get_variables(request)).await;
    response.unwrap().into_inner().variables
}

pub(crate) async fn execute(
    gateway: &Gateway,
    session_id: &str,
    application: &str,
    arguments: &str,
    wait_for: pb::ExecuteWait,
) -> Result<pb::ExecuteResponse, Status> {
    let request = pb::ExecuteRequest {
        session_id: session_id.to_owned(),
        application: application.to_owned(),
        arguments: arguments.to_owned(),
        wait_for: wait_for.into(),
        ..Default::default()
    };
    Ok(within(gateway.sessions().execute(request))
        .await?
        .into_inner())
}

pub(crate) async fn bridge_to(
    gateway: &Gateway,
    session_id: &str,
    peer: pb::bridge_request::Peer,
) -> Result<pb::BridgeResponse, Status> {
    let request = pb::BridgeRequest {
        session_id: session_id.to_owned(),
        peer: Some(peer),
        ..Default::default()
    };
    Ok(within(gateway.sessions().bridge(request))
        .await?
        .into_inner())
}

/// Waits until a session, which need not exist yet, is as wanted.
pub(crate) async fn until(
    gateway: &Gateway,
    session_id: &str,
    is_wanted: impl Fn(&tracker::Session) -> bool + Send + 'static,
) -> Arc<tracker::Session> {
    let node = any_node(gateway);
    let id = session_id.parse().unwrap();
    let mut watch = gateway.control.tracker.watch(&node, &id, move |sight| {
        is_wanted(sight.session).then(|| Arc::clone(sight.session))
    });
    within(watch.seen()).await.unwrap()
}

/// Waits until a leg is hung up; gives its cause by name.
pub(crate) async fn until_ended(gateway: &Gateway, session_id: &str) -> String {
    let session = until(gateway, session_id, |session| !session.is_live()).await;
    let cause = session.hangup.unwrap().cause;
    cause.map(|cause| cause.name().to_owned()).unwrap()
}

/// Waits until a session is tracked that is as wanted.
pub(crate) async fn found(
    gateway: &Gateway,
    is_wanted: impl Fn(&tracker::Session) -> bool,
) -> Arc<tracker::Session> {
    let mut feed = Feed::from_now(gateway).await;
    loop {
        let sessions = gateway.control.tracker.sessions();
        if let Some(session) = sessions.into_iter().find(|session| is_wanted(session)) {
            return session;
        }
        feed.next().await.unwrap();
    }
}

fn any_node(gateway: &Gateway) -> NodeId {
    gateway.control.fleet.nodes().next().unwrap().id().clone()
}

/// The inbound leg that a call to this very node arrives as, unanswered; the outbound leg of it.
pub(crate) async fn inbound_unanswered(gateway: &Gateway) -> (String, String) {
    let number: String = Uuid::new_v4().as_u128().to_string();
    let request = pb::OriginateRequest {
        caller_id_number: number.clone(),
        wait_for: pb::OriginateWait::Started.into(),
        ..to(WAITS)
    };
    let outbound = place(gateway, request).await.unwrap().session.unwrap();
    let inbound = found(gateway, |session| {
        let is_inbound = session.direction == Some(switchgate::domain::Direction::Inbound);
        is_inbound && session.parked && session.caller.number == number
    })
    .await;
    (inbound.id.to_string(), outbound.session_id)
}

/// The names of the fields that a request was refused for.
pub(crate) fn violations(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    let violations = details
        .bad_request()
        .map(|bad| bad.field_violations.clone());
    violations
        .unwrap_or_default()
        .into_iter()
        .map(|violation| violation.field)
        .collect()
}

/// Whether a status says that a retry makes sense, and when.
pub(crate) fn has_retry(status: &Status) -> bool {
    let details = status.get_error_details();
    details
        .retry_info()
        .is_some_and(|retry| retry.retry_delay.is_some())
}

#[track_caller]
pub(crate) fn assert_invalid(status: &Status, field: &str) {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert_eq!(violations(status), [field], "{status:?}");
}

/// A stream of events.
pub(crate) struct Feed {
    stream: Streaming<pb::SubscribeResponse>,
    /// Of the last response.
    pub(crate) cursor: String,
}

impl Feed {
    /// Subscribes; the first response, which comes at once, has been read.
    pub(crate) async fn begin(
        gateway: &Gateway,
        request: impl tonic::IntoRequest<pb::SubscribeRequest>,
    ) -> Result<Self, Status> {
        let stream = within(gateway.events().subscribe(request)).await?;
        let mut feed = Self {
            stream: stream.into_inner(),
            cursor: String::new(),
        };
        let first = feed.next().await?;
        assert!(
            matches!(first, subscribe_response::Message::Checkpoint(_)),
            "{first:?}"
        );
        Ok(feed)
    }

    pub(crate) async fn from_now(gateway: &Gateway) -> Self {
        Self::begin(gateway, pb::SubscribeRequest::default())
            .await
            .unwrap()
    }

    pub(crate) async fn of(gateway: &Gateway, filter: pb::EventFilter) -> Self {
        let request = pb::SubscribeRequest {
            filter: Some(filter),
            ..Default::default()
        };
        Self::begin(gateway, request).await.unwrap()
    }

    pub(crate) async fn after(gateway: &Gateway, cursor: &str, session_ids: &[&str]) -> Self {
        let filter = pb::EventFilter {
            session_ids: session_ids.iter().map(|id| (*id).to_owned()).collect(),
            ..Default::default()
        };
        let request = pb::SubscribeRequest {
            filter: Some(filter),
            start: Some(start_at(cursor)),
            ..Default::default()
        };
        Self::begin(gateway, request).await.unwrap()
    }

    pub(crate) async fn next(&mut self) -> Result<subscribe_response::Message, Status> {
        let response = within(self.stream.message()).await?;
        let response = response.ok_or_else(|| Status::unknown("the stream ended"))?;
        assert!(!response.cursor.is_empty());
        self.cursor = response.cursor;
        Ok(response.message.unwrap())
    }

    /// All events up to and with the first one that is wanted.
    pub(crate) async fn events_until(
        &mut self,
        is_wanted: impl Fn(&pb::Event) -> bool,
    ) -> Vec<pb::Event> {
        let mut events = Vec::new();
        loop {
            if let subscribe_response::Message::Events(batch) = self.next().await.unwrap() {
                for event in batch.events {
                    let is_last = is_wanted(&event);
                    events.push(event);
                    if is_last {
                        return events;
                    }
                }
            }
        }
    }

    /// All events of one session, up to its end.
    pub(crate) async fn until_end_of(&mut self, session_id: &str) -> Vec<pb::Event> {
        let events = self
            .events_until(|event| event.session_id == session_id && event.name == "CHANNEL_DESTROY")
            .await;
        events
            .into_iter()
            .filter(|event| event.session_id == session_id)
            .collect()
    }
}

pub(crate) fn start_at(cursor: &str) -> pb::SubscribeStart {
    pb::SubscribeStart {
        position: Some(subscribe_start::Position::Cursor(cursor.to_owned())),
    }
}

pub(crate) fn names(events: &[pb::Event]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

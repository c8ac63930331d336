//! A stream of a caller, which is open until its end is told.

use switchgate::pb;
use switchgate::pb::subscribe_response::Message;
use tonic::{Code, Status, Streaming};

use crate::callers::Caller;
use crate::client::{ANSWERS, to};
use crate::gateway::{code_and_reason, metadata, within};

/// Follows the answers of calls.
pub(crate) struct OpenStream(Streaming<pb::SubscribeResponse>);

// === impl OpenStream ===

impl OpenStream {
    pub(crate) async fn of(caller: &Caller) -> Self {
        Self::behind(caller, None).await.unwrap()
    }

    pub(crate) async fn behind(caller: &Caller, cursor: Option<String>) -> Result<Self, Status> {
        let start = cursor.map(|cursor| pb::SubscribeStart {
            position: Some(pb::subscribe_start::Position::Cursor(cursor)),
        });
        let filter = pb::EventFilter {
            event_names: vec!["CHANNEL_ANSWER".to_owned()],
            ..Default::default()
        };
        let request = pb::SubscribeRequest {
            start,
            filter: Some(filter),
            ..Default::default()
        };
        let mut stream = within(caller.events().subscribe(request))
            .await?
            .into_inner();
        // It stands.
        within(stream.message()).await?;
        Ok(Self(stream))
    }

    /// Goes on: hears of a call that this caller places.
    pub(crate) async fn goes_on(&mut self, caller: &Caller) {
        let placed = within(caller.sessions().originate(to(ANSWERS))).await;
        let session_id = placed.unwrap().into_inner().session.unwrap().session_id;
        loop {
            let told = within(self.0.message()).await.unwrap().unwrap();
            if matches!(told.message, Some(Message::Events(_))) {
                break;
            }
        }
        let request = pb::HangupRequest {
            session_id,
            ..Default::default()
        };
        within(caller.sessions().hangup(request)).await.unwrap();
    }

    /// Why it ends since its caller is another or nobody, and the cursor behind which to go on.
    pub(crate) async fn ended(&mut self) -> (String, String) {
        ended(&mut self.0).await
    }
}

/// As [`OpenStream::ended`], of any stream.
pub(crate) async fn ended<T>(stream: &mut Streaming<T>) -> (String, String) {
    let status = loop {
        match within(stream.message()).await {
            Ok(told) => assert!(told.is_some(), "ends well"),
            Err(status) => break status,
        }
    };
    let unauthenticated = (Code::Unauthenticated, "UNAUTHENTICATED".to_owned());
    assert_eq!(code_and_reason(&status), unauthenticated, "{status:?}");
    (metadata(&status, "why"), metadata(&status, "cursor"))
}

//! The verbs of SessionService, in families: from the fields of a request to a verb of `control`.

mod events;
mod hearing;
mod legs;
mod media;
mod originate;
mod path;
mod read;
mod signalling;
mod variables;
mod watch;

use std::time::Duration;

use tonic::Request;

pub(super) use originate::OriginateProgress;
pub(super) use watch::SessionStream;

use super::convert::{self, optional_duration};
use super::{Services, deadline};
use crate::domain::{Deadline, Failure, Identity, SessionId};
use crate::pb;

// === impl Services ===

impl Services {
    /// The message of a request and its deadline.
    pub(super) fn open<T>(&self, request: Request<T>) -> (T, Deadline) {
        let deadline = deadline::of(&request, self.deadlines.default, &self.deadlines);
        (request.into_inner(), deadline)
    }

    /// The message of a request that places a call, and its deadline.
    pub(super) fn open_call<T>(&self, request: Request<T>) -> (T, Deadline) {
        let deadline = deadline::of(&request, self.deadlines.originate, &self.deadlines);
        (request.into_inner(), deadline)
    }

    /// Runs a verb on a session, once for each request id.
    async fn once<T, F>(
        &self,
        identity: &Identity,
        deadline: Deadline,
        action: F,
    ) -> Result<T, Failure>
    where
        T: Clone + Send + Sync + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        self.once
            .run(identity, deadline, self.counted(action))
            .await
    }
}

fn session_id(text: &str) -> Result<SessionId, Failure> {
    convert::id(text, "session_id")
}

/// A delay, which must be given.
fn delay(duration: Option<prost_types::Duration>) -> Result<Duration, Failure> {
    optional_duration(duration, "delay")?
        .ok_or_else(|| Failure::invalid("delay", "is missing; give one of 1 s at least"))
}

fn legs(leg: i32) -> Result<crate::control::Legs, Failure> {
    use crate::control::Legs;
    match pb::BroadcastLeg::try_from(leg) {
        Ok(pb::BroadcastLeg::Unspecified | pb::BroadcastLeg::Self_) => Ok(Legs::Own),
        Ok(pb::BroadcastLeg::Peer) => Ok(Legs::Peer),
        Ok(pb::BroadcastLeg::Both) => Ok(Legs::Both),
        Err(_) => Err(convert::unknown_value("leg", leg)),
    }
}

//! Answering a leg, ending it, and what it is connected with.

use super::super::Services;
use super::super::convert::{cause, id, to_session};
use super::session_id;
use crate::control::Peer;
use crate::domain::{Deadline, Failure, HangupCause};
use crate::pb::{self, bridge_request};

// === impl Services ===

impl Services {
    pub(in crate::grpc) async fn answer_leg(
        &self,
        request: pb::AnswerRequest,
        deadline: Deadline,
    ) -> Result<pb::AnswerResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let id = session_id(&request.session_id)?;
        let control = self.control.clone();
        let action = async move { control.answer(&id, deadline).await };
        let seen = self.once(&identity, deadline, action).await?;
        Ok(pb::AnswerResponse {
            cursor: seen.cursor.to_string(),
            session: Some(to_session(&seen.session)),
        })
    }

    pub(in crate::grpc) async fn hang_up(
        &self,
        request: pb::HangupRequest,
        deadline: Deadline,
    ) -> Result<pb::HangupResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let id = session_id(&request.session_id)?;
        let cause = cause(request.cause, HangupCause::NormalClearing)?;
        let control = self.control.clone();
        let action = async move { control.hangup(&id, cause, deadline).await };
        let seen = self.once(&identity, deadline, action).await?;
        Ok(pb::HangupResponse {
            cursor: seen.cursor.to_string(),
            session: Some(to_session(&seen.session)),
        })
    }

    pub(in crate::grpc) async fn park_leg(
        &self,
        request: pb::ParkRequest,
        deadline: Deadline,
    ) -> Result<pb::ParkResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let id = session_id(&request.session_id)?;
        let control = self.control.clone();
        let action = async move { control.park(&id, deadline).await };
        let seen = self.once(&identity, deadline, action).await?;
        Ok(pb::ParkResponse {
            cursor: seen.cursor.to_string(),
            session: Some(to_session(&seen.session)),
        })
    }

    pub(in crate::grpc) async fn bridge_leg(
        &self,
        request: pb::BridgeRequest,
        deadline: Deadline,
    ) -> Result<pb::BridgeResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let session = session_id(&request.session_id)?;
        let peer = match request.peer {
            Some(bridge_request::Peer::PeerSessionId(peer)) => {
                Peer::Session(id(&peer, "peer_session_id")?)
            }
            Some(bridge_request::Peer::Endpoint(endpoint)) => Peer::Endpoint(endpoint),
            None => {
                return Err(Failure::invalid(
                    "peer",
                    "is missing; set peer_session_id or endpoint",
                ));
            }
        };
        let control = self.control.clone();
        let action = async move { control.bridge(&session, &peer, deadline).await };
        let (session, peer) = self.once(&identity, deadline, action).await?;
        Ok(pb::BridgeResponse {
            // The peer was looked at later.
            cursor: session.cursor.to_string(),
            session: Some(to_session(&session.session)),
            peer: Some(to_session(&peer.session)),
        })
    }
}

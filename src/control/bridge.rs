//! Bridging two legs.

use super::effect::await_effect;
use super::{Control, Seen, accepted, api, ended, wrong_state};
use crate::chance;
use crate::domain::{Deadline, Failure, HangupCause, Reason, SessionId};
use crate::esl::Command;
use crate::esl::quote::{ApiCommand, check_endpoint, sendmsg_bridge};
use crate::fleet::Node;
use crate::jobs::call_failure;
use crate::tracker::Session;

/// With whom a leg is bridged.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Peer {
    /// Another leg on the same node.
    Session(SessionId),
    /// A dial string to call.
    Endpoint(String),
}

// === impl Control ===

impl Control {
    /// `uuid_bridge`, or `sendmsg` execute `bridge`; proof: CHANNEL_BRIDGE. Gives back both legs.
    ///
    /// # Errors
    /// SESSION_STATE when one of two legs has no media yet, or they are on different nodes. Of an
    /// endpoint that fails those of Originate; the leg itself stays up.
    pub async fn bridge(
        &self,
        id: &SessionId,
        peer: &Peer,
        deadline: Deadline,
    ) -> Result<(Seen, Seen), Failure> {
        let (session, node) = self.live_session(id)?;
        let peer = match peer {
            Peer::Session(peer) => {
                self.bridge_sessions(&node, &session, peer, deadline)
                    .await?
            }
            Peer::Endpoint(endpoint) => {
                self.bridge_endpoint(&node, &session, endpoint, deadline)
                    .await?
            }
        };
        Ok((self.look(id)?, self.look(&peer)?))
    }

    async fn bridge_sessions(
        &self,
        node: &Node,
        session: &Session,
        peer_id: &SessionId,
        deadline: Deadline,
    ) -> Result<SessionId, Failure> {
        if session.id == *peer_id {
            return Err(Failure::invalid(
                "peer_session_id",
                "is the session itself; name another one",
            ));
        }
        let (peer, _) = self.live_session(peer_id)?;
        if peer.node != session.node {
            let why = format!(
                "is on node {}, its peer on node {}: bridge by an endpoint",
                session.node, peer.node
            );
            return Err(wrong_state(session, &why));
        }
        if session.peer.as_ref() == Some(peer_id) {
            return Ok(peer_id.clone());
        }
        for leg in [session, &*peer] {
            check_media(leg)?;
        }
        let command = ApiCommand::new("uuid_bridge", &format!("{} {peer_id}", session.id))
            .map_err(|error| Failure::invalid("peer_session_id", error.to_string()))?;
        let wanted = peer_id.clone();
        let joined = self.watch_effect(node, &session.id, move |sight| {
            (sight.session.peer.as_ref() == Some(&wanted)).then_some(())
        });
        let peer_ended = self.tracker.watch(node.id(), peer_id, |sight| {
            (!sight.session.is_live()).then(|| ended(sight.session))
        });
        let mut peer_ended = peer_ended;
        tokio::select! {
            biased;
            joined = self.effect(node, session, "uuid_bridge", api(&command), joined, deadline) => {
                // It may be the peer that is gone.
                if let Err(refusal) = joined {
                    return Err(self.explained(node, &peer, refusal, deadline).await);
                }
            }
            Ok(failure) = peer_ended.seen() => return Err(failure),
        }
        Ok(peer_id.clone())
    }

    async fn bridge_endpoint(
        &self,
        node: &Node,
        session: &Session,
        endpoint: &str,
        deadline: Deadline,
    ) -> Result<SessionId, Failure> {
        check_endpoint(endpoint)
            .map_err(|error| Failure::invalid("endpoint", error.to_string()))?;
        self.check_mentions(endpoint)?;
        self.caller.may_dial(node.id(), endpoint)?;
        check_media(session)?;
        let peer = SessionId::generate();
        let ticket = chance::uuid();
        let text = sendmsg_bridge(
            &session.id,
            &peer,
            &self.tenants_variable(),
            endpoint,
            &ticket,
        )
        .map_err(|error| Failure::invalid("endpoint", error.to_string()))?;
        let (wanted, ticket) = (peer.clone(), ticket.to_string());
        let watch = self.watch_execution(node, &session.id, move |sight| {
            if sight.session.peer.as_ref() == Some(&wanted) {
                return Some(None);
            }
            let event = sight.event?;
            let is_over = event.headers().raw("Event-Name")? == b"CHANNEL_EXECUTE_COMPLETE"
                && event.headers().raw("Application-UUID") == Some(ticket.as_bytes());
            let disposition = || {
                event
                    .text("variable_originate_disposition")
                    .map(|text| text.into_owned())
            };
            is_over.then(|| Some(disposition().unwrap_or_default()))
        });
        node.check_hears()
            .map_err(|failure| failure.session(&session.id))?;
        let reply = node
            .send(Command::rendered(text), Some(&session.id), deadline)
            .await?;
        if let Err(refusal) = accepted(&reply, "bridge", session) {
            return Err(self.explained(node, session, refusal, deadline).await);
        }
        match await_effect(node, session, "bridge", watch, deadline).await? {
            None => Ok(peer),
            Some(disposition) => Err(bridge_failure(&disposition)
                .session(&session.id)
                .node(node.id())),
        }
    }
}

/// FreeSWITCH bridges a leg that only rings too, and leaves both in a state that no phone call has.
fn check_media(leg: &Session) -> Result<(), Failure> {
    if leg.has_media() {
        return Ok(());
    }
    Err(wrong_state(
        leg,
        "is not answered and has no early media, so it cannot be bridged",
    ))
}

fn bridge_failure(disposition: &str) -> Failure {
    match disposition.parse::<HangupCause>() {
        Ok(cause) => call_failure(cause),
        // SUCCESS or nothing: it ended without ever being a bridge that was seen.
        Err(_) => Failure::new(Reason::CallFailed, "the call was not bridged")
            .with("disposition", disposition),
    }
}

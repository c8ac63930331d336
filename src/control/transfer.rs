//! Transfers.

use std::sync::Arc;

use super::playback::Legs;
use super::verb::{in_field, is_event};
use super::{Control, Seen, wrong_state};
use crate::chance;
use crate::domain::{ChannelState, Deadline, Failure, HangupCause, Reason, SessionId};
use crate::esl::Command;
use crate::esl::quote::{ApiCommand, check_endpoint, check_text, sendmsg_execute};
use crate::jobs::call_failure;

/// Where a leg goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Extension {
    /// The number.
    pub number: String,
    /// The dial plan; empty for `XML`.
    pub dialplan: String,
    /// The context; empty for `default`.
    pub context: String,
}

// === impl Control ===

impl Control {
    /// `uuid_transfer`; proof: CHANNEL_STATE with CS_ROUTING on the leg, or on its peer when only
    /// that is transferred.
    ///
    /// # Errors
    /// SESSION_STATE when there is no peer to transfer.
    pub async fn transfer(
        &self,
        id: &SessionId,
        extension: &Extension,
        legs: Legs,
        deadline: Deadline,
    ) -> Result<Seen, Failure> {
        let (session, node) = self.live_session(id)?;
        if legs != Legs::Own {
            self.check_peer(&session)?;
        }
        let peer = match (&session.peer, legs) {
            (_, Legs::Own) => None,
            (Some(peer), _) => Some(peer.clone()),
            (None, _) => {
                return Err(wrong_state(
                    &session,
                    "is not bridged, so it has no peer to transfer",
                ));
            }
        };
        let or = |text: &str, default: &str| {
            if text.is_empty() {
                default.to_owned()
            } else {
                text.to_owned()
            }
        };
        let (dialplan, context) = (
            or(&extension.dialplan, "XML"),
            or(&extension.context, "default"),
        );
        check_dialplan(&dialplan)?;
        self.caller.may_route(node.id(), &dialplan)?;
        if extension.number.is_empty() {
            let remedy = "give a number of the dialplan, such as 1000";
            return Err(Failure::missing("extension.number", remedy));
        }
        if extension.number.starts_with(['-', '&']) {
            return Err(Failure::invalid(
                "extension.number",
                "starts with - or &, which FreeSWITCH takes for something else",
            ));
        }
        for (field, text) in [
            ("extension.number", extension.number.as_str()),
            ("extension.context", context.as_str()),
        ] {
            check_text(text).map_err(in_field(field))?;
        }
        let mut words = vec![id.as_str()];
        match legs {
            Legs::Own => {}
            Legs::Peer => words.push("-bleg"),
            Legs::Both => words.push("-both"),
        }
        words.extend([
            extension.number.as_str(),
            dialplan.as_str(),
            context.as_str(),
        ]);
        let command =
            ApiCommand::words("uuid_transfer", &words).map_err(in_field("extension.number"))?;
        let moved = match (legs, peer) {
            (Legs::Peer, Some(peer)) => peer,
            _ => id.clone(),
        };
        let mut routed = self.watch_effect(&node, &moved, |sight| {
            (is_event(sight, "CHANNEL_STATE") && sight.session.state == ChannelState::Routing)
                .then(|| Arc::clone(sight.session))
        });
        let reply = self
            .until_replied(&node, &session, &command, deadline)
            .await;
        reply?;
        match deadline.bound(routed.seen()).await {
            Some(Ok(moved)) => moved?,
            Some(Err(lost)) => {
                return Err(Failure::new(
                    Reason::OutcomeUnknown,
                    format!("the transfer cannot be seen: {lost}"),
                )
                .session(id)
                .node(node.id()));
            }
            None => {
                let message =
                    "the transfer was accepted, but the deadline passed before it was seen";
                return Err(Failure::new(Reason::DeadlineExceeded, message)
                    .session(id)
                    .node(node.id())
                    .with("command_sent", true));
            }
        };
        self.look(id)
    }

    /// `sendmsg` execute `att_xfer`; proof: CHANNEL_BRIDGE with the third party. Gives back both
    /// legs.
    ///
    /// # Errors
    /// SESSION_STATE when the leg is not bridged; CALL_FAILED or ENDPOINT_UNUSABLE when the third
    /// party does not answer, after which the leg is bridged as before.
    pub async fn attended_transfer(
        &self,
        id: &SessionId,
        endpoint: &str,
        deadline: Deadline,
    ) -> Result<(Seen, Seen), Failure> {
        let (session, node) = self.live_session(id)?;
        check_endpoint(endpoint).map_err(in_field("endpoint"))?;
        let Some(before) = session.peer.clone() else {
            return Err(wrong_state(
                &session,
                "is not bridged, so there is nobody to transfer",
            ));
        };
        self.check_peer(&session)?;
        self.check_mentions(endpoint)?;
        self.caller.may_dial(node.id(), endpoint)?;
        let third = SessionId::generate();
        let ticket = chance::uuid();
        let own = self.tenants_variable();
        let own: String = own
            .iter()
            .map(|(name, value)| format!(",{name}={value}"))
            .collect();
        let arguments = format!("{{origination_uuid={third}{own}}}{endpoint}");
        let text = sendmsg_execute(id, "att_xfer", &arguments, &ticket, false, None)
            .map_err(in_field("endpoint"))?;
        self.check_own_application(&node, "att_xfer", deadline)
            .await
            .map_err(|failure| failure.session(&session.id))?;
        let (wanted, ticket) = (third.clone(), ticket.to_string());
        let watch = self.watch_execution(&node, id, move |sight| {
            if sight.session.peer.as_ref() == Some(&wanted) {
                return Some(None);
            }
            let event = sight.event?;
            let is_over = is_event(sight, "CHANNEL_EXECUTE_COMPLETE")
                && event.headers().raw("Application-UUID") == Some(ticket.as_bytes());
            let disposition = || {
                event
                    .text("variable_originate_disposition")
                    .unwrap_or_default()
                    .into_owned()
            };
            is_over.then(|| Some(disposition()))
        });
        match self
            .effect(
                &node,
                &session,
                "att_xfer",
                Command::rendered(text),
                watch,
                deadline,
            )
            .await?
        {
            None => Ok((self.look(id)?, self.look(&third)?)),
            Some(disposition) => {
                let failure = match disposition.parse::<HangupCause>() {
                    Ok(cause) => call_failure(cause),
                    Err(_) => Failure::new(Reason::CallFailed, "the third party was not reached"),
                };
                Err(failure
                    .session(id)
                    .node(node.id())
                    .with("peer_session_id", before))
            }
        }
    }
}

/// `switch_core_standard_on_routing` splits a dial plan's name at `,` and `:`, and `inline` runs
/// its extension as applications.
fn check_dialplan(dialplan: &str) -> Result<(), Failure> {
    let is_word = dialplan
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    if !is_word || dialplan.eq_ignore_ascii_case("inline") {
        return Err(Failure::invalid(
            "extension.dialplan",
            "is no plain word, or runs applications; use XML",
        ));
    }
    Ok(())
}

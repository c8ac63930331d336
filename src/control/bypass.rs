//! Media past FreeSWITCH.

use super::verb::in_field;
use super::{Control, Seen, wrong_state};
use crate::domain::{ChannelState, Deadline, Failure, SessionId};
use crate::esl::quote::ApiCommand;
use crate::tracker::Session;

/// Where the media of a bridge flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BypassMode {
    /// From one far end to the other.
    On,
    /// Through FreeSWITCH.
    Off,
}

// === impl Control ===

impl Control {
    /// `uuid_media`; proof: the two legs, which part for it, are bridged again, and the leg sleeps
    /// in CS_HIBERNATE when media are bypassed (`switch_ivr_signal_bridge` in `switch_ivr_bridge.c`),
    /// or is in another state when they are not (`switch_ivr_uuid_bridge`).
    ///
    /// # Errors
    /// SESSION_STATE when it is not bridged, or one of the legs is not SIP or not answered:
    /// FreeSWITCH would end a call that is not answered, and leave one over `loopback` without
    /// sound and without a way back (`switch_ivr_nomedia` in `switch_ivr.c`).
    pub async fn bypass_media(
        &self,
        id: &SessionId,
        mode: BypassMode,
        deadline: Deadline,
    ) -> Result<Seen, Failure> {
        let (session, node) = self.live_session(id)?;
        if session.is_bypassed() == (mode == BypassMode::On) {
            return self.look(id);
        }
        let words: &[&str] = match mode {
            BypassMode::On => {
                self.check_bypass(&session)?;
                &["off", id.as_str()]
            }
            BypassMode::Off => &[id.as_str()],
        };
        let command = ApiCommand::words("uuid_media", words).map_err(in_field("session_id"))?;
        let peer = session.peer.clone();
        self.until_seen(&node, &session, &command, deadline, move |sight| {
            let is_there = match mode {
                BypassMode::On => sight.session.is_bypassed(),
                // On its way, the first of the two is in states that it leaves by itself.
                BypassMode::Off => matches!(
                    sight.session.state,
                    ChannelState::SoftExecute | ChannelState::ExchangeMedia
                ),
            };
            is_there && sight.session.peer == peer
        })
        .await
    }

    fn check_bypass(&self, session: &Session) -> Result<(), Failure> {
        let Some(peer_id) = &session.peer else {
            let why = "is not bridged, so nobody else could take its media";
            return Err(wrong_state(session, why));
        };
        let (peer, _) = self.live_session(peer_id)?;
        for leg in [session, &*peer] {
            if !leg.channel_name.starts_with("sofia/") {
                let why = format!(
                    "cannot send its media past FreeSWITCH: {} is not SIP",
                    leg.id
                );
                return Err(wrong_state(session, &why));
            }
            if !leg.answered {
                let why = format!(
                    "cannot send its media past FreeSWITCH: {} is not answered",
                    leg.id
                );
                return Err(wrong_state(session, &why));
            }
        }
        Ok(())
    }
}

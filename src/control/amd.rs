//! Listening for the beep of an answering machine, by `mod_avmd`.

use std::fmt::Write as _;

use super::verb::{in_field, is_event};
use super::{Control, Seen};
use crate::chance;
use crate::domain::{Deadline, Failure, Reason, SessionId};
use crate::esl::Command;
use crate::esl::quote::sendmsg_execute;
use crate::fleet::Node;
use crate::tracker::{Session, Sighting};

/// By what a beep is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AmdDetection {
    /// A constant amplitude.
    Amplitude,
    /// A constant frequency.
    Frequency,
    /// Both.
    Both,
}

/// How a beep is found; what is absent is as the node is configured. Not offered are
/// `sample_n_to_skip`, above 0 of which nothing is ever found, and `detectors_n`, whose counter
/// overflows (`avmd_process_sample` and `avmd_process` in `mod_avmd.c`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Amd {
    /// By what.
    pub detection: Option<AmdDetection>,
    /// How many estimates of the frequency must agree; 0 for no such demand.
    pub frequency_streak: Option<u16>,
    /// How many estimates of the amplitude must agree; 0 for no such demand.
    pub amplitude_streak: Option<u16>,
}

// === impl Control ===

impl Control {
    /// `sendmsg` execute `avmd_start`; proof: CUSTOM `avmd::start`.
    ///
    /// # Errors
    /// SESSION_STATE when the leg has no media, UNKNOWN_APPLICATION when the node has not loaded
    /// `mod_avmd`, COMMAND_REJECTED when that does not start.
    pub async fn start_amd(
        &self,
        id: &SessionId,
        amd: Amd,
        deadline: Deadline,
    ) -> Result<Seen, Failure> {
        let (session, node) = self.media_session(id)?;
        self.amd_switched(&node, &session, true, &amd.arguments(), deadline)
            .await
    }

    /// `sendmsg` execute `avmd_stop`; proof: CUSTOM `avmd::stop`.
    ///
    /// # Errors
    /// UNKNOWN_APPLICATION when the node has not loaded `mod_avmd`.
    pub async fn stop_amd(&self, id: &SessionId, deadline: Deadline) -> Result<Seen, Failure> {
        let (session, node) = self.live_session(id)?;
        self.amd_switched(&node, &session, false, "", deadline)
            .await
    }

    async fn amd_switched(
        &self,
        node: &Node,
        session: &Session,
        on: bool,
        arguments: &str,
        deadline: Deadline,
    ) -> Result<Seen, Failure> {
        let (application, told) = match on {
            true => ("avmd_start", "avmd::start"),
            false => ("avmd_stop", "avmd::stop"),
        };
        self.check_own_application(node, application, deadline)
            .await
            .map_err(|failure| failure.session(&session.id))?;
        if self.has_amd(node, session, deadline).await? == on {
            return self.look(&session.id);
        }
        let ticket = chance::uuid();
        let text = sendmsg_execute(&session.id, application, arguments, &ticket, true, None)
            .map_err(in_field("session_id"))?;
        let (ticket, witness) = (ticket.to_string(), self.witness());
        let mut is_running = false;
        // FreeSWITCH can tell of a start or a stop once more later: only what is told while our own
        // application runs counts. `None` when it ended without.
        let watch = self.watch_execution(node, &session.id, move |sight| {
            if is_running && is_subclass(sight, told) {
                return Some(Some(witness(sight.session)));
            }
            let headers = sight.event?.headers();
            if headers.raw("Application-UUID") == Some(ticket.as_bytes()) {
                is_running |= is_event(sight, "CHANNEL_EXECUTE");
                return is_event(sight, "CHANNEL_EXECUTE_COMPLETE").then_some(None);
            }
            None
        });
        let command = Command::rendered(text);
        let seen = self
            .effect(node, session, application, command, watch, deadline)
            .await?;
        match seen {
            Some(seen) => Ok(seen),
            // Another client was faster.
            None if self.has_amd(node, session, deadline).await == Ok(on) => self.look(&session.id),
            None => Err(Failure::new(
                Reason::CommandRejected,
                format!("{application} had no effect; FreeSWITCH's log says why"),
            )
            .session(&session.id)
            .node(node.id())),
        }
    }

    async fn has_amd(
        &self,
        node: &Node,
        session: &Session,
        deadline: Deadline,
    ) -> Result<bool, Failure> {
        self.has_bug(node, session, ["avmd", "N/A"], deadline).await
    }
}

// === impl Amd ===

impl Amd {
    /// The arguments of `avmd_start` (`avmd_parse_cmd_data` in `mod_avmd.c`). `mod_avmd` listens to
    /// an outbound leg's far end, and of an inbound leg to what it is sent; a node may be
    /// configured to refuse one of them.
    fn arguments(self) -> String {
        let mut text = String::from("inbound_channel=1,outbound_channel=1");
        let mut add = |name: &str, value: u16| {
            // Writing to a string cannot fail.
            let _ = write!(text, ",{name}={value}");
        };
        if let Some(detection) = self.detection {
            let mode = match detection {
                AmdDetection::Amplitude => 0,
                AmdDetection::Frequency => 1,
                AmdDetection::Both => 2,
            };
            add("detection_mode", mode);
        }
        if let Some(streak) = self.frequency_streak {
            add("require_continuous_streak", u16::from(streak > 0));
            add("sample_n_continuous_streak", streak);
        }
        if let Some(streak) = self.amplitude_streak {
            add("require_continuous_streak_amp", u16::from(streak > 0));
            add("sample_n_continuous_streak_amp", streak);
        }
        text
    }
}

fn is_subclass(sight: &Sighting<'_>, subclass: &str) -> bool {
    is_event(sight, "CUSTOM")
        && sight
            .event
            .and_then(|event| event.subclass())
            .is_some_and(|told| told == subclass)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_written_as_avmd_reads_them() {
        assert_eq!(
            Amd::default().arguments(),
            "inbound_channel=1,outbound_channel=1"
        );
        let amd = Amd {
            detection: Some(AmdDetection::Frequency),
            frequency_streak: Some(3),
            amplitude_streak: Some(0),
        };
        assert_eq!(
            amd.arguments(),
            "inbound_channel=1,outbound_channel=1,detection_mode=1,require_continuous_streak=1,\
             sample_n_continuous_streak=3,require_continuous_streak_amp=0,\
             sample_n_continuous_streak_amp=0"
        );
    }
}

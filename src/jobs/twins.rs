//! Jobs that other gateways run too, under the same id.
//!
//! A `request_id` gives an originate and its legs the same ids on every gateway, so that FreeSWITCH
//! refuses the second one while the first one's leg lives. `BACKGROUND_JOB` goes to every listener,
//! so each gateway hears the result of both. A mark in the command tells them apart: FreeSWITCH
//! gives the command back with the result (`Job-Command-Arg`, `api_exec` in `mod_event_socket.c`).

use bytes::Bytes;

use crate::domain::HangupCause;
use crate::esl::Outcome;

/// What was heard of a job and of its twins.
#[derive(Debug)]
pub(super) struct Twins {
    /// Stands in this gateway's own command and in no other.
    mark: String,
    /// Whether its own command was refused, or never sent.
    is_elsewhere: bool,
    /// The result of a twin, should this gateway's own command be refused for it.
    result: Option<Bytes>,
}

/// What a result means for a job.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It is the job's.
    Result(Bytes),
    /// The gateway's own command was refused: another one has the call, or nobody.
    Refused,
    /// It is of a twin, and not the job's as things are.
    Nothing,
}

// === impl Twins ===

impl Twins {
    pub(super) fn new(mark: String) -> Self {
        Self {
            mark,
            is_elsewhere: false,
            result: None,
        }
    }

    /// No command of this gateway's own is sent.
    pub(super) fn leave(&mut self) {
        self.is_elsewhere = true;
    }

    /// Takes the result of a command with these arguments.
    pub(super) fn hear(&mut self, arguments: &str, output: Bytes) -> Heard {
        let is_own = arguments.contains(&self.mark);
        match (is_own, is_refusal(&output)) {
            (true, true) => {
                self.is_elsewhere = true;
                self.result.take().map_or(Heard::Refused, Heard::Result)
            }
            (true, false) => Heard::Result(output),
            (false, true) => Heard::Nothing,
            (false, false) if self.is_elsewhere => Heard::Result(output),
            (false, false) => {
                self.result = Some(output);
                Heard::Nothing
            }
        }
    }
}

/// What FreeSWITCH says when the id of a leg is taken, or when it takes no more calls
/// (`switch_core_session_request_uuid` in `switch_core_session.c` gives no session for both).
fn is_refusal(output: &[u8]) -> bool {
    match Outcome::parse(output) {
        Outcome::Error(text) => text.parse() == Ok(HangupCause::DestinationOutOfOrder),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "{mark=one}user/1 &park()";
    const OTHER: &str = "{mark=two}user/1 &park()";
    const REFUSED: &str = "-ERR DESTINATION_OUT_OF_ORDER\n";
    const BUSY: &str = "-ERR USER_BUSY\n";

    fn heard(told: &[(&str, &'static str)]) -> Vec<Heard> {
        let mut twins = Twins::new("mark=one".to_owned());
        let hear = |(arguments, output): &(&str, &'static str)| {
            twins.hear(arguments, Bytes::from_static(output.as_bytes()))
        };
        told.iter().map(hear).collect()
    }

    #[test]
    fn what_became_of_the_call_that_was_placed_is_what_counts() {
        use Heard::{Nothing, Refused, Result};
        let busy = || Result(Bytes::from_static(BUSY.as_bytes()));
        assert_eq!(heard(&[(OTHER, REFUSED), (OWN, BUSY)]), [Nothing, busy()]);
        assert_eq!(heard(&[(OWN, BUSY), (OTHER, REFUSED)]), [busy(), Nothing]);
        assert_eq!(heard(&[(OWN, REFUSED), (OTHER, BUSY)]), [Refused, busy()]);
        assert_eq!(heard(&[(OTHER, BUSY), (OWN, REFUSED)]), [Nothing, busy()]);
        // FreeSWITCH takes no calls.
        assert_eq!(
            heard(&[(OTHER, REFUSED), (OWN, REFUSED)]),
            [Nothing, Refused]
        );
        // The first one's leg was gone before the second one came.
        assert_eq!(heard(&[(OTHER, BUSY), (OWN, BUSY)]), [Nothing, busy()]);
    }

    #[test]
    fn a_call_that_was_left_to_another_gateway_has_its_result() {
        let mut twins = Twins::new("mark=one".to_owned());
        twins.leave();
        let busy = Bytes::from_static(BUSY.as_bytes());
        assert_eq!(twins.hear(OTHER, busy.clone()), Heard::Result(busy));
    }
}

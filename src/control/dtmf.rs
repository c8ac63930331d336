//! Digits: sending and collecting them.

mod pattern;

use std::time::Duration;

use super::verb::{in_field, is_event, whole_seconds};
use super::{Control, Seen};
use crate::chance;
use crate::domain::{Deadline, Failure, SessionId};
use crate::esl::Command;
use crate::esl::quote::{ApiCommand, check_text, sendmsg_execute};

/// FreeSWITCH's buffer of digits (`digit_buffer` of `play_and_get_digits_function` in
/// `mod_dptools.c`).
const MAX_DIGITS: u32 = 127;
/// Tones that FreeSWITCH sends, in milliseconds (`SWITCH_MIN_DTMF_DURATION` and
/// `SWITCH_MAX_DTMF_DURATION` in `switch_types.h`, in samples of 8 kHz).
const TONE_MILLIS: std::ops::RangeInclusive<u128> = 50..=24_000;

/// How to collect digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Collect {
    /// The session.
    pub session: SessionId,
    /// Fewest digits.
    pub min: u32,
    /// Most digits.
    pub max: u32,
    /// How often the prompt is played.
    pub tries: u32,
    /// How long to wait for the first digit.
    pub timeout: Duration,
    /// How long to wait for each further one.
    pub digit_timeout: Duration,
    /// Digits that end the input.
    pub terminators: String,
    /// What is played; empty for silence.
    pub prompt: String,
    /// What is played when the input does not match; empty for silence.
    pub invalid_prompt: String,
    /// What the input must match; empty for any digits.
    pub pattern: String,
}

/// What was dialled.
#[derive(Debug, Clone)]
pub struct Collected {
    /// The session after it.
    pub seen: Seen,
    /// The digits.
    pub digits: String,
    /// Whether they were enough and matched.
    pub is_match: bool,
    /// The digit that ended the input.
    pub terminator: String,
}

// === impl Control ===

impl Control {
    /// `uuid_send_dtmf`; proof: its reply.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for what is no digit; SESSION_STATE when it has no media.
    pub async fn send_dtmf(
        &self,
        id: &SessionId,
        digits: &str,
        tone: Option<Duration>,
        deadline: Deadline,
    ) -> Result<(), Failure> {
        let (session, node) = self.media_session(id)?;
        let digits = tones(digits, tone)?;
        let command = ApiCommand::words("uuid_send_dtmf", &[id.as_str(), &digits])
            .map_err(in_field("digits"))?;
        self.until_replied(&node, &session, &command, deadline)
            .await
            .map(drop)
    }

    /// `sched_api` of `uuid_send_dtmf`; proof: its reply.
    ///
    /// # Errors
    /// As [`Control::send_dtmf`], save for the media.
    pub async fn schedule_dtmf(
        &self,
        id: &SessionId,
        digits: &str,
        tone: Option<Duration>,
        delay: Duration,
        deadline: Deadline,
    ) -> Result<(), Failure> {
        let (session, node) = self.live_session(id)?;
        let digits = tones(digits, tone)?;
        // The group is the session, so that ClearTasks finds it.
        let line = format!(
            "+{} {id} uuid_send_dtmf {id} {digits}",
            whole_seconds(delay).max(1)
        );
        let command = ApiCommand::new("sched_api", &line).map_err(in_field("digits"))?;
        self.until_replied(&node, &session, &command, deadline)
            .await
            .map(drop)
    }

    /// `sendmsg` execute `play_and_get_digits`; proof: CHANNEL_EXECUTE_COMPLETE.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for numbers out of range; SESSION_STATE when it has no media.
    pub async fn collect_digits(
        &self,
        request: &Collect,
        deadline: Deadline,
    ) -> Result<Collected, Failure> {
        let (session, node) = self.media_session(&request.session)?;
        let ticket = chance::uuid();
        // A name of its own for each, or an earlier input could be taken for this one.
        let variable = format!("switchgate_digits_{}", ticket.simple());
        let arguments = arguments(request, &variable)?;
        let text = sendmsg_execute(
            &session.id,
            "play_and_get_digits",
            &arguments,
            &ticket,
            true,
            None,
        )
        .map_err(in_field("prompt"))?;
        for file in [&request.prompt, &request.invalid_prompt] {
            self.caller.may_play(node.id(), file)?;
        }
        self.check_own_application(&node, "play_and_get_digits", deadline)
            .await
            .map_err(|failure| failure.session(&session.id))?;
        let ticket = ticket.to_string();
        let header = format!("variable_{variable}");
        let rejected_header = format!("{header}_invalid");
        let terminators = request.terminators.clone();
        let mut last_digit = String::new();
        let witness = self.witness();
        let watch = self.watch_execution(&node, &session.id, move |sight| {
            let event = sight.event?;
            let text = |name: &str| {
                event
                    .filled(name)
                    .map(|text| text.into_owned())
                    .unwrap_or_default()
            };
            if is_event(sight, "DTMF") {
                last_digit = text("DTMF-Digit");
                return None;
            }
            if event.headers().raw("Application-UUID") != Some(ticket.as_bytes()) {
                return None;
            }
            if is_event(sight, "CHANNEL_EXECUTE") {
                last_digit.clear();
            }
            if !is_event(sight, "CHANNEL_EXECUTE_COMPLETE") {
                return None;
            }
            // `read_result` is about the number of digits only: `success` for what the pattern
            // refuses, `timeout` for a match shorter than the most (`switch_play_and_get_digits`
            // and `switch_ivr_read` in `switch_ivr_play_say.c`).
            let is_enough = text("variable_read_result") != "failure";
            let taken = text(&header);
            let is_match = is_enough && !taken.is_empty();
            let digits = if taken.is_empty() && is_enough {
                text(&rejected_header)
            } else {
                taken
            };
            // The variable keeps the terminator of an earlier input.
            let terminator = Some(text("variable_read_terminator_used"))
                .filter(|used| *used == last_digit && terminators.contains(used.as_str()))
                .unwrap_or_default();
            Some(Collected {
                seen: witness(sight.session),
                digits,
                is_match,
                terminator,
            })
        });
        self.effect(
            &node,
            &session,
            "play_and_get_digits",
            Command::rendered(text),
            watch,
            deadline,
        )
        .await
    }
}

/// Digits with the length of their tones, as `switch_channel_queue_dtmf_string` in
/// `switch_channel.c` reads them.
fn tones(digits: &str, tone: Option<Duration>) -> Result<String, Failure> {
    if digits.is_empty() {
        return Err(Failure::missing(
            "digits",
            "give those to send, such as 123#",
        ));
    }
    if let Some(c) = digits
        .chars()
        .find(|c| !"0123456789ABCDabcd*#wW".contains(*c))
    {
        return Err(Failure::invalid(
            "digits",
            format!("holds {c:?}; use 0 to 9, A to D, *, # and w or W to wait"),
        ));
    }
    match tone.map(|tone| tone.as_millis()) {
        None => Ok(digits.to_owned()),
        Some(millis) if TONE_MILLIS.contains(&millis) => Ok(format!("{digits}@{millis}")),
        Some(_) => Err(Failure::invalid(
            "tone_duration",
            "is out of range; use 50 ms to 24 s",
        )),
    }
}

fn arguments(request: &Collect, variable: &str) -> Result<String, Failure> {
    let min = request.min.max(1);
    let max = if request.max == 0 { min } else { request.max };
    if max < min || max > MAX_DIGITS {
        return Err(Failure::invalid(
            "max_digits",
            format!("is below min_digits or above {MAX_DIGITS}"),
        ));
    }
    if let Some(c) = request
        .terminators
        .chars()
        .find(|c| !"0123456789ABCDabcd*#".contains(*c))
    {
        return Err(Failure::invalid(
            "terminators",
            format!("holds {c:?}; use digits, * and #"),
        ));
    }
    // Without any, FreeSWITCH would take `#`; `none` is its word for that.
    let terminators = if request.terminators.is_empty() {
        "none"
    } else {
        &request.terminators
    };
    let pattern = if request.pattern.is_empty() {
        r"\d+"
    } else {
        &request.pattern
    };
    for (field, value) in [
        ("prompt", &request.prompt),
        ("invalid_prompt", &request.invalid_prompt),
        ("pattern", &request.pattern),
    ] {
        check_text(value).map_err(in_field(field))?;
        if value.contains([' ', '\'', '"']) {
            return Err(Failure::invalid(
                field,
                "holds a space or a quote, which separate the arguments",
            ));
        }
    }
    if let Some(problem) = pattern::broken(&request.pattern) {
        return Err(Failure::invalid(
            "pattern",
            format!("{problem}; write it anew"),
        ));
    }
    let or_silence = |file: &str| {
        if file.is_empty() {
            "silence_stream://1".to_owned()
        } else {
            file.to_owned()
        }
    };
    // One pass of `switch_separate_string` turns `\\` into `\`.
    let pattern = pattern.replace('\\', r"\\");
    Ok(format!(
        "{min} {max} {} {} {terminators} {} {} {variable} {pattern} {}",
        request.tries.max(1),
        request.timeout.as_millis(),
        or_silence(&request.prompt),
        or_silence(&request.invalid_prompt),
        request.digit_timeout.as_millis(),
    ))
}

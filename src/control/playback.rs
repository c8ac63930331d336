//! Playing and speaking to a leg.

use std::collections::BTreeMap;

use super::verb::{in_field, is_event};
use super::{Control, Execute, ExecuteWait, Executed, Seen, wrong_state};
use crate::chance;
use crate::domain::{Deadline, Failure, Reason, SessionId};
use crate::esl::Command;
use crate::esl::quote::{
    ApiCommand, check_application_name, check_text, check_value, check_variable_name,
    sendmsg_execute,
};
use crate::tracker::Session;

/// Rounds of what is played until it is stopped; FreeSWITCH reads the number with `atoi`.
const ENDLESS: u32 = i32::MAX.unsigned_abs();

/// Which legs of a bridge are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Legs {
    /// The leg itself.
    Own,
    /// Its peer.
    Peer,
    /// Both.
    Both,
}

/// What to play.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Playback {
    /// The session.
    pub session: SessionId,
    /// Files or tones, one at least.
    pub files: Vec<String>,
    /// Where the first starts, in samples.
    pub start_offset: u32,
    /// Whether it is played again and again.
    pub endless: bool,
    /// Who hears it.
    pub legs: Legs,
    /// Variables of the file.
    pub variables: BTreeMap<String, String>,
    /// Whether to wait for its end rather than its start.
    pub to_end: bool,
}

/// How to move within what is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Seek {
    /// Forward by so many milliseconds, or back.
    Relative(i32),
    /// To so many milliseconds from the beginning.
    Absolute(u32),
    /// Pauses or resumes.
    TogglePause,
    /// To the beginning.
    Restart,
}

/// What a playback shows of itself.
enum Shown {
    Started(Seen),
    Ended(Seen, String),
}

// === impl Control ===

impl Control {
    /// `sendmsg` execute `playback`, in a loop when it is endless, or `uuid_broadcast` for the peer; proof: PLAYBACK_START, or
    /// CHANNEL_EXECUTE_COMPLETE.
    ///
    /// # Errors
    /// COMMAND_REJECTED with FreeSWITCH's words when a file cannot be played.
    pub async fn play(&self, request: &Playback, deadline: Deadline) -> Result<Executed, Failure> {
        let (session, node) = self.media_session(&request.session)?;
        let target = target(request)?;
        for file in &request.files {
            self.caller.may_play(node.id(), file)?;
        }
        if request.legs != Legs::Own {
            self.check_peer(&session)?;
        }
        if request.legs != Legs::Own {
            return self
                .play_to_peer(request, &session, &target, deadline)
                .await;
        }
        let application = "playback";
        // Nothing but the end of the leg stops `endless_playback`: a break only begins the next
        // round (`endless_playback_function` in `mod_dptools.c`).
        let loops = request.endless.then_some(ENDLESS);
        let ticket = chance::uuid();
        let text = sendmsg_execute(&session.id, application, &target, &ticket, true, loops)
            .map_err(in_field("files"))?;
        self.check_own_application(&node, application, deadline)
            .await
            .map_err(|failure| failure.session(&session.id))?;
        let (ticket, to_end) = (ticket.to_string(), request.to_end);
        let mut is_ours = false;
        let witness = self.witness();
        let watch = self.watch_execution(&node, &session.id, move |sight| {
            let event = sight.event?;
            let has_ticket = event.headers().raw("Application-UUID") == Some(ticket.as_bytes());
            is_ours |= has_ticket && is_event(sight, "CHANNEL_EXECUTE");
            if has_ticket && is_event(sight, "CHANNEL_EXECUTE_COMPLETE") {
                let response = event
                    .text("Application-Response")
                    .unwrap_or_default()
                    .into_owned();
                return Some(Shown::Ended(witness(sight.session), response));
            }
            (is_ours && !to_end && is_event(sight, "PLAYBACK_START"))
                .then(|| Shown::Started(witness(sight.session)))
        });
        match self
            .effect(
                &node,
                &session,
                application,
                Command::rendered(text),
                watch,
                deadline,
            )
            .await?
        {
            Shown::Started(seen) => Ok(Executed {
                seen,
                response: String::new(),
            }),
            Shown::Ended(seen, response) => played(seen, response),
        }
    }

    async fn play_to_peer(
        &self,
        request: &Playback,
        session: &Session,
        target: &str,
        deadline: Deadline,
    ) -> Result<Executed, Failure> {
        let Some(peer) = &session.peer else {
            return Err(wrong_state(
                session,
                "is not bridged, so it has no peer to play to",
            ));
        };
        if request.endless || request.to_end {
            return Err(Failure::invalid(
                "leg",
                "can be played to once and without waiting for the end; use the peer's own session",
            ));
        }
        let (_, node) = self.live_session(&session.id)?;
        let legs = if request.legs == Legs::Peer {
            "bleg"
        } else {
            "both"
        };
        let words = [session.id.as_str(), &format!("playback::{target}"), legs];
        let command = ApiCommand::words("uuid_broadcast", &words).map_err(in_field("files"))?;
        let witness = self.witness();
        let mut started = self.watch_effect(&node, peer, move |sight| {
            if is_event(sight, "PLAYBACK_START") {
                return Some(Shown::Started(witness(sight.session)));
            }
            let event = sight.event?;
            let is_over = is_event(sight, "CHANNEL_EXECUTE_COMPLETE")
                && event.headers().raw("Application") == Some(b"playback");
            let response = event.text("Application-Response")?.into_owned();
            // One that played to its end is an earlier one.
            (is_over && response != "FILE PLAYED")
                .then(|| Shown::Ended(witness(sight.session), response))
        });
        self.until_replied(&node, session, &command, deadline)
            .await?;
        match deadline.bound(started.seen()).await {
            Some(Ok(seen)) => {
                if let Shown::Ended(peer, response) = seen? {
                    played(peer, response)?;
                }
                Ok(Executed {
                    seen: self.look(&session.id)?,
                    response: String::new(),
                })
            }
            Some(Err(lost)) => Err(Failure::new(
                Reason::OutcomeUnknown,
                format!("the playback was accepted, but its start cannot be seen: {lost}"),
            )
            .session(&session.id)
            .node(node.id())),
            None => Err(Failure::new(
                Reason::DeadlineExceeded,
                "the playback was accepted, but its start was not seen",
            )
            .session(&session.id)
            .node(node.id())
            .with("command_sent", true)),
        }
    }

    /// `uuid_break`; proof: its reply.
    ///
    /// # Errors
    /// Those of every verb.
    pub async fn stop_playback(
        &self,
        id: &SessionId,
        all: bool,
        deadline: Deadline,
    ) -> Result<Seen, Failure> {
        let (session, node) = self.live_session(id)?;
        let words: &[&str] = if all {
            &[id.as_str(), "all"]
        } else {
            &[id.as_str()]
        };
        let command = ApiCommand::words("uuid_break", words).map_err(in_field("session_id"))?;
        Ok(self
            .until_replied(&node, &session, &command, deadline)
            .await?
            .0)
    }

    /// `uuid_fileman`; proof: its reply.
    ///
    /// # Errors
    /// COMMAND_REJECTED when no file is being played.
    pub async fn seek_playback(
        &self,
        id: &SessionId,
        seek: Seek,
        deadline: Deadline,
    ) -> Result<Seen, Failure> {
        let (session, node) = self.live_session(id)?;
        let action = match seek {
            // FreeSWITCH would take +0 for a whole second.
            Seek::Relative(0) => return Err(Failure::invalid("relative", "is 0")),
            // Milliseconds, which FreeSWITCH multiplies with the file's rate
            // (`switch_ivr_process_fh` in `switch_ivr.c`).
            Seek::Relative(millis) => format!("seek:{millis:+}"),
            Seek::Absolute(millis) => format!("seek:{millis}"),
            Seek::TogglePause => "pause".to_owned(),
            Seek::Restart => "restart".to_owned(),
        };
        let command = ApiCommand::words("uuid_fileman", &[id.as_str(), &action])
            .map_err(in_field("action"))?;
        Ok(self
            .until_replied(&node, &session, &command, deadline)
            .await?
            .0)
    }

    /// `sendmsg` execute `speak`; proof: CHANNEL_EXECUTE or CHANNEL_EXECUTE_COMPLETE.
    ///
    /// # Errors
    /// SESSION_STATE when it has no media.
    pub async fn speak(
        &self,
        id: &SessionId,
        [engine, voice, text]: [&str; 3],
        to_end: bool,
        deadline: Deadline,
    ) -> Result<Seen, Failure> {
        self.media_session(id)?;
        for (field, value) in [("engine", engine), ("voice", voice)] {
            if value.contains('|') {
                return Err(Failure::invalid(
                    field,
                    "holds |, which separates the arguments; remove it",
                ));
            }
        }
        for (field, value, remedy) in [
            ("engine", engine, "name a module for speech, such as flite"),
            ("voice", voice, "name one of the engine, such as kal"),
            ("text", text, "write what shall be said"),
        ] {
            if value.is_empty() {
                return Err(Failure::missing(field, remedy));
            }
        }
        for (field, value) in [("engine", engine), ("voice", voice), ("text", text)] {
            check_text(value).map_err(in_field(field))?;
        }
        let request = Execute {
            session: id.clone(),
            application: "speak".to_owned(),
            arguments: format!("{engine}|{voice}|{text}"),
            loops: 1,
            wait: if to_end {
                ExecuteWait::Completed
            } else {
                ExecuteWait::Started
            },
        };
        Ok(self.execute_own(&request, deadline).await?.seen)
    }

    /// `uuid_broadcast`; proof: its reply.
    ///
    /// # Errors
    /// UNKNOWN_APPLICATION when the node does not have it; SESSION_STATE when there is no peer.
    pub async fn broadcast(
        &self,
        id: &SessionId,
        [application, arguments]: [&str; 2],
        legs: Legs,
        deadline: Deadline,
    ) -> Result<Seen, Failure> {
        let (session, node) = self.live_session(id)?;
        if legs != Legs::Own && session.peer.is_none() {
            return Err(wrong_state(&session, "is not bridged, so it has no peer"));
        }
        if legs != Legs::Own {
            self.check_peer(&session)?;
        }
        check_application_name(application).map_err(in_field("application"))?;
        self.check_mentions(arguments)?;
        self.check_partner(&session, arguments)?;
        self.caller
            .may_execute(node.id(), application, arguments)
            .map_err(|failure| failure.session(&session.id))?;
        self.check_application(&node, application, "application", deadline)
            .await
            .map_err(|failure| failure.session(&session.id))?;
        let legs = match legs {
            Legs::Own => "aleg",
            Legs::Peer => "bleg",
            Legs::Both => "both",
        };
        let words = [id.as_str(), &format!("{application}::{arguments}"), legs];
        let command = ApiCommand::words("uuid_broadcast", &words).map_err(in_field("arguments"))?;
        Ok(self
            .until_replied(&node, &session, &command, deadline)
            .await?
            .0)
    }
}

/// The argument of `playback`: variables, files joined by `!` (`file_string`), a start in samples.
fn target(request: &Playback) -> Result<String, Failure> {
    let mut target = String::new();
    for (name, value) in &request.variables {
        let field = || format!("variables[{name:?}]");
        check_variable_name(name).map_err(|error| Failure::invalid(field(), error.to_string()))?;
        check_value(value).map_err(|error| Failure::invalid(field(), error.to_string()))?;
        if let Some(c) = value.chars().find(|c| "{}[],'\\ ".contains(*c)) {
            return Err(Failure::invalid(
                field(),
                format!("holds {c:?}, which ends the file's variables"),
            ));
        }
        target.push_str(if target.is_empty() { "{" } else { "," });
        target.push_str(&format!("{name}={value}"));
    }
    if !target.is_empty() {
        target.push('}');
    }
    let several = request.files.len() > 1;
    if several {
        target.push_str("file_string://");
    }
    for (at, file) in request.files.iter().enumerate() {
        let field = format!("files[{at}]");
        check_text(file).map_err(in_field(&field))?;
        if file.is_empty() {
            return Err(Failure::missing(
                field,
                "name a file such as /folder/file.wav",
            ));
        }
        if file.starts_with(['{', '[', '<'])
            || file.contains("@@")
            || (several && file.contains('!'))
        {
            return Err(Failure::invalid(
                field,
                "has variables of its own or holds @@, or ! among several; use `variables` and `start_offset_samples`",
            ));
        }
        if at > 0 {
            target.push('!');
        }
        target.push_str(file);
    }
    if request.files.is_empty() {
        return Err(Failure::missing("files", "give one file or tone at least"));
    }
    if request.start_offset > 0 {
        if several {
            return Err(Failure::invalid(
                "start_offset_samples",
                "needs a single file",
            ));
        }
        target.push_str(&format!("@@{}", request.start_offset));
    }
    if request.endless && (several || request.to_end) {
        return Err(Failure::invalid(
            "endless",
            "needs a single file, and never completes",
        ));
    }
    Ok(target)
}

/// FreeSWITCH's `Application-Response` of `playback` (`playback_function` in `mod_dptools.c`).
fn played(seen: Seen, response: String) -> Result<Executed, Failure> {
    if matches!(
        response.as_str(),
        "FILE PLAYED" | "PLAYBACK_INTERRUPTED" | "_none_" | ""
    ) {
        return Ok(Executed { seen, response });
    }
    Err(Failure::new(
        Reason::CommandRejected,
        format!("FreeSWITCH could not play it: {response}"),
    )
    .session(&seen.session.id)
    .node(&seen.session.node)
    .reply(&response))
}

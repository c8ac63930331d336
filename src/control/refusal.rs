//! What FreeSWITCH means when it refuses a command on a session. Each command has words of its own
//! (`mod_commands.c`, `mod_event_socket.c`), and some say the same whether the channel is gone or
//! cannot do it.

use super::effect::AFTERMATH;
use super::verb::in_field;
use super::{Control, api, ended};
use crate::domain::{Deadline, Failure, Reason, SessionId};
use crate::esl::quote::ApiCommand;
use crate::esl::{Outcome, Reply};
use crate::fleet::Node;
use crate::tracker::Session;

/// How a refusal begins that says that the channel is gone.
const GONE: [&str; 3] = [
    // Most `uuid_*` apis, with and without the id.
    "no such channel",
    // `sendmsg`.
    "invalid session id",
    // `uuid_record`, `uuid_send_dtmf`.
    "cannot locate session",
];

/// Refusals that do not say whether the channel is gone.
const UNCLEAR: [&str; 3] = [
    // `-ERROR` of `uuid_answer`, `uuid_pre_answer` and `uuid_ring_ready`; `uuid_transfer`.
    "",
    // `uuid_hold`, `uuid_media`, `uuid_send_dtmf`.
    "operation failed",
    // `uuid_bridge`, `uuid_broadcast`.
    "invalid uuid",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Gone,
    Unclear,
    Rejected,
}

/// Turns FreeSWITCH's refusal of a command on a session into a failure.
pub(crate) fn accepted(reply: &Reply, what: &str, session: &Session) -> Result<Outcome, Failure> {
    let outcome = reply.outcome();
    let text = match &outcome {
        Outcome::Error(text) => text,
        Outcome::Usage(text) => text,
        Outcome::Ok(_) | Outcome::Data(_) | Outcome::NoReply => return Ok(outcome),
    };
    let failure = match meaning(text) {
        Meaning::Gone => ended(session),
        Meaning::Unclear | Meaning::Rejected => {
            let message = format!("FreeSWITCH refused {what}: {}", reply.text().trim_end());
            Failure::new(Reason::CommandRejected, message)
                .session(&session.id)
                .node(&session.node)
        }
    };
    Err(failure.reply(&reply.text()))
}

fn meaning(text: &str) -> Meaning {
    let lower = text.to_ascii_lowercase();
    if GONE.iter().any(|words| lower.starts_with(words)) {
        Meaning::Gone
    } else if UNCLEAR.contains(&&*lower) {
        Meaning::Unclear
    } else {
        Meaning::Rejected
    }
}

// === impl Control ===

impl Control {
    /// What a refusal really means: FreeSWITCH is asked whether the session still exists where its
    /// words do not say, and the end of one that does not is waited for, since it is still on its
    /// way over the event link.
    pub(super) async fn explained(
        &self,
        node: &Node,
        session: &Session,
        refusal: Failure,
        deadline: Deadline,
    ) -> Failure {
        let words = refusal.metadata().get("freeswitch_reply").cloned();
        let is_unclear = || {
            let parsed = words.as_ref().map(|words| Outcome::parse(words.as_bytes()));
            matches!(parsed, Some(Outcome::Error(text)) if meaning(&text) == Meaning::Unclear)
        };
        let is_gone = match refusal.reason() {
            Reason::SessionEnded => true,
            Reason::CommandRejected if is_unclear() => {
                self.is_gone(node, &session.id, deadline).await
            }
            _ => false,
        };
        if !is_gone {
            return refusal;
        }
        let mut end = self.tracker.watch(node.id(), &session.id, |sighting| {
            (!sighting.session.is_live()).then(|| ended(sighting.session))
        });
        let soon = deadline.min(Deadline::after(AFTERMATH));
        let failure = match soon.bound(end.seen()).await {
            Some(Ok(failure)) => failure,
            _ => ended(session),
        };
        match words {
            Some(words) => failure.reply(&words),
            None => failure,
        }
    }

    /// Whether FreeSWITCH says that it has no such channel (`uuid_exists`).
    async fn is_gone(&self, node: &Node, id: &SessionId, deadline: Deadline) -> bool {
        let Ok(command) =
            ApiCommand::words("uuid_exists", &[id.as_str()]).map_err(in_field("session_id"))
        else {
            return false;
        };
        match node.send(api(&command), Some(id), deadline).await {
            Ok(reply) => reply.text().trim() == "false",
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Meaning::{Gone, Rejected, Unclear};
    use super::*;

    /// Every refusal of the commands that the verbs send, out of `mod_commands.c`; the last ones
    /// are those of `mod_event_socket.c`.
    const REFUSALS: &[(&str, &str, Meaning)] = &[
        ("uuid_answer", "-ERROR\n", Unclear),
        ("uuid_audio", "-ERR No such channel!\n", Gone),
        (
            "uuid_audio",
            "-USAGE: <uuid> [start [read|write] [mute|level <level>]|stop]\n",
            Rejected,
        ),
        ("uuid_break", "-ERR No such channel!\n", Gone),
        ("uuid_break", "-USAGE: <uuid> [all]\n", Rejected),
        ("uuid_bridge", "-ERR Invalid uuid\n", Unclear),
        ("uuid_bridge", "-USAGE: <uuid>\n", Rejected),
        ("uuid_broadcast", "-ERR invalid uuid\n", Unclear),
        (
            "uuid_broadcast",
            "-USAGE: <uuid> <path> [aleg|bleg|holdb|both]\n",
            Rejected,
        ),
        ("uuid_buglist", "-USAGE: <uuid>\n", Rejected),
        ("uuid_deflect", "-ERR No such channel 5f3c!\n", Gone),
        ("uuid_deflect", "-USAGE: <uuid> <uri>\n", Rejected),
        ("uuid_dump", "-ERR No such channel!\n", Gone),
        ("uuid_dump", "-ERR Allocation error\n", Rejected),
        ("uuid_dump", "-ERR Unable to create xml!\n", Rejected),
        ("uuid_dump", "-USAGE: <uuid> [format]\n", Rejected),
        ("uuid_fileman", "-ERR No such channel!\n", Gone),
        ("uuid_fileman", "-ERR No file handle!\n", Rejected),
        ("uuid_fileman", "-USAGE: <uuid> <cmd>:<val>\n", Rejected),
        ("uuid_hold", "-ERR Operation failed\n", Unclear),
        (
            "uuid_hold",
            "-USAGE: [off|toggle] <uuid> [<display>]\n-ERR Operation failed\n",
            Unclear,
        ),
        ("uuid_kill", "-ERR No such channel!\n", Gone),
        ("uuid_kill", "-USAGE: <uuid> [cause]\n", Rejected),
        ("uuid_media", "-ERR Operation failed\n", Unclear),
        (
            "uuid_media",
            "-USAGE: [off] <uuid>\n-ERR Operation failed\n",
            Unclear,
        ),
        ("uuid_park", "-ERR No such channel!\n", Gone),
        ("uuid_park", "-USAGE: <uuid>\n", Rejected),
        ("uuid_pre_answer", "-ERROR\n", Unclear),
        ("uuid_record", "-ERR Cannot locate session!\n", Gone),
        ("uuid_record", "-ERR Cannot record session!\n", Rejected),
        (
            "uuid_record",
            "-ERR Cannot stop record session!\n",
            Rejected,
        ),
        (
            "uuid_record",
            "-ERR Cannot mask recording session!\n",
            Rejected,
        ),
        (
            "uuid_record",
            "-ERR Cannot unmask recording session!\n",
            Rejected,
        ),
        (
            "uuid_record",
            "-ERR Cannot pause recording session!\n",
            Rejected,
        ),
        (
            "uuid_record",
            "-ERR Cannot resume recording session!\n",
            Rejected,
        ),
        (
            "uuid_record",
            "-USAGE: <uuid> [start|stop|mask|unmask] <path> [<limit>] [<recording_vars>]\n",
            Rejected,
        ),
        ("uuid_ring_ready", "-ERROR\n", Unclear),
        ("uuid_ring_ready", "-USAGE: <uuid> [queued]\n", Rejected),
        ("uuid_send_dtmf", "-ERR Cannot locate session!\n", Gone),
        ("uuid_send_dtmf", "-ERR Operation failed\n", Unclear),
        ("uuid_send_dtmf", "-USAGE: <uuid> <dtmf_data>\n", Rejected),
        ("uuid_setvar", "-ERR No such channel!\n", Gone),
        ("uuid_setvar", "-ERR No variable specified\n", Rejected),
        ("uuid_setvar", "-USAGE: <uuid> <var> [value]\n", Rejected),
        ("uuid_transfer", "-ERR No such channel!\n", Gone),
        ("uuid_transfer", "-ERR\n", Unclear),
        (
            "uuid_transfer",
            "-USAGE: <uuid> [-bleg|-both] <dest-exten> [<dialplan>] [<context>]\n",
            Rejected,
        ),
        (
            "sched_api",
            "-ERR Invalid syntax. USAGE: [+@]<time> <group_name> <command_string>[&]\n",
            Rejected,
        ),
        ("sched_del", "-ERR Invalid syntax\n", Rejected),
        ("sched_hangup", "-ERR No such channel!\n", Gone),
        (
            "sched_hangup",
            "-USAGE: [+]<time> <uuid> [<cause>]\n",
            Rejected,
        ),
        ("sendmsg", "-ERR invalid session id [5f3c]", Gone),
        ("sendmsg", "-ERR memory error", Rejected),
        ("api", "-ERR uuid_kill Command not found!\n", Rejected),
        ("api", "-ERR command not found", Rejected),
        ("api", "-ERR permission denied", Rejected),
    ];

    #[test]
    fn every_refusal_of_freeswitch_is_understood() {
        for (command, words, expected) in REFUSALS {
            let text = match Outcome::parse(words.as_bytes()) {
                Outcome::Error(text) => text,
                Outcome::Usage(text) => text,
                other => panic!("{command}: {words:?} is no refusal but {other:?}"),
            };
            assert_eq!(meaning(&text), *expected, "{command}: {words:?}");
        }
    }
}

//! The roles that are there without a word of configuration.

use super::dangers::{self, Danger};
use crate::config::{NamesConfig, RoleConfig};

/// Names of the roles that are there without a word of configuration.
pub const READY_ROLES: [&str; 3] = ["viewer", "operator", "admin"];

/// What only reads, by the names of RPCs; a test holds it to what the proto says of each.
const READS: [&str; 5] = [
    "*/Get*",
    "*/List*",
    "*/Watch*",
    "*/Wait*",
    "EventService/Subscribe",
];

/// Commands of operators: they look, or act on one call.
const SAFE_COMMANDS: [&str; 25] = [
    "conference",
    "create_uuid",
    "domain_exists",
    "echo",
    "group_call",
    "help",
    "hostname",
    "in_group",
    "limit_usage",
    "module_exists",
    "msleep",
    "originate",
    "sched_broadcast",
    "sched_hangup",
    "sched_transfer",
    "show",
    // With a wildcard, so that `sofia profile` is not among them.
    "sofia*",
    "status",
    "strepoch",
    "strftime*",
    "switchname",
    "uptime",
    "user_exists",
    "uuid_*",
    "version",
];

/// Applications of operators: they act on one call, whatever their arguments, which are looked into.
const SAFE_APPLICATIONS: [&str; 63] = [
    "answer",
    "att_xfer",
    "break",
    "bridge",
    "bridge_export",
    "conference",
    "deflect",
    "delay_echo",
    "displace_session",
    "eavesdrop",
    "echo",
    "endless_playback",
    "execute_extension",
    "export",
    "flush_dtmf",
    "gentones",
    "hangup",
    "hold",
    "info",
    "intercept",
    "log",
    "loop_playback",
    "multiset",
    "multiunset",
    "park",
    "park_state",
    "pickup",
    "play_and_get_digits",
    "playback",
    "pre_answer",
    "push",
    "queue_dtmf",
    "read",
    "record",
    "record_session",
    "record_session_mask",
    "record_session_pause",
    "record_session_resume",
    "record_session_unmask",
    "redirect",
    "respond",
    "ring_ready",
    "say",
    "sched_hangup",
    "sched_transfer",
    "send_display",
    "send_dtmf",
    "set",
    "set_audio_level",
    "set_mute",
    "set_name",
    "sleep",
    "speak",
    "start_dtmf",
    "stop_displace_session",
    "stop_dtmf",
    "stop_record_session",
    "three_way",
    "transfer",
    "unhold",
    "unset",
    "unshift",
    "wait_for_silence",
];

/// `viewer`, `operator` and `admin`.
pub(super) fn roles() -> [(&'static str, RoleConfig); 3] {
    let viewer = RoleConfig {
        rpcs: allow(READS),
        ..RoleConfig::default()
    };
    let control = ["SessionService/*", "CallService/*", "JobService/*"];
    let operator = RoleConfig {
        rpcs: allow(READS.into_iter().chain(control)),
        commands: allow(SAFE_COMMANDS),
        applications: allow(SAFE_APPLICATIONS),
        ..RoleConfig::default()
    };
    let admin = RoleConfig {
        rpcs: allow(["*"]),
        commands: allow(["*"].into_iter().chain(dangers::commands_of(Danger::Node))),
        applications: allow(
            ["*"]
                .into_iter()
                .chain(dangers::applications_of(Danger::Node)),
        ),
        ..RoleConfig::default()
    };
    let [viewers, operators, admins] = READY_ROLES;
    [(viewers, viewer), (operators, operator), (admins, admin)]
}

fn allow<'a>(names: impl IntoIterator<Item = &'a str>) -> NamesConfig {
    NamesConfig {
        allow: names.into_iter().map(str::to_owned).collect(),
        deny: Vec::new(),
    }
}

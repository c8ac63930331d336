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
        applications: allow(["*"]),
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

//! Hostile strings of a tenant that wants its sessions to be somebody else's.

use super::attack::{Attack, Tally};
use super::corpus::framed;
use super::slots::method;
use super::{in_paused_time, try_all};
use crate::callers::{VARIABLE, value};

/// RPCs whose strings become a part of a session, or a call.
const RPCS: [&str; 10] = [
    "Originate",
    "OriginateStream",
    "SetVariables",
    "UnsetVariables",
    "Bridge",
    "AttendedTransfer",
    "Transfer",
    "Playback",
    "Speak",
    "SendDtmf",
];

/// Applications that set variables, or run others that do.
const APPLICATIONS: [&str; 14] = [
    "set",
    "multiset",
    "export",
    "bridge_export",
    "unset",
    "multiunset",
    "set_profile_var",
    "transfer",
    "execute_extension",
    "bridge",
    "playback",
    "read",
    "log",
    "park",
];

/// The variable with another tenant's value, in all ways to write it.
fn corpus() -> Vec<String> {
    let set = format!("{VARIABLE}={}", value("other"));
    let payloads = [
        set.clone(),
        set.to_ascii_uppercase(),
        format!("'{VARIABLE}'={}", value("other")),
        format!("{{{set}}}"),
        format!("[{set}]"),
        format!("<{set}>"),
        format!("set:{set}"),
        format!("nolocal:{set}"),
        format!("execute-app-name: set\nexecute-app-arg: {set}"),
        VARIABLE.to_owned(),
    ];
    framed(&payloads)
        .chain(payloads.iter().map(|payload| payload[1..].to_owned()))
        .chain(payloads.iter().cloned())
        .collect()
}

#[test]
fn no_string_makes_a_tenants_session_somebody_elses() {
    let attack = Attack {
        caller: Some("acme"),
        corpus: corpus(),
        application: None,
    };
    let mut all = try_all(&RPCS.map(method), &attack);
    // Half of them is enough where the name of the application is one more dimension.
    let corpus: Vec<_> = attack.corpus.into_iter().step_by(2).collect();
    for application in APPLICATIONS {
        let attack = Attack {
            caller: Some("acme"),
            corpus: corpus.clone(),
            application: Some(application),
        };
        for rpc in ["Execute", "Originate"] {
            let is_meant = |field: &str| field.ends_with("arguments");
            let mut tally: Tally = in_paused_time(attack.on_those(&method(rpc), is_meant));
            tally.rename(application);
            all.add(tally);
        }
    }
    all.tell();
    assert!(all.wrongs.is_empty(), "{:#?}", all.wrongs);
    assert!(all.sent > 1_000, "{}", all.sent);
}

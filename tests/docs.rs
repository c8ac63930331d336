//! Documents that are made from the code: `UPDATE_DOCS=1 ./test docs::` writes them anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

mod api;
mod blocks;

const SERVICES: [&str; 5] = ["session", "call", "job", "event", "node"];
const PAGE: &str = "docs/rpcs.md";

/// Those that ask FreeSWITCH nothing.
const ASKING_NOTHING: [&str; 20] = [
    "DeleteJob",
    "DrainNode",
    "GetCall",
    "GetJob",
    "GetNode",
    "GetPeer",
    "ListCalls",
    "ListEvents",
    "ListJobs",
    "ListNodes",
    "ListSessionEvents",
    "ListSessions",
    "Subscribe",
    "UndrainNode",
    "WaitForEvents",
    "WaitJob",
    "WatchCall",
    "WatchJobs",
    "WatchNodes",
    "WatchSession",
];

/// Those that ask FreeSWITCH and change nothing.
const READING: [&str; 2] = ["GetSession", "GetVariables"];

/// One RPC as its proto comment describes it.
struct Rpc {
    name: String,
    /// The sentences of its comment.
    comment: String,
}

#[test]
fn the_table_of_rpcs_is_that_of_the_proto_comments() {
    let page = render();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(PAGE, &page).unwrap();
    }
    assert_eq!(
        fs::read_to_string(PAGE).unwrap_or_default(),
        page,
        "run UPDATE_DOCS=1 ./test docs:: to write it anew"
    );
}

#[test]
fn every_rpc_is_in_the_table() {
    let page = render();
    for service in SERVICES {
        let proto = source(service);
        let declared = proto
            .lines()
            .filter(|line| line.trim_start().starts_with("rpc "))
            .count();
        assert_eq!(rpcs(&proto).len(), declared, "{service}");
        for rpc in rpcs(&proto) {
            assert!(!rpc.comment.is_empty(), "{} has a comment", rpc.name);
            assert!(page.contains(&format!("| {} |", rpc.name)), "{}", rpc.name);
        }
    }
}

#[test]
fn every_rpc_says_what_it_sends_and_what_proves_it() {
    let mut silent = BTreeSet::new();
    for service in SERVICES {
        for rpc in rpcs(&source(service)) {
            let row = Row::of(&rpc.comment);
            if row.sends.is_empty() {
                silent.insert(rpc.name);
            } else {
                assert!(!row.proof.is_empty(), "what proves {}?", rpc.name);
            }
        }
    }
    assert_eq!(silent, ASKING_NOTHING.map(str::to_owned).into());
}

#[test]
fn every_rpc_that_changes_a_session_or_a_call_says_what_it_needs_and_how_it_fails() {
    for service in ["session", "call"] {
        for rpc in rpcs(&source(service)) {
            let row = Row::of(&rpc.comment);
            if row.sends.is_empty() || READING.contains(&&*rpc.name) {
                continue;
            }
            assert!(!row.condition.is_empty(), "conditions of {}", rpc.name);
            assert!(!row.errors.is_empty(), "errors of {}", rpc.name);
        }
    }
}

fn source(service: &str) -> String {
    fs::read_to_string(format!("proto/switchgate/v1/{service}_service.proto")).unwrap()
}

fn rpcs(proto: &str) -> Vec<Rpc> {
    let mut all = Vec::new();
    let mut comment = String::new();
    for line in proto.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("//") {
            if !comment.is_empty() {
                comment.push(' ');
            }
            comment.push_str(text.trim());
        } else if let Some(rest) = line.strip_prefix("rpc ") {
            let name = rest.split('(').next().unwrap().to_owned();
            all.push(Rpc {
                name,
                comment: std::mem::take(&mut comment),
            });
        } else {
            comment.clear();
        }
    }
    all
}

fn render() -> String {
    let mut page = String::from(
        "# Every RPC: what it sends, what proves its effect, what it needs\n\n\
         Made from the comments in [proto/switchgate/v1](../proto/switchgate/v1), which say more. `-`: FreeSWITCH is not \
         asked, or there is nothing of the kind.\n\n\
         A condition of every RPC that works on a session is that the session lives. Errors that every RPC can end \
         with, beside its own: INVALID_ARGUMENT, NOT_FOUND (SESSION_NOT_FOUND and the like), SESSION_ENDED, \
         NODE_UNAVAILABLE, OUTCOME_UNKNOWN, DEADLINE_EXCEEDED, REQUEST_ID_REUSED, SHUTTING_DOWN. Two questions are \
         asked beside the commands of the table: `show application`, once, before a node executes an application, and \
         `uuid_exists` where a refusal does not say whether the leg is gone.\n",
    );
    for service in SERVICES {
        let title = format!("{}{}", service[..1].to_uppercase(), &service[1..]);
        let _ = write!(
            page,
            "\n## {title}Service\n\n| RPC | sends | proof of the effect | conditions | errors | what it does |\n|---|---|---|---|---|---|\n"
        );
        for rpc in rpcs(&source(service)) {
            let row = Row::of(&rpc.comment);
            let cells = [
                &row.sends,
                &row.proof,
                &row.condition,
                &row.errors,
                &row.text,
            ];
            let cells = cells.map(|text| cell(text)).join(" | ");
            let _ = writeln!(page, "| {} | {cells} |", rpc.name);
        }
    }
    page
}

/// What a comment says, by the words with which its sentences begin.
struct Row {
    sends: String,
    proof: String,
    condition: String,
    errors: String,
    text: String,
}

// === impl Row ===

impl Row {
    /// `FreeSWITCH: COMMAND; proof: EVENT.`, `Condition: ..`, `Errors: ..`, and the rest.
    fn of(comment: &str) -> Self {
        let mut text = comment.to_owned();
        let command = take(&mut text, "FreeSWITCH: ");
        let (sends, proof) = command.split_once("; proof: ").unwrap_or((&command, ""));
        Self {
            sends: sends.to_owned(),
            proof: proof.to_owned(),
            condition: take(&mut text, "Condition: "),
            errors: take(&mut text, "Errors: "),
            text,
        }
    }
}

/// Takes a sentence out of a text, without the words that it begins with; empty if there is none.
fn take(text: &mut String, begin: &str) -> String {
    let Some((before, after)) = text.split_once(begin) else {
        return String::new();
    };
    let (sentence, rest) = match after.find(". ") {
        Some(at) => (&after[..at], &after[at + 2..]),
        None => (after.trim_end_matches('.'), ""),
    };
    let (sentence, rest) = (sentence.to_owned(), format!("{before}{rest}"));
    *text = rest;
    sentence
}

fn cell(text: &str) -> String {
    let text = if text.is_empty() { "-" } else { text };
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

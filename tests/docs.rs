//! Documents that are made from the code: `UPDATE_DOCS=1 ./test docs::` writes them anew.

use std::fmt::Write as _;
use std::fs;

const SERVICES: [&str; 5] = ["session", "call", "job", "event", "node"];
const PAGE: &str = "docs/rpcs.md";

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
        "# Every RPC: what it sends, what proves its effect\n\n\
         Made from the comments in [proto/switchgate/v1](../proto/switchgate/v1), which say more. Errors that every RPC \
         can end with, beside its own: INVALID_ARGUMENT, NOT_FOUND (SESSION_NOT_FOUND and the like), SESSION_ENDED, \
         NODE_UNAVAILABLE, OUTCOME_UNKNOWN, DEADLINE_EXCEEDED, REQUEST_ID_REUSED, SHUTTING_DOWN.\n",
    );
    for service in SERVICES {
        let title = format!("{}{}", service[..1].to_uppercase(), &service[1..]);
        let _ = write!(
            page,
            "\n## {title}Service\n\n| RPC | sends | proof of the effect | what it does, conditions and errors |\n|---|---|---|---|\n"
        );
        for rpc in rpcs(&source(service)) {
            let (sends, proof, rest) = split(&rpc.comment);
            let _ = writeln!(
                page,
                "| {} | {} | {} | {} |",
                rpc.name,
                cell(&sends),
                cell(&proof),
                cell(&rest)
            );
        }
    }
    page
}

/// `... FreeSWITCH: COMMAND; proof: EVENT. ...` in three parts.
fn split(comment: &str) -> (String, String, String) {
    let Some((before, after)) = comment.split_once("FreeSWITCH: ") else {
        return ("-".to_owned(), "-".to_owned(), comment.to_owned());
    };
    let (command, rest) = end_of_sentence(after);
    match command.split_once("; proof: ") {
        Some((sends, proof)) => (
            sends.to_owned(),
            proof.to_owned(),
            format!("{before}{rest}"),
        ),
        None => (
            command.to_owned(),
            "the reply".to_owned(),
            format!("{before}{rest}"),
        ),
    }
}

fn end_of_sentence(text: &str) -> (&str, &str) {
    match text.find(". ") {
        Some(at) => (&text[..at], &text[at + 2..]),
        None => (text.trim_end_matches('.'), ""),
    }
}

fn cell(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

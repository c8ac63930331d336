//! The blocks of code in the pages: what is a configuration loads, what is typed is a command line that
//! the program takes, and of all else is said why it is not tried.

use std::fs;

use clap::Parser as _;
use prost_reflect::DescriptorPool;
use switchgate::cli::Cli;
use switchgate::config::{Loader, Process};

/// Blocks that are not tried, by a line of theirs, with the reason.
const NOT_TRIED: &[(&str, &str)] = &[
    ("     switchgate  -- sessions", "a drawing"),
    ("   grpc/      services", "a drawing"),
    ("grpc/      services, conversion", "a list of folders"),
    ("./test", "these tests"),
    (
        "SWITCHGATE_TEST_FREESWITCH=127",
        "these tests, on a FreeSWITCH",
    ),
    ("freeswitch -nonat", "a FreeSWITCH"),
    ("SWITCHGATE_SEED=17", "these tests"),
    ("SWITCHGATE_ROLLING_ROUNDS=6", "these tests"),
    ("cargo +nightly fuzz", "fuzzing, see CONTRIBUTING.md"),
    ("cargo bench", "benchmarks, see CONTRIBUTING.md"),
    ("TOKEN=$(curl", "an identity provider"),
    ("kubectl get --raw", "a cluster"),
    (
        "not ready: 1 of 3",
        "what a probe answers: tests/admin/probes.rs",
    ),
    ("curl 127.0.0.1:50062/log-level", "tests/admin/log_level.rs"),
    (
        "issue() {",
        "openssl: tests/tls.rs makes its own certificates",
    ),
    ("\"callflow\"", "what FreeSWITCH writes"),
    ("jq -r", "jq"),
    (
        "\"rpc\": \"switchgate.v1",
        "a line of the audit: tests/audit.rs",
    ),
    ("string caller_id_number", "from the proto files"),
    ("deploy/debian/build", "a release build"),
    ("journalctl", "systemd"),
    ("helm install", "a cluster: helm/test/apiserver.sh"),
    ("kubectl ", "a cluster"),
    ("docker ", "a container engine"),
    ("<configuration name", "FreeSWITCH's"),
    ("NODE  STATE", "what helm test tells: helm/test/pod.py"),
];

/// Begins of YAML that is for Kubernetes, helm or Prometheus; it must be YAML.
const NOT_OURS: &[&str] = &[
    "apiVersion:",
    "spec:",
    "ports:",
    "# the client's pod",
    "scrape_configs:",
];

struct Block {
    /// File and line.
    place: String,
    language: String,
    text: String,
}

#[test]
fn configurations_in_the_pages_load() {
    let mut loaded = 0;
    for block in blocks().iter().filter(|block| block.language == "yaml") {
        let text = &block.text;
        // helm/test/pod.py runs the chart's values of that page.
        let is_of_chart = block.place.starts_with("docs/kubernetes.md");
        if is_of_chart || NOT_OURS.iter().any(|begin| text.starts_with(begin)) {
            yaml_serde::from_str::<yaml_serde::Value>(text)
                .unwrap_or_else(|error| panic!("{}: {error}", block.place));
            continue;
        }
        // An entry of a list is shown without what is around it.
        let text = match text.contains("    - issuer:") && !text.contains("access:") {
            true => format!("access:\n  jwt:\n{text}"),
            false => text.clone(),
        };
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        let loader = Loader::new(&Process).file(Some(file.path().to_owned()));
        let problems = loader
            .load()
            .err()
            .map_or(Vec::new(), |problems| problems.0);
        for problem in problems {
            // The files of the examples are not here.
            assert!(
                problem.reason.contains("No such file"),
                "{}: {}: {}",
                block.place,
                problem.key,
                problem.reason
            );
        }
        loaded += 1;
    }
    assert!(loaded > 10, "{loaded}");
}

#[test]
fn what_is_typed_in_the_pages_is_a_command_line_of_the_program() {
    let mut parsed = 0;
    for block in blocks() {
        for line in block.text.lines() {
            let Some(words) = typed(line) else { continue };
            if let Err(error) = Cli::try_parse_from(&words) {
                panic!("{}: {line}: {error}", block.place);
            }
            parsed += 1;
        }
    }
    assert!(parsed > 10, "{parsed}");
}

#[test]
fn each_rpc_that_grpcurl_asks_for_in_the_pages_exists() {
    let pool = DescriptorPool::decode(switchgate::pb::DESCRIPTOR).unwrap();
    let rpcs: Vec<String> = pool
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .map(|rpc| rpc.full_name().to_owned())
        .collect();
    for block in blocks() {
        for word in block
            .text
            .split(|c: char| c.is_whitespace() || "'\"`".contains(c))
        {
            let asked = word
                .split_once('/')
                .map(|(service, rpc)| format!("{service}.{rpc}"));
            if let Some(asked) = asked.filter(|asked| asked.starts_with("switchgate.v1.")) {
                assert!(rpcs.contains(&asked), "{}: {asked}", block.place);
            }
        }
    }
}

#[test]
fn every_block_is_tried_or_there_is_a_reason_why_not() {
    let mut used = Vec::new();
    for block in blocks() {
        let text = &block.text;
        let transcript =
            block.language.is_empty() && (text.contains("grpcurl ") || text.starts_with('{'));
        if block.language == "yaml" || transcript || text.lines().any(|it| typed(it).is_some()) {
            continue;
        }
        let reason = NOT_TRIED.iter().find(|(line, _)| text.contains(line));
        let (line, _) = reason.unwrap_or_else(|| panic!("{}: try it:\n{text}", block.place));
        used.push(*line);
    }
    for (line, _) in NOT_TRIED {
        assert!(used.contains(line), "no block is left with `{line}`");
    }
}

/// The words of a line in which the program is started.
fn typed(line: &str) -> Option<Vec<String>> {
    let line = line.trim_start_matches("$ ");
    // A list of commands tells behind two spaces what they do.
    let line = line.split("  ").next()?.split(" #").next()?;
    let line = line.split(" && ").next()?;
    let words = line.split_whitespace();
    let mut words = words.skip_while(|word| {
        let name = word.split_once('=').map_or("", |(name, _)| name);
        !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
    });
    match words.next()? {
        "switchgate" => {}
        "cargo" => {
            words.find(|word| *word == "--")?;
        }
        _ => return None,
    }
    let rest: Vec<String> = words.map(str::to_owned).collect();
    // A sentence that begins with the name.
    let first = rest
        .first()
        .filter(|word| word.as_bytes()[0].is_ascii_lowercase())?;
    let known = [
        "serve",
        "sim",
        "check-config",
        "healthcheck",
        "token",
        "completions",
        "man",
    ];
    known.contains(&first.as_str()).then(|| {
        let words = rest
            .into_iter()
            .take_while(|word| !["|", ">", ">>"].contains(&word.as_str()));
        std::iter::once("switchgate".to_owned())
            .chain(words)
            .collect()
    })
}

/// All blocks of README.md, CONTRIBUTING.md and docs/.
fn blocks() -> Vec<Block> {
    let pages = fs::read_dir("docs").unwrap();
    let mut paths: Vec<String> = pages
        .map(|entry| entry.unwrap().path().display().to_string())
        .filter(|path| path.ends_with(".md"))
        .chain(["README.md", "CONTRIBUTING.md"].map(str::to_owned))
        .collect();
    paths.sort();
    let mut blocks = Vec::new();
    for path in paths {
        let page = fs::read_to_string(&path).unwrap();
        let mut open: Option<Block> = None;
        for (number, line) in (1..).zip(page.lines()) {
            match (line.trim_start().strip_prefix("```"), open.take()) {
                (Some(_), Some(block)) => blocks.push(block),
                (Some(language), None) => {
                    open = Some(Block {
                        place: format!("{path}:{number}"),
                        language: language.to_owned(),
                        text: String::new(),
                    });
                }
                (None, Some(mut block)) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                    open = Some(block);
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{path}: a block is not closed");
    }
    blocks
}

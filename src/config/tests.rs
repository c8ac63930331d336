//! Layering, errors and the example file.

use std::time::Duration;

use yaml_serde::Value;

use super::node::NodeEntry;
use super::*;

mod access;
mod discovery;
mod empty;
mod roles;

const EXAMPLE: &str = include_str!("../../docs/config.example.yaml");

/// Reads `content` as a file beside these variables.
fn load(content: &str, source: Fake) -> Result<Config, Problems> {
    let source = source.file("switchgate.yaml", content);
    Loader::new(&source)
        .file(Some("switchgate.yaml".into()))
        .load()
}

/// What is wrong with `content`, a line each.
fn errors(content: &str) -> Vec<String> {
    lines(load(content, Fake::new()))
}

fn lines(outcome: Result<Config, Problems>) -> Vec<String> {
    let problems = outcome.err().map(|problems| problems.0).unwrap_or_default();
    problems.iter().map(ToString::to_string).collect()
}

/// All paths of a tree that lead to a leaf.
fn leaves(value: &Value, above: &str, found: &mut Vec<String>) {
    match value.as_mapping() {
        Some(map) if !map.is_empty() => {
            for (key, value) in map {
                leaves(value, &layers::join(above, key.as_str().unwrap()), found);
            }
        }
        _ => found.push(above.to_owned()),
    }
}

#[test]
fn nothing_given_is_all_defaults() {
    let config = Loader::new(&Fake::new()).load().unwrap();
    assert_eq!(config.grpc, GrpcConfig::default());
    assert_eq!(
        config.to_yaml().unwrap(),
        Config::default().to_yaml().unwrap()
    );
    assert!(
        load("", Fake::new()).is_ok() && load("grpc:\nesl:\n  backoff:\n", Fake::new()).is_ok()
    );
}

#[test]
fn the_example_holds_every_key_with_its_default() {
    let mut config = load(EXAMPLE, Fake::new()).unwrap();
    let nodes = std::mem::take(&mut config.nodes);
    let defaults = Config::default().to_yaml().unwrap();
    assert_eq!(config.to_yaml().unwrap(), defaults);

    let (mut present, mut wanted) = (Vec::new(), Vec::new());
    leaves(&yaml_serde::from_str(EXAMPLE).unwrap(), "", &mut present);
    leaves(&yaml_serde::from_str(&defaults).unwrap(), "", &mut wanted);
    present.sort();
    wanted.sort();
    assert_eq!(present, wanted);

    // The keys of a node exclude each other in part, so that some are commented out.
    let refused = yaml_serde::from_str::<NodeEntry>("surely_unknown: 1")
        .unwrap_err()
        .to_string();
    let keys: Vec<&str> = refused.split('`').skip(3).step_by(2).collect();
    assert_eq!(keys.len(), 7, "{refused}");
    for key in keys {
        let written = |line: &str| {
            line.trim_start_matches([' ', '#', '-'])
                .starts_with(&format!("{key}:"))
        };
        assert!(EXAMPLE.lines().any(written), "{key}");
    }
    assert_eq!(nodes[0].command_links, EslConfig::default().command_links);
    assert_eq!(nodes[0].address.port, DEFAULT_ESL_PORT);
}

#[test]
fn environment_wins_over_file_and_flags_over_both() {
    let source = Fake::new()
        .file(
            "f",
            "grpc: {listen: '10.0.0.1:1', max_message_bytes: 1MiB}\naccess: {insecure: true}\nlog: {level: warn}\n",
        )
        .variable("SWITCHGATE__GRPC__LISTEN", "10.0.0.2:2")
        .variable("SWITCHGATE__GRPC__REFLECTION", "false")
        .variable("SWITCHGATE__GRPC__MAX_CONCURRENT_STREAMS", "7")
        .variable("SWITCHGATE__ESL__BACKOFF__MIN", "1s")
        .variable("SWITCHGATE__EVENTS__JOURNAL_BYTES", "")
        .variable("SWITCHGATE_PORT", "tcp://10.0.0.9:50061")
        .variable("RUST_LOG", "debug");
    let load = |flag: Option<&str>| {
        Loader::new(&source)
            .file(Some("f".into()))
            .flag("grpc.listen", "--listen", flag.map(str::to_owned))
            .load()
            .unwrap()
    };
    let config = load(None);
    assert_eq!(config.grpc.listen.to_string(), "10.0.0.2:2");
    assert_eq!(config.grpc.max_message_bytes, Size::from_mib(1));
    assert_eq!(
        (config.grpc.reflection, config.grpc.max_concurrent_streams),
        (false, 7)
    );
    assert_eq!(config.esl.backoff.min, Duration::from_secs(1));
    assert_eq!(config.events, EventsConfig::default());
    assert_eq!(config.log.level, "debug");
    assert_eq!(load(Some("[::1]:3")).grpc.listen.to_string(), "[::1]:3");
}

#[test]
fn the_own_log_variable_wins_over_rust_log() {
    let source = Fake::new()
        .variable("RUST_LOG", "debug")
        .variable("SWITCHGATE__LOG__LEVEL", "warn,switchgate::esl=trace");
    let config = Loader::new(&source).load().unwrap();
    assert_eq!(config.log.level, "warn,switchgate::esl=trace");
}

#[test]
fn nodes_come_from_all_layers() {
    let source = Fake::new()
        .file("f", "nodes:\n- {id: a, address: one, labels: {zone: 1}}\n- {id: b, address: two}\nesl: {command_links: 3}\n")
        .variable("SWITCHGATE__NODES__1__PASSWORD", "12 # 34")
        .variable("SWITCHGATE__NODES__1__COMMAND_LINKS", "5")
        .variable("SWITCHGATE__NODES__0__LABELS__RACK", "r1");
    let source = Loader::new(&source)
        .file(Some("f".into()))
        .node("b", "three:9")
        .node("c", "four");
    // The label is a number in the file: it is refused rather than guessed at.
    let problem = "nodes[0].labels.zone: 1 is not text; put the value in quotes (f)";
    assert_eq!(lines(source.load()), [problem]);

    let source = Fake::new()
        .variable("SWITCHGATE__NODES__0__ID", "a")
        .variable("SWITCHGATE__NODES__0__ADDRESS", "one")
        .variable("SWITCHGATE__NODES__0__LABELS__RACK", "r1")
        .variable("SWITCHGATE__NODES__1__ID", "b")
        .variable("SWITCHGATE__NODES__1__PASSWORD", "12 # 34")
        .variable("SWITCHGATE__NODES__1__COMMAND_LINKS", "5")
        .variable("SWITCHGATE__ESL__COMMAND_LINKS", "3");
    let config = Loader::new(&source)
        .node("b", "three:9")
        .node("c", "four")
        .load()
        .unwrap();
    let seen: Vec<String> = config
        .nodes
        .iter()
        .map(|node| {
            format!(
                "{} {} {} {:?}",
                node.id, node.address, node.command_links, node.labels
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            "a one:8021 3 {\"rack\": \"r1\"}",
            "b three:9 5 {}",
            "c four:8021 3 {}"
        ]
    );
    assert_eq!(config.nodes[1].password.expose(), "12 # 34");
}

#[test]
fn errors_name_key_value_remedy_and_origin() {
    for (content, line) in [
        (
            "grpc: {listen: 'localhost:50061'}",
            "grpc.listen: `localhost:50061` is not an IP address with a port; write ADDRESS:PORT, such as 127.0.0.1:50061 or [::]:50061 (switchgate.yaml)",
        ),
        (
            "grpc: {keepalive_interval: 30}",
            "grpc.keepalive_interval: 30 is not a duration with its unit; write for example 250ms, 30s, 5m or 1h30m (switchgate.yaml)",
        ),
        (
            "events: {journal_bytes: 64MB}",
            "events.journal_bytes: `64MB` is not a size; give bytes, or a number with KiB, MiB or GiB, such as 64MiB (switchgate.yaml)",
        ),
        (
            "grpc: {deadlines: {defualt: 1s}}",
            "grpc.deadlines.defualt: is no key; the keys here are `default`, `originate`, `max` (switchgate.yaml)",
        ),
        (
            "esl: {probe_after: 45s}",
            "esl.dead_after: 45s would count a link as lost before it was asked: it is not longer than esl.probe_after (45s); raise esl.dead_after or lower esl.probe_after (the default)",
        ),
        (
            "esl: {dead_after: 61s}",
            "esl.dead_after: 1m 1s is longer than 1m, within which a link that silently died must be found; give at most 1m (switchgate.yaml)",
        ),
        (
            "admin: {ready: most}",
            "admin.ready: `most` is not a number of nodes; write any, all, quorum or none (switchgate.yaml)",
        ),
        (
            "admin: {log_level_from: me}",
            "admin.log_level_from: `me` is not who may change the log level; write loopback, anyone or nobody (switchgate.yaml)",
        ),
        (
            "admin: {listen: '127.0.0.1:50061'}",
            "admin.listen: 127.0.0.1:50061 is also grpc.listen; give metrics and probes a port of their own (switchgate.yaml)",
        ),
        (
            "jobs: {retention: 0s}",
            "jobs.retention: 0s is too short; give a time longer than zero (switchgate.yaml)",
        ),
        (
            "esl: {command_links: -1}",
            "esl.command_links: -1 is not a count; write a whole number without sign (switchgate.yaml)",
        ),
        (
            "sessions: {call_variable: 'a b'}",
            "sessions.call_variable: `a b` is no name of a channel variable; write letters, digits, _ and -, at most 128, such as call_uuid (switchgate.yaml)",
        ),
        (
            "log: {level: verbose}",
            "log.level: `verbose` is no log level; write off, error, warn, info, debug or trace, or parts such as info,switchgate::esl=debug (switchgate.yaml)",
        ),
        (
            "log: {format: xml}",
            "log.format: `xml` is not a log format; write auto, text or json (switchgate.yaml)",
        ),
        (
            "grpc: 5",
            "grpc: 5 is not a mapping of keys; write its keys below it, indented (switchgate.yaml)",
        ),
        (
            "esl: {backoff: {5: 6}}",
            "esl.backoff.5: is no key; the keys here are `min`, `max` (switchgate.yaml)",
        ),
        (
            "nodes: fs1",
            "nodes: `fs1` is not a list; write its items below it, each after a dash (switchgate.yaml)",
        ),
        (
            "nodes: [{address: 'fs1:0', id: fs1}]",
            "nodes[0].address: `fs1:0` is not a host, with or without a port from 1 to 65535; write HOST or HOST:PORT, such as fs1.example.net:8021 (switchgate.yaml)",
        ),
        (
            "nodes: [{id: fs1}]",
            "nodes[0].address: is missing; write HOST or HOST:PORT of its event socket (switchgate.yaml)",
        ),
        (
            "nodes: [{id: a, address: x}, {id: a, address: y}]",
            "nodes[1].id: `a` is also the id of nodes[0]; give each node an id of its own (switchgate.yaml)",
        ),
        (
            "nodes: [{id: a, address: fs1}, {id: b, address: 'FS1:8021'}]",
            "nodes[1].address: `FS1:8021` is also the address of nodes[0]; name each FreeSWITCH once (switchgate.yaml)",
        ),
        (
            "nodes: [{id: a, address: x}, {id: b, address: y, password_file: /nowhere}]",
            "nodes[1].password_file: `/nowhere` cannot be read: no such file; name a file that holds the password and that this user may read (switchgate.yaml)",
        ),
        (
            "nodes: [{id: a, address: x, user: '1000'}]",
            "nodes[0].user: `1000` is no user of FreeSWITCH's directory; write USER@DOMAIN, or leave it out to use the event socket's own password (switchgate.yaml)",
        ),
        (
            "grpc: {? [1] : 2}",
            "grpc.?: has a key that is not text; write keys as plain words (switchgate.yaml)",
        ),
        (
            "shutdown: {grace.max: 1}",
            "shutdown.grace.max: is no key; the keys here are `grace`, `delay` (switchgate.yaml)",
        ),
        (
            "- 1",
            "is no mapping of keys; begin it with keys such as grpc: and nodes:, see docs/config.example.yaml (switchgate.yaml)",
        ),
    ] {
        assert_eq!(errors(content), [line], "{content}");
    }
}

#[test]
fn errors_of_environment_and_flags_name_them() {
    let source = Fake::new()
        .variable("SWITCHGATE__GRPC__LISTEN", "50061")
        .variable("SWITCHGATE__NODES__ONE__ID", "x")
        .variable("SWITCHGATE__GRCP__LISTEN", "x");
    let load = Loader::new(&source)
        .flag("log.level", "--log-level", Some("loud".to_owned()))
        .node("a b", "fs1")
        .load();
    assert_eq!(
        lines(load),
        [
            "grcp: is no key; the keys here are `grpc`, `access`, `admin`, `nodes`, `discovery`, `esl`, `sessions`, `jobs`, `events`, `shutdown`, `log`, `tracing`, `audit`, `limits`, `roles`, `tenants` (environment variable SWITCHGATE__GRCP__LISTEN)",
            "grpc.listen: `50061` is not an IP address with a port; write ADDRESS:PORT, such as 127.0.0.1:50061 or [::]:50061 (environment variable SWITCHGATE__GRPC__LISTEN)",
            "nodes[0].id: `a b` holds ' '; allowed are letters, digits and - . _ @ : + ~ * ! / =; give a short name, such as fs1 (--node)",
            "nodes.one: is no number of a node; number the nodes from 0 to 9999 (environment variable SWITCHGATE__NODES__ONE__ID)",
            "log.level: `loud` is no log level; write off, error, warn, info, debug or trace, or parts such as info,switchgate::esl=debug (--log-level)",
        ]
    );
}

#[test]
fn all_errors_come_at_once_and_none_twice() {
    let found = errors(
        "grpc: {listen: x, port: 1, deadlines: {max: 1s}}\n\
         nodes: [5, {id: 7, address: a}, {id: b, address: b, command_links: 0}]\n\
         esl: {probe_after: soon, dead_after: 10s}\nevents: {journal_bytes: 0}\n",
    );
    let keys: Vec<&str> = found
        .iter()
        .filter_map(|line| line.split(": ").next())
        .collect();
    assert_eq!(
        keys,
        [
            "grpc.deadlines.max",
            "grpc.deadlines.max",
            "grpc.listen",
            "grpc.port",
            "nodes[0]",
            "nodes[1].id",
            "nodes[2].command_links",
            "esl.probe_after",
            "events.journal_bytes",
        ],
        "{found:#?}"
    );
}

#[test]
fn a_file_that_is_missing_or_no_yaml_is_told() {
    let source = Fake::new().file("bad", "grpc:\n  listen: [\n");
    let missing = Loader::new(&source).file(Some("none".into())).load();
    assert_eq!(
        lines(missing),
        ["cannot be read: no such file; name a YAML file that this user may read (none)"]
    );
    let bad = lines(Loader::new(&source).file(Some("bad".into())).load());
    assert!(bad.len() == 1 && bad[0].contains("line 3"), "{bad:?}");
}

#[test]
fn serve_without_nodes_is_told_the_three_ways() {
    let source = Fake::new().file("f", "nodes: [{id: a, address: a}]");
    let required = Loader::new(&source).need(NodeNeed::Required).load();
    assert_eq!(
        lines(required),
        [
            "nodes: names no FreeSWITCH to control; give --node NAME=HOST:PORT, list nodes or sources of discovery in a file for --config, or try --demo, which simulates two"
        ]
    );
    let demo = Loader::new(&source).need(NodeNeed::Simulated);
    assert!(demo.load().is_ok());
    let both = Loader::new(&source)
        .file(Some("f".into()))
        .need(NodeNeed::Simulated);
    assert_eq!(lines(both.load()).len(), 1);
}

#[test]
fn a_password_comes_from_the_node_then_the_environment_then_the_default() {
    let content = "nodes: [{id: a, address: a, password: inline}, {id: b, address: b, password_file: /p}, {id: c, address: c}]";
    let seen = |source: Fake| {
        let config = load(content, source.file("/p", "from file\n")).unwrap();
        let default = config.nodes_with_default_password().count();
        let exposed = |node: &NodeConfig| node.password.expose().to_owned();
        let yaml = config.to_yaml().unwrap();
        for secret in ["inline", "from file", "from env", "ClueCon"] {
            assert!(
                !format!("{config:?}{yaml}").contains(secret),
                "{secret} in {yaml}"
            );
        }
        (
            config.nodes.iter().map(exposed).collect::<Vec<_>>(),
            default,
        )
    };
    let environment = Fake::new().variable("SWITCHGATE_ESL_PASSWORD", "from env");
    assert_eq!(seen(environment).0, ["inline", "from file", "from env"]);
    let file = Fake::new()
        .variable("SWITCHGATE_ESL_PASSWORD_FILE", "/e")
        .file("/e", "from env");
    assert_eq!(seen(file).0, ["inline", "from file", "from env"]);
    let (passwords, default) = seen(Fake::new());
    assert_eq!((passwords[2].as_str(), default), ("ClueCon", 1));
}

#[test]
fn no_error_shows_a_password() {
    let secret = "4711080815";
    let files = [
        format!("nodes: [{{id: a, address: a, password: {secret}}}]"),
        format!("nodes: [{{id: a, address: a, pasword: {secret}}}]"),
        format!("nodes: [{{id: a, address: a, password: [{secret}]}}]"),
        format!("nodes: [{{id: a, address: a, password: \"{secret}\\n\"}}]"),
        format!("nodes: [{{id: a, address: a, password: '{secret}', password_file: x}}]"),
        format!("password: {secret}"),
    ];
    for content in files {
        let outcome = load(&content, Fake::new());
        let shown = format!("{outcome:?}{}", lines(outcome.clone()).join("\n"));
        assert!(
            outcome.is_err() && !shown.contains(secret),
            "{content}: {shown}"
        );
    }
    let both = Fake::new()
        .variable("SWITCHGATE_ESL_PASSWORD", secret)
        .variable("SWITCHGATE_ESL_PASSWORD_FILE", "/p");
    let broken = Fake::new().variable("SWITCHGATE_ESL_PASSWORD", &format!("{secret}\n"));
    for source in [both, broken] {
        let found = lines(Loader::new(&source).load());
        assert!(found.len() == 1 && !found[0].contains(secret), "{found:?}");
    }
}

#[test]
fn a_node_that_is_not_complete_may_have_an_id_twice_too() {
    let text = "nodes: [{id: a, address: one, password: x}, {id: a, password: x}]";
    let keys: Vec<String> = load(text, Fake::new())
        .unwrap_err()
        .0
        .into_iter()
        .map(|problem| problem.key)
        .collect();
    assert_eq!(keys, ["nodes[1].address", "nodes[1].id"]);
}

#[test]
fn errors_come_in_the_order_of_the_keys() {
    let text = "log: {level: x=y=z}\ngrpc: {keepalive_timeout: 0s, deadlines: {default: soon}}\n\
                esl: {max_pending: 0}\nnodes: [{id: a b, address: one, password: x}]";
    let keys: Vec<String> = load(text, Fake::new())
        .unwrap_err()
        .0
        .into_iter()
        .map(|problem| problem.key)
        .collect();
    assert_eq!(
        keys,
        [
            "grpc.deadlines.default",
            "grpc.keepalive_timeout",
            "nodes[0].id",
            "esl.max_pending",
            "log.level"
        ]
    );
}

#[test]
fn events_are_named_in_a_list_or_in_one_text() {
    let always = |yaml: &str, source: Fake| {
        let config = load(yaml, source).unwrap();
        config
            .events
            .always
            .iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let list = "events: {always: [API, 'conference::maintenance']}\n";
    let both = ["API", "conference::maintenance"];
    assert_eq!(always(list, Fake::new()), both);
    let text = "events: {always: 'API, conference::maintenance'}\n";
    assert_eq!(always(text, Fake::new()), both);
    let variable = Fake::new().variable("SWITCHGATE__EVENTS__ALWAYS", "ALL");
    assert_eq!(always(list, variable), ["ALL"]);

    for (written, told) in [
        ("[API, channel_answer]", "events.always[1]"),
        ("['']", "events.always[0]"),
        ("[API, 'a b::c']", "events.always[1]"),
        ("[API, 7]", "put each name in quotes"),
        ("7", "is not a list"),
        ("{API: true}", "is not a list"),
    ] {
        let problems = load(&format!("events: {{always: {written}}}\n"), Fake::new()).unwrap_err();
        assert!(problems.to_string().contains(told), "{written}: {problems}");
    }
}

mod observed;

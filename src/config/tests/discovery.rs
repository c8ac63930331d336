//! Sources of nodes, and files that name nodes.

use std::path::Path;

use proptest::prelude::*;

use super::*;

fn source(content: &str) -> SourceConfig {
    let mut config = load(content, Fake::new()).unwrap();
    config.discovery.sources.remove(0)
}

fn nodes(content: &str) -> Result<Vec<NodeConfig>, Problems> {
    let source = source(
        "discovery: {sources: [{name: f, file: n.yaml, password: of-the-source, user: a@b, labels: {x: '1', y: '2'}}]}",
    );
    let file = NodeFile {
        path: Path::new("n.yaml"),
        source: &source,
    };
    file.nodes(content, &Fake::new().file("/secret", "of-the-file\n"))
}

#[test]
fn sources_have_defaults_and_show_no_password() {
    let dns =
        source("discovery: {sources: [{name: pods, dns: {name: fs.example}, password: hunter2}]}");
    let expected = Place::Dns {
        name: "fs.example".to_owned(),
        question: DnsQuestion::Addresses(8021),
        node_id: NodeName::new("{source}-{address}"),
    };
    assert_eq!(dns.place, expected);
    assert_eq!(
        (dns.interval, dns.command_links),
        (Duration::from_secs(30), 8)
    );
    let id = |name: &NodeName| name.of("pods", "{port}", [192, 0, 2, 1].into(), 9);
    let Place::Dns { node_id, .. } = &dns.place else {
        unreachable!()
    };
    assert_eq!(id(node_id).unwrap().as_str(), "pods-192.0.2.1");
    assert!(
        id(&NodeName::new("{host}")).is_err(),
        "a host is no template"
    );
    let seen = format!("{dns:?}{}", yaml_serde::to_string(&dns).unwrap());
    assert!(!seen.contains("hunter2"), "{seen}");

    let srv = source(
        "discovery: {sources: [{name: set, dns: {name: _esl._tcp.fs.example., srv: true}}]}",
    );
    let Place::Dns {
        question, node_id, ..
    } = &srv.place
    else {
        unreachable!()
    };
    assert_eq!(
        (*question, &*node_id.to_string()),
        (DnsQuestion::Services, "{host}")
    );
    let file = source("discovery: {sources: [{name: list, file: /n.yaml}]}");
    assert_eq!(file.interval, Duration::from_secs(5));
    let fake = Fake::new().variable("SWITCHGATE__DISCOVERY__SOURCES__0__DNS__PORT", "9");
    let config = load("discovery: {sources: [{name: a, dns: {name: x}}]}", fake).unwrap();
    let Place::Dns { question, .. } = &config.discovery.sources[0].place else {
        unreachable!()
    };
    assert_eq!(*question, DnsQuestion::Addresses(9));
}

#[test]
fn what_is_wrong_with_a_source_is_told() {
    let one = |rest: &str| format!("discovery: {{sources: [{{name: a, {rest}}}]}}");
    for (content, line) in [
        (
            "discovery: {sources: [{dns: {name: x}}]}".to_owned(),
            "discovery.sources[0].name: is missing; give the source a name, such as pods (switchgate.yaml)",
        ),
        (
            "discovery: {sources: [{name: 'a b', dns: {name: x}}]}".to_owned(),
            "discovery.sources[0].name: `a b` is no name of a source; write letters, digits, - _ and ., at most 63, such as pods (switchgate.yaml)",
        ),
        (
            "discovery: {sources: [{name: a, file: x}, {name: a, file: y}]}".to_owned(),
            "discovery.sources[1].name: `a` is also the name of discovery.sources[0]; give each source a name of its own (switchgate.yaml)",
        ),
        (
            one("interval: 1s"),
            "discovery.sources[0]: looks at nothing; give dns or file (switchgate.yaml)",
        ),
        (
            one("dns: {name: x}, file: y"),
            "discovery.sources[0].file: is given and so is dns; leave one of them out, or make two sources (switchgate.yaml)",
        ),
        (
            one("dns: {port: 1}"),
            "discovery.sources[0].dns.name: is missing; write the name to ask for, such as freeswitch.voip.svc.cluster.local (switchgate.yaml)",
        ),
        (
            one("dns: {name: 'a..b'}"),
            "discovery.sources[0].dns.name: `a..b` is no name in DNS; write labels of letters, digits, - and _ with dots between them (switchgate.yaml)",
        ),
        (
            one("dns: {name: x, port: 65536}"),
            "discovery.sources[0].dns.port: 65536 is no port; give 1 to 65535; 8021 when left out (switchgate.yaml)",
        ),
        (
            one("dns: {name: x, port: 1, srv: true}"),
            "discovery.sources[0].dns.port: is given beside srv, whose records have ports of their own; leave one of them out (switchgate.yaml)",
        ),
        (
            one("dns: {name: x}, interval: 0s"),
            "discovery.sources[0].interval: 0s is no usable interval; give a time longer than zero, at most 365days (switchgate.yaml)",
        ),
        (
            one("dns: {name: x}, node_id: '{source}'"),
            "discovery.sources[0].node_id: `{source}` gives all nodes one name; write letters, digits, - and the parts {source}, {address}, {port}; {address} must be there (switchgate.yaml)",
        ),
        (
            one("file: x, node_id: '{address}'"),
            "discovery.sources[0].node_id: is given beside file, whose nodes have ids of their own; leave it out (switchgate.yaml)",
        ),
        (
            one("file: x, user: nobody"),
            "discovery.sources[0].user: `nobody` is no user of FreeSWITCH's directory; write USER@DOMAIN, or leave it out to use the event socket's own password (switchgate.yaml)",
        ),
        (
            "discovery: {dns_server: '127.0.0.1:0'}".to_owned(),
            "discovery.dns_server: 127.0.0.1:0 has no port; give its port, which is 53 mostly (switchgate.yaml)",
        ),
    ] {
        assert_eq!(errors(&content), [line], "{content}");
    }
    let host = one("dns: {name: x}, node_id: 'x-{host}'");
    assert!(
        errors(&host)[0].contains("holds '{'"),
        "{:?}",
        errors(&host)
    );
}

#[test]
fn a_file_names_nodes_as_the_configuration_does() {
    let content = "- {id: a, address: fs1}\n- {id: b, address: 'fs2:9', password_file: /secret, user: c@d, labels: {x: own}, command_links: 2}\n";
    let all = nodes(content).unwrap();
    let seen = all.iter().map(|node| {
        let labels: Vec<_> = node.labels.values().map(String::as_str).collect();
        (
            node.address.to_string(),
            node.password.expose(),
            node.user.as_deref(),
            labels.join(","),
            node.command_links,
        )
    });
    let expected = [
        (
            "fs1:8021".to_owned(),
            "of-the-source",
            Some("a@b"),
            "1,2".to_owned(),
            8,
        ),
        (
            "fs2:9".to_owned(),
            "of-the-file",
            Some("c@d"),
            "own,2".to_owned(),
            2,
        ),
    ];
    assert_eq!(seen.collect::<Vec<_>>(), expected);
    assert_eq!(nodes("[]").unwrap(), []);
    for (content, line) in [
        (
            "",
            "is no list; write a list of nodes as below nodes:, or [] for none (n.yaml)",
        ),
        (
            "nodes: []",
            "is no list; write a list of nodes as below nodes:, or [] for none (n.yaml)",
        ),
        (
            "[{id: a, address: x}, {id: a, address: y}]",
            "nodes[1].id: `a` is also the id of nodes[0]; give each node an id of its own (n.yaml)",
        ),
        (
            "[{id: a, address: x, adress: y}]",
            "nodes[0].adress: is no key; the keys here are `id`, `address`, `user`, `password`, `password_file`, `labels`, `command_links` (n.yaml)",
        ),
    ] {
        assert_eq!(
            lines(nodes(content).map(|_| Config::default())),
            [line],
            "{content}"
        );
    }
}

proptest! {
    #[test]
    fn any_file_is_read_or_refused(content in "[-\\[\\]{}: ,'\"a-d\n#&*!0-9]{0,60}|\\PC{0,40}") {
        if let Err(problems) = nodes(&content) {
            prop_assert!(!problems.0.is_empty());
        }
    }

    #[test]
    fn a_half_of_a_list_that_is_cut_in_an_entry_is_refused_or_shorter(at in 0_usize..90) {
        let whole = "- {id: a, address: fs1}\n- {id: b, address: fs2}\n- {id: c, address: fs3}\n";
        let cut = &whole[..at.min(whole.len())];
        if let Ok(nodes) = nodes(cut) {
            let ids: Vec<_> = nodes.iter().map(|node| node.id.as_str()).collect();
            prop_assert!(["a", "b", "c"].starts_with(&ids) && !ids.is_empty());
        }
    }
}

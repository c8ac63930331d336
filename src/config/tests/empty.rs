//! Keys without a value.

use super::*;

#[test]
fn a_key_without_a_value_is_refused() {
    for (content, line) in [
        (
            "log: {level: info,switchgate::esl=debug}",
            "log.switchgate::esl=debug: is no key; the keys here are `level`, `format`; a text with a comma between { } needs quotes (switchgate.yaml)",
        ),
        (
            "grpc:\n  lisen:\n",
            "grpc.lisen: is no key; the keys here are `listen`, `tls`,",
        ),
        ("grcp:\n", "grcp: is no key; the keys here are `grpc`,"),
        (
            "log:\n  level:\n",
            "log.level: has no value; write one, or leave it out (switchgate.yaml)",
        ),
        (
            "nodes: [{id: a, address: x, password: }]",
            "nodes[0].password: has no value; write one, or leave it out (switchgate.yaml)",
        ),
        (
            "access: {anonymous: {tenant: }}",
            "access.anonymous.tenant: has no value; write one, or leave it out (switchgate.yaml)",
        ),
        (
            "nodes: [{id: a, address: x, labels: {zone: }}]",
            "nodes[0].labels.zone: has no value; write one, or leave it out (switchgate.yaml)",
        ),
        (
            "roles: {a: {nodes: }}",
            "roles.a.nodes: has no value; write one, or leave it out (switchgate.yaml)",
        ),
        (
            "roles: {a: {commands: {allow: ['*'], deny: }}}",
            "roles.a.commands.deny: has no value; write one, or leave it out (switchgate.yaml)",
        ),
        (
            "access: {anonymous: {roles: }}",
            "access.anonymous.roles: has no value; write one, or leave it out (switchgate.yaml)",
        ),
    ] {
        let found = errors(content);
        assert!(
            found.len() == 1 && found[0].starts_with(line),
            "{content}: {found:?}"
        );
    }
}

#[test]
fn a_section_or_list_with_nothing_below_it_is_as_if_it_were_left_out() {
    let content = "grpc:\n  tls:\n    certificate:\n  deadlines:\nnodes:\nevents:\n  always:\n\
                   access:\n  tokens:\n  anonymous:\nroles:\ntenants:\ntracing:\n  resource:\n";
    let config = load(content, Fake::new()).unwrap();
    let defaults = Config::default().to_yaml().unwrap();
    assert_eq!(config.to_yaml().unwrap(), defaults);
    let issuer = "access: {jwt: [{issuer: a, audience: b, jwks_url: 'https://c', algorithms: }]}";
    let config = load(issuer, Fake::new()).unwrap();
    assert_eq!(
        config.access.jwt[0].algorithms,
        JwtConfig::default().algorithms
    );
    // What is set elsewhere finds its place all the same.
    let variable = Fake::new().variable("SWITCHGATE__GRPC__REFLECTION", "false");
    assert!(!load("grpc:\n", variable).unwrap().grpc.reflection);
}

#[test]
fn errors_know_the_place_of_every_section() {
    let defaults = yaml_serde::to_value(Config::default()).unwrap();
    let sections = defaults.as_mapping().unwrap().keys();
    let sections: Vec<_> = sections.filter_map(Value::as_str).collect();
    assert_eq!(problem::SECTIONS.to_vec(), sections);
    let example: Value = yaml_serde::from_str(EXAMPLE).unwrap();
    let example = example.as_mapping().unwrap().keys();
    assert!(example.filter_map(Value::as_str).eq(sections));
}

#[test]
fn the_readme_names_every_section() {
    let readme = include_str!("../../../README.md");
    for section in problem::SECTIONS {
        let names = |line: &str| {
            let keys = line
                .strip_prefix("| ")
                .and_then(|row| row.split(" | ").next());
            let mut keys = keys.unwrap_or_default().split(", ");
            keys.any(|key| key.trim_matches('`').split('.').next() == Some(section))
        };
        assert!(readme.lines().any(names), "{section}");
    }
}

//! The section `access`.

use super::*;

const DIGEST: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const KEYS: &str = r#"{"keys": [{"kty": "RSA", "n": "0vx7agoebGcQSuuPiLJXZptN", "e": "AQAB"}]}"#;

/// What is wrong with `access: {...}`, a line each, without where it comes from.
fn access_errors(access: &str) -> Vec<String> {
    let source = Fake::new().file("/keys", KEYS).file("/text", "text");
    let lines = lines(load(&format!("access: {{{access}}}"), source));
    let told = lines
        .iter()
        .map(|line| line.trim_end_matches(" (switchgate.yaml)"));
    told.map(str::to_owned).collect()
}

#[test]
fn a_complete_section_is_good_and_can_be_read_again() {
    let content = format!(
        "access:
  tokens:
  - {{name: crm, sha256: '{DIGEST}', roles: [operator], tenant: acme}}
  jwt:
  - {{issuer: 'https://a', audience: 'one, two', jwks_file: /keys}}
  - issuer: https://a
    audience: [three]
    jwks_url: https://a/keys
    ca_file: /ca
    algorithms: ES256
    leeway: 0s
    refresh_interval: 10s
    name_claim: azp
    roles_claim: realm_access.roles
    tenant_claim: org
    roles: [viewer]
    tenant: rest
  certificates:
  - {{uri: 'spiffe://a/*', roles: [viewer]}}
  - {{dns: '*.a.net', name: dialer, roles: operator, tenant: acme}}
  anonymous: {{roles: [viewer], tenant: acme}}
grpc: {{listen: '0.0.0.0:1'}}
tenants:
  acme: {{variable: domain_name, value: acme.example.com}}
  rest: {{variable: domain_name, value: rest.example.com}}
"
    );
    let source = || {
        let pem = "-----BEGIN CERTIFICATE-----";
        Fake::new().file("/keys", KEYS).file("/ca", pem)
    };
    let config = load(&content, source()).unwrap();
    let audience: Vec<&str> = config.access.jwt[0].audience.iter().collect();
    assert_eq!(audience, ["one", "two"]);
    let yaml = config.to_yaml().unwrap();
    let again = load(&yaml, source()).unwrap();
    assert_eq!(again.access, config.access);
    assert!(yaml.contains(DIGEST));
}

#[test]
fn what_is_missing_is_asked_for() {
    let keys: Vec<String> = access_errors("tokens: [{}], jwt: [{}], certificates: [{}]")
        .iter()
        .map(|line| line.split(';').next().unwrap().to_owned())
        .collect();
    assert_eq!(
        keys,
        [
            "access.certificates[0].uri: is missing",
            "access.jwt[0].audience: is missing",
            "access.jwt[0].issuer: is missing",
            "access.jwt[0].jwks_url: is missing",
            "access.tokens[0].name: is missing",
            "access.tokens[0].roles: is missing",
            "access.tokens[0].sha256: is missing",
        ]
    );
}

#[test]
fn what_is_unusable_is_told_with_a_remedy() {
    let jwt = |rest: &str| {
        let mut with = String::from("issuer: a, audience: b");
        for key in ["jwks_url", "jwks_file"] {
            if rest.contains(key) {
                return format!("jwt: [{{{with}, {rest}}}]");
            }
        }
        with.push_str(", jwks_file: /keys");
        format!("jwt: [{{{with}, {rest}}}]")
    };
    let token =
        |sha256: &str| format!("tokens: [{{name: a, roles: [viewer], sha256: '{sha256}'}}]");
    for (access, line) in [
        (
            jwt("algorithms: [RS256, HS256]"),
            "access.jwt[0].algorithms: `HS256` is no algorithm that can be allowed; choose from RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA",
        ),
        (
            jwt("algorithms: none"),
            "access.jwt[0].algorithms: `none` is no algorithm that can be allowed; choose from RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA",
        ),
        (
            jwt("leeway: 11m"),
            "access.jwt[0].leeway: 11m is no usable leeway; give whole seconds, at most 10m",
        ),
        (
            jwt("refresh_interval: 1s"),
            "access.jwt[0].refresh_interval: 1s is no usable interval; give 10s to 365days",
        ),
        (
            jwt("jwks_url: 'http://a/keys'"),
            "access.jwt[0].jwks_url: is not protected: whoever changes the answer on its way can sign tokens; write https://HOST/PATH; http is for 127.0.0.1, ::1 and localhost",
        ),
        (
            jwt("jwks_file: /nowhere"),
            "access.jwt[0].jwks_file: `/nowhere` cannot be read: no such file; name a file that this user may read",
        ),
        (
            jwt("jwks_file: /text"),
            "access.jwt[0].jwks_file: `/text` is no JSON Web Key Set; write what the issuer publishes at its jwks_uri into it",
        ),
        (
            jwt("ca_file: /text"),
            "access.jwt[0].ca_file: is given without jwks_url; leave it out, or name a jwks_url",
        ),
        (
            jwt("jwks_url: 'https://a/keys', ca_file: /text"),
            "access.jwt[0].ca_file: `/text` holds no certificate in PEM form; name a file of authorities",
        ),
        (
            jwt("name_claim: ''"),
            "access.jwt[0].name_claim: is missing; give the name of a claim",
        ),
        (
            token("swg_secret"),
            "access.tokens[0].sha256: is no SHA-256 digest of 64 hexadecimal digits; give the digest that `switchgate token --digest` prints for the token, not the token",
        ),
        (
            token("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            "access.tokens[0].sha256: is that of an empty token; make one: switchgate token",
        ),
        (
            "certificates: [{uri: a, dns: b, roles: [viewer]}]".to_owned(),
            "access.certificates[0].uri: is given and so is dns; write two rules",
        ),
        (
            "certificates: [{dns: 'a*.b', roles: [viewer]}]".to_owned(),
            "access.certificates[0].dns: `a*.b` `*` may stand once, for a whole part between separators; write for example spiffe://example.org/ns/*/sa/dialer as uri, or *.dialers.example.net as dns",
        ),
        (
            format!(
                "tokens: [{{name: a, roles: [viewer], sha256: {DIGEST}}}, {{name: c, roles: [viewer], sha256: {}}}]",
                DIGEST.to_uppercase()
            ),
            "access.tokens[1].sha256: is also that of access.tokens[0]; give each a token of its own",
        ),
        (
            "tokens: [{name: \"a\\nb\", roles: [viewer], sha256: 'x'}]".to_owned(),
            "access.tokens[0].name: `a\\nb` holds a control character; leave it out",
        ),
    ] {
        let told = access_errors(&access);
        assert!(told.iter().any(|told| told == line), "{access}: {told:#?}");
    }
}

#[test]
fn roles_and_tenants_that_do_not_exist_are_refused_with_those_that_do() {
    let token = |roles: &str, rest: &str| {
        format!("access: {{tokens: [{{name: a, sha256: {DIGEST}, roles: [{roles}]{rest}}}]}}\n")
    };
    let agents = "roles: {agent: {rpcs: {allow: ['*/Get*']}}}\n";
    let acme = "tenants: {acme: {variable: domain_name, value: acme}, rest: {variable: domain_name, value: rest}}\n";
    for (content, expected) in [
        (
            token("viewer, oprator", ""),
            "access.tokens[0].roles: `oprator` is no role; write admin, operator or viewer, or describe it in roles (switchgate.yaml)",
        ),
        (
            format!("{agents}{}", token("agents", "")),
            "access.tokens[0].roles: `agents` is no role; write admin, agent, operator or viewer, or describe it in roles (switchgate.yaml)",
        ),
        (
            token("viewer", ", tenant: acme"),
            "access.tokens[0].tenant: `acme` is no tenant; describe it in tenants (switchgate.yaml)",
        ),
        (
            format!("{acme}{}", token("viewer", ", tenant: amce")),
            "access.tokens[0].tenant: `amce` is no tenant; write acme or rest, or describe it in tenants (switchgate.yaml)",
        ),
        (
            "access: {jwt: [{issuer: a, audience: b, jwks_file: /keys, roles: [x]}]}".to_owned(),
            "access.jwt[0].roles: `x` is no role; write admin, operator or viewer, or describe it in roles (switchgate.yaml)",
        ),
        (
            "access: {certificates: [{dns: a.net, roles: [x]}]}".to_owned(),
            "access.certificates[0].roles: `x` is no role; write admin, operator or viewer, or describe it in roles (switchgate.yaml)",
        ),
        (
            "access: {anonymous: {roles: [x]}}".to_owned(),
            "access.anonymous.roles: `x` is no role; write admin, operator or viewer, or describe it in roles (switchgate.yaml)",
        ),
    ] {
        let source = Fake::new().file("/keys", KEYS);
        assert_eq!(lines(load(&content, source)), [expected], "{content}");
    }
    for good in [
        format!("{agents}{}", token("agent", "")),
        format!("{acme}{}", token("viewer", ", tenant: rest")),
    ] {
        assert_eq!(errors(&good), [""; 0], "{good}");
    }
    // What is wrong with the roles is told, and not also that nobody has them.
    let broken = format!("roles: {{agent: 7}}\n{}", token("agent", ""));
    assert_eq!(errors(&broken).len(), 1, "{:?}", errors(&broken));
}

#[test]
fn no_error_shows_a_token() {
    let secret = "4711080815";
    for token in [
        format!("sha256: swg_{secret}"),
        format!("sha256: {secret}"),
        format!("sha256: [{secret}]"),
        format!("token: {secret}"),
    ] {
        let content = format!("access: {{tokens: [{{name: a, roles: [viewer], {token}}}]}}");
        let outcome = load(&content, Fake::new());
        let shown = format!("{outcome:?}{}", lines(outcome.clone()).join("\n"));
        assert!(outcome.is_err() && !shown.contains(secret), "{shown}");
    }
}

#[test]
fn to_let_everybody_in_from_everywhere_is_refused_with_three_remedies() {
    let open = "grpc: {listen: '0.0.0.0:1'}\n";
    let line = "grpc.listen: 0.0.0.0:1 can be reached from other machines, and everybody would be let in; name who is, by access.tokens (switchgate token makes one), access.jwt or access.certificates; or listen on 127.0.0.1 alone; or, where nobody else reaches the network, set --insecure or access.insecure: true (switchgate.yaml)";
    assert_eq!(errors(open), [line]);
    // Who may do little without a proof could still do it unseen.
    assert_eq!(
        errors(&format!("{open}access: {{anonymous: {{}}}}")),
        [line]
    );
    for access in [
        "insecure: true".to_owned(),
        format!("tokens: [{{name: a, roles: [viewer], sha256: {DIGEST}}}]"),
        "certificates: [{dns: a.net, roles: [viewer]}]".to_owned(),
    ] {
        let content = format!("{open}access: {{{access}}}");
        assert_eq!(errors(&content), [""; 0], "{access}");
    }
    // What is wrong there is told, and not also this.
    let broken = format!("{open}access: {{tokens: [{{name: a}}]}}");
    assert!(!errors(&broken).iter().any(|line| line.starts_with("grpc")));
    let broken = format!("{open}access: {{tokens: 7}}");
    assert_eq!(errors(&broken).len(), 1);
}

#[test]
fn tokens_without_tls_and_rules_that_never_fit_are_warned_of() {
    let warnings = |content: &str| load(content, Fake::new()).unwrap().access_warnings().len();
    let tokens = format!("access: {{tokens: [{{name: a, roles: [viewer], sha256: {DIGEST}}}]}}\n");
    let open = "grpc: {listen: '[::]:1'}\n";
    assert_eq!(warnings(""), 0);
    assert_eq!(warnings(&tokens), 0);
    assert_eq!(warnings(&format!("{tokens}{open}")), 1);
    assert_eq!(warnings(&format!("access: {{insecure: true}}\n{open}")), 1);
    assert_eq!(
        warnings("access: {certificates: [{dns: a.net, roles: [viewer]}]}"),
        1
    );
}

#[test]
fn the_environment_numbers_tokens() {
    let source = Fake::new()
        .variable("SWITCHGATE__ACCESS__TOKENS__0__NAME", "crm")
        .variable("SWITCHGATE__ACCESS__TOKENS__0__SHA256", DIGEST)
        .variable("SWITCHGATE__ACCESS__TOKENS__0__ROLES", "viewer, operator");
    let config = Loader::new(&source).load().unwrap();
    assert_eq!(config.access.tokens[0].name, "crm");
    assert_eq!(
        config.access.tokens[0].roles.to_vec(),
        ["viewer", "operator"]
    );
    let wrong = Fake::new().variable("SWITCHGATE__ACCESS__JWT__ONE__ISSUER", "x");
    assert_eq!(
        lines(Loader::new(&wrong).load()),
        [
            "access.jwt.one: is no number of an issuer; number the issuers from 0 to 9999 (environment variable SWITCHGATE__ACCESS__JWT__ONE__ISSUER)"
        ]
    );
}

#[test]
fn the_example_names_every_key_of_an_item() {
    let keys = |refused: String| -> Vec<String> {
        let quoted = refused.split('`').skip(3).step_by(2);
        quoted.map(str::to_owned).collect()
    };
    let unknown = "surely_unknown: 1";
    let all = [
        yaml_serde::from_str::<TokenConfig>(unknown)
            .unwrap_err()
            .to_string(),
        yaml_serde::from_str::<JwtConfig>(unknown)
            .unwrap_err()
            .to_string(),
        yaml_serde::from_str::<CertificateConfig>(unknown)
            .unwrap_err()
            .to_string(),
        yaml_serde::from_str::<AnonymousConfig>(unknown)
            .unwrap_err()
            .to_string(),
    ];
    let (_, section) = EXAMPLE.split_once("\naccess:\n").unwrap();
    let (section, _) = section.split_once("\n\n").unwrap();
    let written: Vec<&str> = section
        .lines()
        .map(|line| line.trim_start_matches([' ', '#', '-']))
        .collect();
    let all: Vec<String> = all.into_iter().flat_map(keys).collect();
    assert_eq!(all.len(), 4 + 14 + 5 + 2, "{all:?}");
    for key in all {
        let found = |line: &&&str| line.starts_with(&format!("{key}:"));
        assert!(written.iter().any(|line| found(&line)), "{key}");
    }
}

//! Who is let in: tokens, signed tokens and their keys, over the real server.

mod issuer;
mod jwt;
mod keys;
mod streams;
mod tls;

use http::HeaderValue;
use switchgate::access::{ProofKind, TokenDigest, Why};
use switchgate::config::AccessConfig;
use switchgate::pb;
use switchgate::pb::node_service_client::NodeServiceClient;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::ServiceExt as _;

use crate::gateway::{Gateway, code_and_reason, metadata, within};

pub(crate) fn access(yaml: &str) -> AccessConfig {
    yaml_serde::from_str(yaml).unwrap()
}

/// The configuration of one static token.
pub(crate) fn token(name: &str, token: &str) -> String {
    let digest = TokenDigest::of(token.as_bytes()).to_hex();
    format!("tokens: [{{name: {name}, roles: [admin], sha256: '{digest}'}}]")
}

async fn gateway(yaml: &str) -> Gateway {
    Gateway::over_sims(1, |config| config.access = access(yaml)).await
}

/// Asks with these headers, as they are.
async fn ask_with(gateway: &Gateway, headers: &[&[u8]]) -> Result<(), Status> {
    let headers: Vec<HeaderValue> = headers
        .iter()
        .map(|value| HeaderValue::from_bytes(value).unwrap())
        .collect();
    let channel: Channel = gateway.channel.clone();
    let channel = channel.map_request(move |mut request: http::Request<tonic::body::Body>| {
        for value in &headers {
            request.headers_mut().append("authorization", value.clone());
        }
        request
    });
    let request = pb::ListNodesRequest::default();
    let answer = within(NodeServiceClient::new(channel).list_nodes(request)).await;
    answer.map(|_| ())
}

async fn ask(gateway: &Gateway, token: &str) -> Result<(), Status> {
    ask_with(gateway, &[format!("Bearer {token}").as_bytes()]).await
}

/// Why nobody is let in; nothing when somebody is.
async fn why(gateway: &Gateway, token: &str) -> String {
    told(ask(gateway, token).await)
}

fn told(answer: Result<(), Status>) -> String {
    let Err(status) = answer else {
        return String::new();
    };
    let unauthenticated = (Code::Unauthenticated, "UNAUTHENTICATED".to_owned());
    assert_eq!(code_and_reason(&status), unauthenticated, "{status:?}");
    metadata(&status, "why")
}

fn accepted(gateway: &Gateway, kind: ProofKind) -> u64 {
    gateway.access.identities.counts().accepted(kind)
}

#[tokio::test(flavor = "multi_thread")]
async fn switchgate_nodes_tells_a_refusal_and_sends_its_token() {
    let gateway = gateway(&token("crm", "swg_good")).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "swg_good\n").unwrap();
    let address = gateway.address.to_string();
    let nodes = |more: &[&str]| {
        let command = std::process::Command::new(env!("CARGO_BIN_EXE_switchgate"))
            .args(["nodes", "--address", &address])
            .args(more)
            .env_clear()
            .output();
        let output = command.unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), told)
    };
    let (code, told) = nodes(&[]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("refused ("), "{told}");
    let (code, told) = nodes(&["--token-file", file.path().to_str().unwrap()]);
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(told.lines().count(), 2, "{told}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_static_token_lets_its_bearer_in_and_nobody_else() {
    let gateway = gateway(&token("crm", "swg_good")).await;
    assert_eq!(why(&gateway, "swg_good").await, "");
    for header in ["bearer swg_good", "BEARER   swg_good", " Bearer swg_good "] {
        let answer = ask_with(&gateway, &[header.as_bytes()]).await;
        assert_eq!(told(answer), "", "{header:?}");
    }
    assert_eq!(accepted(&gateway, ProofKind::Token), 4);
    for wrong in ["swg_goo", "swg_goodd", "SWG_GOOD", "x", "a.b.c"] {
        assert_eq!(why(&gateway, wrong).await, "rejected", "{wrong}");
    }
    assert_eq!(told(ask_with(&gateway, &[]).await), "missing");
    let counts = gateway.access.identities.counts();
    assert_eq!(counts.refused(Why::Rejected), 5);
    assert_eq!(counts.refused(Why::Missing), 1);
    gateway.stop().await;
}

#[tokio::test]
async fn a_header_that_is_no_bearer_token_is_malformed() {
    let gateway = gateway(&token("crm", "swg_good")).await;
    let huge = format!("Bearer {}", "x".repeat(14_000));
    let one: [&[u8]; 9] = [
        b"",
        b"swg_good",
        b"Bearer",
        b"Bearer ",
        b"Basic c3dnOmdvb2Q=",
        b"Bearer swg_good swg_good",
        b"Bearer \xffswg_good",
        b"Bearer swg_good\xc3\xa4",
        huge.as_bytes(),
    ];
    for header in one {
        let answer = ask_with(&gateway, &[header]).await;
        assert_eq!(
            told(answer),
            "malformed",
            "{:?}",
            header.escape_ascii().to_string()
        );
    }
    let good: &[u8] = b"Bearer swg_good";
    for several in [[good, good], [good, b"Bearer x"], [b"Basic x", good]] {
        let answer = ask_with(&gateway, &several).await;
        assert_eq!(told(answer), "malformed", "{several:?}");
    }
    // hyper takes 16 KiB of headers, and answers more than that itself.
    let larger = format!("Bearer {}", "x".repeat(40_000));
    assert!(ask_with(&gateway, &[larger.as_bytes()]).await.is_err());
    assert_eq!(why(&gateway, "swg_good").await, "");
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_told_holds_nothing_of_the_proof() {
    let gateway = gateway(&token("crm", "swg_good")).await;
    for header in ["Bearer hunter2", "Basic hunter2"] {
        let status = ask_with(&gateway, &[header.as_bytes()]).await.unwrap_err();
        let details = String::from_utf8_lossy(status.details()).into_owned();
        let shown = format!("{status:?} {details}");
        assert!(
            !shown.contains("hunter2") && !shown.contains("swg_good"),
            "{shown}"
        );
        assert!(status.message().contains("authorization: Bearer TOKEN"));
    }
    gateway.stop().await;
}

#[tokio::test]
async fn without_a_proof_whoever_is_anonymous_is_let_in_where_that_is_configured() {
    let open = format!(
        "{}\nanonymous: {{roles: [admin]}}",
        token("crm", "swg_good")
    );
    let gateway = gateway(&open).await;
    assert_eq!(told(ask_with(&gateway, &[]).await), "");
    assert_eq!(why(&gateway, "wrong").await, "rejected");
    assert_eq!(why(&gateway, "swg_good").await, "");
    assert_eq!(accepted(&gateway, ProofKind::Anonymous), 1);
    assert_eq!(accepted(&gateway, ProofKind::Token), 1);
    gateway.stop().await;
}

#[tokio::test]
async fn with_nothing_configured_nothing_is_asked_for() {
    let gateway = gateway("{}").await;
    assert_eq!(told(ask_with(&gateway, &[]).await), "");
    assert_eq!(why(&gateway, "whatever").await, "");
    assert_eq!(accepted(&gateway, ProofKind::Anonymous), 2);
    gateway.stop().await;
}

#[tokio::test]
async fn health_is_open_to_everybody() {
    let gateway = gateway(&token("crm", "swg_good")).await;
    let mut health = HealthClient::new(gateway.channel.clone());
    let request = HealthCheckRequest::default();
    assert!(within(health.check(request)).await.is_ok());
    assert_eq!(told(ask_with(&gateway, &[]).await), "missing");
    gateway.stop().await;
}

#[tokio::test]
async fn a_stream_is_asked_too() {
    let gateway = gateway(&token("crm", "swg_good")).await;
    let request = pb::SubscribeRequest::default();
    let stream = within(gateway.events().subscribe(request)).await;
    assert_eq!(told(stream.map(|_| ())), "missing");
    gateway.stop().await;
}

#[tokio::test]
async fn others_are_let_in_when_the_configuration_changes_at_run_time() {
    let gateway = gateway(&token("crm", "swg_one")).await;
    assert_eq!(why(&gateway, "swg_one").await, "");
    let identities = &gateway.access.identities;
    identities
        .replace(&access(&token("crm", "swg_two")))
        .unwrap();
    assert_eq!(why(&gateway, "swg_one").await, "rejected");
    assert_eq!(why(&gateway, "swg_two").await, "");
    let bad = "jwt: [{issuer: a, audience: b, jwks_file: /nowhere/at/all}]";
    assert!(identities.replace(&access(bad)).is_err());
    assert_eq!(why(&gateway, "swg_two").await, "");
    gateway.stop().await;
}

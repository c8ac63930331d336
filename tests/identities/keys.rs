//! The keys of an issuer: how they are read, rotated and kept.

use axum::http::StatusCode;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use jsonwebtoken::Algorithm;
use serde_json::json;
use switchgate::shutdown::Drain;
use tempfile::NamedTempFile;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::issuer::{AUDIENCE, ISSUER, Key, KeyServer, by_file, claims, set_of};
use super::{gateway, token, why};
use crate::callers::Caller;
use crate::gateway::{Gateway, PATIENCE, within};
use crate::open_stream::OpenStream;

/// The configuration of the issuer with keys at this URL, which are read this often.
fn by_url(url: &str, interval: &str) -> String {
    format!(
        "jwt: [{{issuer: '{ISSUER}', audience: [{AUDIENCE}], jwks_url: '{url}', refresh_interval: {interval}}}]"
    )
}

/// Asks until the answer is as wanted.
async fn until(gateway: &Gateway, token: &str, wanted: &str) {
    within(async { while why(gateway, token).await != wanted {} }).await;
}

#[tokio::test]
async fn keys_come_from_a_url_before_the_first_request_is_answered() {
    let drain = Drain::new();
    let key = Key::new("k", Algorithm::ES256);
    let server = KeyServer::start(&[&key], &drain).await;
    let gateway = gateway(&by_url(&server.url, "1h")).await;
    for number in 0..3 {
        let token = key.sign(&claims(json!({"jti": number})));
        assert_eq!(why(&gateway, &token).await, "");
    }
    assert_eq!(server.asked(), 1);
    gateway.stop().await;
    assert!(drain.finish(PATIENCE).await);
}

#[tokio::test]
async fn made_up_keys_do_not_make_the_gateway_ask_again_and_again() {
    let drain = Drain::new();
    let (key, unknown) = (
        Key::new("k", Algorithm::ES256),
        Key::new("u", Algorithm::ES256),
    );
    let server = KeyServer::start(&[&key], &drain).await;
    let began = tokio::time::Instant::now();
    let gateway = gateway(&by_url(&server.url, "1h")).await;
    for number in 0..200 {
        let mut header = unknown.header();
        header.kid = Some(number.to_string());
        let token = unknown.sign_under(&header, &claims(json!({})));
        assert_eq!(why(&gateway, &token).await, "rejected");
    }
    // At the start, and at most once in each ten seconds that follow.
    let most = 1 + began.elapsed().as_secs() / 10;
    assert!((1..=most).contains(&server.asked()), "{}", server.asked());
    gateway.stop().await;
    assert!(drain.finish(PATIENCE).await);
}

#[tokio::test]
async fn keys_at_a_url_are_rotated() {
    let drain = Drain::new();
    let (old, new) = (
        Key::new("old", Algorithm::ES256),
        Key::new("new", Algorithm::RS256),
    );
    let server = KeyServer::start(&[&old], &drain).await;
    let gateway = gateway(&by_url(&server.url, "50ms")).await;
    let (old_token, new_token) = (old.sign(&claims(json!({}))), new.sign(&claims(json!({}))));
    assert_eq!(why(&gateway, &old_token).await, "");
    assert_eq!(why(&gateway, &new_token).await, "rejected");
    server.answers(StatusCode::OK, set_of(&[&old, &new]));
    until(&gateway, &new_token, "").await;
    assert_eq!(why(&gateway, &old_token).await, "");
    // It was verified, and is refused all the same once its key is gone.
    server.answers(StatusCode::OK, set_of(&[&new]));
    until(&gateway, &old_token, "rejected").await;
    assert_eq!(why(&gateway, &new_token).await, "");
    gateway.stop().await;
    assert!(drain.finish(PATIENCE).await);
}

#[tokio::test]
async fn keys_stay_while_their_url_answers_nothing_good() {
    let drain = Drain::new();
    let (key, new) = (
        Key::new("k", Algorithm::ES256),
        Key::new("new", Algorithm::ES256),
    );
    let server = KeyServer::start(&[&key], &drain).await;
    let gateway = gateway(&by_url(&server.url, "20ms")).await;
    assert_eq!(why(&gateway, &key.sign(&claims(json!({})))).await, "");
    let good = set_of(&[&new]);
    for (at, (status, body)) in [
        (StatusCode::INTERNAL_SERVER_ERROR, good.clone()),
        (StatusCode::NO_CONTENT, String::new()),
        (StatusCode::OK, "nonsense".to_owned()),
        (StatusCode::OK, "{\"keys\": []}".to_owned()),
        (StatusCode::OK, format!("{good}{}", " ".repeat(1 << 20))),
    ]
    .into_iter()
    .enumerate()
    {
        server.answers(status, body);
        let failed = gateway.access.identities.counts().refresh_failed();
        // Twice: the first may have been answered before.
        within(async {
            while gateway.access.identities.counts().refresh_failed() < failed + 2 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let token = key.sign(&claims(json!({"jti": at})));
        assert_eq!(why(&gateway, &token).await, "", "{status}");
    }
    assert_eq!(
        why(&gateway, &new.sign(&claims(json!({})))).await,
        "rejected"
    );
    server.answers(StatusCode::OK, good);
    until(&gateway, &new.sign(&claims(json!({}))), "").await;
    gateway.stop().await;
    assert!(drain.finish(PATIENCE).await);
}

#[tokio::test]
async fn nobody_is_followed_elsewhere_for_keys() {
    let drain = Drain::new();
    let key = Key::new("k", Algorithm::ES256);
    let server = KeyServer::start(&[&key], &drain).await;
    let gateway = gateway(&by_url(&server.url.replace("keys", "elsewhere"), "1h")).await;
    assert_eq!(
        why(&gateway, &key.sign(&claims(json!({})))).await,
        "keys_unread"
    );
    assert_eq!(server.asked(), 0);
    assert_eq!(gateway.access.identities.counts().refresh_failed(), 1);
    gateway.stop().await;
    assert!(drain.finish(PATIENCE).await);
}

#[tokio::test]
async fn a_url_that_nobody_answers_lets_nobody_in_and_holds_nobody_up() {
    let key = Key::new("k", Algorithm::ES256);
    // Bound but not listening.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let gateway = gateway(&by_url(&format!("http://{address}/keys"), "1h")).await;
    assert_eq!(
        why(&gateway, &key.sign(&claims(json!({})))).await,
        "keys_unread"
    );
    gateway.stop().await;
}

#[tokio::test]
async fn keys_in_a_file_are_rotated() {
    let (old, new) = (
        Key::new("old", Algorithm::ES256),
        Key::new("new", Algorithm::EdDSA),
    );
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), set_of(&[&old])).unwrap();
    let gateway = gateway(&by_file(file.path())).await;
    let (old_token, new_token) = (old.sign(&claims(json!({}))), new.sign(&claims(json!({}))));
    assert_eq!(why(&gateway, &old_token).await, "");
    assert_eq!(why(&gateway, &new_token).await, "rejected");
    std::fs::write(file.path(), set_of(&[&new])).unwrap();
    until(&gateway, &new_token, "").await;
    until(&gateway, &old_token, "rejected").await;
    gateway.stop().await;
}

#[tokio::test]
async fn few_wait_for_keys_that_nobody_knows_and_the_others_are_refused_at_once() {
    let unknown = Key::new("u", Algorithm::ES256);
    // Takes connections and never answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let gateway = gateway(&by_url(&url, "1h")).await;
    let asks = (0..100).map(|number| {
        let mut header = unknown.header();
        header.kid = Some(number.to_string());
        let token = unknown.sign_under(&header, &claims(json!({})));
        let gateway = &gateway;
        async move { why(gateway, &token).await }
    });
    let mut asks: FuturesUnordered<_> = asks.collect();
    for _ in 0..36 {
        assert_eq!(within(asks.next()).await.unwrap(), "keys_unread");
    }
    assert_eq!(gateway.access.identities.counts().refresh_failed(), 0);
    while let Some(why) = within(asks.next()).await {
        assert_eq!(why, "keys_unread");
    }
    assert!(gateway.access.identities.counts().refresh_failed() > 0);
    drop(asks);
    gateway.stop().await;
}

#[tokio::test]
async fn keys_that_cannot_be_read_again_for_too_long_count_no_more() {
    let drain = Drain::new();
    let key = Key::new("k", Algorithm::ES256);
    let server = KeyServer::start(&[&key], &drain).await;
    let config = by_url(&server.url, "20ms, max_stale: 300ms");
    let gateway = gateway(&config).await;
    let token = key.sign(&claims(json!({})));
    assert_eq!(why(&gateway, &token).await, "");
    let mut stream = OpenStream::of(&Caller::of(&gateway, &token)).await;
    server.answers(StatusCode::INTERNAL_SERVER_ERROR, String::new());
    assert_eq!(stream.ended().await.0, "rejected");
    until(&gateway, &token, "rejected").await;
    assert!(gateway.access.identities.counts().refresh_failed() > 0);
    server.answers(StatusCode::OK, set_of(&[&key]));
    until(&gateway, &token, "").await;
    gateway.stop().await;
    assert!(drain.finish(PATIENCE).await);
}

/// Waits until keys could not be read once more.
async fn failed_again(gateway: &Gateway) {
    let counts = gateway.access.identities.counts();
    let failed = counts.refresh_failed();
    within(async {
        while counts.refresh_failed() == failed {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn keys_are_kept_when_they_are_read_otherwise_from_now_on() {
    let drain = Drain::new();
    let key = Key::new("k", Algorithm::ES256);
    let server = KeyServer::start(&[&key], &drain).await;
    let gateway = gateway(&by_url(&server.url, "1h")).await;
    let signed = key.sign(&claims(json!({})));
    let caller = Caller::of(&gateway, &signed);
    let mut stream = OpenStream::of(&caller).await;
    server.answers(StatusCode::INTERNAL_SERVER_ERROR, String::new());
    let other = super::access(&by_url(&server.url, "20ms, max_stale: 1h"));
    gateway.access.identities.replace(&other).unwrap();
    failed_again(&gateway).await;
    assert_eq!(why(&gateway, &signed).await, "");
    stream.goes_on(&caller).await;
    // They are as old as they were before.
    let brief = super::access(&by_url(&server.url, "20ms, max_stale: 20ms"));
    gateway.access.identities.replace(&brief).unwrap();
    assert_eq!(stream.ended().await.0, "rejected");
    assert_eq!(why(&gateway, &signed).await, "rejected");
    gateway.stop().await;
    assert!(drain.finish(PATIENCE).await);
}

#[tokio::test]
async fn streams_go_on_until_somebody_can_tell_whether_their_key_counts() {
    let drain = Drain::new();
    let (key, new) = (
        Key::new("k", Algorithm::ES256),
        Key::new("new", Algorithm::ES256),
    );
    let [one, other] = [
        KeyServer::start(&[&key], &drain).await,
        KeyServer::start(&[&key], &drain).await,
    ];
    other.answers(StatusCode::INTERNAL_SERVER_ERROR, String::new());
    let with = |url: &str| format!("{}\n{}", token("fixed", "swg_fixed"), by_url(url, "20ms"));
    let gateway = gateway(&with(&one.url)).await;
    let signed = key.sign(&claims(json!({})));
    let fixed = Caller::of(&gateway, "swg_fixed");
    let mut stream = OpenStream::of(&Caller::of(&gateway, &signed)).await;
    let elsewhere = super::access(&with(&other.url));
    gateway.access.identities.replace(&elsewhere).unwrap();
    failed_again(&gateway).await;
    assert_eq!(why(&gateway, &signed).await, "keys_unread");
    stream.goes_on(&fixed).await;
    other.answers(StatusCode::OK, set_of(&[&new]));
    assert_eq!(stream.ended().await.0, "rejected");
    gateway.stop().await;
    assert!(drain.finish(PATIENCE).await);
}

#[tokio::test]
async fn nobody_is_sent_here_before_keys_were_tried() {
    // Takes connections and never answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let gateway = gateway(&by_url(&url, "1h")).await;
    let mut health = HealthClient::new(gateway.channel.clone());
    let mut told = within(health.watch(HealthCheckRequest::default()))
        .await
        .unwrap()
        .into_inner();
    loop {
        let now = within(told.message()).await.unwrap().unwrap();
        if now.status() == ServingStatus::Serving {
            break;
        }
    }
    assert_eq!(gateway.access.identities.counts().refresh_failed(), 1);
    gateway.stop().await;
}

//! Streams end with the proof of their caller.

use jsonwebtoken::Algorithm;
use serde_json::json;
use tempfile::NamedTempFile;

use super::gateway;
use super::issuer::{Key, by_file, claims, seconds, set_of};
use crate::callers::Caller;
use crate::open_stream::OpenStream;

#[tokio::test]
async fn a_stream_ends_when_its_token_expires_and_goes_on_with_a_new_one() {
    let key = Key::new("k", Algorithm::ES256);
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), set_of(&[&key])).unwrap();
    let config = by_file(file.path()).replace("jwks_file", "leeway: 1s, jwks_file");
    let gateway = gateway(&config).await;
    let caller = |claims_of: serde_json::Value| {
        let token = key.sign(&claims(claims_of));
        Caller::of(&gateway, &token)
    };
    let lasting = caller(json!({}));
    let exp = seconds(2);
    let brief = caller(json!({"exp": exp}));
    let mut other = OpenStream::of(&lasting).await;
    let mut stream = OpenStream::of(&brief).await;
    let (why, cursor) = stream.ended().await;
    assert_eq!(why, "expired");
    assert!(seconds(0) > exp + 1, "ends before the leeway is over");
    other.goes_on(&lasting).await;
    let again = OpenStream::behind(&brief, Some(cursor.clone())).await;
    assert_eq!(again.err().unwrap().code(), tonic::Code::Unauthenticated);
    // What came meanwhile is behind the cursor.
    let mut resumed = OpenStream::behind(&lasting, Some(cursor)).await.unwrap();
    resumed.goes_on(&lasting).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_stream_ends_when_the_key_of_its_token_is_withdrawn() {
    let (first, second) = (
        Key::new("first", Algorithm::ES256),
        Key::new("second", Algorithm::ES256),
    );
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), set_of(&[&first, &second])).unwrap();
    let gateway = gateway(&by_file(file.path())).await;
    let [one, two] = [&first, &second].map(|key| {
        let token = key.sign(&claims(json!({})));
        Caller::of(&gateway, &token)
    });
    let mut stays = OpenStream::of(&two).await;
    let mut goes = OpenStream::of(&one).await;
    std::fs::write(file.path(), set_of(&[&second])).unwrap();
    assert_eq!(goes.ended().await.0, "rejected");
    stays.goes_on(&two).await;
    gateway.stop().await;
}

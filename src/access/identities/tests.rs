//! Everybody who is known, together.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, get_current_timestamp};
use rcgen::{CertificateParams, KeyPair, SanType};
use serde_json::{Value, json};

use super::*;
use crate::config::AccessConfig;

/// A key of an issuer.
struct Key {
    id: &'static str,
    private: EncodingKey,
}

// === impl Key ===

impl Key {
    fn new(id: &'static str) -> Self {
        let pair = KeyPair::generate().unwrap();
        let private = EncodingKey::from_ec_der(&pair.serialize_der());
        Self { id, private }
    }

    fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.id.to_owned());
        jsonwebtoken::encode(&header, claims, &self.private).unwrap()
    }

    fn token(&self) -> String {
        self.sign(&claims(300))
    }
}

fn claims(seconds: i64) -> Value {
    let exp = get_current_timestamp().saturating_add_signed(seconds);
    json!({"iss": "https://a", "aud": "switchgate", "sub": "crm", "roles": ["operator"], "exp": exp})
}

fn write_keys(path: &Path, keys: &[&Key]) {
    let jwk = |key: &&Key| {
        let mut jwk = Jwk::from_encoding_key(&key.private, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some(key.id.to_owned());
        jwk
    };
    let keys: Vec<Jwk> = keys.iter().map(jwk).collect();
    std::fs::write(path, json!({"keys": keys}).to_string()).unwrap();
}

/// A file of keys, and identities that know it.
struct House {
    file: tempfile::NamedTempFile,
    identities: Identities,
    drain: Drain,
}

// === impl House ===

impl House {
    fn with(keys: &[&Key]) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        write_keys(file.path(), keys);
        let drain = Drain::new();
        let config = access(&issuer(file.path()));
        let identities = Identities::start(&config, &drain).unwrap();
        Self {
            file,
            identities,
            drain,
        }
    }

    async fn ask(&self, token: &str) -> String {
        ask(&self.identities, Some(token), None).await
    }
}

fn issuer(keys: &Path) -> String {
    let keys = keys.display();
    format!("jwt: [{{issuer: https://a, audience: [switchgate], jwks_file: {keys}}}]")
}

fn access(yaml: &str) -> AccessConfig {
    yaml_serde::from_str(yaml).unwrap()
}

fn token(name: &str, token: &str) -> String {
    let digest = TokenDigest::of(token.as_bytes()).to_hex();
    format!("{{name: {name}, roles: [operator], sha256: '{digest}'}}")
}

fn certificate(dns: &str) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::DnsName(dns.try_into().unwrap())];
    let key = KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().der().to_vec()
}

/// The name of who is let in, or why nobody is.
async fn ask(identities: &Identities, token: Option<&str>, certificate: Option<&[u8]>) -> String {
    let header = token.map(|token| format!("Bearer {token}"));
    let proof = Proof {
        authorization: header.as_deref().map(str::as_bytes),
        certificate,
    };
    match identities.identify(proof).await {
        Ok(found) => found.name,
        Err(failure) => format!("{}!", failure.metadata()["why"]),
    }
}

#[tokio::test]
async fn with_nothing_configured_everybody_is_the_administrator() {
    let identities = Identities::default();
    let dns = certificate("crm.example.net");
    for (token, certificate) in [(None, None), (Some("x"), None), (None, Some(&dns[..]))] {
        assert_eq!(ask(&identities, token, certificate).await, "anonymous");
    }
    let found = identities.identify(Proof::default()).await.unwrap();
    assert_eq!(
        (found.roles, found.tenant),
        (vec!["admin".to_owned()], None)
    );

    let viewers = access("anonymous: {roles: [viewer], tenant: acme}");
    let identities = Identities::start(&viewers, &Drain::new()).unwrap();
    let found = identities.identify(Proof::default()).await.unwrap();
    assert_eq!(found.roles, ["viewer"]);
    assert_eq!(found.tenant.as_deref(), Some("acme"));
}

#[tokio::test]
async fn a_bearer_token_wins_over_the_certificate_and_a_wrong_one_is_not_made_good_by_it() {
    let (good, other) = (certificate("crm.example.net"), certificate("x.example.net"));
    let both = format!(
        "tokens: [{}]\ncertificates: [{{dns: crm.example.net, name: cert, roles: [viewer]}}]",
        token("tok", "secret")
    );
    let open = format!("{both}\nanonymous: {{roles: [viewer]}}");
    for (config, token, certificate, wanted) in [
        (&both, None, None, "missing!"),
        (&both, Some("secret"), None, "tok"),
        (&both, None, Some(&good), "cert"),
        (&both, Some("secret"), Some(&good), "tok"),
        (&both, Some("wrong"), Some(&good), "rejected!"),
        (&both, Some("not one"), Some(&good), "malformed!"),
        (&both, None, Some(&other), "rejected!"),
        (&open, None, None, "anonymous"),
        (&open, Some("wrong"), None, "rejected!"),
        (&open, None, Some(&other), "rejected!"),
    ] {
        let identities = Identities::start(&access(config), &Drain::new()).unwrap();
        let certificate = certificate.map(Vec::as_slice);
        let seen = ask(&identities, token, certificate).await;
        assert_eq!(seen, wanted, "{token:?} {}", certificate.is_some());
    }
}

#[tokio::test]
async fn a_certificate_without_rules_proves_nothing_and_does_no_harm() {
    let config = access(&format!("tokens: [{}]", token("tok", "secret")));
    let identities = Identities::start(&config, &Drain::new()).unwrap();
    let dns = certificate("crm.example.net");
    assert_eq!(ask(&identities, None, Some(&dns)).await, "missing!");
    assert_eq!(ask(&identities, Some("secret"), Some(&dns)).await, "tok");
}

#[tokio::test]
async fn others_take_the_place_of_those_known_and_stay_out_when_they_are_bad() {
    let one = access(&format!("tokens: [{}]", token("one", "first")));
    let identities = Identities::start(&one, &Drain::new()).unwrap();
    let clone = identities.clone();
    let other = access(&format!("tokens: [{}]", token("other", "second")));
    identities.replace(&other).unwrap();
    assert_eq!(ask(&clone, Some("first"), None).await, "rejected!");
    assert_eq!(ask(&clone, Some("second"), None).await, "other");
    for bad in [
        "jwt: [{issuer: a, audience: b, jwks_file: /nowhere/at/all}]",
        "jwt: [{issuer: a, audience: b, jwks_url: 'http://example.net/'}]",
        "jwt: [{issuer: a, audience: b}]",
        "tokens: [{name: a, sha256: x}]",
        "certificates: [{dns: '*'}]",
    ] {
        assert!(identities.replace(&access(bad)).is_err(), "{bad}");
        assert_eq!(ask(&clone, Some("second"), None).await, "other");
    }
    let counts = clone.counts();
    assert_eq!(counts.accepted(ProofKind::Token), 6);
    assert_eq!(counts.refused(Why::Rejected), 1);
}

#[tokio::test]
async fn a_token_is_verified_once_until_something_changes() {
    let key = Key::new("k");
    let house = House::with(&[&key]);
    let (one, other) = (key.token(), key.sign(&claims(200)));
    let counts = || {
        let counts = house.identities.counts();
        (counts.accepted(ProofKind::Jwt), counts.cached())
    };
    for _ in 0..3 {
        assert_eq!(house.ask(&one).await, "crm");
    }
    assert_eq!(counts(), (3, 2));
    assert_eq!(house.ask(&other).await, "crm");
    assert_eq!(counts(), (4, 2));
    house
        .identities
        .replace(&access(&issuer(house.file.path())))
        .unwrap();
    assert_eq!(house.ask(&one).await, "crm");
    assert_eq!(counts(), (5, 2));
    assert!(house.drain.finish(Duration::from_secs(1)).await);
}

#[tokio::test]
async fn a_token_that_was_verified_expires_all_the_same() {
    let key = Key::new("k");
    let house = House::with(&[&key]);
    let token = key.token();
    assert_eq!(house.ask(&token).await, "crm");
    let known = house.identities.0.known.load_full();
    known.issuers.outdate(&TokenDigest::of(token.as_bytes()));
    assert_eq!(house.ask(&token).await, "expired!");
    // Forgotten, and so verified anew; that it is good is because only the memory of it was outdated.
    assert_eq!(house.ask(&token).await, "crm");
    let counts = house.identities.counts();
    assert_eq!((counts.cached(), counts.refused(Why::Expired)), (0, 1));
}

#[tokio::test]
async fn a_time_with_a_fraction_is_a_time() {
    let key = Key::new("k");
    let house = House::with(&[&key]);
    let mut claims = claims(300);
    claims["exp"] = json!(get_current_timestamp() as f64 + 300.5);
    let token = key.sign(&claims);
    for _ in 0..3 {
        assert_eq!(house.ask(&token).await, "crm");
    }
    assert_eq!(house.identities.counts().cached(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_gone_from_the_file_has_signed_nothing() {
    let (old, new) = (Key::new("old"), Key::new("new"));
    let house = House::with(&[&old]);
    let (old_token, new_token) = (old.token(), new.token());
    assert_eq!(house.ask(&old_token).await, "crm");
    assert_eq!(house.ask(&new_token).await, "rejected!");
    write_keys(house.file.path(), &[&old, &new]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(house.ask(&old_token).await, "crm");
    assert_eq!(house.ask(&new_token).await, "crm");
    write_keys(house.file.path(), &[&new]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(house.ask(&old_token).await, "rejected!");
    assert_eq!(house.ask(&new_token).await, "crm");
    assert!(house.drain.finish(Duration::from_secs(1)).await);
}

#[tokio::test(start_paused = true)]
async fn keys_stay_when_they_cannot_be_read_again() {
    let key = Key::new("k");
    let house = House::with(&[&key]);
    let place = house.file.path().to_owned();
    for broken in [Some("nonsense"), Some("{\"keys\": []}"), None] {
        match broken {
            Some(text) => std::fs::write(&place, text).unwrap(),
            None => std::fs::remove_file(&place).unwrap(),
        }
        let failed = house.identities.counts().refresh_failed();
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(house.identities.counts().refresh_failed() > failed);
        assert_eq!(house.ask(&key.token()).await, "crm", "{broken:?}");
    }
    let refreshed = house.identities.counts().refreshed();
    write_keys(&place, &[&key]);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(house.identities.counts().refreshed() > refreshed);
    assert!(house.drain.finish(Duration::from_secs(1)).await);
}

#[tokio::test(start_paused = true)]
async fn unknown_keys_make_the_file_be_read_once_in_a_while() {
    let (key, unknown) = (Key::new("k"), Key::new("u"));
    let house = House::with(&[&key]);
    let reads = || house.identities.counts().refreshed();
    let token = unknown.token();
    for _ in 0..100 {
        assert_eq!(house.ask(&token).await, "rejected!");
    }
    assert_eq!(reads(), 0, "it was read a moment ago");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    for _ in 0..100 {
        assert_eq!(house.ask(&token).await, "rejected!");
    }
    assert_eq!(reads(), 1);
    // And one that has just come is found without waiting for the interval.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    write_keys(house.file.path(), &[&unknown]);
    assert_eq!(house.ask(&token).await, "crm");
    assert_eq!(reads(), 2);
    assert!(house.drain.finish(Duration::from_secs(1)).await);
}

#[tokio::test]
async fn keys_at_the_same_place_are_kept_over_a_change() {
    let key = Key::new("k");
    let house = House::with(&[&key]);
    assert_eq!(house.drain.running(), 1);
    let file = house.file.path();
    let two = access(&format!(
        "{}\ntokens: [{}]",
        issuer(file),
        token("tok", "s")
    ));
    // The place is the same, so that it is not even looked at.
    std::fs::write(file, "nonsense").unwrap();
    house.identities.replace(&two).unwrap();
    assert_eq!(house.ask(&key.token()).await, "crm");
    assert_eq!(house.drain.running(), 1);
    let none = access(&format!("tokens: [{}]", token("tok", "s")));
    house.identities.replace(&none).unwrap();
    assert_eq!(house.ask(&key.token()).await, "rejected!");
    while house.drain.running() > 0 {
        tokio::task::yield_now().await;
    }
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_tells_why_and_nothing_of_the_proof() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let (key, unknown) = (Key::new("k"), Key::new("u"));
    let house = House::with(&[&key]);
    let expired = key.sign(&claims(-400));
    let good = key.token();
    let forged = format!("{}AAAA", &good[..good.len() - 4]);
    let unknown = unknown.token();
    let tokens = ["hunter2", "hun ter2", &expired, &good, &forged, &unknown];
    for token in tokens {
        house.ask(token).await;
    }
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for detail in [
        "the header authorization is no bearer token",
        "neither a static token nor a signed one",
        "exp has passed",
        "the signature is wrong",
        "the issuer has no such key",
    ] {
        assert!(logged.contains(detail), "{detail}: {logged}");
    }
    for part in tokens.iter().flat_map(|token| token.split(['.', ' '])) {
        assert!(!logged.contains(part), "{part}: {logged}");
    }
}

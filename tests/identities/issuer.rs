//! An issuer of signed tokens, and the server of its keys.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, get_current_timestamp};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256};
use serde_json::{Value, json};
use switchgate::shutdown::Drain;
use tokio::net::TcpListener;

pub(crate) const ISSUER: &str = "https://login.example.net";
pub(crate) const AUDIENCE: &str = "switchgate";

/// A key of the issuer.
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) algorithm: Algorithm,
    pub(crate) jwk: Jwk,
    /// What everybody may know, as bytes.
    pub(crate) public: Vec<u8>,
    private: EncodingKey,
}

// === impl Key ===

impl Key {
    pub(crate) fn new(id: &str, algorithm: Algorithm) -> Self {
        let kind = match algorithm {
            Algorithm::ES256 => &PKCS_ECDSA_P256_SHA256,
            Algorithm::EdDSA => &PKCS_ED25519,
            _ => &PKCS_RSA_SHA256,
        };
        let pair = KeyPair::generate_for(kind).unwrap();
        let pem = pair.serialize_pem();
        let private = match algorithm {
            Algorithm::ES256 => EncodingKey::from_ec_der(&pair.serialize_der()),
            Algorithm::EdDSA => EncodingKey::from_ed_der(&pair.serialize_der()),
            _ => EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap(),
        };
        let mut jwk = match algorithm {
            Algorithm::EdDSA => {
                let public = DecodingKey::from_ed_der(pair.public_key_raw());
                Jwk::from_decoding_key(&public, Some(algorithm)).unwrap()
            }
            _ => Jwk::from_encoding_key(&private, algorithm).unwrap(),
        };
        jwk.common.key_id = Some(id.to_owned());
        Self {
            id: id.to_owned(),
            algorithm,
            jwk,
            public: pair.public_key_raw().to_vec(),
            private,
        }
    }

    pub(crate) fn header(&self) -> Header {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.id.clone());
        header
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_under(&self.header(), claims)
    }

    pub(crate) fn sign_under(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.private).unwrap()
    }
}

/// What a good token says, with these claims in the place of its own; null takes one away.
pub(crate) fn claims(other: Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "crm", "roles": ["operator"], "exp": seconds(300),
    });
    for (name, value) in other.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    claims
}

/// So many seconds from now, since 1970.
pub(crate) fn seconds(from_now: i64) -> u64 {
    get_current_timestamp().saturating_add_signed(from_now)
}

pub(crate) fn set_of(keys: &[&Key]) -> String {
    let keys: Vec<&Jwk> = keys.iter().map(|key| &key.jwk).collect();
    json!({ "keys": keys }).to_string()
}

/// The configuration of this issuer, whose keys are in this file.
pub(crate) fn by_file(path: &Path) -> String {
    format!(
        "jwt: [{{issuer: '{ISSUER}', audience: [{AUDIENCE}], jwks_file: '{}'}}]",
        path.display()
    )
}

/// A server of keys, on this machine.
pub(crate) struct KeyServer {
    pub(crate) url: String,
    answer: Arc<Mutex<(StatusCode, String)>>,
    asked: Arc<AtomicU64>,
}

// === impl KeyServer ===

impl KeyServer {
    pub(crate) async fn start(keys: &[&Key], drain: &Drain) -> Self {
        let answer = Arc::new(Mutex::new((StatusCode::OK, set_of(keys))));
        let asked = Arc::new(AtomicU64::new(0));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let (given, count) = (Arc::clone(&answer), Arc::clone(&asked));
        let keys = get(move || async move {
            count.fetch_add(1, Ordering::SeqCst);
            given.lock().unwrap().clone()
        });
        let elsewhere = get(|| async { (StatusCode::FOUND, [("location", "/keys")]) });
        let router = Router::new()
            .route("/keys", keys)
            .route("/elsewhere", elsewhere);
        let server = axum::serve(listener, router).with_graceful_shutdown(drain.stopped());
        drain.spawn(async move { server.await.unwrap() });
        Self { url, answer, asked }
    }

    pub(crate) fn answers(&self, status: StatusCode, body: String) {
        *self.answer.lock().unwrap() = (status, body);
    }

    /// How often it was asked for the keys.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }
}

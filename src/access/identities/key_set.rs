//! The keys of an issuer: a JSON Web Key Set (RFC 7517).

use std::sync::atomic::{AtomicU64, Ordering};

use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse,
};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// Names of the algorithms that a configuration can allow. None of them takes a shared secret, so
/// that no public key can ever be taken for one.
pub const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// Most keys of one set.
const MOST_KEYS: usize = 256;

/// Tells states of keys apart; never twice the same.
static VERSION: AtomicU64 = AtomicU64::new(1);

/// The keys of an issuer that can be used.
#[derive(Debug)]
pub(super) struct KeySet {
    keys: Vec<Key>,
    pub(super) version: u64,
}

#[derive(Debug)]
struct Key {
    id: Option<String>,
    fits: Vec<Algorithm>,
    key: DecodingKey,
}

/// Why there are no keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Not JSON, or without a list `keys`.
    #[error("is no JSON Web Key Set")]
    Malformed,
    /// None that is public, for signatures, and of a known kind.
    #[error("holds no key for signatures of an algorithm that is known")]
    NoKey,
    /// More than anybody has.
    #[error("holds more than {MOST_KEYS} keys")]
    TooMany,
}

// === impl KeySet ===

impl KeySet {
    /// None yet.
    pub(super) fn empty() -> Self {
        Self {
            keys: Vec::new(),
            version: VERSION.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Reads a set; keys that cannot be used are left out (RFC 7517, section 5).
    pub(super) fn parse(json: &[u8]) -> Result<Self, KeySetError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(json).map_err(|_| KeySetError::Malformed)?;
        if set.keys.len() > MOST_KEYS {
            return Err(KeySetError::TooMany);
        }
        let keys: Vec<Key> = set.keys.into_iter().filter_map(Key::read).collect();
        if keys.is_empty() {
            return Err(KeySetError::NoKey);
        }
        Ok(Self {
            keys,
            ..Self::empty()
        })
    }

    /// The key of this id that may have signed by this algorithm. A token without an id is taken
    /// where only one key comes into question.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&DecodingKey> {
        let mut fitting = self.keys.iter().filter(|key| key.fits.contains(&algorithm));
        if id.is_some() {
            return fitting
                .find(|key| key.id.as_deref() == id)
                .map(|key| &key.key);
        }
        match (fitting.next(), fitting.next()) {
            (Some(only), None) => Some(&only.key),
            _ => None,
        }
    }
}

// === impl Key ===

impl Key {
    fn read(value: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        let common = &jwk.common;
        let for_signatures = common
            .public_key_use
            .as_ref()
            .is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
        let verifies = common
            .key_operations
            .as_ref()
            .is_none_or(|operations| operations.contains(&KeyOperations::Verify));
        if !for_signatures || !verifies {
            return None;
        }
        let of_kind: &[Algorithm] = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => &[
                Algorithm::RS256,
                Algorithm::RS384,
                Algorithm::RS512,
                Algorithm::PS256,
                Algorithm::PS384,
                Algorithm::PS512,
            ],
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
                &[Algorithm::ES256]
            }
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => {
                &[Algorithm::ES384]
            }
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                &[Algorithm::EdDSA]
            }
            // A shared secret, or a kind that nobody here can verify.
            _ => return None,
        };
        let named = common.key_algorithm;
        let fits: Vec<Algorithm> = of_kind
            .iter()
            .copied()
            .filter(|algorithm| named.is_none_or(|named| named == KeyAlgorithm::from(*algorithm)))
            .collect();
        if fits.is_empty() {
            return None;
        }
        Some(Self {
            id: common.key_id.clone(),
            fits,
            key: DecodingKey::from_jwk(&jwk).ok()?,
        })
    }
}

/// The algorithm of this name, if it can be allowed.
pub fn algorithm(name: &str) -> Option<Algorithm> {
    let known = ALGORITHMS.iter().find(|(known, _)| *known == name);
    known.map(|(_, algorithm)| *algorithm)
}

/// Number of keys in a set that can be used.
///
/// # Errors
/// When the text is no such set.
pub fn count_keys(json: &[u8]) -> Result<usize, KeySetError> {
    KeySet::parse(json).map(|set| set.keys.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Of RFC 7517, appendix A.1, and RFC 8037, appendix A.2.
    const P256: [&str; 2] = [
        "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    ];
    const ED25519: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    fn rsa(rest: Value) -> Value {
        with(
            json!({"kty": "RSA", "n": "0vx7agoebGcQSuuPiLJXZptN", "e": "AQAB"}),
            rest,
        )
    }

    fn ec(rest: Value) -> Value {
        let [x, y] = P256;
        with(json!({"kty": "EC", "crv": "P-256", "x": x, "y": y}), rest)
    }

    fn with(mut key: Value, rest: Value) -> Value {
        let more = rest.as_object().unwrap().clone();
        key.as_object_mut().unwrap().extend(more);
        key
    }

    fn parse(keys: &[Value]) -> Result<KeySet, KeySetError> {
        KeySet::parse(json!({"keys": keys}).to_string().as_bytes())
    }

    #[test]
    fn a_key_is_found_by_its_id_for_the_algorithms_of_its_kind() {
        let okp = json!({"kty": "OKP", "crv": "Ed25519", "x": ED25519, "kid": "c"});
        let set = parse(&[rsa(json!({"kid": "a"})), ec(json!({"kid": "b"})), okp]).unwrap();
        let found = |id, algorithm| set.find(id, algorithm).is_some();
        assert!(found(Some("a"), Algorithm::RS256) && found(Some("a"), Algorithm::PS512));
        assert!(found(Some("b"), Algorithm::ES256) && found(Some("c"), Algorithm::EdDSA));
        for (id, algorithm) in [
            ("a", Algorithm::ES256),
            ("a", Algorithm::HS256),
            ("b", Algorithm::ES384),
            ("b", Algorithm::RS256),
            ("c", Algorithm::HS512),
            ("d", Algorithm::RS256),
            ("", Algorithm::RS256),
        ] {
            assert!(!found(Some(id), algorithm), "{id} {algorithm:?}");
        }
        // Without an id, where there is one choice.
        assert!(found(None, Algorithm::RS256) && found(None, Algorithm::ES256));
        let two = parse(&[rsa(json!({"kid": "a"})), rsa(json!({"kid": "b"}))]).unwrap();
        assert!(two.find(None, Algorithm::RS256).is_none());
    }

    #[test]
    fn a_key_that_names_its_algorithm_is_used_for_no_other() {
        let set = parse(&[rsa(json!({"kid": "a", "alg": "RS512"}))]).unwrap();
        assert!(set.find(Some("a"), Algorithm::RS512).is_some());
        assert!(set.find(Some("a"), Algorithm::RS256).is_none());
    }

    #[test]
    fn what_is_not_for_signatures_is_left_out() {
        let unusable = [
            rsa(json!({"use": "enc"})),
            rsa(json!({"key_ops": ["encrypt"]})),
            rsa(json!({"alg": "RSA-OAEP"})),
            rsa(json!({"alg": "ES256"})),
            rsa(json!({"use": 5})),
            ec(json!({"crv": "secp256k1"})),
            ec(json!({"crv": "P-521"})),
            json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256", "kid": "a"}),
            json!({"kty": "unheard-of"}),
            json!({}),
            json!(7),
            Value::Null,
        ];
        assert_eq!(parse(&unusable).err(), Some(KeySetError::NoKey));
        let mut keys = unusable.to_vec();
        keys.push(rsa(json!({"use": "sig", "key_ops": ["verify"]})));
        assert_eq!(parse(&keys).unwrap().keys.len(), 1);
    }

    #[test]
    fn what_is_no_set_is_refused() {
        for text in [
            "",
            "{}",
            "[]",
            "{\"keys\": 5}",
            "nonsense",
            "{\"keys\": {}}",
        ] {
            let refused = KeySet::parse(text.as_bytes()).err();
            assert_eq!(refused, Some(KeySetError::Malformed), "{text}");
        }
        assert_eq!(parse(&[]).err(), Some(KeySetError::NoKey));
        let many = vec![rsa(json!({})); MOST_KEYS + 1];
        assert_eq!(parse(&many).err(), Some(KeySetError::TooMany));
    }

    #[test]
    fn two_states_of_keys_are_never_the_same() {
        let key = [rsa(json!({}))];
        let versions = [parse(&key).unwrap(), parse(&key).unwrap(), KeySet::empty()];
        assert!(versions[0].version < versions[1].version);
        assert!(versions[1].version < versions[2].version);
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes: Vec<u8>) {
            let _ = KeySet::parse(&bytes);
        }

        #[test]
        fn no_key_breaks_it(
            kty in "RSA|EC|OKP|oct|x",
            crv in "P-256|P-384|Ed25519|x",
            field: String,
            alg in "RS256|ES256|HS256|EdDSA|x",
        ) {
            let key = json!({"kty": kty, "crv": crv, "alg": alg, "kid": field, "n": field, "e": field, "x": field, "y": field, "k": field});
            if let Ok(set) = parse(&[key]) {
                for hmac in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
                    prop_assert!(set.find(Some(&field), hmac).is_none());
                    prop_assert!(set.find(None, hmac).is_none());
                }
            }
        }
    }
}

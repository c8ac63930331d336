//! Signed tokens: which are good, and that nothing but the truth makes one good.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use switchgate::access::ProofKind;
use tempfile::NamedTempFile;

use super::issuer::{AUDIENCE, ISSUER, Key, by_file, claims, seconds, set_of};
use super::{accepted, gateway, token, why};

/// A file of these keys.
fn file_of(keys: &[&Key]) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), set_of(keys)).unwrap();
    file
}

#[tokio::test]
async fn a_token_of_each_kind_of_key_is_good() {
    let keys = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA]
        .map(|algorithm| Key::new(&format!("{algorithm:?}"), algorithm));
    let file = file_of(&keys.each_ref());
    let gateway = gateway(&by_file(file.path())).await;
    for key in &keys {
        assert_eq!(
            why(&gateway, &key.sign(&claims(json!({})))).await,
            "",
            "{}",
            key.id
        );
        // The only one of its kind needs no name.
        let unnamed = key.sign_under(&Header::new(key.algorithm), &claims(json!({"jti": 1})));
        assert_eq!(why(&gateway, &unnamed).await, "", "{}", key.id);
    }
    assert_eq!(accepted(&gateway, ProofKind::Jwt), 6);
    gateway.stop().await;
}

#[tokio::test]
async fn what_a_token_must_say_and_when() {
    let key = Key::new("k", Algorithm::ES256);
    let file = file_of(&[&key]);
    let gateway = gateway(&by_file(file.path())).await;
    for (other, wanted) in [
        (json!({}), ""),
        (json!({"aud": ["x", AUDIENCE]}), ""),
        (json!({"nbf": seconds(-10)}), ""),
        // Clocks may differ by 30 s.
        (json!({"nbf": seconds(20)}), ""),
        (json!({"exp": seconds(-20)}), ""),
        (json!({"exp": seconds(-40)}), "expired"),
        (json!({"exp": 0}), "expired"),
        (json!({"nbf": seconds(60)}), "rejected"),
        (json!({"nbf": "soon"}), "rejected"),
        (json!({"exp": null}), "rejected"),
        (json!({"exp": "never"}), "rejected"),
        (json!({"exp": -1}), "rejected"),
        (json!({"aud": null}), "rejected"),
        (json!({"aud": "x"}), "rejected"),
        (json!({"aud": ["x"]}), "rejected"),
        (json!({"aud": []}), "rejected"),
        (json!({"aud": {AUDIENCE: 1}}), "rejected"),
        (json!({"iss": null}), "rejected"),
        (json!({"iss": format!("{ISSUER}/")}), "rejected"),
        (json!({"iss": [ISSUER]}), "rejected"),
        (json!({"sub": null}), "rejected"),
        (json!({"sub": "a\nb"}), "rejected"),
        (json!({"roles": 7}), "rejected"),
        // Past its time, but for somebody else: nothing is told.
        (json!({"exp": seconds(-40), "aud": "x"}), "rejected"),
    ] {
        let token = key.sign(&claims(other.clone()));
        assert_eq!(why(&gateway, &token).await, wanted, "{other}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn no_signature_but_the_issuers_counts() {
    let rsa = Key::new("rsa", Algorithm::RS256);
    let ec = Key::new("ec", Algorithm::ES256);
    let thief = Key::new("rsa", Algorithm::RS256);
    let file = file_of(&[&rsa, &ec]);
    let gateway = gateway(&by_file(file.path())).await;
    let good = rsa.sign(&claims(json!({})));
    assert_eq!(why(&gateway, &good).await, "");
    let parts: Vec<&str> = good.split('.').collect();
    let [head, body, signature] = parts.as_slice() else {
        panic!("{good}");
    };
    let other = rsa.sign(&claims(json!({"sub": "admin"})));
    let other_body = other.split('.').nth(1).unwrap();
    // {"alg":"none"} and {"alg":"none","kid":"rsa"} in base64url.
    let none = ["eyJhbGciOiJub25lIn0", "eyJhbGciOiJub25lIiwia2lkIjoicnNhIn0"];
    let mut forged = vec![
        format!("{head}.{other_body}.{signature}"),
        format!("{head}.{body}."),
        format!("{head}.{body}"),
        format!("{head}.{body}.{signature}."),
        format!("{head}.{body}.{}", &signature[..signature.len() - 4]),
        format!(".{body}.{signature}"),
        format!("{head}..{signature}"),
        format!("{}.{body}.{signature}", none[0]),
        format!("{}.{body}.", none[0]),
        format!("{}.{body}.", none[1]),
        thief.sign(&claims(json!({}))),
    ];
    // The public key as a shared secret, in all the forms in which it could be meant.
    let n = serde_json::to_value(&rsa.jwk).unwrap()["n"].clone();
    let set = set_of(&[&rsa]);
    let secrets: [&[u8]; 4] = [
        &rsa.public,
        n.as_str().unwrap().as_bytes(),
        set.as_bytes(),
        b"",
    ];
    for secret in secrets {
        for algorithm in [Algorithm::HS256, Algorithm::HS512] {
            for kid in [Some("rsa"), Some("ec"), None] {
                let mut header = Header::new(algorithm);
                header.kid = kid.map(str::to_owned);
                let secret = EncodingKey::from_secret(secret);
                let token = jsonwebtoken::encode(&header, &claims(json!({})), &secret);
                forged.push(token.unwrap());
            }
        }
    }
    // The key that comes with the token, and one by another name.
    let mut own = thief.header();
    own.jwk = Some(thief.jwk.clone());
    own.jku = Some("http://127.0.0.1:1/keys".to_owned());
    forged.push(thief.sign_under(&own, &claims(json!({}))));
    for kid in [Some("unknown"), Some("ec"), Some(""), Some("../rsa"), None] {
        let mut header = thief.header();
        header.kid = kid.map(str::to_owned);
        forged.push(thief.sign_under(&header, &claims(json!({}))));
    }
    // Good, but not understood.
    let mut critical = rsa.header();
    critical.crit = Some(vec!["exp".to_owned()]);
    forged.push(rsa.sign_under(&critical, &claims(json!({}))));
    for token in &forged {
        assert_eq!(why(&gateway, token).await, "rejected", "{token}");
    }
    assert_eq!(accepted(&gateway, ProofKind::Jwt), 1);
    gateway.stop().await;
}

#[tokio::test]
async fn an_algorithm_that_is_not_allowed_and_a_key_for_something_else_are_not_used() {
    let key = Key::new("k", Algorithm::RS256);
    let jwk = |other: Value| {
        let mut jwk = serde_json::to_value(&key.jwk).unwrap();
        for (name, value) in other.as_object().unwrap() {
            jwk[name] = value.clone();
        }
        json!({"keys": [jwk, Key::new("else", Algorithm::ES256).jwk]}).to_string()
    };
    let file = NamedTempFile::new().unwrap();
    let good = by_file(file.path());
    let only_ec = good.replace("jwks_file", "algorithms: [ES256], jwks_file");
    let all = good.replace("jwks_file", "algorithms: [RS256, RS512], jwks_file");
    let sha512 = Header {
        alg: Algorithm::RS512,
        ..key.header()
    };
    for (config, set, header, wanted) in [
        (&good, jwk(json!({})), key.header(), ""),
        (&good, jwk(json!({"alg": null})), key.header(), ""),
        (&good, jwk(json!({"use": "sig"})), key.header(), ""),
        (&good, jwk(json!({"use": "enc"})), key.header(), "rejected"),
        (
            &good,
            jwk(json!({"alg": "RS512"})),
            key.header(),
            "rejected",
        ),
        (
            &good,
            jwk(json!({"alg": "RSA-OAEP"})),
            key.header(),
            "rejected",
        ),
        (
            &good,
            jwk(json!({"key_ops": ["sign"]})),
            key.header(),
            "rejected",
        ),
        (&only_ec, jwk(json!({})), key.header(), "rejected"),
        (&good, jwk(json!({"alg": null})), sha512.clone(), "rejected"),
        (&all, jwk(json!({"alg": null})), sha512.clone(), ""),
        (&all, jwk(json!({})), sha512.clone(), "rejected"),
    ] {
        std::fs::write(file.path(), &set).unwrap();
        let gateway = gateway(config).await;
        let token = key.sign_under(&header, &claims(json!({})));
        assert_eq!(why(&gateway, &token).await, wanted, "{config} {set}");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn each_issuer_speaks_for_itself_beside_static_tokens() {
    let (one, other) = (
        Key::new("k", Algorithm::ES256),
        Key::new("k", Algorithm::ES256),
    );
    let (one_file, other_file) = (file_of(&[&one]), file_of(&[&other]));
    let config = format!(
        "{}\njwt:\n- {{issuer: one, audience: [a], jwks_file: '{}', leeway: 0s, roles: [viewer]}}\n- {{issuer: other, audience: [a, b], jwks_file: '{}'}}",
        token("crm", "swg_good"),
        one_file.path().display(),
        other_file.path().display(),
    );
    let gateway = gateway(&config).await;
    let said = |iss: &str, aud: &str| claims(json!({"iss": iss, "aud": aud}));
    for (key, claims, wanted) in [
        (&one, said("one", "a"), ""),
        (&other, said("other", "a"), ""),
        (&other, said("other", "b"), ""),
        (&one, said("one", "b"), "rejected"),
        (&one, said("other", "a"), "rejected"),
        (&other, said("one", "a"), "rejected"),
    ] {
        assert_eq!(why(&gateway, &key.sign(&claims)).await, wanted, "{claims}");
    }
    assert_eq!(why(&gateway, "swg_good").await, "");
    assert_eq!(accepted(&gateway, ProofKind::Token), 1);
    gateway.stop().await;
}

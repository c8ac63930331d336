//! What it costs to tell who sends a request: by no proof, by a static token, by a signed token that
//! is new or known, by a wrong one. See `docs/operating-identities.md`.

// The clock is the machine's.
#![allow(clippy::disallowed_methods)]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, get_current_timestamp};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, SanType};
use serde_json::json;
use switchgate::access::{Identities, Proof, TokenDigest};
use switchgate::config::AccessConfig;
use switchgate::shutdown::Drain;

/// Tokens that differ, so that each is new once.
const TOKENS: usize = 4000;
/// Static tokens that are known.
const STATIC: [usize; 2] = [1, 1000];

struct Issuer {
    key: EncodingKey,
    algorithm: Algorithm,
}

// === impl Issuer ===

impl Issuer {
    fn new(algorithm: Algorithm) -> Result<Self> {
        let key = match algorithm {
            Algorithm::RS256 => {
                let pair = KeyPair::generate_for(&PKCS_RSA_SHA256)?;
                EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes())?
            }
            _ => {
                let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
                EncodingKey::from_ec_der(&pair.serialize_der())
            }
        };
        Ok(Self { key, algorithm })
    }

    fn jwk(&self) -> Result<Jwk> {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm)?;
        jwk.common.key_id = Some("k".to_owned());
        Ok(jwk)
    }

    fn header(&self, number: usize) -> Result<Vec<u8>> {
        let mut header = Header::new(self.algorithm);
        header.kid = Some("k".to_owned());
        let claims = json!({
            "iss": "https://login.example.net/realms/voice", "aud": ["account", "switchgate"],
            "sub": "0b4a1d3e-8d9c-4f63-9c85-7f6f6d7c9a11", "jti": number, "azp": "crm",
            "exp": get_current_timestamp() + 3600, "realm_access": {"roles": ["operator", "offline_access"]},
        });
        let token = jsonwebtoken::encode(&header, &claims, &self.key)?;
        Ok(format!("Bearer {token}").into_bytes())
    }
}

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let drain = Drain::new();
    let start = |yaml: &str| -> Result<Identities> {
        let config: AccessConfig = yaml_serde::from_str(yaml)?;
        // Keys are kept fresh by a task.
        let _inside = runtime.enter();
        Ok(Identities::start(&config, &drain)?)
    };
    let show = |what: &str, headers: &[Vec<u8>], certificate: Option<&[u8]>, known: &Identities| {
        let span = runtime.block_on(ask(known, headers, certificate));
        println!("{what:<44} {:>7.2} us", span.as_secs_f64() * 1e6);
    };

    show("nothing configured", &[], None, &Identities::default());
    for count in STATIC {
        let known = start(&tokens(count))?;
        let good = [format!("Bearer token-{}", count / 2).into_bytes()];
        show(
            &format!("static token, one of {count}"),
            &good,
            None,
            &known,
        );
    }
    let known = start(&tokens(1))?;
    show(
        "static token, wrong",
        &[b"Bearer nonsense".to_vec()],
        None,
        &known,
    );
    for algorithm in [Algorithm::RS256, Algorithm::ES256] {
        let issuer = Issuer::new(algorithm)?;
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), json!({"keys": [issuer.jwk()?]}).to_string())?;
        let known = start(&format!(
            "jwt: [{{issuer: 'https://login.example.net/realms/voice', audience: [switchgate], roles_claim: realm_access.roles, jwks_file: '{}'}}]",
            file.path().display()
        ))?;
        let headers: Vec<Vec<u8>> = (0..TOKENS)
            .map(|at| issuer.header(at))
            .collect::<Result<_>>()?;
        show(&format!("{algorithm:?} token, new"), &headers, None, &known);
        show(
            &format!("{algorithm:?} token, known"),
            &headers,
            None,
            &known,
        );
        let thief = Issuer::new(algorithm)?;
        let forged: Vec<Vec<u8>> = (0..TOKENS)
            .map(|at| thief.header(at))
            .collect::<Result<_>>()?;
        show(
            &format!("{algorithm:?} token, forged"),
            &forged,
            None,
            &known,
        );
    }
    let mut params = CertificateParams::default();
    let name = "spiffe://example.org/ns/acme/sa/dialer";
    params.subject_alt_names = vec![SanType::URI(name.try_into().context("a URI")?)];
    let certificate = params.self_signed(&KeyPair::generate()?)?;
    let known =
        start("certificates: [{uri: 'spiffe://example.org/ns/*/sa/dialer', roles: [operator]}]")?;
    show("client certificate", &[], Some(certificate.der()), &known);
    Ok(())
}

fn tokens(count: usize) -> String {
    let mut yaml = "tokens:\n".to_owned();
    for at in 0..count {
        let digest = TokenDigest::of(format!("token-{at}").as_bytes()).to_hex();
        let _ = writeln!(
            yaml,
            "- {{name: n{at}, roles: [operator], sha256: '{digest}'}}"
        );
    }
    yaml
}

/// The time for one request, out of as many as there are headers and at least `TOKENS`.
async fn ask(known: &Identities, headers: &[Vec<u8>], certificate: Option<&[u8]>) -> Duration {
    let begin = Instant::now();
    for at in 0..TOKENS {
        let authorization = headers.get(at % headers.len().max(1)).map(Vec::as_slice);
        let proof = Proof {
            authorization,
            certificate,
        };
        let _ = std::hint::black_box(known.identify(proof).await);
    }
    begin.elapsed() / u32::try_from(TOKENS).unwrap_or(u32::MAX)
}

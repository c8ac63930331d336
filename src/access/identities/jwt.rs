//! Signed tokens: JSON Web Tokens (RFC 7519), by the advice of RFC 8725.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header, get_current_timestamp};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::cache::{Cache, Verified};
use super::claims::Mapping;
use super::jwks::{Jwks, NoKey};
use super::refusal::{IdentityCounts, Refusal};
use super::tokens::TokenDigest;

/// One issuer of tokens for one audience.
#[derive(Debug)]
pub(super) struct Issuer {
    pub(super) issuer: String,
    /// Any of them will do.
    pub(super) audience: Vec<String>,
    pub(super) algorithms: Vec<Algorithm>,
    /// Seconds by which clocks may differ.
    pub(super) leeway: u64,
    pub(super) mapping: Mapping,
    pub(super) jwks: Arc<Jwks>,
}

/// All issuers.
#[derive(Debug, Default)]
pub(super) struct Issuers {
    issuers: Vec<Issuer>,
    cache: Cache,
}

/// To whom a token is addressed, before anything of it is verified.
#[derive(Debug, Deserialize)]
struct Addressed {
    iss: String,
    aud: Audience,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

// === impl Audience ===

impl Audience {
    fn holds(&self, name: &str) -> bool {
        match self {
            Self::One(one) => one == name,
            Self::Several(several) => several.iter().any(|one| one == name),
        }
    }
}

// === impl Issuer ===

impl Issuer {
    fn is_addressed(&self, token: &Addressed) -> bool {
        token.iss == self.issuer && self.audience.iter().any(|own| token.aud.holds(own))
    }

    /// What the token must be besides well signed.
    fn validation(&self, algorithm: Algorithm) -> Validation {
        // The one that the key is for: none of another kind ever reaches the key.
        let mut validation = Validation::new(algorithm);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&self.audience);
        validation.validate_nbf = true;
        validation.leeway = self.leeway;
        validation
    }
}

// === impl Issuers ===

impl Issuers {
    pub(super) fn new(issuers: Vec<Issuer>) -> Self {
        Self {
            issuers,
            cache: Cache::default(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.issuers.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Issuer> {
        self.issuers.iter()
    }

    /// As if the time of a token that was verified had passed.
    #[cfg(test)]
    pub(super) fn outdate(&self, digest: &TokenDigest) {
        if let Some(known) = self.cache.get(digest) {
            self.cache.put(*digest, Verified { until: 0, ..known });
        }
    }

    /// Resolves when the keys of each issuer were read, or could not be, once.
    pub(super) async fn first_round_over(&self) {
        for issuer in &self.issuers {
            issuer.jwks.first_round_over().await;
        }
    }

    /// Who bears this token; when `waits`, new keys are waited for.
    pub(super) async fn verify(
        &self,
        token: &str,
        digest: TokenDigest,
        waits: bool,
        counts: &IdentityCounts,
    ) -> Result<Verified, Refusal> {
        if let Some(known) = self.cache.get(&digest) {
            let issuer = self.issuers.get(known.issuer);
            if issuer.is_some_and(|issuer| issuer.jwks.version() == known.keys) {
                if get_current_timestamp() <= known.until {
                    counts.cached.fetch_add(1, Ordering::Relaxed);
                    return Ok(known);
                }
                self.cache.remove(&digest);
                return Err(Refusal::expired(
                    "exp has passed since the token was verified",
                ));
            }
            self.cache.remove(&digest);
        }
        let verified = self.verify_anew(token, waits).await?;
        self.cache.put(digest, verified.clone());
        Ok(verified)
    }

    async fn verify_anew(&self, token: &str, waits: bool) -> Result<Verified, Refusal> {
        // `none` and whatever else is no algorithm ends here.
        let header = decode_header(token)
            .map_err(|_| Refusal::rejected("neither a static token nor a signed one"))?;
        if header.crit.is_some() {
            // RFC 7515, section 4.1.11: nothing of it is understood here.
            return Err(Refusal::rejected("the token's header has crit"));
        }
        let addressed: Addressed = insecure_decode_claims(token)
            .map_err(|_| Refusal::rejected("the token lacks iss or aud"))?;
        let mut issuers = self.issuers.iter().enumerate();
        let (at, issuer) = issuers
            .find(|(_, issuer)| issuer.is_addressed(&addressed))
            .ok_or(Refusal::rejected("no issuer is configured for iss and aud"))?;
        if !issuer.algorithms.contains(&header.alg) {
            return Err(Refusal::rejected("the algorithm is not allowed"));
        }
        let (id, algorithm) = (header.kid.as_deref(), header.alg);
        let found = match waits {
            true => issuer.jwks.find(id, algorithm).await,
            false => issuer.jwks.find_known(id, algorithm),
        };
        let (key, keys) = found.map_err(|missing| match missing {
            NoKey::Unknown => Refusal::rejected("the issuer has no such key for the algorithm"),
            NoKey::Unread => Refusal::unread("the keys of the issuer were not read yet"),
        })?;
        let decoded = decode::<Map<String, Value>>(token, &key, &issuer.validation(header.alg));
        let claims = decoded.map_err(|error| refusal(error.kind()))?.claims;
        let identified = issuer
            .mapping
            .identify(&claims)
            .map_err(Refusal::rejected)?;
        Ok(Verified {
            identified: Arc::new(identified),
            until: expiry(&claims).saturating_add(issuer.leeway),
            issuer: at,
            keys,
        })
    }
}

/// What failed, of a token whose signature is looked at first.
fn refusal(error: &ErrorKind) -> Refusal {
    match error {
        ErrorKind::ExpiredSignature => Refusal::expired("exp has passed"),
        ErrorKind::InvalidSignature => Refusal::rejected("the signature is wrong"),
        ErrorKind::ImmatureSignature => Refusal::rejected("nbf has not come yet"),
        ErrorKind::InvalidIssuer => Refusal::rejected("iss is another"),
        ErrorKind::InvalidAudience => Refusal::rejected("aud is another"),
        ErrorKind::MissingRequiredClaim(_) => Refusal::rejected("exp, iss or aud is missing"),
        _ => Refusal::rejected("the token is malformed"),
    }
}

/// `exp` of claims that were found good, without its fraction (RFC 7519, section 2: NumericDate).
fn expiry(claims: &Map<String, Value>) -> u64 {
    let exp = claims.get("exp");
    let whole = exp.and_then(Value::as_u64);
    // The cast saturates, and makes nothing of what is no number.
    whole
        .or_else(|| exp.and_then(Value::as_f64).map(|exp| exp as u64))
        .unwrap_or_default()
}

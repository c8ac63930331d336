//! From the configuration to who is who, at the start and later.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use super::certificates::{Certificates, Rule, SanPattern};
use super::claims::Mapping;
use super::jwks::{Jwks, ReadError, Source, jwks_url};
use super::jwt::{Issuer, Issuers};
use super::key_set::algorithm;
use super::tokens::{TokenDigest, Tokens};
use super::{ANONYMOUS, Identified, Identities, Known, Shared};
use crate::config::{AccessConfig, CertificateConfig, JwtConfig};
use crate::shutdown::Drain;

/// Why nobody can be told from anybody.
#[derive(Debug, thiserror::Error)]
pub enum IdentitiesError {
    /// Keys or certificates of an issuer.
    #[error("{key}: `{place}` {source}")]
    Read {
        /// The key of the configuration.
        key: String,
        /// Where they should be.
        place: String,
        /// Why they are not.
        source: ReadError,
    },
    /// A value that the check of the configuration would have refused.
    #[error("{key}: {reason}")]
    Value {
        /// The key of the configuration.
        key: String,
        /// What is wrong.
        reason: &'static str,
    },
}

// === impl Identities ===

impl Identities {
    /// Those of the configuration. Tasks that read keys belong to `drain`.
    ///
    /// # Errors
    /// When a file cannot be read or a value is malformed.
    pub fn start(config: &AccessConfig, drain: &Drain) -> Result<Self, IdentitiesError> {
        let shared = Shared {
            drain: drain.clone(),
            ..Shared::default()
        };
        let identities = Self(Arc::new(shared));
        identities.replace(config)?;
        Ok(identities)
    }

    /// Puts those of another configuration in the place of all who were known; tokens that were
    /// verified are forgotten. Requests under way are not looked at again.
    ///
    /// # Errors
    /// As [`Identities::start`]; then all stays as it was.
    pub fn replace(&self, config: &AccessConfig) -> Result<(), IdentitiesError> {
        self.replace_with(config, || ())
    }

    /// As [`Identities::replace`], together with something else: what is asked through
    /// [`super::super::Access`] sees both or neither.
    pub(in crate::access) fn replace_with(
        &self,
        config: &AccessConfig,
        more: impl FnOnce(),
    ) -> Result<(), IdentitiesError> {
        let _turn = self.0.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.0.known.load_full();
        let mut places = Places {
            shared: &self.0,
            before: before.issuers.iter().map(|one| &one.jwks).collect(),
            begun: Vec::new(),
        };
        let known = match Known::new(config, &mut places) {
            Ok(known) => known,
            Err(error) => {
                places.begun.iter().for_each(|jwks| jwks.stop());
                return Err(error);
            }
        };
        for old in before.issuers.iter() {
            let kept = |new: &Issuer| Arc::ptr_eq(&new.jwks, &old.jwks);
            if !known.issuers.iter().any(kept) {
                old.jwks.stop();
            }
        }
        self.0.changes.send_modify(|number| {
            self.0.known.store(Arc::new(known));
            more();
            *number += 1;
        });
        Ok(())
    }
}

/// Keys by their place: those that are there already go on, and are there at once.
struct Places<'a> {
    shared: &'a Shared,
    before: Vec<&'a Arc<Jwks>>,
    begun: Vec<Arc<Jwks>>,
}

// === impl Places ===

impl Places<'_> {
    fn keys(&mut self, source: Source) -> Result<Arc<Jwks>, ReadError> {
        let mut there = self.before.iter().copied().chain(&self.begun);
        if let Some(jwks) = there.find(|jwks| *jwks.source() == source) {
            return Ok(Arc::clone(jwks));
        }
        let shared = self.shared;
        // Read otherwise from now on, but the same keys: nobody has to wait for them again.
        let mut before = self.before.iter();
        let before = before.find(|jwks| jwks.is_at(&source)).map(|jwks| &***jwks);
        let jwks = Jwks::start(
            source,
            before,
            &shared.counts,
            &shared.changes,
            &shared.drain,
        )?;
        self.begun.push(Arc::clone(&jwks));
        Ok(jwks)
    }
}

// === impl Known ===

impl Known {
    fn new(config: &AccessConfig, places: &mut Places<'_>) -> Result<Self, IdentitiesError> {
        let mut tokens = Vec::new();
        for (at, token) in config.tokens.iter().enumerate() {
            let digest = TokenDigest::from_hex(&token.sha256)
                .ok_or_else(|| value(format!("access.tokens[{at}].sha256"), "is no digest"))?;
            let identified = Identified {
                name: token.name.clone(),
                roles: token.roles.to_vec(),
                tenant: token.tenant.clone(),
            };
            tokens.push((digest, identified));
        }
        let mut issuers = Vec::new();
        for (at, jwt) in config.jwt.iter().enumerate() {
            issuers.push(issuer(&format!("access.jwt[{at}]"), jwt, places)?);
        }
        let mut rules = Vec::new();
        for (at, certificate) in config.certificates.iter().enumerate() {
            let refuse = |reason| value(format!("access.certificates[{at}]"), reason);
            rules.push(Rule {
                pattern: pattern(certificate).map_err(refuse)?,
                name: certificate.name.clone(),
                roles: certificate.roles.to_vec(),
                tenant: certificate.tenant.clone(),
            });
        }
        let mut known = Self {
            tokens: Tokens::new(tokens),
            issuers: Issuers::new(issuers),
            certificates: Certificates::new(rules),
            anonymous: config.anonymous.as_ref().map(|anonymous| Identified {
                name: ANONYMOUS.to_owned(),
                roles: anonymous.roles.to_vec(),
                tenant: anonymous.tenant.clone(),
            }),
            ways: ways(config).to_owned(),
        };
        if !known.has_source() && known.anonymous.is_none() {
            known.anonymous = Some(Identified::nobody_in_particular());
        }
        Ok(known)
    }
}

fn issuer(key: &str, jwt: &JwtConfig, places: &mut Places<'_>) -> Result<Issuer, IdentitiesError> {
    let (key, source) = match (&jwt.jwks_file, &jwt.jwks_url) {
        (Some(file), None) => (
            format!("{key}.jwks_file"),
            Source::File(PathBuf::from(file)),
        ),
        (None, Some(url)) => {
            let key = format!("{key}.jwks_url");
            let source = Source::Url {
                url: jwks_url(url).map_err(|reason| value(key.clone(), reason))?,
                ca: jwt.ca_file.as_ref().map(PathBuf::from),
                interval: jwt.refresh_interval,
                max_stale: jwt.max_stale,
            };
            (key, source)
        }
        _ => return Err(value(key.to_owned(), "needs either jwks_file or jwks_url")),
    };
    let place = match &source {
        Source::File(path) => path.as_path(),
        // The only thing that is read at once.
        Source::Url { ca, .. } => ca
            .as_deref()
            .unwrap_or(Path::new("the system's authorities")),
    };
    let place = place.display().to_string();
    let algorithms = jwt.algorithms.iter().map(algorithm);
    let Some(algorithms) = algorithms.collect::<Option<Vec<_>>>() else {
        return Err(value(key, "is of an issuer with an unknown algorithm"));
    };
    Ok(Issuer {
        issuer: jwt.issuer.clone(),
        audience: jwt.audience.to_vec(),
        algorithms,
        leeway: jwt.leeway.as_secs(),
        mapping: Mapping {
            name_claim: jwt.name_claim.clone(),
            roles_claim: jwt.roles_claim.clone(),
            tenant_claim: jwt.tenant_claim.clone(),
            roles: jwt.roles.to_vec(),
            tenant: jwt.tenant.clone(),
        },
        jwks: places
            .keys(source)
            .map_err(|source| IdentitiesError::Read { key, place, source })?,
    })
}

/// The one pattern of a rule.
pub(super) fn pattern(certificate: &CertificateConfig) -> Result<SanPattern, &'static str> {
    match (&certificate.uri, &certificate.dns) {
        (Some(uri), None) => SanPattern::uri(uri),
        (None, Some(dns)) => SanPattern::dns(dns),
        _ => Err("needs either uri or dns"),
    }
}

/// What clients can send, for those that sent nothing or something wrong.
fn ways(config: &AccessConfig) -> &'static str {
    let bearer = !config.tokens.is_empty() || !config.jwt.is_empty();
    match (bearer, !config.certificates.is_empty()) {
        (true, false) => {
            "send the header `authorization: Bearer TOKEN` with a token of this gateway"
        }
        (false, true) => "connect with a client certificate of this gateway",
        _ => {
            "send the header `authorization: Bearer TOKEN` with a token of this gateway, or connect with a client certificate"
        }
    }
}

fn value(key: String, reason: &'static str) -> IdentitiesError {
    IdentitiesError::Value { key, reason }
}

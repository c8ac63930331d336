//! Who is let in: the section `access`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::names::Names;
use super::value::{read, read_some, write_duration};

/// Who is let in. Without tokens, issuers and certificates everybody is, as `anonymous` with the
/// role `admin` unless `anonymous` says otherwise, which is allowed on loopback alone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessConfig {
    /// Static tokens. Default none.
    pub tokens: Vec<TokenConfig>,
    /// Issuers of signed tokens. Default none.
    pub jwt: Vec<JwtConfig>,
    /// Client certificates; the first rule that fits counts. Default none.
    pub certificates: Vec<CertificateConfig>,
    /// Requests without any proof. Default none: they are refused as soon as there is a way to
    /// prove something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anonymous: Option<AnonymousConfig>,
    /// Whether to listen beyond loopback although everybody is let in. Default false.
    #[serde(deserialize_with = "read")]
    pub insecure: bool,
}

/// A static token, which `switchgate token` makes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenConfig {
    /// Who has it, in logs and limits. Two tokens may have the same name, so that one can take the
    /// place of the other.
    #[serde(deserialize_with = "read")]
    pub name: String,
    /// SHA-256 of the token, as 64 hexadecimal digits.
    #[serde(deserialize_with = "read")]
    pub sha256: String,
    /// Names of its roles.
    pub roles: Names,
    /// Its tenant. Default none: it sees those of all tenants.
    #[serde(
        deserialize_with = "read_some",
        skip_serializing_if = "Option::is_none"
    )]
    pub tenant: Option<String>,
}

/// An issuer of signed tokens (JWT).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JwtConfig {
    /// The claim `iss` of its tokens, to the letter.
    #[serde(deserialize_with = "read")]
    pub issuer: String,
    /// The claim `aud` of tokens for this gateway; any of several.
    pub audience: Names,
    /// A file with its keys (JWKS), which is read again when it changes.
    #[serde(
        deserialize_with = "read_some",
        skip_serializing_if = "Option::is_none"
    )]
    pub jwks_file: Option<String>,
    /// The URL of its keys (JWKS): https, or http on this machine.
    #[serde(
        deserialize_with = "read_some",
        skip_serializing_if = "Option::is_none"
    )]
    pub jwks_url: Option<String>,
    /// A file with the authorities, as PEM, of which the certificate of `jwks_url` may be. Default
    /// those of the system.
    #[serde(
        deserialize_with = "read_some",
        skip_serializing_if = "Option::is_none"
    )]
    pub ca_file: Option<String>,
    /// Algorithms of its signatures. Default RS256, PS256, ES256, ES384 and EdDSA; RS384, RS512,
    /// PS384 and PS512 are known too. None with a shared secret is.
    pub algorithms: Names,
    /// By how much clocks may differ, in whole seconds. Default 30s, at most 10m.
    #[serde(deserialize_with = "read", serialize_with = "write_duration")]
    pub leeway: Duration,
    /// How often the keys at `jwks_url` are read anew. Default 5m. A token with an unknown key makes
    /// them be read too, at most every 10s.
    #[serde(deserialize_with = "read", serialize_with = "write_duration")]
    pub refresh_interval: Duration,
    /// How long the keys from `jwks_url` count when they cannot be read anew. Default 1d.
    #[serde(deserialize_with = "read", serialize_with = "write_duration")]
    pub max_stale: Duration,
    /// The claim of the bearer's name. A dot leads into an object, here and in the other claims.
    /// Default sub.
    #[serde(deserialize_with = "read")]
    pub name_claim: String,
    /// The claim of its roles: a list, or a text with spaces between. Default roles.
    #[serde(deserialize_with = "read")]
    pub roles_claim: String,
    /// The claim of its tenant. Default none.
    #[serde(
        deserialize_with = "read_some",
        skip_serializing_if = "Option::is_none"
    )]
    pub tenant_claim: Option<String>,
    /// Names of the roles of tokens that have no such claim. Default none.
    pub roles: Names,
    /// The tenant of tokens that have no such claim. Default none: with `tenant_claim` they are
    /// refused, else they see those of all tenants.
    #[serde(
        deserialize_with = "read_some",
        skip_serializing_if = "Option::is_none"
    )]
    pub tenant: Option<String>,
}

/// Whoever has a client certificate for this name. One of `uri` and `dns` is needed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CertificateConfig {
    /// A subject alternative name of type URI; one `*` may stand for a whole segment of its path.
    #[serde(
        deserialize_with = "read_some",
        skip_serializing_if = "Option::is_none"
    )]
    pub uri: Option<String>,
    /// A subject alternative name of type DNS; one `*` may stand for a whole label.
    #[serde(
        deserialize_with = "read_some",
        skip_serializing_if = "Option::is_none"
    )]
    pub dns: Option<String>,
    /// Who has it, in logs and limits. Default the name in the certificate.
    #[serde(
        deserialize_with = "read_some",
        skip_serializing_if = "Option::is_none"
    )]
    pub name: Option<String>,
    /// Names of its roles.
    pub roles: Names,
    /// Its tenant. Default none: it sees those of all tenants.
    #[serde(
        deserialize_with = "read_some",
        skip_serializing_if = "Option::is_none"
    )]
    pub tenant: Option<String>,
}

/// Whoever sends no proof.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnonymousConfig {
    /// Names of its roles.
    pub roles: Names,
    /// Its tenant. Default none: it sees those of all tenants.
    #[serde(
        deserialize_with = "read_some",
        skip_serializing_if = "Option::is_none"
    )]
    pub tenant: Option<String>,
}

// === impl AccessConfig ===

impl AccessConfig {
    /// Whether anybody can prove who it is. Otherwise everybody is let in.
    pub fn has_source(&self) -> bool {
        !(self.tokens.is_empty() && self.jwt.is_empty() && self.certificates.is_empty())
    }

    /// Whether everybody is let in as the administrator, and nothing says that this is meant.
    pub fn lets_everybody_in_unsaid(&self) -> bool {
        !self.has_source() && !self.insecure && self.anonymous.is_none()
    }

    /// Whether there is something to steal from whoever listens on the way.
    pub(super) fn has_bearers(&self) -> bool {
        !(self.tokens.is_empty() && self.jwt.is_empty())
    }
}

// === impl Default ===

impl Default for JwtConfig {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            audience: Names::default(),
            jwks_file: None,
            jwks_url: None,
            ca_file: None,
            algorithms: ["RS256", "PS256", "ES256", "ES384", "EdDSA"]
                .into_iter()
                .collect(),
            leeway: Duration::from_secs(30),
            refresh_interval: Duration::from_secs(300),
            max_stale: Duration::from_secs(24 * 3600),
            name_claim: "sub".to_owned(),
            roles_claim: "roles".to_owned(),
            tenant_claim: None,
            roles: Names::default(),
            tenant: None,
        }
    }
}

//! Who is let in: what is complete, usable, and not open to everybody by mistake.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use super::{Check, LONGEST};
use crate::access::{
    ALGORITHMS, READY_ROLES, SanPattern, TokenDigest, algorithm, count_keys, jwks_url,
};
use crate::config::names::Names;
use crate::config::{AccessConfig, CertificateConfig, Config, JwtConfig, TokenConfig};

/// Clocks that differ by more are to be set.
const LONGEST_LEEWAY: Duration = Duration::from_secs(600);

/// Reading keys more often would burden whoever serves them.
const SHORTEST_REFRESH: Duration = Duration::from_secs(10);

/// More names are not listed in a remedy.
const MOST_LISTED: usize = 20;

/// What identities may name.
struct Known {
    /// In their order; none when they are broken, and anything may be meant.
    roles: Option<Vec<String>>,
    tenants: Option<Vec<String>>,
}

// === impl Check ===

impl Check<'_> {
    pub(in crate::config) fn access(&mut self, config: &Config) {
        let access = &config.access;
        let ready = READY_ROLES.map(str::to_owned).into_iter();
        let roles: BTreeSet<_> = ready.chain(config.roles.keys().cloned()).collect();
        let known = Known {
            roles: self.sound("roles").then(|| roles.into_iter().collect()),
            tenants: self
                .sound("tenants")
                .then(|| config.tenants.keys().cloned().collect()),
        };
        self.tokens(&access.tokens, &known);
        for (at, jwt) in access.jwt.iter().enumerate() {
            self.jwt(&format!("access.jwt[{at}]"), jwt, &known);
        }
        for (at, certificate) in access.certificates.iter().enumerate() {
            self.certificate(&format!("access.certificates[{at}]"), certificate, &known);
        }
        if let Some(anonymous) = &access.anonymous {
            self.known_roles("access.anonymous", &anonymous.roles, &known);
            self.tenant("access.anonymous", anonymous.tenant.as_deref(), &known);
        }
        self.exposure(config, access);
    }

    /// Whoever reaches the gateway can ring every phone and run commands on its hosts.
    fn exposure(&mut self, config: &Config, access: &AccessConfig) {
        if access.has_source() || access.insecure || !config.is_exposed() {
            return;
        }
        // A source that is there but broken has been reported.
        if self.sound("access") {
            self.add(
                "grpc.listen",
                Some(&config.grpc.listen),
                "can be reached from other machines, and everybody would be let in",
                "name who is, by access.tokens (switchgate token makes one), access.jwt or access.certificates; or listen on 127.0.0.1 alone; or, where nobody else reaches the network, set --insecure or access.insecure: true",
            );
        }
    }

    fn tokens(&mut self, tokens: &[TokenConfig], known: &Known) {
        let mut seen = BTreeMap::new();
        for (at, token) in tokens.iter().enumerate() {
            let above = format!("access.tokens[{at}]");
            self.given(&above, "name", &token.name, "say who has the token");
            self.roles_of(&above, &token.roles, known);
            self.tenant(&above, token.tenant.as_deref(), known);
            let key = format!("{above}.sha256");
            if token.sha256.is_empty() {
                self.missing(
                    &above,
                    "sha256",
                    "give the digest that `switchgate token` prints",
                );
            } else if let Some(digest) = TokenDigest::from_hex(&token.sha256) {
                let hex = digest.to_hex();
                if digest == TokenDigest::of(b"") {
                    self.add(
                        &key,
                        None,
                        "is that of an empty token",
                        "make one: switchgate token",
                    );
                } else if let Some(first) = seen.insert(hex, at) {
                    let reason = format!("is also that of access.tokens[{first}]");
                    self.add(&key, None, &reason, "give each a token of its own");
                }
            } else {
                // It may be the token itself.
                self.add(
                    &key,
                    None,
                    "is no SHA-256 digest of 64 hexadecimal digits",
                    "give the digest that `switchgate token --digest` prints for the token, not the token",
                );
            }
        }
    }

    fn jwt(&mut self, above: &str, jwt: &JwtConfig, known: &Known) {
        self.given(
            above,
            "issuer",
            &jwt.issuer,
            "give the claim iss of its tokens",
        );
        if jwt.audience.is_empty() {
            let remedy = "give the claim aud of tokens that are for this gateway";
            self.missing(above, "audience", remedy);
        }
        let names = ALGORITHMS.map(|(name, _)| name).join(", ");
        let key = format!("{above}.algorithms");
        if jwt.algorithms.is_empty() {
            self.add(&key, None, "names none", &format!("choose from {names}"));
        }
        for name in jwt
            .algorithms
            .iter()
            .filter(|name| algorithm(name).is_none())
        {
            let value = format!("`{}`", name.escape_debug());
            let reason = "is no algorithm that can be allowed";
            self.add(&key, Some(&value), reason, &format!("choose from {names}"));
        }
        let fraction = jwt.leeway.subsec_nanos() != 0;
        if jwt.leeway > LONGEST_LEEWAY || fraction {
            let value = humantime::format_duration(jwt.leeway);
            let reason = "is no usable leeway";
            let remedy = "give whole seconds, at most 10m";
            self.add(&format!("{above}.leeway"), Some(&value), reason, remedy);
        }
        if !(SHORTEST_REFRESH..=LONGEST).contains(&jwt.refresh_interval) {
            let value = humantime::format_duration(jwt.refresh_interval);
            let key = format!("{above}.refresh_interval");
            self.add(
                &key,
                Some(&value),
                "is no usable interval",
                "give 10s to 365days",
            );
        }
        if !(jwt.refresh_interval..=LONGEST).contains(&jwt.max_stale) {
            let value = humantime::format_duration(jwt.max_stale);
            let key = format!("{above}.max_stale");
            let reason = "is no usable time";
            let remedy = "give at least refresh_interval, at most 365days";
            self.add(&key, Some(&value), reason, remedy);
        }
        for (name, claim) in [
            ("name_claim", &jwt.name_claim),
            ("roles_claim", &jwt.roles_claim),
        ] {
            self.given(above, name, claim, "give the name of a claim");
        }
        self.known_roles(above, &jwt.roles, known);
        self.tenant(above, jwt.tenant.as_deref(), known);
        self.keys(above, jwt);
    }

    fn keys(&mut self, above: &str, jwt: &JwtConfig) {
        match (&jwt.jwks_file, &jwt.jwks_url) {
            (None, None) => {
                let remedy = "name the keys of the issuer: jwks_url or jwks_file";
                self.missing(above, "jwks_url", remedy);
            }
            (Some(_), Some(_)) => {
                let key = format!("{above}.jwks_file");
                let reason = "is given and so is jwks_url";
                self.add(&key, None, reason, "leave one of them out");
            }
            (None, Some(url)) => {
                if let Err(reason) = jwks_url(url) {
                    // It may hold a password.
                    let remedy =
                        "write https://HOST/PATH; http is for 127.0.0.1, ::1 and localhost";
                    self.add(&format!("{above}.jwks_url"), None, reason, remedy);
                }
            }
            (Some(path), None) => {
                let key = format!("{above}.jwks_file");
                if let Some(content) = self.content(&key, path)
                    && let Err(error) = count_keys(content.as_bytes())
                {
                    let value = format!("`{}`", path.escape_debug());
                    let remedy = "write what the issuer publishes at its jwks_uri into it";
                    self.add(&key, Some(&value), &error.to_string(), remedy);
                }
            }
        }
        if let Some(path) = &jwt.ca_file {
            let key = format!("{above}.ca_file");
            if jwt.jwks_url.is_none() {
                let reason = "is given without jwks_url";
                self.add(&key, None, reason, "leave it out, or name a jwks_url");
            } else if let Some(content) = self.content(&key, path)
                && !content.contains("-----BEGIN CERTIFICATE-----")
            {
                let value = format!("`{}`", path.escape_debug());
                let reason = "holds no certificate in PEM form";
                self.add(&key, Some(&value), reason, "name a file of authorities");
            }
        }
    }

    fn certificate(&mut self, above: &str, certificate: &CertificateConfig, known: &Known) {
        let (name, text, pattern) = match (&certificate.uri, &certificate.dns) {
            (Some(uri), None) => ("uri", uri, SanPattern::uri(uri)),
            (None, Some(dns)) => ("dns", dns, SanPattern::dns(dns)),
            (None, None) => {
                let remedy = "give the name in the certificate, as uri or as dns";
                self.missing(above, "uri", remedy);
                return;
            }
            (Some(_), Some(_)) => {
                let reason = "is given and so is dns";
                let remedy = "write two rules";
                self.add(&format!("{above}.uri"), None, reason, remedy);
                return;
            }
        };
        if let Err(reason) = pattern {
            let value = format!("`{}`", text.escape_debug());
            let remedy = "write for example spiffe://example.org/ns/*/sa/dialer as uri, or *.dialers.example.net as dns";
            self.add(&format!("{above}.{name}"), Some(&value), reason, remedy);
        }
        if let Some(own) = &certificate.name {
            self.given(
                above,
                "name",
                own,
                "leave it out to take the one in the certificate",
            );
        }
        self.roles_of(above, &certificate.roles, known);
        self.tenant(above, certificate.tenant.as_deref(), known);
    }

    /// A text that must be there, and must not break a log line.
    fn given(&mut self, above: &str, name: &str, text: &str, remedy: &str) {
        if text.is_empty() {
            self.missing(above, name, remedy);
        } else if text.contains(char::is_control) {
            let value = format!("`{}`", text.escape_debug());
            let key = format!("{above}.{name}");
            self.add(
                &key,
                Some(&value),
                "holds a control character",
                "leave it out",
            );
        }
    }

    fn roles_of(&mut self, above: &str, roles: &Names, known: &Known) {
        if roles.is_empty() {
            let remedy = "name at least one, such as viewer, operator or admin";
            self.missing(above, "roles", remedy);
        }
        self.known_roles(above, roles, known);
    }

    /// Who has a role that does not exist can do nothing, or all when somebody adds one of its name.
    fn known_roles(&mut self, above: &str, roles: &Names, known: &Known) {
        let Some(known) = &known.roles else { return };
        let is_unknown = |role: &&str| !known.iter().any(|known| known == role);
        for role in roles.iter().filter(is_unknown) {
            let value = format!("`{}`", role.escape_debug());
            let remedy = format!("write {}, or describe it in roles", listed(known));
            self.add(
                &format!("{above}.roles"),
                Some(&value),
                "is no role",
                &remedy,
            );
        }
    }

    fn tenant(&mut self, above: &str, tenant: Option<&str>, known: &Known) {
        let Some(tenant) = tenant else { return };
        self.given(above, "tenant", tenant, "leave the key out for no tenant");
        let is_name = !tenant.is_empty() && !tenant.contains(char::is_control);
        let Some(known) = known.tenants.as_ref().filter(|_| is_name) else {
            return;
        };
        if !known.iter().any(|known| known == tenant) {
            let value = format!("`{}`", tenant.escape_debug());
            let remedy = match known.is_empty() {
                true => "describe it in tenants".to_owned(),
                false => format!("write {}, or describe it in tenants", listed(known)),
            };
            self.add(
                &format!("{above}.tenant"),
                Some(&value),
                "is no tenant",
                &remedy,
            );
        }
    }

    fn content(&mut self, key: &str, path: &str) -> Option<String> {
        match self.source.read(Path::new(path)) {
            Ok(content) => Some(content),
            Err(error) => {
                let value = format!("`{}`", path.escape_debug());
                let reason = format!("cannot be read: {error}");
                self.add(
                    key,
                    Some(&value),
                    &reason,
                    "name a file that this user may read",
                );
                None
            }
        }
    }
}

/// `a, b or c`, of as many as one can read.
fn listed(names: &[String]) -> String {
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() && rest.len() < MOST_LISTED => {
            format!("{} or {last}", rest.join(", "))
        }
        Some((last, [])) => last.clone(),
        _ => names[..names.len().min(MOST_LISTED)].join(", ") + " ...",
    }
}

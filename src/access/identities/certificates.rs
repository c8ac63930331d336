//! Client certificates: who somebody is by a name that the certificate was issued for.
//!
//! Only subject alternative names count (RFC 9525, section 2): anybody may have put anything into
//! the common name.

use std::str::FromStr;

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::Identified;

/// Most names of one certificate that are looked at.
const MOST_NAMES: usize = 64;
/// Longest name that is taken.
const LONGEST_NAME: usize = 255;
/// What a pattern must be, for an error.
const STAR: &str = "`*` may stand once, for a whole part between separators";

/// A subject alternative name, or a pattern of such with one `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SanPattern {
    /// A URI, such as `spiffe://example.org/ns/*/sa/dialer`: `*` stands for one segment of the path.
    Uri(Parts),
    /// A DNS name, such as `*.dialers.example.net`: `*` stands for one label.
    Dns(Parts),
}

/// What stands before and behind the part that may be anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    before: String,
    /// Absent in a pattern without `*`.
    behind: Option<String>,
}

/// Who has which certificate; the first that fits counts.
#[derive(Debug, Default)]
pub(super) struct Certificates(Vec<Rule>);

/// A pattern and who somebody is whose certificate fits.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) pattern: SanPattern,
    /// The name in the certificate when absent.
    pub(super) name: Option<String>,
    pub(super) roles: Vec<String>,
    pub(super) tenant: Option<String>,
}

// === impl SanPattern ===

impl SanPattern {
    /// A pattern of URIs.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn uri(text: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = text
            .split_once("://")
            .ok_or("has no scheme, as `spiffe://` is one")?;
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, Some(path)),
            None => (rest, None),
        };
        if scheme.is_empty() || authority.is_empty() || text.len() > LONGEST_NAME {
            return Err("is no URI");
        }
        if scheme.contains('*') || authority.contains('*') {
            return Err("has its `*` before the path");
        }
        if text.contains(|c: char| !c.is_ascii_graphic())
            || path.is_some_and(|path| path.split('/').any(str::is_empty))
        {
            return Err("is no URI of printable characters without empty segments");
        }
        Parts::new(text, '/').map(Self::Uri)
    }

    /// A pattern of DNS names.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn dns(text: &str) -> Result<Self, &'static str> {
        let is_label = |label: &str| {
            let of_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '*';
            !label.is_empty() && label.chars().all(of_name)
        };
        if text.len() > LONGEST_NAME || !text.split('.').all(is_label) {
            return Err("is no DNS name");
        }
        if text == "*" {
            return Err("fits every name of one label");
        }
        Parts::new(&text.to_ascii_lowercase(), '.').map(Self::Dns)
    }

    /// Whether it fits this name of a certificate.
    fn fits(&self, name: &GeneralName<'_>) -> bool {
        match (self, name) {
            (Self::Uri(parts), GeneralName::URI(uri)) => parts.fit(uri, '/'),
            (Self::Dns(parts), GeneralName::DNSName(dns)) => {
                parts.fit(&dns.to_ascii_lowercase(), '.')
            }
            _ => false,
        }
    }
}

// === impl Parts ===

impl Parts {
    fn new(text: &str, separator: char) -> Result<Self, &'static str> {
        let Some((before, behind)) = text.split_once('*') else {
            return Ok(Self {
                before: text.to_owned(),
                behind: None,
            });
        };
        let begins = before.is_empty() || before.ends_with(separator);
        let ends = behind.is_empty() || behind.starts_with(separator);
        if !begins || !ends || behind.contains('*') {
            return Err(STAR);
        }
        Ok(Self {
            before: before.to_owned(),
            behind: Some(behind.to_owned()),
        })
    }

    fn fit(&self, name: &str, separator: char) -> bool {
        let Some(behind) = &self.behind else {
            return name == self.before;
        };
        let middle = name
            .strip_prefix(self.before.as_str())
            .and_then(|rest| rest.strip_suffix(behind.as_str()));
        // A segment of dots would lead somewhere else, an encoded one could be any.
        middle.is_some_and(|part| {
            !part.is_empty() && !part.contains([separator, '%', '*', '?', '#']) && !is_dots(part)
        })
    }
}

fn is_dots(part: &str) -> bool {
    part.bytes().all(|byte| byte == b'.')
}

// === impl Certificates ===

impl Certificates {
    pub(super) fn new(rules: Vec<Rule>) -> Self {
        Self(rules)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Who has this certificate, which TLS has verified.
    ///
    /// # Errors
    /// Why nobody has it, for the log.
    pub(super) fn find(&self, der: &[u8]) -> Result<Identified, &'static str> {
        let (_, certificate) =
            X509Certificate::from_der(der).map_err(|_| "the certificate is malformed")?;
        let names = certificate
            .subject_alternative_name()
            .map_err(|_| "the certificate's alternative names are malformed")?
            .ok_or("the certificate has no alternative name")?;
        let names = &names.value.general_names;
        let names = &names[..names.len().min(MOST_NAMES)];
        for rule in &self.0 {
            for name in names {
                let (GeneralName::URI(text) | GeneralName::DNSName(text)) = name else {
                    continue;
                };
                if text.len() > LONGEST_NAME || !text.chars().all(|c| c.is_ascii_graphic()) {
                    continue;
                }
                if rule.pattern.fits(name) {
                    let own = || (*text).to_owned();
                    return Ok(Identified {
                        name: rule.name.clone().unwrap_or_else(own),
                        roles: rule.roles.clone(),
                        tenant: rule.tenant.clone(),
                    });
                }
            }
        }
        Err("no rule of access.certificates fits the certificate")
    }
}

impl FromStr for SanPattern {
    type Err = &'static str;

    /// A URI when there is a scheme in it, else a DNS name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains("://") {
            Self::uri(text)
        } else {
            Self::dns(text)
        }
    }
}

#[cfg(test)]
mod tests;

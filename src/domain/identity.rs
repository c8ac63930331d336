//! What tells one request from another.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{Failure, Reason};

/// Longest `request_id`.
const MAX_ID: usize = 256;
/// Names ids that are derived from a `request_id`.
const NAMESPACE: Uuid = Uuid::from_u128(0x8f1d_2a6e_54c3_4b7b_9c7e_3d52_a0b1_e64f);

/// A request by its id, its RPC and a fingerprint of each field that is set. No value is kept: it
/// may be secret, and nobody is told one.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// The `request_id`; empty for a request that is not protected.
    pub id: String,
    /// The RPC.
    pub rpc: &'static str,
    /// What RPCs have in common that may stand for each other; else the RPC itself.
    pub kind: &'static str,
    /// Who asks: the same id of two callers means two requests.
    pub caller: String,
    /// The caller's tenant.
    pub tenant: Option<String>,
    /// Name and fingerprint of each field that is set, without the id itself.
    pub fields: BTreeMap<&'static str, u64>,
}

// === impl Identity ===

impl Identity {
    /// An id for what the request makes, the same for every gateway, so that FreeSWITCH itself can
    /// refuse the second one; `None` for a request that is not protected.
    pub fn derived(&self, what: &str) -> Option<Uuid> {
        let name = || format!("{what} of {}", self.key());
        (!self.id.is_empty()).then(|| Uuid::new_v5(&NAMESPACE, name().as_bytes()))
    }

    /// What it is remembered by.
    pub fn key(&self) -> String {
        // Neither an id nor the name of a tenant has a line feed, so that no two make the same key.
        let tenant = self.tenant.as_deref().unwrap_or_default();
        format!("{}\n{tenant}\n{}", self.id, self.caller)
    }

    /// That the id can be one.
    ///
    /// # Errors
    /// INVALID_ARGUMENT when it is too long or not printable ASCII.
    pub fn check(&self) -> Result<(), Failure> {
        let is_printable = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
        if self.id.len() > MAX_ID || !self.id.bytes().all(is_printable) {
            return Err(Failure::invalid(
                "request_id",
                "is longer than 256 bytes or not printable ASCII; use a UUID",
            ));
        }
        Ok(())
    }

    /// That this is the request for which the id was used at `first`.
    ///
    /// # Errors
    /// REQUEST_ID_REUSED with the RPC that had it, or the names of the fields that differ.
    pub fn check_same(&self, first: &Self) -> Result<(), Failure> {
        let id = &self.id;
        if self.kind != first.kind {
            let message = format!(
                "request_id {id:?} was used before by {}; use a new one",
                first.rpc
            );
            return Err(self.reused(first, message));
        }
        let differs = self.differences(first).join(",");
        if differs.is_empty() {
            return Ok(());
        }
        let message = format!(
            "request_id {id:?} was used before for a request that differs in {differs}; use a new one"
        );
        Err(self.reused(first, message).with("differs", differs))
    }

    /// Names of the fields that are not the same.
    fn differences(&self, other: &Self) -> Vec<&'static str> {
        let mut names: Vec<_> = self
            .fields
            .keys()
            .chain(other.fields.keys())
            .copied()
            .filter(|name| self.fields.get(name) != other.fields.get(name))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn reused(&self, first: &Self, message: String) -> Failure {
        Failure::new(Reason::RequestIdReused, message)
            .with("request_id", &self.id)
            .with("used_by", first.rpc)
    }
}

/// A request as tests make it.
#[cfg(test)]
pub(crate) fn identity(id: &str, rpc: &'static str, fields: &[(&'static str, &str)]) -> Identity {
    use std::hash::BuildHasher as _;
    let hash = |value: &&str| foldhash::quality::FixedState::default().hash_one(value);
    Identity {
        id: id.to_owned(),
        rpc,
        kind: rpc,
        caller: String::new(),
        tenant: None,
        fields: fields
            .iter()
            .map(|(name, value)| (*name, hash(value)))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_id_of_another_caller_or_tenant_is_another_request() {
        let of = |caller: &str, tenant: Option<&str>| Identity {
            caller: caller.to_owned(),
            tenant: tenant.map(str::to_owned),
            ..identity("order-7", "Originate", &[])
        };
        let all = [
            of("web", None),
            of("web", Some("acme")),
            of("web", Some("other")),
            of("desk", Some("acme")),
            of("acme\nweb", None),
        ];
        for (at, one) in all.iter().enumerate() {
            for other in &all[at + 1..] {
                assert_ne!(one.key(), other.key());
                assert_ne!(one.derived("leg 0"), other.derived("leg 0"));
            }
        }
        assert_eq!(
            all[1].derived("leg 0"),
            of("web", Some("acme")).derived("leg 0")
        );
    }
}

//! What somebody may do.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::pattern::Pattern;
use super::tenants::{Tenant, Tenants};
use super::{Caller, Identified, ready};
use crate::config::{NamesConfig, RoleConfig, TenantConfig};
use crate::domain::{Failure, NodeId, Reason};

/// What each role may do, and whose each session is. Clones share it.
#[derive(Debug, Clone)]
pub struct Roles {
    table: Arc<ArcSwap<Table>>,
    tenants: Tenants,
}

#[derive(Debug)]
struct Table {
    roles: BTreeMap<String, Arc<Role>>,
    tenants: BTreeMap<String, Arc<Tenant>>,
}

/// What one role may do.
#[derive(Debug)]
pub(super) struct Role {
    name: Box<str>,
    pub(super) rpcs: Names,
    nodes: Vec<Pattern>,
    pub(super) commands: Names,
    pub(super) applications: Names,
    pub(super) expand: bool,
    /// Nobody wrote it for this gateway.
    is_ready: bool,
}

/// Names that are allowed, without those that are denied.
#[derive(Debug)]
pub(super) struct Names {
    allow: Vec<Pattern>,
    deny: Vec<Pattern>,
}

/// What names say of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// It is denied, or not among those that are allowed.
    No,
    /// A pattern allows it among others.
    AmongOthers,
    /// It is allowed by its own name.
    ByName,
}

// === impl Roles ===

impl Default for Roles {
    fn default() -> Self {
        Self::new(&BTreeMap::new(), &BTreeMap::new())
    }
}

impl Roles {
    /// These roles, in place of the ready ones of the same name, and the others of those.
    pub fn new(
        roles: &BTreeMap<String, RoleConfig>,
        tenants: &BTreeMap<String, TenantConfig>,
    ) -> Self {
        let table = Table::new(roles, tenants);
        let shared = Tenants::default();
        shared.replace(&table.tenants);
        Self {
            table: Arc::new(ArcSwap::from_pointee(table)),
            tenants: shared,
        }
    }

    /// Puts others in their place, for requests that come from now on; an RPC under way keeps the
    /// rights with which it began.
    pub fn replace(
        &self,
        roles: &BTreeMap<String, RoleConfig>,
        tenants: &BTreeMap<String, TenantConfig>,
    ) {
        let table = Table::new(roles, tenants);
        self.tenants.replace(&table.tenants);
        self.table.store(Arc::new(table));
    }

    /// Whose each session is.
    pub fn tenants(&self) -> &Tenants {
        &self.tenants
    }

    /// The caller with the rights of its roles.
    ///
    /// # Errors
    /// PERMISSION_DENIED when it has none that is known, or its tenant is not.
    pub fn caller(&self, identified: Identified) -> Result<Caller, Failure> {
        let table = self.table.load();
        let name = identified.name;
        let denied = |message: String| {
            Err(Failure::new(Reason::PermissionDenied, message).with("caller", &name))
        };
        let roles = identified.roles.iter();
        let roles: Vec<_> = roles
            .filter_map(|role| table.roles.get(role).cloned())
            .collect();
        if roles.is_empty() {
            return denied(format!(
                "caller {name:?} has no role that is known ({}); give it one in the configuration",
                identified.roles.join(", ")
            ));
        }
        let tenant = match &identified.tenant {
            None => None,
            Some(tenant) => match table.tenants.get(tenant) {
                Some(known) => Some(Arc::clone(known)),
                None => {
                    return denied(format!(
                        "caller {name:?} is of a tenant that is not known, {tenant:?}; describe it in tenants of the configuration"
                    ));
                }
            },
        };
        Ok(Caller::with_rights(name, roles, tenant))
    }
}

// === impl Table ===

impl Table {
    fn new(roles: &BTreeMap<String, RoleConfig>, tenants: &BTreeMap<String, TenantConfig>) -> Self {
        let ready = ready::roles().into_iter();
        let mut all: BTreeMap<String, Arc<Role>> = ready
            .map(|(name, role)| (name.to_owned(), Arc::new(Role::new(name, &role, true))))
            .collect();
        let own = roles.iter();
        all.extend(own.map(|(name, role)| {
            let own = Role::new(name, role, false);
            (name.clone(), Arc::new(own))
        }));
        let tenants = tenants.iter();
        Self {
            roles: all,
            tenants: tenants
                .map(|(name, tenant)| (name.clone(), Arc::new(Tenant::new(name, tenant))))
                .collect(),
        }
    }
}

// === impl Role ===

impl Role {
    fn new(name: &str, config: &RoleConfig, is_ready: bool) -> Self {
        Self {
            name: name.into(),
            rpcs: Names::new(&config.rpcs, str::to_owned),
            nodes: config.nodes.iter().map(|name| Pattern::new(name)).collect(),
            commands: Names::new(&config.commands, str::to_ascii_lowercase),
            applications: Names::new(&config.applications, str::to_ascii_lowercase),
            expand: config.expand,
            is_ready,
        }
    }

    pub(super) fn has_node(&self, node: &NodeId) -> bool {
        self.nodes.iter().any(|pattern| pattern.fits(node.as_str()))
    }

    /// What a verdict is worth where somebody must have meant it: nobody wrote the names of a ready
    /// role for this gateway.
    pub(super) fn written(&self, verdict: Verdict) -> Verdict {
        match self.is_ready {
            true => verdict.min(Verdict::AmongOthers),
            false => verdict,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn nodes(&self) -> &[Pattern] {
        &self.nodes
    }

    pub(super) fn has_all_nodes(&self) -> bool {
        self.nodes.contains(&Pattern::new("*"))
    }
}

// === impl Names ===

impl Names {
    fn new(config: &NamesConfig, written: impl Fn(&str) -> String) -> Self {
        let patterns = |texts: &[String]| {
            let texts = texts.iter();
            texts.map(|text| Pattern::new(&written(text))).collect()
        };
        Self {
            allow: patterns(&config.allow),
            deny: patterns(&config.deny),
        }
    }

    /// What they say of a name; of one in lower case where they are so.
    pub(super) fn verdict(&self, name: &str) -> Verdict {
        if self.deny.iter().any(|pattern| pattern.fits(name)) {
            return Verdict::No;
        }
        let fitting = self.allow.iter().filter(|pattern| pattern.fits(name));
        let verdicts = fitting.map(|pattern| match pattern.is_exact() {
            true => Verdict::ByName,
            false => Verdict::AmongOthers,
        });
        verdicts.max().unwrap_or(Verdict::No)
    }
}

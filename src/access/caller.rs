//! Who asks.

mod rights;

use std::sync::Arc;

use super::roles::{Role, Verdict};
use super::tenants::{Tenant, View};
use crate::domain::{Failure, NodeId, Reason};

/// RPCs that are about a node as a whole, or run what nobody can hold to a tenant: of those who have
/// one, only who is given them by name may call them.
const NOT_FOR_TENANTS: [&str; 7] = [
    "NodeService/RunApi",
    "NodeService/DrainNode",
    "NodeService/UndrainNode",
    "NodeService/ReconcileNode",
    "NodeService/AddNode",
    "NodeService/RemoveNode",
    "EventService/PublishEvent",
];

/// Who asks, and what it may do. Clones share it.
#[derive(Debug, Clone)]
pub struct Caller(Arc<Who>);

#[derive(Debug)]
struct Who {
    name: String,
    rights: Rights,
    tenant: Option<Arc<Tenant>>,
    /// What it calls, as roles write it: `SessionService/Originate`.
    rpc: String,
    view: View,
}

#[derive(Debug)]
enum Rights {
    /// Those of the gateway itself.
    All,
    /// Those that these roles give together. Where several rights are needed at once, such as that for
    /// a command and that for a node, one role has to give both.
    Of(Vec<Arc<Role>>),
}

// === impl Caller ===

impl Caller {
    /// The gateway itself, which may do everything.
    pub fn gateway() -> Self {
        Self::new("gateway".to_owned(), Rights::All, None, String::new())
    }

    pub(super) fn with_rights(
        name: String,
        roles: Vec<Arc<Role>>,
        tenant: Option<Arc<Tenant>>,
    ) -> Self {
        Self::new(name, Rights::Of(roles), tenant, String::new())
    }

    fn new(name: String, rights: Rights, tenant: Option<Arc<Tenant>>, rpc: String) -> Self {
        let nodes = match &rights {
            Rights::Of(roles) if !roles.iter().any(|role| role.has_all_nodes()) => {
                let nodes = roles.iter().flat_map(|role| role.nodes());
                Some(nodes.cloned().collect())
            }
            Rights::All | Rights::Of(_) => None,
        };
        let view = View {
            tenant: tenant.as_ref().map(|tenant| Arc::clone(&tenant.name)),
            nodes,
        };
        Self(Arc::new(Who {
            name,
            rights,
            tenant,
            rpc,
            view,
        }))
    }

    /// Its name in logs and limits.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The tenant to whose sessions it is held.
    pub fn tenant(&self) -> Option<&Tenant> {
        self.0.tenant.as_deref()
    }

    /// What it may see.
    pub fn view(&self) -> &View {
        &self.0.view
    }

    /// Whether another one has the same name, tenant and roles and is shown the same.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let (this, other) = (&*self.0, &*other.0);
        this.name == other.name
            && this.tenant == other.tenant
            && this.view == other.view
            && this.rights.role_names().eq(other.rights.role_names())
    }

    /// The caller with those of its roles that allow this RPC (`/switchgate.v1.Service/Method`).
    ///
    /// # Errors
    /// PERMISSION_DENIED when none does.
    pub fn calling(&self, rpc: &str) -> Result<Self, Failure> {
        let rpc = rpc.rsplit('.').next().unwrap_or(rpc);
        let Rights::Of(roles) = &self.0.rights else {
            return Ok(self.clone());
        };
        let is_closed = self.0.tenant.is_some() && NOT_FOR_TENANTS.contains(&rpc);
        let least = match is_closed {
            true => Verdict::ByName,
            false => Verdict::AmongOthers,
        };
        let allowing = roles.iter().filter(|role| {
            let verdict = role.rpcs.verdict(rpc);
            match is_closed {
                true => role.written(verdict) >= least,
                false => verdict >= least,
            }
        });
        let roles: Vec<_> = allowing.cloned().collect();
        if roles.is_empty() {
            let remedy = match is_closed {
                true => "it is not for tenants; a role with its very name in rpcs.allow lets them",
                false => "a role with it in rpcs.allow, and not in rpcs.deny, lets it",
            };
            let message = format!("caller {:?} may not call {rpc}: {remedy}", self.0.name);
            return Err(self.denied(message).with("rpc", rpc));
        }
        let tenant = self.0.tenant.clone();
        let rights = Rights::Of(roles);
        Ok(Self::new(
            self.0.name.clone(),
            rights,
            tenant,
            rpc.to_owned(),
        ))
    }

    /// That it may look at this node and act there.
    ///
    /// # Errors
    /// PERMISSION_DENIED.
    pub fn may_use(&self, node: &NodeId) -> Result<(), Failure> {
        if self.0.view.shows_node(node) {
            return Ok(());
        }
        let message = format!(
            "caller {:?} may not use node {node}: a role with it in nodes lets it",
            self.0.name
        );
        Err(self.denied(message).node(node))
    }

    fn denied(&self, message: String) -> Failure {
        let failure = Failure::new(Reason::PermissionDenied, message).with("caller", &self.0.name);
        match self.0.rpc.as_str() {
            "" => failure,
            rpc => failure.with("rpc", rpc),
        }
    }
}

// === impl Rights ===

impl Rights {
    fn role_names(&self) -> impl Iterator<Item = &str> {
        let roles = match self {
            Self::All => &[][..],
            Self::Of(roles) => roles,
        };
        roles.iter().map(|role| role.name())
    }
}

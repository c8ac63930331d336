//! Whose a session is.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::pattern::Pattern;
use crate::config::TenantConfig;
use crate::domain::NodeId;

/// A tenant: sessions with this value of this channel variable are its own.
#[derive(Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its name.
    pub name: Arc<str>,
    /// The variable. FreeSWITCH finds variables without regard to case.
    pub variable: String,
    /// The value.
    pub value: String,
}

/// All tenants, by what makes a session theirs. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Tenants(Arc<ArcSwap<ByVariable>>);

/// For each variable whose each value makes a session.
type ByVariable = Vec<(String, HashMap<String, Owners>)>;

/// The tenants whose a session is, mostly one or none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owners(Option<Arc<[Arc<str>]>>);

/// What somebody may see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// Only what is this tenant's.
    pub(super) tenant: Option<Arc<str>>,
    /// Only what is on nodes that fit one of these.
    pub(super) nodes: Option<Arc<[Pattern]>>,
}

// === impl Tenants ===

impl Tenants {
    /// Whether there is any.
    pub fn are_any(&self) -> bool {
        !self.0.load().is_empty()
    }

    /// Whose a session with these variables is.
    pub fn owners<'a>(&self, variable: impl Fn(&str) -> Option<Cow<'a, str>>) -> Owners {
        let mut owners = Owners::default();
        for (name, values) in self.0.load().iter() {
            if let Some(value) = variable(name)
                && let Some(of_value) = values.get(&*value)
            {
                owners = owners.and(of_value);
            }
        }
        owners
    }

    /// Puts others in their place. Sessions that are known become those of a new tenant with their
    /// next event that has variables.
    pub(super) fn replace(&self, tenants: &BTreeMap<String, Arc<Tenant>>) {
        let mut variables: BTreeMap<String, HashMap<String, Owners>> = BTreeMap::new();
        for tenant in tenants.values() {
            let values = variables
                .entry(tenant.variable.to_ascii_lowercase())
                .or_default();
            let owners = values.entry(tenant.value.clone()).or_default();
            *owners = owners.and(&Owners(Some([Arc::clone(&tenant.name)].into())));
        }
        self.0.store(Arc::new(variables.into_iter().collect()));
    }
}

impl Tenant {
    pub(super) fn new(name: &str, config: &TenantConfig) -> Self {
        Self {
            name: name.into(),
            variable: config.variable.clone(),
            value: config.value.clone(),
        }
    }
}

// === impl Owners ===

impl Owners {
    /// Whether this tenant is one of them.
    pub fn has(&self, tenant: &str) -> bool {
        let mut all = self.0.iter().flat_map(|owners| owners.iter());
        all.any(|owner| **owner == *tenant)
    }

    fn and(&self, others: &Self) -> Self {
        match (&self.0, &others.0) {
            (None, _) => others.clone(),
            (_, None) => self.clone(),
            (Some(some), Some(more)) => {
                let more = more.iter().filter(|owner| !self.has(owner));
                Self(Some(some.iter().chain(more).cloned().collect()))
            }
        }
    }
}

// === impl View ===

impl View {
    /// Whether it shows everything.
    pub fn is_all(&self) -> bool {
        self.tenant.is_none() && self.nodes.is_none()
    }

    /// Whether it shows what a tenant sees.
    pub fn is_tenants(&self) -> bool {
        self.tenant.is_some()
    }

    /// Whether it shows this node.
    pub fn shows_node(&self, node: &NodeId) -> bool {
        let nodes = self.nodes.as_ref();
        nodes.is_none_or(|nodes| nodes.iter().any(|pattern| pattern.fits(node.as_str())))
    }

    /// Whether it shows what is on this node and belongs to these.
    pub fn shows(&self, node: &NodeId, owners: &Owners) -> bool {
        let tenant = self.tenant.as_ref();
        tenant.is_none_or(|tenant| owners.has(tenant)) && self.shows_node(node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenants(all: &[[&str; 3]]) -> Tenants {
        let tenants = Tenants::default();
        let all = all.iter().map(|[name, variable, value]| {
            let config = TenantConfig {
                variable: (*variable).to_owned(),
                value: (*value).to_owned(),
            };
            ((*name).to_owned(), Arc::new(Tenant::new(name, &config)))
        });
        tenants.replace(&all.collect());
        tenants
    }

    #[test]
    fn a_session_is_of_those_whose_value_it_has() {
        let tenants = tenants(&[
            ["a", "Domain", "a.net"],
            ["b", "domain", "b.net"],
            ["c", "who", "x"],
        ]);
        let of = |variables: &[(&str, &'static str)]| {
            let variables: HashMap<String, &'static str> = variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), *value))
                .collect();
            let owners = tenants.owners(|name| Some(Cow::Borrowed(*variables.get(name)?)));
            ["a", "b", "c"].map(|tenant| owners.has(tenant))
        };
        assert_eq!(of(&[("domain", "a.net")]), [true, false, false]);
        assert_eq!(
            of(&[("domain", "b.net"), ("who", "x")]),
            [false, true, true]
        );
        assert_eq!(of(&[("domain", "A.net")]), [false; 3]);
        assert_eq!(of(&[]), [false; 3]);
    }
}

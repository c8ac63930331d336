//! Which node stands for which FreeSWITCH.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::NodeId;

/// The FreeSWITCHes whose events are taken in, by `Core-UUID`, which FreeSWITCH draws anew at each
/// start (`switch_core_init` in `switch_core.c`). Two nodes that reach the same one would tell each
/// event twice and take each other's sessions away.
#[derive(Debug, Default)]
pub(super) struct Cores(Mutex<BTreeMap<String, NodeId>>);

/// A node's right to stand for a FreeSWITCH; it ends with the event link.
#[derive(Debug)]
pub(super) struct Claim {
    cores: Arc<Cores>,
    core: String,
}

// === impl Cores ===

impl Cores {
    /// Gives the core to this node, or says which one has it.
    pub(super) fn claim(self: &Arc<Self>, core: &str, node: &NodeId) -> Result<Claim, NodeId> {
        match self.lock().entry(core.to_owned()) {
            Entry::Occupied(taken) => Err(taken.get().clone()),
            Entry::Vacant(free) => {
                free.insert(node.clone());
                Ok(Claim {
                    cores: Arc::clone(self),
                    core: core.to_owned(),
                })
            }
        }
    }

    /// A panic while the lock was held leaves plain data behind, which is better than none.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, NodeId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Claim ===

impl Drop for Claim {
    fn drop(&mut self) {
        self.cores.lock().remove(&self.core);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_has_one_node_until_that_lets_go() {
        let cores = Arc::new(Cores::default());
        let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
        let claim = cores.claim("core-1", &a).unwrap();
        let _other = cores.claim("core-2", &b).unwrap();
        assert_eq!(cores.claim("core-1", &b).unwrap_err(), a);
        drop(claim);
        assert!(cores.claim("core-1", &b).is_ok());
    }
}

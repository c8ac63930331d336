//! Nodes of all sources put together.

use std::collections::BTreeMap;

use crate::config::NodeConfig;
use crate::domain::NodeId;

/// What each source found last, by the name of the source, in the order of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found(Vec<(String, Vec<NodeConfig>)>);

/// Nodes of all sources, each name and each address once.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// The nodes; those of the list first.
    pub nodes: Vec<NodeConfig>,
    /// What was found and is no node.
    pub left_out: Vec<LeftOut>,
}

/// A node that was found and has the name or the address of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Who found it.
    pub source: String,
    /// Its name.
    pub id: NodeId,
    /// Its address.
    pub address: String,
    /// The node in its way.
    pub rival: NodeId,
}

// === impl Found ===

impl Found {
    /// The nodes, with the name of their source.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, &NodeConfig)> {
        let sources = self.0.iter();
        sources.flat_map(|(source, nodes)| nodes.iter().map(move |node| (&**source, node)))
    }

    /// Takes these for the nodes of a source; says whether anything is different.
    pub(super) fn put(&mut self, source: &str, nodes: Vec<NodeConfig>) -> bool {
        let place = self.0.iter_mut().find(|(name, _)| name == source);
        match place {
            Some((_, before)) if *before == nodes => false,
            Some((_, before)) => {
                *before = nodes;
                true
            }
            None => false,
        }
    }

    /// Leaves these sources, in this order; says whether anything is different.
    pub(super) fn restrict(&mut self, names: &[String]) -> bool {
        let mut before: BTreeMap<_, _> = self.0.iter().cloned().collect();
        let kept = names.iter().map(|name| {
            let nodes = before.remove(name).unwrap_or_default();
            (name.clone(), nodes)
        });
        let kept: Vec<_> = kept.collect();
        let is_different = kept != self.0;
        self.0 = kept;
        is_different
    }
}

/// Puts the nodes of the list and those that were found together. Where two have one name or one
/// address, that of the list wins, then that of the source named first.
pub fn merge(listed: &[NodeConfig], found: &Found) -> Merged {
    let mut merged = Merged::default();
    let (mut ids, mut addresses) = (BTreeMap::new(), BTreeMap::new());
    let listed = listed.iter().map(|node| (None, node));
    let found = found.nodes().map(|(source, node)| (Some(source), node));
    for (source, node) in listed.chain(found) {
        let address = node.address.to_string().to_ascii_lowercase();
        let rival = ids.get(&node.id).or_else(|| addresses.get(&address));
        if let Some((source, rival)) = source.zip(rival) {
            merged.left_out.push(LeftOut {
                source: source.to_owned(),
                id: node.id.clone(),
                address,
                rival: NodeId::clone(rival),
            });
            continue;
        }
        ids.insert(node.id.clone(), node.id.clone());
        addresses.insert(address, node.id.clone());
        merged.nodes.push(node.clone());
    }
    merged
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::config::NodeAddress;

    fn node(id: u8, address: u8) -> NodeConfig {
        let address = NodeAddress::new(format!("FS-{address}"), 8021);
        NodeConfig::new(format!("n{id}").parse().unwrap(), address, "secret")
    }

    fn found(sources: &[(&str, Vec<NodeConfig>)]) -> Found {
        let sources = sources.iter();
        Found(
            sources
                .map(|(name, nodes)| ((*name).to_owned(), nodes.clone()))
                .collect(),
        )
    }

    #[test]
    fn the_list_wins_then_the_first_source() {
        let found = found(&[
            ("one", vec![node(1, 11), node(2, 12)]),
            ("two", vec![node(2, 22), node(3, 12), node(4, 14)]),
        ]);
        let merged = merge(&[node(1, 1), node(9, 14)], &found);
        let ids: Vec<_> = merged.nodes.iter().map(|node| node.id.as_str()).collect();
        assert_eq!(ids, ["n1", "n9", "n2"]);
        let left_out = merged.left_out.iter();
        let left_out: Vec<_> = left_out
            .map(|one| (&*one.source, one.id.as_str(), one.rival.as_str()))
            .collect();
        let expected = [
            ("one", "n1", "n1"),
            ("two", "n2", "n2"),
            ("two", "n3", "n2"),
            ("two", "n4", "n9"),
        ];
        assert_eq!(left_out, expected);
    }

    #[test]
    fn a_source_keeps_its_nodes_while_it_is_named() {
        let mut all = Found::default();
        let names = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| (*name).to_owned()).collect()
        };
        assert!(all.restrict(&names(&["a", "b"])));
        assert!(all.put("b", vec![node(1, 1)]));
        assert!(!all.put("b", vec![node(1, 1)]));
        assert!(!all.put("gone", vec![node(2, 2)]));
        assert!(all.restrict(&names(&["b", "c"])));
        assert_eq!(all, found(&[("b", vec![node(1, 1)]), ("c", vec![])]));
        assert!(!all.restrict(&names(&["b", "c"])));
        assert!(all.restrict(&names(&["c"])));
        assert_eq!(all.nodes().count(), 0);
    }

    proptest! {
        #[test]
        fn each_name_and_each_address_is_there_once_and_none_is_forgotten(
            listed in 0_u8..3,
            one in vec((0_u8..6, 0_u8..6), 0..6),
            two in vec((0_u8..6, 0_u8..6), 0..6),
        ) {
            let nodes = |pairs: &[(u8, u8)]| -> Vec<_> {
                pairs.iter().map(|(id, address)| node(*id, *address)).collect()
            };
            let listed: Vec<_> = (0..listed).map(|at| node(at, at)).collect();
            let found = found(&[("one", nodes(&one)), ("two", nodes(&two))]);
            let merged = merge(&listed, &found);
            let ids: BTreeSet<_> = merged.nodes.iter().map(|node| &node.id).collect();
            let addresses: BTreeSet<_> =
                merged.nodes.iter().map(|node| node.address.to_string()).collect();
            prop_assert_eq!(ids.len(), merged.nodes.len());
            prop_assert_eq!(addresses.len(), merged.nodes.len());
            prop_assert!(merged.nodes.starts_with(&listed));
            let total = merged.nodes.len() + merged.left_out.len();
            prop_assert_eq!(total, listed.len() + one.len() + two.len());
            for left in &merged.left_out {
                prop_assert!(ids.contains(&left.rival));
            }
        }
    }
}

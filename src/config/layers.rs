//! One untyped tree, laid over by file, environment and flags in this order, that remembers where
//! each value came from. Typing it finds every value that does not fit, not only the first.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_path_to_error::Segment;
use yaml_serde::{Mapping, Value};

use super::problem::{Origin, Problem, Problems};
use super::{
    AccessConfig, AdminConfig, AuditConfig, EslConfig, EventsConfig, GrpcConfig, JobsConfig,
    LimitsConfig, LogConfig, RoleConfig, SessionsConfig, ShutdownConfig, TenantConfig,
    TracingConfig, discovery::DiscoveryEntry, node::NodeEntry,
};

/// The keys whose lists the environment numbers, and what they are lists of.
const LISTS: [(&str, &str, &str); 5] = [
    (NODES, "a node", "nodes"),
    ("discovery.sources", "a source", "sources"),
    ("access.tokens", "a token", "tokens"),
    ("access.jwt", "an issuer", "issuers"),
    ("access.certificates", "a rule", "rules"),
];

const NODES: &str = "nodes";

/// Most items of a list that the environment can number: a mistyped index must not cost memory.
const MAX_INDEX: usize = 9999;

/// The tree as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Tree {
    pub(super) grpc: GrpcConfig,
    pub(super) access: AccessConfig,
    pub(super) admin: AdminConfig,
    pub(super) nodes: Vec<NodeEntry>,
    pub(super) discovery: DiscoveryEntry,
    pub(super) esl: EslConfig,
    pub(super) sessions: SessionsConfig,
    pub(super) jobs: JobsConfig,
    pub(super) events: EventsConfig,
    pub(super) shutdown: ShutdownConfig,
    pub(super) log: LogConfig,
    pub(super) tracing: TracingConfig,
    pub(super) audit: AuditConfig,
    pub(super) limits: LimitsConfig,
    pub(super) roles: BTreeMap<String, RoleConfig>,
    pub(super) tenants: BTreeMap<String, TenantConfig>,
}

/// The layers laid over each other so far. They hold passwords as they were written, hence no
/// `Debug`.
#[derive(Default)]
pub(super) struct Layers {
    root: Value,
    file: Option<PathBuf>,
    origins: BTreeMap<String, Origin>,
}

// === impl Layers ===

impl Layers {
    /// The lowest layer: the content of a file.
    pub(super) fn from_file(path: &Path, content: &str) -> Result<Self, Problems> {
        let refuse = |reason: String, remedy: &str| {
            Problems::from(Problem {
                key: String::new(),
                value: None,
                reason,
                remedy: remedy.to_owned(),
                origin: Origin::File(path.to_owned()),
            })
        };
        let mut root: Value = yaml_serde::from_str(content).map_err(|error| {
            refuse(
                format!("is no YAML: {error}"),
                "mend the line that is named",
            )
        })?;
        tidy(&mut root);
        if !matches!(root, Value::Null | Value::Mapping(_)) {
            return Err(refuse(
                "is no mapping of keys".to_owned(),
                "begin it with keys such as grpc: and nodes:, see docs/config.example.yaml",
            ));
        }
        Ok(Self {
            root,
            file: Some(path.to_owned()),
            origins: BTreeMap::new(),
        })
    }

    /// A file that is a list of nodes and nothing else.
    pub(super) fn from_node_file(path: &Path, content: &str) -> Result<Self, Problems> {
        let refuse = |reason: String| {
            Problems::from(Problem {
                key: String::new(),
                value: None,
                reason,
                remedy: "write a list of nodes as below nodes:, or [] for none".to_owned(),
                origin: Origin::File(path.to_owned()),
            })
        };
        let mut list: Value = yaml_serde::from_str(content)
            .map_err(|error| refuse(format!("is no YAML: {error}")))?;
        if !list.is_sequence() {
            return Err(refuse("is no list".to_owned()));
        }
        tidy(&mut list);
        let mut root = Mapping::new();
        root.insert(Value::from(NODES), list);
        Ok(Self {
            root: Value::Mapping(root),
            file: Some(path.to_owned()),
            origins: BTreeMap::new(),
        })
    }

    /// Lays a value over what is there. `path` names keys and, below lists, numbers.
    pub(super) fn set(
        &mut self,
        path: &[&str],
        value: String,
        origin: Origin,
    ) -> Result<(), Problems> {
        let mut place = &mut self.root;
        let mut key = String::new();
        for segment in path {
            if let Some((_, one, all)) = LISTS.iter().find(|(list, ..)| *list == key) {
                let index = segment.parse().ok().filter(|index| *index <= MAX_INDEX);
                let Some(index) = index else {
                    return Err(Problem {
                        key: join(&key, segment),
                        value: None,
                        reason: format!("is no number of {one}"),
                        remedy: format!("number the {all} from 0 to {MAX_INDEX}"),
                        origin,
                    }
                    .into());
                };
                key = format!("{key}[{index}]");
                let Some(next) = item(place, index) else {
                    return Ok(());
                };
                place = next;
            } else {
                key = join(&key, segment);
                let Some(next) = entry(place, segment) else {
                    return Ok(());
                };
                place = next;
            }
        }
        *place = Value::String(value);
        self.origins.insert(key, origin);
        Ok(())
    }

    /// The number of the node with this id, or else the number after the last.
    pub(super) fn node_index(&self, id: &str) -> usize {
        let nodes = self.root.get(NODES).and_then(Value::as_sequence);
        let named = |node: &Value| node.get("id").and_then(Value::as_str) == Some(id);
        nodes.map_or(0, |nodes| {
            nodes.iter().position(named).unwrap_or(nodes.len())
        })
    }

    /// Whether a key of a section was given.
    pub(super) fn has(&self, section: &str, name: &str) -> bool {
        let section = self.root.get(section);
        let value = section.and_then(|section| section.get(name));
        value.is_some_and(|value| !value.is_null())
    }

    /// Where the value of a key came from.
    pub(super) fn origin(&self, key: &str) -> Origin {
        let above = |set: &str| {
            key.strip_prefix(set)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let below = |set: &str| {
            set.strip_prefix(key)
                .is_some_and(|rest| rest.starts_with(['.', '[']))
        };
        let set = self
            .origins
            .iter()
            .find(|(set, _)| above(set) || below(set));
        match (set, &self.file) {
            (Some((_, origin)), _) => origin.clone(),
            (None, Some(file)) if self.lookup(key) => Origin::File(file.clone()),
            (None, _) => Origin::Default,
        }
    }

    /// Types the tree; what does not fit becomes a problem and is left at its default. No tree
    /// when a misfit cannot be told from what is around it.
    ///
    /// A section or a list with nothing below it was left out, since all its children may be
    /// commented out; a single value that is missing was forgotten, and so was a list of rights.
    pub(super) fn read(&self, problems: &mut Problems) -> Option<Tree> {
        let mut rest = self.root.clone();
        if rest.is_null() {
            return Some(Tree::default());
        }
        loop {
            let error = match serde_path_to_error::deserialize(rest.clone()) {
                Ok(tree) => return Some(tree),
                Err(error) => error,
            };
            let path = error.path();
            let message = error.inner().to_string();
            // Somebody without roles was hardly meant.
            let is_empty_list = message.contains("unit value, expected a list")
                && !path.to_string().ends_with(".roles");
            if !is_empty_list {
                let problem = self.problem(&rest, path, &message);
                problems.0.push(problem);
            }
            // Each round takes one value away, so the loop ends.
            if !remove(&mut rest, path) {
                return None;
            }
        }
    }

    fn problem(&self, root: &Value, path: &serde_path_to_error::Path, message: &str) -> Problem {
        let key = path.to_string();
        // The value of an unknown key can be a password behind a slip of the pen.
        let unknown = message.strip_prefix("unknown field ");
        let secret = unknown.is_some() || key.ends_with("password") || key.ends_with("sha256");
        let complex = message.ends_with("expected field identifier");
        let found = find(root, path);
        let is_empty = found.is_some_and(Value::is_null);
        let value = found.filter(|_| !secret && !complex && !is_empty).map(show);
        let (reason, remedy) = match (unknown, message.rsplit_once(", expected ")) {
            (Some(_), Some((_, keys))) => {
                let keys = keys.trim_start_matches("one of ").replace(" or ", ", ");
                // `{level: info,switchgate=debug}` has two keys.
                let comma = match is_empty {
                    true => "; a text with a comma between { } needs quotes",
                    false => "",
                };
                (
                    "is no key".to_owned(),
                    format!("the keys here are {keys}{comma}"),
                )
            }
            (None, _) if is_empty => (
                "has no value".to_owned(),
                "write one, or leave it out".to_owned(),
            ),
            (None, Some((_, expected))) => match expected {
                text if text.starts_with("struct ") || text == "a map" => (
                    "is not a mapping of keys".to_owned(),
                    "write its keys below it, indented".to_owned(),
                ),
                "a sequence" => (
                    "is not a list".to_owned(),
                    "write its items below it, each after a dash".to_owned(),
                ),
                "field identifier" => (
                    "has a key that is not text".to_owned(),
                    "write keys as plain words".to_owned(),
                ),
                "a string" => (
                    "is not text".to_owned(),
                    "put the value in quotes".to_owned(),
                ),
                text => split(&format!("is not {text}")),
            },
            _ => split(message),
        };
        Problem {
            // A misfit was given, even where its key cannot be followed: no default misfits.
            origin: match (self.origin(&key), &self.file) {
                (Origin::Default, Some(file)) => Origin::File(file.clone()),
                (origin, _) => origin,
            },
            key,
            value,
            reason,
            remedy,
        }
    }

    /// Whether the tree holds this key.
    fn lookup(&self, key: &str) -> bool {
        let mut place = &self.root;
        for part in key.split(['.', '[']) {
            let next = match part.strip_suffix(']') {
                Some(index) => index
                    .parse::<usize>()
                    .ok()
                    .and_then(|index| place.get(index)),
                None => place.get(part),
            };
            let Some(next) = next else {
                return false;
            };
            place = next;
        }
        !place.is_null()
    }
}

/// A key below another.
pub(super) fn join(above: &str, key: &str) -> String {
    if above.is_empty() {
        key.to_owned()
    } else {
        format!("{above}.{key}")
    }
}

/// Splits a message of a `Leaf` into reason and remedy.
fn split(message: &str) -> (String, String) {
    match message.split_once("; ") {
        Some((reason, remedy)) => (reason.to_owned(), remedy.to_owned()),
        None => (
            message.to_owned(),
            "see docs/config.example.yaml".to_owned(),
        ),
    }
}

/// A key that is a number is its digits, since every key here is text.
fn tidy(value: &mut Value) {
    match value {
        Value::Mapping(map) => {
            *map = std::mem::take(map)
                .into_iter()
                .map(|(key, mut value)| {
                    tidy(&mut value);
                    match key {
                        Value::Number(number) => (Value::String(number.to_string()), value),
                        Value::Bool(truth) => (Value::String(truth.to_string()), value),
                        key => (key, value),
                    }
                })
                .collect();
        }
        Value::Sequence(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// The entry of a mapping, made where it is missing; none where something else is in its place,
/// which the typing then reports.
fn entry<'a>(place: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    if place.is_null() {
        *place = Value::Mapping(Mapping::new());
    }
    let map = place.as_mapping_mut()?;
    Some(map.entry(Value::from(key)).or_insert(Value::Null))
}

/// As `entry`, for the item of a list; items before it are made as empty mappings.
fn item(place: &mut Value, index: usize) -> Option<&mut Value> {
    if place.is_null() {
        *place = Value::Sequence(Vec::new());
    }
    let items = place.as_sequence_mut()?;
    while items.len() <= index {
        items.push(Value::Mapping(Mapping::new()));
    }
    items.get_mut(index)
}

/// Leaves the segments that lead to a value.
fn steps(path: &serde_path_to_error::Path) -> Vec<&Segment> {
    let step = |segment: &&Segment| matches!(segment, Segment::Map { .. } | Segment::Seq { .. });
    path.iter().filter(step).collect()
}

fn child<'a>(place: &'a mut Value, segment: &Segment) -> Option<&'a mut Value> {
    match segment {
        Segment::Map { key } => place.get_mut(key.as_str()),
        Segment::Seq { index } => place.get_mut(*index),
        _ => None,
    }
}

fn find<'a>(root: &'a Value, path: &serde_path_to_error::Path) -> Option<&'a Value> {
    steps(path)
        .iter()
        .try_fold(root, |place, segment| match segment {
            Segment::Map { key } => place.get(key.as_str()),
            Segment::Seq { index } => place.get(*index),
            _ => None,
        })
}

/// Takes a value out of the tree. An item of a list is emptied, so that the others keep their
/// numbers. Says whether there was anything to take.
fn remove(root: &mut Value, path: &serde_path_to_error::Path) -> bool {
    let steps = steps(path);
    let Some((last, parents)) = steps.split_last() else {
        return false;
    };
    let parent = parents
        .iter()
        .try_fold(root, |place, segment| child(place, segment));
    match (parent, last) {
        (Some(Value::Mapping(map)), Segment::Map { key }) => map.remove(key.as_str()).is_some(),
        (Some(Value::Sequence(items)), Segment::Seq { index }) => match items.get_mut(*index) {
            Some(item) if !item.as_mapping().is_some_and(Mapping::is_empty) => {
                *item = Value::Mapping(Mapping::new());
                true
            }
            _ => false,
        },
        _ => false,
    }
}

fn show(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("`{}`", text.escape_debug()),
        Value::Sequence(_) => "a list".to_owned(),
        Value::Mapping(_) => "a mapping".to_owned(),
        Value::Tagged(_) => "a tagged value".to_owned(),
    }
}

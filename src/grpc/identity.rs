//! The identity of a request, read from its message as it goes over the wire, so that no RPC needs
//! a list of its own fields.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, Hash};
use std::sync::LazyLock;

use foldhash::quality::FixedState;
use prost::encoding::{DecodeContext, decode_key, decode_varint, skip_field};
use prost::{DecodeError, Message, Name};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FileDescriptorSet};

use super::Services;
use crate::domain::Identity;
use crate::pb;

/// The field that holds the id itself.
const REQUEST_ID: &str = "request_id";

/// What the descriptor set says of each message, by its full name.
static SHAPES: LazyLock<HashMap<String, Shape>> = LazyLock::new(shapes);

/// The fields of a message, by number.
type Shape = HashMap<u32, Field>;

#[derive(Debug)]
struct Field {
    name: String,
    /// Full name of its message; absent for a plain value.
    message: Option<String>,
    /// Its entries come in no order.
    is_map: bool,
}

// === impl Services ===

impl Services {
    /// The identity of a request of this caller. RPCs are named as their messages are.
    pub(super) fn identify<T: Message + Name>(&self, request: &T, request_id: &str) -> Identity {
        let caller = self.control.caller();
        Identity {
            caller: caller.name().to_owned(),
            tenant: caller.tenant().map(|tenant| tenant.name.to_string()),
            ..identify(request, request_id)
        }
    }
}

fn identify<T: Message + Name>(request: &T, request_id: &str) -> Identity {
    if request_id.is_empty() {
        return Identity::default();
    }
    let rpc = T::NAME.strip_suffix("Request").unwrap_or(T::NAME);
    Identity {
        id: request_id.to_owned(),
        rpc,
        kind: rpc,
        caller: String::new(),
        tenant: None,
        fields: fields(&T::full_name(), &request.encode_to_vec()),
    }
}

/// Name and fingerprint of each field that is set.
fn fields(message: &str, bytes: &[u8]) -> BTreeMap<&'static str, u64> {
    let Some(shape) = SHAPES.get(message) else {
        return BTreeMap::new();
    };
    // What was just encoded can be read.
    let prints = fingerprints(shape, bytes).unwrap_or_default();
    prints
        .into_iter()
        .filter_map(|(number, print)| Some((shape.get(&number)?.name.as_str(), print)))
        .filter(|(name, _)| *name != REQUEST_ID)
        .collect()
}

fn fingerprints(shape: &Shape, mut bytes: &[u8]) -> Result<BTreeMap<u32, u64>, DecodeError> {
    let mut prints = BTreeMap::<u32, u64>::new();
    while !bytes.is_empty() {
        let (number, wire_type) = decode_key(&mut bytes)?;
        let rest = bytes;
        skip_field(wire_type, number, &mut bytes, DecodeContext::default())?;
        let mut value = &rest[..rest.len() - bytes.len()];
        let field = shape.get(&number);
        let message = field.and_then(|field| SHAPES.get(field.message.as_ref()?));
        let print = match message {
            Some(message) => {
                // Its length stands in front.
                decode_varint(&mut value)?;
                hash(&fingerprints(message, value)?)
            }
            None => hash(&value),
        };
        let sum = prints.entry(number).or_default();
        *sum = match field.is_some_and(|field| field.is_map) {
            true => sum.wrapping_add(print),
            false => hash(&(*sum, print)),
        };
    }
    Ok(prints)
}

fn hash(value: &impl Hash) -> u64 {
    FixedState::default().hash_one(value)
}

fn shapes() -> HashMap<String, Shape> {
    // It is our own, and reflection serves it.
    let set = FileDescriptorSet::decode(pb::DESCRIPTOR).unwrap_or_default();
    let mut shapes = HashMap::new();
    for file in &set.file {
        let package = file.package();
        for message in &file.message_type {
            add_shape(
                &mut shapes,
                &format!("{package}.{}", message.name()),
                message,
            );
        }
    }
    shapes
}

fn add_shape(shapes: &mut HashMap<String, Shape>, name: &str, message: &DescriptorProto) {
    let is_map = |entry: &str| {
        message.nested_type.iter().any(|nested| {
            let is_entry = nested
                .options
                .as_ref()
                .is_some_and(|options| options.map_entry());
            is_entry && entry == format!("{name}.{}", nested.name())
        })
    };
    let fields = message.field.iter().filter_map(|field| {
        // Written with a point in front.
        let target = field.type_name().trim_start_matches('.');
        let is_message = field.r#type() == Type::Message;
        let shape = Field {
            name: field.name().to_owned(),
            message: is_message.then(|| target.to_owned()),
            is_map: is_message && field.label() == Label::Repeated && is_map(target),
        };
        Some((u32::try_from(field.number()).ok()?, shape))
    });
    shapes.insert(name.to_owned(), fields.collect());
    for nested in &message.nested_type {
        add_shape(shapes, &format!("{name}.{}", nested.name()), nested);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> pb::OriginateRequest {
        let many = (0..50).map(|at| (format!("name{at}"), format!("value{at}")));
        pb::OriginateRequest {
            endpoints: vec!["user/1".to_owned(), "user/2".to_owned()],
            variables: many.clone().collect(),
            node_selector: Some(pb::NodeSelector {
                match_labels: many.collect(),
                ..Default::default()
            }),
            ring_timeout: Some(prost_types::Duration {
                seconds: 7,
                nanos: 1,
            }),
            request_id: "x".to_owned(),
            ..Default::default()
        }
    }

    fn same(one: &pb::OriginateRequest, other: &pb::OriginateRequest) -> bool {
        identify(one, "x").fields == identify(other, "x").fields
    }

    #[test]
    fn equal_requests_are_the_same_whatever_the_order_of_their_maps() {
        // Each map iterates in an order of its own.
        assert!((0..20).all(|_| same(&request(), &request())));
        let names: Vec<_> = identify(&request(), "x").fields.into_keys().collect();
        assert_eq!(
            names,
            ["endpoints", "node_selector", "ring_timeout", "variables"]
        );
        let identity = identify(&request(), "x");
        assert_eq!((identity.rpc, identity.kind), ("Originate", "Originate"));
        assert!(identify(&request(), "").fields.is_empty());
    }

    #[test]
    fn whatever_differs_makes_another_request() {
        type Change = fn(&mut pb::OriginateRequest);
        let changes: [(&str, Change); 6] = [
            ("endpoints", |r| r.endpoints.reverse()),
            ("endpoints", |r| drop(r.endpoints.pop())),
            ("variables", |r| {
                r.variables.insert("name1".to_owned(), "value2".to_owned());
            }),
            ("node_selector", |r| {
                let selector = r.node_selector.as_mut().unwrap();
                selector.match_labels.remove("name7");
            }),
            ("ring_timeout", |r| {
                r.ring_timeout.as_mut().unwrap().nanos = 2;
            }),
            ("detach", |r| r.detach = true),
        ];
        let before = identify(&request(), "x").fields;
        for (name, change) in changes {
            let mut changed = request();
            change(&mut changed);
            let after = identify(&changed, "x").fields;
            let names: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
            let differ: Vec<_> = names
                .into_iter()
                .filter(|name| before.get(*name) != after.get(*name))
                .collect();
            assert_eq!(differ, [&name]);
        }
    }
}

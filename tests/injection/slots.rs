//! Every place in a request where a client can write text, found by the descriptor set.

use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor,
    MethodDescriptor, ReflectMessage as _, Value,
};
use switchgate::pb;

/// A place for text: the fields on the way to it.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    way: Vec<FieldDescriptor>,
    /// The key of a map instead of its value.
    is_key: bool,
}

// === impl Slot ===

impl Slot {
    /// All places of a message.
    pub(super) fn all(message: &MessageDescriptor) -> Vec<Self> {
        let mut all = Vec::new();
        for field in message.fields() {
            let slot = |is_key| Self {
                way: vec![field.clone()],
                is_key,
            };
            match field.kind() {
                Kind::String => all.push(slot(false)),
                Kind::Message(entry) if field.is_map() => {
                    assert_eq!(entry.map_entry_value_field().kind(), Kind::String);
                    all.extend([slot(true), slot(false)]);
                }
                Kind::Message(inner) => {
                    all.extend(Self::all(&inner).into_iter().map(|mut slot| {
                        slot.way.insert(0, field.clone());
                        slot
                    }));
                }
                Kind::Bytes => panic!("{}: try bytes too", field.full_name()),
                _ => {}
            }
        }
        all
    }

    /// `variables[]`, `extension.number`.
    pub(super) fn name(&self) -> String {
        let names: Vec<_> = self.way.iter().map(FieldDescriptor::name).collect();
        format!(
            "{}{}",
            names.join("."),
            if self.is_key { " (key)" } else { "" }
        )
    }

    /// Writes the text there.
    pub(super) fn put(&self, message: &mut DynamicMessage, text: &str) {
        put(message, &self.way, self.is_key, text);
    }
}

fn put(message: &mut DynamicMessage, way: &[FieldDescriptor], is_key: bool, text: &str) {
    let [field, rest @ ..] = way else { return };
    let text_value = || Value::String(text.to_owned());
    if field.is_map() {
        let (key, value) = match is_key {
            true => (text.to_owned(), Value::String("1".to_owned())),
            false => ("switchgate_test".to_owned(), text_value()),
        };
        message.set_field(field, Value::Map([(MapKey::String(key), value)].into()));
        return;
    }
    let value = match field.kind() {
        Kind::Message(inner) => {
            let mut inner_message = match (field.is_list(), message.get_field(field).as_ref()) {
                (false, Value::Message(given)) => given.clone(),
                _ => DynamicMessage::new(inner),
            };
            put(&mut inner_message, rest, is_key, text);
            complete(&mut inner_message, rest);
            Value::Message(inner_message)
        }
        _ => text_value(),
    };
    match field.is_list() {
        true => message.set_field(field, Value::List(vec![value])),
        false => message.set_field(field, value),
    }
}

/// Adds what a message would be refused without, whatever the field on the `way` is.
fn complete(message: &mut DynamicMessage, way: &[FieldDescriptor]) {
    let descriptor = message.descriptor();
    let (field, text) = match descriptor.name() {
        "OriginateApplication" => ("name", "echo"),
        "OriginateExtension" => ("number", "answer"),
        _ => ("name", "Event-Name"),
    };
    if let Some(needed) = descriptor.get_field_by_name(field)
        && way.first().is_some_and(|first| first.name() != field)
        && message.get_field(&needed).as_str() == Some("")
    {
        message.set_field(&needed, Value::String(text.to_owned()));
    }
}

/// All RPCs of the API.
pub(super) fn methods() -> Vec<MethodDescriptor> {
    let pool = DescriptorPool::decode(pb::DESCRIPTOR).unwrap();
    pool.services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .collect()
}

/// The RPC of this name.
pub(super) fn method(name: &str) -> MethodDescriptor {
    let mut all = methods().into_iter();
    all.find(|method| method.name() == name).unwrap()
}

/// Names the application of a request that has one.
pub(super) fn run(request: &mut DynamicMessage, name: &str) {
    let descriptor = request.descriptor();
    let Some(field) = descriptor.get_field_by_name("application") else {
        return;
    };
    let name = Value::String(name.to_owned());
    match field.kind() {
        Kind::String => request.set_field(&field, name),
        _ if request.has_field(&field) => {
            if let Value::Message(application) = request.get_field_mut(&field) {
                application.set_field_by_name("name", name);
            }
        }
        _ => {}
    }
}

//! Every RPC with a `request_id` tells what differs: found by the descriptor set, so that none is
//! forgotten.

use std::time::Duration;

use http::uri::PathAndQuery;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor,
    MethodDescriptor, ReflectMessage as _, Value,
};
use switchgate::pb;
use tonic::Status;

use super::assert_reused;
use crate::client::*;
use crate::gateway::{Gateway, metadata, within};

/// Which of two valid values a field is given.
#[derive(Clone, Copy)]
enum Take {
    First,
    Second,
}

// === impl Take ===

impl Take {
    fn of<T>(self, first: T, second: T) -> T {
        match self {
            Self::First => first,
            Self::Second => second,
        }
    }

    /// A value that the field's RPC takes for well formed.
    fn value(self, field: &FieldDescriptor) -> Value {
        if field.is_map() {
            let key = MapKey::String("name".to_owned());
            let value = Value::String(self.of("a", "b").to_owned());
            return Value::Map([(key, value)].into());
        }
        let value = match field.kind() {
            Kind::Bool => Value::Bool(self.of(false, true)),
            Kind::Enum(_) => Value::EnumNumber(self.of(1, 2)),
            Kind::String => Value::String(self.text(field.name())),
            Kind::Message(message) => {
                let mut inner = DynamicMessage::new(message);
                self.fill(&mut inner);
                Value::Message(inner)
            }
            Kind::Int64 => Value::I64(self.of(2, 3)),
            Kind::Int32 => Value::I32(self.of(2, 3)),
            Kind::Uint32 => Value::U32(match field.name() {
                "status" => self.of(486, 603),
                "max_digits" => self.of(4, 5),
                "sample_rate" => self.of(8000, 16000),
                _ => self.of(2, 3),
            }),
            other => panic!("{} needs a value of {other:?}", field.full_name()),
        };
        match field.is_list() {
            true => Value::List(vec![value]),
            false => value,
        }
    }

    fn text(self, field: &str) -> String {
        let (first, second) = match field {
            "node_id" => ("sim-0", "sim-0"),
            "user" => ("a@example.org", "b@example.org"),
            "endpoint" | "endpoints" => ("user/1", "user/2"),
            "application" | "name" => ("park", "echo"),
            "digits" => ("1", "2"),
            "terminators" => ("#", "*"),
            "uri" => ("sip:a@127.0.0.1", "sip:b@127.0.0.1"),
            "path" => ("/tmp/a.wav", "/tmp/b.wav"),
            "files" | "prompt" => ("tone_stream://%(1,1,1)", "tone_stream://%(1,1,2)"),
            "filter" => ("label.a = \"a\"", "label.a = \"b\""),
            "command" => ("status", "version"),
            name if name.ends_with("session_id") => (
                "11111111-1111-4111-8111-111111111111",
                "22222222-2222-4222-8222-222222222222",
            ),
            _ => ("a", "b"),
        };
        self.of(first, second).to_owned()
    }

    /// Gives each field a value, of a oneof the first one.
    fn fill(self, message: &mut DynamicMessage) {
        for field in wanted(message) {
            message.set_field(&field, self.value(&field));
        }
    }
}

/// The fields that can be set together. A job of a session would not take a node.
fn wanted(message: &DynamicMessage) -> Vec<FieldDescriptor> {
    let is_first = |field: &FieldDescriptor| {
        let oneof = field.containing_oneof();
        oneof.is_none_or(|oneof| oneof.fields().next().as_ref() == Some(field))
    };
    let is_job = message.descriptor().name().ends_with("JobRequest");
    message
        .descriptor()
        .fields()
        .filter(|field| field.name() != "request_id" && is_first(field))
        .filter(|field| !(is_job && field.name() == "session_id"))
        // There is but one node.
        .filter(|field| field.name() != "match_labels")
        .collect()
}

fn methods() -> Vec<MethodDescriptor> {
    let pool = DescriptorPool::decode(pb::DESCRIPTOR).unwrap();
    let methods: Vec<_> = pool
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .filter(|method| request_of(method).get_field_by_name("request_id").is_some())
        .collect();
    assert!(methods.len() > 30, "{}", methods.len());
    methods
}

/// The message that has the id: the request, or the one that it wraps.
fn request_of(method: &MethodDescriptor) -> MessageDescriptor {
    match wrapper(method).map(|field| field.kind()) {
        Some(Kind::Message(inner)) => inner,
        _ => method.input(),
    }
}

/// The field of a request that wraps the request of another RPC, and has nothing else.
fn wrapper(method: &MethodDescriptor) -> Option<FieldDescriptor> {
    let mut fields = method.input().fields().collect::<Vec<_>>();
    let is_request =
        |kind| matches!(kind, Kind::Message(inner) if inner.name().ends_with("Request"));
    let only = fields.pop().filter(|_| fields.is_empty())?;
    is_request(only.kind()).then_some(only)
}

async fn ask(
    gateway: &Gateway,
    method: &MethodDescriptor,
    message: DynamicMessage,
) -> Result<(), Status> {
    let service = method.parent_service().full_name();
    let path = PathAndQuery::try_from(format!("/{service}/{}", method.name())).unwrap();
    let codec = tonic_prost::ProstCodec::<DynamicMessage, ()>::default();
    let mut client = tonic::client::Grpc::new(gateway.channel.clone());
    client.ready().await.unwrap();
    let message = match wrapper(method) {
        Some(field) => {
            let mut outer = DynamicMessage::new(method.input());
            outer.set_field(&field, Value::Message(message));
            outer
        }
        None => message,
    };
    let request = with_deadline(message, Duration::from_secs(10));
    if !method.is_server_streaming() {
        return within(client.unary(request, path, codec)).await.map(drop);
    }
    let streaming = within(client.server_streaming(request, path, codec)).await?;
    let mut told = streaming.into_inner();
    while within(told.message()).await?.is_some() {}
    Ok(())
}

#[tokio::test]
async fn every_rpc_tells_which_fields_differ_and_which_rpc_had_the_id() {
    let gateway = Gateway::over_sim().await;
    for method in methods() {
        let (rpc, id) = (method.name(), tag());
        let mut first = DynamicMessage::new(request_of(&method));
        Take::First.fill(&mut first);
        first.set_field_by_name("request_id", Value::String(id.clone()));
        // Whatever comes of it, it was well formed, and is remembered.
        if let Err(status) = ask(&gateway, &method, first.clone()).await {
            assert_ne!(
                status.code(),
                tonic::Code::InvalidArgument,
                "{rpc}: {status:?}"
            );
            let again = ask(&gateway, &method, first.clone()).await.unwrap_err();
            assert_eq!(again.message(), status.message());
        }
        for field in wanted(&first) {
            let mut other = first.clone();
            other.set_field(&field, Take::Second.value(&field));
            if other == first {
                continue;
            }
            let status = ask(&gateway, &method, other).await.unwrap_err();
            assert_reused(&status, &id, rpc, field.name());
        }
        let status = place(&gateway, call_with(&id)).await;
        // A stream tells of an Originate.
        if rpc == "OriginateStream" {
            assert_eq!(metadata(&status.unwrap_err(), "used_by"), rpc);
        } else if rpc != "Originate" {
            assert_reused(&status.unwrap_err(), &id, rpc, "");
        }
    }
    gateway.stop().await;
}

fn call_with(request_id: &str) -> pb::OriginateRequest {
    pb::OriginateRequest {
        request_id: request_id.to_owned(),
        ..to(BUSY)
    }
}

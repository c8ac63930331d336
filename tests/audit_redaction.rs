//! What the API marks as sensitive shows nowhere: not in logs at any level, not in the audit, not in
//! traces; whichever RPC it comes by, and whatever comes of it.

use std::collections::BTreeSet;
use std::time::Duration;

use http::uri::PathAndQuery;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MethodDescriptor, Value,
};
use switchgate::pb;
use switchgate::telemetry::redact::Redaction;

use crate::client::{answered, with_deadline};
use crate::gateway::{Gateway, within};
use crate::traces::Observed;

/// Stands in every value that must not show; in those that need a form, beside what makes it.
const CANARY: &str = "4930canary815";
/// Where nothing but digits goes.
const DIGITS: &str = "493018159997";

/// Fills messages with canaries.
struct Fill<'a> {
    redaction: &'a Redaction,
    session: &'a str,
    /// Which field of a oneof is given, by its place.
    choice: usize,
    /// Whether values have the form that lets an RPC go on, or none.
    well_formed: bool,
}

// === impl Fill ===

impl Fill<'_> {
    fn message(&self, message: &mut DynamicMessage) {
        let descriptor = prost_reflect::ReflectMessage::descriptor(message);
        for field in descriptor.fields() {
            if let Some(oneof) = field.containing_oneof() {
                let choices: Vec<_> = oneof.fields().collect();
                if choices[self.choice % choices.len()] != field {
                    continue;
                }
            }
            if let Some(value) = self.value(&field) {
                message.set_field(&field, value);
            }
        }
    }

    fn value(&self, field: &FieldDescriptor) -> Option<Value> {
        if field.is_map() {
            if !self.redaction.is_sensitive(field.full_name()) {
                return None;
            }
            let key = MapKey::String("switchgate_test".to_owned());
            let value = Value::String(self.secret(field));
            return Some(Value::Map([(key, value)].into()));
        }
        let value = match field.kind() {
            Kind::Bool => return None,
            Kind::Enum(_) => Value::EnumNumber(1),
            Kind::String if self.redaction.is_sensitive(field.full_name()) => {
                Value::String(self.secret(field))
            }
            Kind::String => Value::String(self.plain(field)?.to_owned()),
            Kind::Message(inner) if inner.full_name() == "google.protobuf.Duration" => {
                let mut inner = DynamicMessage::new(inner);
                inner.set_field_by_name("seconds", Value::I64(2));
                Value::Message(inner)
            }
            Kind::Message(inner) if inner.name() == "NodeSelector" => return None,
            Kind::Message(inner) => {
                let mut inner = DynamicMessage::new(inner);
                self.message(&mut inner);
                Value::Message(inner)
            }
            Kind::Uint32 => Value::U32(match field.name() {
                "status" => 486,
                "sample_rate" => 8000,
                "max_digits" => 3,
                _ => 1,
            }),
            Kind::Int32 => Value::I32(1),
            other => panic!("{} needs a value of {other:?}", field.full_name()),
        };
        Some(match field.is_list() {
            true => Value::List(vec![value]),
            false => value,
        })
    }

    fn secret(&self, field: &FieldDescriptor) -> String {
        if !self.well_formed {
            // Refused by whatever has a form; what is said of it must not repeat it.
            return format!("{CANARY}\n\n{CANARY}\0");
        }
        match field.name() {
            "endpoint" | "endpoints" => format!("sofia/internal/{CANARY}@127.0.0.1"),
            "uri" => format!("sip:{CANARY}@127.0.0.1"),
            "digits" => DIGITS.to_owned(),
            "user" => format!("{CANARY}@example.org"),
            "filter" => format!("caller.number = \"{CANARY}\""),
            "path" => format!("/tmp/{CANARY}.wav"),
            _ => CANARY.to_owned(),
        }
    }

    fn plain(&self, field: &FieldDescriptor) -> Option<&str> {
        Some(match field.name() {
            name if name.ends_with("session_id") => self.session,
            "node_id" if is_of(field, &["AddNodeRequest", "RemoveNodeRequest"]) => "added",
            "node_id" => "sim-0",
            "address" => "127.0.0.1:1",
            "name" if is_of(field, &["PublishEventRequest"]) => "CUSTOM",
            "subclass" => "switchgate::test",
            "application" | "name" => "park",
            "command" => "uuid_dump",
            "call_id" => self.session,
            "job_id" => "11111111-1111-4111-8111-111111111111",
            _ => return None,
        })
    }
}

fn is_of(field: &FieldDescriptor, messages: &[&str]) -> bool {
    messages.contains(&field.parent_message().name())
}

fn changing() -> Vec<MethodDescriptor> {
    let pool = DescriptorPool::decode(pb::DESCRIPTOR).unwrap();
    let services = pool
        .services()
        .filter(|one| one.package_name() == "switchgate.v1");
    let methods = services.flat_map(|service| service.methods().collect::<Vec<_>>());
    let all: Vec<_> = methods
        .filter(|method| {
            let path = path(method);
            !switchgate::grpc::Rpc::at(path.path()).unwrap().reads
        })
        .collect();
    assert!(all.len() > 45, "{}", all.len());
    all
}

fn path(method: &MethodDescriptor) -> PathAndQuery {
    let service = method.parent_service().full_name();
    PathAndQuery::try_from(format!("/{service}/{}", method.name())).unwrap()
}

async fn ask(gateway: &Gateway, method: &MethodDescriptor, message: DynamicMessage) {
    let codec = tonic_prost::ProstCodec::<DynamicMessage, ()>::default();
    let mut client = tonic::client::Grpc::new(gateway.channel.clone());
    client.ready().await.unwrap();
    let mut request = with_deadline(message, Duration::from_millis(250));
    let token = format!("Bearer {CANARY}").parse().unwrap();
    request.metadata_mut().insert("authorization", token);
    // Whatever comes of it.
    if !method.is_server_streaming() {
        let _ = within(client.unary(request, path(method), codec)).await;
        return;
    }
    if let Ok(answer) = within(client.server_streaming(request, path(method), codec)).await {
        let mut told = answer.into_inner();
        while let Ok(Some(())) = within(told.message()).await {}
    }
}

#[tokio::test]
async fn no_canary_shows_anywhere() {
    let observed = Observed::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit");
    let redaction = Redaction::of(pb::DESCRIPTOR);
    // The audit's lines go into the file here, and into the log there.
    for to_file in [true, false] {
        let gateway = Gateway::over_sims(1, |config| {
            observed.configure(config);
            if to_file {
                config.audit.file = file.to_str().unwrap().to_owned();
            }
        })
        .await;
        for method in changing() {
            // Where a line goes changes nothing of what it says of the second choice.
            let all = [(0, true), (0, false), (1, true)];
            for (choice, well_formed) in all.into_iter().take(if to_file { 3 } else { 2 }) {
                // It may have been drained.
                let undrain = pb::UndrainNodeRequest {
                    node_id: "sim-0".to_owned(),
                };
                let _ = within(gateway.nodes().undrain_node(undrain)).await;
                let session = answered(&gateway).await.session_id;
                let fill = Fill {
                    redaction: &redaction,
                    session: &session,
                    choice,
                    well_formed,
                };
                let mut message = DynamicMessage::new(method.input());
                fill.message(&mut message);
                ask(&gateway, &method, message).await;
                crate::verbs::release(&gateway, &session).await;
            }
        }
        for session in gateway.control.tracker.sessions() {
            crate::verbs::release(&gateway, session.id.as_str()).await;
        }
        gateway.stop().await;
    }
    let spans = observed.spans().await;
    assert!(spans.len() > 400, "{}", spans.len());
    let audit = std::fs::read_to_string(&file).unwrap();
    // Each of them was tried, and many did what they were asked for.
    let (mut tried, mut done) = (BTreeSet::new(), BTreeSet::new());
    for line in audit.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let rpc = format!("/{}", line["rpc"].as_str().unwrap());
        if line["code"] == "OK" && line["request"].to_string().contains("***") {
            done.insert(rpc.clone());
        }
        tried.insert(rpc);
    }
    let all: BTreeSet<_> = changing().iter().map(|one| path(one).to_string()).collect();
    assert_eq!(tried, all);
    assert!(done.len() >= 12, "{done:?}");
    for (place, text) in [
        ("spans", observed.exported()),
        ("audit", audit),
        ("logs", observed.logs()),
    ] {
        for canary in [CANARY, DIGITS] {
            let line = text.lines().find(|line| line.contains(canary));
            assert!(line.is_none(), "in {place}: {}", line.unwrap_or_default());
        }
    }
}

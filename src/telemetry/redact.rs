//! What the API marks as sensitive, and messages without it.
//!
//! The option `debug_redact` of a field says that its values show neither in logs nor in traces nor
//! in the audit. It is read from the descriptor set, so that a new field needs no other list.

use std::collections::{BTreeSet, HashSet};

use prost_reflect::prost::bytes::Buf;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor,
    ReflectMessage as _, Value,
};
use serde_json::{Map, Value as Json, json};

/// Stands for a value that does not show.
const MARK: &str = "***";
/// Never shows, whatever is configured.
const SECRET: &str = "password";
/// Longest text that is shown, in characters; what is cut ends with an ellipsis.
const MAX_TEXT: usize = 256;
/// Most items that are shown of a list or a map.
const MAX_ITEMS: usize = 32;
/// How deep the ids of an answer are looked for.
const MAX_DEPTH: usize = 3;

/// The messages of the API, and which of their fields are sensitive.
#[derive(Debug)]
pub struct Redaction {
    pool: DescriptorPool,
    sensitive: HashSet<String>,
}

/// What a message is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ids {
    /// The first session that is named.
    pub session: Option<String>,
    /// The first call.
    pub call: Option<String>,
    /// The first job.
    pub job: Option<String>,
    /// The first node.
    pub node: Option<String>,
    /// All sessions of a list that stands for them.
    pub sessions: BTreeSet<String>,
}

// === impl Redaction ===

impl Redaction {
    /// Of the messages that this descriptor set describes. One that cannot be read describes none.
    pub fn of(descriptor_set: &[u8]) -> Self {
        let pool = DescriptorPool::decode(descriptor_set).unwrap_or_default();
        let messages = pool.all_messages();
        let fields = messages.flat_map(|message| message.fields().collect::<Vec<_>>());
        let sensitive = fields
            .filter(is_marked)
            .map(|field| field.full_name().to_owned())
            .collect();
        Self { pool, sensitive }
    }

    /// Whether the values of this field, by its full name, are sensitive.
    pub fn is_sensitive(&self, field: &str) -> bool {
        self.sensitive.contains(field)
    }

    /// All fields of all messages, for tests that nothing is forgotten.
    pub fn fields(&self) -> impl Iterator<Item = FieldDescriptor> + '_ {
        let messages = self.pool.all_messages();
        messages.flat_map(|message| message.fields().collect::<Vec<_>>())
    }

    /// The request message of an RPC, `package.Service` and `Method`.
    pub fn request(&self, service: &str, method: &str) -> Option<MessageDescriptor> {
        Some(self.method(service, method)?.input())
    }

    /// The response message of an RPC.
    pub fn response(&self, service: &str, method: &str) -> Option<MessageDescriptor> {
        Some(self.method(service, method)?.output())
    }

    /// A message as JSON; with `***` for what is sensitive, if `redact`.
    pub fn show(&self, message: &DynamicMessage, redact: bool) -> Json {
        let mut shown = Map::new();
        for (field, value) in message.fields() {
            let is_hidden =
                (redact && self.is_sensitive(field.full_name())) || field.name().contains(SECRET);
            shown.insert(
                field.name().to_owned(),
                self.show_value(value, &field.kind(), is_hidden, redact),
            );
        }
        Json::Object(shown)
    }

    fn method(&self, service: &str, method: &str) -> Option<prost_reflect::MethodDescriptor> {
        let service = self.pool.get_service_by_name(service)?;
        service.methods().find(|one| one.name() == method)
    }

    fn show_value(&self, value: &Value, kind: &Kind, hide: bool, redact: bool) -> Json {
        match value {
            Value::List(items) => {
                let shown = items.iter().take(MAX_ITEMS);
                let shown = shown.map(|item| self.show_value(item, kind, hide, redact));
                shown.chain(rest(items.len())).collect()
            }
            Value::Map(entries) => {
                // In order, since a map has none.
                let mut keys: Vec<_> = entries.iter().collect();
                keys.sort_by_key(|(key, _)| (*key).clone());
                let kind = match kind {
                    Kind::Message(entry) => entry.map_entry_value_field().kind(),
                    other => other.clone(),
                };
                let shown = keys.into_iter().take(MAX_ITEMS).map(|(key, value)| {
                    (show_key(key), self.show_value(value, &kind, hide, redact))
                });
                Json::Object(shown.collect())
            }
            _ if hide => Json::from(MARK),
            Value::Message(message) => match message.descriptor().full_name() {
                "google.protobuf.Duration" => json!(seconds(message)),
                _ => self.show(message, redact),
            },
            Value::EnumNumber(number) => match kind {
                Kind::Enum(kind) => kind
                    .get_value(*number)
                    .map_or(json!(number), |value| json!(value.name())),
                _ => json!(number),
            },
            Value::String(text) => json!(cut(text)),
            Value::Bytes(bytes) => json!(format!("{} bytes", bytes.len())),
            Value::Bool(truth) => json!(truth),
            Value::I32(number) => json!(number),
            Value::I64(number) => json!(number),
            Value::U32(number) => json!(number),
            Value::U64(number) => json!(number),
            Value::F32(number) => json!(number),
            Value::F64(number) => json!(number),
        }
    }
}

// === impl Ids ===

impl Ids {
    /// Takes in what a message names; what is known already stays.
    pub fn look_in(&mut self, message: &DynamicMessage) {
        self.look(message, 0);
    }

    fn look(&mut self, message: &DynamicMessage, depth: usize) {
        for (field, value) in message.fields() {
            match (field.name(), value) {
                (name, Value::String(text)) => self.learn(name, text),
                ("session_ids", Value::List(ids)) => {
                    let ids = ids.iter().filter_map(Value::as_str).take(MAX_ITEMS);
                    self.sessions.extend(ids.map(str::to_owned));
                }
                (_, Value::Message(inner)) if depth < MAX_DEPTH => self.look(inner, depth + 1),
                _ => {}
            }
        }
    }

    /// Takes in one id by the name of its field, if it is one.
    pub fn learn(&mut self, name: &str, text: &str) {
        let place = match name {
            "session_id" => &mut self.session,
            "call_id" => &mut self.call,
            "job_id" => &mut self.job,
            "node_id" => &mut self.node,
            _ => return,
        };
        if place.is_none() && !text.is_empty() {
            *place = Some(cut(text));
        }
    }
}

/// A message of this kind from its bytes on the wire.
pub fn decode(message: &MessageDescriptor, bytes: impl Buf) -> Option<DynamicMessage> {
    DynamicMessage::decode(message.clone(), bytes).ok()
}

fn is_marked(field: &FieldDescriptor) -> bool {
    let options = field.options();
    let mark = options.get_field_by_name("debug_redact");
    mark.is_some_and(|mark| mark.as_bool() == Some(true))
}

/// Says that a list goes on.
fn rest(count: usize) -> Option<Json> {
    (count > MAX_ITEMS).then(|| json!(format!("… {count} in all")))
}

fn show_key(key: &MapKey) -> String {
    match key {
        MapKey::String(text) => cut(text),
        MapKey::Bool(truth) => truth.to_string(),
        MapKey::I32(number) => number.to_string(),
        MapKey::I64(number) => number.to_string(),
        MapKey::U32(number) => number.to_string(),
        MapKey::U64(number) => number.to_string(),
    }
}

/// A duration as seconds.
fn seconds(duration: &DynamicMessage) -> f64 {
    let part = |name: &str| {
        let value = duration.get_field_by_name(name);
        value.and_then(|value| value.as_i64().or_else(|| value.as_i32().map(i64::from)))
    };
    #[allow(clippy::cast_precision_loss, reason = "for people")]
    let (seconds, nanos) = (
        part("seconds").unwrap_or(0) as f64,
        part("nanos").unwrap_or(0) as f64,
    );
    seconds + nanos / 1e9
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use prost::Name;

    use super::*;
    use crate::pb;

    /// Fields of text that may show: what is not here must be marked in the proto. Before you add
    /// one: no number, name, dial string, token, content or path of a caller's belongs here.
    const SHOWN: [&str; 56] = [
        // Identifiers, and what the gateway makes itself.
        "session_id",
        "session_ids",
        "call_id",
        "call_ids",
        "job_id",
        "node_id",
        "node_ids",
        "request_id",
        "peer_session_id",
        "target_session_id",
        "first_session_id",
        "last_session_id",
        "joined_session_ids",
        "left_session_ids",
        "core_uuid",
        "event_uuid",
        "cursor",
        "after_cursor",
        "page_token",
        "next_page_token",
        // What is chosen by.
        "labels",
        "match_labels",
        "OriginateExtension.dialplan",
        "OriginateExtension.context",
        "Session.profile",
        "Node.address",
        "Node.state_detail",
        "Node.version",
        "AddNodeRequest.address",
        // Names of commands, applications, variables, headers and events.
        "OriginateApplication.name",
        "Application.name",
        "ExecuteRequest.application",
        "BroadcastRequest.application",
        "RunApiRequest.command",
        "RunJobRequest.command",
        "StartJobRequest.command",
        "Job.command",
        "GetVariablesRequest.names",
        "UnsetVariablesRequest.names",
        "HeaderMatcher.name",
        "HeaderNames.names",
        "event_names",
        "pending_names",
        "subclasses",
        "Event.name",
        "Event.subclass",
        "PublishEventRequest.name",
        "PublishEventRequest.subclass",
        // How something is done.
        "SpeakRequest.engine",
        "SpeakRequest.voice",
        "CollectDigitsRequest.terminators",
        "CollectDigitsRequest.pattern",
        "CollectDigitsResponse.terminator",
        // Why, which the audit is for.
        "RespondRequest.reason",
        "CancelJobRequest.reason",
        "JobError.reason",
    ];

    fn redaction() -> Redaction {
        Redaction::of(pb::DESCRIPTOR)
    }

    fn dynamic<T: prost::Message + Name>(redaction: &Redaction, message: &T) -> DynamicMessage {
        let descriptor = redaction.pool.get_message_by_name(&T::full_name());
        decode(&descriptor.unwrap(), message.encode_to_vec().as_slice()).unwrap()
    }

    #[test]
    fn each_field_of_text_is_marked_or_may_show() {
        let redaction = redaction();
        let ours = redaction.fields().filter(|field| {
            let parent = field.parent_message();
            parent.package_name() == "switchgate.v1" && !parent.is_map_entry()
        });
        let (mut undecided, mut used) = (Vec::new(), HashSet::<&str>::new());
        let mut count = 0;
        for field in ours {
            let holds_text = match field.kind() {
                Kind::String | Kind::Bytes => true,
                Kind::Message(_) => field.is_map(),
                _ => false,
            };
            if !holds_text {
                continue;
            }
            count += 1;
            let long = format!("{}.{}", field.parent_message().name(), field.name());
            let shown = SHOWN
                .iter()
                .find(|shown| **shown == field.name() || **shown == long);
            used.extend(shown.copied());
            let may_show = shown.is_some();
            if may_show == redaction.is_sensitive(field.full_name()) {
                undecided.push(long);
            }
        }
        assert!(
            undecided.is_empty(),
            "mark these with [debug_redact = true], or add them to SHOWN; not both: {undecided:?}"
        );
        assert!(count > 150, "{count}");
        let unused: Vec<_> = SHOWN.iter().filter(|one| !used.contains(*one)).collect();
        assert!(unused.is_empty(), "there are no such fields: {unused:?}");
    }

    #[test]
    fn what_is_marked_shows_as_a_mark_and_the_rest_as_it_is() {
        let redaction = redaction();
        let request = pb::OriginateRequest {
            endpoints: vec!["sofia/gateway/acme/4930123".to_owned()],
            variables: [("pin".to_owned(), "4711".to_owned())].into(),
            caller_id_number: "4930999".to_owned(),
            labels: [("team".to_owned(), "sales".to_owned())].into(),
            strategy: pb::OriginateStrategy::Forked.into(),
            ring_timeout: Some(prost_types::Duration {
                seconds: 7,
                nanos: 500_000_000,
            }),
            target: Some(pb::originate_request::Target::Extension(
                pb::OriginateExtension {
                    number: "1000".to_owned(),
                    context: "public".to_owned(),
                    ..Default::default()
                },
            )),
            ..Default::default()
        };
        let message = dynamic(&redaction, &request);
        assert_eq!(
            redaction.show(&message, true),
            json!({
                "endpoints": ["***"],
                "strategy": "ORIGINATE_STRATEGY_FORKED",
                "variables": {"pin": "***"},
                "caller_id_number": "***",
                "extension": {"number": "***", "context": "public"},
                "labels": {"team": "sales"},
                "ring_timeout": 7.5,
            })
        );
        let plain = redaction.show(&message, false);
        assert_eq!(plain["variables"]["pin"], "4711");
        assert_eq!(plain["extension"]["number"], "1000");
    }

    #[test]
    fn a_password_never_shows() {
        let redaction = redaction();
        let request = pb::AddNodeRequest {
            node_id: "fs1".to_owned(),
            password: "ClueCon".to_owned(),
            user: "1000@example.net".to_owned(),
            ..Default::default()
        };
        let shown = redaction.show(&dynamic(&redaction, &request), false);
        assert_eq!(
            shown,
            json!({"node_id": "fs1", "password": "***", "user": "1000@example.net"})
        );
    }

    #[test]
    fn long_values_are_cut() {
        let redaction = redaction();
        let request = pb::UnsetVariablesRequest {
            session_id: "ü".repeat(MAX_TEXT + 1),
            names: vec!["x".to_owned(); MAX_ITEMS + 1],
            ..Default::default()
        };
        let shown = redaction.show(&dynamic(&redaction, &request), true);
        let id = shown["session_id"].as_str().unwrap();
        assert_eq!(id, format!("{}…", "ü".repeat(MAX_TEXT)));
        let names = shown["names"].as_array().unwrap();
        assert_eq!(names.len(), MAX_ITEMS + 1);
        assert_eq!(names[MAX_ITEMS], "… 33 in all");
    }

    #[test]
    fn ids_are_found_where_they_stand() {
        let redaction = redaction();
        let response = pb::BridgeResponse {
            session: Some(pb::Session {
                session_id: "one".to_owned(),
                node_id: "fs1".to_owned(),
                call_id: "call".to_owned(),
                ..Default::default()
            }),
            peer: Some(pb::Session {
                session_id: "other".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let mut ids = Ids::default();
        ids.look_in(&dynamic(&redaction, &response));
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            (ids.session, ids.node, ids.call, ids.job),
            (text("one"), text("fs1"), text("call"), None)
        );
        let many = pb::HangupManyResponse {
            session_ids: vec!["a".to_owned(), "b".to_owned()],
        };
        let mut ids = Ids::default();
        ids.look_in(&dynamic(&redaction, &many));
        assert_eq!(ids.sessions.len(), 2);
    }
}

//! `SubscribeResponse` as far as events go, written once more so that the benchmark does not hang
//! on how the gateway holds it.

use std::collections::HashMap;
use std::time::Duration;

use switchgate::esl::Event as Parsed;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Response {
    #[prost(string, tag = "1")]
    pub(crate) cursor: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) events: Option<Batch>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Batch {
    #[prost(message, repeated, tag = "1")]
    pub(crate) events: Vec<Event>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Event {
    #[prost(string, tag = "1")]
    pub(crate) cursor: String,
    #[prost(string, tag = "2")]
    pub(crate) node_id: String,
    #[prost(string, tag = "3")]
    pub(crate) core_uuid: String,
    #[prost(uint64, tag = "4")]
    pub(crate) sequence: u64,
    #[prost(string, tag = "5")]
    pub(crate) name: String,
    #[prost(string, tag = "7")]
    pub(crate) session_id: String,
    #[prost(string, tag = "8")]
    pub(crate) call_id: String,
    #[prost(message, optional, tag = "10")]
    pub(crate) time: Option<prost_types::Timestamp>,
    #[prost(map = "string, string", tag = "11")]
    pub(crate) headers: HashMap<String, String>,
    #[prost(bytes = "vec", tag = "12")]
    pub(crate) body: Vec<u8>,
}

// === impl Response ===

impl Response {
    pub(crate) fn of(events: impl IntoIterator<Item = Event>) -> Self {
        let events: Vec<_> = events.into_iter().collect();
        Self {
            cursor: events
                .last()
                .map(|last| last.cursor.clone())
                .unwrap_or_default(),
            events: Some(Batch { events }),
        }
    }
}

// === impl Event ===

impl Event {
    /// Decoded as a gateway without any art would do it, for each subscriber anew.
    pub(crate) fn decode(event: &Parsed, position: u64) -> Self {
        let text = |name| event.text(name).unwrap_or_default().into_owned();
        let micros = event.number("Event-Date-Timestamp").unwrap_or_default();
        let since = Duration::from_micros(micros);
        let mut headers = HashMap::with_capacity(event.headers().len());
        for (name, value, _) in event.headers().iter_text() {
            headers
                .entry(name.into_owned())
                .or_insert_with(|| value.into_owned());
        }
        Self {
            cursor: format!("{:016x}.{position:x}", u64::MAX),
            node_id: super::NODE.to_owned(),
            core_uuid: text("Core-UUID"),
            sequence: event.number("Event-Sequence").unwrap_or_default(),
            name: text("Event-Name"),
            session_id: text("Unique-ID"),
            call_id: text("Channel-Call-UUID"),
            time: Some(prost_types::Timestamp {
                seconds: i64::try_from(since.as_secs()).unwrap_or_default(),
                nanos: i32::try_from(since.subsec_nanos()).unwrap_or_default(),
            }),
            headers,
            body: event.body().to_vec(),
        }
    }
}

//! Events.

use std::collections::HashMap;
use std::time::{Duration, UNIX_EPOCH};

use super::to_timestamp;
use crate::events::{Cursor, Record};
use crate::pb;

/// Which headers of an event are sent.
#[derive(Debug, Clone)]
pub(in crate::grpc) enum HeaderChoice {
    All,
    None,
    /// These, in lower case.
    Names(std::collections::HashSet<String>),
}

/// An event as clients see it.
pub(in crate::grpc) fn to_event(
    record: &Record,
    cursor: Cursor,
    choice: &HeaderChoice,
) -> pb::Event {
    let event = &record.event;
    let text = |name: &str| {
        event
            .text(name)
            .map(|text| text.into_owned())
            .unwrap_or_default()
    };
    let mut headers = HashMap::new();
    let mut replaced = false;
    if !matches!(choice, HeaderChoice::None) {
        for (name, value, was_replaced) in event.headers().iter_text() {
            if let HeaderChoice::Names(names) = choice
                && !names.contains(&name.to_ascii_lowercase())
            {
                continue;
            }
            replaced |= was_replaced;
            headers
                .entry(name.into_owned())
                .or_insert_with(|| value.into_owned());
        }
    }
    let time = event
        .number("Event-Date-Timestamp")
        .map(|micros| UNIX_EPOCH + Duration::from_micros(micros));
    pb::Event {
        cursor: cursor.to_string(),
        node_id: record.node.to_string(),
        core_uuid: text("Core-UUID"),
        sequence: event.number("Event-Sequence").unwrap_or_default(),
        name: event.name().into_owned(),
        subclass: text("Event-Subclass"),
        session_id: record
            .session
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        call_id: record
            .call
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        job_id: record
            .job
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        time: time.map(to_timestamp),
        headers,
        body: event.body().to_vec(),
        synthetic: record.synthetic,
        headers_replaced: replaced,
    }
}

//! Events and gaps.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, UNIX_EPOCH};

use super::super::event_service::Selection;
use super::to_timestamp;
use crate::esl::value_text;
use crate::events::{Cursor, Gap, GapReason, Record};
use crate::pb;

/// An event as clients see it. Where many see the same, `event_service` encodes it once; its tests
/// hold that to this.
pub(in crate::grpc) fn to_event(
    record: &Record,
    cursor: Cursor,
    selection: &Selection,
) -> pb::Event {
    let event = &record.event;
    let text = |name: &str| {
        event
            .text(name)
            .map(|text| text.into_owned())
            .unwrap_or_default()
    };
    let (headers, headers_replaced) = headers(record, selection);
    let time = event
        .number("Event-Date-Timestamp")
        .map(|micros| UNIX_EPOCH + Duration::from_micros(micros));
    let name = event.name().into_owned();
    pb::Event {
        cursor: cursor.to_string(),
        node_id: record.node.to_string(),
        core_uuid: text("Core-UUID"),
        sequence: event.number("Event-Sequence").unwrap_or_default(),
        subclass: match &*name {
            "CUSTOM" => text("Event-Subclass"),
            _ => String::new(),
        },
        name,
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
        headers_replaced,
    }
}

/// The headers that are wanted, the first of each name, and whether anything in them was replaced.
fn headers(record: &Record, selection: &Selection) -> (HashMap<String, String>, bool) {
    let mut headers = HashMap::new();
    let mut was_replaced = false;
    for (name, raw) in record.event.headers().iter_raw() {
        if !selection.wants(name) {
            continue;
        }
        if let Entry::Vacant(place) = headers.entry(String::from_utf8_lossy(name).into_owned()) {
            let value = value_text(raw).into_owned();
            was_replaced |= std::str::from_utf8(name).is_err() || !is_text(raw);
            place.insert(value);
        }
    }
    (headers, was_replaced)
}

/// Whether a value, as it stands on the wire, is text.
fn is_text(raw: &[u8]) -> bool {
    percent_encoding::percent_decode(raw).decode_utf8().is_ok()
}

pub(in crate::grpc) fn to_gap(gap: &Gap) -> pb::Gap {
    let reason = match gap.reason {
        GapReason::LinkLost => pb::GapReason::LinkLost,
        GapReason::EventsLost => pb::GapReason::EventsLost,
        GapReason::SlowConsumer => pb::GapReason::SlowConsumer,
        GapReason::NotSubscribed => pb::GapReason::NotSubscribed,
        GapReason::JournalOverrun => pb::GapReason::JournalOverrun,
    };
    pb::Gap {
        count: gap.count,
        node_id: gap
            .node
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        reason: reason.into(),
        began: Some(to_timestamp(gap.began)),
        ended: gap.ended.map(to_timestamp),
        cursor: String::new(),
    }
}

/// A gap, and where it is.
pub(in crate::grpc) fn to_gap_at(gap: &Gap, cursor: Cursor) -> pb::Gap {
    pb::Gap {
        cursor: cursor.to_string(),
        ..to_gap(gap)
    }
}

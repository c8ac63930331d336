//! Between the domain and the generated code: requests by functions that name the field they
//! refuse, responses by functions that cannot fail.

mod event;
mod job;
mod node;
mod session;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

pub(super) use event::{to_event, to_gap, to_gap_at};
pub(super) use job::{to_job, to_job_state};
pub(super) use node::{to_node, to_node_state};
pub(super) use session::{to_call, to_call_state, to_direction, to_session, to_session_state};

use crate::domain::{Failure, HangupCause, IdError};
use crate::fleet::Selector;
use crate::pb;
use crate::tracker::Labels;

/// Longest name or value of a label, and how many there may be: they stay in memory.
const MAX_LABEL_BYTES: usize = 256;
const MAX_LABELS: usize = 64;

/// An identifier out of a request.
pub(super) fn id<T: std::str::FromStr<Err = IdError>>(
    text: &str,
    field: &str,
) -> Result<T, Failure> {
    text.parse().map_err(|error: IdError| match error {
        IdError::Empty => Failure::missing(field, "say which one is meant"),
        _ => Failure::invalid(field, error.to_string()),
    })
}

/// An identifier that may be left out.
pub(super) fn optional_id<T: std::str::FromStr<Err = IdError>>(
    text: &str,
    field: &str,
) -> Result<Option<T>, Failure> {
    if text.is_empty() {
        Ok(None)
    } else {
        id(text, field).map(Some)
    }
}

/// A text that may be left out.
pub(super) fn optional_text(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// A hangup cause, with a default for an unspecified one.
pub(super) fn cause(number: i32, default: HangupCause) -> Result<HangupCause, Failure> {
    if number == 0 {
        return Ok(default);
    }
    let known = u16::try_from(number)
        .ok()
        .and_then(HangupCause::from_number);
    known.ok_or_else(|| {
        Failure::invalid(
            "cause",
            format!("{number} is not a hangup cause; use one of HangupCause"),
        )
    })
}

/// An enum's value that the proto does not have.
pub(super) fn unknown_value(field: &str, value: i32) -> Failure {
    Failure::invalid(
        field,
        format!("{value} is no value of this enum; update the server or use a known one"),
    )
}

/// A span of time that may be left out; zero and less are refused.
pub(super) fn optional_duration(
    duration: Option<prost_types::Duration>,
    field: &str,
) -> Result<Option<Duration>, Failure> {
    let Some(duration) = duration else {
        return Ok(None);
    };
    match Duration::try_from(duration) {
        Ok(duration) if !duration.is_zero() => Ok(Some(duration)),
        _ => Err(Failure::invalid(
            field,
            "is not a positive duration; leave it out for the default",
        )),
    }
}

/// A selector of nodes.
pub(super) fn selector(selector: Option<pb::NodeSelector>) -> Result<Selector, Failure> {
    let selector = selector.unwrap_or_default();
    Ok(Selector {
        node: optional_id(&selector.node_id, "node_selector.node_id")?,
        labels: selector.match_labels.into_iter().collect(),
        ..Selector::default()
    })
}

/// Labels.
pub(super) fn labels(labels: HashMap<String, String>) -> Result<Labels, Failure> {
    if labels.len() > MAX_LABELS {
        return Err(Failure::invalid(
            "labels",
            format!("are more than {MAX_LABELS}; give fewer"),
        ));
    }
    for (name, value) in &labels {
        if name.is_empty() || name.len() > MAX_LABEL_BYTES || value.len() > MAX_LABEL_BYTES {
            let problem =
                format!("has an empty name, or more than {MAX_LABEL_BYTES} bytes; shorten it");
            return Err(Failure::invalid(format!("labels[{name:?}]"), problem));
        }
    }
    Ok(Arc::new(labels.into_iter().collect::<BTreeMap<_, _>>()))
}

fn to_labels(labels: &Labels) -> HashMap<String, String> {
    labels
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

pub(super) fn to_timestamp(time: SystemTime) -> prost_types::Timestamp {
    time.into()
}

fn to_duration(duration: Duration) -> prost_types::Duration {
    // Longer ones than protobuf can hold, 10,000 years, count as that.
    duration.try_into().unwrap_or(prost_types::Duration {
        seconds: 315_576_000_000,
        nanos: 0,
    })
}

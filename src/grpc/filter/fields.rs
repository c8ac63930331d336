//! What can be asked of each kind of item.

use super::{Field, Kind, Listed, Value};
use crate::fleet::Node;
use crate::grpc::convert::{
    to_call_state, to_direction, to_job_state, to_node_state, to_session_state,
};
use crate::jobs::Job;
use crate::pb;
use crate::tracker::{Call, Labels, Session};

type Test<'a> = &'a mut dyn FnMut(Value<'_>) -> bool;

const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, kind }
}

impl Listed for Session {
    const FIELDS: &'static [Field] = &[
        field("session_id", Kind::Text),
        field("node_id", Kind::Text),
        field("call_id", Kind::Text),
        field(
            "direction",
            Kind::Enum {
                prefix: "DIRECTION_",
                wire: "",
                name_of: |number| Some(pb::Direction::try_from(number).ok()?.as_str_name()),
            },
        ),
        field(
            "state",
            Kind::Enum {
                prefix: "SESSION_STATE_",
                wire: "CS_",
                name_of: |number| Some(pb::SessionState::try_from(number).ok()?.as_str_name()),
            },
        ),
        field(
            "call_state",
            Kind::Enum {
                prefix: "CALL_STATE_",
                wire: "CCS_",
                name_of: |number| Some(pb::CallState::try_from(number).ok()?.as_str_name()),
            },
        ),
        field("live", Kind::Flag),
        field("answered", Kind::Flag),
        field("parked", Kind::Flag),
        field("destination_number", Kind::Text),
        field("peer_session_id", Kind::Text),
        field(
            "hangup.cause",
            Kind::Enum {
                prefix: "HANGUP_CAUSE_",
                wire: "",
                name_of: |number| Some(pb::HangupCause::try_from(number).ok()?.as_str_name()),
            },
        ),
        field("times.created", Kind::Time),
        field("label", Kind::Map),
        field("variable", Kind::Map),
    ];

    fn any(&self, field: &str, key: &str, test: Test<'_>) -> bool {
        match field {
            "session_id" => test(Value::Text(self.id.as_str())),
            "node_id" => test(Value::Text(self.node.as_str())),
            "call_id" => test(Value::Text(self.call.as_str())),
            "direction" => self
                .direction
                .is_some_and(|direction| test(Value::Text(to_direction(direction).as_str_name()))),
            "state" => test(Value::Text(to_session_state(self.state).as_str_name())),
            "call_state" => test(Value::Text(to_call_state(self.call_state).as_str_name())),
            "live" => test(Value::Flag(self.is_live())),
            "answered" => test(Value::Flag(self.answered)),
            "parked" => test(Value::Flag(self.parked)),
            "destination_number" => {
                !self.destination.is_empty() && test(Value::Text(&self.destination))
            }
            "peer_session_id" => {
                let peer = self.peer.as_ref();
                peer.is_some_and(|peer| test(Value::Text(peer.as_str())))
            }
            "hangup.cause" => {
                let cause = self.hangup.as_ref().and_then(|hangup| hangup.cause);
                cause
                    .and_then(|cause| pb::HangupCause::try_from(i32::from(cause.number())).ok())
                    .is_some_and(|cause| test(Value::Text(cause.as_str_name())))
            }
            "times.created" => self.times.created.is_some_and(|at| test(Value::Time(at))),
            "label" => label(&self.labels, key, test),
            "variable" => self
                .variable(key)
                .is_some_and(|value| test(Value::Text(&value))),
            _ => false,
        }
    }
}

impl Listed for Call {
    const FIELDS: &'static [Field] = &[
        field("call_id", Kind::Text),
        field("session_id", Kind::Text),
        field("node_id", Kind::Text),
        field("live", Kind::Flag),
        field("answered", Kind::Flag),
        field("started", Kind::Time),
        field("ended", Kind::Time),
        field("label", Kind::Map),
        field("variable", Kind::Map),
    ];

    fn any(&self, field: &str, key: &str, test: Test<'_>) -> bool {
        match field {
            "call_id" => test(Value::Text(self.id.as_str())),
            "live" => test(Value::Flag(self.is_live())),
            "started" => self.started().is_some_and(|at| test(Value::Time(at))),
            "ended" => self.ended().is_some_and(|at| test(Value::Time(at))),
            // Any of its legs may have it.
            _ => self
                .sessions
                .iter()
                .any(|session| session.any(field, key, test)),
        }
    }
}

impl Listed for Job {
    const FIELDS: &'static [Field] = &[
        field("job_id", Kind::Text),
        field(
            "state",
            Kind::Enum {
                prefix: "JOB_STATE_",
                wire: "",
                name_of: |number| Some(pb::JobState::try_from(number).ok()?.as_str_name()),
            },
        ),
        field("command", Kind::Text),
        field("node_id", Kind::Text),
        field("session_id", Kind::Text),
        field("created", Kind::Time),
        field("ended", Kind::Time),
        field("label", Kind::Map),
    ];

    fn any(&self, field: &str, key: &str, test: Test<'_>) -> bool {
        match field {
            "job_id" => test(Value::Text(self.id().as_str())),
            "state" => test(Value::Text(to_job_state(self.state).as_str_name())),
            "command" => test(Value::Text(&self.spec.command)),
            "node_id" => test(Value::Text(self.spec.node.as_str())),
            "session_id" => {
                let session = self.spec.session.as_ref();
                session.is_some_and(|session| test(Value::Text(session.as_str())))
            }
            "created" => test(Value::Time(self.created)),
            "ended" => self.ended.is_some_and(|at| test(Value::Time(at))),
            "label" => label(&self.spec.labels, key, test),
            _ => false,
        }
    }
}

impl Listed for Node {
    const FIELDS: &'static [Field] = &[
        field("node_id", Kind::Text),
        field(
            "state",
            Kind::Enum {
                prefix: "NODE_STATE_",
                wire: "",
                name_of: |number| Some(pb::NodeState::try_from(number).ok()?.as_str_name()),
            },
        ),
        field("version", Kind::Text),
        field("label", Kind::Map),
    ];

    fn any(&self, field: &str, key: &str, test: Test<'_>) -> bool {
        match field {
            "node_id" => test(Value::Text(self.id().as_str())),
            "state" => test(Value::Text(
                to_node_state(self.status().state).as_str_name(),
            )),
            "version" => {
                let version = self.status().version;
                !version.is_empty() && test(Value::Text(&version))
            }
            "label" => label(&self.labels(), key, test),
            _ => false,
        }
    }
}

fn label(labels: &Labels, key: &str, test: Test<'_>) -> bool {
    labels
        .get(key)
        .is_some_and(|value| test(Value::Text(value)))
}

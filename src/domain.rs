//! The ground that every floor may use: identifiers, hangup causes, states, deadlines, failures.
//! Plain types without IO; nothing here knows the Event Socket or gRPC.

mod cause;
mod count;
mod deadline;
mod event_name;
mod failure;
mod id;
mod identity;
mod state;
mod text;

pub use cause::{HangupCause, UnknownCause};
pub use count::Count;
pub use deadline::Deadline;
pub use event_name::{EVENT_NAMES, EventNameError, check_event_name};
pub use failure::{Failure, FieldViolation, Reason};
pub use id::{CallId, IdError, JobId, NodeId, SessionId};
pub use identity::Identity;
#[cfg(test)]
pub(crate) use identity::identity;
pub use state::{CallState, ChannelState, Direction, NodeState};
pub use text::{TextError, check_wire_text, nearest};

//! What a caller is told when something did not work.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::{CallId, HangupCause, JobId, NodeId, SessionId};

/// The closed list of reasons, one for each thing that a client could want to tell apart. The
/// proto enum `ErrorReason` explains each with an example; `grpc::status` gives each its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A field of the request is malformed; nothing reached FreeSWITCH.
    InvalidArgument,
    /// The application does not exist on that node; executing it would hang the channel up.
    UnknownApplication,
    /// No session has this id, on any node.
    SessionNotFound,
    /// No call has this id.
    CallNotFound,
    /// No job has this id, or its retention is over.
    JobNotFound,
    /// No node has this id.
    NodeNotFound,
    /// The session has ended.
    SessionEnded,
    /// The session is in a state that does not allow it.
    SessionState,
    /// The job has ended and cannot be changed.
    JobEnded,
    /// The originate ended with a hangup cause that is a normal outcome of a call.
    CallFailed,
    /// The originate ended with a cause that says that the request can never work as it is.
    EndpointUnusable,
    /// FreeSWITCH answered `-ERR` or `-USAGE` to a command that the gateway expected to work.
    CommandRejected,
    /// FreeSWITCH's own limit of sessions or sessions per second is reached.
    NodeLimit,
    /// A bounded queue or table of the gateway is full.
    Overloaded,
    /// No node fits the selector, or none of those that fit is ready.
    NoNodeAvailable,
    /// The node of this session, or the one asked for, has no live link.
    NodeUnavailable,
    /// The link was lost after the command was written: it may or may not have been executed.
    OutcomeUnknown,
    /// The deadline passed before the effect was seen.
    DeadlineExceeded,
    /// The caller's job was cancelled.
    Cancelled,
    /// The request id was used before for another request.
    RequestIdReused,
    /// The gateway is shutting down.
    ShuttingDown,
    /// The subscriber fell behind further than its bound.
    SlowConsumer,
    /// The cursor is older than the journal, or of another journal.
    CursorLost,
    /// FreeSWITCH said something that the gateway cannot make sense of.
    ProtocolError,
    /// A defect of the gateway.
    Internal,
    /// The job has not ended yet.
    JobRunning,
    /// There is a node of this name, or at this address, already.
    NodeExists,
    /// Sessions or jobs live on the node.
    NodeBusy,
    /// The request does not prove who sends it.
    Unauthenticated,
    /// The caller is known, and may not do this.
    PermissionDenied,
    /// The caller asks too fast, or has too much under way.
    RateLimited,
}

/// A field of a request and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldViolation {
    /// Path of the field, as in the proto: `variables["sip_h_X"]`.
    pub field: String,
    /// What is wrong, and the remedy.
    pub description: String,
}

/// Why a request was not fulfilled: one reason, a sentence for people, and the facts for programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(Box<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    reason: Reason,
    message: String,
    metadata: BTreeMap<&'static str, String>,
    violations: Vec<FieldViolation>,
    retry_after: Option<Duration>,
}

// === impl Failure ===

impl Failure {
    /// A failure with its reason and a lowercase sentence without a final period.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            reason,
            message: message.into(),
            metadata: BTreeMap::new(),
            violations: Vec::new(),
            retry_after: None,
        }))
    }

    /// One field is malformed.
    pub fn invalid(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::invalid_because(Reason::InvalidArgument, field, description)
    }

    /// One field is malformed, with a reason of its own.
    pub fn invalid_because(
        reason: Reason,
        field: impl Into<String>,
        description: impl Into<String>,
    ) -> Self {
        let (field, description) = (field.into(), description.into());
        let mut failure = Self::new(reason, format!("{field}: {description}"));
        failure
            .0
            .violations
            .push(FieldViolation { field, description });
        failure
    }

    /// A text that must be given is empty; `remedy` says what to write.
    pub fn missing(field: impl Into<String>, remedy: &str) -> Self {
        Self::invalid(field, format!("is missing; {remedy}"))
    }

    /// No session has this id.
    pub fn session_not_found(id: &SessionId) -> Self {
        Self::new(
            Reason::SessionNotFound,
            format!("no session {id} on any node"),
        )
        .session(id)
    }

    /// No call has this id.
    pub fn call_not_found(id: &CallId) -> Self {
        Self::new(Reason::CallNotFound, format!("no call {id}")).with("call_id", id)
    }

    /// No job has this id, or none any longer.
    pub fn job_not_found(id: &JobId) -> Self {
        let message = format!("no job {id}, or its retention is over");
        Self::new(Reason::JobNotFound, message).job(id)
    }

    /// Another field that is malformed too.
    pub fn and_invalid(mut self, field: impl Into<String>, description: impl Into<String>) -> Self {
        self.0.violations.push(FieldViolation {
            field: field.into(),
            description: description.into(),
        });
        self
    }

    /// Adds a fact for programs.
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.0.metadata.insert(key, value.to_string());
        self
    }

    /// Names the session.
    pub fn session(self, id: &SessionId) -> Self {
        self.with("session_id", id)
    }

    /// Names the job.
    pub fn job(self, id: &JobId) -> Self {
        self.with("job_id", id)
    }

    /// Names the node.
    pub fn node(self, id: &NodeId) -> Self {
        self.with("node_id", id)
    }

    /// Gives the hangup cause with its Q.850 and SIP codes.
    pub fn cause(self, cause: HangupCause) -> Self {
        let own_sip_code = self.0.metadata.contains_key("sip_code");
        let failure = self.with("hangup_cause", cause).with("q850", cause.q850());
        if own_sip_code {
            failure
        } else {
            failure.with("sip_code", cause.sip_code())
        }
    }

    /// FreeSWITCH's answer, verbatim.
    pub fn reply(self, reply: &str) -> Self {
        self.with("freeswitch_reply", reply.trim_end())
    }

    /// A retry is safe, and makes sense after this time.
    pub fn retry_after(mut self, span: Duration) -> Self {
        self.0.retry_after = Some(span);
        self
    }

    /// Why.
    pub fn reason(&self) -> Reason {
        self.0.reason
    }

    /// The sentence for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The facts for programs.
    pub fn metadata(&self) -> &BTreeMap<&'static str, String> {
        &self.0.metadata
    }

    /// The malformed fields.
    pub fn violations(&self) -> &[FieldViolation] {
        &self.0.violations
    }

    /// After which time a retry makes sense, if it is safe.
    pub fn retry_delay(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Failure {}

//! One RPC from its request to its end, for traces and the audit.
//!
//! It ends when its trailers are known, or when nobody waits for them any more.

mod body;
mod entry;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request};
use hyper::body::Frame;
use tonic::body::Body;
use tonic::{Code, Status};
use tracing::field::Empty;
use tracing::{Span, info_span};

use super::peer::Peer;
use super::rpc::Rpc;
use super::status::code_name;
use crate::access::Caller;
use crate::domain::Failure;
use crate::telemetry::audit::Audit;
use crate::telemetry::{self, SPANS};
use body::Copying;
use entry::Entry;

/// Services whose RPCs are asked again and again, and tell nothing.
const UNTRACED: [&str; 2] = ["/grpc.health.", "/grpc.reflection."];
/// Method of a span whose RPC there is not, so that clients cannot make names.
const OTHER: &str = "_OTHER";

/// An RPC under way. Who drops it before its end tells that its client has left.
#[derive(Debug)]
pub(super) struct Observed {
    rpc: Option<&'static Rpc>,
    span: Span,
    /// Of an RPC that changes something, while there is an audit.
    entry: Option<Arc<Entry>>,
    is_over: bool,
}

// === impl Observed ===

impl Observed {
    /// A request has come.
    pub(super) fn begin(audit: &Audit, path: &str, headers: &HeaderMap, peer: &Peer) -> Self {
        let rpc = Rpc::at(path);
        let span = span(rpc, path, peer);
        let changing = rpc.filter(|rpc| !rpc.reads && audit.is_on());
        let entry = changing.map(|rpc| {
            let remote_trace = telemetry::remote_trace_id(headers);
            Arc::new(Entry::new(audit, rpc, peer, remote_trace))
        });
        Self {
            rpc,
            span,
            entry,
            is_over: false,
        }
    }

    /// What its work is a part of.
    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// Looks on while the request is read.
    pub(super) fn request(&self, request: Request<Body>) -> Request<Body> {
        match &self.entry {
            Some(entry) => request.map(|body| Body::new(Copying::new(body, Arc::clone(entry)))),
            None => request,
        }
    }

    /// It is clear who asks: somebody known, or anybody.
    pub(super) fn identified(&self, name: &str, is_known: bool) {
        if let Some(entry) = &self.entry {
            entry.identified(name, is_known);
        }
    }

    /// It is let in. Only now its trace goes on here, or anybody could choose what is recorded.
    ///
    /// # Errors
    /// OVERLOADED when it would change something that the audit cannot tell.
    pub(super) fn admitted(&self, caller: Caller, headers: &HeaderMap) -> Result<Caller, Failure> {
        telemetry::continue_from(&self.span, headers);
        self.span.record("switchgate.caller", caller.name());
        if let Some(entry) = &self.entry {
            entry.admitted(telemetry::trace_id(&self.span))?;
        }
        Ok(caller)
    }

    /// It was answered. Nothing when nobody is to be told more: its end is in the headers, or what
    /// follows tells nothing.
    pub(super) fn answered(mut self, headers: &HeaderMap) -> Option<Self> {
        if let Some(status) = Status::from_header_map(headers) {
            self.end(&status);
            return None;
        }
        // A stream that only shows something is open now, and may be for days.
        let is_open = self.rpc.is_some_and(|rpc| rpc.reads && rpc.streams);
        if is_open || (self.span.is_disabled() && self.entry.is_none()) {
            self.is_over = true;
            return None;
        }
        Some(self)
    }

    /// Looks at a frame of the answer's body, or at its end.
    pub(super) fn sees(&mut self, frame: Option<&Result<Frame<Bytes>, Status>>) {
        match frame {
            Some(Ok(frame)) => {
                if let (Some(data), Some(entry)) = (frame.data_ref(), &self.entry) {
                    entry.answered(data);
                }
                if let Some(trailers) = frame.trailers_ref()
                    && let Some(status) = Status::from_header_map(trailers)
                {
                    self.end_in_span(&status);
                }
            }
            Some(Err(status)) => self.end_in_span(status),
            // Trailers always come; without them nobody knows.
            None => self.end_in_span(&Status::unknown("")),
        }
    }

    /// It has ended, which the log tells as a part of it.
    fn end_in_span(&mut self, status: &Status) {
        let span = self.span.clone();
        span.in_scope(|| self.end(status));
    }

    /// It has ended.
    fn end(&mut self, status: &Status) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let code = code_name(status.code());
        if !self.span.is_disabled() {
            self.span.record("rpc.response.status_code", code);
            if status.code() != Code::Ok {
                self.span.record("error.type", code);
            }
            if is_own_error(status.code()) {
                self.span.record("otel.status_code", telemetry::FAILED);
            }
        }
        if let Some(entry) = &self.entry {
            entry.end(status, code);
        }
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        self.end(&Status::cancelled(""));
    }
}

/// As OpenTelemetry's semantic conventions of RPC 1.38 have it.
fn span(rpc: Option<&Rpc>, path: &str, peer: &Peer) -> Span {
    if UNTRACED.iter().any(|prefix| path.starts_with(prefix)) {
        return Span::none();
    }
    let method = rpc.map_or(OTHER, |rpc| rpc.path.trim_start_matches('/'));
    info_span!(
        target: SPANS,
        "rpc",
        otel.name = method,
        otel.kind = "server",
        otel.status_code = Empty,
        rpc.system.name = "grpc",
        rpc.method = method,
        rpc.response.status_code = Empty,
        "error.type" = Empty,
        network.peer.address = %peer.address.ip(),
        network.peer.port = i64::from(peer.address.port()),
        switchgate.caller = Empty,
    )
}

/// Whether the server is to blame, as the semantic conventions see it.
fn is_own_error(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

//! One request that is counted.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::Frame;
use tokio::time::Instant;
use tonic::{Code, Status};

use super::Method;
use super::messages::Messages;

/// Where the status stands, in headers or trailers.
pub(super) const GRPC_STATUS: &str = "grpc-status";

/// A request that has begun. It ends when its status is known, or as CANCELLED when this is dropped
/// before, since then its client has left.
#[derive(Debug)]
pub(in crate::grpc) struct Call {
    method: Arc<Method>,
    began: Instant,
    messages: Messages,
    is_over: bool,
}

// === impl Call ===

impl Call {
    pub(super) fn begin(method: &Arc<Method>) -> Self {
        method.in_flight.one();
        Self {
            method: Arc::clone(method),
            began: Instant::now(),
            messages: Messages::default(),
            is_over: false,
        }
    }

    /// The answer is there. Its status comes with the headers, and then it has ended, or after the
    /// messages.
    pub(in crate::grpc) fn answered(mut self, headers: &HeaderMap) -> Option<Self> {
        match code(headers) {
            Some(code) => {
                self.end(code);
                None
            }
            None => Some(self),
        }
    }

    /// Looks at a frame of the answer's body, or at its end.
    pub(in crate::grpc) fn sees(&mut self, frame: Option<&Result<Frame<Bytes>, Status>>) {
        match frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    let begun = self.messages.take(data);
                    self.method.messages_sent.add(begun);
                } else if let Some(trailers) = frame.trailers_ref() {
                    self.end(code(trailers).unwrap_or(Code::Unknown));
                }
            }
            Some(Err(status)) => self.end(status.code()),
            // An end without a status is none that gRPC knows.
            None => self.end(Code::Unknown),
        }
    }

    fn end(&mut self, code: Code) {
        if !std::mem::replace(&mut self.is_over, true) {
            self.method.end(code, self.began.elapsed());
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

/// The status, where it is told.
fn code(headers: &HeaderMap) -> Option<Code> {
    let code = headers.get(GRPC_STATUS)?;
    Some(Code::from_bytes(code.as_bytes()))
}

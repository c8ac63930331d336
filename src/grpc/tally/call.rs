//! One request that is counted.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Response};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;
use tonic::body::Body;
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
    is_over: bool,
}

/// The body of a counted answer.
struct Counted {
    body: Body,
    call: Call,
    messages: Messages,
}

// === impl Call ===

impl Call {
    pub(super) fn begin(method: &Arc<Method>) -> Self {
        method.in_flight.one();
        Self {
            method: Arc::clone(method),
            began: Instant::now(),
            is_over: false,
        }
    }

    /// The answer is there: its status comes with the headers, or after the messages.
    pub(in crate::grpc) fn answered(mut self, response: Response<Body>) -> Response<Body> {
        if let Some(code) = code(response.headers()) {
            self.end(code);
            return response;
        }
        response.map(|body| {
            Body::new(Counted {
                body,
                call: self,
                messages: Messages::default(),
            })
        })
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

// === impl Counted ===

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    let begun = this.messages.take(data);
                    this.call.method.messages_sent.add(begun);
                } else if let Some(trailers) = frame.trailers_ref() {
                    this.call.end(code(trailers).unwrap_or(Code::Unknown));
                }
            }
            Some(Err(status)) => this.call.end(status.code()),
            // An end without a status is none that gRPC knows.
            None => this.call.end(Code::Unknown),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The status, where it is told.
fn code(headers: &HeaderMap) -> Option<Code> {
    let code = headers.get(GRPC_STATUS)?;
    Some(Code::from_bytes(code.as_bytes()))
}

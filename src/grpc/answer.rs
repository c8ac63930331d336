//! An answer on its way to the client. It is followed to its end, by which it is counted, told to
//! traces and the audit, and no longer one of its caller's.
//!
//! One body does all of it, since each frame of each stream goes through.

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use super::observe::Observed;
use super::tally::Call;

/// The body of an answer whose end is still to come.
struct Followed {
    body: Body,
    /// Of a stream, which counts as one of its caller's until the end, and of what is open to anybody.
    _permit: Option<Arc<dyn Any + Send + Sync>>,
    /// Absent where nobody is told of the end.
    observed: Option<Observed>,
    call: Call,
}

/// A permit on its way through an answer, whose body may still be exchanged.
#[derive(Debug, Clone)]
struct Carried(Arc<dyn Any + Send + Sync>);

/// The permit stays with the answer.
pub(super) fn keep(
    mut response: Response<Body>,
    permit: Arc<dyn Any + Send + Sync>,
) -> Response<Body> {
    response.extensions_mut().insert(Carried(permit));
    response
}

/// Follows an answer to its end, which is in the headers or behind the body.
pub(super) fn follow(
    mut response: Response<Body>,
    call: Call,
    observed: Observed,
) -> Response<Body> {
    let permit = response.extensions_mut().remove::<Carried>();
    let observed = observed.answered(response.headers());
    let Some(call) = call.answered(response.headers()) else {
        return response;
    };
    response.map(|body| {
        Body::new(Followed {
            body,
            _permit: permit.map(|Carried(permit)| permit),
            observed,
            call,
        })
    })
}

// === impl Followed ===

impl HttpBody for Followed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let frame = {
            let span = this.observed.as_ref().map(Observed::span);
            let _entered = span.map(tracing::Span::enter);
            ready!(Pin::new(&mut this.body).poll_frame(context))
        };
        if let Some(observed) = &mut this.observed {
            observed.sees(frame.as_ref());
        }
        this.call.sees(frame.as_ref());
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

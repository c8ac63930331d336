//! What a request holds as long as its answer is under way.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use crate::access::Permit;

/// The body of a stream that counts as one of its caller's.
struct Held {
    body: Body,
    _permit: Arc<Permit>,
}

/// A permit on its way through an answer, whose body may still be exchanged.
#[derive(Debug, Clone)]
struct Carried(Arc<Permit>);

/// The permit stays with the answer.
pub(super) fn keep(mut response: Response<Body>, permit: Permit) -> Response<Body> {
    response.extensions_mut().insert(Carried(Arc::new(permit)));
    response
}

/// Gives the permit to the body, at whose end it is over.
pub(super) fn until_the_end(mut response: Response<Body>) -> Response<Body> {
    match response.extensions_mut().remove::<Carried>() {
        Some(Carried(permit)) => response.map(|body| {
            Body::new(Held {
                body,
                _permit: permit,
            })
        }),
        None => response,
    }
}

// === impl Held ===

impl HttpBody for Held {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

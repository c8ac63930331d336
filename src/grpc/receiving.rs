//! The message of a request, which has to come in time: what waits for it holds a permit.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Sleep, sleep_until};
use tonic::Status;
use tonic::body::Body;

use super::deadline::ClientDeadline;
use super::status::status;
use crate::domain::{Deadline, Failure, Reason};

/// How long the message may take, also where the client's deadline is later.
const PATIENCE: Duration = Duration::from_secs(10);

/// A body that has to come to its end in time.
struct Receiving {
    body: Body,
    due: Deadline,
    /// Made when it is waited for.
    timer: Option<Pin<Box<Sleep>>>,
    is_over: bool,
}

/// Bounds the time until the request has come.
pub(super) fn bounded(request: Request<Body>) -> Request<Body> {
    let patience = Deadline::after(PATIENCE);
    let due = match request.extensions().get::<ClientDeadline>() {
        Some(ClientDeadline(deadline)) => patience.min(*deadline),
        None => patience,
    };
    request.map(|body| {
        Body::new(Receiving {
            body,
            due,
            timer: None,
            is_over: false,
        })
    })
}

// === impl Receiving ===

impl HttpBody for Receiving {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.is_over {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            return Poll::Ready(frame);
        }
        let due = this.due.instant();
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        this.is_over = true;
        let message = "the request's message did not come in time; nothing was done";
        let failure = Failure::new(Reason::DeadlineExceeded, message).with("command_sent", false);
        Poll::Ready(Some(Err(status(&failure))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

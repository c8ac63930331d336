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

/// In front of each message: a flag, and its length.
const PREFIX: usize = 5;

/// A body that has to come to its end in time, or to the end of its first message.
struct Receiving {
    body: Body,
    due: Deadline,
    /// Where the first message is enough.
    first: Option<First>,
    /// Made when it is waited for.
    timer: Option<Pin<Box<Sleep>>>,
    is_over: bool,
}

/// How much of the first message has come.
#[derive(Debug, Default)]
struct First {
    prefix: Vec<u8>,
    came: usize,
}

/// Bounds the time until the request has come.
pub(super) fn bounded(request: Request<Body>) -> Request<Body> {
    within(request, None)
}

/// Bounds the time until the first message has come, of a request that may have more of them.
pub(super) fn bounded_to_first(request: Request<Body>) -> Request<Body> {
    within(request, Some(First::default()))
}

fn within(request: Request<Body>, first: Option<First>) -> Request<Body> {
    let patience = Deadline::after(PATIENCE);
    let due = match request.extensions().get::<ClientDeadline>() {
        Some(ClientDeadline(deadline)) => patience.min(*deadline),
        None => patience,
    };
    request.map(|body| {
        Body::new(Receiving {
            body,
            due,
            first,
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
            if let (Some(Ok(frame)), Some(first)) = (&frame, &mut this.first)
                && let Some(data) = frame.data_ref()
            {
                first.take(data);
            }
            return Poll::Ready(frame);
        }
        if this.first.as_ref().is_some_and(First::is_whole) {
            return Poll::Pending;
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

// === impl First ===

impl First {
    fn take(&mut self, data: &Bytes) {
        let missing = PREFIX - self.prefix.len();
        self.prefix.extend(data.iter().take(missing));
        self.came = self.came.saturating_add(data.len());
    }

    fn is_whole(&self) -> bool {
        let length = self.prefix.iter().skip(1);
        let length = length.fold(0, |length, byte| length << 8 | usize::from(*byte));
        self.prefix.len() == PREFIX && self.came >= PREFIX + length
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_message_is_whole_when_its_last_byte_has_come(
            length in 0_u8..100,
            more in 0_usize..20,
            cuts in proptest::collection::vec(1_usize..40, 0..40),
        ) {
            let whole = PREFIX + usize::from(length);
            let mut bytes = vec![0, 0, 0, 0, length];
            bytes.resize(whole + more, 7);
            let (mut rest, mut first, mut came) = (Bytes::from(bytes), First::default(), 0);
            for cut in cuts {
                let data = rest.split_to(cut.min(rest.len()));
                came += data.len();
                first.take(&data);
                prop_assert_eq!(first.is_whole(), came >= whole);
            }
        }
    }
}

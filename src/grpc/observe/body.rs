//! Bodies that are looked at on their way.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use super::Observed;
use super::entry::Entry;

/// A request that is being read.
pub(super) struct Copying {
    body: Body,
    entry: Arc<Entry>,
}

/// An answer that is being sent.
pub(super) struct Answering {
    body: Body,
    observed: Observed,
}

// === impl Copying ===

impl Copying {
    pub(super) fn new(body: Body, entry: Arc<Entry>) -> Self {
        Self { body, entry }
    }
}

impl hyper::body::Body for Copying {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.entry.read(data);
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

// === impl Answering ===

impl Answering {
    pub(super) fn new(body: Body, observed: Observed) -> Self {
        Self { body, observed }
    }
}

impl hyper::body::Body for Answering {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let span = this.observed.span.clone();
        let _entered = span.enter();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(data), Some(entry)) = (frame.data_ref(), &this.observed.entry) {
                    entry.answered(data);
                }
                if let Some(trailers) = frame.trailers_ref()
                    && let Some(status) = Status::from_header_map(trailers)
                {
                    this.observed.end(&status);
                }
            }
            Some(Err(status)) => this.observed.end(status),
            // Trailers always come; without them nobody knows.
            None => this.observed.end(&Status::unknown("")),
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

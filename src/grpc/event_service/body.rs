//! The body of Subscribe's answers.
//!
//! tonic's would copy each message into a buffer of its own, and what is large into fresh memory.
//! Here the blocks of events that subscribers share go to HTTP/2 as they are.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, Response};
use hyper::body::Frame;
use tonic::Status;
use tonic::body::Body;

use super::super::watch::Watching;
use super::shared::Streamed;
use crate::pb;

/// What is shorter is copied: each block that is not has a DATA frame of its own, and this is the
/// longest that clients take by default.
const COPIED: usize = 16 * 1024;
/// So many copied bytes leave though there may be more, as in tonic.
const ENOUGH: usize = 32 * 1024;

/// The stream of no messages that tonic is given in place of the true one.
pub(super) type Stand = tokio_stream::Empty<Result<pb::SubscribeResponse, Status>>;

/// Messages, each with its length in front, and the status in the end.
struct StreamBody {
    /// Absent when they are over.
    messages: Option<Watching<Streamed>>,
    /// What leaves first.
    ready: VecDeque<Bytes>,
    copied: BytesMut,
    status: Option<Status>,
}

/// A body on its way through tonic, where a service has messages to give and no body.
#[derive(Clone)]
struct Carried(Arc<Mutex<Option<StreamBody>>>);

/// An answer whose body [`unpack`] makes of these messages.
pub(super) fn pack(messages: Watching<Streamed>) -> tonic::Response<Stand> {
    let carried = Carried(Arc::new(Mutex::new(Some(StreamBody::new(messages)))));
    let mut response = tonic::Response::new(tokio_stream::empty());
    response.extensions_mut().insert(carried);
    response
}

/// Gives an answer the body that it carries, if it does.
pub(crate) fn unpack(mut response: Response<Body>) -> Response<Body> {
    let carried = response.extensions_mut().remove::<Carried>();
    let body = carried.and_then(|Carried(body)| {
        let mut body = body.lock().unwrap_or_else(PoisonError::into_inner);
        body.take()
    });
    match body {
        Some(body) => response.map(|_| Body::new(body)),
        None => response,
    }
}

// === impl StreamBody ===

impl StreamBody {
    fn new(messages: Watching<Streamed>) -> Self {
        Self {
            messages: Some(messages),
            ready: VecDeque::new(),
            copied: BytesMut::new(),
            status: None,
        }
    }

    fn put(&mut self, message: Streamed) {
        self.copied.put_u8(0);
        // A message has no more than some megabytes, since an event has not.
        self.copied.put_uint(message.len() as u64, 4);
        for piece in message.put(&mut self.copied) {
            match piece.len() {
                ..COPIED => self.copied.put_slice(&piece),
                _ => {
                    let copied = self.flush();
                    self.ready.extend(copied);
                    self.ready.push_back(piece);
                }
            }
        }
    }

    fn flush(&mut self) -> Option<Bytes> {
        (!self.copied.is_empty()).then(|| self.copied.split().freeze())
    }

    fn end(&mut self, status: Status) {
        self.messages = None;
        self.status = Some(status);
    }
}

impl hyper::body::Body for StreamBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let data = |bytes| Poll::Ready(Some(Ok(Frame::data(bytes))));
        loop {
            if let Some(bytes) = this.ready.pop_front() {
                return data(bytes);
            }
            let next = match &mut this.messages {
                Some(messages) if this.copied.len() < ENOUGH => {
                    messages.as_mut().poll_next(context)
                }
                _ => Poll::Pending,
            };
            match next {
                Poll::Ready(Some(Ok(message))) => this.put(message),
                Poll::Ready(Some(Err(status))) => this.end(status),
                Poll::Ready(None) => this.end(Status::ok("")),
                Poll::Pending => {
                    if let Some(bytes) = this.flush() {
                        return data(bytes);
                    }
                    return match (&this.messages, this.status.take()) {
                        (Some(_), _) => Poll::Pending,
                        (None, status) => Poll::Ready(status.map(|status| trailers(&status))),
                    };
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.messages.is_none() && self.status.is_none()
    }
}

fn trailers(status: &Status) -> Result<Frame<Bytes>, Status> {
    let mut trailers = HeaderMap::new();
    status.add_header(&mut trailers)?;
    Ok(Frame::trailers(trailers))
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use hyper::body::Body as _;
    use proptest::prelude::*;
    use prost::Message as _;
    use prost::encoding::{WireType, encode_key, encode_varint};
    use tokio_stream::Stream;

    use super::super::shared::{Chunks, EVENTS};
    use super::*;
    use crate::events::Cursor;
    use crate::pb::subscribe_response::Message;

    fn cursor(position: u64) -> Cursor {
        Cursor { epoch: 7, position }
    }

    /// Events in blocks, and what a client is told by them.
    fn events(bodies: &[Vec<usize>], position: u64) -> (Streamed, pb::SubscribeResponse) {
        let mut chunks = Chunks::default();
        let mut events = Vec::new();
        for block in bodies {
            let mut bytes = Vec::new();
            for length in block {
                let event = pb::Event {
                    body: vec![7; *length],
                    ..pb::Event::default()
                };
                encode_key(EVENTS, WireType::LengthDelimited, &mut bytes);
                encode_varint(event.encoded_len() as u64, &mut bytes);
                event.encode_raw(&mut bytes);
                events.push(event);
            }
            chunks.len += bytes.len();
            chunks.pieces.push(bytes.into());
        }
        let cursor = cursor(position).to_string();
        let batch = Message::Events(pb::EventBatch { events });
        let told = pb::SubscribeResponse {
            cursor: cursor.clone(),
            message: Some(batch),
        };
        let events = chunks;
        (Streamed::Events { cursor, events }, told)
    }

    fn other(position: u64) -> (Streamed, pb::SubscribeResponse) {
        let message = Message::Checkpoint(pb::Checkpoint {});
        let told = pb::SubscribeResponse {
            cursor: cursor(position).to_string(),
            message: Some(message.clone()),
        };
        (Streamed::other(cursor(position), message), told)
    }

    /// A message, or a moment when there is none.
    fn moments() -> impl Strategy<Value = Vec<Option<Vec<Vec<usize>>>>> {
        let length = prop_oneof![3 => 0..300usize, 1 => 15_000..40_000usize];
        let blocks = prop::collection::vec(prop::collection::vec(length, 1..4), 0..4);
        prop::collection::vec(prop::option::of(blocks), 0..12)
    }

    fn stream(moments: Vec<Option<Streamed>>, end: Option<Status>) -> Watching<Streamed> {
        let (mut moments, mut end) = (moments.into_iter(), end);
        let next = move |context: &mut Context<'_>| match moments.next() {
            Some(Some(message)) => Poll::Ready(Some(Ok(message))),
            Some(None) => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            None => Poll::Ready(end.take().map(Err)),
        };
        let stream: Pin<Box<dyn Stream<Item = Result<Streamed, Status>> + Send>> =
            Box::pin(futures_util::stream::poll_fn(next));
        stream.boxed()
    }

    /// Frames of the body until the end: the bytes, and the trailers.
    async fn read(body: StreamBody) -> (Vec<u8>, HeaderMap) {
        let mut body = Box::pin(body);
        let (mut bytes, mut trailers) = (Vec::new(), HeaderMap::new());
        while let Some(frame) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            match frame.unwrap().into_data() {
                Ok(data) => {
                    assert!(!data.is_empty() && trailers.is_empty());
                    bytes.extend_from_slice(&data);
                }
                Err(frame) => trailers = frame.into_trailers().unwrap(),
            }
        }
        assert!(body.is_end_stream());
        (bytes, trailers)
    }

    fn messages(mut bytes: &[u8]) -> Vec<pb::SubscribeResponse> {
        let mut messages = Vec::new();
        while let Some((head, rest)) = bytes.split_first_chunk::<5>() {
            assert_eq!(head[0], 0);
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
            messages.push(pb::SubscribeResponse::decode(&rest[..length]).unwrap());
            bytes = &rest[length..];
        }
        assert!(bytes.is_empty());
        messages
    }

    proptest! {
        #[test]
        fn the_bytes_are_those_of_the_messages(moments in moments(), fails: bool) {
            let (mut given, mut expected) = (Vec::new(), Vec::new());
            for (position, moment) in (1..).zip(&moments) {
                let Some(blocks) = moment else {
                    given.push(None);
                    continue;
                };
                let (message, told) = match blocks.is_empty() {
                    true => other(position),
                    false => events(blocks, position),
                };
                given.push(Some(message));
                expected.push(told);
            }
            let end = fails.then(|| Status::aborted("so it ends"));
            let body = StreamBody::new(stream(given, end));
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (bytes, trailers) = runtime.block_on(read(body));
            prop_assert_eq!(messages(&bytes), expected);
            let status = if fails { "10" } else { "0" };
            prop_assert_eq!(&trailers["grpc-status"], status);
        }
    }

    #[tokio::test]
    async fn a_block_that_is_large_is_not_copied() {
        let (message, _) = events(&[vec![100], vec![20_000, 20_000], vec![100]], 1);
        let Streamed::Events { events, .. } = &message else {
            panic!("{message:?}");
        };
        // They live as long as the test, so that nothing else gets the address of one.
        let pieces = events.pieces.clone();
        let mut body = Box::pin(StreamBody::new(stream(vec![Some(message)], None)));
        let mut seen = Vec::new();
        while let Some(frame) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            seen.extend(frame.unwrap().into_data().map(|data| data.as_ptr()));
        }
        let is_shared = |piece: &Bytes| seen.contains(&piece.as_ptr());
        let is_shared: Vec<_> = pieces.iter().map(is_shared).collect();
        assert_eq!(is_shared, [false, true, false]);
    }
}

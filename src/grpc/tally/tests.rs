//! What is counted of a request, by how it ends.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Response};
use hyper::body::{Body as _, Frame};
use tonic::body::Body;
use tonic::{Code, Status};

use super::super::answer;
use super::super::observe::Observed;
use super::super::peer::Peer;
use super::*;
use crate::telemetry::audit::Audit;

const ORIGINATE: &str = "/switchgate.v1.SessionService/Originate";

/// A body of these frames, which then goes on without any.
struct Frames(VecDeque<Frame<Bytes>>);

// === impl Frames ===

impl hyper::body::Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.0.pop_front() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => Poll::Pending,
        }
    }
}

/// The answer, of which nobody but the tally is told.
fn follow(call: Call, response: Response<Body>) -> Response<Body> {
    let peer = Peer {
        address: ([127, 0, 0, 1], 1).into(),
        certificate: None,
    };
    let observed = Observed::begin(&Audit::default(), "/", &HeaderMap::new(), &peer);
    answer::follow(response, call, observed)
}

fn method<'a>(tally: &'a Tally, name: &str) -> &'a Method {
    let mut methods = tally.methods();
    methods.find(|method| method.name == name).unwrap()
}

fn ended(method: &Method) -> Vec<(&'static str, u64)> {
    method.ended().filter(|(_, count)| *count > 0).collect()
}

#[tokio::test(start_paused = true)]
async fn a_request_ends_with_the_status_in_its_headers() {
    let tally = Tally::new();
    let originate = method(&tally, &ORIGINATE[1..]);
    let call = tally.begin(ORIGINATE);
    assert_eq!(originate.in_flight.get(), 1);
    tokio::time::advance(Duration::from_millis(20)).await;
    let refused = Status::new(Code::Aborted, "busy").into_http();
    drop(follow(call, refused));
    assert_eq!(originate.in_flight.get(), 0);
    assert_eq!(ended(originate), [("ABORTED", 1)]);
    let (buckets, sum) = originate.durations();
    let at = buckets.iter().position(|count| *count == 1).unwrap();
    assert_eq!(DURATION_BOUNDS[at], 0.025);
    assert!((0.02..0.025).contains(&sum), "{sum}");
}

#[tokio::test]
async fn a_request_whose_client_leaves_is_cancelled() {
    let tally = Tally::new();
    drop(tally.begin(ORIGINATE));
    let endless = Body::new(Frames(VecDeque::new()));
    drop(follow(tally.begin(ORIGINATE), Response::new(endless)));
    let originate = method(&tally, &ORIGINATE[1..]);
    assert_eq!(ended(originate), [("CANCELLED", 2)]);
    assert_eq!(originate.in_flight.get(), 0);
}

#[test]
fn what_is_no_rpc_has_one_name() {
    let tally = Tally::new();
    for path in ["/nonsense", "/switchgate.v1.SessionService/Nothing", ""] {
        drop(tally.begin(path));
    }
    assert_eq!(ended(method(&tally, OTHER)), [("CANCELLED", 3)]);
    let names: Vec<_> = tally.methods().map(|method| &*method.name).collect();
    assert!(names.contains(&"grpc.health.v1.Health/Check"), "{names:?}");
    assert!(names.iter().all(|name| !name.contains("Nothing")));
}

#[tokio::test]
async fn trailers_tell_the_end_of_a_stream() {
    let tally = Tally::new();
    let mut trailers = HeaderMap::new();
    trailers.insert(call::GRPC_STATUS, "14".parse().unwrap());
    let messages = Bytes::from_static(&[0, 0, 0, 0, 1, 7, 0, 0, 0, 0, 0]);
    let frames = Frames([Frame::data(messages), Frame::trailers(trailers)].into());
    let path = "/switchgate.v1.EventService/Subscribe";
    let response = follow(tally.begin(path), Response::new(Body::new(frames)));
    let subscribe = method(&tally, &path[1..]);
    assert!(subscribe.streams);
    let mut body = response.into_body();
    let mut next = async || {
        let frame = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        frame.unwrap().unwrap()
    };
    assert!(next().await.is_data());
    assert_eq!((subscribe.in_flight.get(), ended(subscribe).len()), (1, 0));
    assert_eq!(subscribe.messages_sent.get(), 2);
    assert!(next().await.is_trailers());
    assert_eq!(ended(subscribe), [("UNAVAILABLE", 1)]);
    drop(body);
    assert_eq!(ended(subscribe), [("UNAVAILABLE", 1)]);
}

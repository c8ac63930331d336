//! tonic servers without a gateway: what a stream costs at least, and what it costs when each
//! subscriber decodes and encodes for itself.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use anyhow::Result;
use bytes::{Buf as _, BufMut as _, Bytes};
use futures_util::{Stream, StreamExt as _, stream};
use switchgate::esl::Event as Parsed;
use tokio::sync::{broadcast, oneshot};
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, NamedService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use crate::message::{self, Event};

type BoxStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;
type Opener<T> = Arc<dyn Fn() -> BoxStream<T> + Send + Sync>;

/// A server of one streaming RPC; it serves until this is dropped.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

/// Gives the messages as they are, ready at any time.
pub(crate) fn serve_bare(messages: Vec<Bytes>) -> Result<Served> {
    let messages = Arc::new(messages);
    serve::<RawCodec, Bytes>(Arc::new(move || {
        let messages = Arc::clone(&messages);
        let next = (0..messages.len()).cycle();
        stream::iter(next.map(move |at| Ok(messages[at].clone()))).boxed()
    }))
}

/// Gives what is broadcast; each subscriber makes its own message of it.
pub(crate) fn serve_broadcast(events: &broadcast::Sender<(u64, Parsed)>) -> Result<Served> {
    let events = events.clone();
    serve::<ProstCodec<message::Response, ()>, message::Response>(Arc::new(move || {
        let first = stream::once(async { Ok(message::Response::default()) });
        let rest = stream::unfold(events.subscribe(), |mut events| async move {
            let message = match events.recv().await {
                Ok((position, event)) => {
                    Ok(message::Response::of([Event::decode(&event, position)]))
                }
                Err(broadcast::error::RecvError::Closed) => return None,
                Err(lagged) => Err(Status::resource_exhausted(lagged.to_string())),
            };
            Some((message, events))
        });
        first.chain(rest).boxed()
    }))
}

fn serve<C, T>(open: Opener<T>) -> Result<Served>
where
    C: Codec<Encode = T, Decode = ()> + Default + Send + 'static,
    T: Send + Sync + 'static,
{
    let incoming = TcpIncoming::bind((Ipv4Addr::LOCALHOST, 0).into())?.with_nodelay(Some(true));
    let address = incoming.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let service = Service::<C, T> {
        open,
        codec: std::marker::PhantomData,
    };
    tokio::spawn(async move {
        let server = Server::builder().add_service(service);
        let server = server.serve_with_incoming(incoming);
        tokio::select! {
            _ = stopped => {}
            _ = server => {}
        }
    });
    Ok(Served {
        address,
        _stop: stop,
    })
}

struct Service<C, T> {
    open: Opener<T>,
    codec: std::marker::PhantomData<fn() -> C>,
}

struct Subscribe<T>(Opener<T>);

/// Bytes as they are.
#[derive(Debug, Default)]
struct RawCodec;

// === impl Service ===

impl<C, T> Clone for Service<C, T> {
    fn clone(&self) -> Self {
        Self {
            open: Arc::clone(&self.open),
            codec: self.codec,
        }
    }
}

impl<C, T> NamedService for Service<C, T> {
    const NAME: &'static str = "switchgate.v1.EventService";
}

impl<C, T> tower::Service<http::Request<Body>> for Service<C, T>
where
    C: Codec<Encode = T, Decode = ()> + Default + Send + 'static,
    T: Send + Sync + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let subscribe = Subscribe(Arc::clone(&self.open));
        Box::pin(async move {
            let mut grpc = Grpc::new(C::default());
            Ok(grpc.server_streaming(subscribe, request).await)
        })
    }
}

// === impl Subscribe ===

impl<T> tower::Service<Request<()>> for Subscribe<T> {
    type Response = Response<BoxStream<T>>;
    type Error = Status;
    type Future = std::future::Ready<Result<Self::Response, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        std::future::ready(Ok(Response::new((self.0)())))
    }
}

// === impl RawCodec ===

impl Codec for RawCodec {
    type Encode = Bytes;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        buffer.advance(buffer.remaining());
        Ok(Some(()))
    }
}

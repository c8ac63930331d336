//! A bare tonic server of `RunApi` that says what it was asked, and asks nobody.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::Result;
use switchgate::pb::{RunApiRequest, RunApiResponse};
use tonic::body::Body;
use tonic::server::{Grpc, NamedService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

#[derive(Debug, Clone)]
struct Service;

#[derive(Debug)]
struct Echo;

/// Serves as long as its runtime lives.
pub(crate) fn serve() -> Result<SocketAddr> {
    let incoming = TcpIncoming::bind((Ipv4Addr::LOCALHOST, 0).into())?.with_nodelay(Some(true));
    let address = incoming.local_addr()?;
    let server = Server::builder().add_service(Service);
    tokio::spawn(server.serve_with_incoming(incoming));
    Ok(address)
}

// === impl Service ===

impl NamedService for Service {
    const NAME: &'static str = "switchgate.v1.NodeService";
}

impl tower::Service<http::Request<Body>> for Service {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async {
            let mut grpc = Grpc::new(ProstCodec::<RunApiResponse, RunApiRequest>::default());
            Ok(grpc.unary(Echo, request).await)
        })
    }
}

// === impl Echo ===

impl tower::Service<Request<RunApiRequest>> for Echo {
    type Response = Response<RunApiResponse>;
    type Error = Status;
    type Future = Ready<Result<Self::Response, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RunApiRequest>) -> Self::Future {
        let output = request.into_inner().arguments;
        ready(Ok(Response::new(RunApiResponse { output })))
    }
}

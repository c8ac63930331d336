//! Any RPC by its path, with the bytes of its messages.

use bytes::{Buf as _, BufMut as _, Bytes};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::callers::Bearer;
use crate::gateway::within;

/// Messages as they are on the wire.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut message = vec![0; buffer.remaining()];
        buffer.copy_to_slice(&mut message);
        Ok(Some(message))
    }
}

/// The first message of the answer. A unary RPC is on the wire a stream of one.
pub(crate) async fn ask(
    channel: &Channel,
    path: &str,
    request: Vec<u8>,
    token: Option<&str>,
) -> Result<Vec<u8>, Status> {
    use tonic::service::Interceptor as _;
    let mut client = tonic::client::Grpc::new(channel.clone());
    client
        .ready()
        .await
        .map_err(|error| Status::unknown(error.to_string()))?;
    let mut head = Request::new(());
    if let Some(token) = token {
        head = Bearer::of(token).call(head)?;
    }
    let request = head.map(|()| Bytes::from(request));
    let path = path.parse().unwrap();
    let answer = within(client.server_streaming(request, path, Raw)).await?;
    let first = within(answer.into_inner().message()).await?;
    Ok(first.unwrap_or_default())
}

//! How EventService's messages become bytes.

use std::marker::PhantomData;

use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, EncodeBuf, Encoder};
use tonic_prost::{ProstCodec, ProstDecoder};

/// tonic's codec, but for an encoder that makes room for a message before it writes it: lists have
/// some hundred kilobytes, and a buffer that doubles up to there from tonic's 8 KiB is copied as
/// often.
#[derive(Debug)]
pub(crate) struct RoomyCodec<T, U>(PhantomData<(T, U)>);

/// The encoder of [`RoomyCodec`].
#[derive(Debug)]
pub(crate) struct RoomyEncoder<T>(PhantomData<T>);

// === impl RoomyCodec ===

impl<T, U> Default for RoomyCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for RoomyCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = RoomyEncoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        RoomyEncoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<T, U>::raw_decoder(BufferSettings::default())
    }
}

// === impl RoomyEncoder ===

impl<T: Message> Encoder for RoomyEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buf.reserve(item.encoded_len());
        item.encode(buf)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

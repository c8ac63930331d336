//! Responses over bytes that subscribers share.

#![allow(
    unreachable_pub,
    reason = "types of the generated trait, which is public"
)]

use bytes::{Buf, BufMut, Bytes};
use prost::encoding::{DecodeContext, WireType, encode_key, encode_varint, encoded_len_varint};
use prost::{DecodeError, Message};

use crate::events::Cursor;
use crate::pb;
use crate::pb::subscribe_response;

/// Number of the field `events`, both in `EventBatch` and in `ListEventsResponse`: so the same bytes
/// are good for both.
pub(super) const EVENTS: u32 = 1;

/// Numbers of the fields `cursor` and `events` of `SubscribeResponse`.
const CURSOR: u32 = 1;
const BATCH: u32 = 2;

/// Encoded events, each with its key and length as an element of `events`: pieces of the blocks that
/// subscribers share. They stay where they are: to have many costs no more than to have one.
#[derive(Debug, Clone, Default)]
pub struct Chunks {
    pub(super) pieces: Vec<Bytes>,
    pub(super) len: usize,
}

/// `SubscribeResponse`.
#[derive(Debug)]
pub(in crate::grpc) enum Streamed {
    /// With events.
    Events {
        /// Cursor behind them.
        cursor: String,
        /// The events.
        events: Chunks,
    },
    /// With anything else.
    Other(Box<pb::SubscribeResponse>),
}

/// `ListEventsResponse`.
#[derive(Debug, Default)]
pub struct Listed {
    /// The events.
    pub(super) events: Chunks,
    /// All the rest.
    pub(super) rest: pb::ListEventsResponse,
}

// === impl Chunks ===

impl Chunks {
    fn put(&self, buf: &mut impl BufMut) {
        for piece in &self.pieces {
            buf.put_slice(piece);
        }
    }
}

// === impl Streamed ===

impl Streamed {
    pub(super) fn other(cursor: Cursor, message: subscribe_response::Message) -> Self {
        Self::Other(Box::new(pb::SubscribeResponse {
            cursor: cursor.to_string(),
            message: Some(message),
        }))
    }

    /// Bytes of the message.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Events { cursor, events } => {
                let batch = 1 + encoded_len_varint(events.len as u64) + events.len;
                prost::encoding::string::encoded_len(CURSOR, cursor) + batch
            }
            Self::Other(response) => response.encoded_len(),
        }
    }

    /// Writes the message up to its events, which it gives back.
    pub(super) fn put(self, buf: &mut impl BufMut) -> Vec<Bytes> {
        match self {
            Self::Events { cursor, events } => {
                prost::encoding::string::encode(CURSOR, &cursor, buf);
                encode_key(BATCH, WireType::LengthDelimited, buf);
                encode_varint(events.len as u64, buf);
                events.pieces
            }
            Self::Other(response) => {
                response.encode_raw(buf);
                Vec::new()
            }
        }
    }
}

// === impl Listed ===

impl Message for Listed {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        self.events.put(buf);
        self.rest.encode_raw(buf);
    }

    fn encoded_len(&self) -> usize {
        self.events.len + self.rest.encoded_len()
    }

    /// A server decodes no responses.
    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        prost::encoding::skip_field(wire_type, tag, buf, ctx)
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

//! Responses over bytes that subscribers share.

#![allow(
    unreachable_pub,
    reason = "types of the generated trait, which is public"
)]

use std::sync::{Arc, OnceLock};

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

/// Positions of the journal that share a page.
pub(super) const PAGE: u64 = 64;

/// Encoded events of [`PAGE`] positions, as far as anybody wanted them: each with its key and length
/// as an element of `events`. Filled by the first who needs it; others who come meanwhile wait.
#[derive(Debug)]
pub struct Page {
    pub(super) slots: [OnceLock<Bytes>; PAGE as usize],
}

/// Encoded events. They stay where they are: to have many costs no more than to have one.
#[derive(Debug, Clone, Default)]
pub struct Chunks {
    runs: Vec<Run>,
    len: usize,
}

/// Some events of a page, all of which are encoded.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) page: Arc<Page>,
    /// A bit for each, the first position's the lowest.
    pub(super) mask: u64,
}

/// `SubscribeResponse`.
#[derive(Debug)]
pub enum Streamed {
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

// === impl Page ===

impl Default for Page {
    fn default() -> Self {
        Self {
            slots: std::array::from_fn(|_| OnceLock::new()),
        }
    }
}

// === impl Run ===

impl Run {
    /// The events, in order.
    fn iter(&self) -> impl Iterator<Item = &Bytes> {
        let mut rest = self.mask;
        let ats = std::iter::from_fn(move || {
            let at = rest.trailing_zeros();
            rest &= rest.wrapping_sub(1);
            (u64::from(at) < PAGE).then_some(at as usize)
        });
        ats.filter_map(|at| self.page.slots[at].get())
    }
}

// === impl Chunks ===

impl Chunks {
    pub(super) fn new(runs: Vec<Run>, len: usize) -> Self {
        Self { runs, len }
    }

    /// The events, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.runs.iter().flat_map(Run::iter)
    }

    fn put(&self, buf: &mut impl BufMut) {
        for chunk in self.iter() {
            buf.put_slice(chunk);
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
}

impl Default for Streamed {
    fn default() -> Self {
        Self::Other(Box::default())
    }
}

impl Message for Streamed {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        match self {
            Self::Events { cursor, events } => {
                prost::encoding::string::encode(CURSOR, cursor, buf);
                encode_key(BATCH, WireType::LengthDelimited, buf);
                encode_varint(events.len as u64, buf);
                events.put(buf);
            }
            Self::Other(response) => response.encode_raw(buf),
        }
    }

    fn encoded_len(&self) -> usize {
        match self {
            Self::Events { cursor, events } => {
                let batch = 1 + encoded_len_varint(events.len as u64) + events.len;
                prost::encoding::string::encoded_len(CURSOR, cursor) + batch
            }
            Self::Other(response) => response.encoded_len(),
        }
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

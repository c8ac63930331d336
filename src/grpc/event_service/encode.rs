//! Events as the bytes of `Event`, straight out of FreeSWITCH's own.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::Write as _;

use bytes::{BufMut as _, Bytes};
use prost::encoding::{encode_varint, encoded_len_varint};

use super::selection::Selection;
use super::shared::EVENTS;
use crate::events::{Cursor, Record};

/// Room in front of an event for its key and length: one byte, and at most five of a 32-bit length.
const HEAD: usize = 6;

/// Numbers of the fields of `Event`.
mod field {
    pub(super) const CURSOR: u8 = 1;
    pub(super) const NODE_ID: u8 = 2;
    pub(super) const CORE_UUID: u8 = 3;
    pub(super) const SEQUENCE: u8 = 4;
    pub(super) const NAME: u8 = 5;
    pub(super) const SUBCLASS: u8 = 6;
    pub(super) const SESSION_ID: u8 = 7;
    pub(super) const CALL_ID: u8 = 8;
    pub(super) const JOB_ID: u8 = 9;
    pub(super) const TIME: u8 = 10;
    pub(super) const HEADERS: u8 = 11;
    pub(super) const BODY: u8 = 12;
    pub(super) const SYNTHETIC: u8 = 13;
    pub(super) const HEADERS_REPLACED: u8 = 14;
}

/// Encodes events, one at a time; what it writes to is used again for the next.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    out: Vec<u8>,
    /// A value as it is once decoded.
    value: Vec<u8>,
}

// === impl Encoder ===

impl Encoder {
    /// The event as an element of `events`, key and length included.
    pub(super) fn encode(
        &mut self,
        record: &Record,
        cursor: Cursor,
        selection: &Selection,
    ) -> Bytes {
        self.out.clear();
        self.out.resize(HEAD, 0);
        self.typed(record, cursor);
        let was_replaced = match selection {
            Selection::None => false,
            _ => self.headers(record, selection),
        };
        self.text(field::BODY, record.event.body());
        self.flag(field::SYNTHETIC, record.synthetic);
        self.flag(field::HEADERS_REPLACED, was_replaced);
        let start = self.put_head();
        Bytes::copy_from_slice(&self.out[start..])
    }

    fn typed(&mut self, record: &Record, cursor: Cursor) {
        let event = &record.event;
        self.value.clear();
        // Writing to a Vec cannot fail.
        let _ = write!(self.value, "{cursor}");
        put_text(&mut self.out, field::CURSOR, &self.value);
        self.text(field::NODE_ID, record.node.as_str().as_bytes());
        self.header(field::CORE_UUID, event.headers().raw("Core-UUID"));
        self.number(field::SEQUENCE, event.number("Event-Sequence"));
        let name = event.headers().raw("Event-Name");
        self.header(field::NAME, name);
        if name == Some(b"CUSTOM") {
            self.header(field::SUBCLASS, event.headers().raw("Event-Subclass"));
        }
        for (field, id) in [
            (
                field::SESSION_ID,
                record.session.as_ref().map(|id| id.as_str()),
            ),
            (field::CALL_ID, record.call.as_ref().map(|id| id.as_str())),
            (field::JOB_ID, record.job.as_ref().map(|id| id.as_str())),
        ] {
            self.text(field, id.unwrap_or_default().as_bytes());
        }
        if let Some(micros) = event.number("Event-Date-Timestamp") {
            self.time(micros);
        }
    }

    /// In reverse: of two entries with the same key the last one on the wire counts, of two headers
    /// the first. Says whether anything was replaced.
    fn headers(&mut self, record: &Record, selection: &Selection) -> bool {
        let mut was_replaced = false;
        let headers = record.event.headers();
        let is_ascii = headers.is_ascii();
        let lines: Vec<_> = headers.iter_raw().collect();
        for (name, value) in lines.into_iter().rev() {
            if !selection.wants(name) {
                continue;
            }
            // Nearly all headers: nothing is escaped and nothing can be invalid.
            if is_ascii && memchr::memchr(b'%', value).is_none() {
                put_entry(&mut self.out, name, value);
                continue;
            }
            let name = valid(name, &mut was_replaced);
            let value = decoded(&mut self.value, value);
            let value = valid(value, &mut was_replaced);
            put_entry(&mut self.out, &name, &value);
        }
        was_replaced && is_replaced(record, selection)
    }

    /// A header's value as a field of its own.
    fn header(&mut self, field: u8, value: Option<&[u8]>) {
        let value = decoded(&mut self.value, value.unwrap_or_default());
        put_text(&mut self.out, field, &valid(value, &mut false));
    }

    fn text(&mut self, field: u8, text: &[u8]) {
        put_text(&mut self.out, field, text);
    }

    fn number(&mut self, field: u8, number: Option<u64>) {
        if let Some(number) = number.filter(|number| *number > 0) {
            self.out.push(field << 3);
            encode_varint(number, &mut self.out);
        }
    }

    fn flag(&mut self, field: u8, is_set: bool) {
        if is_set {
            self.out.extend_from_slice(&[field << 3, 1]);
        }
    }

    /// A `google.protobuf.Timestamp`.
    fn time(&mut self, micros: u64) {
        let (seconds, nanos) = (micros / 1_000_000, micros % 1_000_000 * 1000);
        let field_len = |number: u64| match number {
            0 => 0,
            number => 1 + encoded_len_varint(number),
        };
        self.out.push(key(field::TIME));
        encode_varint(
            (field_len(seconds) + field_len(nanos)) as u64,
            &mut self.out,
        );
        self.number(1, Some(seconds));
        self.number(2, Some(nanos));
    }

    /// Puts key and length in front of what was written; tells where they start.
    fn put_head(&mut self) -> usize {
        let len = (self.out.len() - HEAD) as u64;
        let start = HEAD - 1 - encoded_len_varint(len);
        let mut head = &mut self.out[start..HEAD];
        // EVENTS is below 16.
        head.put_u8(key(EVENTS as u8));
        encode_varint(len, &mut head);
        start
    }
}

/// Key of a length-delimited field whose number is below 16.
const fn key(field: u8) -> u8 {
    field << 3 | 2
}

fn put_text(out: &mut Vec<u8>, field: u8, text: &[u8]) {
    if !text.is_empty() {
        put_string(out, field, text);
    }
}

/// An entry of the map of headers.
fn put_entry(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    let text_len = |text: &[u8]| 1 + encoded_len_varint(text.len() as u64) + text.len();
    let len = text_len(name) + text_len(value);
    out.reserve(HEAD + len);
    out.push(key(field::HEADERS));
    put_length(out, len);
    put_string(out, 1, name);
    put_string(out, 2, value);
}

fn put_string(out: &mut Vec<u8>, field: u8, text: &[u8]) {
    out.push(key(field));
    put_length(out, text.len());
    out.extend_from_slice(text);
}

/// Most lengths have one byte, few more than two.
fn put_length(out: &mut Vec<u8>, length: usize) {
    match u8::try_from(length) {
        Ok(length) if length < 0x80 => out.push(length),
        _ => encode_varint(length as u64, out),
    }
}

/// The value with its percent-encoding undone: itself, or what is left in `scratch`.
fn decoded<'a>(scratch: &'a mut Vec<u8>, value: &'a [u8]) -> &'a [u8] {
    let Some(first) = memchr::memchr(b'%', value) else {
        return value;
    };
    scratch.clear();
    let mut rest = value;
    let mut next = Some(first);
    while let Some(at) = next {
        scratch.extend_from_slice(&rest[..at]);
        let escaped = rest.get(at + 1..at + 3).and_then(byte_of);
        let taken = match escaped {
            Some(_) => 3,
            None => 1,
        };
        scratch.push(escaped.unwrap_or(b'%'));
        rest = &rest[at + taken..];
        next = memchr::memchr(b'%', rest);
    }
    scratch.extend_from_slice(rest);
    scratch
}

fn byte_of(digits: &[u8]) -> Option<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let (high, low) = (digit(digits[0])?, digit(digits[1])?);
    u8::try_from(high << 4 | low).ok()
}

/// What every client can take for text; raises the flag when that is not what it was.
fn valid<'a>(bytes: &'a [u8], was_replaced: &mut bool) -> Cow<'a, [u8]> {
    // Several times as fast as to replace at once, and there is hardly ever anything to replace.
    if std::str::from_utf8(bytes).is_ok() {
        return Cow::Borrowed(bytes);
    }
    *was_replaced = true;
    Cow::Owned(String::from_utf8_lossy(bytes).into_owned().into_bytes())
}

/// Whether something was replaced in the headers that count, not only in the second of two.
fn is_replaced(record: &Record, selection: &Selection) -> bool {
    let mut seen = HashSet::new();
    let mut value = Vec::new();
    let headers = record.event.headers().iter_raw();
    headers
        .filter(|(name, _)| selection.wants(name))
        .any(|(name, raw)| {
            let mut was_replaced = false;
            let name = valid(name, &mut was_replaced);
            valid(decoded(&mut value, raw), &mut was_replaced);
            seen.insert(name) && was_replaced
        })
}

#[cfg(test)]
mod tests;

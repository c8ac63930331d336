//! Events as the bytes of `Event`, straight out of FreeSWITCH's own.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::Write as _;

use bytes::Bytes;
use prost::encoding::{encode_varint, encoded_len_varint};

use super::selection::Selection;
use super::shared::EVENTS;
use crate::esl::HeaderLine;
use crate::events::{Cursor, Record};

/// Longest line whose entry in the map of headers has a length of one byte.
const LONGEST_SHORT: usize = 127 - 2;

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

/// Bytes of the first room for events.
const ROOM: usize = 16 * 1024;
/// More than a page of usual events has.
const MAX_ROOM: usize = 1 << 20;

/// Encodes events one in front of the other, from the last to the first, and each of them from its
/// end to its front: so a length is known when it is to be written.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    out: Vec<u8>,
    /// Where in it that begins which was written.
    start: usize,
    /// A value as it is once decoded.
    value: Vec<u8>,
}

// === impl Encoder ===

impl Encoder {
    /// Bytes that were written.
    pub(super) fn len(&self) -> usize {
        self.out.len() - self.start
    }

    /// A copy of what was written. It begins anew, in the same room unless that is large.
    pub(super) fn take(&mut self) -> Bytes {
        let written = Bytes::copy_from_slice(&self.out[self.start..]);
        if self.out.len() > MAX_ROOM {
            self.out = Vec::new();
        }
        self.clear();
        written
    }

    /// Begins anew.
    pub(super) fn clear(&mut self) {
        self.start = self.out.len();
    }

    /// Puts the event in front, as an element of `events`, key and length included.
    pub(super) fn put(&mut self, record: &Record, cursor: Cursor, selection: &Selection) {
        let end = self.len();
        self.flag(field::SYNTHETIC, record.synthetic);
        self.text(field::BODY, record.event.body());
        let was_replaced = match selection {
            Selection::None => false,
            _ => self.headers(record, selection),
        };
        self.flag(field::HEADERS_REPLACED, was_replaced);
        self.typed(record, cursor);
        // EVENTS is below 16.
        self.head(EVENTS as u8, end);
    }

    fn typed(&mut self, record: &Record, cursor: Cursor) {
        let event = &record.event;
        if let Some(micros) = event.number("Event-Date-Timestamp") {
            self.time(micros);
        }
        let [session, call, job] = [
            record.session.as_ref().map(|id| id.as_str()),
            record.call.as_ref().map(|id| id.as_str()),
            record.job.as_ref().map(|id| id.as_str()),
        ]
        .map(|id| id.unwrap_or_default().as_bytes());
        self.text(field::JOB_ID, job);
        self.text(field::CALL_ID, call);
        self.text(field::SESSION_ID, session);
        let name = event.headers().raw("Event-Name");
        if name == Some(b"CUSTOM") {
            self.header(field::SUBCLASS, event.headers().raw("Event-Subclass"));
        }
        self.header(field::NAME, name);
        self.number(field::SEQUENCE, event.number("Event-Sequence"));
        self.header(field::CORE_UUID, event.headers().raw("Core-UUID"));
        self.text(field::NODE_ID, record.node.as_str().as_bytes());
        let mut value = std::mem::take(&mut self.value);
        value.clear();
        // Writing to a Vec cannot fail.
        let _ = write!(value, "{cursor}");
        self.text(field::CURSOR, &value);
        self.value = value;
    }

    /// In reverse, as everything is written: of two entries with the same key the last one on the
    /// wire counts, of two headers the first. Says whether anything was replaced.
    fn headers(&mut self, record: &Record, selection: &Selection) -> bool {
        let mut was_replaced = false;
        let headers = record.event.headers();
        let is_ascii = headers.is_ascii();
        for header in headers.iter_lines() {
            if !selection.wants(header.name()) {
                continue;
            }
            // Nearly all headers: nothing is escaped and nothing can be invalid.
            match is_ascii && !header.has_percent() {
                true => self.line(&header),
                false => was_replaced |= self.decoded_entry(&header),
            }
        }
        was_replaced && is_replaced(record, selection)
    }

    /// An entry of the map of headers whose name and value are as they stand on the wire. Between
    /// them is as much as between the two fields of an entry, if both are short.
    fn line(&mut self, header: &HeaderLine<'_>) {
        let (line, name, value) = (header.line(), header.name().len(), header.value().len());
        let is_short = line.len() == name + 2 + value && line.len() <= LONGEST_SHORT;
        if !is_short {
            return self.entry(header.name(), header.value());
        }
        let entry = self.room(4 + line.len());
        entry[4..].copy_from_slice(line);
        // None of them is above 127.
        entry[..4].copy_from_slice(&[
            key(field::HEADERS),
            line.len() as u8 + 2,
            key(1),
            name as u8,
        ]);
        entry[4 + name..][..2].copy_from_slice(&[key(2), value as u8]);
    }

    fn decoded_entry(&mut self, header: &HeaderLine<'_>) -> bool {
        let mut was_replaced = false;
        let mut scratch = std::mem::take(&mut self.value);
        let value = decoded(&mut scratch, header.value());
        let value = valid(value, &mut was_replaced);
        self.entry(&valid(header.name(), &mut was_replaced), &value);
        drop(value);
        self.value = scratch;
        was_replaced
    }

    fn entry(&mut self, name: &[u8], value: &[u8]) {
        let end = self.len();
        self.string(2, value);
        self.string(1, name);
        self.head(field::HEADERS, end);
    }

    /// A header's value as a field of its own.
    fn header(&mut self, field: u8, value: Option<&[u8]>) {
        let mut scratch = std::mem::take(&mut self.value);
        let value = decoded(&mut scratch, value.unwrap_or_default());
        self.text(field, &valid(value, &mut false));
        self.value = scratch;
    }

    fn text(&mut self, field: u8, text: &[u8]) {
        if !text.is_empty() {
            self.string(field, text);
        }
    }

    fn string(&mut self, field: u8, text: &[u8]) {
        let end = self.len();
        self.room(text.len()).copy_from_slice(text);
        self.head(field, end);
    }

    fn number(&mut self, field: u8, number: Option<u64>) {
        if let Some(number) = number.filter(|number| *number > 0) {
            self.varint(number);
            self.byte(field << 3);
        }
    }

    fn flag(&mut self, field: u8, is_set: bool) {
        self.number(field, is_set.then_some(1));
    }

    /// A `google.protobuf.Timestamp`.
    fn time(&mut self, micros: u64) {
        let end = self.len();
        self.number(2, Some(micros % 1_000_000 * 1000));
        self.number(1, Some(micros / 1_000_000));
        self.head(field::TIME, end);
    }

    /// Key and length of the field, below 16, that reaches to where so much had been written.
    fn head(&mut self, field: u8, end: usize) {
        self.varint((self.len() - end) as u64);
        self.byte(key(field));
    }

    fn varint(&mut self, number: u64) {
        match u8::try_from(number) {
            Ok(number) if number < 0x80 => self.byte(number),
            _ => encode_varint(number, &mut self.room(encoded_len_varint(number))),
        }
    }

    fn byte(&mut self, byte: u8) {
        self.room(1)[0] = byte;
    }

    /// The next so many bytes in front.
    #[inline]
    fn room(&mut self, len: usize) -> &mut [u8] {
        if self.start < len {
            self.grow(len);
        }
        let end = self.start;
        self.start -= len;
        &mut self.out[self.start..end]
    }

    #[cold]
    fn grow(&mut self, len: usize) {
        let size = (2 * self.out.len()).max(self.len() + len + ROOM);
        let mut out = vec![0; size];
        let start = size - self.len();
        out[start..].copy_from_slice(&self.out[self.start..]);
        (self.out, self.start) = (out, start);
    }
}

/// Key of a length-delimited field whose number is below 16.
const fn key(field: u8) -> u8 {
    field << 3 | 2
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

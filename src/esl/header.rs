//! A block of header lines.

use std::borrow::Cow;
use std::sync::Arc;

use memchr::memmem;
use percent_encoding::percent_decode;

use super::lines::{Lines, empty_line};

mod cut;

pub use cut::HeaderLine;
use cut::HeaderLines;

/// Header lines (`Name: value`) in one reference-counted buffer. They are found by looking through
/// them each time: most events are asked for a few headers that stand in front, or for all of them,
/// and an index would cost more than both, and a quarter of the memory. Values are decoded when
/// asked for and never before: a decoded `%0A` must not be able to forge a header. Lookup ignores
/// case; of two lines with the same name the first counts (FreeSWITCH's CODEC events have such
/// doubles).
#[derive(Debug, Clone)]
pub struct Headers(Arc<[u8]>);

// === impl Headers ===

impl Headers {
    /// The lines of `bytes` up to the first empty line or the end. Lines without a colon are no
    /// headers.
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// Bytes of the lines, the empty line included if there is one.
    pub(super) fn block_len(&self) -> usize {
        empty_line(&self.0).map_or(self.0.len(), |at| at + 1)
    }

    /// Number of headers.
    pub fn len(&self) -> usize {
        self.iter_raw().count()
    }

    /// Whether there is no header at all.
    pub fn is_empty(&self) -> bool {
        self.iter_raw().next().is_none()
    }

    /// Whether all bytes are ASCII: then names and values are text as they stand on the wire.
    pub fn is_ascii(&self) -> bool {
        self.0.is_ascii()
    }

    /// The last value of this name, as it stands on the wire.
    pub(super) fn raw_last(&self, name: &str) -> Option<&[u8]> {
        self.lines().filter_map(|line| value_of(line, name)).last()
    }

    /// The value as it stands on the wire, percent-encoded if FreeSWITCH encoded it.
    pub fn raw(&self, name: &str) -> Option<&[u8]> {
        self.lines().find_map(|line| value_of(line, name))
    }

    /// The decoded bytes of a value; need not be UTF-8.
    pub fn decoded(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.raw(name).map(decode)
    }

    /// The decoded value as text; bytes that are not UTF-8 become U+FFFD.
    pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.decoded(name).map(to_text)
    }

    /// The decoded value as text of the first header whose name is wanted.
    pub fn text_where(&self, is_wanted: impl Fn(&[u8]) -> bool) -> Option<Cow<'_, str>> {
        let (_, value) = self.iter_raw().find(|(name, _)| is_wanted(name))?;
        Some(to_text(decode(value)))
    }

    /// All headers in the order of the wire: name, and value as on the wire.
    pub fn iter_raw(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines().filter_map(split_line)
    }

    /// The same, cut in one pass, for those who want them all.
    pub fn iter_lines(&self) -> impl Iterator<Item = HeaderLine<'_>> {
        HeaderLines::new(&self.0)
    }

    /// All lines as they stand on the wire, also those that are no headers.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        Lines::new(&self.0)
    }

    /// What stands on the wire from the first line on that begins so; nothing when none does.
    pub fn from_line(&self, start: &[u8]) -> &[u8] {
        let mut found = memmem::find_iter(&self.0, start);
        let at = found.find(|at| *at == 0 || self.0[at - 1] == b'\n');
        at.map_or(&[], |at| &self.0[at..])
    }

    /// All headers in the order of the wire, decoded to text; the flag says whether bytes that
    /// are not UTF-8 were replaced.
    pub fn iter_text(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>, bool)> {
        self.iter_raw().map(|(name, value)| {
            let value = decode(value);
            let replaced = std::str::from_utf8(&value).is_err();
            (String::from_utf8_lossy(name), to_text(value), replaced)
        })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A value in hand, as it stands on the wire, as [`Headers::text`] gives it.
pub fn value_text(value: &[u8]) -> Cow<'_, str> {
    to_text(decode(value))
}

/// The same, `None` also when it is empty, which FreeSWITCH writes as `_undef_`
/// (`switch_event_serialize`).
pub fn filled_value(value: &[u8]) -> Option<Cow<'_, str>> {
    Some(value_text(value)).filter(|value| !value.is_empty() && value != "_undef_")
}

/// Undoes FreeSWITCH's percent-encoding (`switch_url_decode` in `switch_utils.c`): `%XX` becomes
/// a byte, everything else stays, `+` too.
fn decode(value: &[u8]) -> Cow<'_, [u8]> {
    match memchr::memchr(b'%', value) {
        Some(_) => percent_decode(value).into(),
        None => Cow::Borrowed(value),
    }
}

fn to_text(value: Cow<'_, [u8]>) -> Cow<'_, str> {
    match value {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Cow::Owned(text),
            Err(error) => Cow::Owned(String::from_utf8_lossy(error.as_bytes()).into_owned()),
        },
    }
}

/// Name and value of a line. The value starts behind the first `": "`, since names can hold a colon
/// but values have theirs encoded; else behind the first colon.
fn split_line(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let first = memchr::memchr(b':', line)?;
    let spaced = match line.get(first + 1) {
        Some(b' ') => Some(first),
        _ => memchr::memchr_iter(b':', line).find(|colon| line.get(colon + 1) == Some(&b' ')),
    };
    Some(match spaced {
        Some(colon) => (&line[..colon], &line[colon + 2..]),
        None => (&line[..first], &line[first + 1..]),
    })
}

/// The value of a line that has this name, as [`split_line`] would find it, which is seldom needed.
fn value_of<'a>(line: &'a [u8], name: &str) -> Option<&'a [u8]> {
    if line.get(name.len()) != Some(&b':')
        || !line[..name.len()].eq_ignore_ascii_case(name.as_bytes())
    {
        return None;
    }
    let (found, value) = split_line(line)?;
    (found.len() == name.len()).then_some(value)
}

#[cfg(test)]
mod tests;

//! A block of header lines and its index.

use std::borrow::Cow;

use bytes::Bytes;
use percent_encoding::percent_decode;

/// Header lines (`Name: value`) in one reference-counted buffer, with an index of where each line
/// and its value start. Values are decoded when asked for and never before: a decoded `%0A` must
/// not be able to forge a header. Lookup ignores case; of two lines with the same name the first
/// counts (FreeSWITCH's CODEC events have such doubles).
#[derive(Debug, Clone)]
pub struct Headers {
    bytes: Bytes,
    lines: Box<[Line]>,
}

/// Where a line starts, where its value does, and where it ends.
#[derive(Debug, Clone, Copy)]
struct Line {
    start: u32,
    value: u32,
    end: u32,
}

// === impl Headers ===

impl Headers {
    /// Indexes the lines of `bytes` up to the first empty line or the end; gives back how many
    /// bytes that is, the empty line included. Lines without a colon are left out of the index.
    pub(super) fn index(bytes: Bytes) -> (Self, usize) {
        let mut lines = Vec::with_capacity(estimate_lines(bytes.len()));
        let mut start = 0;
        let mut end_of_block = bytes.len();
        while start < bytes.len() {
            let end = memchr::memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |at| start + at);
            if end == start {
                end_of_block = (end + 1).min(bytes.len());
                break;
            }
            if let Some(value) = find_value(&bytes[start..end]) {
                lines.push(Line {
                    start: offset(start),
                    value: offset(start + value),
                    end: offset(end),
                });
            }
            start = end + 1;
        }
        (
            Self {
                bytes,
                lines: lines.into_boxed_slice(),
            },
            end_of_block,
        )
    }

    /// Number of headers.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is no header at all.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The last value of this name, as it stands on the wire.
    pub(super) fn raw_last(&self, name: &str) -> Option<&[u8]> {
        let same = |line: &&Line| self.name_of(line).eq_ignore_ascii_case(name.as_bytes());
        Some(self.value_of(self.lines.iter().rfind(same)?))
    }

    /// The value as it stands on the wire, percent-encoded if FreeSWITCH encoded it.
    pub fn raw(&self, name: &str) -> Option<&[u8]> {
        let line = self
            .lines
            .iter()
            .find(|line| self.name_of(line).eq_ignore_ascii_case(name.as_bytes()))?;
        Some(self.value_of(line))
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
        let line = self
            .lines
            .iter()
            .find(|line| is_wanted(self.name_of(line)))?;
        Some(to_text(decode(self.value_of(line))))
    }

    /// All headers in the order of the wire: name, and value as on the wire.
    pub fn iter_raw(&self) -> impl DoubleEndedIterator<Item = (&[u8], &[u8])> {
        self.lines
            .iter()
            .map(|line| (self.name_of(line), self.value_of(line)))
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

    pub(super) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    fn name_of(&self, line: &Line) -> &[u8] {
        let name = &self.bytes[line.start as usize..line.value as usize];
        let colon = name
            .iter()
            .rposition(|&byte| byte == b':')
            .unwrap_or(name.len());
        &name[..colon]
    }

    fn value_of(&self, line: &Line) -> &[u8] {
        &self.bytes[line.value as usize..line.end as usize]
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

/// Where the value starts in a line: behind the first `": "`, since names can hold a colon but
/// values have theirs encoded; else behind the first colon.
fn find_value(line: &[u8]) -> Option<usize> {
    let first = memchr::memchr(b':', line)?;
    memchr::memchr_iter(b':', line)
        .find(|&colon| line.get(colon + 1) == Some(&b' '))
        .map_or(Some(first + 1), |colon| Some(colon + 2))
}

/// A channel event's lines have some 45 bytes on average; a guess that is a little high saves the
/// growth of the index. Long blocks are long by their body.
fn estimate_lines(bytes: usize) -> usize {
    (bytes / 32 + 4).min(512)
}

/// Offsets fit: a block is no longer than a frame, whose limit is far below 4 GiB.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;

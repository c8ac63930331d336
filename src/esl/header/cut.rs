//! The lines of a header block, cut into names and values in one pass.

use wide::u8x16;

use super::split_line;

/// Bytes that are looked at in one go: as many as a mask has bits.
const CHUNK: usize = 64;

/// A header as it stands on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderLine<'a> {
    line: &'a [u8],
    name_len: usize,
    value_at: usize,
    has_percent: bool,
}

/// What [`super::Headers::iter_raw`] gives, for those who go through all of it: not only the line
/// feeds of a chunk are found at once, but also the colons and percent signs.
#[derive(Debug, Clone)]
pub(super) struct HeaderLines<'a> {
    bytes: &'a [u8],
    /// Where the next line starts.
    start: usize,
    /// Where the chunk starts whose bytes are known.
    chunk: usize,
    /// What of it is still ahead.
    marks: Marks,
    /// What is known of the next line from chunks before.
    colon: Option<usize>,
    has_percent: bool,
}

/// Where these bytes are in a chunk, one bit for each.
#[derive(Debug, Clone, Copy, Default)]
struct Marks {
    feeds: u64,
    colons: u64,
    percents: u64,
}

// === impl HeaderLine ===

impl<'a> HeaderLine<'a> {
    /// The whole line, without its line feed.
    pub fn line(&self) -> &'a [u8] {
        self.line
    }

    /// The name.
    pub fn name(&self) -> &'a [u8] {
        &self.line[..self.name_len]
    }

    /// The value, percent-encoded if FreeSWITCH encoded it.
    pub fn value(&self) -> &'a [u8] {
        &self.line[self.value_at..]
    }

    /// Whether there is a percent sign: without one, the value is its own decoded form.
    pub fn has_percent(&self) -> bool {
        self.has_percent
    }
}

// === impl HeaderLines ===

impl<'a> HeaderLines<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            start: 0,
            chunk: 0,
            marks: Marks::at(bytes, 0),
            colon: None,
            has_percent: false,
        }
    }

    /// The line up to `end`; what is known of it begins anew for the next.
    #[inline]
    fn take(&mut self, end: usize) -> Taken<'a> {
        let line = &self.bytes[self.start..end];
        let colon = self.colon.take().map(|colon| colon - self.start);
        let has_percent = std::mem::take(&mut self.has_percent);
        self.start = (end + 1).min(self.bytes.len());
        let Some(colon) = colon else {
            return match line.is_empty() {
                true => Taken::End,
                false => Taken::NoHeader,
            };
        };
        let (name_len, value_at) = match line.get(colon + 1) {
            Some(b' ') => (colon, colon + 2),
            _ => split_line(line).map_or((colon, colon + 1), |(name, value)| {
                (name.len(), line.len() - value.len())
            }),
        };
        Taken::Header(HeaderLine {
            line,
            name_len,
            value_at,
            has_percent,
        })
    }

    /// Takes in what the chunk has of the next line: all up to these bits.
    #[inline]
    fn note(&mut self, bits: u64) {
        let colons = self.marks.colons & bits;
        if self.colon.is_none() && colons != 0 {
            self.colon = Some(self.chunk + colons.trailing_zeros() as usize);
        }
        self.has_percent |= self.marks.percents & bits != 0;
        self.marks.colons &= !bits;
        self.marks.percents &= !bits;
    }
}

/// What a line is.
enum Taken<'a> {
    Header(HeaderLine<'a>),
    NoHeader,
    End,
}

impl<'a> Iterator for HeaderLines<'a> {
    type Item = HeaderLine<'a>;

    #[inline]
    fn next(&mut self) -> Option<HeaderLine<'a>> {
        loop {
            let end = match self.marks.feeds {
                0 if self.chunk >= self.bytes.len() => self.bytes.len(),
                0 => {
                    self.note(u64::MAX);
                    self.chunk += CHUNK;
                    self.marks = Marks::at(self.bytes, self.chunk);
                    continue;
                }
                feeds => {
                    self.note(feeds ^ (feeds - 1));
                    self.marks.feeds &= feeds - 1;
                    self.chunk + feeds.trailing_zeros() as usize
                }
            };
            match self.take(end) {
                Taken::Header(header) => return Some(header),
                Taken::NoHeader => {}
                Taken::End => {
                    // Nothing comes behind it, however often it is asked.
                    *self = Self::new(&[]);
                    return None;
                }
            }
        }
    }
}

// === impl Marks ===

impl Marks {
    #[inline]
    fn at(bytes: &[u8], at: usize) -> Self {
        let rest = bytes.get(at..).unwrap_or_default();
        match rest.first_chunk() {
            Some(chunk) => Self::of(chunk),
            None => {
                let mut chunk = [0; CHUNK];
                chunk[..rest.len()].copy_from_slice(rest);
                Self::of(&chunk)
            }
        }
    }

    #[inline]
    fn of(chunk: &[u8; CHUNK]) -> Self {
        let (parts, _) = chunk.as_chunks();
        let mut marks = Self::default();
        for (part, shift) in parts.iter().zip([0, 16, 32, 48]) {
            let part = u8x16::new(*part);
            let bits = |byte| u64::from(part.simd_eq(u8x16::splat(byte)).to_bitmask()) << shift;
            marks.feeds |= bits(b'\n');
            marks.colons |= bits(b':');
            marks.percents |= bits(b'%');
        }
        marks
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Headers;
    use super::*;

    proptest! {
        #[test]
        fn lines_are_cut_as_one_by_one(bytes in prop::collection::vec(
            prop_oneof![
                2 => Just(b'\n'),
                2 => Just(b':'),
                2 => Just(b' '),
                1 => Just(b'%'),
                20 => any::<u8>(),
            ], 0..600)) {
            let headers = Headers::new(&bytes);
            let expected: Vec<_> = headers
                .iter_raw()
                .map(|(name, value)| (name.to_vec(), value.to_vec()))
                .collect();
            let lines: Vec<_> = HeaderLines::new(&bytes).collect();
            let cut: Vec<_> = lines
                .iter()
                .map(|line| (line.name().to_vec(), line.value().to_vec()))
                .collect();
            prop_assert_eq!(cut, expected);
            for line in lines {
                prop_assert_eq!(line.has_percent(), line.line().contains(&b'%'));
            }
        }
    }
}

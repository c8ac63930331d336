//! The lines of a header block.

use wide::u8x16;

/// Bytes that are looked at in one go: as many as a mask has bits.
const CHUNK: usize = 64;

/// Lines without their line feeds, up to the first empty line or the end. A hundred short ones make
/// an event: they are not searched for one by one, but all line feeds of a chunk are found at once.
#[derive(Debug, Clone)]
pub(super) struct Lines<'a> {
    bytes: &'a [u8],
    /// Where the next line starts.
    start: usize,
    /// Where the chunk starts whose line feeds are known.
    chunk: usize,
    /// Those of its line feeds that are still ahead.
    feeds: u64,
}

// === impl Lines ===

impl<'a> Lines<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            start: 0,
            chunk: 0,
            feeds: feeds_at(bytes, 0),
        }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        while self.feeds == 0 {
            self.chunk += CHUNK;
            if self.chunk >= self.bytes.len() {
                // The last line need not end.
                let last = self.bytes.get(self.start..)?;
                self.start = self.bytes.len();
                return (!last.is_empty()).then_some(last);
            }
            self.feeds = feeds_at(self.bytes, self.chunk);
        }
        let end = self.chunk + self.feeds.trailing_zeros() as usize;
        self.feeds &= self.feeds - 1;
        let line = self.bytes.get(self.start..end)?;
        if line.is_empty() {
            // Nothing comes behind it, however often it is asked.
            *self = Self::new(&[]);
            return None;
        }
        self.start = end + 1;
        Some(line)
    }
}

/// Where the first empty line is.
pub(super) fn empty_line(bytes: &[u8]) -> Option<usize> {
    let mut was_feed = 1;
    (0..bytes.len()).step_by(CHUNK).find_map(|chunk| {
        let feeds = feeds_at(bytes, chunk);
        let empty = feeds & (feeds << 1 | was_feed);
        was_feed = feeds >> 63;
        (empty != 0).then(|| chunk + empty.trailing_zeros() as usize)
    })
}

/// The line feeds of a chunk, one bit for each byte.
#[inline]
fn feeds_at(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or_default();
    match rest.first_chunk() {
        Some(chunk) => feeds(chunk),
        None => {
            let mut chunk = [0; CHUNK];
            chunk[..rest.len()].copy_from_slice(rest);
            feeds(&chunk)
        }
    }
}

#[inline]
fn feeds(chunk: &[u8; CHUNK]) -> u64 {
    let feed = u8x16::splat(b'\n');
    let (parts, _) = chunk.as_chunks();
    let masks = parts.iter().map(|part| u8x16::new(*part).simd_eq(feed));
    let bits = masks.map(|mask| u64::from(mask.to_bitmask()));
    bits.zip([0, 16, 32, 48])
        .fold(0, |all, (bits, shift)| all | bits << shift)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lines_are_those_that_a_split_finds(bytes in prop::collection::vec(
            prop_oneof![1 => Just(b'\n'), 9 => any::<u8>()], 0..400)) {
            let mut split = bytes.split(|byte| *byte == b'\n');
            let lines: Vec<_> = split.by_ref().take_while(|line| !line.is_empty()).collect();
            prop_assert_eq!(Lines::new(&bytes).collect::<Vec<_>>(), lines);
        }

        #[test]
        fn an_empty_line_is_found(bytes in prop::collection::vec(
            prop_oneof![1 => Just(b'\n'), 9 => any::<u8>()], 0..400)) {
            let is_empty = |at: &usize| bytes[*at] == b'\n' && (*at == 0 || bytes[at - 1] == b'\n');
            prop_assert_eq!(empty_line(&bytes), (0..bytes.len()).find(is_empty));
        }
    }
}

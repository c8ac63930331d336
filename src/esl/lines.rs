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
    /// Where the chunk ends whose line feeds are known, and what follows it.
    known: usize,
    rest: &'a [u8],
    /// Line feeds of that chunk that are still ahead.
    feeds: u64,
}

// === impl Lines ===

impl<'a> Lines<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            start: 0,
            known: 0,
            rest: bytes,
            feeds: 0,
        }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        while self.feeds == 0 {
            if let Some((chunk, rest)) = self.rest.split_first_chunk() {
                self.feeds = feeds(chunk);
                self.rest = rest;
            } else if self.rest.is_empty() {
                // The last line need not end.
                let last = self.bytes.get(self.start..)?;
                self.start = self.bytes.len();
                return (!last.is_empty()).then_some(last);
            } else {
                let mut chunk = [0; CHUNK];
                chunk[..self.rest.len()].copy_from_slice(self.rest);
                self.feeds = feeds(&chunk);
                self.rest = &[];
            }
            self.known += CHUNK;
        }
        let end = self.known - CHUNK + self.feeds.trailing_zeros() as usize;
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
    bytes.chunks(CHUNK).enumerate().find_map(|(number, part)| {
        let feeds = match part.first_chunk() {
            Some(chunk) => feeds(chunk),
            None => {
                let mut chunk = [0; CHUNK];
                chunk[..part.len()].copy_from_slice(part);
                feeds(&chunk)
            }
        };
        let empty = feeds & (feeds << 1 | was_feed);
        was_feed = feeds >> 63;
        (empty != 0).then(|| number * CHUNK + empty.trailing_zeros() as usize)
    })
}

/// The line feeds of a chunk, one bit for each byte.
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

//! Messages in a body.

/// Bytes in front of each message: a flag and the length
/// (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>, `Length-Prefixed-Message`).
const PREFIX: usize = 5;

/// Counts messages in the bytes of a body, however they are cut.
#[derive(Debug, Default)]
pub(super) struct Messages {
    prefix: [u8; PREFIX],
    /// Bytes of the prefix that are known.
    known: usize,
    /// Bytes of the message that are still to come.
    left: usize,
}

// === impl Messages ===

impl Messages {
    /// Takes the next bytes; gives how many messages begin in them, or are known to.
    pub(super) fn take(&mut self, mut data: &[u8]) -> u64 {
        let mut begun = 0;
        while !data.is_empty() {
            let skipped = self.left.min(data.len());
            self.left -= skipped;
            data = &data[skipped..];
            let read = (PREFIX - self.known).min(data.len());
            self.prefix[self.known..self.known + read].copy_from_slice(&data[..read]);
            self.known += read;
            data = &data[read..];
            if self.known == PREFIX {
                let [_, length @ ..] = self.prefix;
                self.left = u32::from_be_bytes(length) as usize;
                self.known = 0;
                begun += 1;
            }
        }
        begun
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn messages_are_counted_however_their_bytes_are_cut(
            lengths in prop::collection::vec(0_usize..300, 0..20),
            cuts in prop::collection::vec(1_usize..400, 1..20),
        ) {
            let mut body = Vec::new();
            for length in &lengths {
                body.push(0);
                body.extend_from_slice(&u32::try_from(*length).unwrap().to_be_bytes());
                // Bytes that would be read as lengths if they were mistaken for a prefix.
                body.resize(body.len() + length, 0xff);
            }
            let mut messages = Messages::default();
            let (mut rest, mut count) = (&*body, 0);
            for cut in cuts.into_iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (chunk, after) = rest.split_at(cut.min(rest.len()));
                count += messages.take(chunk);
                rest = after;
            }
            prop_assert_eq!(count, lengths.len() as u64);
        }
    }
}

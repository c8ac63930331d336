//! Real events: the bodies of the `text/event-plain` frames of a recording of 60 calls.

#![allow(dead_code, reason = "each benchmark uses its part")]

use anyhow::{Context as _, Result};

/// Where it lies, seen from the directory in which cargo runs benchmarks.
const PATH: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/captures/corpus_60_calls.server.raw.zst"
);

/// The events in the order of the wire.
#[derive(Debug, Clone)]
pub(crate) struct Corpus {
    pub(crate) events: Vec<Vec<u8>>,
}

// === impl Corpus ===

impl Corpus {
    pub(crate) fn read() -> Result<Self> {
        let packed = std::fs::read(PATH).with_context(|| format!("cannot read {PATH}"))?;
        let bytes = zstd::decode_all(&packed[..])?;
        let mut events = Vec::new();
        let mut rest = &bytes[..];
        while let Some(end) = find(rest, b"\n\n") {
            let head = std::str::from_utf8(&rest[..end])?;
            let header = |name: &str| {
                let mut lines = head.lines();
                lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            };
            let length: usize = header("Content-Length").map_or(Ok(0), str::parse)?;
            let body = rest.get(end + 2..end + 2 + length).context("cut short")?;
            if header("Content-Type") == Some("text/event-plain") {
                events.push(body.to_vec());
            }
            rest = &rest[end + 2 + length..];
        }
        Ok(Self { events })
    }

    /// Events of channels, of exactly so many bytes: without their last headers, and the very last
    /// filled up.
    pub(crate) fn trimmed(&self, bytes: usize) -> Result<Vec<Vec<u8>>> {
        let of_channels = self.events.iter().filter(|event| {
            header(event, "Unique-ID").is_some() && find(event, b"\nContent-Length: ").is_none()
        });
        let trimmed = of_channels.filter_map(|event| trim(event, bytes));
        let trimmed: Vec<_> = trimmed.take(256).collect();
        anyhow::ensure!(!trimmed.is_empty(), "no event is long enough");
        Ok(trimmed)
    }
}

/// The value of a header as it stands on the wire.
pub(crate) fn header<'a>(event: &'a [u8], name: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(event).ok()?;
    let mut lines = text.lines().take_while(|line| !line.is_empty());
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

pub(crate) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, wanted)
}

fn trim(event: &[u8], bytes: usize) -> Option<Vec<u8>> {
    const FILLER: &[u8] = b"variable_filler: ";
    let room = bytes.checked_sub(FILLER.len() + 2)?;
    let end = memchr::memrchr(b'\n', event.get(..room)?)? + 1;
    let mut trimmed = event[..end].to_vec();
    trimmed.extend_from_slice(FILLER);
    trimmed.resize(bytes - 2, b'x');
    trimmed.extend_from_slice(b"\n\n");
    Some(trimmed)
}

//! The recording that everything is measured with.

use anyhow::{Context as _, Result};
use memchr::memmem;

const RECORDING: &str = "tests/captures/corpus_60_calls.server.raw.zst";
/// How the recording begins: what a reader's own login brings is left out.
const FIRST_EVENT: &[u8] = b"Content-Length: ";
const EVENT_FRAME: &[u8] = b"Content-Type: text/event-plain";
const CREATE: &[u8] = b"Event-Name: CHANNEL_CREATE\n";
const HANGUP: &[u8] = b"Event-Name: CHANNEL_HANGUP\n";
const HEARTBEAT: &[u8] = b"Event-Name: HEARTBEAT\n";
/// As long, and of no session here.
const NO_HEARTBEAT: &[u8] = b"Event-Name: RECV_INFO\n";
const CORE: &[u8] = b"Core-UUID: ";
const UUID_BYTES: usize = 36;

/// The events of the recording as they stood on the wire.
#[derive(Debug)]
pub(crate) struct Corpus {
    pub(crate) bytes: Vec<u8>,
    pub(crate) events: usize,
    /// Sessions that begin, and those of them that end.
    pub(crate) begun: usize,
    pub(crate) ended: usize,
    /// Where a UUID stands, except FreeSWITCH's own, which stays the same.
    uuids: Vec<usize>,
}

// === impl Corpus ===

impl Corpus {
    pub(crate) fn load() -> Result<Self> {
        let packed = std::fs::read(RECORDING).context(RECORDING)?;
        let recorded = zstd::decode_all(packed.as_slice())?;
        let begin = memmem::find(&recorded, FIRST_EVENT).context("no event in the recording")?;
        let mut bytes = recorded[begin..].to_vec();
        // Its count of sessions is wrong here, and the gateway would look into that.
        for at in memmem::find_iter(&bytes.clone(), HEARTBEAT) {
            bytes[at..at + HEARTBEAT.len()].copy_from_slice(NO_HEARTBEAT);
        }
        let count = |what| memmem::find_iter(&bytes, what).count();
        Ok(Self {
            events: count(EVENT_FRAME),
            begun: count(CREATE),
            ended: count(HANGUP),
            uuids: (0..bytes.len().saturating_sub(UUID_BYTES))
                .filter(|at| is_uuid(&bytes[*at..]) && !bytes[..*at].ends_with(CORE))
                .collect(),
            bytes,
        })
    }

    /// Gives all its sessions and jobs ids that no other lap has.
    pub(crate) fn set_lap(&mut self, lap: u16) {
        let fresh = format!("{lap:04x}");
        for at in &self.uuids {
            self.bytes[*at..*at + fresh.len()].copy_from_slice(fresh.as_bytes());
        }
    }
}

fn is_uuid(text: &[u8]) -> bool {
    let is_right = |(at, byte): (usize, &u8)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    text[8] == b'-' && text[..UUID_BYTES].iter().enumerate().all(is_right)
}

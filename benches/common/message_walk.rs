//! Counts the events of `SubscribeResponse` messages by stepping over their lengths.

use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};

/// The typed fields of an event, before its headers, have fewer bytes.
const FIELDS_BYTES: usize = 400;

/// One stream of messages, which come in any pieces.
#[derive(Debug)]
pub(crate) struct Walk {
    pub(crate) events: u64,
    pub(crate) messages: u64,
    told_messages: u64,
    /// How late events came, if that is wanted.
    pub(crate) lateness: Vec<Duration>,
    wants_lateness: bool,
    place: Place,
    /// Bytes of the message, and of the batch in it, that are still to come.
    message_left: usize,
    batch_left: usize,
    /// Bytes to step over.
    skip: usize,
    /// A prefix, a tag with its length, or the first bytes of an event, as far as they have come.
    pending: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Prefix,
    Message,
    Batch,
    /// In an event of which so many first bytes are wanted, of so many.
    Event(usize, usize),
}

// === impl Walk ===

impl Walk {
    pub(crate) fn new(wants_lateness: bool) -> Self {
        Self {
            events: 0,
            messages: 0,
            told_messages: 0,
            lateness: Vec::new(),
            wants_lateness,
            place: Place::Prefix,
            message_left: 0,
            batch_left: 0,
            skip: 0,
            pending: Vec::new(),
        }
    }

    /// Messages since this was asked last.
    pub(crate) fn take_messages(&mut self) -> u64 {
        let since = self.messages - self.told_messages;
        self.told_messages = self.messages;
        since
    }

    pub(crate) fn feed(&mut self, mut bytes: &[u8], now: SystemTime) -> Result<()> {
        loop {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len());
                self.skip -= skipped;
                bytes = &bytes[skipped..];
            }
            if self.skip == 0 {
                self.close();
            }
            let Some((&byte, rest)) = bytes.split_first() else {
                return Ok(());
            };
            if let Place::Event(wanted, length) = self.place {
                let taken = (wanted - self.pending.len()).min(bytes.len());
                self.pending.extend_from_slice(&bytes[..taken]);
                bytes = &bytes[taken..];
                if self.pending.len() == wanted {
                    if let Some(time) = event_time(&self.pending) {
                        self.lateness
                            .push(now.duration_since(time).unwrap_or_default());
                    }
                    self.pending.clear();
                    self.place = Place::Batch;
                    self.skip = length - wanted;
                }
                continue;
            }
            bytes = rest;
            self.pending.push(byte);
            self.step()?;
        }
    }

    /// What has ended ends.
    fn close(&mut self) {
        if self.place == Place::Batch && self.batch_left == 0 {
            self.place = Place::Message;
        }
        if self.place == Place::Message && self.message_left == 0 {
            self.messages += 1;
            self.place = Place::Prefix;
        }
    }

    /// One more byte of a prefix, or of a tag and its length, is pending.
    fn step(&mut self) -> Result<()> {
        if self.place == Place::Prefix {
            if let [compressed, length @ ..] = &self.pending[..]
                && let Ok(length) = length.try_into()
            {
                ensure!(*compressed == 0, "the message is compressed");
                self.message_left = u32::from_be_bytes(length) as usize;
                self.place = Place::Message;
                self.pending.clear();
            }
            return Ok(());
        }
        let Some((tag, length, used)) = tag_and_length(&self.pending)? else {
            return Ok(());
        };
        self.pending.clear();
        match self.place {
            Place::Message => {
                self.message_left = (self.message_left - used).saturating_sub(length);
                match tag >> 3 {
                    2 => {
                        self.batch_left = length;
                        self.place = Place::Batch;
                    }
                    _ => self.skip = length,
                }
            }
            _ => {
                self.batch_left = (self.batch_left - used).saturating_sub(length);
                self.events += u64::from(tag >> 3 == 1);
                match self.wants_lateness {
                    true if length > 0 => {
                        self.place = Place::Event(length.min(FIELDS_BYTES), length);
                    }
                    _ => self.skip = length,
                }
            }
        }
        Ok(())
    }
}

/// A tag, the length of its field and how many bytes both take, once they are complete.
fn tag_and_length(bytes: &[u8]) -> Result<Option<(u64, usize, usize)>> {
    let Some((tag, tag_bytes)) = varint(bytes) else {
        return Ok(None);
    };
    let Some((length, length_bytes)) = varint(&bytes[tag_bytes..]) else {
        return Ok(None);
    };
    ensure!(tag & 7 == 2, "a field of another kind");
    Ok(Some((
        tag,
        usize::try_from(length)?,
        tag_bytes + length_bytes,
    )))
}

fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, at + 1));
        }
    }
    None
}

/// The time (field 10) among the first fields of an event.
fn event_time(mut bytes: &[u8]) -> Option<SystemTime> {
    loop {
        let (tag, used) = varint(bytes)?;
        bytes = &bytes[used..];
        let (value, used) = varint(bytes)?;
        bytes = &bytes[used..];
        if tag & 7 == 0 {
            continue;
        }
        let field = bytes.get(..usize::try_from(value).ok()?)?;
        bytes = &bytes[field.len()..];
        if tag >> 3 == 10 {
            return timestamp(field);
        }
    }
}

fn timestamp(mut bytes: &[u8]) -> Option<SystemTime> {
    let (mut seconds, mut nanos) = (0, 0);
    while let Some((tag, used)) = varint(bytes) {
        let (value, value_bytes) = varint(&bytes[used..])?;
        bytes = &bytes[used + value_bytes..];
        match tag >> 3 {
            1 => seconds = value,
            _ => nanos = value,
        }
    }
    let since = Duration::new(seconds, u32::try_from(nanos).ok()?);
    SystemTime::UNIX_EPOCH.checked_add(since)
}

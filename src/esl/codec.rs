//! Bytes to frames, without IO.

use bytes::{Buf, Bytes, BytesMut};

use super::event::{Event, EventError, decimal};
use super::frame::{ContentType, Frame};

/// `userauth` writes its reply into a buffer of 512 bytes, of which 510 reach the wire behind the
/// content type; what does not fit is cut, the empty line with it (`parse_command`, `userauth` in
/// `mod_event_socket.c`).
const CUT_REPLY_BYTES: usize = "Content-Type: command/reply\n".len() + 510;
const CUT_REPLY_START: &[u8] = b"Content-Type: command/reply\nReply-Text: +OK accepted\nAllowed-";

/// Frames up to this size are copied out of the read buffer. An event that is kept then holds its
/// own 4 kB, not the buffer around it, and the buffer is used again at once.
const MAX_COPIED: usize = 64 * 1024;

/// Lengths and offsets are kept in 32 bits; no frame comes near that.
const MAX_LIMIT: usize = u32::MAX as usize / 2;

/// How large a frame may be; a larger one ends the link, since nothing behind it can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the header block. The largest known is CHANNEL_DATA on an outbound socket, which
    /// comes as headers: some 10 kB, more with large variables.
    pub max_header_bytes: usize,
    /// Bytes of the body: the largest are tables such as `show channels as json`, about 1 kB a row.
    pub max_body_bytes: usize,
}

/// Why the bytes are no frame. The stream cannot be read any further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// No empty line within the limit.
    #[error(
        "frame header is longer than esl.max_header_bytes ({limit}); raise it if FreeSWITCH is meant to send that"
    )]
    HeaderTooLong {
        /// The limit that was passed.
        limit: usize,
    },
    /// The announced body is over the limit.
    #[error(
        "frame body of {announced} bytes is longer than esl.max_frame_bytes ({limit}); raise it if FreeSWITCH is meant to send that"
    )]
    BodyTooLong {
        /// Bytes that `Content-Length` announced.
        announced: usize,
        /// The limit that was passed.
        limit: usize,
    },
    /// The stream does not begin as FreeSWITCH begins it.
    #[error("stream begins with \"{0}\"")]
    NoHeader(String),
    /// `Content-Length` is no number.
    #[error("content length {0:?} is no number of bytes")]
    BadLength(String),
}

/// Cuts a byte stream into frames. It remembers how far it has looked, so that feeding it byte by
/// byte costs no more than feeding it whole.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    /// Bytes at the front of the buffer that are known to hold no end of header.
    scanned: usize,
    /// The header of the frame whose body is still incomplete.
    pending: Option<Head>,
    may_be_cut: bool,
}

/// What a stream brought.
#[derive(Debug)]
pub enum Received {
    /// A plain event, or why it is none.
    Event(Result<Event, EventError>),
    /// Any other frame.
    Frame(Frame),
}

/// What framing needs of a header block.
#[derive(Debug, Clone, Copy)]
struct Head {
    content_type: ContentType,
    /// Bytes of the block, its empty line included.
    len: usize,
    /// Bytes of the body that it announces.
    body_len: usize,
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_header_bytes: 1 << 20,
            max_body_bytes: 64 << 20,
        }
    }
}

// === impl Head ===

impl Head {
    fn total(&self) -> usize {
        self.len + self.body_len
    }
}

// === impl Decoder ===

impl Decoder {
    /// A decoder at the start of a stream.
    pub fn new(limits: Limits) -> Self {
        let limits = Limits {
            max_header_bytes: limits.max_header_bytes.min(MAX_LIMIT),
            max_body_bytes: limits.max_body_bytes.min(MAX_LIMIT),
        };
        Self {
            limits,
            scanned: 0,
            pending: None,
            may_be_cut: false,
        }
    }

    /// The next reply answers `userauth`, so it may lack the empty line at its end.
    pub(super) fn expect_userauth_reply(&mut self) {
        self.may_be_cut = true;
    }

    /// Takes the next whole frame from the front of `buffer`; `None` when more bytes are needed.
    ///
    /// # Errors
    /// When a limit is passed or the length is no number; every later call is meaningless then.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let head = self.next(buffer)?;
        Ok(head.map(|head| take_frame(buffer, head)))
    }

    /// As [`Decoder::decode`], but reads a plain event where it stands: of all frames these are the
    /// ones that come in numbers.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    pub fn receive(&mut self, buffer: &mut BytesMut) -> Result<Option<Received>, FrameError> {
        let Some(head) = self.next(buffer)? else {
            return Ok(None);
        };
        if head.content_type != ContentType::EventPlain {
            return Ok(Some(Received::Frame(take_frame(buffer, head))));
        }
        let event = Event::parse(&buffer[head.len..head.total()]);
        match head.total() {
            total if total <= MAX_COPIED => buffer.advance(total),
            // The room that it took is not kept.
            total => *buffer = BytesMut::from(&buffer[total..]),
        }
        Ok(Some(Received::Event(event)))
    }

    /// The head of the next frame, once all of it is in the buffer.
    fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Head>, FrameError> {
        let head = match self.pending {
            Some(head) => head,
            None => match self.find_head(buffer)? {
                Some(head) => *self.pending.insert(head),
                None => return Ok(None),
            },
        };
        // Room is not reserved for what was only announced: the buffer grows with what has come.
        if buffer.len() < head.total() {
            return Ok(None);
        }
        self.pending = None;
        self.scanned = 0;
        Ok(Some(head))
    }

    /// Whether the stream may end here: `buffer` holds no part of a frame.
    pub fn is_between_frames(&self, buffer: &BytesMut) -> bool {
        self.pending.is_none() && buffer.is_empty()
    }

    fn find_head(&mut self, buffer: &mut BytesMut) -> Result<Option<Head>, FrameError> {
        if self.scanned == 0 {
            // Stray line ends between frames mean nothing.
            let stray = buffer.iter().take_while(|&&byte| byte == b'\n').count();
            buffer.advance(stray);
            if let Some(head) = event_head(buffer) {
                return self.checked(head).map(Some);
            }
        }
        // The first of two line feeds may be the last byte of what was scanned before.
        let from = self.scanned.saturating_sub(1);
        let found = find_empty_line(&buffer[from..]).map(|at| from + at + 2);
        let len = match found {
            Some(end) if self.may_be_cut && end > CUT_REPLY_BYTES && is_cut(buffer) => {
                CUT_REPLY_BYTES
            }
            Some(end) => end,
            None if self.may_be_cut && buffer.len() >= CUT_REPLY_BYTES && is_cut(buffer) => {
                CUT_REPLY_BYTES
            }
            None => {
                self.check_len(buffer.len())?;
                self.scanned = buffer.len();
                return Ok(None);
            }
        };
        self.check_len(len)?;
        let head = read_head(&buffer[..len])?;
        self.checked(head).map(Some)
    }

    fn check_len(&self, len: usize) -> Result<(), FrameError> {
        let limit = self.limits.max_header_bytes;
        match len > limit {
            true => Err(FrameError::HeaderTooLong { limit }),
            false => Ok(()),
        }
    }

    fn checked(&mut self, head: Head) -> Result<Head, FrameError> {
        self.check_len(head.len)?;
        if head.content_type != ContentType::AuthRequest {
            self.may_be_cut = false;
        }
        if head.body_len > self.limits.max_body_bytes {
            return Err(FrameError::BodyTooLong {
                announced: head.body_len,
                limit: self.limits.max_body_bytes,
            });
        }
        Ok(head)
    }
}

/// The head of an event, if it has the very form in which FreeSWITCH writes it (`listener_run` in
/// `mod_event_socket.c`), which is sooner compared than read.
fn event_head(bytes: &[u8]) -> Option<Head> {
    let length = bytes.strip_prefix(b"Content-Length: ")?;
    let digits = length.iter().take_while(|byte| byte.is_ascii_digit());
    let (length, rest) = length.split_at(digits.count());
    let body = rest.strip_prefix(b"\nContent-Type: text/event-plain\n\n")?;
    Some(Head {
        content_type: ContentType::EventPlain,
        len: bytes.len() - body.len(),
        body_len: decimal(length)?.try_into().ok()?,
    })
}

/// Where two line feeds stand. A header block has few lines, so this is sooner done than a search
/// for both is set up.
fn find_empty_line(bytes: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', bytes).find(|at| bytes.get(at + 1) == Some(&b'\n'))
}

fn is_cut(buffer: &[u8]) -> bool {
    buffer.starts_with(CUT_REPLY_START)
}

/// Takes a frame from the front. Either its body or the rest is copied, whichever is cheaper, so
/// that neither side pins the memory of the other.
fn take_frame(buffer: &mut BytesMut, head: Head) -> Frame {
    let total = head.total();
    let rest = buffer.len() - total;
    if total <= MAX_COPIED || rest > total {
        let body = Bytes::copy_from_slice(&buffer[head.len..total]);
        let frame = Frame::new(head.content_type, &buffer[..head.len], body);
        buffer.advance(total);
        return frame;
    }
    let rest = BytesMut::from(&buffer[total..]);
    let mut front = std::mem::replace(buffer, rest);
    front.truncate(total);
    let body = front.split_off(head.len).freeze();
    Frame::new(head.content_type, &front, body)
}

/// Content type and length, the two headers that framing needs; of doubles the first counts, as
/// everywhere.
fn read_head(head: &[u8]) -> Result<Head, FrameError> {
    let mut content_type = None;
    let mut length = None;
    for line in head.split(|&byte| byte == b'\n') {
        let Some(colon) = memchr::memchr(b':', line) else {
            continue;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if length.is_none() && name.eq_ignore_ascii_case(b"Content-Length") {
            length = Some(parse_length(value)?);
        } else if content_type.is_none() && name.eq_ignore_ascii_case(b"Content-Type") {
            content_type = Some(ContentType::from_wire(value));
        }
    }
    Ok(Head {
        content_type: content_type.unwrap_or(ContentType::Unknown),
        len: head.len(),
        body_len: length.unwrap_or(0),
    })
}

fn parse_length(value: &[u8]) -> Result<usize, FrameError> {
    std::str::from_utf8(value)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| FrameError::BadLength(String::from_utf8_lossy(value).into_owned()))
}

#[cfg(test)]
mod tests;

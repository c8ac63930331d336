//! One frame of the wire.

use bytes::Bytes;

use super::header::Headers;

/// What a frame holds, by its `Content-Type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContentType {
    /// `auth/request`: FreeSWITCH wants a password.
    AuthRequest,
    /// `command/reply`: the answer to any command but `api`.
    CommandReply,
    /// `api/response`: the answer to `api`.
    ApiResponse,
    /// `text/event-plain`: an event.
    EventPlain,
    /// `text/event-json`: an event.
    EventJson,
    /// `text/event-xml`: an event.
    EventXml,
    /// `log/data`: a line of FreeSWITCH's log.
    Log,
    /// `text/disconnect-notice`: FreeSWITCH is about to close, or lingers.
    DisconnectNotice,
    /// `text/rude-rejection`: the address is not allowed.
    RudeRejection,
    /// Anything else; skipped by its length.
    Unknown,
}

/// One frame: its header block and its body.
#[derive(Debug, Clone)]
pub struct Frame {
    content_type: ContentType,
    headers: Headers,
    body: Bytes,
}

// === impl ContentType ===

impl ContentType {
    pub(super) fn from_wire(value: &[u8]) -> Self {
        match value {
            b"auth/request" => Self::AuthRequest,
            b"command/reply" => Self::CommandReply,
            b"api/response" => Self::ApiResponse,
            b"text/event-plain" => Self::EventPlain,
            b"text/event-json" => Self::EventJson,
            b"text/event-xml" => Self::EventXml,
            b"log/data" => Self::Log,
            b"text/disconnect-notice" => Self::DisconnectNotice,
            b"text/rude-rejection" => Self::RudeRejection,
            _ => Self::Unknown,
        }
    }

    /// Whether such a frame answers a command; every other one comes unasked.
    pub fn is_reply(self) -> bool {
        matches!(self, Self::CommandReply | Self::ApiResponse)
    }
}

// === impl Frame ===

impl Frame {
    pub(super) fn new(content_type: ContentType, head: &[u8], body: Bytes) -> Self {
        Self {
            content_type,
            headers: Headers::new(head),
            body,
        }
    }

    /// What the frame holds.
    pub fn content_type(&self) -> ContentType {
        self.content_type
    }

    /// The frame's own headers (not those of an event in its body).
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The body; empty when there is none.
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

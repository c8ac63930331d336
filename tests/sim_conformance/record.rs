//! Recordings, read from their files and split into frames.

use std::path::PathBuf;

/// Who sent a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Server,
    Client,
}

/// A frame of the server, or a command of the client.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) side: Side,
    /// Seconds since the connection opened.
    pub(crate) at: f64,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// All bytes, as sent.
    pub(crate) raw: Vec<u8>,
}

/// An event, its values decoded.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) headers: Vec<(String, String)>,
}

/// What one run recorded.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) commands: Vec<Frame>,
    pub(crate) events: Option<Vec<Frame>>,
}

/// Where the recordings are.
pub(crate) fn folder() -> PathBuf {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/captures");
    std::env::var_os("SWITCHGATE_CAPTURES").map_or_else(|| default.into(), PathBuf::from)
}

// === impl Recording ===

impl Recording {
    /// Reads the recording of this name.
    pub(crate) fn load(name: &str) -> Self {
        let path = |kind: &str| folder().join(format!("{name}{kind}.transcript.zst"));
        if path(".commands").exists() {
            let (commands, events) = (read(&path(".commands")), read(&path(".events")));
            return Self {
                commands,
                events: Some(events),
            };
        }
        Self {
            commands: read(&path("")),
            events: None,
        }
    }
}

fn read(path: &std::path::Path) -> Vec<Frame> {
    let packed = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let bytes = zstd::decode_all(&packed[..]).expect("a whole zstd file");
    let mut frames = Vec::new();
    let mut buffers: [Vec<u8>; 2] = Default::default();
    let mut rest = &bytes[..];
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        let mut words = line.split(' ');
        let side = if words.next() == Some("<") {
            Side::Server
        } else {
            Side::Client
        };
        let at: f64 = words
            .next()
            .and_then(|word| word.parse().ok())
            .expect("a time");
        let length: usize = words
            .next()
            .and_then(|word| word.parse().ok())
            .expect("a length");
        let buffer = &mut buffers[side as usize];
        buffer.extend_from_slice(&rest[end + 1..end + 1 + length]);
        while let Some(frame) = take_frame(buffer, side, at) {
            frames.push(frame);
        }
        rest = &rest[end + length + 2..];
    }
    frames
}

/// Takes a whole frame off the front of a buffer.
pub(crate) fn take_frame(buffer: &mut Vec<u8>, side: Side, at: f64) -> Option<Frame> {
    let blank = buffer.iter().take_while(|byte| **byte == b'\n').count();
    let end = blank + buffer[blank..].windows(2).position(|two| two == b"\n\n")?;
    let head = String::from_utf8_lossy(&buffer[blank..end]).into_owned();
    let length = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, value)| value.trim().parse().expect("a length"));
    if buffer.len() < end + 2 + length {
        return None;
    }
    let raw: Vec<u8> = buffer.drain(..end + 2 + length).collect();
    Some(Frame {
        side,
        at,
        head,
        body: raw[end + 2..].to_vec(),
        raw,
    })
}

// === impl Frame ===

impl Frame {
    /// The header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The event in it, if it is one.
    pub(crate) fn event(&self) -> Option<Event> {
        let body = String::from_utf8_lossy(&self.body).into_owned();
        let headers = match self.header("Content-Type")? {
            "text/event-plain" => body
                .split("\n\n")
                .next()?
                .lines()
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_owned(), decode(value)))
                .collect(),
            "text/event-json" => {
                let parsed: serde_json::Value = serde_json::from_str(&body).expect("JSON");
                let text = |value: &serde_json::Value| value.as_str().unwrap_or("[]").to_owned();
                let fields = parsed.as_object().expect("an object").iter();
                fields
                    .map(|(name, value)| (name.clone(), text(value)))
                    .collect()
            }
            "text/event-xml" => body
                .lines()
                .filter_map(|line| line.trim().strip_prefix('<')?.split_once('>'))
                .filter_map(|(name, rest)| {
                    let value = rest.strip_suffix(&format!("</{name}>"))?;
                    Some((name.to_owned(), decode(value)))
                })
                .collect(),
            _ => return None,
        };
        Some(Event { headers })
    }
}

// === impl Event ===

impl Event {
    /// The header of this name, or nothing.
    pub(crate) fn get(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }
}

fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

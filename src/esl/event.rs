//! One event: its header lines and its body in a reference-counted buffer.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::header::{Headers, filled_value};

/// What FreeSWITCH encodes in a value (`switch_url_encode` with `SWITCH_URL_UNSAFE` in
/// `switch_utils.h`), and the percent sign itself.
const UNSAFE: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'+')
    .add(b':')
    .add(b';')
    .add(b'<')
    .add(b'=')
    .add(b'>')
    .add(b'?')
    .add(b'@')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}')
    .add(b'\r')
    .add(b'\n');

/// What an event takes beside its wire form: the heads of its block and of what refers to it.
const OVERHEAD: usize = 128;

/// An event as FreeSWITCH sent it. Cloning is cheap: the buffer is shared. It holds the body too,
/// which is looked for when it is asked for: few events have one.
#[derive(Debug, Clone)]
pub struct Event(Headers);

/// The members of a JSON object in the order of the wire, doubles and all.
struct Members(Vec<(String, Value)>);

/// Why the body of a frame is no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// There is no `Event-Name`.
    #[error("event has no name")]
    Nameless,
    /// The JSON is malformed or no object of strings.
    #[error("event is no JSON object of strings: {0}")]
    Json(String),
}

// === impl Event ===

impl Event {
    /// Reads the body of a `text/event-plain` frame.
    ///
    /// # Errors
    /// When there is no `Event-Name`.
    pub fn parse(bytes: impl AsRef<[u8]>) -> Result<Self, EventError> {
        let event = Self(Headers::new(bytes.as_ref()));
        if event.headers().raw("Event-Name").is_none() {
            return Err(EventError::Nameless);
        }
        Ok(event)
    }

    /// Reads the body of a `text/event-json` frame, or the answer to `uuid_dump ... json`, into
    /// the same form as a plain event. Arrays become FreeSWITCH's `ARRAY::a|:b`.
    ///
    /// # Errors
    /// When it is no JSON object of strings, or has no `Event-Name`.
    pub fn parse_json(bytes: &[u8]) -> Result<Self, EventError> {
        let json_error = |error: serde_json::Error| EventError::Json(error.to_string());
        // FreeSWITCH does not escape bytes that are not UTF-8 (cJSON prints them raw).
        let text = String::from_utf8_lossy(bytes);
        let Members(members) = serde_json::from_str(&text).map_err(json_error)?;
        let body = members
            .iter()
            .find(|(name, _)| name == "_body")
            .and_then(|(_, body)| body.as_str())
            .unwrap_or_default();
        // FreeSWITCH's own length is the last one; it counts the bytes before any were replaced.
        let length_at = members
            .iter()
            .rposition(|(name, _)| name.eq_ignore_ascii_case("Content-Length"));
        let length = body.len().to_string();
        let mut plain = String::with_capacity(bytes.len() + bytes.len() / 4);
        for (at, (name, value)) in members.iter().enumerate() {
            match value {
                Value::String(_) if name == "_body" => {}
                Value::String(_) if length_at == Some(at) && !body.is_empty() => {
                    write_header(&mut plain, name, &length);
                }
                Value::String(text) => write_header(&mut plain, name, text),
                Value::Array(items) => {
                    let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
                    write_header(&mut plain, name, &format!("ARRAY::{}", items.join("|:")));
                }
                other => return Err(EventError::Json(format!("{name} is {other}"))),
            }
        }
        if length_at.is_none() && !body.is_empty() {
            write_header(&mut plain, "Content-Length", &length);
        }
        plain.push('\n');
        plain.push_str(body);
        Self::parse(plain)
    }

    /// Builds an event from headers in clear text, for events that the gateway itself makes.
    pub fn from_headers<'a>(
        headers: impl IntoIterator<Item = (&'a str, Cow<'a, str>)>,
    ) -> Result<Self, EventError> {
        let mut plain = String::new();
        for (name, value) in headers {
            write_header(&mut plain, name, &value);
        }
        plain.push('\n');
        Self::parse(plain)
    }

    /// The same event with these headers, in clear text, in front and in place of its own, for what
    /// the gateway itself tells with FreeSWITCH's words. Its body is left out.
    ///
    /// # Errors
    /// When there is no `Event-Name`.
    pub fn with_headers(&self, new: &[(&str, &str)]) -> Result<Self, EventError> {
        let old = self.headers();
        let mut plain = String::with_capacity(old.bytes().len() + 256);
        for (name, value) in new {
            write_header(&mut plain, name, value);
        }
        let mut plain = plain.into_bytes();
        let is_replaced = |name: &[u8]| {
            let is_it = |replaced: &str| replaced.as_bytes().eq_ignore_ascii_case(name);
            is_it("Content-Length") || new.iter().any(|(replaced, _)| is_it(replaced))
        };
        for (name, value) in old.iter_raw().filter(|(name, _)| !is_replaced(name)) {
            plain.extend_from_slice(name);
            plain.extend_from_slice(b": ");
            plain.extend_from_slice(value);
            plain.push(b'\n');
        }
        plain.push(b'\n');
        Self::parse(plain)
    }

    /// The headers.
    pub fn headers(&self) -> &Headers {
        &self.0
    }

    /// The inner body, raw.
    pub fn body(&self) -> &[u8] {
        let headers = self.headers();
        let body = &headers.bytes()[headers.block_len()..];
        if body.is_empty() {
            return body;
        }
        // FreeSWITCH writes its own length last (`switch_event_serialize`); one before it is a
        // header that the sender of the event chose.
        let announced = headers.raw_last("Content-Length").and_then(parse_number);
        &body[..announced.unwrap_or(0).min(body.len())]
    }

    /// The decoded value of a header as text.
    pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.headers().text(name)
    }

    /// The decoded value of a header as text, `None` also when it is empty, which FreeSWITCH
    /// writes as `_undef_` (`switch_event_serialize`).
    pub fn filled(&self, name: &str) -> Option<Cow<'_, str>> {
        self.headers().raw(name).and_then(filled_value)
    }

    /// The value of a header as a number.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.headers().raw(name).and_then(parse_number)
    }

    /// `Event-Name`, for example `CHANNEL_ANSWER`.
    pub fn name(&self) -> Cow<'_, str> {
        self.text("Event-Name").unwrap_or_default()
    }

    /// `Event-Subclass` of a `CUSTOM` event, for example `conference::maintenance`.
    pub fn subclass(&self) -> Option<Cow<'_, str>> {
        self.filled("Event-Subclass")
    }

    /// Bytes that the event occupies: its wire form and what holds it.
    pub fn size(&self) -> usize {
        self.headers().bytes().len() + OVERHEAD
    }
}

// === impl Members ===

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

fn write_header(plain: &mut String, name: &str, value: &str) {
    let value = percent_encode(value.as_bytes(), UNSAFE);
    // Writing to a String cannot fail. FreeSWITCH writes names as they are; in JSON one could hold
    // what ends a name or a line.
    let _ = match name.contains(['\n', '\r']) || name.contains(": ") {
        true => writeln!(
            plain,
            "{}: {value}",
            percent_encode(name.as_bytes(), UNSAFE)
        ),
        false => writeln!(plain, "{name}: {value}"),
    };
}

/// A decimal number, as FreeSWITCH writes its time stamps: digits alone. Eight of them are read at
/// once, since each event has many.
pub fn decimal(value: &[u8]) -> Option<u64> {
    let (eights, rest) = value.as_chunks();
    let number = eights.iter().try_fold(0u64, |number, eight| {
        number
            .checked_mul(100_000_000)?
            .checked_add(eight_digits(*eight)?)
    })?;
    let number = rest.iter().try_fold(number, |number, byte| {
        let digit = byte.is_ascii_digit().then_some(byte & 15)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    });
    number.filter(|_| !value.is_empty())
}

/// Pairs of digits become numbers at once, then pairs of those, then the pair that is left.
fn eight_digits(text: [u8; 8]) -> Option<u64> {
    let text = u64::from_le_bytes(text);
    let high = |text: u64| text & 0xf0f0_f0f0_f0f0_f0f0;
    // Digits are 0x30 to 0x39.
    let zeros = 0x3030_3030_3030_3030;
    if high(text) != zeros || high(text + 0x0606_0606_0606_0606) != zeros {
        return None;
    }
    let digits = text - zeros;
    let twos = (digits * 10 + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (twos * 100 + (twos >> 16)) & 0x0000_ffff_0000_ffff;
    Some((fours * 10_000 + (fours >> 32)) & 0xffff_ffff)
}

/// A value in hand as a number.
pub fn parse_number<T: std::str::FromStr>(value: &[u8]) -> Option<T> {
    std::str::from_utf8(value.trim_ascii()).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;

//! Single values: how each type is read from text, number or truth value, and what is said when
//! it cannot be. Everything in the environment is text, so every type is readable from text.

use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::{Serialize, Serializer};

use crate::tls::ClientCertificates;

/// A number of bytes. Written as a plain number or with a binary unit: `64MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(usize);

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text when standard error is a terminal, else JSON.
    #[default]
    Auto,
    /// One readable line each.
    Text,
    /// One JSON object a line.
    Json,
}

/// The SIP header that holds the trace of a call. Written `true`, `false` or its name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SipHeader(Option<String>);

/// What becomes of RPCs that change something while the audit cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AuditPolicy {
    /// They go on, and the lines that are missing are counted.
    #[default]
    Continue,
    /// They are refused.
    Refuse,
}

/// A type that one key can have. The messages never quote the value: whoever reports them adds
/// it, or leaves it out when it is a secret.
pub(super) trait Leaf: Sized {
    /// Ends the sentence "is not ...".
    const WHAT: &'static str;
    /// What to write instead.
    const REMEDY: &'static str;

    fn from_text(text: &str) -> Option<Self>;

    fn from_number(_: u64) -> Option<Self> {
        None
    }

    fn from_truth(_: bool) -> Option<Self> {
        None
    }

    fn from_fraction(_: f64) -> Option<Self> {
        None
    }
}

/// The header of W3C Trace Context.
const TRACEPARENT: &str = "traceparent";

const UNITS: [(&str, usize); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

// === impl Size ===

impl Size {
    /// This many bytes.
    pub const fn from_bytes(bytes: usize) -> Self {
        Self(bytes)
    }

    /// This many times 1024 bytes.
    pub const fn from_kib(count: usize) -> Self {
        Self(count << 10)
    }

    /// This many times 1024 * 1024 bytes.
    pub const fn from_mib(count: usize) -> Self {
        Self(count << 20)
    }

    /// The number of bytes.
    pub const fn bytes(self) -> usize {
        self.0
    }
}

impl FromStr for Size {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit = text[digits.len()..].trim_start();
        let factor = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, factor)| *factor);
        let factor = if unit.is_empty() { Some(1) } else { factor };
        let count: usize = digits.parse().map_err(drop)?;
        factor
            .and_then(|factor| count.checked_mul(factor))
            .map(Self)
            .ok_or(())
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, factor): &&(&str, usize)| self.0 != 0 && self.0.is_multiple_of(*factor);
        let (unit, factor) = UNITS.iter().find(fits).copied().unwrap_or(("B", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

// === impl SipHeader ===

impl SipHeader {
    /// Its name, if there is to be one.
    pub fn name(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl Serialize for SipHeader {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.name() {
            Some(TRACEPARENT) => serializer.serialize_bool(true),
            Some(name) => serializer.serialize_str(name),
            None => serializer.serialize_bool(false),
        }
    }
}

// === impl Leaf ===

impl Leaf for Size {
    const WHAT: &'static str = "a size";
    const REMEDY: &'static str = "give bytes, or a number with KiB, MiB or GiB, such as 64MiB";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn from_number(number: u64) -> Option<Self> {
        number.try_into().ok().map(Self)
    }
}

impl Leaf for Duration {
    const WHAT: &'static str = "a duration with its unit";
    const REMEDY: &'static str = "write for example 250ms, 30s, 5m or 1h30m";

    fn from_text(text: &str) -> Option<Self> {
        humantime::parse_duration(text).ok()
    }
}

impl Leaf for SocketAddr {
    const WHAT: &'static str = "an IP address with a port";
    const REMEDY: &'static str = "write ADDRESS:PORT, such as 127.0.0.1:50061 or [::]:50061";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Leaf for bool {
    const WHAT: &'static str = "true or false";
    const REMEDY: &'static str = "write true or false";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn from_truth(truth: bool) -> Option<Self> {
        Some(truth)
    }
}

impl Leaf for usize {
    const WHAT: &'static str = "a count";
    const REMEDY: &'static str = "write a whole number without sign";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn from_number(number: u64) -> Option<Self> {
        number.try_into().ok()
    }
}

impl Leaf for u32 {
    const WHAT: &'static str = "a count";
    const REMEDY: &'static str = "write a whole number from 0 to 4294967295";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn from_number(number: u64) -> Option<Self> {
        number.try_into().ok()
    }
}

impl Leaf for String {
    const WHAT: &'static str = "text";
    const REMEDY: &'static str = "put the value in quotes";

    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl Leaf for PathBuf {
    const WHAT: &'static str = "a path";
    const REMEDY: &'static str = "name a file";

    fn from_text(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| text.into())
    }
}

impl Leaf for ClientCertificates {
    const WHAT: &'static str = "a way to ask for client certificates";
    const REMEDY: &'static str = "write none, optional or required";

    fn from_text(text: &str) -> Option<Self> {
        match text {
            "none" => Some(Self::None),
            "optional" => Some(Self::Optional),
            "required" => Some(Self::Required),
            _ => None,
        }
    }
}

impl Leaf for LogFormat {
    const WHAT: &'static str = "a log format";
    const REMEDY: &'static str = "write auto, text or json";

    fn from_text(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

impl Leaf for SipHeader {
    const WHAT: &'static str = "true, false or the name of a SIP header";
    const REMEDY: &'static str = "write letters, digits and -, such as X-Traceparent";

    fn from_text(text: &str) -> Option<Self> {
        if let Ok(truth) = text.parse() {
            return Self::from_truth(truth);
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let fits = (1..=64).contains(&text.len()) && text.chars().all(is_name);
        fits.then(|| Self(Some(text.to_owned())))
    }

    fn from_truth(truth: bool) -> Option<Self> {
        Some(Self(truth.then(|| TRACEPARENT.to_owned())))
    }
}

impl Leaf for AuditPolicy {
    const WHAT: &'static str = "a policy";
    const REMEDY: &'static str = "write continue or refuse";

    fn from_text(text: &str) -> Option<Self> {
        match text {
            "continue" => Some(Self::Continue),
            "refuse" => Some(Self::Refuse),
            _ => None,
        }
    }
}

impl Leaf for f64 {
    const WHAT: &'static str = "a number";
    const REMEDY: &'static str = "write a number such as 0.1";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn from_number(number: u64) -> Option<Self> {
        u32::try_from(number).ok().map(Self::from)
    }

    fn from_fraction(number: f64) -> Option<Self> {
        Some(number)
    }
}

/// For `#[serde(deserialize_with)]`.
pub(super) fn read<'de, D: Deserializer<'de>, T: Leaf>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(LeafVisitor(PhantomData))
}

/// As `read`, for a key without a default.
pub(super) fn read_some<'de, D: Deserializer<'de>, T: Leaf>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    read(deserializer).map(Some)
}

/// As `read_some`, for a key that may be written with nothing behind it, as it is shown where none
/// is the default.
pub(super) fn read_or_none<'de, D: Deserializer<'de>, T: Leaf>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    struct Given<T>(T);

    impl<'de, T: Leaf> Deserialize<'de> for Given<T> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            read(deserializer).map(Self)
        }
    }

    let given = Option::<Given<T>>::deserialize(deserializer)?;
    Ok(given.map(|Given(value)| value))
}

/// As `read`, for a list that means something else when it is empty than when it is left out.
pub(super) fn read_list<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    struct ListVisitor;

    impl<'de> Visitor<'de> for ListVisitor {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a sequence")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<String>, A::Error> {
            let mut texts = Vec::new();
            while let Some(text) = list.next_element()? {
                texts.push(text);
            }
            Ok(texts)
        }
    }

    // Not as a sequence, which nothing at all would be too.
    deserializer.deserialize_any(ListVisitor)
}

/// For `#[serde(serialize_with)]`.
pub(super) fn write_duration<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&humantime::format_duration(*span))
}

struct LeafVisitor<T>(PhantomData<T>);

// === impl LeafVisitor ===

impl<T: Leaf> LeafVisitor<T> {
    fn refuse<E: Error>() -> E {
        E::custom(format_args!("is not {}; {}", T::WHAT, T::REMEDY))
    }
}

impl<T: Leaf> Visitor<'_> for LeafVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", T::WHAT, T::REMEDY)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::from_text(text).ok_or_else(Self::refuse)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        T::from_number(number).ok_or_else(Self::refuse)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        T::from_fraction(number).ok_or_else(Self::refuse)
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<T, E> {
        T::from_truth(truth).ok_or_else(Self::refuse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_shown_with_their_unit() {
        for (text, bytes, shown) in [
            ("1000", 1000, "1000B"),
            ("64MiB", 64 << 20, "64MiB"),
            ("64 MiB", 64 << 20, "64MiB"),
            ("1536KiB", 1536 << 10, "1536KiB"),
            ("2048KiB", 2 << 20, "2MiB"),
            ("0", 0, "0B"),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!((size.bytes(), size.to_string()), (bytes, shown.to_owned()));
        }
    }

    #[test]
    fn a_decimal_or_unknown_unit_is_no_size() {
        for text in [
            "",
            "MiB",
            "64MB",
            "64M",
            "-1",
            "1.5GiB",
            "64 mib",
            "99999999999999GiB",
            "ä",
        ] {
            assert_eq!(text.parse::<Size>(), Err(()), "{text:?}");
        }
    }
}

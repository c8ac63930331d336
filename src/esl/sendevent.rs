//! `sendevent`: what of a client's event arrives as it is, and its form on the wire.
//!
//! FreeSWITCH takes a header's value as it stands behind the colon and its spaces (`read_packet` in
//! `mod_event_socket.c`): it decodes nothing and expands nothing. What it sends on it encodes, but
//! leaves alone what looks like an escape already (`switch_url_encode` in `switch_utils.c`).

use std::fmt::Write as _;

use super::command::Command;
use super::quote::{Unquotable, check_command};
use crate::domain::{TextError, check_wire_text};

/// Longest name of a header, and longest subclass.
pub const MAX_NAME_BYTES: usize = 128;
/// Most bytes of a body.
pub const MAX_BODY_BYTES: usize = 64 << 10;

/// A text that would not arrive as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// It would end the header or the command.
    #[error(transparent)]
    Text(#[from] TextError),
    /// Nothing.
    #[error("is empty, and FreeSWITCH drops such a header; leave it out")]
    Empty,
    /// FreeSWITCH skips spaces behind the colon.
    #[error("begins with a space, which FreeSWITCH drops; remove it, or use the body")]
    LeadingSpace,
    /// FreeSWITCH would not encode the percent sign, so that all readers decode it.
    #[error(
        "holds {escape:?} at byte {at}, which readers would take for an escaped byte; use the body"
    )]
    Escape {
        /// What looks like an escape.
        escape: String,
        /// Where.
        at: usize,
    },
    /// FreeSWITCH makes a list of it.
    #[error("begins with ARRAY::, of which FreeSWITCH makes a list; use the body")]
    Array,
    /// A character that no header's name can have.
    #[error("holds {0:?}; a header's name has visible ASCII characters, but no : and no [")]
    NameCharacter(char),
    /// A white space or control character.
    #[error("holds {0:?}; a subclass has no white space and no control characters")]
    SubclassCharacter(char),
    /// FreeSWITCH would do something else, or not read all of it.
    #[error(transparent)]
    Command(#[from] Unquotable),
    /// It is too long.
    #[error("is longer than {0} bytes; shorten it")]
    TooLong(usize),
}

/// Checks the name of a header.
pub fn check_header_name(name: &str) -> Result<(), Unsendable> {
    let is_wrong = |character: &char| {
        // A bracket is the index of a list (`switch_event_base_add_header` in `switch_event.c`).
        !character.is_ascii_graphic() || matches!(character, ':' | '[')
    };
    if let Some(wrong) = name.chars().find(is_wrong) {
        return Err(Unsendable::NameCharacter(wrong));
    }
    match name.len() {
        0 => Err(Unsendable::Empty),
        length if length > MAX_NAME_BYTES => Err(Unsendable::TooLong(MAX_NAME_BYTES)),
        _ => Ok(()),
    }
}

/// Checks the value of a header.
pub fn check_header_value(value: &str) -> Result<(), Unsendable> {
    check_wire_text(value)?;
    if value.is_empty() {
        return Err(Unsendable::Empty);
    }
    if value.starts_with(' ') {
        return Err(Unsendable::LeadingSpace);
    }
    if value.starts_with("ARRAY::") {
        return Err(Unsendable::Array);
    }
    match find_escape(value) {
        Some(at) => Err(Unsendable::Escape {
            escape: value[at..at + 3].to_owned(),
            at,
        }),
        None => Ok(()),
    }
}

/// Checks the subclass of a custom event.
pub fn check_subclass(subclass: &str) -> Result<(), Unsendable> {
    let is_wrong = |character: &char| character.is_whitespace() || character.is_control();
    if let Some(wrong) = subclass.chars().find(is_wrong) {
        return Err(Unsendable::SubclassCharacter(wrong));
    }
    if subclass.len() > MAX_NAME_BYTES {
        return Err(Unsendable::TooLong(MAX_NAME_BYTES));
    }
    check_header_value(subclass)
}

/// Checks a body.
pub fn check_body(body: &str) -> Result<(), Unsendable> {
    if let Some(at) = body.find('\0') {
        return Err(TextError { name: "a NUL", at }.into());
    }
    match body.len() > MAX_BODY_BYTES {
        true => Err(Unsendable::TooLong(MAX_BODY_BYTES)),
        false => Ok(()),
    }
}

/// Where a percent sign stands before two digits as FreeSWITCH writes them, in upper case.
fn find_escape(value: &str) -> Option<usize> {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'A'..=b'F');
    value
        .as_bytes()
        .windows(3)
        .position(|three| three[0] == b'%' && three[1..].iter().all(is_digit))
}

// === impl Command ===

impl Command {
    /// `sendevent NAME` with headers and a body.
    ///
    /// # Errors
    /// When one of them would not arrive as it is.
    pub fn sendevent(name: &str, headers: &[(&str, &str)], body: &str) -> Result<Self, Unsendable> {
        check_header_name(name)?;
        check_body(body)?;
        let mut text = format!("sendevent {name}\n");
        for (name, value) in headers {
            check_header_name(name)?;
            check_header_value(value)?;
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name}: {value}");
        }
        // The headers are a part of what FreeSWITCH takes for the command, the body is not.
        check_command(&text)?;
        let _ = match body {
            "" => writeln!(text),
            body => write!(text, "Content-Length: {}\n\n{body}", body.len()),
        };
        Ok(Self::rendered(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_can_end_its_command() {
        for hostile in ["a\n\napi hupall", "a\r\nX: y", "\n", "a\0b"] {
            assert!(Command::sendevent("CUSTOM", &[("X", hostile)], "").is_err());
            assert!(Command::sendevent("CUSTOM", &[(hostile, "x")], "").is_err());
            assert!(Command::sendevent(hostile, &[], "").is_err());
            assert!(check_subclass(hostile).is_err());
        }
        assert!(Command::sendevent("CUSTOM", &[], "a\0b").is_err());
        let command = Command::sendevent("CUSTOM", &[("X", "y")], "é\n\napi hupall").unwrap();
        let expected = "sendevent CUSTOM\nX: y\nContent-Length: 14\n\né\n\napi hupall";
        assert_eq!(command.as_bytes(), expected.as_bytes());
    }

    #[test]
    fn no_event_unloads_the_event_socket() {
        let module = "x mod_Event_Socket";
        for headers in [
            [("X", "unload mod_event_socket"), ("Y", "y")],
            [("X", module), ("Y", "a RELOAD b")],
            [("X-Reload", "x"), ("Y", module)],
        ] {
            let refused = Command::sendevent("CUSTOM", &headers, "");
            assert_eq!(refused, Err(Unquotable::ReplacedCommand.into()));
        }
        assert!(Command::sendevent("CUSTOM", &[("X", module)], "unload").is_ok());
    }

    #[test]
    fn what_would_not_arrive_as_it_is_is_refused() {
        for (value, is_good) in [
            ("100%", true),
            ("%4g%%4", true),
            ("a%2f", true),
            ("a%2F", false),
            ("%%41", false),
            ("tail ", true),
            (" lead", false),
            ("\tlead", true),
            ("ARRAY::a", false),
            ("xARRAY::a", true),
            ("", false),
            ("${system(id)}", true),
        ] {
            assert_eq!(check_header_value(value).is_ok(), is_good, "{value:?}");
        }
    }
}

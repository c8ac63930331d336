//! The one rule that every string on its way to the wire obeys.

/// A character that would end a line, a command or a C string on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("holds {name} at byte {at}, which would end the command; remove it")]
pub struct TextError {
    /// Name of the character.
    pub name: &'static str,
    /// Byte offset of the first such character.
    pub at: usize,
}

/// Refuses line feed, carriage return and NUL: an ESL command ends at the first empty line, and
/// FreeSWITCH's strings end at NUL (`read_packet` in `mod_event_socket.c`).
pub fn check_wire_text(text: &str) -> Result<(), TextError> {
    let found = text.bytes().enumerate().find_map(|(at, byte)| {
        let name = match byte {
            b'\n' => "a line feed",
            b'\r' => "a carriage return",
            0 => "a NUL",
            _ => return None,
        };
        Some(TextError { name, at })
    });
    match found {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_and_nul_are_refused_and_placed() {
        for (text, at) in [("a\nb", 1), ("\r", 0), ("grü\0", 4)] {
            assert_eq!(check_wire_text(text).map_err(|e| e.at), Err(at));
        }
        assert_eq!(check_wire_text("tabs\tand 'quotes' %0A"), Ok(()));
    }
}

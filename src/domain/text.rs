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

/// The word that may have been meant: the one with the fewest characters to change, 2 at most and no
/// more than half of them.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let most = (word.len() / 2).min(2);
    known
        .filter(|other| other.len().abs_diff(word.len()) <= most)
        .map(|other| (distance(word, other), other))
        .filter(|(distance, _)| *distance <= most)
        // Of several the first by name, so that the answer is always the same.
        .min()
        .map(|(_, other)| other)
}

/// How many bytes must be put in, left out or replaced to make one word of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, byte) in one.bytes().enumerate() {
        let mut diagonal = at;
        row[0] = at + 1;
        for (column, compared) in other.bytes().enumerate() {
            let replaced = diagonal + usize::from(byte != compared);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_two_changes_away_at_most() {
        let known = ["playback", "park", "play_and_get_digits", "answer"];
        for (word, meant) in [
            ("plaback", Some("playback")),
            ("playbakc", Some("playback")),
            ("answer", Some("answer")),
            ("bark", Some("park")),
            ("ecko", None),
            ("pa", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known.into_iter()), meant, "{word}");
        }
    }

    #[test]
    fn line_ends_and_nul_are_refused_and_placed() {
        for (text, at) in [("a\nb", 1), ("\r", 0), ("grü\0", 4)] {
            assert_eq!(check_wire_text(text).map_err(|e| e.at), Err(at));
        }
        assert_eq!(check_wire_text("tabs\tand 'quotes' %0A"), Ok(()));
    }
}

//! Regular expressions for digits, as far as tests need them: `^ $ . * + ?`, classes, `\d`.

/// What one place of a pattern takes.
#[derive(Debug)]
enum Piece {
    Any,
    Digit,
    One(char),
    Class(Vec<(char, char)>, bool),
}

/// Whether the pattern is found in the text (`switch_regex_match` in `switch_regex.c`). Alternatives
/// and groups are not known, and match nothing.
pub(super) fn is_found(pattern: &str, text: &str) -> bool {
    let (pattern, at_start) = match pattern.strip_prefix('^') {
        Some(rest) => (rest, true),
        None => (pattern, false),
    };
    let (pattern, to_end) = match pattern.strip_suffix('$') {
        Some(rest) => (rest, true),
        None => (pattern, false),
    };
    let Some(pieces) = parse(pattern) else {
        return false;
    };
    let text: Vec<char> = text.chars().collect();
    let last = if at_start { 0 } else { text.len() };
    (0..=last).any(|start| fits(&pieces, &text[start..], to_end))
}

/// Pieces, and how often each may come.
fn parse(pattern: &str) -> Option<Vec<(Piece, usize, usize)>> {
    let mut pieces = Vec::new();
    let mut chars = pattern.chars().peekable();
    while let Some(char) = chars.next() {
        let piece = match char {
            '.' => Piece::Any,
            '\\' => match chars.next()? {
                'd' => Piece::Digit,
                other => Piece::One(other),
            },
            '[' => {
                let is_negated = chars.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                loop {
                    let from = chars.next()?;
                    if from == ']' {
                        break;
                    }
                    let to = match chars.next_if_eq(&'-') {
                        Some(_) => chars.next()?,
                        None => from,
                    };
                    ranges.push((from, to));
                }
                Piece::Class(ranges, is_negated)
            }
            '(' | ')' | '|' | '{' | '}' => return None,
            other => Piece::One(other),
        };
        let (least, most) = match chars.peek() {
            Some('*') => (0, usize::MAX),
            Some('+') => (1, usize::MAX),
            Some('?') => (0, 1),
            _ => (1, 1),
        };
        if (least, most) != (1, 1) {
            chars.next();
        }
        pieces.push((piece, least, most));
    }
    Some(pieces)
}

fn fits(pieces: &[(Piece, usize, usize)], text: &[char], to_end: bool) -> bool {
    let Some(((piece, least, most), rest)) = pieces.split_first() else {
        return !to_end || text.is_empty();
    };
    let taken = text
        .iter()
        .take(*most)
        .take_while(|char| takes(piece, **char))
        .count();
    (*least..=taken).any(|count| fits(rest, &text[count..], to_end))
}

fn takes(piece: &Piece, char: char) -> bool {
    match piece {
        Piece::Any => true,
        Piece::Digit => char.is_ascii_digit(),
        Piece::One(one) => *one == char,
        Piece::Class(ranges, is_negated) => {
            ranges
                .iter()
                .any(|(from, to)| (*from..=*to).contains(&char))
                != *is_negated
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_found;

    #[test]
    fn digits_are_matched() {
        assert!(is_found(r"\d+", "12") && is_found(r"^[12]\d?$", "19"));
        assert!(!is_found("^9", "19") && !is_found(r"^\d$", "19") && !is_found(r"\d", "*"));
        assert!(is_found("9", "19") && is_found("^[^0]*$", "19") && !is_found("(1)", "1"));
    }
}

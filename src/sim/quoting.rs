//! FreeSWITCH's way to split a string: quotes, backslashes and brackets.

/// Splits at a delimiter as FreeSWITCH does: not inside single quotes, not behind a backslash; each
/// part then loses its quotes, its escapes and the spaces around it (`switch_separate_string` in
/// `switch_utils.c`). `^^` and a character in front choose another delimiter.
pub(super) fn separate(text: &str, delimiter: char, limit: usize) -> Vec<String> {
    let (text, delimiter) = match text
        .strip_prefix("^^")
        .map(|rest| (rest, rest.chars().next()))
    {
        Some((rest, Some(chosen))) if rest.len() > chosen.len_utf8() => {
            (&rest[chosen.len_utf8()..], chosen)
        }
        _ => (text, delimiter),
    };
    let mut parts = Vec::new();
    let mut rest = text;
    if delimiter == ' ' {
        rest = rest.trim_start_matches(' ');
    }
    while !rest.is_empty() && parts.len() < limit {
        let end = find_delimiter(rest, delimiter);
        let (part, behind) = match end {
            // The last part allowed swallows everything, as the array of the real one is full.
            Some(at) => (&rest[..at], &rest[at + delimiter.len_utf8()..]),
            None => (rest, ""),
        };
        parts.push(cleanup(part, delimiter));
        rest = if delimiter == ' ' {
            behind.trim_start_matches(' ')
        } else {
            behind
        };
    }
    parts
}

fn find_delimiter(text: &str, delimiter: char) -> Option<usize> {
    let mut quoted = false;
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '\\' => drop(chars.next()),
            '\'' if quoted || delimiter == ' ' || text[at + 1..].contains('\'') => quoted = !quoted,
            _ if char == delimiter && !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// Strips quotes, escapes and outer spaces (`cleanup_separated_string`).
pub(super) fn cleanup(text: &str, delimiter: char) -> String {
    let text = text.trim_start_matches(' ');
    let mut out = String::with_capacity(text.len());
    // Length up to which the text is kept: spaces at the end go, unless quoted.
    let mut keep = None;
    let mut quoted = false;
    let mut chars = text.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        if char == '\\' {
            let escaped = match chars.peek().map(|(_, next)| *next) {
                Some('n') => Some('\n'),
                Some('r') => Some('\r'),
                Some('t') => Some('\t'),
                Some('s') => Some(' '),
                Some(next @ ('\'' | '"' | '\\')) => Some(next),
                Some(next) if next == delimiter && delimiter != ' ' => Some(next),
                _ => None,
            };
            if let Some(escaped) = escaped {
                chars.next();
                out.push(escaped);
                keep = Some(out.len());
                continue;
            }
        }
        if char == '\'' && (quoted || text[at + 1..].contains('\'')) {
            quoted = !quoted;
            if quoted {
                keep = Some(out.len());
            }
        } else {
            out.push(char);
            if char != ' ' || quoted {
                keep = Some(out.len());
            }
        }
    }
    if let Some(keep) = keep {
        out.truncate(keep);
    }
    out
}

/// Offset of the bracket that closes the one at the start (`switch_find_end_paren`).
fn closing(text: &str, open: char, close: char) -> Option<usize> {
    let mut depth = 0;
    for (at, char) in text.char_indices() {
        match char {
            '\\' => {}
            _ if char == open => depth += 1,
            _ if char == close => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// Variables in brackets at the start of a text, and what is behind them
/// (`switch_event_create_brackets` in `switch_event.c`).
pub(super) fn brackets(
    text: &str,
    open: char,
    close: char,
) -> Option<(Vec<(String, String)>, &str)> {
    let end = closing(text, open, close)?;
    let inner = &text[open.len_utf8()..end];
    let mut variables = Vec::new();
    for pair in separate(inner, ',', 1024) {
        // The second of two parts keeps further equal signs.
        let mut parts = pair.splitn(2, '=');
        if let (Some(name), Some(value)) = (parts.next(), parts.next()) {
            let (name, value) = (cleanup(name, '='), cleanup(value, '='));
            if !name.is_empty() {
                variables.push((name, value));
            }
        }
    }
    Some((variables, &text[end + close.len_utf8()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_in_quotes_is_cut_after_the_first_pass() {
        let line = r#"{n='Ann, "the" O\'Neil',m=1}sofia/x &park()"#;
        let parts = separate(line, ' ', 10);
        assert_eq!(parts, [r#"{n=Ann, "the" O'Neil,m=1}sofia/x"#, "&park()"]);
        let (variables, rest) = brackets(&parts[0], '{', '}').unwrap();
        assert_eq!(
            variables,
            [("n".into(), "Ann".into()), ("m".into(), "1".into())]
        );
        assert_eq!(rest, "sofia/x");
    }

    #[test]
    fn a_quoted_value_with_escapes_arrives_whole() {
        let line = r"{v='a\, b\'s = c | d'}null/x &park()";
        let parts = separate(line, ' ', 10);
        let (variables, _) = brackets(&parts[0], '{', '}').unwrap();
        assert_eq!(variables, [("v".into(), "a, b's = c | d".into())]);
    }

    #[test]
    fn another_delimiter_can_be_chosen() {
        assert_eq!(separate("^^:a,b:c", ',', 9), ["a,b", "c"]);
        assert_eq!(separate("a  b 'c d'", ' ', 9), ["a", "b", "c d"]);
    }
}

//! How FreeSWITCH takes a line apart: for those who have to know what it will see.

/// The elements of a line, as `switch_separate_string` in `switch_utils.c` makes them: `most` at most,
/// the last one whole. A line that begins with `^^` chooses its own separator.
pub(crate) fn separate(line: &str, separator: char, most: usize) -> Vec<String> {
    let (line, separator) = match line
        .strip_prefix("^^")
        .map(|rest| (rest, rest.chars().next()))
    {
        Some((rest, Some(other))) if rest.len() > other.len_utf8() => {
            (&rest[other.len_utf8()..], other)
        }
        _ => (line, separator),
    };
    let chars: Vec<char> = line.chars().collect();
    let is_blank = separator == ' ';
    let (mut elements, mut at) = (Vec::new(), 0);
    while at < chars.len() && elements.len() < most {
        let start = at;
        if elements.len() + 1 == most {
            elements.push(&chars[start..]);
            break;
        }
        let mut is_quoted = false;
        while is_blank && chars.get(at) == Some(&' ') {
            at += 1;
        }
        while let Some(c) = chars.get(at).copied() {
            let may_quote = is_blank || is_quoted || chars[at + 1..].contains(&'\'');
            if c == '\\' {
                at += 1;
            } else if c == '\'' && may_quote {
                is_quoted = !is_quoted;
            } else if c == separator && !is_quoted {
                break;
            }
            at += 1;
        }
        at = at.min(chars.len());
        elements.push(&chars[start..at]);
        at += 1;
        while is_blank && chars.get(at) == Some(&' ') {
            at += 1;
        }
    }
    let cleaned = (!is_blank).then_some(separator);
    let elements = elements.into_iter();
    elements.map(|element| clean(element, cleaned)).collect()
}

/// `cleanup_separated_string`: escapes become what they mean, paired quotes go, and spaces at the ends.
fn clean(element: &[char], separator: Option<char>) -> String {
    let start = element.iter().take_while(|c| **c == ' ').count();
    let element = &element[start..];
    let (mut text, mut keep, mut is_quoted, mut at) = (Vec::new(), None, false, 0);
    while let Some(c) = element.get(at).copied() {
        let escaped = match element.get(at + 1).copied() {
            _ if c != '\\' => None,
            Some('n') => Some('\n'),
            Some('r') => Some('\r'),
            Some('t') => Some('\t'),
            Some('s') => Some(' '),
            Some(next) if matches!(next, '\'' | '"' | '\\') || separator == Some(next) => {
                Some(next)
            }
            _ => None,
        };
        if let Some(escaped) = escaped {
            text.push(escaped);
            keep = Some(text.len());
            at += 2;
            continue;
        }
        if c == '\'' && (is_quoted || element[at + 1..].contains(&'\'')) {
            is_quoted = !is_quoted;
            if is_quoted {
                keep = Some(text.len());
            }
        } else {
            text.push(c);
            if c != ' ' || is_quoted {
                keep = Some(text.len());
            }
        }
        at += 1;
    }
    if let Some(keep) = keep {
        text.truncate(keep);
    }
    text.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::model;
    use super::*;

    proptest! {
        #[test]
        fn a_line_is_taken_apart_as_freeswitch_does_it(
            line in r"[a ,';\\\^snä:]{0,24}", separator in "[ ,;:]", most in 1..6usize,
        ) {
            let separator = separator.chars().next().unwrap();
            let ours = separate(&line, separator, most);
            let theirs = model::separate(line.as_bytes(), separator as u8, most);
            let theirs: Vec<_> = theirs.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect();
            // FreeSWITCH's separator is a byte, and cuts a letter that has two.
            prop_assume!(!line.starts_with("^^ä"));
            prop_assert_eq!(ours, theirs);
        }
    }
}

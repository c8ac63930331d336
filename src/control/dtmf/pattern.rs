//! Patterns that FreeSWITCH cannot compile. It says so in its log alone, and matches nothing.

/// What is surely broken, if anything: the pattern is PCRE's, so what is not understood here passes.
pub(super) fn broken(pattern: &str) -> Option<&'static str> {
    // Comments and literal text may hold brackets of any kind.
    if pattern.contains(r"\Q") || (pattern.contains("(?") && pattern.contains('#')) {
        return None;
    }
    let mut groups = 0_usize;
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' if rest.next().is_none() => return Some(r"ends with a \ that escapes nothing"),
            '[' => {
                rest.next_if_eq(&'^');
                // At the start it is one of the characters.
                rest.next_if_eq(&']');
                loop {
                    match rest.next() {
                        None => return Some("has a [ that no ] closes"),
                        Some(']') => break,
                        Some('\\') => drop(rest.next()),
                        Some(_) => {}
                    }
                }
            }
            '(' => groups += 1,
            ')' if groups == 0 => return Some("has a ) that no ( opens"),
            ')' => groups -= 1,
            _ => {}
        }
    }
    (groups > 0).then_some("has a ( that no ) closes")
}

#[cfg(test)]
mod tests {
    use super::broken;

    #[test]
    fn only_what_no_reader_would_take_is_broken() {
        for pattern in [
            "",
            r"\d+",
            "^[0-9*#]{4}$",
            "^(1|2)[]a]",
            "[^]]",
            "[[:digit:]]+",
            "[a[b]",
            "[(]",
            r"\[\(",
            r"[\]]",
            "(?=1)2(?<x>3)",
            r"\Q[(\E",
            "(?#a(b)1",
            "1]",
        ] {
            assert_eq!(broken(pattern), None, "{pattern}");
        }
        for pattern in ["[", "[]", "(", "(1", ")", "1)(", r"\", r"[\]", "(1[)]"] {
            assert!(broken(pattern).is_some(), "{pattern}");
        }
    }
}

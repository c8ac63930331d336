//! The exact inverses of FreeSWITCH's splitting passes.

use std::borrow::Cow;

/// What a pass splits at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// Spaces: the arguments of an api command (`separate_string_blank_delim`).
    Blank,
    /// One ASCII character (`separate_string_char_delim`).
    At(char),
}

/// How deep a text goes below and above the level at which it starts, counted as
/// `switch_find_end_paren` in `switch_utils.c` counts: escapes and quotes mean nothing to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Depth {
    /// Closing brackets that have no opening one before them.
    pub(super) unopened: usize,
    /// Opening brackets that have no closing one behind them.
    pub(super) unclosed: usize,
}

/// Writes `text` so that `pass` reads it as part of one element and gives back `text`.
///
/// `cleanup_separated_string` in `switch_utils.c` turns a backslash with itself, a quote, the
/// separator or one of `n`, `r`, `t`, `s` into one character, drops paired single quotes and cuts
/// spaces at both ends. Escaping backslash, single quote and separator, and writing spaces as
/// `\s`, is therefore its inverse; double quotes mean nothing to it. Tabs are written as `\t`
/// because `switch_api_execute` cuts them off the ends of a whole argument line.
pub(super) fn escape(text: &str, pass: Pass) -> String {
    let inner = text.trim_matches(' ');
    let start = text.len() - text.trim_start_matches(' ').len();
    let end = start + inner.len();
    let mut out = String::with_capacity(text.len() + 8);
    for (at, c) in text.char_indices() {
        match c {
            ' ' if pass == Pass::Blank || at < start || at >= end => out.push_str("\\s"),
            '\t' if pass == Pass::Blank => out.push_str("\\t"),
            '\\' | '\'' => out.extend(['\\', c]),
            _ if pass == Pass::At(c) => out.extend(['\\', c]),
            _ => out.push(c),
        }
    }
    out
}

/// Puts an empty pair of quotes, which the next splitting pass drops, into each `:_:`: before
/// that pass `switch_ivr_originate` looks for it in the whole dial string, and splits there.
pub(super) fn hide_separator(text: &str) -> Cow<'_, str> {
    if !text.contains(":_:") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    let mut rest = text;
    while let Some(at) = rest.find(":_:") {
        out.push_str(&rest[..=at]);
        out.push_str("''");
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The depth of `text` in brackets of one kind.
pub(super) fn depth(text: &str, open: char, close: char) -> Depth {
    let mut found = Depth {
        unopened: 0,
        unclosed: 0,
    };
    for c in text.chars() {
        if c == open {
            found.unclosed += 1;
        } else if c == close && found.unclosed > 0 {
            found.unclosed -= 1;
        } else if c == close {
            found.unopened += 1;
        }
    }
    found
}

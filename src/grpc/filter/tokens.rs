//! The words of a filter.

use std::iter::Peekable;
use std::str::CharIndices;

use super::problem::{Problem, Result};

/// What ends a word that is not quoted.
const SPECIAL: &[char] = &['"', '\'', '(', ')', '=', '!', '<', '>', ':'];

/// A word of a filter and where it stands, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) word: Word,
    pub(super) start: usize,
    pub(super) end: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    /// Without quotes: a name, a value, AND, OR, NOT.
    Plain(String),
    /// In quotes, its escapes undone.
    Quoted(String),
    Open,
    Close,
    /// In front of a word.
    Minus,
    Operator(Operator),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    Differs,
    Less,
    AtMost,
    More,
    AtLeast,
    Has,
}

/// Whether the character can stand in a word without quotes.
pub(super) fn is_plain(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !SPECIAL.contains(&c) && c != '\\'
}

/// Cuts a filter into words.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>> {
    let mut rest = text.char_indices().peekable();
    let mut tokens = Vec::new();
    while let Some(&(start, first)) = rest.peek() {
        if first.is_whitespace() {
            rest.next();
            continue;
        }
        let word = word(text, &mut rest, start, first)?;
        let end = rest.peek().map_or(text.len(), |&(at, _)| at);
        tokens.push(Token { word, start, end });
    }
    Ok(tokens)
}

fn word(
    text: &str,
    rest: &mut Peekable<CharIndices<'_>>,
    start: usize,
    first: char,
) -> Result<Word> {
    if is_plain(first) && first != '-' {
        let mut end = start;
        while let Some((at, c)) = rest.next_if(|&(_, c)| is_plain(c)) {
            end = at + c.len_utf8();
        }
        return Ok(Word::Plain(text[start..end].to_owned()));
    }
    rest.next();
    let is_with_equals =
        matches!(first, '!' | '<' | '>') && rest.next_if(|&(_, c)| c == '=').is_some();
    Ok(match (first, is_with_equals) {
        ('"' | '\'', _) => Word::Quoted(quoted(rest, start, first)?),
        ('(', _) => Word::Open,
        (')', _) => Word::Close,
        ('-', _) => Word::Minus,
        ('=', _) => Word::Operator(Operator::Equal),
        (':', _) => Word::Operator(Operator::Has),
        ('!', true) => Word::Operator(Operator::Differs),
        ('<', true) => Word::Operator(Operator::AtMost),
        ('<', false) => Word::Operator(Operator::Less),
        ('>', true) => Word::Operator(Operator::AtLeast),
        ('>', false) => Word::Operator(Operator::More),
        ('!', false) => {
            return Err(Problem::at(
                start,
                "`!` alone means nothing; write != or NOT",
            ));
        }
        (other, _) => {
            let problem = format!("{other:?} can only stand in quotes");
            return Err(Problem::at(start, problem));
        }
    })
}

/// The rest of a quoted text, whose opening quote is taken already.
fn quoted(rest: &mut Peekable<CharIndices<'_>>, start: usize, quote: char) -> Result<String> {
    let mut value = String::new();
    while let Some((at, c)) = rest.next() {
        match c {
            _ if c == quote => return Ok(value),
            '\\' => value.push(match rest.next() {
                Some((_, escaped @ ('\\' | '"' | '\''))) => escaped,
                Some((_, 'n')) => '\n',
                Some((_, 'r')) => '\r',
                Some((_, 't')) => '\t',
                _ => {
                    let problem = "a backslash stands for nothing here; write \\\\ for one, \\\" for a quote, or \\n, \\r, \\t";
                    return Err(Problem::at(at, problem));
                }
            }),
            _ => value.push(c),
        }
    }
    Err(Problem::at(
        start,
        format!("the quote has no end; close it with {quote}"),
    ))
}

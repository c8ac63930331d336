//! From words to a tree, by the grammar of AIP-160: OR binds tighter than AND, and terms that stand
//! side by side must all hold, as with AND.

use super::expression::{Expression, Restriction, Test};
use super::literal::Literal;
use super::problem::{Problem, Result};
use super::tokens::{Operator, Token, Word, tokens};
use super::{Field, Kind};
use crate::domain::Failure;

/// Longest filter.
const MAX_BYTES: usize = 4096;
/// Most terms: each item of a list is held against them.
const MAX_TERMS: usize = 100;
/// Most parentheses within each other.
const MAX_DEPTH: usize = 16;

/// Reads the words one after the other.
struct Parser<'a> {
    tokens: &'a [Token],
    fields: &'static [Field],
    /// Where the filter ends.
    end: usize,
    terms: usize,
}

/// Parses a filter over these fields; `None` when it is empty.
pub(super) fn parse(
    text: &str,
    fields: &'static [Field],
) -> std::result::Result<Option<Expression>, Failure> {
    read(text, fields).map_err(|problem| problem.tell(text))
}

fn read(text: &str, fields: &'static [Field]) -> Result<Option<Expression>> {
    if text.len() > MAX_BYTES {
        return Err(Problem {
            at: None,
            what: format!("is longer than {MAX_BYTES} bytes").into(),
        });
    }
    let tokens = tokens(text)?;
    let mut parser = Parser {
        tokens: &tokens,
        fields,
        end: text.len(),
        terms: 0,
    };
    if tokens.is_empty() {
        return Ok(None);
    }
    let expression = parser.sequence(0)?;
    match parser.tokens.first() {
        Some(token) => Err(Problem::at(token.start, "this parenthesis closes nothing")),
        None => Ok(Some(expression)),
    }
}

// === impl Parser ===

impl Parser<'_> {
    /// Terms that must all hold, up to the end or a closing parenthesis.
    fn sequence(&mut self, depth: usize) -> Result<Expression> {
        let mut all = vec![self.alternatives(depth)?];
        while !matches!(self.peek(), None | Some(Word::Close)) {
            self.take_keyword("AND");
            all.push(self.alternatives(depth)?);
        }
        Ok(one_or(all, Expression::All))
    }

    /// Terms of which one must hold.
    fn alternatives(&mut self, depth: usize) -> Result<Expression> {
        let mut any = vec![self.term(depth)?];
        while self.take_keyword("OR") {
            any.push(self.term(depth)?);
        }
        Ok(one_or(any, Expression::Any))
    }

    fn term(&mut self, depth: usize) -> Result<Expression> {
        let is_negated = match self.tokens {
            [
                Token {
                    word: Word::Minus,
                    end,
                    ..
                },
                next,
                ..,
            ] if next.start == *end => {
                self.tokens = &self.tokens[1..];
                true
            }
            [
                Token {
                    word: Word::Minus,
                    start,
                    ..
                },
                ..,
            ] => {
                let problem = "a minus stands right in front of a field or a parenthesis";
                return Err(Problem::at(*start, problem));
            }
            _ => self.take_keyword("NOT"),
        };
        let inner = self.simple(depth)?;
        Ok(match is_negated {
            true => Expression::Not(Box::new(inner)),
            false => inner,
        })
    }

    fn simple(&mut self, depth: usize) -> Result<Expression> {
        let start = self.here();
        if self.peek() != Some(&Word::Open) {
            return self.restriction().map(Expression::Is);
        }
        if depth == MAX_DEPTH {
            let problem = format!("more than {MAX_DEPTH} parentheses stand within each other");
            return Err(Problem::at(start, problem));
        }
        self.tokens = &self.tokens[1..];
        let inner = self.sequence(depth + 1)?;
        match self.peek() {
            Some(Word::Close) => {
                self.tokens = &self.tokens[1..];
                Ok(inner)
            }
            _ => Err(Problem::at(start, "this parenthesis is not closed")),
        }
    }

    fn restriction(&mut self) -> Result<Restriction> {
        let start = self.here();
        self.terms += 1;
        if self.terms > MAX_TERMS {
            return Err(Problem::at(
                start,
                format!("has more than {MAX_TERMS} terms"),
            ));
        }
        let name = self.name()?;
        let (field, key) = self.find(&name, start)?;
        let at = self.here();
        let Some(Word::Operator(operator)) = self.peek() else {
            let example = match (&field.kind, &key) {
                (Kind::Flag, _) => format!("{name} = true"),
                (Kind::Map, None) => format!("{name}.NAME = \"value\""),
                _ => format!("{name} = \"value\""),
            };
            return Err(Problem::at(
                at,
                format!("an operator is missing; write {example}"),
            ));
        };
        let operator = *operator;
        self.tokens = &self.tokens[1..];
        let value_at = self.here();
        if let (Operator::Equal, Some(Word::Operator(Operator::Equal))) = (operator, self.peek()) {
            return Err(Problem::at(value_at, "write = once"));
        }
        let (value, is_quoted) = self.value()?;
        let is_star = value == "*" && !is_quoted;
        if let (Kind::Map, None) = (&field.kind, &key) {
            return match operator {
                Operator::Has if is_quoted || !value.contains(['*', ':']) => Ok(Restriction {
                    field: field.name,
                    key: Some(value),
                    test: Test::Present,
                }),
                _ => {
                    let name = field.name;
                    let problem = format!(
                        "name one: {name}.NAME = \"value\", or {name}:NAME for any that has it"
                    );
                    Err(Problem::at(start, problem))
                }
            };
        }
        let test = if is_star && operator == Operator::Has {
            Test::Present
        } else if !is_quoted && value.contains('*') {
            let problem = format!(
                "wildcards are not known; write {name}:* for any value, or put a star that is meant in quotes"
            );
            return Err(Problem::at(value_at, problem));
        } else {
            self.test(field, operator, at, Literal::read(field, value, value_at)?)?
        };
        Ok(Restriction {
            field: field.name,
            key,
            test,
        })
    }

    fn test(&self, field: &Field, operator: Operator, at: usize, literal: Literal) -> Result<Test> {
        let time = match &literal {
            Literal::Time(time) => Some(*time),
            Literal::Text(_) | Literal::Flag(_) => None,
        };
        Ok(match (operator, time) {
            (Operator::Equal | Operator::Has, _) => Test::Equal(literal),
            (Operator::Differs, _) => Test::Differs(literal),
            (Operator::Less, Some(time)) => Test::Before(time),
            (Operator::AtMost, Some(time)) => Test::NotAfter(time),
            (Operator::More, Some(time)) => Test::After(time),
            (Operator::AtLeast, Some(time)) => Test::NotBefore(time),
            (_, None) => {
                let times: Vec<&str> = self
                    .fields
                    .iter()
                    .filter(|field| matches!(field.kind, Kind::Time))
                    .map(|field| field.name)
                    .collect();
                let comparable = match times.is_empty() {
                    true => String::new(),
                    false => format!(", only {} can", times.join(", ")),
                };
                let problem = format!(
                    "{} cannot be compared by size{comparable}; write = or !=",
                    field.name
                );
                return Err(Problem::at(at, problem));
            }
        })
    }

    /// A field's name, of which parts may be quoted: `label."two words"`.
    fn name(&mut self) -> Result<String> {
        let start = self.here();
        let mut name = String::new();
        let mut end = start;
        while let [
            Token {
                word: Word::Plain(part) | Word::Quoted(part),
                start,
                end: next,
            },
            rest @ ..,
        ] = self.tokens
            && *start == end
        {
            name.push_str(part);
            end = *next;
            self.tokens = rest;
        }
        if end == start || matches!(name.as_str(), "AND" | "OR" | "NOT") {
            return Err(Problem::at(
                start,
                format!(
                    "a term is missing here; write one such as {}",
                    self.example()
                ),
            ));
        }
        Ok(name)
    }

    fn find(&self, name: &str, at: usize) -> Result<(&'static Field, Option<String>)> {
        for field in self.fields {
            if name == field.name {
                return Ok((field, None));
            }
            let key = name
                .strip_prefix(field.name)
                .and_then(|rest| rest.strip_prefix('.'));
            if let (Kind::Map, Some(key)) = (&field.kind, key)
                && !key.is_empty()
            {
                return Ok((field, Some(key.to_owned())));
            }
        }
        let problem = match name {
            "and" | "or" | "not" => format!("write {} in capitals", name.to_uppercase()),
            "&" | "&&" => "write AND".to_owned(),
            "|" | "||" => "write OR".to_owned(),
            _ => {
                let known = self.fields.iter().map(|field| match field.kind {
                    Kind::Map => format!("{}.NAME", field.name),
                    _ => field.name.to_owned(),
                });
                let known = known.collect::<Vec<_>>().join(", ");
                let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
                let has_labels = self.fields.iter().any(|field| field.name == "label");
                let hint = match has_labels && name.chars().all(is_word) {
                    true => format!("; write label.{name} for a label of your own"),
                    false => String::new(),
                };
                format!("there is no field {name:?}; there are {known}{hint}")
            }
        };
        Err(Problem::at(at, problem))
    }

    /// The value behind an operator, and whether it was quoted.
    fn value(&mut self) -> Result<(String, bool)> {
        let at = self.here();
        if let Some(Word::Quoted(value)) = self.peek() {
            let value = value.clone();
            self.tokens = &self.tokens[1..];
            return Ok((value, true));
        }
        // Here a minus and a colon mean themselves: `-1`, `08:30`, `sip:1000`.
        let mut value = String::new();
        let mut end = at;
        while let [token, rest @ ..] = self.tokens
            && token.start == end
        {
            match &token.word {
                Word::Plain(part) => value.push_str(part),
                Word::Minus => value.push('-'),
                Word::Operator(Operator::Has) if !value.is_empty() => value.push(':'),
                _ => break,
            }
            end = token.end;
            self.tokens = rest;
        }
        if matches!(value.as_str(), "" | "AND" | "OR" | "NOT") {
            let problem = "a value is missing here; put it in quotes if it is AND, OR or NOT or has spaces, quotes, parentheses or any of = ! < >";
            return Err(Problem::at(at, problem));
        }
        Ok((value, false))
    }

    fn example(&self) -> String {
        self.fields
            .first()
            .map_or_else(String::new, |field| format!("{} = \"value\"", field.name))
    }

    fn take_keyword(&mut self, keyword: &str) -> bool {
        let is_next = matches!(self.peek(), Some(Word::Plain(word)) if word == keyword);
        if is_next {
            self.tokens = &self.tokens[1..];
        }
        is_next
    }

    fn peek(&self) -> Option<&Word> {
        self.tokens.first().map(|token| &token.word)
    }

    fn here(&self) -> usize {
        self.tokens.first().map_or(self.end, |token| token.start)
    }
}

fn one_or(mut parts: Vec<Expression>, many: fn(Vec<Expression>) -> Expression) -> Expression {
    match parts.len() {
        1 => parts.remove(0),
        _ => many(parts),
    }
}

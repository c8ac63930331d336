//! Filters of lists: terms `field = value` and `field != value`, joined by AND.

use crate::domain::Failure;

/// Longest filter: each item of a list is held against all of its terms.
const MAX_BYTES: usize = 4096;

/// A filter, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListFilter {
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    field: String,
    is_equal: bool,
    value: String,
}

// === impl ListFilter ===

impl ListFilter {
    /// Parses a filter over `fields`; a field that ends with `.` stands for all that begin so.
    pub(super) fn parse(text: &str, fields: &[&str]) -> Result<Self, Failure> {
        if text.len() > MAX_BYTES {
            return Err(invalid(&format!("is longer than {MAX_BYTES} bytes")));
        }
        let mut words = Words { rest: text };
        let mut terms = Vec::new();
        while let Some(field) = words.next()? {
            if !terms.is_empty() {
                if field != "AND" {
                    return Err(invalid(&format!("expected AND before {field:?}")));
                }
                let field = words.next()?.ok_or_else(|| invalid("ends with AND"))?;
                terms.push(words.term(field, fields)?);
            } else {
                terms.push(words.term(field, fields)?);
            }
        }
        Ok(Self { terms })
    }

    /// Whether all terms hold; `value` gives a field's value, `None` when it has none.
    pub(super) fn fits(&self, value: impl Fn(&str) -> Option<String>) -> bool {
        self.terms
            .iter()
            .all(|term| (value(&term.field).as_deref() == Some(&*term.value)) == term.is_equal)
    }
}

struct Words<'a> {
    rest: &'a str,
}

// === impl Words ===

impl Words<'_> {
    fn term(&mut self, field: String, fields: &[&str]) -> Result<Term, Failure> {
        let is_known = fields.iter().any(|known| match known.ends_with('.') {
            true => field.starts_with(known) && field.len() > known.len(),
            false => field == *known,
        });
        if !is_known {
            return Err(invalid(&format!(
                "knows no field {field:?}; there are {}",
                fields.join(", ")
            )));
        }
        let operator = self.next()?.unwrap_or_default();
        let is_equal = match operator.as_str() {
            "=" => true,
            "!=" => false,
            other => {
                return Err(invalid(&format!(
                    "expected = or != behind {field:?}, found {other:?}"
                )));
            }
        };
        let value = self
            .next()?
            .ok_or_else(|| invalid(&format!("has no value for {field:?}")))?;
        Ok(Term {
            field,
            is_equal,
            value,
        })
    }

    /// The next word, operator or quoted string.
    fn next(&mut self) -> Result<Option<String>, Failure> {
        let text = self.rest.trim_start();
        let (word, rest) = if text.is_empty() {
            self.rest = text;
            return Ok(None);
        } else if let Some(quoted) = text.strip_prefix('"') {
            let end = quoted
                .find('"')
                .ok_or_else(|| invalid("has a quote without an end"))?;
            (&quoted[..end], &quoted[end + 1..])
        } else if let Some(rest) = text.strip_prefix("!=") {
            ("!=", rest)
        } else if let Some(rest) = text.strip_prefix('=') {
            ("=", rest)
        } else {
            let end = text
                .find(|c: char| c.is_whitespace() || c == '=' || c == '!' || c == '"')
                .unwrap_or(text.len());
            if end == 0 {
                return Err(invalid(&format!("makes no sense at {text:?}")));
            }
            text.split_at(end)
        };
        self.rest = rest;
        Ok(Some(word.to_owned()))
    }
}

fn invalid(problem: &str) -> Failure {
    Failure::invalid(
        "filter",
        format!("{problem}; write FIELD = VALUE, joined by AND"),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIELDS: &[&str] = &["state", "node_id", "label."];

    fn fits(filter: &str) -> bool {
        let value = |field: &str| match field {
            "state" => Some("ACTIVE".to_owned()),
            "label.team" => Some("blue sky".to_owned()),
            _ => None,
        };
        ListFilter::parse(filter, FIELDS).unwrap().fits(value)
    }

    #[test]
    fn terms_are_joined_by_and() {
        for filter in [
            "",
            "  ",
            "state=ACTIVE",
            "state = \"ACTIVE\"",
            "state = ACTIVE AND label.team = \"blue sky\"",
            "node_id != a",
        ] {
            assert!(fits(filter), "{filter}");
        }
        for filter in [
            "state = DOWN",
            "node_id = a",
            "state = ACTIVE AND node_id = a",
            "label.team != \"blue sky\"",
        ] {
            assert!(!fits(filter), "{filter}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for filter in [
            "stat = x",
            "state",
            "state =",
            "state x",
            "state = a state = b",
            "state = a AND",
            "state = \"a",
            "label. = x",
            "= a",
            "!",
            &"state = a AND ".repeat(1000),
        ] {
            assert!(ListFilter::parse(filter, FIELDS).is_err(), "{filter}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".*") {
            let _ = ListFilter::parse(&text, FIELDS);
        }
    }
}

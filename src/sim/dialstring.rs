//! Dial strings: `{variables}[variables]endpoint/destination,...|...`.

use super::quoting;

/// One place to call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LegSpec {
    /// Variables of this leg alone.
    pub(super) vars: Vec<(String, String)>,
    /// `sofia`, `loopback`, ...
    pub(super) endpoint: String,
    /// What stands behind the endpoint's slash.
    pub(super) data: String,
}

/// A whole dial string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DialString {
    /// Variables of all legs.
    pub(super) vars: Vec<(String, String)>,
    /// Groups of legs: the next group is tried when all legs of one have failed.
    pub(super) groups: Vec<Vec<LegSpec>>,
}

// === impl DialString ===

impl DialString {
    /// Reads a dial string; `None` when its brackets are broken.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim_start_matches(' ');
        let mut vars = Vec::new();
        while rest.starts_with(['{', '<']) {
            let close = if rest.starts_with('{') {
                ('{', '}')
            } else {
                ('<', '>')
            };
            let (found, behind) = quoting::brackets(rest, close.0, close.1)?;
            vars.extend(found);
            rest = behind.trim_start_matches(' ');
        }
        let groups: Option<Vec<_>> = split_outside(rest, '|')
            .into_iter()
            .map(|group| split_outside(group, ',').into_iter().map(leg).collect())
            .collect();
        Some(Self {
            vars,
            groups: groups?,
        })
    }
}

fn leg(text: &str) -> Option<LegSpec> {
    let mut rest = text.trim();
    let mut vars = Vec::new();
    while rest.starts_with(['[', '{']) {
        let (open, close) = if rest.starts_with('[') {
            ('[', ']')
        } else {
            ('{', '}')
        };
        let (found, behind) = quoting::brackets(rest, open, close)?;
        vars.extend(found);
        rest = behind.trim_start_matches(' ');
    }
    let (endpoint, data) = rest.split_once('/').unwrap_or((rest, ""));
    Some(LegSpec {
        vars,
        endpoint: endpoint.to_owned(),
        data: data.to_owned(),
    })
}

/// Splits at a separator that is not inside brackets.
fn split_outside(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut from) = (0_i32, 0);
    for (at, char) in text.char_indices() {
        match char {
            '[' | '{' | '(' => depth += 1,
            ']' | '}' | ')' => depth -= 1,
            _ if char == separator && depth <= 0 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forks_and_failover_keep_their_own_variables() {
        let text = "{a=1}[b=2,c=3]sofia/internal/x@y:5060,loopback/echo/default|error/USER_BUSY";
        let parsed = DialString::parse(text).unwrap();
        assert_eq!(parsed.vars, [("a".to_owned(), "1".to_owned())]);
        let shape: Vec<Vec<_>> = parsed
            .groups
            .iter()
            .map(|group| {
                group
                    .iter()
                    .map(|leg| (&*leg.endpoint, &*leg.data, leg.vars.len()))
                    .collect()
            })
            .collect();
        assert_eq!(
            shape,
            [
                vec![
                    ("sofia", "internal/x@y:5060", 2),
                    ("loopback", "echo/default", 0)
                ],
                vec![("error", "USER_BUSY", 0)],
            ]
        );
        assert_eq!(DialString::parse("{a=1"), None);
    }
}

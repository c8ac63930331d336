//! Values as filters have them.

use std::fmt;
use std::time::SystemTime;

use super::problem::{Problem, Result};
use super::{Field, Kind, Value};

/// Above the number of any value of an enum.
const MOST: i32 = 1024;

/// A value as the filter has it; of an enum, the full name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Literal {
    Text(String),
    Flag(bool),
    Time(SystemTime),
}

// === impl Literal ===

impl Literal {
    /// The value in the form in which items have it.
    pub(super) fn read(field: &Field, value: String, at: usize) -> Result<Self> {
        match field.kind {
            Kind::Text | Kind::Map => Ok(Self::Text(value)),
            Kind::Flag => match value.as_str() {
                "true" => Ok(Self::Flag(true)),
                "false" => Ok(Self::Flag(false)),
                _ => Err(Problem::at(at, format!("{} is true or false", field.name))),
            },
            Kind::Time => {
                let time = value
                    .parse::<prost_types::Timestamp>()
                    .ok()
                    .and_then(|time| SystemTime::try_from(time).ok());
                time.map(Self::Time).ok_or_else(|| {
                    let problem =
                        format!("{value:?} is no time; write one such as \"2026-11-24T08:30:00Z\"");
                    Problem::at(at, problem)
                })
            }
            Kind::Enum {
                prefix,
                wire,
                name_of,
            } => {
                let mut names = (1..MOST).filter_map(name_of);
                let short = value.strip_prefix(wire).unwrap_or(&value);
                let is_meant =
                    |name: &&str| *name == value || name.strip_prefix(prefix) == Some(short);
                names.clone().find(is_meant).map_or_else(
                    || {
                        let known: Vec<&str> = names
                            .by_ref()
                            .map(|name| name.strip_prefix(prefix).unwrap_or(name))
                            .collect();
                        let problem = format!(
                            "{value:?} is no value of {}; there are {}",
                            field.name,
                            known.join(", ")
                        );
                        Err(Problem::at(at, problem))
                    },
                    |name| Ok(Self::Text(name.to_owned())),
                )
            }
        }
    }

    pub(super) fn is(&self, value: Value<'_>) -> bool {
        match (self, value) {
            (Self::Text(literal), Value::Text(text)) => literal == text,
            (Self::Flag(literal), Value::Flag(flag)) => *literal == flag,
            (Self::Time(literal), Value::Time(at)) => *literal == at,
            _ => false,
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write_quoted(f, text),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Time(at) => write!(f, "\"{}\"", prost_types::Timestamp::from(*at)),
        }
    }
}

pub(super) fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for part in text.split_inclusive(['"', '\\']) {
        match part.strip_suffix(['"', '\\']) {
            Some(before) => write!(f, "{before}\\{}", &part[before.len()..])?,
            None => f.write_str(part)?,
        }
    }
    f.write_str("\"")
}

//! What a filter means: its tree, how it is asked, how it is printed.

use std::fmt;
use std::time::SystemTime;

use super::literal::{Literal, write_quoted};
use super::tokens::is_plain;
use super::{Listed, Value};

/// A filter or a part of one. `All` and `Any` have two parts at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expression {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Is(Restriction),
}

/// What is asked of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Restriction {
    pub(super) field: &'static str,
    /// Within a map.
    pub(super) key: Option<String>,
    pub(super) test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Test {
    /// It has a value.
    Present,
    Equal(Literal),
    /// No value is equal, or there is none.
    Differs(Literal),
    Before(SystemTime),
    NotAfter(SystemTime),
    After(SystemTime),
    NotBefore(SystemTime),
}

// === impl Expression ===

impl Expression {
    pub(super) fn fits<T: Listed>(&self, item: &T) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.fits(item)),
            Self::Any(parts) => parts.iter().any(|part| part.fits(item)),
            Self::Not(part) => !part.fits(item),
            Self::Is(restriction) => restriction.fits(item),
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join = |f: &mut fmt::Formatter<'_>, parts: &[Self], by: &str| {
            for (at, part) in parts.iter().enumerate() {
                if at > 0 {
                    f.write_str(by)?;
                }
                part.fmt_within(f)?;
            }
            Ok(())
        };
        match self {
            Self::All(parts) => join(f, parts, " AND "),
            Self::Any(parts) => join(f, parts, " OR "),
            Self::Not(part) => {
                f.write_str("NOT ")?;
                part.fmt_within(f)
            }
            Self::Is(restriction) => write!(f, "{restriction}"),
        }
    }
}

impl Expression {
    fn fmt_within(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(restriction) => write!(f, "{restriction}"),
            other => write!(f, "({other})"),
        }
    }
}

// === impl Restriction ===

impl Restriction {
    fn fits<T: Listed>(&self, item: &T) -> bool {
        let key = self.key.as_deref().unwrap_or_default();
        let any = |test: &mut dyn FnMut(Value<'_>) -> bool| item.any(self.field, key, test);
        let any_time = |test: &dyn Fn(SystemTime) -> bool| {
            any(&mut |value| matches!(value, Value::Time(at) if test(at)))
        };
        match &self.test {
            Test::Before(at) => any_time(&|value| value < *at),
            Test::NotAfter(at) => any_time(&|value| value <= *at),
            Test::After(at) => any_time(&|value| value > *at),
            Test::NotBefore(at) => any_time(&|value| value >= *at),
            Test::Present => any(&mut |_| true),
            Test::Equal(literal) => any(&mut |value| literal.is(value)),
            Test::Differs(literal) => !any(&mut |value| literal.is(value)),
        }
    }
}

impl fmt::Display for Restriction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.field)?;
        if let Some(key) = &self.key {
            f.write_str(".")?;
            match !key.is_empty() && key.chars().all(is_plain) {
                true => f.write_str(key)?,
                false => write_quoted(f, key)?,
            }
        }
        let time = |f: &mut fmt::Formatter<'_>, operator: &str, at: &SystemTime| {
            write!(f, " {operator} {}", Literal::Time(*at))
        };
        match &self.test {
            Test::Present => f.write_str(":*"),
            Test::Equal(literal) => write!(f, " = {literal}"),
            Test::Differs(literal) => write!(f, " != {literal}"),
            Test::Before(at) => time(f, "<", at),
            Test::NotAfter(at) => time(f, "<=", at),
            Test::After(at) => time(f, ">", at),
            Test::NotBefore(at) => time(f, ">=", at),
        }
    }
}

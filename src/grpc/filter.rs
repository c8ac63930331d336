//! Filters of lists, in the language of AIP-160 (<https://google.aip.dev/160>) as far as lists of
//! things with typed fields need it. Parsed once, then asked of each item.

mod expression;
mod fields;
mod literal;
mod parser;
mod problem;
mod tokens;

use std::time::SystemTime;

use expression::Expression;

use crate::domain::Failure;

/// What can be listed by a filter.
pub(super) trait Listed {
    /// The fields that a filter can name.
    const FIELDS: &'static [Field];

    /// Whether any value of a field passes the test; of a map, any value of that key. A field that
    /// has no value passes none.
    fn any(&self, field: &str, key: &str, test: &mut dyn FnMut(Value<'_>) -> bool) -> bool;
}

/// A field that a filter can name.
#[derive(Debug)]
pub(super) struct Field {
    /// As in the message, or the name of the map in front of the dot.
    name: &'static str,
    kind: Kind,
}

/// What a field holds.
#[derive(Debug)]
enum Kind {
    Text,
    Flag,
    Time,
    /// Texts by name.
    Map,
    /// A value of an enum, with or without the prefix of its names, or with FreeSWITCH's.
    Enum {
        prefix: &'static str,
        /// The prefix of FreeSWITCH's own names of them; empty where it has none.
        wire: &'static str,
        name_of: fn(i32) -> Option<&'static str>,
    },
}

/// A value of an item.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    /// Also the full name of an enum's value.
    Text(&'a str),
    /// True or false.
    Flag(bool),
    /// A moment.
    Time(SystemTime),
}

/// A filter, parsed. The empty one fits everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListFilter(Option<Expression>);

// === impl ListFilter ===

impl ListFilter {
    /// Parses a filter of a list of `T`.
    pub(super) fn of<T: Listed>(text: &str) -> Result<Self, Failure> {
        Self::parse(text, T::FIELDS)
    }

    /// Whether the item is wanted.
    pub(super) fn fits<T: Listed>(&self, item: &T) -> bool {
        self.0
            .as_ref()
            .is_none_or(|expression| expression.fits(item))
    }

    fn parse(text: &str, fields: &'static [Field]) -> Result<Self, Failure> {
        parser::parse(text, fields).map(Self)
    }
}

/// What must hold of any text: it is refused with its place, or survives being printed.
#[cfg(any(test, fuzzing))]
pub fn try_text(text: &str) {
    match ListFilter::of::<crate::tracker::Session>(text) {
        Ok(filter) => {
            let printed = filter.0.as_ref().map(ToString::to_string);
            let again = ListFilter::of::<crate::tracker::Session>(&printed.unwrap_or_default());
            assert_eq!(again.as_ref(), Ok(&filter), "{text:?}");
        }
        Err(failure) => assert_eq!(failure.violations()[0].field, "filter"),
    }
}

#[cfg(test)]
mod tests;

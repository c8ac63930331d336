//! Why a filter is refused.

use std::borrow::Cow;

use crate::domain::Failure;

/// What is wrong with a filter, and where.
#[derive(Debug)]
pub(super) struct Problem {
    /// In bytes; absent when it is about the whole.
    pub(super) at: Option<usize>,
    pub(super) what: Cow<'static, str>,
}

pub(super) type Result<T> = std::result::Result<T, Problem>;

// === impl Problem ===

impl Problem {
    pub(super) fn at(at: usize, what: impl Into<Cow<'static, str>>) -> Self {
        Self {
            at: Some(at),
            what: what.into(),
        }
    }

    /// Columns are counted in characters, from 1.
    pub(super) fn tell(&self, text: &str) -> Failure {
        let column = self.at.map(|at| text[..at].chars().count() + 1);
        let what = match column {
            Some(column) => format!("column {column}: {}", self.what),
            None => self.what.to_string(),
        };
        Failure::invalid("filter", what)
    }
}

//! Which headers of an event are sent.

use std::cmp::Ordering;

use crate::domain::Failure;
use crate::pb;
use crate::pb::header_selection;

/// Most names that one selection may have.
const MAX_NAMES: usize = 256;

/// Which headers of an event are sent. Two that select the same by name are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::grpc) enum Selection {
    /// All.
    All,
    /// None.
    None,
    /// These, in lower case, sorted.
    Names(Box<[String]>),
}

// === impl Selection ===

impl Selection {
    /// Reads a request's.
    ///
    /// # Errors
    /// When it has too many names.
    pub(super) fn parse(selection: Option<pb::HeaderSelection>) -> Result<Self, Failure> {
        Ok(match selection.and_then(|selection| selection.selection) {
            None | Some(header_selection::Selection::All(_)) => Self::All,
            Some(header_selection::Selection::None(_)) => Self::None,
            Some(header_selection::Selection::Names(names)) if names.names.len() > MAX_NAMES => {
                return Err(Failure::invalid(
                    "header_selection.names",
                    format!("has more than {MAX_NAMES} names; select fewer, or all"),
                ));
            }
            Some(header_selection::Selection::Names(names)) => Self::of_names(&names.names),
        })
    }

    pub(super) fn of_names(names: &[String]) -> Self {
        let lower = names.iter().map(|name| name.to_ascii_lowercase());
        let mut names: Vec<String> = lower.collect();
        names.sort_unstable();
        names.dedup();
        match names.is_empty() {
            true => Self::None,
            false => Self::Names(names.into_boxed_slice()),
        }
    }

    /// Whether a header of this name is sent.
    pub(in crate::grpc) fn wants(&self, name: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Names(names) => names
                .binary_search_by(|wanted| compare(wanted.as_bytes(), name))
                .is_ok(),
        }
    }
}

/// How a name in lower case stands to one in any case.
fn compare(lower: &[u8], name: &[u8]) -> Ordering {
    lower
        .iter()
        .copied()
        .cmp(name.iter().map(u8::to_ascii_lowercase))
}

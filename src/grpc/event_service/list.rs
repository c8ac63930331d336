//! ListEvents.

use std::hash::BuildHasher as _;

use foldhash::quality::FixedState;
use prost::Message as _;

use super::super::Services;
use super::super::convert::to_gap_at;
use super::super::page::page_size;
use super::request::{event_filter, parse_cursor};
use super::selection::Selection;
use super::shared::Listed;
use crate::domain::Failure;
use crate::events::Cursor;
use crate::pb;

// === impl Services ===

impl Services {
    pub(super) async fn event_page(
        &self,
        request: pb::ListEventsRequest,
    ) -> Result<Listed, Failure> {
        let max = page_size(request.page_size)?;
        let question = fingerprint(&request);
        let after = match (&*request.page_token, &*request.after_cursor) {
            ("", "") => None,
            ("", cursor) => Some(parse_cursor(cursor, "after_cursor")?),
            (token, _) => Some(position(token, question)?),
        };
        let selection = Selection::parse(request.header_selection)?;
        let filter = event_filter(request.filter.unwrap_or_default())?;
        let needs = filter.events();
        // Looked at first: what comes into force meanwhile is told twice rather than not at all.
        let missing = self.control.unasked(&needs);
        let filter = filter.needing(needs);
        let page = self.control.event_page(filter, after, max).await?;
        // Where the list ends nobody knows what else there would be.
        let missing = missing.filter(|_| !page.has_more);
        let missing = missing.map(|gap| (page.cursor, gap));
        let next_page_token = match page.has_more {
            true => format!("{question:016x}.{}", page.cursor),
            false => String::new(),
        };
        let selected = self.encodings.select(selection);
        Ok(Listed {
            events: self.encodings.of(&selected, &page.events),
            rest: pb::ListEventsResponse {
                events: Vec::new(),
                gaps: page
                    .gaps
                    .iter()
                    .chain(&missing)
                    .map(|(cursor, gap)| to_gap_at(gap, *cursor))
                    .collect(),
                next_page_token,
                cursor: page.cursor.to_string(),
            },
        })
    }
}

/// Where a token goes on; it is good for its own question only.
fn position(token: &str, question: u64) -> Result<Cursor, Failure> {
    let of_question = token
        .split_once('.')
        .filter(|(asked, _)| u64::from_str_radix(asked, 16) == Ok(question))
        .and_then(|(_, cursor)| cursor.parse().ok());
    of_question.ok_or_else(|| {
        Failure::invalid(
            "page_token",
            "is not of this filter, selection and cursor; begin again without one",
        )
    })
}

/// All that must be the same for each page of a list.
fn fingerprint(request: &pb::ListEventsRequest) -> u64 {
    let question = pb::ListEventsRequest {
        page_size: 0,
        page_token: String::new(),
        ..request.clone()
    };
    // No field of it is a map, whose order would be another each time.
    FixedState::default().hash_one(question.encode_to_vec())
}

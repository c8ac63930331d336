//! What a request asks for: which events, and from where on.

use super::super::convert::id;
use crate::domain::{EVENT_NAMES, Failure, IdError, check_event_name};
use crate::events::{Cursor, CursorError, EventFilter, FilterSpec, HeaderMatcher, MAX_MATCHERS};
use crate::pb;
use crate::pb::header_matcher;

/// What FreeSWITCH is asked for when all events are wanted; it is a name for that alone.
const ALL: &str = "ALL";

/// Reads a cursor.
pub(super) fn parse_cursor(cursor: &str, field: &str) -> Result<Cursor, Failure> {
    cursor
        .parse()
        .map_err(|error: CursorError| Failure::invalid(field, error.to_string()))
}

/// Compiles a filter.
pub(super) fn event_filter(filter: pb::EventFilter) -> Result<EventFilter, Failure> {
    for (at, name) in filter.event_names.iter().enumerate() {
        check_filter_name(name)
            .map_err(|problem| Failure::invalid(format!("filter.event_names[{at}]"), problem))?;
    }
    if filter.headers.len() > MAX_MATCHERS {
        return Err(Failure::invalid(
            "filter.headers",
            format!("has more than {MAX_MATCHERS} matchers"),
        ));
    }
    let headers = filter.headers.into_iter().enumerate();
    let spec = FilterSpec {
        names: filter.event_names,
        subclasses: filter.subclasses,
        nodes: ids(&filter.node_ids, "filter.node_ids")?,
        sessions: ids(&filter.session_ids, "filter.session_ids")?,
        calls: ids(&filter.call_ids, "filter.call_ids")?,
        headers: headers
            .map(|(at, matcher)| header_matcher(matcher, at))
            .collect::<Result<_, _>>()?,
    };
    Ok(EventFilter::from(spec))
}

/// A name under which no event ever comes would make silence look like peace.
fn check_filter_name(name: &str) -> Result<(), String> {
    check_event_name(name).map_err(|error| error.to_string())?;
    match name {
        ALL => Err("ALL is the name of no event; leave the names out for all".to_owned()),
        name if EVENT_NAMES.contains(&name) => Ok(()),
        name => Err(format!(
            "{name:?} is no event of FreeSWITCH; write it among the subclasses if it is one of CUSTOM"
        )),
    }
}

fn header_matcher(matcher: pb::HeaderMatcher, at: usize) -> Result<HeaderMatcher, Failure> {
    let invalid = |field: &str, problem: String| {
        Failure::invalid(format!("filter.headers[{at}].{field}"), problem)
    };
    let name = matcher.name;
    if name.is_empty() {
        return Err(invalid("name", "is empty".to_owned()));
    }
    match matcher.test {
        Some(header_matcher::Test::Exact(value)) => Ok(HeaderMatcher::exact(name, value)),
        Some(header_matcher::Test::Prefix(value)) => Ok(HeaderMatcher::prefix(name, value)),
        Some(header_matcher::Test::Regex(pattern)) => HeaderMatcher::regex(name, &pattern)
            .map_err(|error| invalid("regex", error.to_string())),
        Some(header_matcher::Test::Present(is_present)) => {
            Ok(HeaderMatcher::present(name, is_present))
        }
        None => Err(invalid(
            "test",
            "is missing; set exact, prefix, regex or present".to_owned(),
        )),
    }
}

fn ids<T>(texts: &[String], field: &str) -> Result<Vec<T>, Failure>
where
    T: std::str::FromStr<Err = IdError>,
{
    texts
        .iter()
        .enumerate()
        .map(|(at, text)| id(text, &format!("{field}[{at}]")))
        .collect()
}

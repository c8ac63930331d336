//! EventService.

use std::time::Duration;

use tonic::{Request, Response, Status};

use super::Services;
use super::convert::unknown_value;
use super::convert::{HeaderChoice, id, optional_duration, to_event, to_node, to_timestamp};
use super::status::respond;
use super::watch::{Watched, Watching};
use crate::domain::{Failure, IdError};
use crate::events::{
    Entry, EventFilter, FilterSpec, Gap, GapReason, HeaderMatcher, Item, MAX_MATCHERS, SlowPolicy,
    Start, Subscription,
};
use crate::pb;
use crate::pb::event_service_server::EventService;
use crate::pb::{header_matcher, header_selection, subscribe_response, subscribe_start};

/// Shortest silence after which a checkpoint may be asked for.
const MIN_HEARTBEAT: Duration = Duration::from_secs(1);

#[tonic::async_trait]
impl EventService for Services {
    type SubscribeStream = Watching<pb::SubscribeResponse>;

    async fn subscribe(
        &self,
        request: Request<pb::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let deadline = Self::stream_deadline(&request);
        let request = request.into_inner();
        let choice = header_choice(request.header_selection);
        let subscription = self.begin(
            request.filter,
            request.start,
            request.slow_consumer_policy,
            request.heartbeat_interval,
        );
        respond(subscription.map(|subscription| {
            let feed = Feed {
                services: self.clone(),
                subscription,
                choice,
            };
            self.stream(feed, deadline)
        }))
    }

    async fn list_events(
        &self,
        _: Request<pb::ListEventsRequest>,
    ) -> Result<Response<pb::ListEventsResponse>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn publish_event(
        &self,
        _: Request<pb::PublishEventRequest>,
    ) -> Result<Response<pb::PublishEventResponse>, Status> {
        Err(Status::unimplemented("not yet"))
    }
}

/// One stream.
struct Feed {
    services: Services,
    subscription: Subscription,
    choice: HeaderChoice,
}

// === impl Services ===

impl Services {
    fn begin(
        &self,
        filter: Option<pb::EventFilter>,
        start: Option<pb::SubscribeStart>,
        policy: i32,
        heartbeat_interval: Option<prost_types::Duration>,
    ) -> Result<Subscription, Failure> {
        let policy = match pb::SlowConsumerPolicy::try_from(policy) {
            Ok(pb::SlowConsumerPolicy::Unspecified | pb::SlowConsumerPolicy::End) => {
                SlowPolicy::End
            }
            Ok(pb::SlowConsumerPolicy::Gap) => SlowPolicy::Gap,
            Err(_) => return Err(unknown_value("slow_consumer_policy", policy)),
        };
        let silence = optional_duration(heartbeat_interval, "heartbeat_interval")?
            .unwrap_or(self.heartbeat_interval);
        if silence < MIN_HEARTBEAT {
            return Err(Failure::invalid(
                "heartbeat_interval",
                "is shorter than 1 s",
            ));
        }
        let filter = event_filter(filter.unwrap_or_default())?;
        let journal = &self.control.journal;
        Subscription::begin(
            journal,
            filter,
            position(start)?,
            policy,
            self.subscriber_bytes,
            silence,
        )
    }
}

// === impl Feed ===

impl Watched for Feed {
    type Message = pb::SubscribeResponse;

    async fn next(&mut self) -> Result<Option<pb::SubscribeResponse>, Failure> {
        let item = self.subscription.next().await?;
        let mut message = match item {
            Item::Events(entries) => self.events(&entries),
            Item::Other(entry) => self.other(&entry),
            Item::Gap(gap) => subscribe_response::Message::Gap(to_gap(&gap)),
            Item::Checkpoint => subscribe_response::Message::Checkpoint(pb::Checkpoint {}),
        };
        let cursor = self.subscription.cursor().to_string();
        if let subscribe_response::Message::Gap(gap) = &mut message {
            gap.cursor.clone_from(&cursor);
        }
        Ok(Some(pb::SubscribeResponse {
            cursor,
            message: Some(message),
        }))
    }

    fn cursor(&self) -> crate::events::Cursor {
        self.subscription.cursor()
    }
}

impl Feed {
    fn events(
        &self,
        entries: &[(crate::events::Cursor, std::sync::Arc<Entry>)],
    ) -> subscribe_response::Message {
        let events = entries.iter().filter_map(|(cursor, entry)| match &**entry {
            Entry::Event(record) => Some(to_event(record, *cursor, &self.choice)),
            Entry::Gap(_) | Entry::NodeState { .. } => None,
        });
        subscribe_response::Message::Events(pb::EventBatch {
            events: events.collect(),
        })
    }

    fn other(&self, entry: &Entry) -> subscribe_response::Message {
        match entry {
            Entry::Gap(gap) => subscribe_response::Message::Gap(to_gap(gap)),
            Entry::NodeState { node, state } => {
                let mut told = match self.services.control.fleet.node(node) {
                    Ok(node) => to_node(&node, &self.services.control),
                    Err(_) => pb::Node {
                        node_id: node.to_string(),
                        ..pb::Node::default()
                    },
                };
                // What it was then, not what it is by now.
                told.state = super::convert::to_node_state(*state).into();
                subscribe_response::Message::NodeState(told)
            }
            Entry::Event(_) => subscribe_response::Message::Checkpoint(pb::Checkpoint {}),
        }
    }
}

fn event_filter(filter: pb::EventFilter) -> Result<EventFilter, Failure> {
    if filter.headers.len() > MAX_MATCHERS {
        return Err(Failure::invalid(
            "filter.headers",
            format!("has more than {MAX_MATCHERS} matchers"),
        ));
    }
    let headers = filter.headers.into_iter().enumerate();
    Ok(EventFilter::from(FilterSpec {
        names: filter.event_names,
        subclasses: filter.subclasses,
        nodes: ids(&filter.node_ids, "filter.node_ids")?,
        sessions: ids(&filter.session_ids, "filter.session_ids")?,
        calls: ids(&filter.call_ids, "filter.call_ids")?,
        headers: headers
            .map(|(at, matcher)| header_matcher(matcher, at))
            .collect::<Result<_, _>>()?,
    }))
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

fn header_choice(selection: Option<pb::HeaderSelection>) -> HeaderChoice {
    match selection.and_then(|selection| selection.selection) {
        None | Some(header_selection::Selection::All(_)) => HeaderChoice::All,
        Some(header_selection::Selection::None(_)) => HeaderChoice::None,
        Some(header_selection::Selection::Names(names)) => HeaderChoice::Names(
            names
                .names
                .iter()
                .map(|name| name.to_ascii_lowercase())
                .collect(),
        ),
    }
}

fn position(start: Option<pb::SubscribeStart>) -> Result<Start, Failure> {
    Ok(match start.and_then(|start| start.position) {
        None | Some(subscribe_start::Position::Now(_)) => Start::Now,
        Some(subscribe_start::Position::Earliest(_)) => Start::Earliest,
        Some(subscribe_start::Position::Cursor(cursor)) => {
            let cursor = cursor
                .parse()
                .map_err(|error| Failure::invalid("start.cursor", format!("{error}")));
            Start::After(cursor?)
        }
        Some(subscribe_start::Position::Snapshot(_)) => Start::Now,
    })
}

pub(super) fn to_gap(gap: &Gap) -> pb::Gap {
    let reason = match gap.reason {
        GapReason::LinkLost => pb::GapReason::LinkLost,
        GapReason::EventsLost => pb::GapReason::EventsLost,
        GapReason::SlowConsumer => pb::GapReason::SlowConsumer,
        GapReason::JournalOverrun => pb::GapReason::JournalOverrun,
    };
    pb::Gap {
        count: gap.count,
        node_id: gap
            .node
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        reason: reason.into(),
        began: Some(to_timestamp(gap.began)),
        ended: gap.ended.map(to_timestamp),
        cursor: String::new(),
    }
}

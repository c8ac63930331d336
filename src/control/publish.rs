//! Events that clients publish.

use std::sync::Arc;
use std::time::Duration;

use permitted::{CUSTOM, check_name, check_undriven, leads_to_a_channel};

use super::Control;
use crate::domain::{Deadline, Failure, NodeState, Reason};
use crate::esl::sendevent::{
    Unsendable, check_body, check_header_name, check_header_value, check_subclass,
};
use crate::esl::{Command, Outcome, Reply};
use crate::events::{
    Cursor, Entry, EventFilter, EventSet, FilterSpec, HeaderMatcher, Item, SlowPolicy, Start,
    Subscription,
};
use crate::fleet::Node;

mod permitted;

/// Most headers, and bytes of all of them.
const MAX_HEADERS: usize = 256;
const MAX_HEADER_BYTES: usize = 64 << 10;
/// The subscription need not break a silence.
const SILENCE: Duration = Duration::from_secs(3600);

/// Headers that FreeSWITCH sets itself, and those by which an event would be taken for something
/// else: with `Unique-ID` it goes to a channel and not to who listens, with `Job-UUID` it looks like
/// a job's end, and `_body` is the body (`switch_event_base_add_header` in `switch_event.c`).
const RESERVED: [&str; 10] = [
    "Command",
    "Content-Length",
    "Core-UUID",
    "Event-Name",
    "Event-Sequence",
    "Event-Subclass",
    "Event-UUID",
    "Job-UUID",
    "Unique-ID",
    "_body",
];
/// What begins the names of others that FreeSWITCH or the gateway sets.
const RESERVED_PREFIXES: [&str; 4] = [
    "Event-Calling-",
    "Event-Date-",
    "FreeSWITCH-",
    "Switchgate-",
];

/// An event that is to be published, checked.
#[derive(Debug, Clone)]
pub struct Publication {
    name: String,
    command: Command,
    /// The event itself, which has to come back.
    wanted: EventSet,
}

/// An event that was published and has come back.
#[derive(Debug, Clone)]
pub struct Published {
    /// Its `Event-UUID`.
    pub event_uuid: String,
    /// The event in the journal.
    pub entry: Arc<Entry>,
    /// Cursor behind it.
    pub cursor: Cursor,
}

// === impl Publication ===

impl Publication {
    /// Checks an event. An empty name means `CUSTOM`; the headers go in the order in which they are.
    ///
    /// # Errors
    /// INVALID_ARGUMENT with the field.
    pub fn new(
        name: &str,
        subclass: &str,
        headers: &[(String, String)],
        body: &str,
    ) -> Result<Self, Failure> {
        let name = match name {
            "" => CUSTOM,
            name => check_name(name)?,
        };
        let mut all = Vec::with_capacity(headers.len() + 1);
        match (name, subclass) {
            (CUSTOM, "") => {
                let remedy = "name the kind of CUSTOM event, for example acme::order";
                return Err(Failure::missing("subclass", remedy));
            }
            (CUSTOM, subclass) => {
                check_subclass(subclass).map_err(in_field("subclass"))?;
                check_undriven(subclass)?;
                all.push(("Event-Subclass", subclass));
            }
            (_, "") => {}
            (name, _) => {
                let problem = format!("is for CUSTOM events and not for {name}; leave it out");
                return Err(Failure::invalid("subclass", problem));
            }
        }
        check_headers(name, headers)?;
        let headers = headers.iter();
        all.extend(headers.map(|(name, value)| (name.as_str(), value.as_str())));
        check_body(body).map_err(in_field("body"))?;
        let command = Command::sendevent(name, &all, body).map_err(in_field("headers"))?;
        Ok(Self {
            name: name.to_owned(),
            command,
            wanted: EventSet::filtered(
                [name],
                [subclass].into_iter().filter(|text| !text.is_empty()),
            ),
        })
    }
}

fn in_field(field: &str) -> impl Fn(Unsendable) -> Failure {
    move |error| Failure::invalid(field, error.to_string())
}

fn check_headers(event: &str, headers: &[(String, String)]) -> Result<(), Failure> {
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if headers.len() > MAX_HEADERS || bytes > MAX_HEADER_BYTES {
        let problem = format!(
            "are more than {MAX_HEADERS}, or have more than {MAX_HEADER_BYTES} bytes; use the body"
        );
        return Err(Failure::invalid("headers", problem));
    }
    let mut seen = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        let field = format!("headers[{name:?}]");
        let problem = |problem: &str| Failure::invalid(&*field, problem);
        check_header_name(name).map_err(in_field(&field))?;
        if is_reserved(name) {
            return Err(problem(
                "is set by FreeSWITCH or the gateway, or would make something else of the event; use another name",
            ));
        }
        if leads_to_a_channel(event, name) {
            return Err(problem(
                "would take the event to a channel of whatever kind, and FreeSWITCH crashes where it is not one of SIP; leave it out",
            ));
        }
        let lower = name.to_ascii_lowercase();
        if seen.contains(&lower) {
            return Err(problem(
                "is there in another case too; FreeSWITCH makes no difference",
            ));
        }
        seen.push(lower);
        check_header_value(value).map_err(in_field(&field))?;
    }
    Ok(())
}

fn is_reserved(name: &str) -> bool {
    let begins = |prefix: &&str| {
        name.get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    RESERVED
        .iter()
        .any(|reserved| reserved.eq_ignore_ascii_case(name))
        || RESERVED_PREFIXES.iter().any(begins)
}

// === impl Control ===

impl Control {
    /// Publishes an event on a node; proof: the event itself, by its `Event-UUID`.
    ///
    /// # Errors
    /// NODE_UNAVAILABLE when it was not sent, OUTCOME_UNKNOWN when a link was lost before the event
    /// came, DEADLINE_EXCEEDED with the metadata `command_sent`, COMMAND_REJECTED, also when FreeSWITCH
    /// does not send such events to the gateway's user.
    pub async fn publish(
        &self,
        node: &Node,
        publication: &Publication,
        deadline: Deadline,
    ) -> Result<Published, Failure> {
        self.caller.may_use(node.id())?;
        let want = self.wants.want(publication.wanted.clone());
        if deadline.bound(want.in_force()).await.is_none() {
            let message = "the deadline passed before FreeSWITCH was asked to send such events";
            return Err(Failure::new(Reason::DeadlineExceeded, message).node(node.id()));
        }
        let before = self.journal.cursor();
        node.check_hears()?;
        if node.refuses(&publication.wanted) {
            let message = format!(
                "FreeSWITCH does not send {} to the gateway's user, so nothing could prove it; add it to esl-allowed-events of that user",
                publication.wanted,
            );
            return Err(Failure::new(Reason::CommandRejected, message).node(node.id()));
        }
        let reply = node
            .send(publication.command.clone(), None, deadline)
            .await?;
        let event_uuid = event_uuid(&reply).map_err(|failure| failure.node(node.id()))?;
        // The event may be waiting by now.
        node.expect_event();
        let filter = EventFilter::from(FilterSpec {
            names: vec![publication.name.clone()],
            nodes: vec![node.id().clone()],
            headers: vec![HeaderMatcher::exact("Event-UUID", &*event_uuid)],
            ..FilterSpec::default()
        });
        let (start, policy) = (Start::After(before), SlowPolicy::Gap);
        let mut events =
            Subscription::begin(&self.journal, filter, start, policy, u64::MAX, SILENCE)
                .map_err(|_| unseen(node, "the journal was overrun"))?;
        let seen = deadline.bound(seen(&mut events, node)).await;
        let (cursor, entry) = seen.unwrap_or_else(|| {
            let message = "the event was published, but the deadline passed before it came";
            Err(Failure::new(Reason::DeadlineExceeded, message)
                .node(node.id())
                .with("command_sent", true))
        })?;
        Ok(Published {
            event_uuid,
            entry,
            cursor,
        })
    }
}

/// Waits for the event.
async fn seen(events: &mut Subscription, node: &Node) -> Result<(Cursor, Arc<Entry>), Failure> {
    loop {
        match events.next().await? {
            Item::Events(mut found) if !found.is_empty() => return Ok(found.swap_remove(0)),
            Item::Events(_) | Item::Checkpoint => {}
            Item::Other(entry) => {
                if let Entry::NodeState {
                    state: NodeState::Down | NodeState::Removed,
                    ..
                } = &*entry
                {
                    return Err(unseen(node, "the link to the node was lost"));
                }
            }
            Item::Gap(_) => return Err(unseen(node, "the journal was overrun")),
        }
    }
}

fn unseen(node: &Node, why: &str) -> Failure {
    let message = format!("the event was published, but cannot be seen: {why}");
    Failure::new(Reason::OutcomeUnknown, message).node(node.id())
}

fn event_uuid(reply: &Reply) -> Result<String, Failure> {
    match reply.outcome() {
        Outcome::Ok(uuid) => Ok(uuid.trim().to_owned()),
        _ => {
            let text = reply.text();
            let message = format!("FreeSWITCH refused sendevent: {}", text.trim_end());
            Err(Failure::new(Reason::CommandRejected, message).reply(&text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, subclass: &str, header: (&str, &str), body: &str) -> Option<String> {
        let headers = [(header.0.to_owned(), header.1.to_owned())];
        let refused = Publication::new(name, subclass, &headers, body).err()?;
        Some(refused.violations()[0].field.clone())
    }

    #[test]
    fn what_is_wrong_is_told_by_its_field() {
        let long = "x".repeat(70_000);
        let good = ("X", "y");
        for (name, subclass, header, body, expected) in [
            ("", "a::b", good, "", None),
            ("NOTIFY", "", ("Content-Type", "text/plain"), "x", None),
            ("", "", good, "", Some("subclass")),
            ("CUSTOM", "a b", good, "", Some("subclass")),
            ("CUSTOM", "a\n", good, "", Some("subclass")),
            ("CUSTOM", &*long, good, "", Some("subclass")),
            ("MESSAGE", "a", good, "", Some("subclass")),
            ("custom", "a", good, "", Some("name")),
            ("acme", "", good, "", Some("name")),
            ("HEARTBEAT", "", good, "", Some("name")),
            ("CHANNEL_HANGUP", "", good, "", Some("name")),
            (
                "DEL_SCHEDULE",
                "",
                ("Task-ID", "0 or 1=1"),
                "",
                Some("name"),
            ),
            ("", "MULTICAST::event", good, "", Some("subclass")),
            ("", "a", ("uuid", "x"), "", None),
            ("NOTIFY", "", ("UUID", "x"), "", Some("headers[\"UUID\"]")),
            ("", "a", good, "a\0", Some("body")),
            ("", "a", good, &*long, Some("body")),
            ("", "a", ("X", &*long), "", Some("headers")),
            ("", "a", ("", "x"), "", Some("headers[\"\"]")),
            ("", "a", ("a:b", "x"), "", Some("headers[\"a:b\"]")),
            ("", "a", ("a[0]", "x"), "", Some("headers[\"a[0]\"]")),
            ("", "a", ("X", ""), "", Some("headers[\"X\"]")),
            ("", "a", ("X", "a\nb"), "", Some("headers[\"X\"]")),
            ("", "a", ("X", "%41"), "", Some("headers[\"X\"]")),
            (
                "",
                "a",
                ("unique-ID", "x"),
                "",
                Some("headers[\"unique-ID\"]"),
            ),
            (
                "",
                "a",
                ("event-date-gmt", "x"),
                "",
                Some("headers[\"event-date-gmt\"]"),
            ),
            ("", "a", ("_body", "x"), "", Some("headers[\"_body\"]")),
        ] {
            let told = field(name, subclass, header, body);
            assert_eq!(
                told.as_deref(),
                expected,
                "{name} {subclass:.9} {header:.9?}"
            );
        }
    }

    #[test]
    fn two_headers_that_differ_by_case_alone_are_refused() {
        let headers = [("X", "1"), ("x", "2")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert!(Publication::new("", "a", &headers, "").is_err());
    }
}

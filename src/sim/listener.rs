//! What a connection has subscribed to, and its queue.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::event::{Event, Format};
use super::fault::LinkFault;
use super::names::{EventKind, KindSet};

/// Events that wait for one listener (`MAX_QUEUE_LEN` in `mod_event_socket.c`).
pub(super) const QUEUE_EVENTS: usize = 100_000;

/// Events lost in a row after which FreeSWITCH closes the listener (`MAX_MISSED`).
const MAX_LOST: u32 = 500;

/// What waits in a listener's queue.
#[derive(Debug)]
pub(super) enum Item {
    /// An event, rendered in the listener's format when it is taken out.
    Event(Arc<Event>),
    /// A `log/data` frame.
    Log(Bytes),
}

/// A filter (`filter <header> <value>`): a value may begin with `+`, `-` and spaces.
#[derive(Debug)]
struct Filter {
    header: String,
    value: String,
}

/// What a connection wants to hear. The connection's task changes it; whoever fires an event reads
/// it; it ends with the connection.
#[derive(Debug)]
pub(super) struct Listener {
    /// Whether events were asked for at all.
    pub(super) listening: bool,
    /// The kinds asked for.
    pub(super) kinds: KindSet,
    /// The subclasses of `CUSTOM` asked for.
    pub(super) subclasses: BTreeSet<String>,
    /// The format asked for last.
    pub(super) format: Format,
    /// Level of `log`, if asked for.
    pub(super) log_level: Option<u8>,
    /// The one channel that `myevents` watches.
    pub(super) mine: Option<String>,
    filters: Vec<Filter>,
    queue: mpsc::Sender<Item>,
    lost_in_row: u32,
    /// Fired when the listener is closed for having lost too much.
    pub(super) closed: CancellationToken,
    /// What the connection suffers from.
    pub(super) fault: watch::Sender<LinkFault>,
}

// === impl Listener ===

impl Listener {
    /// A listener that wants nothing yet, and the receiving end of its queue.
    pub(super) fn new(fault: &LinkFault) -> (Self, mpsc::Receiver<Item>) {
        let (queue, items) = mpsc::channel(QUEUE_EVENTS);
        let listener = Self {
            listening: false,
            kinds: KindSet::default(),
            subclasses: BTreeSet::new(),
            format: Format::Plain,
            log_level: None,
            mine: None,
            filters: Vec::new(),
            queue,
            lost_in_row: 0,
            closed: CancellationToken::new(),
            fault: watch::Sender::new(fault.clone()),
        };
        (listener, items)
    }

    /// Whether this event is for this listener (`event_handler` in `mod_event_socket.c`).
    pub(super) fn wants(&self, event: &Event) -> bool {
        if !self.listening || !self.kinds.contains(event.kind) {
            return false;
        }
        if let (EventKind::Custom, Some(subclass), false) =
            (event.kind, &event.subclass, self.kinds.is_all())
            && !self.subclasses.contains(subclass)
        {
            return false;
        }
        if !self.filters.is_empty() && !self.passes_filters(event) {
            return false;
        }
        match &self.mine {
            Some(uuid) => {
                event.get("Unique-ID") == Some(uuid) || event.get("Job-Owner-UUID") == Some(uuid)
            }
            None => true,
        }
    }

    /// Any positive filter that matches lets the event pass; a negative one that matches stops it.
    fn passes_filters(&self, event: &Event) -> bool {
        let mut pass = false;
        for filter in &self.filters {
            let Some(value) = event.get(&filter.header) else {
                continue;
            };
            let wanted = filter.value.trim_start_matches(['+', '-', ' ']);
            let marks = &filter.value[..filter.value.len() - wanted.len()];
            let positive = marks
                .rfind(['+', '-'])
                .is_none_or(|at| marks.as_bytes()[at] == b'+');
            if pass && positive {
                continue;
            }
            if matches_value(value, wanted) {
                if !positive {
                    return false;
                }
                pass = true;
            }
        }
        pass
    }

    /// Adds a filter.
    pub(super) fn add_filter(&mut self, header: &str, value: &str) {
        self.filters.push(Filter {
            header: header.to_owned(),
            value: value.to_owned(),
        });
    }

    /// Takes filters out: all, those of a header, or one header's with this value.
    pub(super) fn delete_filters(&mut self, header: &str, value: Option<&str>) {
        self.filters.retain(|filter| {
            let same = header.eq_ignore_ascii_case("all")
                || (filter.header.eq_ignore_ascii_case(header)
                    && value.is_none_or(|value| filter.value == value));
            !same
        });
    }

    /// Queues an item. A full queue loses it; too many lost in a row close the listener.
    pub(super) fn push(&mut self, item: Item) {
        match self.queue.try_send(item) {
            Ok(()) => self.lost_in_row = 0,
            Err(_) => {
                self.lost_in_row += 1;
                if self.lost_in_row > MAX_LOST {
                    self.closed.cancel();
                }
            }
        }
    }
}

/// A value that begins with `/` is a regular expression in FreeSWITCH; here it is a substring,
/// with anchors, which is what such filters are used for.
fn matches_value(value: &str, wanted: &str) -> bool {
    match wanted
        .strip_prefix('/')
        .map(|rest| rest.trim_end_matches('/'))
    {
        Some(pattern) => {
            let middle = pattern.trim_start_matches('^').trim_end_matches('$');
            match (pattern.starts_with('^'), pattern.ends_with('$')) {
                (true, true) => value == middle,
                (true, false) => value.starts_with(middle),
                (false, true) => value.ends_with(middle),
                (false, false) => value.contains(middle),
            }
        }
        None => value.eq_ignore_ascii_case(wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(filters: &[(&str, &str)]) -> (Listener, mpsc::Receiver<Item>) {
        let (mut listener, items) = Listener::new(&LinkFault::default());
        listener.listening = true;
        listener.kinds.insert(EventKind::Park);
        for (header, value) in filters {
            listener.add_filter(header, value);
        }
        (listener, items)
    }

    #[test]
    fn filters_pass_on_any_match_and_stop_on_a_negative_one() {
        let event = Event::new(EventKind::Park)
            .with("Unique-ID", "a")
            .with("X", "abc");
        for (filters, passes) in [
            (&[][..], true),
            (&[("unique-id", "A")], true),
            (&[("unique-id", "b")], false),
            (&[("unique-id", "b"), ("x", "/^ab/")], true),
            (&[("x", "abc"), ("unique-id", "-a")], false),
        ] {
            assert_eq!(listener(filters).0.wants(&event), passes, "{filters:?}");
        }
    }

    #[test]
    fn a_listener_that_loses_too_much_is_closed() {
        let (mut listener, _items) = listener(&[]);
        let event = Arc::new(Event::new(EventKind::Park));
        for _ in 0..QUEUE_EVENTS + 500 {
            listener.push(Item::Event(Arc::clone(&event)));
        }
        assert!(!listener.closed.is_cancelled());
        listener.push(Item::Event(event));
        assert!(listener.closed.is_cancelled());
    }
}

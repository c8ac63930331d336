//! Appends events as fast as the slowest subscriber takes them, on a thread named `source`.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use switchgate::domain::{CallId, SessionId};
use switchgate::esl::Event;
use switchgate::events::{Entry, Journal, Record};

use crate::corpus::{find, header};
use crate::counter::Counters;

/// Events appended before the slowest subscriber is looked at again.
pub(crate) const BURST: u64 = 64;
const STAMP: &[u8] = b"\nEvent-Date-Timestamp: ";

/// Events to append, again and again.
#[derive(Debug, Clone)]
pub(crate) struct Templates {
    templates: Vec<Template>,
}

#[derive(Debug, Clone)]
struct Template {
    bytes: Bytes,
    session: SessionId,
    call: CallId,
    /// Where the digits of the time stamp are.
    stamp: std::ops::Range<usize>,
}

// === impl Templates ===

impl Templates {
    pub(crate) fn new(events: Vec<Vec<u8>>) -> Result<Self> {
        let templates = events.into_iter().map(|event| {
            let session = header(&event, "Unique-ID").context("no session")?;
            let stamp = find(&event, STAMP).context("no time")? + STAMP.len();
            let digits = event[stamp..]
                .iter()
                .take_while(|byte| byte.is_ascii_digit());
            Ok(Template {
                session: session.parse()?,
                call: session.parse()?,
                stamp: stamp..stamp + digits.count(),
                bytes: event.into(),
            })
        });
        Ok(Self {
            templates: templates.collect::<Result<_>>()?,
        })
    }

    fn at(&self, position: u64) -> &Template {
        let at = position % self.templates.len() as u64;
        &self.templates[at as usize]
    }

    /// The event, read as a link reads it: out of bytes that came, without a copy.
    pub(crate) fn event(&self, position: u64) -> Result<Event> {
        Ok(Event::parse(self.at(position).bytes.clone())?)
    }

    /// The event with the present time, as it stands on the wire.
    pub(crate) fn bytes_of_now(&self, position: u64) -> Result<Bytes> {
        let template = self.at(position);
        let mut bytes = template.bytes.to_vec();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let digits = format!("{:0>1$}", now.as_micros(), template.stamp.len());
        bytes[template.stamp.clone()].copy_from_slice(digits.as_bytes());
        Ok(bytes.into())
    }

    pub(crate) fn len(&self) -> u64 {
        self.templates.len() as u64
    }

    /// As a node does.
    pub(crate) fn append(&self, journal: &Journal, event: Event, position: u64) -> Result<()> {
        let template = self.at(position);
        journal.append(Entry::Event(Record {
            node: crate::NODE.parse()?,
            event,
            session: Some(template.session.clone()),
            call: Some(template.call.clone()),
            job: None,
            synthetic: false,
            owners: Default::default(),
        }));
        Ok(())
    }
}

/// Gives `send` one position after the other, `window` ahead of the slowest subscriber, until the
/// run is over.
pub(crate) fn run(
    counters: &Arc<Counters>,
    window: u64,
    mut send: impl FnMut(u64) -> Result<()> + Send + 'static,
) -> Result<()> {
    let counters = Arc::clone(counters);
    // To look at a thousand subscribers takes a while itself.
    let pause = Duration::from_micros(50 + 2 * counters.subscribers() as u64);
    std::thread::Builder::new()
        .name("source".to_owned())
        .spawn(move || {
            let mut position = 0;
            while !counters.is_over() {
                if position + BURST > counters.least() + window {
                    std::thread::sleep(pause);
                    continue;
                }
                for _ in 0..BURST {
                    if let Err(error) = send(position) {
                        counters.fail(&format!("the source: {error:#}"));
                        return;
                    }
                    position += 1;
                }
            }
        })?;
    Ok(())
}

/// Gives `send` so many positions per second, until the run is over.
pub(crate) fn steady(
    counters: &Arc<Counters>,
    rate: f64,
    mut send: impl FnMut(u64) -> Result<()> + Send + 'static,
) -> Result<()> {
    let counters = Arc::clone(counters);
    std::thread::Builder::new()
        .name("source".to_owned())
        .spawn(move || {
            let (began, mut position) = (Instant::now(), 0);
            while !counters.is_over() {
                let due = (began.elapsed().as_secs_f64() * rate) as u64;
                while position < due {
                    if let Err(error) = send(position) {
                        counters.fail(&format!("the source: {error:#}"));
                        return;
                    }
                    position += 1;
                }
                std::thread::sleep(Duration::from_micros(500));
            }
        })?;
    Ok(())
}

/// Waits until it is so.
pub(crate) fn until(mut is_so: impl FnMut() -> Result<bool>, what: &str) -> Result<()> {
    let began = Instant::now();
    while !is_so()? {
        anyhow::ensure!(began.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

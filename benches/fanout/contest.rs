//! One contender at a time delivers events to so many subscribers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use prost::Message as _;
use switchgate::config::Size;
use tokio::runtime::Runtime;
use tokio::sync::broadcast;

use crate::counter::Counters;
use crate::gateway::Gateway;
use crate::machine::{cpu_of_process, cpu_of_threads, runtime};
use crate::message::{Event, Response};
use crate::nats::Nats;
use crate::source::{Templates, until};
use crate::{lean_client, source, streams};

/// How long the connections run in before anything is counted.
const WARM_UP: Duration = Duration::from_millis(800);
/// What the broadcast channel holds: more than any window.
const CHANNEL: usize = 4096;

/// Who delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Contender {
    Gateway,
    /// A tonic stream of messages that are made before; as many events in each.
    Bare,
    Nats,
    /// `tokio::sync::broadcast` and tonic.
    Broadcast,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) deliveries_per_second: f64,
    /// CPU of the server for each delivery.
    pub(crate) cpu: Duration,
    /// CPU of the source for each event.
    pub(crate) source_cpu: Duration,
    pub(crate) bytes: f64,
    /// Events in a message.
    pub(crate) batch: f64,
}

/// How it is done.
#[derive(Debug, Clone)]
pub(crate) struct Contest {
    pub(crate) templates: Templates,
    pub(crate) connections: usize,
    pub(crate) span: Duration,
}

/// A server of its own threads, or of its own process, with its subscribers.
struct Running {
    cpu: Box<dyn Fn() -> Duration>,
    stop: Box<dyn FnOnce() -> Result<()>>,
}

// === impl Contender ===

impl Contender {
    pub(crate) const ALL: [Self; 4] = [Self::Gateway, Self::Bare, Self::Nats, Self::Broadcast];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Bare => "bare tonic",
            Self::Nats => "nats-server",
            Self::Broadcast => "broadcast",
        }
    }
}

// === impl Contest ===

impl Contest {
    /// `batch` is how many events the bare stream puts into a message.
    pub(crate) fn run(
        &self,
        contender: Contender,
        subscribers: usize,
        batch: usize,
    ) -> Result<Measured> {
        let counters = Arc::new(Counters::new(subscribers));
        let running = match contender {
            Contender::Gateway => self.gateway(&counters, subscribers)?,
            Contender::Bare => self.bare(&counters, subscribers, batch)?,
            Contender::Nats => self.nats(&counters, subscribers)?,
            Contender::Broadcast => self.broadcast(&counters, subscribers)?,
        };
        std::thread::sleep(WARM_UP);
        let (began, cpu, source_cpu) = (Instant::now(), (running.cpu)(), cpu_of_threads("source"));
        let (deliveries, least) = (counters.deliveries(), counters.least());
        let (bytes, messages) = (counters.bytes(), counters.messages());
        std::thread::sleep(self.span);
        let elapsed = began.elapsed();
        let deliveries = counters.deliveries() - deliveries;
        let events = (counters.least() - least).max(1);
        let cpu = (running.cpu)().saturating_sub(cpu);
        let source_cpu = cpu_of_threads("source").saturating_sub(source_cpu);
        let messages = (counters.messages() - messages).max(1);
        let bytes = counters.bytes() - bytes;
        if let Some(failure) = counters.failure() {
            bail!(
                "{} with {subscribers} subscribers: {failure}",
                contender.name()
            );
        }
        counters.end();
        (running.stop)()?;
        let each = |span: Duration, count: u64| span.div_f64(count.max(1) as f64);
        Ok(Measured {
            deliveries_per_second: deliveries as f64 / elapsed.as_secs_f64(),
            cpu: each(cpu, deliveries),
            source_cpu: each(source_cpu, events),
            bytes: bytes as f64 / deliveries.max(1) as f64,
            batch: deliveries as f64 / messages as f64,
        })
    }

    fn gateway(&self, counters: &Arc<Counters>, subscribers: usize) -> Result<Running> {
        let threads = runtime("gateway")?;
        let mut config = Gateway::config(&[])?;
        config.events.journal_bytes = Size::from_mib(64);
        config.events.subscriber_bytes = Size::from_mib(64);
        config.sessions.history_bytes = Size::from_mib(16);
        let gateway = threads.block_on(Gateway::start(&config))?;
        lean_client::subscribe(gateway.address, subscribers, self.connections, counters)?;
        until(|| started(counters), "all subscribers have begun")?;
        let (templates, journal) = (self.templates.clone(), Arc::clone(&gateway.control.journal));
        source::run(counters, window(subscribers), move |position| {
            templates.append(&journal, templates.event(position)?, position)
        })?;
        Ok(Running::threads("gateway", threads, |threads| {
            threads.block_on(gateway.stop())
        }))
    }

    fn bare(&self, counters: &Arc<Counters>, subscribers: usize, batch: usize) -> Result<Running> {
        let threads = runtime("bare")?;
        let messages = self.messages(batch)?;
        let served = threads.block_on(async { streams::serve_bare(messages) })?;
        lean_client::subscribe(served.address, subscribers, self.connections, counters)?;
        until(|| started(counters), "all subscribers have begun")?;
        Ok(Running::threads("bare", threads, move |_| {
            drop(served);
            Ok(())
        }))
    }

    /// The same events, so many in a message.
    fn messages(&self, batch: usize) -> Result<Vec<Bytes>> {
        let batch = batch.max(1) as u64;
        // As many messages as make every event occur.
        let count = self.templates.len().div_ceil(batch);
        let message = |nth: u64| {
            let events = (nth * batch..(nth + 1) * batch)
                .map(|position| Ok(Event::decode(&self.templates.event(position)?, position)));
            let events = events.collect::<Result<Vec<_>>>()?;
            Ok(Response::of(events).encode_to_vec().into())
        };
        (0..count).map(message).collect()
    }

    fn nats(&self, counters: &Arc<Counters>, subscribers: usize) -> Result<Running> {
        let nats = Nats::start()?;
        nats.subscribe(subscribers, self.connections, counters)?;
        until(|| started(counters), "all subscribers have begun")?;
        let payloads = (0..self.templates.len()).map(|position| {
            let event = Event::decode(&self.templates.event(position)?, position);
            Ok(event.encode_to_vec())
        });
        let payloads: Vec<Vec<u8>> = payloads.collect::<Result<_>>()?;
        let mut publisher = nats.publisher()?;
        source::run(counters, window(subscribers), move |position| {
            publisher.add(&payloads[position as usize % payloads.len()])?;
            match (position + 1) % source::BURST {
                0 => publisher.flush(),
                _ => Ok(()),
            }
        })?;
        let pid = nats.pid();
        Ok(Running {
            cpu: Box::new(move || cpu_of_process(pid)),
            stop: Box::new(move || {
                drop(nats);
                Ok(())
            }),
        })
    }

    fn broadcast(&self, counters: &Arc<Counters>, subscribers: usize) -> Result<Running> {
        let threads = runtime("broadcast")?;
        let (events, _) = broadcast::channel(CHANNEL);
        let served = threads.block_on(async { streams::serve_broadcast(&events) })?;
        lean_client::subscribe(served.address, subscribers, self.connections, counters)?;
        until(|| started(counters), "all subscribers have begun")?;
        let templates = self.templates.clone();
        source::run(counters, window(subscribers), move |position| {
            let event = templates.event(position)?;
            events
                .send((position, event))
                .ok()
                .context("nobody listens")?;
            Ok(())
        })?;
        Ok(Running::threads("broadcast", threads, move |_| {
            drop(served);
            Ok(())
        }))
    }
}

// === impl Running ===

impl Running {
    fn threads(
        name: &'static str,
        threads: Runtime,
        stop: impl FnOnce(&Runtime) -> Result<()> + 'static,
    ) -> Self {
        Self {
            cpu: Box::new(move || cpu_of_threads(name)),
            stop: Box::new(move || {
                let stopped = stop(&threads);
                threads.shutdown_timeout(Duration::from_secs(5));
                stopped
            }),
        }
    }
}

/// How far ahead of the slowest the source may be: enough to keep one subscriber busy, little enough
/// for what waits for a thousand.
fn window(subscribers: usize) -> u64 {
    match subscribers {
        ..100 => 2048,
        _ => 512,
    }
}

fn started(counters: &Counters) -> Result<bool> {
    match counters.failure() {
        Some(failure) => bail!("{failure}"),
        None => Ok(counters.have_all_started()),
    }
}

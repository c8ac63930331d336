//! What a client sees meanwhile: how late events come, and how long a verb takes.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use switchgate::pb;
use switchgate::pb::event_service_client::EventServiceClient;
use switchgate::pb::session_service_client::SessionServiceClient;
use switchgate::pb::subscribe_response::Message;
use tonic::transport::{Channel, Endpoint};

/// Between two verbs of the one caller.
const PAUSE: Duration = Duration::from_millis(5);

/// Runs until the process ends.
pub(crate) struct Probes {
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    events: Vec<Duration>,
    synthetic: usize,
    verbs: Vec<Duration>,
    refused: usize,
}

// === impl Probes ===

impl Probes {
    /// Follows all events, and answers one session after the other.
    pub(crate) async fn start(address: SocketAddr, sessions: HashSet<String>) -> Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        let seen = Arc::<Mutex<Seen>>::default();
        let (channel, told) = (endpoint.connect().await?, Arc::clone(&seen));
        let (first_tx, first_rx) = tokio::sync::oneshot::channel();
        let mut first_tx = Some(first_tx);
        tokio::spawn(async move {
            let began = || first_tx.take().map(|first| first.send(()));
            let result = follow(channel, &told, began).await;
            println!("the subscription ended: {result:?}");
        });
        first_rx.await?;
        let (channel, done) = (endpoint.connect().await?, Arc::clone(&seen));
        tokio::spawn(answer(channel, sessions, done));
        Ok(Self { seen })
    }

    /// Begins anew.
    pub(crate) fn forget(&self) {
        *lock(&self.seen) = Seen::default();
    }

    pub(crate) fn report(&self, when: &str) {
        let mut seen = std::mem::take(&mut *lock(&self.seen));
        println!(
            "{when:>12}: events {}; {} synthetic; Answer of another session {}; {} refused as unavailable",
            quantiles(&mut seen.events),
            seen.synthetic,
            quantiles(&mut seen.verbs),
            seen.refused,
        );
    }
}

async fn follow<T>(
    channel: Channel,
    seen: &Mutex<Seen>,
    mut began: impl FnMut() -> T,
) -> Result<()> {
    let mut client = EventServiceClient::new(channel);
    let request = pb::SubscribeRequest {
        header_selection: Some(pb::HeaderSelection {
            selection: Some(pb::header_selection::Selection::None(pb::NoHeaders {})),
        }),
        ..pb::SubscribeRequest::default()
    };
    let mut stream = client.subscribe(request).await?.into_inner();
    while let Some(response) = stream.message().await? {
        began();
        let Some(Message::Events(batch)) = response.message else {
            continue;
        };
        let now = SystemTime::now();
        let mut seen = lock(seen);
        for event in batch.events {
            if event.synthetic {
                seen.synthetic += 1;
            } else if let Some(time) = event.time
                && let Ok(time) = SystemTime::try_from(time)
            {
                let late = now.duration_since(time).unwrap_or_default();
                seen.events.push(late);
            }
        }
    }
    Ok(())
}

async fn answer(channel: Channel, sessions: HashSet<String>, seen: Arc<Mutex<Seen>>) {
    let mut client = SessionServiceClient::new(channel);
    for session_id in sessions {
        let request = pb::AnswerRequest {
            session_id,
            ..pb::AnswerRequest::default()
        };
        let began = Instant::now();
        let result = client.answer(request).await;
        let took = began.elapsed();
        {
            let mut seen = lock(&seen);
            match result {
                Ok(_) => seen.verbs.push(took),
                // It ended meanwhile, or there is no link.
                Err(_) => seen.refused += 1,
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn quantiles(samples: &mut [Duration]) -> String {
    samples.sort_unstable();
    let at = |share: f64| {
        let last = samples.len().saturating_sub(1);
        let at = (last as f64 * share).round() as usize;
        super::millis(samples.get(at).copied().unwrap_or_default())
    };
    format!(
        "p50 {} p99 {} max {} ({})",
        at(0.5),
        at(0.99),
        at(1.0),
        samples.len()
    )
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

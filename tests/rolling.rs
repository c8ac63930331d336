//! A rolling restart of two gateways on one simulated FreeSWITCH under 50 calls a second: a client
//! that retries what may be retried sees no failed call, none is placed twice, and a subscriber that
//! moves along sees the end of each.
//!
//! `SWITCHGATE_ROLLING_ROUNDS` says how often both are restarted, twice when unset.
//! `cargo test --test it rolling -- --nocapture --test-threads 1` tells the figures.

mod client;
mod subscriber;

use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use switchgate::app::App;
use switchgate::config::{Config, NodeAddress, NodeConfig};
use switchgate::domain::NodeState;
use switchgate::pb;
use switchgate::shutdown::Drain;
use switchgate::sim::{Sim, SimConfig};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::client::Client;
use self::subscriber::{Start, Subscriber};
use crate::faults::{SLACK, until};
use crate::gateway::{code_and_reason, test_config, within};
use crate::raw_link::RawLink;

/// 50 calls a second.
const PACE: Duration = Duration::from_millis(20);
/// How long a gateway serves between two restarts of the other one.
const QUIET: Duration = Duration::from_millis(500);
const ENDPOINT: &str = "sim/ring_answer?ring=200ms";

/// One gateway of the two, which comes back at the same address.
struct Replica {
    config: Config,
    stop: Option<oneshot::Sender<()>>,
    app: Option<JoinHandle<bool>>,
}

/// How long calls took, and when each was done.
#[derive(Default)]
struct Figures {
    took: Vec<Duration>,
    done: Vec<Instant>,
}

/// What was seen beside that no call failed.
#[derive(Debug)]
struct Rolled {
    /// Of each stop, whether all was done within the grace period.
    in_time: Vec<bool>,
    retries: BTreeMap<String, usize>,
}

// === impl Rolled ===

impl Rolled {
    fn retried(&self, why: &str) -> usize {
        let retries = self.retries.iter().filter(|(told, _)| told.contains(why));
        retries.map(|(_, times)| times).sum()
    }
}

// === impl Replica ===

impl Replica {
    async fn start(node: SocketAddr, tune: impl FnOnce(&mut Config)) -> Self {
        let mut config = test_config();
        config.admin.enabled = false;
        let name = "sim-0".parse().unwrap();
        config
            .nodes
            .push(NodeConfig::new(name, NodeAddress::from(node), "ClueCon"));
        config.shutdown.delay = Duration::from_millis(200);
        config.shutdown.grace = Duration::from_secs(5);
        tune(&mut config);
        let mut replica = Self {
            config,
            stop: None,
            app: None,
        };
        replica.run().await;
        replica
    }

    fn address(&self) -> SocketAddr {
        self.config.grpc.listen
    }

    /// Serves; its node is in service when this returns, as a readiness probe would have it.
    async fn run(&mut self) {
        let app = App::build(&self.config).await.unwrap();
        self.config.grpc.listen = app.address().unwrap();
        let fleet = Arc::clone(&app.control().fleet);
        let (stop_tx, stop_rx) = oneshot::channel::<()>();
        self.stop = Some(stop_tx);
        self.app = Some(Drain::new().spawn(app.run(async move {
            let _ = stop_rx.await;
        })));
        for node in fleet.nodes() {
            within(node.reached(NodeState::Ready)).await;
        }
    }

    /// Says whether all was done within the grace period.
    async fn stop(&mut self) -> bool {
        let _ = self.stop.take().unwrap().send(());
        within(self.app.take().unwrap()).await.unwrap()
    }
}

// === impl Figures ===

impl Figures {
    fn quantile(&self, of: f64) -> Duration {
        let mut took = self.took.clone();
        took.sort_unstable();
        let at = (took.len() as f64 * of) as usize;
        took[at.min(took.len() - 1)]
    }

    /// The longest time without a call that came about.
    fn longest_gap(&self) -> Duration {
        let mut done = self.done.clone();
        done.sort_unstable();
        let gaps = done.windows(2).map(|pair| pair[1] - pair[0]);
        gaps.max().unwrap_or_default()
    }
}

/// The legs that FreeSWITCH has made, by id, as it tells a link that no gateway has.
async fn count_legs(sim: &Sim) -> (Arc<Mutex<HashMap<String, usize>>>, JoinHandle<()>) {
    let mut link = RawLink::to_sim(sim, "auth ClueCon").await;
    let asked = link.ask("event plain CHANNEL_CREATE HEARTBEAT").await;
    assert!(asked.starts_with("+OK"), "{asked}");
    let legs = Arc::new(Mutex::new(HashMap::new()));
    let counted = Arc::clone(&legs);
    let task = Drain::new().spawn(async move {
        loop {
            let event = link.event().await;
            if event.get("Event-Name") == "CHANNEL_CREATE" {
                let id = event.get("Unique-ID").to_owned();
                *counted.lock().unwrap().entry(id).or_default() += 1;
            }
        }
    });
    (legs, task)
}

/// Waits for a count, and says what it is where it never comes to that.
async fn until_equal(wanted: usize, count: impl Fn() -> usize) {
    let reached = tokio::time::timeout(SLACK, until(|| count() >= wanted)).await;
    assert!(reached.is_ok(), "{} of {wanted}", count());
}

/// One call from its beginning to its end; gives its session and how long it took to be placed.
async fn call(client: Arc<Client>, at: usize) -> Result<(String, Duration, Instant), String> {
    let began = Instant::now();
    let request_id = uuid::Uuid::new_v4().to_string();
    let request = pb::OriginateRequest {
        endpoints: vec![ENDPOINT.to_owned()],
        request_id: request_id.clone(),
        ..Default::default()
    };
    let placed = client
        .call(at, "Originate", move |mut sessions| {
            let request = request.clone();
            async move { sessions.originate(request).await }
        })
        .await
        .map_err(|status| format!("Originate: {status:?}"))?;
    let (took, done) = (began.elapsed(), Instant::now());
    let session_id = placed.session.unwrap().session_id;
    let request = pb::HangupRequest {
        session_id: session_id.clone(),
        request_id: format!("{request_id}-end"),
        ..Default::default()
    };
    let ended = client.call(at, "Hangup", move |mut sessions| {
        let request = request.clone();
        async move { sessions.hangup(request).await }
    });
    match ended.await {
        Ok(ended) => assert!(ended.session.unwrap().hangup.is_some()),
        // A try whose answer was lost has done it: nobody else hangs up here.
        Err(status) if code_and_reason(&status).1 == "SESSION_ENDED" => {}
        Err(status) => return Err(format!("Hangup: {status:?}")),
    }
    Ok((session_id, took, done))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_retries_sees_no_failed_call_over_a_rolling_restart() {
    let rolled = roll(|_| {}).await;
    assert!(rolled.in_time.iter().all(|in_time| *in_time), "{rolled:?}");
    // There was time for every call.
    assert_eq!(rolled.retried("SHUTTING_DOWN"), 0, "{rolled:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_where_calls_ring_longer_than_the_grace_period() {
    let rolled = roll(|config| {
        config.shutdown.grace = config.shutdown.delay + Duration::from_millis(50);
    })
    .await;
    assert!(rolled.retried("Originate SHUTTING_DOWN") > 0, "{rolled:?}");
}

/// Restarts both while calls are placed, and sees that each came about, once, and ended.
async fn roll(tune: impl Fn(&mut Config)) -> Rolled {
    let rounds = std::env::var("SWITCHGATE_ROLLING_ROUNDS").map_or(2, |text| text.parse().unwrap());
    let drain = Drain::new();
    let sim = Sim::new(SimConfig::default(), &drain);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let node = listener.local_addr().unwrap();
    let server = sim.clone();
    drain.spawn(async move { server.serve(listener).await });
    let (legs, counting) = count_legs(&sim).await;

    let mut replicas = [
        Replica::start(node, &tune).await,
        Replica::start(node, &tune).await,
    ];
    let addresses = [replicas[0].address(), replicas[1].address()];
    let subscribers = [
        Subscriber::start(addresses, Start::Snapshot),
        Subscriber::start(addresses, Start::Earliest),
    ];
    for subscriber in &subscribers {
        until(|| subscriber.has_begun()).await;
    }
    let client = Arc::new(Client::new(addresses));

    let (over_tx, mut over_rx) = oneshot::channel::<()>();
    let placing = Drain::new().spawn({
        let client = Arc::clone(&client);
        async move {
            let (mut calls, mut pace) = (Vec::new(), tokio::time::interval(PACE));
            loop {
                tokio::select! {
                    biased;
                    _ = &mut over_rx => return calls,
                    _ = pace.tick() => {}
                }
                calls.push(Drain::new().spawn(call(Arc::clone(&client), calls.len())));
            }
        }
    });
    let began = Instant::now();
    let mut in_time = Vec::new();
    for _ in 0..rounds {
        for replica in &mut replicas {
            tokio::time::sleep(QUIET).await;
            in_time.push(replica.stop().await);
            replica.run().await;
        }
    }
    tokio::time::sleep(QUIET).await;
    over_tx.send(()).unwrap();
    let lasted = began.elapsed();

    let (mut figures, mut failed) = (Figures::default(), Vec::new());
    let mut sessions = Vec::new();
    for call in within(placing).await.unwrap() {
        match within(call).await.unwrap() {
            Ok((session, took, done)) => {
                sessions.push(session);
                figures.took.push(took);
                figures.done.push(done);
            }
            Err(status) => failed.push(status),
        }
    }
    eprintln!(
        "{} calls in {lasted:.1?}, {} restarts, {} failed; originate p50 {:.0?}, p99 {:.0?}, most {:.0?}; \
         longest gap {:.0?}; retries {:?}; subscribers moved {:?} times",
        sessions.len(),
        in_time.len(),
        failed.len(),
        figures.quantile(0.5),
        figures.quantile(0.99),
        figures.quantile(1.0),
        figures.longest_gap(),
        client.retries(),
        subscribers.each_ref().map(Subscriber::moves),
    );
    assert!(failed.is_empty(), "{} failed: {:#?}", failed.len(), failed);

    // None is left, none was placed twice, and nothing else was placed.
    until(|| sim.channels().is_empty()).await;
    until_equal(sessions.len(), || legs.lock().unwrap().len()).await;
    let legs = legs.lock().unwrap().clone();
    assert!(sessions.iter().all(|session| legs.get(session) == Some(&1)));
    assert_eq!(legs.len(), sessions.len());
    // The end of each was seen once.
    for subscriber in &subscribers {
        until_equal(sessions.len(), || subscriber.ends().len()).await;
        let ends = subscriber.ends();
        assert!(subscriber.moves() > 0);
        assert!(subscriber.gaps().is_empty(), "{:?}", subscriber.gaps());
        assert!(sessions.iter().all(|session| ends.get(session) == Some(&1)));
        assert_eq!(ends.len(), sessions.len());
    }

    counting.abort();
    drop(subscribers);
    for replica in &mut replicas {
        assert!(replica.stop().await);
    }
    assert!(drain.finish(Duration::from_secs(5)).await);
    Rolled {
        in_time,
        retries: client.retries(),
    }
}

//! What happens in a seed, from the beginning to the end.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use switchgate::shutdown::Drain;
use switchgate::sim::{Fault, Links, Sim};
use tokio::time::Instant;

use super::checks;
use super::client::{Client, Shared};
use super::house::House;
use super::subscriber;
use super::trace::Trace;

const NODES: usize = 3;
const CLIENTS: usize = 50;
/// How long things go wrong.
const TROUBLE: Duration = Duration::from_secs(20);

/// One seed.
pub(super) struct Scenario {
    seed: u64,
    trace: Arc<Trace>,
}

/// Something that happens to a node.
struct Blow {
    at: Duration,
    node: usize,
    links: Links,
    fault: Fault,
}

// === impl Scenario ===

impl Scenario {
    pub(super) fn new(seed: u64, prints: bool) -> Self {
        Self {
            seed,
            trace: Arc::new(Trace::begin(prints)),
        }
    }

    pub(super) async fn run(self) -> Arc<Trace> {
        let house = House::open(NODES).await;
        checks::all_in_service(&house, &self.trace).await;
        let mut rng = StdRng::seed_from_u64(self.seed);
        let blows = blows(&mut rng);
        let rushes = blows.iter().map(|blow| blow.at).collect();
        let loses_events = blows
            .iter()
            .any(|blow| matches!(blow.fault, Fault::LoseEvents(_)));
        let shared = Shared::new(&house, &self.trace, rushes, loses_events);
        let tasks = Drain::new();
        let followers = subscriber::start(&shared, &tasks, rng.random());
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let client = Client::new(number, rng.random(), &shared);
                tasks.spawn(client.live(TROUBLE))
            })
            .collect();
        strike(&house.sims, blows, &mut rng, &self.trace).await;
        for client in clients {
            client.await.unwrap();
        }
        checks::all_in_service(&house, &self.trace).await;
        if loses_events {
            // Nobody can know of a lost event but by asking again, as after a loss of the link.
            for sim in &house.sims {
                sim.inject_on(Links::Events, Fault::DropLinks);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            checks::all_in_service(&house, &self.trace).await;
        }
        checks::reconciles(&shared, &self.trace).await;
        checks::tracker_is_true(&house, &shared, &self.trace).await;
        checks::hang_up_all(&house, &shared, &self.trace).await;
        checks::jobs_end(&house, &self.trace);
        checks::jobs_start_once(&house, &self.trace);
        subscriber::finish(followers, &self.trace).await;
        checks::nothing_is_left(&house, &self.trace).await;
        drop(shared);
        if !house.close().await {
            self.trace.wrong("gateway", "did not drain in time");
        }
        self.trace
    }
}

/// Makes things go wrong as planned, and heals all in the end.
async fn strike(sims: &[Sim], blows: Vec<Blow>, rng: &mut StdRng, trace: &Trace) {
    let began = Instant::now();
    // Where replies take no time, nothing is ever under way when a link fails.
    for (at, sim) in sims.iter().enumerate() {
        let latency = Duration::from_millis(rng.random_range(0..120));
        trace.tell(
            format_args!("sim-{at}"),
            format_args!("replies after {latency:?}"),
        );
        sim.inject(Fault::SlowReplies(latency));
    }
    for blow in blows {
        tokio::time::sleep_until(began + blow.at).await;
        let node = format!("sim-{}", blow.node);
        trace.trouble(&node, format_args!("{:?} on {:?}", blow.fault, blow.links));
        sims[blow.node].inject_on(blow.links, blow.fault);
    }
    tokio::time::sleep_until(began + TROUBLE).await;
    for sim in sims {
        sim.inject(Fault::Heal);
    }
    trace.tell("all", "healed");
}

/// Half of the seeds lose no events without losing the link, which hides what else goes wrong.
fn blows(rng: &mut StdRng) -> Vec<Blow> {
    let may_lose_events = rng.random_bool(0.5);
    let mut blows = Vec::new();
    // Some nodes are spared, and some seeds.
    for _ in 0..rng.random_range(0..10) {
        let node = rng.random_range(0..NODES);
        let at = Duration::from_millis(rng.random_range(0..16_000));
        let lasts = Duration::from_millis(rng.random_range(50..6_000));
        let fault = match rng.random_range(0..9) {
            0 | 1 => Fault::DropLinks,
            2 => Fault::HalfOpen,
            3 => Fault::Stall(lasts),
            4 => Fault::CutMidFrame,
            5 => Fault::Restart,
            6 if may_lose_events => Fault::LoseEvents(rng.random_range(1..12)),
            7 => Fault::SlowReplies(lasts / 4),
            _ => Fault::RefuseConnections(lasts),
        };
        let all = [
            Links::All,
            Links::All,
            Links::Events,
            Links::Commands,
            Links::OneCommand,
        ];
        let links = *all.choose(rng).unwrap();
        let blow = |at, links, fault| Blow {
            at,
            node,
            links,
            fault,
        };
        blows.push(blow(at, links, fault));
        if matches!(fault, Fault::HalfOpen | Fault::SlowReplies(_)) {
            blows.push(blow(at + lasts, Links::All, Fault::Heal));
        }
        if matches!(fault, Fault::RefuseConnections(_)) {
            blows.push(blow(at, Links::All, Fault::DropLinks));
        }
    }
    blows.sort_by_key(|blow| blow.at);
    blows
}

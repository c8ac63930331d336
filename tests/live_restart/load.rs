//! Twenty calls a second, and jobs, queries and waits beside them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use switchgate::pb;
use switchgate::shutdown::Drain;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tonic::{Response, Status};

use crate::client::{seconds, to, with_deadline};
use crate::faults::SLACK;
use crate::gateway::{Gateway, code_and_reason, within};

/// Between two calls: 20 a second.
const PACE: Duration = Duration::from_millis(50);

/// How each RPC may end while FreeSWITCH comes and goes; any may end well.
const ALWAYS: [&str; 4] = [
    "NODE_UNAVAILABLE",
    "OUTCOME_UNKNOWN",
    "DEADLINE_EXCEEDED",
    OWN_TIMER,
];
/// What tonic's client says when its own timer is a moment faster than the gateway's answer.
const OWN_TIMER: &str = "Cancelled Timeout expired";
const ALLOWED: [(&str, &[&str]); 7] = [
    // A FreeSWITCH that has just started answers before it has loaded what the call needs.
    (
        "Originate",
        &["CALL_FAILED", "NO_NODE_AVAILABLE", "ENDPOINT_UNUSABLE"],
    ),
    ("RunJob", &["NO_NODE_AVAILABLE"]),
    ("RunApi", &[]),
    ("GetSession", &[]),
    ("ListSessions", &[]),
    ("WaitForEvents", &["SESSION_ENDED"]),
    ("Hangup", &["SESSION_ENDED"]),
];

/// What a round has seen: how many RPCs ended how, and which took too long.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    counts: BTreeMap<(&'static str, String), usize>,
    late: Vec<String>,
}

/// How far the calls may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Calls begin and end.
    Busy,
    /// None begins and none is hung up.
    Held,
    /// None begins, and all are hung up.
    Over,
}

pub(super) struct Load {
    phase: watch::Sender<Phase>,
    outcomes: Arc<Mutex<Outcomes>>,
    begin: JoinHandle<JoinSet<()>>,
}

#[derive(Clone)]
struct Caller {
    gateway: Arc<Gateway>,
    far_end: String,
    phase: watch::Receiver<Phase>,
    outcomes: Arc<Mutex<Outcomes>>,
}

// === impl Load ===

impl Load {
    pub(super) fn start(gateway: &Arc<Gateway>, far_end: String, seed: u64, tasks: &Drain) -> Self {
        let (phase, phase_rx) = watch::channel(Phase::Busy);
        let outcomes = Arc::<Mutex<Outcomes>>::default();
        let caller = Caller {
            gateway: Arc::clone(gateway),
            far_end,
            phase: phase_rx,
            outcomes: Arc::clone(&outcomes),
        };
        let mut random = StdRng::seed_from_u64(seed);
        let begin = tasks.spawn(async move {
            let mut calls = JoinSet::new();
            let mut tick = tokio::time::interval(PACE);
            while *caller.phase.borrow() == Phase::Busy {
                tick.tick().await;
                let seed = random.random();
                calls.spawn(caller.clone().call(StdRng::seed_from_u64(seed)));
                calls.spawn(caller.clone().ask(StdRng::seed_from_u64(seed)));
                while calls.try_join_next().is_some_and(|ended| ended.is_ok()) {}
            }
            calls
        });
        Self {
            phase,
            outcomes,
            begin,
        }
    }

    /// No call begins any more, and those that were answered stay.
    pub(super) async fn hold(&self) {
        self.phase.send_replace(Phase::Held);
        within(async {
            while !self.begin.is_finished() {
                tokio::time::sleep(PACE).await;
            }
        })
        .await;
    }

    /// Everything ends; says how it went.
    pub(super) async fn stop(self) -> Outcomes {
        self.phase.send_replace(Phase::Over);
        let mut calls = within(self.begin).await.unwrap();
        within(async {
            while let Some(ended) = calls.join_next().await {
                ended.expect("no call panics");
            }
        })
        .await;
        std::mem::take(&mut *lock(&self.outcomes))
    }
}

// === impl Caller ===

impl Caller {
    /// A call with a random outcome and a random length.
    async fn call(mut self, mut random: StdRng) {
        let (destination, patience) = *[
            ("answer", 10_000),
            ("answer", 10_000),
            ("tone", 10_000),
            ("busy", 10_000),
            ("ring", 1500),
        ]
        .choose(&mut random)
        .unwrap();
        let request = to(&format!("sofia/internal/{destination}@{}", self.far_end));
        let patience = Duration::from_millis(patience);
        let mut client = self.gateway.sessions();
        let placed = self
            .ends("Originate", patience, async |deadline| {
                client.originate(with_deadline(request, deadline)).await
            })
            .await;
        let Some(session) = placed.and_then(|placed| placed.session) else {
            return;
        };
        if destination == "tone" {
            return;
        }
        // Until the load is over, or for a while when nothing is held.
        let talk = tokio::time::sleep(Duration::from_millis(random.random_range(100..4000)));
        let mut phase = self.phase.clone();
        let over = async { drop(phase.wait_for(|phase| *phase == Phase::Over).await) };
        tokio::select! {
            () = over => {}
            () = talk => drop(self.phase.wait_for(|phase| *phase != Phase::Held).await),
        }
        let request = pb::HangupRequest {
            session_id: session.session_id,
            ..Default::default()
        };
        self.ends("Hangup", Duration::from_secs(5), async |deadline| {
            client.hangup(with_deadline(request, deadline)).await
        })
        .await;
    }

    /// One of the other RPCs.
    async fn ask(self, mut random: StdRng) {
        let gateway = &self.gateway;
        let (mut sessions, mut jobs, mut nodes) =
            (gateway.sessions(), gateway.jobs(), gateway.nodes());
        let known = gateway.control.tracker.sessions();
        let session_id = known
            .choose(&mut random)
            .map(|session| session.id.to_string())
            .unwrap_or_default();
        let patience = Duration::from_secs(3);
        match random.random_range(0..5) {
            0 => {
                let request = pb::RunJobRequest {
                    command: "msleep".to_owned(),
                    arguments: random.random_range(1..2000).to_string(),
                    ..Default::default()
                };
                self.ends("RunJob", patience, async |deadline| {
                    jobs.run_job(with_deadline(request, deadline)).await
                })
                .await;
            }
            1 => {
                let node = gateway.control.fleet.nodes().next().unwrap();
                let request = pb::RunApiRequest {
                    node_id: node.id().to_string(),
                    command: "status".to_owned(),
                    arguments: String::new(),
                };
                self.ends("RunApi", patience, async |deadline| {
                    nodes.run_api(with_deadline(request, deadline)).await
                })
                .await;
            }
            2 if !session_id.is_empty() => {
                let request = pb::GetSessionRequest {
                    session_id,
                    include_variables: true,
                };
                self.ends("GetSession", patience, async |deadline| {
                    sessions.get_session(with_deadline(request, deadline)).await
                })
                .await;
            }
            3 if !session_id.is_empty() => {
                let request = pb::WaitForEventsRequest {
                    session_id,
                    event_names: vec!["CHANNEL_HANGUP".to_owned(), "DTMF".to_owned()],
                    timeout: Some(seconds(2)),
                    ..Default::default()
                };
                self.ends("WaitForEvents", patience, async |deadline| {
                    sessions
                        .wait_for_events(with_deadline(request, deadline))
                        .await
                })
                .await;
            }
            _ => {
                let request = pb::ListSessionsRequest::default();
                self.ends("ListSessions", patience, async |deadline| {
                    sessions
                        .list_sessions(with_deadline(request, deadline))
                        .await
                })
                .await;
            }
        }
    }

    /// Counts how an RPC ends, and notes when it does so too late.
    async fn ends<T>(
        &self,
        rpc: &'static str,
        deadline: Duration,
        ask: impl AsyncFnOnce(Duration) -> Result<Response<T>, Status>,
    ) -> Option<T> {
        let began = Instant::now();
        let answer = tokio::time::timeout(deadline + SLACK, ask(deadline)).await;
        let took = began.elapsed();
        let outcome = match &answer {
            Ok(Ok(_)) => "OK".to_owned(),
            Ok(Err(status)) => {
                let (code, reason) = code_and_reason(status);
                match reason.as_str() {
                    "" => format!("{code:?} {}", status.message()),
                    reason => reason.to_owned(),
                }
            }
            Err(_) => "HANGS".to_owned(),
        };
        let mut outcomes = lock(&self.outcomes);
        if answer.is_err() {
            outcomes.late.push(format!("{rpc} after {took:?}"));
        }
        *outcomes.counts.entry((rpc, outcome)).or_default() += 1;
        answer.ok()?.ok().map(Response::into_inner)
    }
}

// === impl Outcomes ===

impl Outcomes {
    /// Every RPC ended in time, and in a way that it says of itself.
    pub(super) fn check(&self) {
        assert!(self.late.is_empty(), "{:?}", self.late);
        for (rpc, outcome) in self.counts.keys() {
            let own = ALLOWED.iter().find(|(name, _)| name == rpc);
            let own = own.map_or(&[][..], |(_, own)| own);
            assert!(
                outcome == "OK" || ALWAYS.contains(&&**outcome) || own.contains(&&**outcome),
                "{rpc} ended with {outcome}"
            );
        }
    }
}

impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rpc_before = "";
        for ((rpc, outcome), count) in &self.counts {
            if *rpc != rpc_before {
                write!(
                    f,
                    "{}  {rpc}:",
                    if rpc_before.is_empty() { "" } else { "\n" }
                )?;
                rpc_before = rpc;
            }
            write!(f, " {outcome} {count}")?;
        }
        Ok(())
    }
}

fn lock(outcomes: &Mutex<Outcomes>) -> std::sync::MutexGuard<'_, Outcomes> {
    outcomes.lock().unwrap_or_else(PoisonError::into_inner)
}

//! A client: asks random things, one after the other, and judges each answer.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use switchgate::pb;
use switchgate::pb::call_service_client::CallServiceClient;
use switchgate::pb::event_service_client::EventServiceClient;
use switchgate::pb::job_service_client::JobServiceClient;
use switchgate::pb::node_service_client::NodeServiceClient;
use switchgate::pb::session_service_client::SessionServiceClient;
use tokio::time::{Instant, timeout};
use tonic::{Code, Status};

use super::house::{House, InProcess};
use super::requests;
use super::trace::Trace;
use crate::gateway::code_and_reason;

/// What an answer may be late. None is by more than the tick of tokio's clock.
const MARGIN: Duration = Duration::from_millis(2);
/// The gateway answers this much before the client's deadline, at most; tokio's clock ticks in
/// milliseconds.
const EARLIEST: Duration = Duration::from_millis(202);
/// Codes that no fault excuses.
const DEFECTS: [Code; 4] = [
    Code::Internal,
    Code::Unknown,
    Code::Unimplemented,
    Code::DataLoss,
];

/// What the clients of a seed have in common.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) sessions: SessionServiceClient<InProcess>,
    pub(super) calls: CallServiceClient<InProcess>,
    pub(super) jobs: JobServiceClient<InProcess>,
    pub(super) nodes: NodeServiceClient<InProcess>,
    pub(super) events: EventServiceClient<InProcess>,
    pub(super) trace: Arc<Trace>,
    known: Arc<Mutex<Known>>,
    /// When something fails.
    rushes: Arc<[Duration]>,
    /// Some events never come: then a session may begin after its call is through, when nobody
    /// knows its labels any more.
    loses_events: bool,
}

/// Ids, and when each was heard of.
pub(super) type Heard = BTreeSet<(u128, String)>;

/// What clients have heard of, the newest last.
#[derive(Default)]
struct Known {
    sessions: Heard,
    calls: Heard,
    jobs: Heard,
    originates: BTreeMap<(u128, String), pb::OriginateRequest>,
}

pub(super) struct Client {
    pub(super) number: usize,
    pub(super) rng: StdRng,
    pub(super) shared: Shared,
    asked: usize,
}

/// How long an RPC may take, and when the client leaves, if it does.
pub(super) struct Patience {
    pub(super) deadline: Duration,
    leaves: Option<Duration>,
    /// Another client may have asked the same under this `request_id`, and its end is the answer
    /// to both.
    is_shared: bool,
}

/// Asks something with a random deadline, and perhaps leaves before there is an answer.
macro_rules! ask {
    ($client:ident, $service:ident.$method:ident($request:expr)) => {{
        let patience = $client.patience(false);
        ask!($client, $service.$method($request), patience)
    }};
    ($client:ident, $service:ident.$method:ident($request:expr), $patience:expr) => {{
        let patience = $patience;
        let mut request = tonic::Request::new($request);
        request.set_timeout(patience.deadline);
        let mut service = $client.shared.$service.clone();
        let answer = async move {
            service
                .$method(request)
                .await
                .map(|answer| answer.into_inner())
        };
        $client.judge(stringify!($method), patience, answer).await
    }};
}

/// Does something to a session that somebody knows; the answer must be about it.
macro_rules! verb {
    ($client:ident, $method:ident, $request:ident { $($field:ident: $value:expr),* }) => {{
        let session_id = $client.some_session();
        #[allow(clippy::needless_update, reason = "some requests have no other field")]
        let request = pb::$request {
            session_id: session_id.clone(),
            $($field: $value,)*
            ..Default::default()
        };
        let answer = ask!($client, sessions.$method(request));
        if let Some(session) = answer.and_then(|answer| answer.session) {
            $client.check(stringify!($method), session.session_id == session_id, &session);
            Some(session)
        } else {
            None
        }
    }};
}

mod calls;
mod jobs;
mod verbs;

// === impl Shared ===

impl Shared {
    pub(super) fn new(
        house: &House,
        trace: &Arc<Trace>,
        rushes: Arc<[Duration]>,
        loses_events: bool,
    ) -> Self {
        let server = || house.server.clone();
        Self {
            sessions: SessionServiceClient::new(server()),
            calls: CallServiceClient::new(server()),
            jobs: JobServiceClient::new(server()),
            nodes: NodeServiceClient::new(server()),
            events: EventServiceClient::new(server()),
            trace: Arc::clone(trace),
            known: Arc::default(),
            rushes,
            loses_events,
        }
    }
}

// === impl Client ===

impl Client {
    pub(super) fn new(number: usize, seed: u64, shared: &Shared) -> Self {
        Self {
            number,
            rng: StdRng::seed_from_u64(seed),
            shared: shared.clone(),
            asked: 0,
        }
    }

    /// Asks until the time is up.
    pub(super) async fn live(mut self, time: Duration) {
        let began = Instant::now();
        loop {
            let pause = Duration::from_millis(self.rng.random_range(0..12_000));
            let next = self.next_rush(began.elapsed()).unwrap_or(pause);
            tokio::time::sleep(next).await;
            if began.elapsed() >= time {
                return;
            }
            self.asked += 1;
            self.act().await;
        }
    }

    /// The time until something fails next, or a moment less: half of all that is asked is under
    /// way then.
    fn next_rush(&mut self, now: Duration) -> Option<Duration> {
        let mut to_come = self.shared.rushes.iter().filter(|rush| **rush > now);
        let rush = to_come.next().filter(|_| self.rng.random_bool(0.5))?;
        let before = Duration::from_millis(self.rng.random_range(0..200));
        Some((*rush - now).saturating_sub(before))
    }

    async fn act(&mut self) {
        match self.rng.random_range(0..100) {
            0..14 => self.run_api().await,
            14..24 => self.run_job().await,
            24..29 => self.start_job().await,
            29..37 => self.about_a_job().await,
            37..52 => self.originate().await,
            52..56 => self.originate_stream().await,
            56..62 => self.hang_up().await,
            62..66 => self.look().await,
            66..69 => self.malformed().await,
            _ => self.verb().await,
        }
    }

    /// What is unlike anything that anyone else says.
    pub(super) fn mark(&self) -> String {
        format!("client-{}-{}", self.number, self.asked)
    }

    // What is known

    fn some_node(&mut self) -> String {
        format!("sim-{}", self.rng.random_range(0..3))
    }

    fn some_session(&mut self) -> String {
        let known = self.shared.known.lock().unwrap();
        requests::recent(&known.sessions, self.shared.trace.now(), &mut self.rng)
    }

    fn some_call(&mut self) -> String {
        let known = self.shared.known.lock().unwrap();
        requests::recent(&known.calls, self.shared.trace.now(), &mut self.rng)
    }

    fn some_job(&mut self) -> String {
        let known = self.shared.known.lock().unwrap();
        requests::recent(&known.jobs, self.shared.trace.now(), &mut self.rng)
    }

    fn know_session(&self, session: &pb::Session) {
        let now = self.shared.trace.now();
        let mut known = self.shared.known.lock().unwrap();
        known.sessions.insert((now, session.session_id.clone()));
        known.calls.insert((now, session.call_id.clone()));
        if !session.peer_session_id.is_empty() {
            known
                .sessions
                .insert((now, session.peer_session_id.clone()));
        }
    }

    fn know_job(&self, job: &pb::Job) {
        self.shared.trace.told_of_job(self.name(), job);
        let mut known = self.shared.known.lock().unwrap();
        known
            .jobs
            .insert((self.shared.trace.now(), job.job_id.clone()));
    }

    // Judging

    fn name(&self) -> String {
        format!("client {}", self.number)
    }

    fn patience(&mut self, is_shared: bool) -> Patience {
        // From 10 ms to 60 s, each order of magnitude as likely.
        let deadline = Duration::from_secs_f64(0.01 * 6000_f64.powf(self.rng.random()));
        let leaves = self.rng.random_bool(0.1);
        Patience {
            deadline,
            leaves: leaves.then(|| deadline.mul_f64(self.rng.random())),
            is_shared,
        }
    }

    /// Waits for an answer as long as it may take, and tells of it.
    async fn judge<T>(
        &mut self,
        what: &str,
        patience: Patience,
        answer: impl Future<Output = Result<T, Status>>,
    ) -> Option<T> {
        let trace = Arc::clone(&self.shared.trace);
        let began = Instant::now();
        let answer = match patience.leaves {
            Some(leaves) => match timeout(leaves, answer).await {
                Ok(answer) => Ok(answer),
                Err(_) => {
                    trace.tell(self.name(), format_args!("{what}: left"));
                    return None;
                }
            },
            None => timeout(patience.deadline + MARGIN, answer).await,
        };
        let Ok(answer) = answer else {
            let deadline = patience.deadline;
            trace.wrong(self.name(), format_args!("{what} outlives {deadline:?}"));
            return None;
        };
        let took = began.elapsed();
        let status = match answer {
            Ok(answer) => {
                trace.tell(self.name(), format_args!("{what}: OK in {took:?}"));
                return Some(answer);
            }
            Err(status) => status,
        };
        let (code, reason) = code_and_reason(&status);
        trace.tell(self.name(), format_args!("{what}: {reason} in {took:?}"));
        let is_early = code == Code::DeadlineExceeded && took + EARLIEST < patience.deadline;
        // A job whose result was lost ends by its own time-out, and its call with it.
        let is_early = is_early && !self.shared.loses_events;
        let is_odd = is_early || code == Code::Cancelled;
        let is_unfounded = matches!(
            &*reason,
            "NODE_UNAVAILABLE" | "OUTCOME_UNKNOWN" | "NO_NODE_AVAILABLE"
        ) && !self.shared.trace.is_troubled_at_all();
        if DEFECTS.contains(&code)
            || reason.is_empty()
            || is_unfounded
            || (is_odd && !patience.is_shared)
        {
            let deadline = patience.deadline;
            trace.wrong(
                self.name(),
                format_args!("{what} within {deadline:?}: {status:?}"),
            );
        }
        None
    }

    fn check(&self, what: &str, holds: bool, answer: &impl std::fmt::Debug) {
        if !holds {
            let trace = &self.shared.trace;
            trace.wrong(self.name(), format_args!("{what} answers {answer:?}"));
        }
    }
}

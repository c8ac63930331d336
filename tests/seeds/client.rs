//! A client: asks random things, one after the other, and judges each answer.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
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
/// The gateway answers this much before the client's deadline, at most.
const EARLIEST: Duration = Duration::from_millis(200);
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
}

/// What clients have heard of, the newest last.
#[derive(Default)]
struct Known {
    sessions: Vec<String>,
    calls: Vec<String>,
    jobs: Vec<String>,
    originates: Vec<pb::OriginateRequest>,
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

// === impl Shared ===

impl Shared {
    pub(super) fn new(house: &House, trace: &Arc<Trace>, rushes: Arc<[Duration]>) -> Self {
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

    async fn run_api(&mut self) {
        let mark = self.mark();
        let (command, arguments, output) = match self.rng.random_range(0..4) {
            // A link whose caller has left is given up after 5 s of silence, and that would be trouble.
            0 => ("msleep", self.rng.random_range(1..2_000).to_string(), None),
            1 => ("expr", format!("{} + 1", self.number), None),
            _ => ("echo", mark.clone(), Some(mark)),
        };
        let request = pb::RunApiRequest {
            node_id: self.some_node(),
            command: command.to_owned(),
            arguments,
        };
        let answer = ask!(self, nodes.run_api(request));
        if let (Some(answer), Some(output)) = (answer, output) {
            self.check("run_api", answer.output == output, &answer);
        }
    }

    async fn run_job(&mut self) {
        let request = requests::job(self);
        let arguments = request.arguments.clone();
        if let Some(job) = ask!(self, jobs.run_job(request)).and_then(|answer| answer.job) {
            self.know_job(&job);
            self.check("run_job", job.arguments == arguments, &job);
            if job.command == "echo"
                && let Some(pb::job::Outcome::Result(output)) = &job.outcome
            {
                self.check("run_job", output.text == arguments, &job);
            }
        }
    }

    async fn start_job(&mut self) {
        let wanted = requests::job(self);
        let request = pb::StartJobRequest {
            command: wanted.command,
            arguments: wanted.arguments.clone(),
            timeout: wanted.timeout,
            node_selector: wanted.node_selector,
            request_id: wanted.request_id,
            ..Default::default()
        };
        if let Some(job) = ask!(self, jobs.start_job(request)).and_then(|answer| answer.job) {
            self.know_job(&job);
            self.check("start_job", job.arguments == wanted.arguments, &job);
        }
    }

    async fn about_a_job(&mut self) {
        let job_id = self.some_job();
        let asked = job_id.clone();
        let job = match self.rng.random_range(0..6) {
            0 | 1 => ask!(self, jobs.get_job(pb::GetJobRequest { job_id })).and_then(|a| a.job),
            2 | 3 => {
                let timeout = Some(requests::seconds(self.rng.random_range(0..10)));
                let request = pb::WaitJobRequest { job_id, timeout };
                ask!(self, jobs.wait_job(request)).and_then(|answer| answer.job)
            }
            4 => {
                let request = pb::CancelJobRequest {
                    job_id,
                    reason: self.mark(),
                };
                ask!(self, jobs.cancel_job(request)).and_then(|answer| answer.job)
            }
            _ => {
                ask!(self, jobs.delete_job(pb::DeleteJobRequest { job_id }));
                None
            }
        };
        if let Some(job) = job {
            self.know_job(&job);
            self.check("about a job", job.job_id == asked, &job);
        }
    }

    /// A call of its own, or one that another client has asked for under a `request_id`.
    async fn originate(&mut self) {
        let repeated = {
            let known = self.shared.known.lock().unwrap();
            known.originates.choose(&mut self.rng).cloned()
        };
        let request = match repeated.filter(|_| self.rng.random_bool(0.3)) {
            Some(request) => request,
            None => requests::originate(self),
        };
        if !request.request_id.is_empty() {
            let mut known = self.shared.known.lock().unwrap();
            known.originates.push(request.clone());
        }
        let labels = request.labels.clone();
        let patience = self.patience(!request.request_id.is_empty());
        let answer = ask!(self, sessions.originate(request), patience);
        if let Some(session) = answer.and_then(|answer| answer.session) {
            self.know_session(&session);
            self.check("originate", session.labels == labels, &session);
        }
    }

    async fn originate_stream(&mut self) {
        let mut originate = requests::originate(self);
        originate.request_id = String::new();
        let labels = originate.labels.clone();
        let request = pb::OriginateStreamRequest {
            originate: Some(originate),
        };
        let patience = self.patience(false);
        let mut request = tonic::Request::new(request);
        request.set_timeout(patience.deadline);
        let mut service = self.shared.sessions.clone();
        let answer = async move {
            let mut stream = service.originate_stream(request).await?.into_inner();
            let mut last = None;
            while let Some(told) = stream.message().await? {
                last = told.progress;
            }
            Ok(last)
        };
        let last = self.judge("originate_stream", patience, answer).await;
        match last.flatten() {
            Some(pb::originate_stream_response::Progress::Ended(leg)) => {
                if let Some(session) = leg.session {
                    self.know_session(&session);
                    self.check("originate_stream", session.labels == labels, &session);
                }
            }
            Some(other) => self.check("originate_stream", false, &other),
            None => {}
        }
    }

    async fn hang_up(&mut self) {
        match self.rng.random_range(0..10) {
            0 => {
                let filter = format!("node_id = {} AND answered = true", self.some_node());
                let request = pb::HangupManyRequest {
                    filter,
                    ..Default::default()
                };
                ask!(self, sessions.hangup_many(request));
            }
            1 | 2 => {
                let call_id = self.some_call();
                let request = pb::HangupCallRequest {
                    call_id,
                    ..Default::default()
                };
                ask!(self, calls.hangup_call(request));
            }
            _ => {
                if let Some(session) = verb!(self, hangup, HangupRequest {}) {
                    self.check("hangup", session.hangup.is_some(), &session);
                }
            }
        }
    }

    async fn look(&mut self) {
        match self.rng.random_range(0..5) {
            0 => {
                ask!(
                    self,
                    sessions.list_sessions(pb::ListSessionsRequest::default())
                );
            }
            1 => {
                ask!(self, nodes.list_nodes(pb::ListNodesRequest::default()));
            }
            2 => {
                let node_id = self.some_node();
                ask!(
                    self,
                    nodes.reconcile_node(pb::ReconcileNodeRequest { node_id })
                );
            }
            3 => {
                let session_id = self.some_session();
                let request = pb::WaitForEventsRequest {
                    session_id,
                    event_names: vec!["CHANNEL_HANGUP_COMPLETE".to_owned(), "DTMF".to_owned()],
                    return_when: self.rng.random_range(1..3),
                    timeout: Some(requests::seconds(self.rng.random_range(1..8))),
                    ..Default::default()
                };
                ask!(self, sessions.wait_for_events(request));
            }
            _ => {
                verb!(
                    self,
                    get_session,
                    GetSessionRequest {
                        include_variables: true
                    }
                );
            }
        }
    }

    /// Refused, whatever else fails.
    async fn malformed(&mut self) {
        let session_id = self.some_session();
        let code = match self.rng.random_range(0..4) {
            0 => self.refusal(pb::ExecuteRequest {
                session_id: format!("{session_id} x"),
                application: "park".to_owned(),
                ..Default::default()
            }),
            1 => self.refusal(pb::ExecuteRequest {
                session_id,
                application: "set".to_owned(),
                arguments: "x=${system(id)}".to_owned(),
                ..Default::default()
            }),
            2 => self.refusal(pb::ExecuteRequest::default()),
            _ => self.refusal(pb::ExecuteRequest {
                session_id,
                application: "park\n\napi status".to_owned(),
                ..Default::default()
            }),
        };
        code.await;
    }

    async fn refusal(&mut self, request: pb::ExecuteRequest) {
        let executed = ask!(self, sessions.execute(request));
        self.check("execute", executed.is_none(), &executed);
    }

    async fn verb(&mut self) {
        match self.rng.random_range(0..19) {
            0 => drop(verb!(self, park, ParkRequest {})),
            1 => {
                if let Some(session) = verb!(self, answer, AnswerRequest {}) {
                    self.check("answer", session.answered, &session);
                }
            }
            2 | 3 => self.bridge().await,
            4 => {
                let extension = Some(pb::OriginateExtension {
                    number: (*["echo", "park", "tone"].choose(&mut self.rng).unwrap()).to_owned(),
                    ..Default::default()
                });
                drop(verb!(
                    self,
                    transfer,
                    TransferRequest {
                        extension: extension
                    }
                ));
            }
            5 | 6 => {
                let files = vec!["tone_stream://L=1;%(200,100,440,480)".to_owned()];
                let wait_for = self.rng.random_range(1..3);
                drop(verb!(
                    self,
                    playback,
                    PlaybackRequest {
                        files: files,
                        wait_for: wait_for
                    }
                ));
            }
            7 => drop(verb!(self, stop_playback, StopPlaybackRequest {})),
            8 => {
                let request = pb::SendDtmfRequest {
                    session_id: self.some_session(),
                    digits: "12#".to_owned(),
                    ..Default::default()
                };
                ask!(self, sessions.send_dtmf(request));
            }
            9 | 10 => self.variables().await,
            11 => drop(verb!(self, hold, HoldRequest {})),
            12 => drop(verb!(self, unhold, UnholdRequest {})),
            13 => drop(verb!(self, mute, MuteRequest { direction: 1 })),
            14 => {
                let path = format!("/tmp/{}.wav", self.mark());
                drop(verb!(
                    self,
                    start_recording,
                    StartRecordingRequest { path: path }
                ));
            }
            15 => drop(verb!(self, echo, EchoRequest {})),
            16 => {
                let request = pb::ScheduleHangupRequest {
                    session_id: self.some_session(),
                    delay: Some(requests::seconds(self.rng.random_range(1..20))),
                    ..Default::default()
                };
                ask!(self, sessions.schedule_hangup(request));
            }
            17 => {
                let request = pb::CollectDigitsRequest {
                    session_id: self.some_session(),
                    min_digits: 1,
                    max_digits: 2,
                    timeout: Some(requests::seconds(2)),
                    ..Default::default()
                };
                ask!(self, sessions.collect_digits(request));
            }
            _ => {
                let arguments = self.rng.random_range(1..4_000).to_string();
                let wait_for = self.rng.random_range(1..4);
                drop(verb!(
                    self,
                    execute,
                    ExecuteRequest {
                        application: "sleep".to_owned(),
                        arguments: arguments,
                        wait_for: wait_for
                    }
                ));
            }
        }
    }

    async fn bridge(&mut self) {
        let peer = match self.rng.random_bool(0.7) {
            true => pb::bridge_request::Peer::PeerSessionId(self.some_session()),
            false => pb::bridge_request::Peer::Endpoint(requests::endpoint(&mut self.rng)),
        };
        if let Some(session) = verb!(self, bridge, BridgeRequest { peer: Some(peer) }) {
            self.know_session(&session);
        }
    }

    /// What a client sets is what it gets, since nobody else uses this name.
    async fn variables(&mut self) {
        let (session_id, name, value) = (self.some_session(), self.mark(), self.mark());
        let name = name.replace('-', "_");
        let request = pb::SetVariablesRequest {
            session_id: session_id.clone(),
            variables: [(name.clone(), value.clone())].into(),
            ..Default::default()
        };
        if ask!(self, sessions.set_variables(request)).is_none() {
            return;
        }
        let request = pb::GetVariablesRequest {
            session_id,
            names: vec![name.clone()],
        };
        if let Some(answer) = ask!(self, sessions.get_variables(request)) {
            let got = answer.variables.get(&name);
            self.check("get_variables", got == Some(&value), &answer);
        }
    }

    // What is known

    fn some_node(&mut self) -> String {
        format!("sim-{}", self.rng.random_range(0..3))
    }

    fn some_session(&mut self) -> String {
        let known = self.shared.known.lock().unwrap();
        requests::recent(&known.sessions, &mut self.rng)
    }

    fn some_call(&mut self) -> String {
        let known = self.shared.known.lock().unwrap();
        requests::recent(&known.calls, &mut self.rng)
    }

    fn some_job(&mut self) -> String {
        let known = self.shared.known.lock().unwrap();
        requests::recent(&known.jobs, &mut self.rng)
    }

    fn know_session(&self, session: &pb::Session) {
        let mut known = self.shared.known.lock().unwrap();
        known.sessions.push(session.session_id.clone());
        known.calls.push(session.call_id.clone());
        if !session.peer_session_id.is_empty() {
            known.sessions.push(session.peer_session_id.clone());
        }
    }

    fn know_job(&self, job: &pb::Job) {
        self.shared.trace.told_of_job(self.name(), job);
        let mut known = self.shared.known.lock().unwrap();
        known.jobs.push(job.job_id.clone());
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

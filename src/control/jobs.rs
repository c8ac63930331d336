//! Running jobs: one task for each, which outlives the caller.

mod elsewhere;
mod legs;
mod trace;

use std::pin::pin;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span, debug_span, warn};

use super::raw::api_command;
use super::{Control, TAKE_TIMEOUT};
use crate::domain::{Deadline, Failure, HangupCause, Identity, JobId, Reason, SessionId};
use crate::esl::quote::{ApiCommand, uuid_kill};
use crate::esl::{Command, Outcome, Reply};
use crate::fleet::{Node, Selector};
use crate::jobs::{End, JobSpec, SharedJob};
use crate::tracker::Labels;

/// After a cancelled originate's leg was hung up, its result follows at once; so long is it waited
/// for.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause before a command that could not be sent is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// What a client wants to be run.
#[derive(Debug, Clone)]
pub struct JobRequest {
    /// What its identifier is taken from; a fresh one without protection.
    pub identity: Identity,
    /// The api command, one word.
    pub command: String,
    /// Its arguments.
    pub arguments: String,
    /// Who runs it, unless `session` says so.
    pub selector: Selector,
    /// The session that it acts on.
    pub session: Option<SessionId>,
    /// How long it may take; absent for the default.
    pub timeout: Option<Duration>,
    /// Labels to find it by.
    pub labels: Labels,
}

// === impl JobRequest ===

impl JobRequest {
    fn job_id(&self) -> JobId {
        let derived = self.identity.derived("command");
        derived.map_or_else(JobId::generate, JobId::from)
    }
}

// === impl Control ===

impl Control {
    /// Starts a job and gives back its id at once: that of the first one for a repeat.
    ///
    /// # Errors
    /// When it is malformed or cannot be placed; nothing was sent then.
    pub fn launch_job(&self, request: JobRequest) -> Result<JobId, Failure> {
        let command = api_command(&request.command, &request.arguments)?;
        let id = request.job_id();
        if self.jobs.repeated(&id, &request.identity)?.is_some() {
            return Ok(id);
        }
        let legs = match request.command.as_str() {
            "originate" => legs::named_in(&request.arguments),
            _ => Vec::new(),
        };
        let selector = self.within_view(&request.selector);
        if let Some(node) = &selector.node {
            self.node(node)?;
        }
        let node = match &request.session {
            Some(session) => {
                let session = self.session(session)?;
                if request
                    .selector
                    .node
                    .as_ref()
                    .is_some_and(|node| *node != session.node)
                {
                    let why = format!(
                        "names another node than that of the session, {}",
                        session.node
                    );
                    return Err(Failure::invalid("node_selector.node_id", why));
                }
                self.fleet.node(&session.node)?
            }
            None => match request.command.as_str() {
                // It makes one that it does not name.
                "originate" if legs.is_empty() => {
                    let one = [SessionId::generate()];
                    self.fleet.place(&selector, &one)?
                }
                _ => self.fleet.place(&selector, &legs)?,
            },
        };
        self.check_command(&node, &request.command, &request.arguments)
            .inspect_err(|_| node.gives_up(&legs))?;
        let spec = JobSpec {
            id,
            command: request.command,
            arguments: request.arguments,
            node: node.id().clone(),
            session: request.session,
            labels: request.labels,
            timeout: request.timeout.unwrap_or(self.job_timeout),
            mark: None,
            request: request.identity,
        };
        self.launch(&node, spec, &command, legs, Labels::default())
    }

    /// Registers a job and starts the task that runs it. `legs` are those that a cancellation
    /// hangs up, and `labels` theirs.
    pub(super) fn launch(
        &self,
        node: &std::sync::Arc<Node>,
        spec: JobSpec,
        command: &ApiCommand,
        legs: Vec<SessionId>,
        labels: Labels,
    ) -> Result<JobId, Failure> {
        let text = command
            .bgapi(&spec.id)
            .map_err(|error| Failure::invalid("job_id", error.to_string()))?;
        self.start(node, spec, Some(Command::rendered(text)), legs, labels)
    }

    /// Registers the job of a call that another gateway has placed, and starts the task that
    /// follows it. Nothing is sent.
    pub(super) fn follow(
        &self,
        node: &std::sync::Arc<Node>,
        spec: JobSpec,
        legs: Vec<SessionId>,
        labels: Labels,
    ) -> Result<JobId, Failure> {
        self.start(node, spec, None, legs, labels)
    }

    fn start(
        &self,
        node: &std::sync::Arc<Node>,
        spec: JobSpec,
        command: Option<Command>,
        legs: Vec<SessionId>,
        labels: Labels,
    ) -> Result<JobId, Failure> {
        let id = spec.id.clone();
        let deadline = Deadline::after(spec.timeout);
        let session = spec.session.clone();
        let trace = trace::span(&spec);
        let cancel = self.jobs.register(spec)?;
        // Not before: what others expect of the same ids is theirs.
        for leg in &legs {
            self.tracker.expect(leg, std::sync::Arc::clone(&labels));
        }
        let run = Run {
            control: self.clone(),
            node: std::sync::Arc::clone(node),
            id: id.clone(),
            session,
            legs,
            deadline,
            cancel,
            trace: trace.clone(),
        };
        let span = debug_span!(parent: None, "job", job = %id, node = %node.id());
        let stopped = self.drain.stopped();
        let task = async move {
            tokio::select! {
                biased;
                () = stopped => {}
                () = run.run(command) => {}
            }
        };
        self.drain.spawn(task.instrument(trace).instrument(span));
        Ok(id)
    }

    /// Waits until FreeSWITCH has taken a job, or it has ended.
    ///
    /// # Errors
    /// JOB_NOT_FOUND; NODE_UNAVAILABLE when it never reached FreeSWITCH; DEADLINE_EXCEEDED with
    /// the `job_id` when the deadline passed first, SHUTTING_DOWN with it when the gateway was stopped.
    pub async fn job_taken(&self, id: &JobId, deadline: Deadline) -> Result<SharedJob, Failure> {
        let mut job = self.jobs.follow(id)?;
        let taken = async {
            let is_taken = |job: &SharedJob| job.started.is_some() || job.state.is_end();
            // Only finished jobs are forgotten, so without a sender it has ended too.
            let _ = job.wait_for(is_taken).await;
        };
        let is_late = self.unless_cut(id, deadline.bound(taken)).await?.is_none();
        let job = job.borrow().clone();
        if is_late {
            Err(late(&job))
        } else {
            reached(job)
        }
    }

    /// Waits for a job's end.
    ///
    /// # Errors
    /// As [`Control::job_taken`].
    pub async fn job_ended(&self, id: &JobId, deadline: Deadline) -> Result<SharedJob, Failure> {
        let ended = deadline.bound(self.jobs.ended(id));
        match self.unless_cut(id, ended).await? {
            Some(job) => reached(job?),
            None => Err(late(&*self.jobs.get(id)?)),
        }
    }

    /// Waits for a job's end; gives it back as it is when the wait is over.
    ///
    /// # Errors
    /// JOB_NOT_FOUND.
    pub async fn wait_job(&self, id: &JobId, deadline: Deadline) -> Result<SharedJob, Failure> {
        self.job(id)?;
        let ended = deadline.bound(self.jobs.ended(id));
        match self.unless_cut(id, ended).await? {
            Some(job) => job,
            None => self.jobs.get(id),
        }
    }

    /// Waits for something of a job until the gateway's grace period is over.
    async fn unless_cut<T>(&self, id: &JobId, wait: impl Future<Output = T>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            waited = wait => Ok(waited),
            () = self.cut.cancelled() => {
                let message = format!("the gateway shuts down; job {id} goes on in FreeSWITCH");
                Err(Failure::new(Reason::ShuttingDown, message).job(id).with("command_sent", true))
            }
        }
    }

    /// Cancels a job and waits for what comes of it.
    ///
    /// # Errors
    /// JOB_NOT_FOUND, JOB_ENDED.
    pub async fn cancel_job(
        &self,
        id: &JobId,
        why: &str,
        deadline: Deadline,
    ) -> Result<SharedJob, Failure> {
        self.job(id)?;
        self.jobs.cancel(id, why)?;
        self.wait_job(id, deadline).await
    }
}

/// The task of one job.
struct Run {
    control: Control,
    node: std::sync::Arc<Node>,
    id: JobId,
    session: Option<SessionId>,
    legs: Vec<SessionId>,
    deadline: Deadline,
    cancel: CancellationToken,
    trace: Span,
}

/// What came of a job's command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replied {
    /// FreeSWITCH runs it, or may.
    Running,
    /// The same, and no reply can come any more.
    Lost,
    /// The job has ended.
    Ended,
}

// === impl Run ===

impl Run {
    async fn run(self, command: Option<Command>) {
        match command {
            Some(command) => self.until_end(command).await,
            None => {
                self.control.jobs.left_elsewhere(&self.id);
                self.follow().await;
            }
        }
        for leg in &self.legs {
            self.control.tracker.unexpect(leg);
        }
        trace::tell_end(&self.trace, &self.control.jobs, &self.id);
    }

    async fn until_end(&self, command: Command) {
        let jobs = &self.control.jobs;
        // Nobody would hear its result.
        if let Err(failure) = self.node.check_hears() {
            jobs.finish(&self.id, End::Failed(failure));
            return;
        }
        // The job's result can come before its reply does, on the other link; a reply that is merely
        // late can still come, or be lost with its link.
        let take_by = self.deadline.min(Deadline::after(TAKE_TIMEOUT));
        let command = command.replied_by(self.deadline);
        let send = self.node.send(command, self.session.as_ref(), take_by);
        let mut reply = pin!(send);
        let first = tokio::select! {
            biased;
            reply = &mut reply => Some(reply),
            // It was taken for writing, else it would have failed by now.
            () = tokio::time::sleep_until(take_by.instant()) => None,
        };
        let mut is_awaited = first.is_none();
        let mut is_lost = false;
        match first.map(|reply| self.replied(reply)) {
            Some(Replied::Ended) => return,
            Some(Replied::Running) => {}
            Some(Replied::Lost) => is_lost = true,
            None => jobs.started(&self.id),
        }
        loop {
            tokio::select! {
                biased;
                _ = jobs.ended(&self.id) => {}
                () = self.refused() => self.follow_twin().await,
                () = self.cancel.cancelled() => self.cancelled().await,
                reply = &mut reply, if is_awaited => {
                    is_awaited = false;
                    match self.replied(reply) {
                        Replied::Ended => {}
                        Replied::Running => continue,
                        Replied::Lost => {
                            is_lost = true;
                            continue;
                        }
                    }
                }
                () = tokio::time::sleep_until(self.deadline.instant()) => {
                    self.timed_out(is_lost).await;
                }
            }
            return;
        }
    }

    /// Takes in what came of the command.
    fn replied(&self, reply: Result<Reply, Failure>) -> Replied {
        let jobs = &self.control.jobs;
        let failure = match reply {
            Ok(reply) => match reply.outcome() {
                Outcome::Ok(_) => {
                    jobs.started(&self.id);
                    // A short job has ended by now.
                    self.node.expect_event();
                    return Replied::Running;
                }
                refusal => {
                    let message = format!("FreeSWITCH refused the job: {refusal}");
                    Failure::new(Reason::CommandRejected, message).reply(&reply.text())
                }
            },
            Err(failure) => {
                let is_lost = failure.reason() == Reason::OutcomeUnknown;
                if is_lost || was_sent(&failure) {
                    // It may be running; its result, if there ever is one, comes as an event.
                    jobs.started(&self.id);
                    return match is_lost {
                        true => Replied::Lost,
                        false => Replied::Running,
                    };
                }
                failure
            }
        };
        jobs.finish(&self.id, End::Failed(failure));
        Replied::Ended
    }

    async fn timed_out(&self, is_reply_lost: bool) {
        let end = match is_reply_lost {
            true => End::Lost(
                "the link was lost before FreeSWITCH took the job, and nothing was heard of it",
            ),
            false => End::Expired,
        };
        // A leg that was answered shows that the call came about, and that the result was lost with
        // the event link: it is not this job's to end any more.
        if self.control.jobs.finish(&self.id, end) && !self.is_answered() {
            self.hang_up_legs(Deadline::after(CANCEL_TIMEOUT)).await;
        }
    }

    fn is_answered(&self) -> bool {
        let tracker = &self.control.tracker;
        let answered = |leg| tracker.session(leg).is_some_and(|session| session.answered);
        self.legs.iter().any(answered)
    }

    /// An originate is hung up and its result awaited. Anything else cannot be stopped.
    async fn cancelled(&self) {
        if !self.legs.is_empty() {
            let patience = Deadline::after(CANCEL_TIMEOUT);
            self.hang_up_legs(patience).await;
            let _ = patience.bound(self.control.jobs.ended(&self.id)).await;
        }
        self.control.jobs.finish(&self.id, End::Cancelled);
    }

    /// A leg that does not exist yet will soon, or never: it is hung up as soon as it is seen.
    async fn hang_up_legs(&self, patience: Deadline) {
        let kill = |leg: SessionId| async move {
            loop {
                let command = super::api(&uuid_kill(&leg, HangupCause::OriginatorCancel));
                match self.node.send(command, Some(&leg), patience).await {
                    Ok(reply) if reply.outcome().is_success() => return,
                    Ok(_) => {}
                    Err(failure) if failure.reason() == Reason::DeadlineExceeded => return,
                    Err(failure) => {
                        warn!(%failure, %leg, "cancelled leg is not hung up yet");
                        let again = async {
                            // A link that has just been lost counts as live for a moment.
                            tokio::time::sleep(RETRY_PAUSE).await;
                            self.node.takes_commands().await;
                        };
                        if patience.bound(again).await.is_none() {
                            return;
                        }
                        continue;
                    }
                }
                let mut seen = self
                    .control
                    .tracker
                    .watch(self.node.id(), &leg, |_| Some(()));
                let appears = async {
                    tokio::select! {
                        biased;
                        _ = seen.seen() => true,
                        _ = self.control.jobs.ended(&self.id) => false,
                    }
                };
                let is_known = self.control.tracker.session(&leg).is_some();
                if is_known || patience.bound(appears).await != Some(true) {
                    // Known and yet unknown to FreeSWITCH: it has ended by itself.
                    let is_live = self
                        .control
                        .tracker
                        .session(&leg)
                        .is_some_and(|session| session.is_live());
                    if !is_live || patience.remaining().is_zero() {
                        return;
                    }
                    // FreeSWITCH has sent events of a channel that its commands do not find yet: ask again.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        };
        futures_util::future::join_all(self.legs.iter().cloned().map(kill)).await;
    }
}

fn was_sent(failure: &Failure) -> bool {
    failure
        .metadata()
        .get("command_sent")
        .is_some_and(|sent| sent == "true")
}

/// A job that never reached FreeSWITCH is the caller's failure, any other end is the job's.
fn reached(job: SharedJob) -> Result<SharedJob, Failure> {
    match &job.outcome {
        Some(Err(failure)) if failure.reason() == Reason::NodeUnavailable => Err(failure.clone()),
        _ => Ok(job),
    }
}

fn late(job: &crate::jobs::Job) -> Failure {
    let message = format!(
        "the deadline passed before job {} ended; it goes on",
        job.id()
    );
    Failure::new(Reason::DeadlineExceeded, message)
        .job(job.id())
        .node(&job.spec.node)
        // It was registered, so its command is on its way if it has not been written yet.
        .with("command_sent", true)
}

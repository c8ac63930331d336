//! The table of all jobs.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::feed::{JobFeed, JobFeeds};
use super::twins::{Heard, Twins};
use super::{End, Job, JobSpec, JobState, SharedJob};
use crate::domain::{Failure, JobId, NodeId, Reason};
use crate::shutdown::Drain;

mod census;
mod end;
mod repeats;

pub use census::{ENDS, JobCensus};

/// How often finished jobs past their retention are swept.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Bytes of outputs that are kept; the oldest finished jobs go first.
const MAX_OUTPUT_BYTES: usize = 256 << 20;

/// How many jobs are kept, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct JobsConfig {
    /// How long a finished job stays readable.
    pub retention: Duration,
    /// How many finished jobs are kept; the oldest go first.
    pub max_finished: usize,
    /// How many may be unfinished at a time; each is a thread in FreeSWITCH.
    pub max_running: usize,
    /// Most unfinished jobs of one node.
    pub max_running_per_node: usize,
}

/// All jobs, unfinished and finished.
#[derive(Debug)]
pub struct Jobs {
    config: JobsConfig,
    table: Mutex<Table>,
    /// A job was registered.
    registered: Notify,
}

#[derive(Debug, Default)]
struct Table {
    jobs: HashMap<JobId, Entry, foldhash::fast::RandomState>,
    finished: VecDeque<(Instant, JobId)>,
    /// How many are unfinished on each node where there are any.
    unfinished: HashMap<NodeId, usize>,
    /// Of the finished ones.
    output_bytes: usize,
    feeds: JobFeeds,
    tally: census::Tally,
}

#[derive(Debug)]
struct Entry {
    job: watch::Sender<SharedJob>,
    /// Triggered once, when somebody asks for the job's cancellation.
    cancel: CancellationToken,
    /// Of a job that other gateways may run too.
    twins: Option<Twins>,
    /// Its place among the unfinished.
    number: u64,
}

// === impl JobsConfig ===

impl Default for JobsConfig {
    fn default() -> Self {
        Self {
            retention: Duration::from_secs(3600),
            max_finished: 10_000,
            max_running: 10_000,
            max_running_per_node: 2000,
        }
    }
}

// === impl Jobs ===

impl Jobs {
    /// An empty table, which sweeps itself until `drain` stops.
    pub fn start(config: JobsConfig, drain: &Drain) -> Arc<Self> {
        let jobs = Arc::new(Self {
            config,
            table: Mutex::default(),
            registered: Notify::new(),
        });
        let sweeper = Arc::clone(&jobs);
        let stopped = drain.stopped();
        drain.spawn(async move {
            tokio::pin!(stopped);
            loop {
                tokio::select! {
                    biased;
                    () = &mut stopped => return,
                    () = tokio::time::sleep(SWEEP_INTERVAL) => sweeper.sweep(),
                }
            }
        });
        jobs
    }

    /// Registers a job, before its command is written. Gives back the signal that it shall be
    /// cancelled, for the task that runs it.
    ///
    /// # Errors
    /// OVERLOADED when too many are unfinished; REQUEST_ID_REUSED when the id is taken.
    pub fn register(&self, spec: JobSpec) -> Result<CancellationToken, Failure> {
        let mut table = self.lock();
        let running = table.running();
        if running >= self.config.max_running {
            let message = format!("{running} jobs are unfinished, which is the limit");
            return Err(
                Failure::new(Reason::Overloaded, message).retry_after(Duration::from_secs(1))
            );
        }
        let of_node = table.unfinished.get(spec.node.as_str()).copied();
        let of_node = of_node.unwrap_or_default();
        if of_node >= self.config.max_running_per_node {
            let message = format!(
                "{of_node} jobs of node {} are unfinished, which is the limit",
                spec.node
            );
            let failure = Failure::new(Reason::Overloaded, message).node(&spec.node);
            return Err(failure.retry_after(Duration::from_secs(1)));
        }
        if !table.make_room(&spec.id) {
            let message = format!("job {} exists already", spec.id);
            return Err(Failure::new(Reason::RequestIdReused, message).job(&spec.id));
        }
        let id = spec.id.clone();
        let cancel = CancellationToken::new();
        let entry = Entry {
            twins: spec.mark.clone().map(Twins::new),
            job: watch::Sender::new(Arc::new(Job::new(spec))),
            cancel: cancel.clone(),
            number: table.tally.registered(),
        };
        table.feeds.tell(&entry.job.borrow());
        let node = entry.job.borrow().spec.node.clone();
        *table.unfinished.entry(node).or_default() += 1;
        table.jobs.insert(id, entry);
        drop(table);
        self.registered.notify_waiters();
        Ok(cancel)
    }

    /// Asks for the job's cancellation; the task that runs it does what can be done.
    ///
    /// # Errors
    /// JOB_NOT_FOUND, or JOB_ENDED when there is nothing left to cancel.
    pub fn cancel(&self, id: &JobId, why: &str) -> Result<(), Failure> {
        let table = self.lock();
        let entry = table.jobs.get(id.as_str()).ok_or_else(|| unknown(id))?;
        let state = entry.job.borrow().state;
        if state.is_end() {
            let message = format!("job {id} has ended: {}", state.name());
            return Err(Failure::new(Reason::JobEnded, message)
                .job(id)
                .with("state", state.name()));
        }
        entry.job.send_modify(|job| {
            let reason = &mut Arc::make_mut(job).cancel_reason;
            reason.get_or_insert_with(|| why.to_owned());
        });
        entry.cancel.cancel();
        Ok(())
    }

    /// FreeSWITCH has taken the job.
    pub fn started(&self, id: &JobId) {
        self.lock().update(id, |job| {
            if job.state == JobState::Pending {
                job.state = JobState::Running;
                job.started = Some(SystemTime::now());
            }
        });
    }

    /// FreeSWITCH told the result of a job: of the command with these arguments, where it says so.
    pub fn answered(&self, id: &JobId, arguments: Option<&str>, output: Bytes) {
        let mut table = self.lock();
        let twins = table
            .jobs
            .get_mut(id.as_str())
            .and_then(|entry| entry.twins.as_mut());
        let heard = match (twins, arguments) {
            (Some(twins), Some(arguments)) => twins.hear(arguments, output),
            _ => Heard::Result(output),
        };
        match heard {
            Heard::Result(output) => {
                table.finish(id, End::Answered(output));
                table.trim(self.config.max_finished);
            }
            Heard::Refused => table.update(id, |job| job.is_elsewhere = true),
            Heard::Nothing => {}
        }
    }

    /// This gateway sends nothing: another one runs the job already.
    pub fn left_elsewhere(&self, id: &JobId) {
        let mut table = self.lock();
        if let Some(twins) = table
            .jobs
            .get_mut(id.as_str())
            .and_then(|entry| entry.twins.as_mut())
        {
            twins.leave();
        }
        table.update(id, |job| {
            job.is_elsewhere = true;
            job.state = JobState::Running;
            job.started = Some(SystemTime::now());
        });
    }

    /// The job has ended; an end after the first changes nothing. Says whether it was the first.
    pub fn finish(&self, id: &JobId, end: End) -> bool {
        let mut table = self.lock();
        let finished = table.finish(id, end);
        table.trim(self.config.max_finished);
        finished
    }

    /// Forgets a job that has ended.
    ///
    /// # Errors
    /// JOB_NOT_FOUND, or JOB_RUNNING while it has not ended.
    pub fn delete(&self, id: &JobId) -> Result<(), Failure> {
        let mut table = self.lock();
        let entry = table.jobs.get(id.as_str()).ok_or_else(|| unknown(id))?;
        let state = entry.job.borrow().state;
        if !state.is_end() {
            let message = format!("job {id} has not ended yet; cancel it first");
            return Err(Failure::new(Reason::JobRunning, message)
                .job(id)
                .with("state", state.name()));
        }
        table.forget(id);
        Ok(())
    }

    /// FreeSWITCH restarted: nobody can tell any more what became of the jobs that it ran.
    pub fn node_restarted(&self, node: &NodeId) {
        let is_lost = |job: &Job| job.state == JobState::Running;
        self.lose(node, is_lost, "FreeSWITCH restarted before the job ended");
    }

    /// The node was removed: nobody asks it any more.
    pub fn node_removed(&self, node: &NodeId) {
        let is_lost = |job: &Job| !job.state.is_end();
        self.lose(node, is_lost, "the node was removed before the job ended");
    }

    fn lose(&self, node: &NodeId, is_lost: impl Fn(&Job) -> bool, why: &'static str) {
        let mut table = self.lock();
        let mut lost: Vec<JobId> = table
            .jobs
            .values()
            .map(|entry| entry.job.borrow())
            .filter(|job| job.spec.node == *node && is_lost(job))
            .map(|job| job.id().clone())
            .collect();
        // By the jobs' start, for ids that were generated; one order for all is what matters.
        lost.sort();
        for id in lost {
            table.finish(&id, End::Lost(why));
        }
        table.trim(self.config.max_finished);
    }

    /// The job as it is.
    ///
    /// # Errors
    /// JOB_NOT_FOUND when there is none, or its retention is over.
    pub fn get(&self, id: &JobId) -> Result<SharedJob, Failure> {
        self.follow(id).map(|job| Arc::clone(&job.borrow()))
    }

    /// The job now and as it changes.
    ///
    /// # Errors
    /// As [`Jobs::get`].
    pub fn follow(&self, id: &JobId) -> Result<watch::Receiver<SharedJob>, Failure> {
        match self.lock().jobs.get(id.as_str()) {
            Some(entry) => Ok(entry.job.subscribe()),
            None => Err(unknown(id)),
        }
    }

    /// Waits for the job's end.
    ///
    /// # Errors
    /// As [`Jobs::get`].
    pub async fn ended(&self, id: &JobId) -> Result<SharedJob, Failure> {
        let mut job = self.follow(id)?;
        // Only finished jobs are forgotten, so without a sender the last state is an end too.
        let _ = job.wait_for(|job| job.state.is_end()).await;
        Ok(Arc::clone(&job.borrow()))
    }

    /// Waits until the jobs have ended whose cancellation was asked for.
    pub async fn cancelled_ended(&self) {
        for id in &self.cancelled() {
            // One that is no longer known has ended.
            let _ = self.ended(id).await;
        }
    }

    fn cancelled(&self) -> Vec<JobId> {
        let table = self.lock();
        let entries = table.jobs.iter();
        let cancelled = entries.filter(|(_, entry)| entry.cancel.is_cancelled());
        cancelled.map(|(id, _)| id.clone()).collect()
    }

    /// All jobs, newest first.
    pub fn list(&self) -> Vec<SharedJob> {
        newest_first(self.lock().all())
    }

    /// All jobs, newest first, and from then on each change of one, in order.
    pub fn watch(&self) -> (Vec<SharedJob>, JobFeed) {
        let table = self.lock();
        let (all, feed) = (table.all(), table.feeds.subscribe());
        drop(table);
        (newest_first(all), feed)
    }

    /// Number of unfinished jobs on a node.
    pub fn running_on(&self, node: &NodeId) -> usize {
        let table = self.lock();
        table.unfinished.get(node.as_str()).copied().unwrap_or(0)
    }

    /// Number of unfinished jobs.
    pub fn unfinished(&self) -> usize {
        self.lock().running()
    }

    fn sweep(&self) {
        let now = Instant::now();
        let mut table = self.lock();
        let is_past = |at: Instant| now.saturating_duration_since(at) >= self.config.retention;
        while table.finished.front().is_some_and(|(at, _)| is_past(*at)) {
            table.forget_oldest();
        }
    }

    /// A panic while the lock was held leaves plain data behind, which is better than none.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Table ===

impl Table {
    fn all(&self) -> Vec<SharedJob> {
        let jobs = self.jobs.values().map(|entry| entry.job.borrow());
        jobs.map(|job| Arc::clone(&job)).collect()
    }

    fn running(&self) -> usize {
        self.jobs.len() - self.finished.len()
    }

    fn update(&mut self, id: &JobId, change: impl FnOnce(&mut Job)) {
        let Some(entry) = self.jobs.get(id.as_str()) else {
            return;
        };
        let before = entry.job.borrow().state;
        entry.job.send_modify(|job| change(Arc::make_mut(job)));
        let state = entry.job.borrow().state;
        if state != before {
            self.tally.moved(before, state);
            self.feeds.tell(&entry.job.borrow());
        }
    }

    fn finish(&mut self, id: &JobId, end: End) -> bool {
        let Some(entry) = self.jobs.get(id.as_str()) else {
            return false;
        };
        let before = entry.job.borrow().state;
        let first = entry.job.send_if_modified(|job| {
            let first = !job.state.is_end();
            if first {
                end::end_job(Arc::make_mut(job), end);
            }
            first
        });
        if first {
            let job = Arc::clone(&entry.job.borrow());
            self.tally.ended(entry.number, before, job.state);
            self.output_bytes += job.output_bytes();
            self.feeds.tell(&job);
            self.finished.push_back((Instant::now(), id.clone()));
            if let Some(count) = self.unfinished.get_mut(job.spec.node.as_str()) {
                *count -= 1;
                if *count == 0 {
                    self.unfinished.remove(job.spec.node.as_str());
                }
            }
        }
        first
    }

    /// Makes room for a job of this id: there is none, or one that failed so that it may be tried
    /// again, since nothing came of it.
    fn make_room(&mut self, id: &JobId) -> bool {
        let Some(entry) = self.jobs.get(id.as_str()) else {
            return true;
        };
        let is_void = repeats::is_void(&entry.job.borrow());
        if is_void {
            self.forget(id);
        }
        is_void
    }

    /// The newest is kept whatever its size: somebody may be about to read it.
    fn trim(&mut self, max_finished: usize) {
        while self.finished.len() > max_finished
            || (self.output_bytes > MAX_OUTPUT_BYTES && self.finished.len() > 1)
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, id)) = self.finished.pop_front() {
            self.remove(&id);
        }
    }

    /// Forgets a job that has ended.
    fn forget(&mut self, id: &JobId) {
        self.finished.retain(|(_, finished)| finished != id);
        self.remove(id);
    }

    fn remove(&mut self, id: &JobId) {
        if let Some(entry) = self.jobs.remove(id.as_str()) {
            self.output_bytes -= entry.job.borrow().output_bytes();
        }
    }
}

fn newest_first(mut jobs: Vec<SharedJob>) -> Vec<SharedJob> {
    jobs.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| b.id().cmp(a.id())));
    jobs
}

fn unknown(id: &JobId) -> Failure {
    Failure::job_not_found(id)
}

#[cfg(test)]
mod tests;

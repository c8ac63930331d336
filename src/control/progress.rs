//! Placing a call and telling how it goes.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::originate::CancelOnDrop;
use super::{Control, Originate};
use crate::domain::{Deadline, Failure, JobId, Reason, SessionId};
use crate::fleet::Node;
use crate::tracker::{Session, Watch, WatchLost};

/// Tellings that may wait for a client. Each leg has four at most, so none is ever lost with fewer
/// legs than 32; with more, the last of a leg is what counts and is read from the session.
const QUEUE: usize = 128;

/// One thing that is told of a call that is being placed.
#[derive(Debug, Clone)]
pub enum Progress {
    /// FreeSWITCH took the job.
    Accepted(JobId, Vec<SessionId>),
    /// A leg exists.
    Started(u32, Arc<Session>),
    /// A leg rings or has early media.
    Progressed(u32, Arc<Session>),
    /// A leg was answered.
    Answered(u32, Arc<Session>),
    /// A leg has ended.
    LegEnded(u32, Arc<Session>),
    /// The end: a leg was answered.
    Ended(u32, Arc<Session>),
}

/// A call that is being placed. Dropped while it rings, it ends the call unless it was detached.
pub struct Placing {
    control: Control,
    node: Arc<Node>,
    job: JobId,
    legs: Vec<SessionId>,
    detach: bool,
    deadline: Deadline,
    told: mpsc::Receiver<Progress>,
    watches: Vec<Watch<()>>,
    guard: CancelOnDrop,
    stage: Stage,
    failure: Option<Failure>,
}

#[derive(Debug, Clone)]
enum Stage {
    New,
    Placing,
    Winner(u32, Arc<Session>),
    Over,
}

// === impl Control ===

impl Control {
    /// As [`Control::originate`], telling of everything on the way.
    ///
    /// # Errors
    /// When the call is malformed or cannot be placed; nothing was sent then.
    pub async fn originate_stream(
        &self,
        request: &Originate,
        deadline: Deadline,
    ) -> Result<Placing, Failure> {
        let plan = self.plan(request, deadline).await?;
        let (node, legs) = (Arc::clone(&plan.node), plan.legs.clone());
        let (tell, told) = mpsc::channel(QUEUE);
        let watches = legs
            .iter()
            .zip(0..)
            .map(|(leg, at)| self.watch_progress(&node, leg, at, tell.clone()))
            .collect();
        let job = self.carry_out(plan, request)?;
        Ok(Placing {
            control: self.clone(),
            guard: CancelOnDrop::new(self, &job, !request.detach),
            node,
            job,
            legs,
            detach: request.detach,
            deadline,
            told,
            watches,
            stage: Stage::New,
            failure: None,
        })
    }

    /// Tells of each step of a leg once; content with its end.
    fn watch_progress(
        &self,
        node: &Node,
        leg: &SessionId,
        at: u32,
        tell: mpsc::Sender<Progress>,
    ) -> Watch<()> {
        let (mut started, mut progressed, mut answered) = (false, false, false);
        self.tracker.watch(node.id(), leg, move |sight| {
            let session = sight.session;
            // A full queue means that the client reads too slowly to be told each step.
            let say = |progress: Progress| drop(tell.try_send(progress));
            if !started {
                started = true;
                say(Progress::Started(at, Arc::clone(session)));
            }
            if !progressed
                && session.times.progress.is_some()
                && !session.answered
                && session.is_live()
            {
                progressed = true;
                say(Progress::Progressed(at, Arc::clone(session)));
            }
            if !answered && session.answered {
                answered = true;
                say(Progress::Answered(at, Arc::clone(session)));
            }
            if session.is_live() {
                return None;
            }
            say(Progress::LegEnded(at, Arc::clone(session)));
            Some(())
        })
    }
}

// === impl Placing ===

impl Placing {
    /// The next thing to tell; `None` when all was told.
    ///
    /// # Errors
    /// How the call failed, after which nothing is told any more.
    pub async fn next(&mut self) -> Result<Option<Progress>, Failure> {
        match self.stage.clone() {
            Stage::New => self.accepted().await.map(Some),
            Stage::Placing => self.placing().await.map(Some),
            Stage::Winner(at, session) => {
                self.stage = Stage::Over;
                Ok(Some(Progress::Ended(at, session)))
            }
            Stage::Over => Ok(None),
        }
    }

    async fn accepted(&mut self) -> Result<Progress, Failure> {
        match self.control.job_taken(&self.job, self.deadline).await {
            Ok(_) => {
                self.stage = Stage::Placing;
                Ok(Progress::Accepted(self.job.clone(), self.legs.clone()))
            }
            Err(failure) => Err(self.over(failure)),
        }
    }

    async fn placing(&mut self) -> Result<Progress, Failure> {
        loop {
            if let Some(failure) = self.failure.take() {
                // What the legs said before comes first.
                return match self.told.try_recv() {
                    Ok(progress) => {
                        self.failure = Some(failure);
                        Ok(progress)
                    }
                    Err(_) => Err(self.over(failure)),
                };
            }
            let failure = tokio::select! {
                biased;
                progress = self.told.recv() => match progress {
                    Some(Progress::Answered(at, session)) => {
                        self.guard.armed = false;
                        self.stage = Stage::Winner(at, Arc::clone(&session));
                        return Ok(Progress::Answered(at, session));
                    }
                    Some(progress) => return Ok(progress),
                    // Every watch has ended, which takes the link's loss or every leg's end.
                    None => match lost(&mut self.watches).await {
                        Some(lost) => self.control.unseen(&self.job, &lost),
                        None => self.control.job_failure(&self.job).await,
                    },
                },
                failure = self.control.job_failure(&self.job) => failure,
                () = tokio::time::sleep_until(self.deadline.instant()) => self.control.out_of_time(&self.job, self.detach),
            };
            self.failure = Some(failure);
        }
    }

    /// The last word. The guard ends the call when nobody waits for it any more, at the deadline
    /// too.
    fn over(&mut self, failure: Failure) -> Failure {
        self.stage = Stage::Over;
        self.guard.armed &= failure.reason() == Reason::DeadlineExceeded;
        let failure = self
            .control
            .explain(failure, &self.legs)
            .job(&self.job)
            .node(self.node.id());
        match self.legs.first() {
            Some(leg) if !failure.metadata().contains_key("session_id") => failure.session(leg),
            _ => failure,
        }
    }
}

impl std::fmt::Debug for Placing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Placing")
            .field("job", &self.job)
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}

/// Whether one of the watches was lost with its link.
async fn lost(watches: &mut [Watch<()>]) -> Option<WatchLost> {
    for watch in watches {
        if let Err(lost) = watch.seen().await {
            return Some(lost);
        }
    }
    None
}

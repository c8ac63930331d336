//! Telling how a call goes that is being placed.

use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Control, Originate, OriginateWait, Originated};
use crate::domain::{Deadline, Failure, JobId, NodeId, SessionId};
use crate::esl::quote::MAX_LEGS;
use crate::tracker::{Session, Watch};

/// Tellings that may wait for a client: all that there are, since each leg has four at most.
const QUEUE: usize = 4 * MAX_LEGS;

/// What comes of a call, as [`Control::originate`] says it.
pub type Outcome = Pin<Box<dyn Future<Output = Result<Originated, Failure>> + Send>>;

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
    /// The end: a leg was answered, and is the one that FreeSWITCH keeps.
    Ended(u32, Arc<Session>),
}

/// A call that is being placed: what its legs show on the way, and its outcome, which counts. With
/// it the outcome is dropped, and so nobody waits for the call any more.
pub struct Placing {
    control: Control,
    request: Originate,
    deadline: Deadline,
    outcome: Outcome,
    /// What came of it, once it is there.
    result: Option<Result<Originated, Failure>>,
    told: mpsc::Receiver<Progress>,
    /// They tell.
    _watches: Vec<Watch<()>>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    New,
    Placing,
    Over,
}

// === impl Control ===

impl Control {
    /// Follows a call that is being placed, or was before under the same `request_id`; content when
    /// its job is registered.
    ///
    /// # Errors
    /// When the call cannot be placed; nothing was sent then. REQUEST_ID_REUSED when the id was used
    /// for another request.
    pub async fn follow_call(
        &self,
        request: Originate,
        mut outcome: Outcome,
        deadline: Deadline,
    ) -> Result<Placing, Failure> {
        let ids = &request.ids;
        self.jobs.repeated(&ids.job, &request.identity)?;
        let (node, result) = tokio::select! {
            biased;
            job = self.jobs.registered(&ids.job) => (job.spec.node.clone(), None),
            // The job may be forgotten by now.
            result = &mut outcome => {
                let originated = result?;
                (originated.seen.session.node.clone(), Some(Ok(originated)))
            }
        };
        let (tell, told) = mpsc::channel(QUEUE);
        let watches = ids.legs.iter().zip(0..);
        let watches = watches
            .map(|(leg, at)| self.watch_progress(&node, leg, at, tell.clone()))
            .collect();
        Ok(Placing {
            control: self.clone(),
            request,
            deadline,
            outcome,
            result,
            told,
            _watches: watches,
            stage: Stage::New,
        })
    }

    /// Tells of each step of a leg once; content with its end.
    fn watch_progress(
        &self,
        node: &NodeId,
        leg: &SessionId,
        at: u32,
        tell: mpsc::Sender<Progress>,
    ) -> Watch<()> {
        let (mut started, mut progressed, mut answered) = (false, false, false);
        self.tracker.watch(node, leg, move |sight| {
            let session = sight.session;
            // There is room for every step of every leg.
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
    /// The next thing to tell; `None` when all was told. Cancel-safe.
    ///
    /// # Errors
    /// How the call failed, after which nothing is told any more.
    pub async fn next(&mut self) -> Result<Option<Progress>, Failure> {
        match self.stage {
            Stage::New => {
                self.taken().await?;
                self.stage = Stage::Placing;
                let ids = self.request.ids.clone();
                Ok(Some(Progress::Accepted(ids.job, ids.legs)))
            }
            Stage::Placing => self.placing().await.map(Some),
            Stage::Over => Ok(None),
        }
    }

    /// The job that places the call.
    pub fn job(&self) -> &JobId {
        &self.request.ids.job
    }

    /// The first leg.
    pub fn first_leg(&self) -> Option<&SessionId> {
        self.request.ids.legs.first()
    }

    /// Waits until FreeSWITCH has taken the job; why it did not, the outcome says.
    async fn taken(&mut self) -> Result<(), Failure> {
        if self.result.is_none() {
            tokio::select! {
                biased;
                Ok(_) = self.control.job_taken(&self.request.ids.job, self.deadline) => {}
                result = &mut self.outcome => self.result = Some(Ok(result?)),
            }
        }
        Ok(())
    }

    async fn placing(&mut self) -> Result<Progress, Failure> {
        loop {
            let Some(result) = &self.result else {
                tokio::select! {
                    biased;
                    Some(progress) = self.told.recv() => return Ok(progress),
                    result = &mut self.outcome => self.result = Some(result),
                }
                continue;
            };
            // What the legs showed before comes first.
            if let Ok(progress) = self.told.try_recv() {
                return Ok(progress);
            }
            match result {
                Ok(originated) if originated.seen.session.answered => {
                    self.stage = Stage::Over;
                    let session = Arc::clone(&originated.seen.session);
                    return Ok(Progress::Ended(self.place_of(&session.id), session));
                }
                // Of an Originate that waited for less.
                Ok(_) => self.wait_for_answer(),
                Err(failure) => {
                    self.stage = Stage::Over;
                    return Err(failure.clone());
                }
            }
        }
    }

    fn wait_for_answer(&mut self) {
        let (control, deadline) = (self.control.clone(), self.deadline);
        let request = Originate {
            wait: OriginateWait::Answered,
            ..self.request.clone()
        };
        self.result = None;
        self.outcome = Box::pin(async move {
            let nobody_leaves = CancellationToken::new();
            control.originate(&request, deadline, &nobody_leaves).await
        });
    }

    /// Which endpoint the leg is of.
    fn place_of(&self, leg: &SessionId) -> u32 {
        let mut legs = self.request.ids.legs.iter().zip(0..);
        legs.find(|(id, _)| *id == leg).map_or(0, |(_, at)| at)
    }
}

impl std::fmt::Debug for Placing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Placing")
            .field("job", self.job())
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}

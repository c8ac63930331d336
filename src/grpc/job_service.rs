//! JobService.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use tonic::{Request, Response, Status};

use super::convert::{id, labels, optional_duration, optional_id, selector, to_job};
use super::filter::ListFilter;
use super::page::{Wanted, page_of_bytes};
use super::status::respond;
use super::watch::{Watched, Watching};
use super::{Services, deadline};
use crate::control::{JobChanges, JobRequest};
use crate::domain::{Deadline, Failure, Identity, JobId};
use crate::events::Cursor;
use crate::jobs::{Job, SharedJob, without_large_output};
use crate::pb;
use crate::pb::job_service_server::JobService;

/// RunJob and StartJob ask for the same: one of them waits for the other's job.
const JOB: &str = "Job";
/// Most jobs that are told in one message, so that it stays far below the 4 MiB that clients take.
const MAX_TOLD: usize = 64;

#[tonic::async_trait]
impl JobService for Services {
    async fn run_job(
        &self,
        request: Request<pb::RunJobRequest>,
    ) -> Result<Response<pb::RunJobResponse>, Status> {
        let (request, deadline) = self.open(request);
        let identity = Identity {
            kind: JOB,
            ..self.identify(&request, &request.request_id)
        };
        let wanted = pb::StartJobRequest {
            command: request.command,
            arguments: request.arguments,
            node_selector: request.node_selector,
            session_id: request.session_id,
            timeout: request.timeout,
            labels: request.labels,
            request_id: request.request_id,
        };
        let answer = async {
            let id = self.launch(wanted, &identity, deadline).await?;
            let job = self.control.job_ended(&id, deadline).await?;
            let (job, cursor) = self.as_it_is(&job);
            Ok(pb::RunJobResponse {
                job: Some(to_job(&job)),
                cursor,
            })
        };
        respond(answer.await)
    }

    async fn start_job(
        &self,
        request: Request<pb::StartJobRequest>,
    ) -> Result<Response<pb::StartJobResponse>, Status> {
        let (wanted, deadline) = self.open(request);
        let identity = Identity {
            kind: JOB,
            ..self.identify(&wanted, &wanted.request_id)
        };
        let answer = async {
            let id = self.launch(wanted, &identity, deadline).await?;
            let job = self.control.job_taken(&id, deadline).await?;
            let (job, cursor) = self.as_it_is(&job);
            Ok(pb::StartJobResponse {
                job: Some(to_job(&job)),
                cursor,
            })
        };
        respond(answer.await)
    }

    async fn get_job(
        &self,
        request: Request<pb::GetJobRequest>,
    ) -> Result<Response<pb::GetJobResponse>, Status> {
        let cursor = self.cursor();
        let answer = || {
            let id: JobId = id(&request.get_ref().job_id, "job_id")?;
            Ok(pb::GetJobResponse {
                cursor,
                job: Some(to_job(&*self.control.job(&id)?)),
            })
        };
        respond(answer())
    }

    async fn list_jobs(
        &self,
        request: Request<pb::ListJobsRequest>,
    ) -> Result<Response<pb::ListJobsResponse>, Status> {
        let request = request.into_inner();
        let cursor = self.cursor();
        let answer = || {
            let filter = ListFilter::of::<Job>(&request.filter)?;
            let mut jobs = self.control.jobs();
            jobs.retain(|job| filter.fits(&**job));
            let wanted = Wanted {
                size: request.page_size,
                token: &request.page_token,
                filter: &request.filter,
            };
            let key = |job: &SharedJob| {
                let created = job
                    .created
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default()
                    .as_nanos();
                format!("{created:032x}{}", job.id())
            };
            let bytes = |job: &SharedJob| job.output_bytes() + job.spec.arguments.len();
            let page = page_of_bytes(jobs, wanted, true, key, bytes)?;
            Ok(pb::ListJobsResponse {
                jobs: page.items.iter().map(|job| to_job(job)).collect(),
                next_page_token: page.next_token,
                total_size: page.total,
                cursor,
            })
        };
        respond(answer())
    }

    async fn wait_job(
        &self,
        request: Request<pb::WaitJobRequest>,
    ) -> Result<Response<pb::WaitJobResponse>, Status> {
        let mut deadline = deadline::of(&request, self.deadlines.default, &self.deadlines);
        let request = request.into_inner();
        let answer = async {
            let id: JobId = id(&request.job_id, "job_id")?;
            if let Some(timeout) = optional_duration(request.timeout, "timeout")? {
                deadline = deadline.min(Deadline::after(timeout));
            }
            let job = self.control.wait_job(&id, deadline).await?;
            let (job, cursor) = self.as_it_is(&job);
            Ok(pb::WaitJobResponse {
                job: Some(to_job(&job)),
                cursor,
            })
        };
        respond(answer.await)
    }

    async fn cancel_job(
        &self,
        request: Request<pb::CancelJobRequest>,
    ) -> Result<Response<pb::CancelJobResponse>, Status> {
        let deadline = deadline::of(&request, self.deadlines.default, &self.deadlines);
        let request = request.into_inner();
        let answer = async {
            let id: JobId = id(&request.job_id, "job_id")?;
            let why = if request.reason.is_empty() {
                "cancelled by a client"
            } else {
                &request.reason
            };
            let job = self.control.cancel_job(&id, why, deadline).await?;
            let (job, cursor) = self.as_it_is(&job);
            Ok(pb::CancelJobResponse {
                job: Some(to_job(&job)),
                cursor,
            })
        };
        respond(answer.await)
    }

    async fn delete_job(
        &self,
        request: Request<pb::DeleteJobRequest>,
    ) -> Result<Response<pb::DeleteJobResponse>, Status> {
        let answer = || {
            let id: JobId = id(&request.get_ref().job_id, "job_id")?;
            self.control.delete_job(&id)?;
            Ok(pb::DeleteJobResponse {})
        };
        respond(answer())
    }

    type WatchJobsStream = Watching<pb::WatchJobsResponse>;

    async fn watch_jobs(
        &self,
        request: Request<pb::WatchJobsRequest>,
    ) -> Result<Response<Self::WatchJobsStream>, Status> {
        let deadline = Self::stream_deadline(&request);
        let request = request.into_inner();
        let answer = || {
            let filter = ListFilter::of::<Job>(&request.filter)?;
            // Read first, so that nothing that it includes is missing.
            let cursor = self.control.cursor();
            let (mut jobs, changes) = self.control.watch_jobs();
            jobs.retain(|job| request.snapshot && filter.fits(&**job));
            let feed = Feed {
                services: self.clone(),
                filter,
                snapshot: Some(jobs.into()),
                changes,
                cursor,
            };
            Ok(self.stream(feed, deadline))
        };
        respond(answer())
    }
}

/// Watched jobs.
struct Feed {
    services: Services,
    filter: ListFilter,
    /// What is left of the snapshot.
    snapshot: Option<VecDeque<SharedJob>>,
    changes: JobChanges,
    /// What was told is not older.
    cursor: Cursor,
}

// === impl Feed ===

impl Watched for Feed {
    type Message = pb::WatchJobsResponse;

    async fn next(&mut self) -> Result<Option<pb::WatchJobsResponse>, Failure> {
        if let Some(snapshot) = &mut self.snapshot {
            let part = snapshot.drain(..MAX_TOLD.min(snapshot.len()));
            let jobs = part
                .map(|job| to_job(&without_large_output(&job)))
                .collect();
            let is_last = snapshot.is_empty();
            if is_last {
                self.snapshot = None;
            }
            return Ok(Some(pb::WatchJobsResponse {
                jobs,
                snapshot: true,
                snapshot_end: is_last,
                cursor: self.cursor.to_string(),
            }));
        }
        let first = loop {
            let job = self.changes.next().await?;
            if self.filter.fits(&*job) {
                break job;
            }
        };
        // Every change that it includes is waiting by now.
        let cursor = self.services.control.cursor();
        let mut jobs = vec![to_job(&first)];
        while jobs.len() < MAX_TOLD {
            let Some(job) = self.changes.next_now()? else {
                self.cursor = cursor;
                break;
            };
            if self.filter.fits(&*job) {
                jobs.push(to_job(&job));
            }
        }
        Ok(Some(pb::WatchJobsResponse {
            jobs,
            cursor: self.cursor.to_string(),
            ..Default::default()
        }))
    }

    fn cursor(&self) -> Cursor {
        self.cursor
    }
}

impl Services {
    /// The job with a cursor that it is not older than.
    fn as_it_is(&self, job: &SharedJob) -> (SharedJob, String) {
        let cursor = self.cursor();
        let now = self.control.job(job.id());
        (now.unwrap_or_else(|_| Arc::clone(job)), cursor)
    }

    /// Starts the job, unless it was started before under this `request_id`: RunJob after StartJob
    /// waits for the same job.
    async fn launch(
        &self,
        wanted: pb::StartJobRequest,
        identity: &Identity,
        deadline: Deadline,
    ) -> Result<JobId, Failure> {
        let request = JobRequest {
            identity: identity.clone(),
            command: wanted.command,
            arguments: wanted.arguments,
            selector: selector(wanted.node_selector)?,
            session: optional_id(&wanted.session_id, "session_id")?,
            timeout: optional_duration(wanted.timeout, "timeout")?,
            labels: labels(wanted.labels)?,
        };
        let control = self.control.clone();
        let action = async move {
            let id = control.launch_job(request)?;
            match control.job_taken(&id, deadline).await {
                // It was not sent: a repeat shall try again, not be told of it.
                Err(failure) if failure.retry_delay().is_some() => Err(failure),
                _ => Ok(id),
            }
        };
        self.once
            .run(identity, deadline, self.counted(action))
            .await
    }
}

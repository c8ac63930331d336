//! A call that is being placed: until it is there, or as a stream of its progress.

use std::pin::Pin;
use std::time::Duration;

use tokio_stream::Stream;
use tonic::Status;

use super::super::Services;
use super::super::convert::{
    labels, optional_duration, optional_text, selector, to_session, unknown_value,
};
use super::super::status::status;
use super::identify;
use crate::control::{Originate, OriginateWait, Placing, Progress};
use crate::domain::{Deadline, Failure, Identity, Reason};
use crate::esl::quote::{LegStrategy, Target};
use crate::pb::{self, originate_request, originate_stream_response};
use crate::tracker::Session;

pub(in crate::grpc) type OriginateProgress =
    Pin<Box<dyn Stream<Item = Result<pb::OriginateStreamResponse, Status>> + Send>>;

// === impl Services ===

impl Services {
    pub(in crate::grpc) async fn place(
        &self,
        request: pb::OriginateRequest,
        deadline: Deadline,
    ) -> Result<pb::OriginateResponse, Failure> {
        let identity = identify(&request, &request.request_id);
        let originate = originate(request, identity.clone())?;
        let control = self.control.clone();
        let action =
            move |left| async move { control.originate(&originate, deadline, &left).await };
        let originated = self.once.run_for(&identity, deadline, action).await?;
        Ok(pb::OriginateResponse {
            cursor: originated.seen.cursor.to_string(),
            session: Some(to_session(&originated.seen.session)),
            job_id: originated.job.to_string(),
        })
    }

    pub(in crate::grpc) async fn place_stream(
        &self,
        request: pb::OriginateStreamRequest,
        deadline: Deadline,
    ) -> Result<OriginateProgress, Failure> {
        let inner = request
            .originate
            .ok_or_else(|| Failure::invalid("originate", "is missing; describe the call"))?;
        let identity = identify(&inner, &inner.request_id);
        let request = originate(inner, identity)?;
        let placing = self.control.originate_stream(&request, deadline).await?;
        let state = Some((self.clone(), placing));
        Ok(Box::pin(futures_util::stream::unfold(
            state,
            |state| async move {
                let (services, mut placing) = state?;
                match services.progress(&mut placing).await {
                    Ok(Some(response)) => Some((Ok(response), Some((services, placing)))),
                    Ok(None) => None,
                    Err(failure) => Some((Err(status(&failure)), None)),
                }
            },
        )))
    }

    async fn progress(
        &self,
        placing: &mut Placing,
    ) -> Result<Option<pb::OriginateStreamResponse>, Failure> {
        use originate_stream_response::Progress as Told;
        let cursor = self.cursor();
        let progress = tokio::select! {
            biased;
            progress = placing.next() => progress?,
            () = self.drain.stopped() => {
                return Err(Failure::new(Reason::ShuttingDown, "the gateway shuts down; the call is hung up unless it was detached")
                    .retry_after(Duration::from_secs(1)));
            }
        };
        let Some(progress) = progress else {
            return Ok(None);
        };
        let told = match progress {
            Progress::Accepted(job, legs) => Told::Accepted(pb::OriginateAccepted {
                job_id: job.to_string(),
                session_ids: legs.iter().map(ToString::to_string).collect(),
            }),
            Progress::Started(at, session) => Told::Started(leg(at, &session)),
            Progress::Progressed(at, session) => Told::Progressed(leg(at, &session)),
            Progress::Answered(at, session) => Told::Answered(leg(at, &session)),
            Progress::LegEnded(at, session) => Told::LegEnded(leg(at, &session)),
            Progress::Ended(at, session) => Told::Ended(leg(at, &session)),
        };
        Ok(Some(pb::OriginateStreamResponse {
            progress: Some(told),
            cursor,
        }))
    }
}

fn leg(endpoint_index: u32, session: &Session) -> pb::OriginateLeg {
    pb::OriginateLeg {
        endpoint_index,
        session: Some(to_session(session)),
    }
}

fn originate(request: pb::OriginateRequest, identity: Identity) -> Result<Originate, Failure> {
    let target = match request.target {
        Some(originate_request::Target::Application(application)) => Target::Application {
            name: application.name,
            arguments: application.arguments,
        },
        Some(originate_request::Target::Extension(extension)) => Target::Extension {
            number: extension.number,
            dialplan: extension.dialplan,
            context: extension.context,
        },
        None => Target::Application {
            name: "park".to_owned(),
            arguments: String::new(),
        },
    };
    let strategy = match pb::OriginateStrategy::try_from(request.strategy) {
        Ok(pb::OriginateStrategy::Unspecified | pb::OriginateStrategy::Failover) => {
            LegStrategy::Failover
        }
        Ok(pb::OriginateStrategy::Forked) => LegStrategy::Forked,
        Err(_) => return Err(unknown_value("strategy", request.strategy)),
    };
    let wait = match pb::OriginateWait::try_from(request.wait_for) {
        Ok(pb::OriginateWait::Unspecified | pb::OriginateWait::Answered) => OriginateWait::Answered,
        Ok(pb::OriginateWait::Progress) => OriginateWait::Progress,
        Ok(pb::OriginateWait::Started) => OriginateWait::Started,
        Err(_) => return Err(unknown_value("wait_for", request.wait_for)),
    };
    let mut variables: Vec<_> = request.variables.into_iter().collect();
    variables.sort();
    Ok(Originate {
        endpoints: request.endpoints,
        strategy,
        variables,
        caller_id_name: optional_text(request.caller_id_name),
        caller_id_number: optional_text(request.caller_id_number),
        target,
        selector: selector(request.node_selector)?,
        wait,
        detach: request.detach,
        labels: labels(request.labels)?,
        identity,
        ring_timeout: optional_duration(request.ring_timeout, "ring_timeout")?,
    })
}

//! A call that is being placed, as a stream.

use std::pin::Pin;
use std::time::Duration;

use tokio_stream::Stream;
use tonic::Status;

use super::super::Services;
use super::super::convert::to_session;
use super::super::status::status;
use crate::control::{Originate, Placing, Progress};
use crate::domain::{Deadline, Failure, Reason};
use crate::pb::{self, originate_stream_response};
use crate::tracker::Session;

pub(in crate::grpc) type OriginateProgress =
    Pin<Box<dyn Stream<Item = Result<pb::OriginateStreamResponse, Status>> + Send>>;

// === impl Services ===

impl Services {
    pub(in crate::grpc) async fn place(
        &self,
        request: &Originate,
        deadline: Deadline,
    ) -> Result<OriginateProgress, Failure> {
        let placing = self.control.originate_stream(request, deadline).await?;
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

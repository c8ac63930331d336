//! A call that is being placed: until it is there, or as a stream of its progress.

use super::super::Services;
use super::super::convert::{
    labels, optional_duration, optional_text, selector, to_session, unknown_value,
};
use super::super::watch::{Watched, Watching};
use crate::control::{CallIds, Originate, OriginateWait, Placing, Progress};
use crate::domain::{Deadline, Failure, Identity};
use crate::esl::quote::{LegStrategy, Target};
use crate::events::Cursor;
use crate::pb::{self, originate_request, originate_stream_response};
use crate::tracker::Session;

pub(in crate::grpc) type OriginateProgress = Watching<pb::OriginateStreamResponse>;

// === impl Services ===

impl Services {
    pub(in crate::grpc) async fn place(
        &self,
        request: pb::OriginateRequest,
        deadline: Deadline,
    ) -> Result<pb::OriginateResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let originate = originate(request, identity.clone())?;
        let control = self.control.clone();
        let action = |left| {
            self.counted(async move { control.originate(&originate, deadline, &left).await })
        };
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
        // The same as an Originate, of which it tells more.
        let identity = Identity {
            rpc: "OriginateStream",
            ..self.identify(&inner, &inner.request_id)
        };
        let mut request = originate(inner, identity.clone())?;
        request.wait = OriginateWait::Answered;
        let (services, asked) = (self.clone(), request.clone());
        let outcome = Box::pin(async move {
            let control = services.control.clone();
            let action = |left| {
                services.counted(async move { control.originate(&asked, deadline, &left).await })
            };
            services.once.run_for(&identity, deadline, action).await
        });
        let cursor = self.control.cursor();
        let placing = self.control.follow_call(request, outcome, deadline).await?;
        let feed = Feed {
            services: self.clone(),
            placing,
            cursor,
        };
        // The outcome keeps the deadline.
        Ok(self.stream(feed, None))
    }
}

/// One call that is told of.
struct Feed {
    services: Services,
    placing: Placing,
    /// What the last message tells is not older.
    cursor: Cursor,
}

// === impl Feed ===

impl Watched for Feed {
    type Message = pb::OriginateStreamResponse;

    /// As Originate, whose outcome it tells.
    const HAS_GRACE: bool = true;

    async fn next(&mut self) -> Result<Option<pb::OriginateStreamResponse>, Failure> {
        use originate_stream_response::Progress as Told;
        self.cursor = self.services.control.cursor();
        let Some(progress) = self.placing.next().await? else {
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
            cursor: self.cursor.to_string(),
        }))
    }

    fn cursor(&self) -> Cursor {
        self.cursor
    }

    fn about(&self, failure: Failure) -> Failure {
        let failure = match failure.metadata().contains_key("job_id") {
            true => failure,
            false => failure.job(self.placing.job()),
        };
        match self.placing.first_leg() {
            Some(leg) if !failure.metadata().contains_key("session_id") => failure.session(leg),
            _ => failure,
        }
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
        ids: CallIds::of(&identity, request.endpoints.len()),
        identity,
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
        ring_timeout: optional_duration(request.ring_timeout, "ring_timeout")?,
    })
}

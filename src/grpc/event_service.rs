//! EventService.

pub(super) mod body;
pub(super) mod codec;
mod encode;
mod encodings;
mod lease;
mod list;
mod page;
mod publish;
mod request;
mod selection;
pub(super) mod server;
pub(crate) mod shared;
mod snapshot;
mod subscribe;

use tonic::{Request, Response, Status};

pub use encodings::Encodings;
pub(super) use selection::Selection;

use super::Services;
use super::status::{respond, status};
use crate::pb;
use server::event_service_server::EventService;
use shared::Listed;
use subscribe::Feed;

#[tonic::async_trait]
impl EventService for Services {
    type SubscribeStream = body::Stand;

    async fn subscribe(
        &self,
        request: Request<pb::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let deadline = Self::stream_deadline(&request);
        let feed = Feed::begin(self, request.into_inner()).await;
        match feed {
            Ok(feed) => Ok(body::pack(self.stream(feed, deadline))),
            Err(failure) => Err(status(&failure)),
        }
    }

    async fn list_events(
        &self,
        request: Request<pb::ListEventsRequest>,
    ) -> Result<Response<Listed>, Status> {
        respond(self.event_page(request.into_inner()).await)
    }

    async fn publish_event(
        &self,
        request: Request<pb::PublishEventRequest>,
    ) -> Result<Response<pb::PublishEventResponse>, Status> {
        let (request, deadline) = self.open(request);
        respond(self.publish(request, deadline).await)
    }
}

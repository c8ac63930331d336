//! The gRPC floor: parse, call the floor below, convert. The only one that knows tonic and the
//! generated code.

mod answer;
mod api;
mod call_service;
mod connection;
mod convert;
mod deadline;
mod event_service;
mod filter;
mod gate;
mod handshake;
mod health;
mod identity;
mod job_service;
mod node_service;
mod node_watch;
mod observe;
mod open;
mod page;
mod peer;
mod preface;
mod receiving;
mod rpc;
mod server;
mod session_service;
mod session_verbs;
mod status;
mod tally;
mod watch;

use std::sync::Arc;
use std::time::Duration;

pub use api::Api;
pub use event_service::Encodings;
#[cfg(any(test, fuzzing))]
pub use filter::try_text;
pub use gate::ConnectionFigures;
pub use health::Health;
pub use peer::Peer;
pub use rpc::Rpc;
pub use server::{GrpcConfig, Limits, Server, Transport};
pub use tally::{DURATION_BOUNDS, Method, Tally};

use crate::access::{Access, Caller, Permit, Standing};
use crate::control::{Control, Once};
use crate::shutdown::Drain;
use crate::telemetry::audit::Audit;

/// What the services are made of. Clones share it.
#[derive(Debug, Clone)]
pub struct Services {
    /// Who may do what.
    pub access: Access,
    /// Who changed what.
    pub audit: Audit,
    /// The verbs.
    pub control: Control,
    /// What came of requests with a `request_id`.
    pub once: Arc<Once>,
    /// Ends streams.
    pub drain: Drain,
    /// Deadlines where the client gives none.
    pub deadlines: Deadlines,
    /// Bytes of events that a subscriber wants and was not told yet, at most.
    pub subscriber_bytes: u64,
    /// After which silence a subscriber gets a checkpoint, unless it asks for another.
    pub heartbeat_interval: Duration,
    /// Events as they are on the wire, for all subscribers.
    pub encodings: Arc<Encodings>,
    /// What the request holds that they answer; nothing where they answer none yet.
    pub permit: Option<Arc<Permit>>,
    /// What the stream stands on that they serve.
    pub standing: Option<Arc<Standing>>,
}

/// Deadlines where the client gives none, and the longest that it may ask for.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// Of all RPCs but Originate.
    pub default: Duration,
    /// Of Originate.
    pub originate: Duration,
    /// The longest.
    pub max: Duration,
}

// === impl Services ===

impl Services {
    /// The same services, acting for this caller in a request that holds this.
    fn on_behalf_of(&self, caller: Caller, permit: &Arc<Permit>) -> Self {
        let mut services = self.clone();
        services.permit = Some(Arc::clone(permit));
        services.control = self.control.on_behalf_of(caller);
        services
    }

    /// An action that may outlive its request counts as under way until it is done.
    fn counted<F: Future>(&self, action: F) -> impl Future<Output = F::Output> + use<F> {
        let permit = self.permit.clone();
        async move {
            let _permit = permit;
            action.await
        }
    }
}

//! A client as `docs/operating-drain.md` advises it: a list of addresses, and retries of what may be
//! retried.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use switchgate::pb::session_service_client::SessionServiceClient;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Response, Status};

use crate::gateway::code_and_reason;

/// Most tries of one request.
const TRIES: usize = 8;
/// The first pause, which doubles; a client's back-off, not a wait of the test.
const BACKOFF: Duration = Duration::from_millis(25);

pub(super) struct Client {
    channels: [Channel; 2],
    retries: Mutex<BTreeMap<String, usize>>,
}

// === impl Client ===

impl Client {
    pub(super) fn new(addresses: [SocketAddr; 2]) -> Self {
        Self {
            channels: addresses.map(lazily),
            retries: Mutex::default(),
        }
    }

    /// Retries by reason.
    pub(super) fn retries(&self) -> BTreeMap<String, usize> {
        self.retries.lock().unwrap().clone()
    }

    fn count(&self, why: String) {
        *self.retries.lock().unwrap().entry(why).or_default() += 1;
    }

    /// Asks one gateway after the other. The request has a `request_id`, so it may be sent again
    /// also when it was executed.
    pub(super) async fn call<T, F>(
        &self,
        first: usize,
        rpc: &str,
        ask: impl Fn(SessionServiceClient<Channel>) -> F,
    ) -> Result<T, Status>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let mut pause = BACKOFF;
        for at in first.. {
            let channel = self.channels[at % self.channels.len()].clone();
            let status = match ask(SessionServiceClient::new(channel)).await {
                Ok(response) => return Ok(response.into_inner()),
                Err(status) => status,
            };
            let why = may_retry(&status).filter(|_| at + 1 < first + TRIES);
            let Some(why) = why else { return Err(status) };
            self.count(format!("{rpc} {why}"));
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        unreachable!("tries are bounded")
    }
}

pub(super) fn lazily(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect_lazy()
}

/// Why a request with a `request_id` may be sent again; `None` where the answer is final.
fn may_retry(status: &Status) -> Option<String> {
    let (code, reason) = code_and_reason(status);
    match (code, reason.as_str()) {
        // Not of the gateway: there was no connection, or it ended before the answer came.
        (Code::Unavailable | Code::Cancelled | Code::Internal | Code::Unknown, "") => {
            let words: String = status.message().chars().take(48).collect();
            Some(format!("{code:?} ({words})"))
        }
        (Code::Unavailable, reason) => Some(reason.to_owned()),
        _ => None,
    }
}

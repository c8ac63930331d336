//! Calls that come and go.

use std::sync::Arc;
use std::time::Duration;

use switchgate::domain::NodeState;
use switchgate::pb;
use switchgate::sim::{Fault, Links};
use tokio::task::JoinSet;

use crate::client::{ANSWERS, to, with_deadline};
use crate::faults::reached;
use crate::gateway::Gateway;

/// Longest wait for a call whose link may be gone.
const DEADLINE: Duration = Duration::from_secs(5);

/// Several callers at a time place calls, end them, and do something with one that lasts. Now and
/// then links are lost, if they are to be; then some of it fails, which is nobody's concern here.
pub(super) async fn run(
    gateway: &Arc<Gateway>,
    lasting: &str,
    callers: usize,
    calls: usize,
    with_losses: bool,
) {
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        let (gateway, lasting) = (Arc::clone(gateway), lasting.to_owned());
        tasks.spawn(async move {
            for call in 0..calls {
                place_and_end(&gateway).await;
                set(&gateway, &lasting, call).await;
                if with_losses && caller == 0 && call % 4 == 3 {
                    let at = call % gateway.sims.len();
                    gateway.sims[at].inject_on(Links::Events, Fault::DropLinks);
                }
            }
        });
    }
    while let Some(result) = tasks.join_next().await {
        result.unwrap();
    }
    for at in 0..gateway.sims.len() {
        reached(gateway, &format!("sim-{at}"), NodeState::Ready).await;
    }
}

async fn place_and_end(gateway: &Gateway) {
    let request = with_deadline(to(ANSWERS), DEADLINE);
    let Ok(response) = gateway.sessions().originate(request).await else {
        return;
    };
    let session_id = response.into_inner().session.unwrap().session_id;
    let request = pb::HangupRequest {
        session_id,
        ..Default::default()
    };
    let _ = gateway
        .sessions()
        .hangup(with_deadline(request, DEADLINE))
        .await;
}

pub(super) async fn set(gateway: &Gateway, session_id: &str, round: usize) {
    let request = pb::ExecuteRequest {
        session_id: session_id.to_owned(),
        application: "set".to_owned(),
        arguments: format!("round={round}"),
        ..Default::default()
    };
    let _ = gateway
        .sessions()
        .execute(with_deadline(request, DEADLINE))
        .await;
}

//! What must hold once all is healed, and once all is over.

use std::collections::BTreeMap;
use std::time::Duration;

use switchgate::domain::{ChannelState, NodeState};
use switchgate::jobs::JobState;
use switchgate::pb;
use switchgate::sim::{ChannelView, Sim};

use super::client::Shared;
use super::house::House;
use super::trace::Trace;

/// How long a healed node may take until it is in service.
const COMEBACK: Duration = Duration::from_secs(30);
/// How long the tracker may take to agree with the nodes, and the other way round.
const SETTLES: Duration = Duration::from_secs(10);
/// Longer than any job of a seed may run.
const JOBS: Duration = Duration::from_secs(200);

/// What both the tracker and a node know of a session.
type Facts = (bool, Option<String>);

/// Every node is in service, with all its links.
pub(super) async fn all_in_service(house: &House, trace: &Trace) {
    for node in house.control.fleet.nodes() {
        let ready = node.reached(NodeState::Ready);
        if tokio::time::timeout(COMEBACK, ready).await.is_err() {
            trace.wrong(node.id(), format_args!("is {:?}", node.status()));
        }
        let is_full = || {
            let (live, all) = node.command_links();
            live == all
        };
        if !soon(COMEBACK, is_full).await {
            trace.wrong(
                node.id(),
                format_args!("has links {:?}", node.command_links()),
            );
        }
    }
    trace.tell("all", "in service");
}

/// Reconciling on request works on each node.
pub(super) async fn reconciles(shared: &Shared, trace: &Trace) {
    for at in 0..3 {
        let node_id = format!("sim-{at}");
        let request = pb::ReconcileNodeRequest {
            node_id: node_id.clone(),
        };
        match shared.nodes.clone().reconcile_node(request).await {
            Ok(response) => {
                let response = response.into_inner();
                let differences = (response.sessions_found, response.sessions_ended);
                trace.tell(node_id, format_args!("reconciled {differences:?}"));
            }
            Err(status) => trace.wrong(node_id, format_args!("cannot be reconciled: {status:?}")),
        }
    }
}

/// The tracker has the sessions that the nodes have, as they are there.
pub(super) async fn tracker_is_true(house: &House, trace: &Trace) {
    let agrees = || {
        house
            .sims
            .iter()
            .enumerate()
            .all(|(at, sim)| truth(sim) == tracked(house, at))
    };
    if soon(SETTLES, agrees).await {
        return;
    }
    for (at, sim) in house.sims.iter().enumerate() {
        let (truth, tracked) = (truth(sim), tracked(house, at));
        for id in truth.keys().chain(tracked.keys()) {
            let (is, seems) = (truth.get(id), tracked.get(id));
            if is != seems {
                trace.wrong(
                    format_args!("sim-{at}"),
                    format_args!("{id} is {is:?} and is taken for {seems:?}"),
                );
            }
        }
    }
}

fn truth(sim: &Sim) -> BTreeMap<String, Facts> {
    let is_live = |channel: &ChannelView| channel.state < ChannelState::Hangup;
    sim.channels()
        .into_iter()
        .filter(is_live)
        .map(|channel| (channel.uuid, (channel.answered, channel.peer)))
        .collect()
}

fn tracked(house: &House, at: usize) -> BTreeMap<String, Facts> {
    let node = format!("sim-{at}").parse().unwrap();
    let live = house.control.tracker.live_on(&node);
    live.iter()
        .map(|session| {
            let peer = session.peer.as_ref().map(ToString::to_string);
            (session.id.to_string(), (session.answered, peer))
        })
        .collect()
}

/// Every job comes to an end, and to one that is true.
pub(super) async fn jobs_end(house: &House, trace: &Trace) {
    let jobs = &house.control.jobs;
    if !soon(JOBS, || jobs.unfinished() == 0).await {
        for job in jobs.list().iter().filter(|job| !job.state.is_end()) {
            trace.wrong("jobs", format_args!("does not end: {job:?}"));
        }
    }
    for job in jobs.list() {
        let has_outcome = job.outcome.is_some() && job.ended.is_some();
        if job.state.is_end() != has_outcome {
            trace.wrong("jobs", format_args!("is no end: {job:?}"));
        }
        if job.spec.command == "echo"
            && job.state == JobState::Succeeded
            && let Some(Ok(output)) = &job.outcome
            && output.raw != job.spec.arguments
        {
            trace.wrong("jobs", format_args!("has another's result: {job:?}"));
        }
    }
    trace.tell("all", format_args!("{} jobs have ended", jobs.list().len()));
}

/// Everything can be hung up, and the tracker and the nodes agree that nothing is left.
pub(super) async fn hang_up_all(house: &House, shared: &Shared, trace: &Trace) {
    for at in 0..house.sims.len() {
        let node_id = format!("sim-{at}");
        let request = pb::HangupManyRequest {
            filter: format!("node_id = {node_id}"),
            ..Default::default()
        };
        match shared.sessions.clone().hangup_many(request).await {
            Ok(response) => {
                let count = response.into_inner().session_ids.len();
                trace.tell(node_id, format_args!("{count} sessions are hung up"));
            }
            Err(status) => trace.wrong(node_id, format_args!("cannot hang up: {status:?}")),
        }
    }
    let is_empty = || {
        let mut sims = house.sims.iter().enumerate();
        sims.all(|(at, sim)| sim.channels().is_empty() && tracked(house, at).is_empty())
    };
    if soon(SETTLES, is_empty).await {
        return;
    }
    for (at, sim) in house.sims.iter().enumerate() {
        let (left, tracked) = (sim.channels(), tracked(house, at));
        if !left.is_empty() || !tracked.is_empty() {
            trace.wrong(
                format_args!("sim-{at}"),
                format_args!("there are left {left:?}, tracked {tracked:?}"),
            );
        }
    }
}

/// Nothing waits, runs or is expected any more.
pub(super) async fn nothing_is_left(house: &House, trace: &Trace) {
    let control = &house.control;
    let left = || {
        let under_way = control.fleet.nodes().map(|node| node.commands_under_way());
        [
            ("watches", control.tracker.watches()),
            ("expectations", control.tracker.expected()),
            ("unfinished jobs", control.jobs.unfinished()),
            ("commands under way", under_way.sum()),
            ("requests that run", house.once.running()),
        ]
    };
    soon(SETTLES, || left().iter().all(|(_, count)| *count == 0)).await;
    for (what, count) in left() {
        if count > 0 {
            trace.wrong("gateway", format_args!("{count} {what} are left"));
        }
    }
}

/// Waits for something that tells nobody when it becomes true.
async fn soon(patience: Duration, is_true: impl Fn() -> bool) -> bool {
    let wait = async {
        while !is_true() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(patience, wait).await.is_ok()
}

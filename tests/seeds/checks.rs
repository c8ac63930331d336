//! What must hold once all is healed, and once all is over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use switchgate::domain::{CallState, ChannelState, NodeState};
use switchgate::jobs::JobState;
use switchgate::pb;
use switchgate::sim::{ChannelView, Sim};
use tokio::time::Instant;

use super::client::Shared;
use super::house::{self, House};
use super::trace::Trace;

/// How long a healed node may take until it is in service.
const COMEBACK: Duration = Duration::from_secs(30);
/// How long the tracker may take to agree with the nodes, and the other way round.
const SETTLES: Duration = Duration::from_secs(10);
/// Longer than any job of a seed may run.
const JOBS: Duration = Duration::from_secs(200);
/// Pause between two attempts to hang all up: a call may still go on to its next leg.
const ROUND: Duration = Duration::from_secs(3);

/// What both the tracker and a node know of a session: whether it is answered, what a caller sees
/// of it, and with whom it is bridged.
type Facts = (bool, CallState, Option<String>);

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

/// The tracker has the sessions that the nodes have, as they are there, each in one call.
pub(super) async fn tracker_is_true(house: &House, shared: &Shared, trace: &Trace) {
    let agrees = || {
        house
            .sims
            .iter()
            .enumerate()
            .all(|(at, sim)| truth(sim) == tracked(house, at))
    };
    if soon(SETTLES, agrees).await {
        return calls_are_true(house, trace);
    }
    for (at, sim) in house.sims.iter().enumerate() {
        let (truth, tracked) = (truth(sim), tracked(house, at));
        let ids: BTreeSet<_> = truth.keys().chain(tracked.keys()).collect();
        for id in ids {
            let (is, seems) = (truth.get(id), tracked.get(id));
            if is != seems {
                trace.wrong(
                    format_args!("sim-{at}"),
                    format_args!("{id} is {is:?} and is taken for {seems:?}"),
                );
                let peers = [is, seems].into_iter().flatten();
                for id in peers.filter_map(|facts| facts.2.as_ref()).chain([id]) {
                    tell_history(shared, id, trace).await;
                }
            }
        }
    }
}

fn calls_are_true(house: &House, trace: &Trace) {
    let tracker = &house.control.tracker;
    let of_sessions: BTreeSet<_> = tracker
        .sessions()
        .iter()
        .map(|session| (session.call.clone(), session.id.clone()))
        .collect();
    let calls = tracker.calls();
    let of_calls: Vec<_> = calls
        .iter()
        .flat_map(|call| {
            let members = call.sessions.iter();
            members.map(|session| (call.id.clone(), session.id.clone()))
        })
        .collect();
    let is_each_once = of_calls.len() == of_sessions.len();
    if !is_each_once || of_calls.into_iter().collect::<BTreeSet<_>>() != of_sessions {
        trace.wrong("calls", format_args!("have not the sessions: {calls:?}"));
    }
}

fn truth(sim: &Sim) -> BTreeMap<String, Facts> {
    let is_live = |channel: &ChannelView| channel.state < ChannelState::Hangup;
    sim.channels()
        .into_iter()
        .filter(is_live)
        .map(|channel| {
            (
                channel.uuid,
                (channel.answered, channel.call_state, channel.peer),
            )
        })
        .collect()
}

fn tracked(house: &House, at: usize) -> BTreeMap<String, Facts> {
    let node = format!("sim-{at}").parse().unwrap();
    let live = house.control.tracker.live_on(&node);
    live.iter()
        .map(|session| {
            let peer = session.peer.as_ref().map(ToString::to_string);
            (
                session.id.to_string(),
                (session.answered, session.call_state, peer),
            )
        })
        .collect()
}

/// Every job comes to an end, and to one that is true.
pub(super) fn jobs_end(house: &House, trace: &Trace) {
    let jobs = &house.control.jobs;
    if jobs.unfinished() > 0 {
        for job in jobs.list().iter().filter(|job| !job.state.is_end()) {
            trace.wrong("jobs", format_args!("does not end: {job:?}"));
        }
    }
    for job in jobs.list() {
        if job.state == JobState::Lost && !trace.is_troubled(&job.spec.node) {
            trace.wrong("jobs", format_args!("nothing was lost: {job:?}"));
        }
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

/// No command that starts a job reached a node twice, nor two nodes.
pub(super) fn jobs_start_once(house: &House, trace: &Trace) {
    let mut seen = BTreeSet::new();
    for command in house.sims.iter().flat_map(Sim::commands) {
        let command = String::from_utf8_lossy(&command).into_owned();
        if let Some((_, id)) = command.split_once("Job-UUID: ")
            && !seen.insert(id.trim().to_owned())
        {
            trace.wrong("jobs", format_args!("a command came twice: {command}"));
        }
    }
}

/// Everything can be hung up, and the tracker and the nodes agree that nothing is left.
pub(super) async fn hang_up_all(house: &House, shared: &Shared, trace: &Trace) {
    let began = Instant::now();
    loop {
        hang_up(house, shared, trace).await;
        if house.control.jobs.unfinished() == 0 || began.elapsed() > JOBS {
            break;
        }
        tokio::time::sleep(ROUND).await;
    }
    // What the last job brought about.
    hang_up(house, shared, trace).await;
    let is_empty = || {
        let mut sims = house.sims.iter().enumerate();
        sims.all(|(at, sim)| sim.channels().is_empty() && tracked(house, at).is_empty())
    };
    if soon(SETTLES, is_empty).await {
        return;
    }
    for (at, sim) in house.sims.iter().enumerate() {
        let (left, tracked) = (sim.channels(), tracked(house, at));
        for id in tracked.keys() {
            tell_history(shared, id, trace).await;
        }
        if !left.is_empty() || !tracked.is_empty() {
            trace.wrong(
                format_args!("sim-{at}"),
                format_args!("there are left {left:?}, tracked {tracked:?}"),
            );
        }
    }
}

/// What was told of a session.
async fn tell_history(shared: &Shared, id: &str, trace: &Trace) {
    let request = pb::ListSessionEventsRequest {
        session_id: id.to_owned(),
        page_size: 1000,
        ..Default::default()
    };
    let answer = shared.sessions.clone().list_session_events(request).await;
    for event in answer.map_or_else(|_| Vec::new(), |answer| answer.into_inner().events) {
        let get = |name: &str| event.headers.get(name).cloned().unwrap_or_default();
        let state = (
            get("Channel-State"),
            get("Channel-Call-State"),
            get("Other-Leg-Unique-ID"),
        );
        let made_by = if event.synthetic {
            "the gateway"
        } else {
            "the node"
        };
        let what = format_args!(
            "{} {state:?} at {} by {made_by}",
            event.name,
            get("Event-Date-Timestamp")
        );
        trace.tell(id, what);
    }
}

async fn hang_up(house: &House, shared: &Shared, trace: &Trace) {
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
    // What has ended is forgotten, too.
    let tracker = &control.tracker;
    let is_forgotten = || {
        tracker.sessions().is_empty()
            && tracker.calls().is_empty()
            && control.jobs.list().is_empty()
    };
    tokio::time::sleep(house::RETENTION).await;
    if !soon(SETTLES, is_forgotten).await {
        let counts = (
            tracker.sessions().len(),
            tracker.calls().len(),
            control.jobs.list().len(),
        );
        trace.wrong("gateway", format_args!("{counts:?} are never forgotten"));
    }
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

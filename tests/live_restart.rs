//! A FreeSWITCH under load that is killed and started again: what clients are told, and that the
//! gateway knows again what is there.
//!
//! On the simulator always. On a real one where `SWITCHGATE_TEST_FREESWITCH_COMMAND` is a shell
//! command that runs one in the foreground, with the event socket at
//! `SWITCHGATE_TEST_FREESWITCH_COMMAND_ADDRESS`; the test owns it. `SWITCHGATE_TEST_ROUNDS` says how
//! often it is killed.

mod listener;
mod load;
mod victim;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rand::{Rng as _, SeedableRng as _};
use serde::Deserialize;
use switchgate::domain::NodeState;
use switchgate::jobs::{JobState, SharedJob};
use switchgate::pb;
use switchgate::shutdown::Drain;
use tokio::time::Instant;

use crate::faults::{Told, until};
use crate::gateway::{Gateway, PATIENCE, within};
use listener::Listener;
use load::Load;
use victim::Victim;

/// How often the simulator is restarted; enough to meet RPCs at each of their stages.
const SIM_ROUNDS: usize = 3;
/// How often a real FreeSWITCH is killed, unless the environment says so.
const REAL_ROUNDS: usize = 3;
/// `show channels` lags by 200 to 300 ms, so two lists that are equal this long apart are right.
const LIST_PAUSE: Duration = Duration::from_millis(700);

/// What was sent by a FreeSWITCH that is dead may be read so much later.
const TICK: Duration = Duration::from_millis(500);

#[derive(Deserialize)]
struct Channels {
    #[serde(default = "Vec::new")]
    rows: Vec<Channel>,
}

#[derive(Deserialize)]
struct Channel {
    uuid: String,
}

#[tokio::test]
async fn a_killed_freeswitch_leaves_no_rpc_hanging_and_no_session_behind_on_the_simulator() {
    let (victim, target) = Victim::simulated().await;
    endure(victim, target, SIM_ROUNDS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_freeswitch_leaves_no_rpc_hanging_and_no_session_behind() {
    let Some((victim, target)) = Victim::real() else {
        eprintln!("skipped: SWITCHGATE_TEST_FREESWITCH_COMMAND is not set");
        return;
    };
    let rounds = std::env::var("SWITCHGATE_TEST_ROUNDS").ok();
    let rounds = rounds.map_or(REAL_ROUNDS, |rounds| rounds.parse().expect("a number"));
    endure(victim, target, rounds).await;
}

async fn endure(mut victim: Victim, target: String, rounds: usize) {
    let gateway = Arc::new(Gateway::over_address(target).await);
    let tasks = Drain::new();
    let whole = Listener::begin(&gateway, &tasks);
    let resuming = Listener::begin_resuming(&gateway, &tasks);
    let mut random = rand::rngs::StdRng::seed_from_u64(7);
    for round in 1..=rounds {
        // What was started a moment ago may not have loaded what calls need.
        until_calls(&gateway, &victim.far_end()).await;
        let load = Load::start(&gateway, victim.far_end(), round as u64, &tasks);
        tokio::time::sleep(Duration::from_millis(random.random_range(1500..3000))).await;
        let before = Before::of(&gateway);
        let told_before = whole.told();
        let killed = Instant::now();
        victim.kill().await;
        let dead = SystemTime::now();
        let down = down_again(&gateway, &before).await;
        let started = Instant::now();
        victim.start().await;
        ready_again(&gateway, &before).await;
        let (since_kill, since_start) = (killed.elapsed(), started.elapsed());
        before.check_ended(&gateway, dead);
        check_story(&whole.until_ready(told_before).await, &before);
        // Under load again, then a quiet moment in which the calls stay as they are.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        load.hold().await;
        let live = compare(&gateway).await;
        let outcomes = load.stop().await;
        println!(
            "round {round}: down after {down:?}, ready {since_start:?} after its start \
             ({since_kill:?} after the kill), {} sessions and {} jobs were lost, then {live} sessions = show channels",
            before.sessions.len(),
            before.jobs.len(),
        );
        println!("{outcomes}");
        outcomes.check();
        assert!(live > 0, "the comparison is about something");
    }
    until(|| gateway.control.jobs.unfinished() == 0).await;
    let end = gateway.control.journal.cursor();
    let (whole, resuming) = (whole.up_to(end).await, resuming.up_to(end).await);
    println!(
        "{} events, {} times resumed",
        whole.events.len(),
        resuming.resumed
    );
    assert!(resuming.resumed > 0);
    assert!(
        whole.events == resuming.events,
        "a cursor neither loses nor repeats"
    );
    assert!(tasks.finish(PATIENCE).await, "the test leaves nothing");
    Arc::into_inner(gateway)
        .expect("nobody holds it")
        .stop()
        .await;
    victim.stop().await;
}

/// Waits until a call comes about.
async fn until_calls(gateway: &Gateway, far_end: &str) {
    within(async {
        let request = crate::client::to(&format!("sofia/internal/tone@{far_end}"));
        while gateway.sessions().originate(request.clone()).await.is_err() {
            tokio::time::sleep(LIST_PAUSE).await;
        }
    })
    .await;
}

/// What was there when FreeSWITCH was killed.
struct Before {
    core_uuid: String,
    connects: u32,
    sessions: Vec<switchgate::domain::SessionId>,
    jobs: Vec<SharedJob>,
}

// === impl Before ===

impl Before {
    fn of(gateway: &Gateway) -> Self {
        let node = gateway.control.fleet.nodes().next().unwrap();
        let is_running = |job: &SharedJob| !job.state.is_end() && job.started.is_some();
        let live = gateway.control.tracker.live_on(node.id());
        let mut jobs = gateway.control.jobs.list();
        jobs.retain(is_running);
        let before = Self {
            core_uuid: node.status().core_uuid,
            connects: node.status().connects,
            sessions: live.iter().map(|session| session.id.clone()).collect(),
            jobs,
        };
        assert!(
            !before.sessions.is_empty() && !before.jobs.is_empty(),
            "under load"
        );
        before
    }

    /// Whatever was there has ended: by its own last word, which it had before its FreeSWITCH was
    /// dead, or as the gateway concluded.
    fn check_ended(&self, gateway: &Gateway, dead: SystemTime) {
        let has_spoken =
            |ended: Option<SystemTime>| ended.is_some_and(|ended| ended <= dead + TICK);
        for id in &self.sessions {
            let session = gateway.control.tracker.session(id).expect("is kept");
            assert!(!session.is_live(), "{session:?}");
            let cause = session.hangup.and_then(|hangup| hangup.cause);
            match session.synthetic_end {
                true => assert_eq!(cause.map(|cause| cause.name()), Some("CRASH")),
                false => assert!(has_spoken(session.times.hung_up), "{session:?}"),
            }
        }
        for job in &self.jobs {
            let job = gateway.control.jobs.get(job.id()).expect("is kept");
            assert!(job.state.is_end(), "{job:?}");
            assert!(
                job.state == JobState::Lost || has_spoken(job.ended),
                "{job:?}"
            );
        }
    }
}

/// Waits until the gateway knows that the node is gone; how long that took.
async fn down_again(gateway: &Gateway, before: &Before) -> Duration {
    let began = Instant::now();
    let node = gateway.control.fleet.nodes().next().unwrap();
    let mut status = node.follow();
    within(
        status.wait_for(|status| {
            status.state == NodeState::Down || status.connects != before.connects
        }),
    )
    .await
    .unwrap();
    began.elapsed()
}

async fn ready_again(gateway: &Gateway, before: &Before) {
    let node = gateway.control.fleet.nodes().next().unwrap();
    let mut status = node.follow();
    within(status.wait_for(|status| {
        status.state == NodeState::Ready && status.core_uuid != before.core_uuid
    }))
    .await
    .unwrap();
}

/// A subscriber hears that the node is gone, then of the gap, then of the ends, then that it is
/// back.
fn check_story(told: &[Told], before: &Before) {
    let at = |what: &str, is_it: &dyn Fn(&Told) -> bool| {
        let found = told.iter().position(is_it);
        found.unwrap_or_else(|| panic!("{what} is told: {:?}", Told::story(told)))
    };
    let is_state = |told: &Told, wanted| matches!(told, Told::State(_, state) if *state == wanted);
    let is_end = |told: &Told| {
        matches!(told, Told::Event(event) if event.synthetic
            && event.headers["Switchgate-Synthetic"] == "FreeSWITCH restarted")
    };
    let down = at("the loss", &|told| is_state(told, pb::NodeState::Down));
    let gap = at("the gap", &|told| matches!(told, Told::Gap(_)));
    let first_end = at("an end", &is_end);
    let ready = at("the return", &|told| is_state(told, pb::NodeState::Ready));
    assert!(down < gap && gap < first_end && first_end < ready);
    let last_end = told.iter().rposition(is_end).unwrap();
    assert!(last_end < ready, "in service only when all is known");
    let new_core = |told: &Told| matches!(told, Told::Event(event) if !event.synthetic && event.core_uuid == before.core_uuid);
    assert!(
        !told[gap..].iter().any(new_core),
        "nothing of the old one comes after the gap"
    );
}

/// Compares the tracker with `show channels`, once that does not change any more; gives the number
/// of sessions.
async fn compare(gateway: &Gateway) -> usize {
    let node = gateway.control.fleet.nodes().next().unwrap();
    let began = Instant::now();
    let mut listed = show_channels(gateway).await;
    loop {
        tokio::time::sleep(LIST_PAUSE).await;
        let again = show_channels(gateway).await;
        let is_stable = again == listed;
        listed = again;
        let live = gateway.control.tracker.live_on(node.id());
        let tracked: BTreeSet<_> = live.iter().map(|session| session.id.to_string()).collect();
        if is_stable && tracked == listed {
            for id in &tracked {
                assert_eq!(run_api(gateway, "uuid_exists", id).await, "true");
            }
            return tracked.len();
        }
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "only tracked: {:?}; only listed: {:?}",
            tracked.difference(&listed).collect::<Vec<_>>(),
            listed.difference(&tracked).collect::<Vec<_>>()
        );
    }
}

async fn show_channels(gateway: &Gateway) -> BTreeSet<String> {
    let output = run_api(gateway, "show", "channels as json").await;
    let channels: Channels = serde_json::from_str(&output).expect(&output);
    channels.rows.into_iter().map(|row| row.uuid).collect()
}

async fn run_api(gateway: &Gateway, command: &str, arguments: &str) -> String {
    let node = gateway.control.fleet.nodes().next().unwrap();
    let request = pb::RunApiRequest {
        node_id: node.id().to_string(),
        command: command.to_owned(),
        arguments: arguments.to_owned(),
    };
    let response = within(gateway.nodes().run_api(request)).await.unwrap();
    response.into_inner().output.trim().to_owned()
}

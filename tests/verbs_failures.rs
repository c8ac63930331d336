//! What every RPC of SessionService and CallService that changes something does when it cannot: one table, tried
//! for each failure.

mod calls;
mod legs;
mod table;

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use futures_util::StreamExt as _;
use prost::Message as _;
use switchgate::config::Config;
use switchgate::domain::Deadline;
use switchgate::esl::Command;
use switchgate::pb;
use switchgate::sim::{Fault, Sim};
use tonic::{Code, Status};

use crate::client::hang_up;
use crate::faults::{
    assert_too_late, assert_unavailable, assert_unknown, bring_back, in_full_service, leave, node,
    take_away, until,
};
use crate::gateway::{Gateway, connect, metadata, on_each, within};
use crate::verbs::{answered, commands, field, is_failure, release, run_api};
use legs::{Ask, prepare};
use table::{PLACING, READING, Verb};

/// How late each reply of the simulator is while links fail: longer than a test takes to see that
/// a command has arrived.
const SLOW: Duration = Duration::from_millis(150);
/// How many gateways run beside each other.
const BESIDE: usize = 8;

#[test]
fn every_rpc_that_changes_something_is_in_the_table() {
    let files = prost_types::FileDescriptorSet::decode(pb::DESCRIPTOR).unwrap();
    let services = files.file.iter().flat_map(|file| &file.service);
    let ours = services.filter(|one| ["SessionService", "CallService"].contains(&one.name()));
    let declared: BTreeSet<String> = ours
        .flat_map(|service| &service.method)
        .map(|one| one.name().to_owned())
        .collect();
    let known = verbs().into_iter().map(|verb| verb.rpc);
    let known = known.chain(READING).chain(PLACING).chain(calls::READING);
    assert_eq!(declared, known.map(str::to_owned).collect());
}

#[tokio::test]
async fn an_unknown_session_is_told_from_one_that_has_ended_and_from_no_id_at_all() {
    on_each(async |gateway| {
        let gone = answered(&gateway).await;
        hang_up(&gateway, &gone).await;
        for verb in of_one_session() {
            let unknown = uuid::Uuid::new_v4().to_string();
            for (id, code, reason) in [
                (&*unknown, Code::NotFound, "SESSION_NOT_FOUND"),
                (&*gone, Code::FailedPrecondition, "SESSION_ENDED"),
                ("no\nuuid", Code::InvalidArgument, "INVALID_ARGUMENT"),
            ] {
                let status = failure(&gateway, &verb, &ask(id)).await;
                is_failure(&status, code, reason);
                if code == Code::InvalidArgument {
                    assert_eq!(field(&status), "session_id", "{}", verb.rpc);
                } else {
                    assert_eq!(metadata(&status, "session_id"), id, "{}", verb.rpc);
                }
            }
        }
        gateway
    })
    .await;
}

#[tokio::test]
async fn an_unknown_call_is_told_from_one_that_has_ended_and_from_no_id_at_all() {
    on_each(async |gateway| {
        let live = answered(&gateway).await;
        let gone = answered(&gateway).await;
        hang_up(&gateway, &gone).await;
        for verb in calls::verbs() {
            let unknown = uuid::Uuid::new_v4().to_string();
            for (id, code, reason) in [
                (&*unknown, Code::NotFound, "CALL_NOT_FOUND"),
                (&*gone, Code::FailedPrecondition, "SESSION_ENDED"),
                ("no\ncall", Code::InvalidArgument, "INVALID_ARGUMENT"),
            ] {
                // The call is the other leg's, or the leg's own.
                let ask = match verb.rpc {
                    "AppendSession" => Ask {
                        other_id: id.to_owned(),
                        ..ask(&live)
                    },
                    _ => ask(id),
                };
                let status = failure(&gateway, &verb, &ask).await;
                is_failure(&status, code, reason);
                if code == Code::InvalidArgument {
                    assert_eq!(field(&status), "call_id", "{}", verb.rpc);
                } else {
                    assert_eq!(metadata(&status, "call_id"), id, "{}", verb.rpc);
                }
            }
        }
        // Of a call that lives the session is what is wrong.
        for (id, reason) in [
            (uuid::Uuid::new_v4().to_string(), "SESSION_NOT_FOUND"),
            (gone, "SESSION_ENDED"),
        ] {
            let [append, _] = calls::verbs();
            let ask = Ask {
                other_id: live.clone(),
                ..ask(&id)
            };
            let status = failure(&gateway, &append, &ask).await;
            assert_eq!(crate::gateway::code_and_reason(&status).1, reason);
            assert_eq!(metadata(&status, "session_id"), id);
        }
        release(&gateway, &live).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_leg_in_the_wrong_state_says_in_which_it_is() {
    on_each(async |gateway| {
        for verb in verbs() {
            let Some(wrong) = verb.wrong else { continue };
            let mut ask = prepare(&gateway, wrong).await;
            // The other leg is not what is wrong.
            let other = answered(&gateway).await;
            ask.other_id.clone_from(&other);
            let status = failure(&gateway, &verb, &ask).await;
            is_failure(&status, Code::FailedPrecondition, "SESSION_STATE");
            assert_eq!(
                metadata(&status, "session_id"),
                ask.session_id,
                "{}",
                verb.rpc
            );
            assert_ne!(metadata(&status, "state"), "", "{}", verb.rpc);
            release(&gateway, &ask.session_id).await;
            release(&gateway, &other).await;
        }
        gateway
    })
    .await;
}

#[tokio::test]
async fn nothing_reaches_freeswitch_for_a_session_that_cannot() {
    let gateway = Gateway::over_sim().await;
    let gone = answered(&gateway).await;
    hang_up(&gateway, &gone).await;
    let before = commands(&gateway);
    for verb in of_one_session() {
        failure(&gateway, &verb, &ask(&gone)).await;
    }
    assert_eq!(commands(&gateway), before);
    gateway.stop().await;
}

#[tokio::test]
async fn a_link_that_is_down_is_told_at_once_and_nothing_is_written() {
    each(async |verb, gateway| {
        let ask = prepare(&gateway, verb.leg).await;
        let before = count(gateway.sim(), &verb, &ask);
        take_away(&gateway).await;
        let status = failure(&gateway, &verb, &ask).await;
        assert_unavailable(&status);
        assert_eq!(
            metadata(&status, "session_id"),
            ask.session_id,
            "{}",
            verb.rpc
        );
        bring_back(&gateway).await;
        assert_eq!(count(gateway.sim(), &verb, &ask), before, "{}", verb.rpc);
        gateway
    })
    .await;
}

#[tokio::test]
async fn placing_a_call_on_a_link_that_is_down_writes_nothing() {
    let gateway = Gateway::over_sim().await;
    take_away(&gateway).await;
    let request = || crate::client::to("sofia/internal/answer@127.0.0.1");
    let stream = pb::OriginateStreamRequest {
        originate: Some(request()),
    };
    for status in [
        within(gateway.sessions().originate(request()))
            .await
            .unwrap_err(),
        within(gateway.sessions().originate_stream(stream))
            .await
            .unwrap_err(),
    ] {
        is_failure(&status, Code::Unavailable, "NO_NODE_AVAILABLE");
        assert!(crate::client::has_retry(&status));
    }
    bring_back(&gateway).await;
    assert!(!heard(gateway.sim(), &["originate"]));
    leave(gateway).await;
}

#[tokio::test]
async fn a_link_that_is_lost_after_writing_leaves_the_outcome_unknown_and_nothing_is_sent_twice() {
    each(async |verb, gateway| {
        let ask = prepare(&gateway, verb.leg).await;
        let before = count(gateway.sim(), &verb, &ask);
        let lost = async {
            written(&gateway, &verb, &ask).await;
            gateway.sim().inject(Fault::DropLinks);
        };
        let (status, ()) = tokio::join!(failure(&gateway, &verb, &ask), lost);
        assert_unknown(&status);
        assert_eq!(
            metadata(&status, "session_id"),
            ask.session_id,
            "{}",
            verb.rpc
        );
        gateway.sim().inject(Fault::Heal);
        in_full_service(&gateway).await;
        assert_eq!(
            count(gateway.sim(), &verb, &ask),
            before + 1,
            "{}",
            verb.rpc
        );
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_deadline_that_passes_after_writing_says_that_the_command_was_sent() {
    // The gateway's own: a client's timer would race with its answer on a busy machine.
    let deadline = |config: &mut Config| config.grpc.deadlines.default = Duration::from_secs(3);
    each_over(deadline, async |verb, gateway| {
        let ask = prepare(&gateway, verb.leg).await;
        let silent = written(&gateway, &verb, &ask);
        let (status, ()) = tokio::join!(failure(&gateway, &verb, &ask), silent);
        assert_too_late(&status, true);
        assert_eq!(
            metadata(&status, "session_id"),
            ask.session_id,
            "{}",
            verb.rpc
        );
        gateway.sim().inject(Fault::Heal);
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_client_that_leaves_leaves_nothing_behind_and_the_next_reply_is_its_own() {
    each(async |verb, gateway| {
        let ask = prepare(&gateway, verb.leg).await;
        tokio::select! {
            biased;
            () = written(&gateway, &verb, &ask) => {}
            answer = (verb.call)(gateway.channel.clone(), ask.clone()) => {
                panic!("{} has ended: {answer:?}", verb.rpc)
            }
        }
        gateway.sim().inject(Fault::Heal);
        // Over the session's own link, on which the reply that nobody waits for comes first.
        let token = uuid::Uuid::new_v4().to_string();
        let command = Command::api(&format!("eval {token}")).unwrap();
        let session = ask.session_id.parse().unwrap();
        let deadline = Deadline::after(Duration::from_secs(20));
        let node = node(&gateway, "sim-0");
        let reply = within(node.send(command, Some(&session), deadline)).await;
        assert_eq!(reply.unwrap().text().trim(), token, "{}", verb.rpc);
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_repeat_with_the_same_request_id_acts_once() {
    each(async |verb, gateway| {
        // A third party of an attended transfer is asked for again by its far end.
        let other_client = connect(gateway.address).await;
        let ask = Ask {
            request_id: uuid::Uuid::new_v4().to_string(),
            ..prepare(&gateway, verb.leg).await
        };
        let first = (verb.call)(gateway.channel.clone(), ask.clone()).await;
        first.unwrap_or_else(|status| panic!("{}: {status:?}", verb.rpc));
        let before = commands(&gateway);
        let again = (verb.call)(other_client, ask.clone()).await;
        again.unwrap_or_else(|status| panic!("{} again: {status:?}", verb.rpc));
        assert_eq!(commands(&gateway), before, "{} acts twice", verb.rpc);
        let other = Ask {
            session_id: uuid::Uuid::new_v4().to_string(),
            ..ask
        };
        let status = failure(&gateway, &verb, &other).await;
        is_failure(&status, Code::AlreadyExists, "REQUEST_ID_REUSED");
        gateway
    })
    .await;
}

/// Tries every RPC, each over a node of its own.
async fn each<F>(test: impl Fn(Verb, Gateway) -> F)
where
    F: Future<Output = Gateway>,
{
    each_over(|_| {}, test).await;
}

async fn each_over<F>(tune: fn(&mut Config), test: impl Fn(Verb, Gateway) -> F)
where
    F: Future<Output = Gateway>,
{
    let all = verbs().into_iter().map(|verb| {
        let test = &test;
        async move {
            let _named = Named(verb.rpc);
            let gateway = Gateway::over_sims(1, tune).await;
            run_api(&gateway, "load", "mod_avmd").await;
            let gateway = test(verb, gateway).await;
            // Calls that nobody has answered would ring for ever.
            run_api(&gateway, "hupall", "").await;
            leave(gateway).await;
        }
    });
    let done = futures_util::stream::iter(all).buffer_unordered(BESIDE);
    assert_eq!(done.count().await, verbs().len());
}

/// Says which RPC a test has failed for.
struct Named(&'static str);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed for {}, or beside it", self.0);
        }
    }
}

fn verbs() -> Vec<Verb> {
    let mut all = table::verbs();
    all.extend(calls::verbs());
    all
}

/// HangupMany names no session: none that fits is no error.
fn of_one_session() -> impl Iterator<Item = Verb> {
    let sessions = table::verbs().into_iter();
    sessions.filter(|verb| verb.rpc != "HangupMany")
}

fn ask(session_id: &str) -> Ask {
    Ask {
        session_id: session_id.to_owned(),
        other_id: uuid::Uuid::new_v4().to_string(),
        ..Ask::default()
    }
}

async fn failure(gateway: &Gateway, verb: &Verb, ask: &Ask) -> Status {
    let answer = (verb.call)(gateway.channel.clone(), ask.clone()).await;
    answer.expect_err(verb.rpc)
}

/// How often the RPC's command has arrived.
fn count(sim: &Sim, verb: &Verb, ask: &Ask) -> usize {
    let commands = sim.commands();
    let lines = commands.iter().map(|raw| String::from_utf8_lossy(raw));
    lines
        .filter(|line| line.contains(verb.wire) && line.contains(&ask.session_id))
        .count()
}

fn heard(sim: &Sim, words: &[&str]) -> bool {
    let commands = sim.commands();
    let mut lines = commands.iter().map(|raw| String::from_utf8_lossy(raw));
    lines.any(|line| words.iter().all(|word| line.contains(word)))
}

/// Waits until the RPC's command has arrived; from then on the node says nothing, and no event of
/// what it did is ever seen.
async fn written(gateway: &Gateway, verb: &Verb, ask: &Ask) {
    let sim = gateway.sim();
    let before = count(sim, verb, ask);
    sim.inject(Fault::LoseEvents(u32::MAX));
    sim.inject(Fault::SlowReplies(SLOW));
    until(|| count(sim, verb, ask) > before).await;
    sim.inject(Fault::HalfOpen);
}

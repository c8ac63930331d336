//! What seeds have found, each as small as it can be.

use std::sync::mpsc;
use std::time::Duration;

use switchgate::domain::{JobId, NodeState};
use switchgate::jobs::JobState;
use switchgate::pb;
use switchgate::pb::job_service_client::JobServiceClient;
use switchgate::pb::node_service_client::NodeServiceClient;
use switchgate::pb::session_service_client::SessionServiceClient;
use switchgate::sim::{Fault, Links};
use tonic::Code;

use super::house::House;
use super::paused;
use super::requests::seconds;
use crate::gateway::{code_and_reason, metadata};

/// Real time within which a test that does not spin is over.
const PATIENCE: Duration = Duration::from_secs(60);

async fn house() -> House {
    let house = House::open(1).await;
    for node in house.control.fleet.nodes() {
        node.reached(NodeState::Ready).await;
    }
    // Every link is up.
    tokio::time::sleep(Duration::from_secs(1)).await;
    house
}

/// Under paused time a loop that never waits stops the clock: then the test is never over.
fn without_spinning<F: Future<Output = ()> + 'static>(test: impl FnOnce() -> F + Send + 'static) {
    let (over_tx, over_rx) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        paused(test());
        over_tx.send(()).unwrap();
    });
    match over_rx.recv_timeout(PATIENCE) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("something spins"),
        _ => thread.join().unwrap(),
    }
}

#[test]
fn a_cancelled_leg_waits_for_a_command_link_without_spinning_and_is_hung_up_then() {
    without_spinning(|| async {
        let house = house().await;
        let sim = &house.sims[0];
        let mut request = tonic::Request::new(pb::OriginateRequest {
            endpoints: vec!["sim/no_answer".to_owned()],
            ..Default::default()
        });
        request.set_timeout(Duration::from_secs(1));
        let mut sessions = SessionServiceClient::new(house.server.clone());
        let lose_links = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            sim.inject(Fault::RefuseConnections(Duration::from_secs(3)));
            sim.inject_on(Links::Commands, Fault::DropLinks);
        };
        let (late, ()) = tokio::join!(sessions.originate(request), lose_links);
        let late = late.unwrap_err();
        assert_eq!(code_and_reason(&late).0, Code::DeadlineExceeded);
        assert_eq!(sim.channels().len(), 1, "the far end rings");

        let job: JobId = metadata(&late, "job_id").parse().unwrap();
        let ended = house.control.jobs.ended(&job).await.unwrap();
        assert_eq!(ended.state, JobState::Cancelled);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(sim.channels().is_empty());
        assert!(house.close().await);
    });
}

#[test]
fn a_job_whose_reply_is_late_on_a_link_that_lives_expires_and_is_not_lost() {
    without_spinning(|| async {
        let house = house().await;
        let sim = &house.sims[0];
        sim.inject(Fault::SlowReplies(Duration::from_millis(2500)));
        let request = pb::RunJobRequest {
            command: "msleep".to_owned(),
            arguments: "1".to_owned(),
            timeout: Some(seconds(2)),
            ..Default::default()
        };
        let mut jobs = JobServiceClient::new(house.server.clone());
        let ran = jobs.run_job(request).await.unwrap().into_inner();
        assert_eq!(ran.job.unwrap().state(), pb::JobState::Expired);
        assert!(house.close().await);
    });
}

/// Places a call that is answered and parked.
async fn call(house: &House) -> String {
    let request = pb::OriginateRequest {
        endpoints: vec!["sim/answer".to_owned()],
        ..Default::default()
    };
    let mut sessions = SessionServiceClient::new(house.server.clone());
    let answer = sessions.originate(request).await.unwrap().into_inner();
    answer.session.unwrap().session_id
}

/// A defect of the simulator.
#[test]
fn a_bridge_ends_with_its_peer_also_while_a_leg_executes_something() {
    without_spinning(|| async {
        let house = house().await;
        let mut sessions = SessionServiceClient::new(house.server.clone());
        for hangs_up_first in [true, false] {
            let (one, other) = (call(&house).await, call(&house).await);
            let bridge = pb::BridgeRequest {
                session_id: one.clone(),
                peer: Some(pb::bridge_request::Peer::PeerSessionId(other.clone())),
                ..Default::default()
            };
            sessions.bridge(bridge).await.unwrap();
            let (goes, stays) = match hangs_up_first {
                true => (one, other),
                false => (other, one),
            };
            let execute = pb::ExecuteRequest {
                session_id: stays.clone(),
                application: "sleep".to_owned(),
                arguments: "3000".to_owned(),
                wait_for: pb::ExecuteWait::Started.into(),
                ..Default::default()
            };
            sessions.execute(execute).await.unwrap();
            let hangup = pb::HangupRequest {
                session_id: goes,
                ..Default::default()
            };
            sessions.hangup(hangup).await.unwrap();
            tokio::time::sleep(Duration::from_secs(5)).await;
            let channels = house.sims[0].channels();
            assert!(
                channels.iter().all(|leg| leg.peer.is_none()),
                "{channels:?}"
            );
        }
        assert!(house.close().await);
    });
}

/// A defect of the simulator.
#[test]
fn a_leg_that_is_hung_up_before_it_meets_the_other_leaves_no_bridge() {
    without_spinning(|| async {
        let house = house().await;
        for is_first in [true, false] {
            let (one, other) = (call(&house).await, call(&house).await);
            let bridge = run_api(&house, "uuid_bridge", format!("{one} {other}"));
            let goes = if is_first { &one } else { &other };
            let kill = run_api(&house, "uuid_kill", goes.clone());
            tokio::join!(bridge, kill);
            tokio::time::sleep(Duration::from_secs(1)).await;
            let channels = house.sims[0].channels();
            let there = |id: &String| channels.iter().any(|leg| leg.uuid == *id);
            let ghosts = channels.iter().filter_map(|leg| leg.peer.as_ref());
            assert_eq!(
                ghosts.filter(|peer| !there(peer)).count(),
                0,
                "{channels:?}"
            );
        }
        assert!(house.close().await);
    });
}

async fn run_api(house: &House, command: &str, arguments: String) {
    let request = pb::RunApiRequest {
        node_id: "sim-0".to_owned(),
        command: command.to_owned(),
        arguments,
    };
    let mut nodes = NodeServiceClient::new(house.server.clone());
    nodes.run_api(request).await.unwrap();
}

#[test]
fn variables_that_nobody_saw_are_not_told_as_unset() {
    without_spinning(|| async {
        let house = house().await;
        let session_id = call(&house).await;
        house.sims[0].inject(Fault::LoseEvents(u32::MAX));
        run_api(&house, "uuid_kill", session_id.clone()).await;
        let mut sessions = SessionServiceClient::new(house.server.clone());
        let request = pb::GetVariablesRequest {
            session_id: session_id.clone(),
            ..Default::default()
        };
        let status = sessions.get_variables(request).await.unwrap_err();
        let ended = (Code::FailedPrecondition, "SESSION_ENDED".to_owned());
        assert_eq!(code_and_reason(&status), ended);
        let request = pb::GetSessionRequest {
            session_id,
            include_variables: true,
        };
        let session = sessions.get_session(request).await.unwrap().into_inner();
        assert!(session.session.unwrap().variables.is_empty());
        assert!(house.close().await);
    });
}

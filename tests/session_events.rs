//! A session's events: listed, waited for, watched; and what stands beside them.

use std::time::Duration;

use switchgate::pb::{self, ReturnWhen};
use switchgate::sim::Fault;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::client::{hang_up, originate};
use crate::gateway::{Gateway, code_and_reason, metadata, on_each, within};

const ECHO: &str = "sofia/internal/echo@127.0.0.1";

fn wait_for(session: &pb::Session, names: &[&str], when: ReturnWhen) -> pb::WaitForEventsRequest {
    pb::WaitForEventsRequest {
        session_id: session.session_id.clone(),
        event_names: names.iter().map(|name| (*name).to_owned()).collect(),
        return_when: when.into(),
        ..Default::default()
    }
}

fn names(events: &[pb::Event]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

#[tokio::test]
async fn a_wait_ends_with_the_first_event_or_with_all() {
    on_each(async |gateway| {
        let session = originate(&gateway, ECHO).await.unwrap();
        let wanted = [
            "CHANNEL_HANGUP_COMPLETE",
            "CHANNEL_HANGUP",
            "CHANNEL_BRIDGE",
        ];
        let (mut one, mut all) = (gateway.sessions(), gateway.sessions());
        let first = one.wait_for_events(wait_for(&session, &wanted, ReturnWhen::First));
        let every = all.wait_for_events(wait_for(&session, &wanted, ReturnWhen::All));
        let hangup = async {
            // Both waits have begun once nothing is left to do but to wait.
            hang_up(&gateway, &session.session_id).await
        };
        let (first, every, _) = within(async { tokio::join!(first, every, hangup) }).await;
        let (first, every) = (first.unwrap().into_inner(), every.unwrap().into_inner());
        assert_eq!(names(&first.events), ["CHANNEL_HANGUP"]);
        assert_eq!(
            names(&every.events),
            ["CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE"]
        );
        // The session's end ends the wait for what will never come.
        assert_eq!(every.pending_names, ["CHANNEL_BRIDGE"]);
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_wait_that_runs_out_of_time_tells_what_is_pending() {
    on_each(async |gateway| {
        let session = originate(&gateway, ECHO).await.unwrap();
        let request = pb::WaitForEventsRequest {
            timeout: Some(prost_types::Duration {
                seconds: 0,
                nanos: 100_000_000,
            }),
            ..wait_for(&session, &["DTMF"], ReturnWhen::First)
        };
        let response = within(gateway.sessions().wait_for_events(request))
            .await
            .unwrap()
            .into_inner();
        assert!(response.events.is_empty());
        assert_eq!(response.pending_names, ["DTMF"]);
        hang_up(&gateway, &session.session_id).await;
        let late = wait_for(&session, &["DTMF"], ReturnWhen::First);
        let status = within(gateway.sessions().wait_for_events(late))
            .await
            .unwrap_err();
        assert_eq!(
            code_and_reason(&status),
            (Code::FailedPrecondition, "SESSION_ENDED".to_owned())
        );
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_watched_session_is_shown_as_it_is_and_to_its_end() {
    on_each(async |gateway| {
        let session = originate(&gateway, ECHO).await.unwrap();
        let request = pb::WatchSessionRequest {
            session_id: session.session_id.clone(),
        };
        let mut stream = within(gateway.sessions().watch_session(request))
            .await
            .unwrap()
            .into_inner();
        let first = within(stream.message()).await.unwrap().unwrap();
        assert!(first.session.unwrap().answered && first.event_names.is_empty());
        hang_up(&gateway, &session.session_id).await;
        let mut last = None;
        let mut seen = Vec::new();
        while let Some(message) = within(stream.message()).await.unwrap() {
            seen.extend(message.event_names);
            last = message.session;
        }
        assert!(last.unwrap().hangup.is_some());
        let hangup = seen
            .iter()
            .position(|name| name == "CHANNEL_HANGUP")
            .unwrap();
        let complete = seen
            .iter()
            .position(|name| name == "CHANNEL_HANGUP_COMPLETE")
            .unwrap();
        assert!(hangup < complete);
        gateway
    })
    .await;
}

#[tokio::test]
async fn the_events_of_a_session_are_listed_in_pages_in_either_order() {
    on_each(async |gateway| {
        let session = originate(&gateway, ECHO).await.unwrap();
        hang_up(&gateway, &session.session_id).await;
        let mut orders = Vec::new();
        for newest_first in [false, true] {
            let mut listed = Vec::new();
            let mut page_token = String::new();
            loop {
                let request = pb::ListSessionEventsRequest {
                    session_id: session.session_id.clone(),
                    page_size: 3,
                    page_token,
                    newest_first,
                };
                let page = within(gateway.sessions().list_session_events(request))
                    .await
                    .unwrap()
                    .into_inner();
                assert!(page.events.len() <= 3);
                listed.extend(page.events);
                page_token = page.next_page_token;
                if page_token.is_empty() {
                    break;
                }
            }
            orders.push(listed);
        }
        let names = names(&orders[0]);
        let create = names
            .iter()
            .position(|name| *name == "CHANNEL_CREATE")
            .unwrap();
        let hangup = names
            .iter()
            .position(|name| *name == "CHANNEL_HANGUP")
            .unwrap();
        assert!(create < hangup);
        // Events that came between the two walks stand at the front of the second.
        let mut reversed = orders[1].clone();
        reversed.reverse();
        assert_eq!(reversed[..orders[0].len()], orders[0][..]);
        gateway
    })
    .await;
}

#[tokio::test]
async fn the_peer_of_a_bridged_leg_is_the_other_one() {
    on_each(async |gateway| {
        let a = originate(&gateway, ECHO).await.unwrap();
        let b = originate(&gateway, ECHO).await.unwrap();
        let alone = pb::GetPeerRequest {
            call_id: a.call_id.clone(),
            session_id: a.session_id.clone(),
        };
        let status = within(gateway.calls().get_peer(alone)).await.unwrap_err();
        assert_eq!(
            code_and_reason(&status),
            (Code::FailedPrecondition, "SESSION_STATE".to_owned())
        );
        let elsewhere = pb::GetPeerRequest {
            call_id: a.call_id.clone(),
            session_id: b.session_id.clone(),
        };
        let status = within(gateway.calls().get_peer(elsewhere))
            .await
            .unwrap_err();
        assert_eq!(
            code_and_reason(&status),
            (Code::FailedPrecondition, "SESSION_STATE".to_owned())
        );
        let facts = ["session_id", "call_id"].map(|key| metadata(&status, key));
        assert_eq!(facts, [b.session_id.clone(), b.call_id.clone()]);
        let nobody = pb::GetPeerRequest {
            call_id: a.call_id.clone(),
            session_id: "nobody".to_owned(),
        };
        let status = within(gateway.calls().get_peer(nobody)).await.unwrap_err();
        assert_eq!(
            code_and_reason(&status),
            (Code::NotFound, "SESSION_NOT_FOUND".to_owned())
        );
        let bridge = pb::BridgeRequest {
            session_id: a.session_id.clone(),
            peer: Some(pb::bridge_request::Peer::PeerSessionId(
                b.session_id.clone(),
            )),
            ..Default::default()
        };
        let bridged = within(gateway.sessions().bridge(bridge))
            .await
            .unwrap()
            .into_inner()
            .session
            .unwrap();
        let request = pb::GetPeerRequest {
            call_id: bridged.call_id,
            session_id: a.session_id.clone(),
        };
        let peer = within(gateway.calls().get_peer(request))
            .await
            .unwrap()
            .into_inner()
            .session
            .unwrap();
        assert_eq!(peer.session_id, b.session_id);
        let _ = tokio::join!(hang_up(&gateway, &a.session_id), async {
            let request = pb::HangupRequest {
                session_id: b.session_id.clone(),
                ..Default::default()
            };
            // It may go down with its peer.
            let _ = within(gateway.sessions().hangup(request)).await;
        });
        gateway
    })
    .await;
}

#[tokio::test]
async fn an_ended_job_can_be_forgotten_and_a_running_one_cannot() {
    let gateway = Gateway::over_sim().await;
    let run = pb::RunJobRequest {
        command: "status".to_owned(),
        ..Default::default()
    };
    let job = within(gateway.jobs().run_job(run))
        .await
        .unwrap()
        .into_inner()
        .job
        .unwrap();
    within(gateway.jobs().delete_job(pb::DeleteJobRequest {
        job_id: job.job_id.clone(),
    }))
    .await
    .unwrap();
    let status = within(
        gateway
            .jobs()
            .get_job(pb::GetJobRequest { job_id: job.job_id }),
    )
    .await
    .unwrap_err();
    assert_eq!(
        code_and_reason(&status),
        (Code::NotFound, "JOB_NOT_FOUND".to_owned())
    );

    let start = pb::StartJobRequest {
        command: "msleep".to_owned(),
        arguments: "300".to_owned(),
        ..Default::default()
    };
    let job = within(gateway.jobs().start_job(start))
        .await
        .unwrap()
        .into_inner()
        .job
        .unwrap();
    let status = within(gateway.jobs().delete_job(pb::DeleteJobRequest {
        job_id: job.job_id.clone(),
    }))
    .await
    .unwrap_err();
    assert_eq!(
        code_and_reason(&status),
        (Code::FailedPrecondition, "JOB_RUNNING".to_owned())
    );
    within(gateway.jobs().wait_job(pb::WaitJobRequest {
        job_id: job.job_id,
        timeout: None,
    }))
    .await
    .unwrap();
    gateway.stop().await;
}

#[tokio::test]
async fn a_drained_node_gets_no_new_calls_and_keeps_those_it_has() {
    let gateway = Gateway::over_sims(2, |_| {}).await;
    let old = originate_on(&gateway, "sim-0").await.unwrap();
    let drain = pb::DrainNodeRequest {
        node_id: "sim-0".to_owned(),
    };
    let node = within(gateway.nodes().drain_node(drain))
        .await
        .unwrap()
        .into_inner()
        .node
        .unwrap();
    assert_eq!(node.state(), pb::NodeState::Draining);
    for _ in 0..8 {
        assert_eq!(originate(&gateway, ECHO).await.unwrap().node_id, "sim-1");
    }
    let status = originate_on(&gateway, "sim-0").await.unwrap_err();
    assert_eq!(
        code_and_reason(&status),
        (Code::Unavailable, "NO_NODE_AVAILABLE".to_owned())
    );
    assert_eq!(
        status.message(),
        "node sim-0 is DRAINING: it gets no new work until UndrainNode puts it back"
    );
    assert_eq!(metadata(&status, "node_id"), "sim-0");
    let details = status.get_error_details();
    let retry_after = details.retry_info().and_then(|info| info.retry_delay);
    assert_eq!(retry_after, Some(Duration::from_secs(30)));
    assert!(hang_up(&gateway, &old.session_id).await.hangup.is_some());
    // It stays drained over a reconnect.
    gateway.sims[0].inject(Fault::DropLinks);
    let node = gateway
        .control
        .fleet
        .node(&"sim-0".parse().unwrap())
        .unwrap();
    within(node.reached(switchgate::domain::NodeState::Down)).await;
    within(node.reached(switchgate::domain::NodeState::Draining)).await;
    let undrain = pb::UndrainNodeRequest {
        node_id: "sim-0".to_owned(),
    };
    let node = within(gateway.nodes().undrain_node(undrain))
        .await
        .unwrap()
        .into_inner()
        .node
        .unwrap();
    assert_eq!(node.state(), pb::NodeState::Ready);
    assert_eq!(
        originate_on(&gateway, "sim-0").await.unwrap().node_id,
        "sim-0"
    );
    gateway.stop().await;
}

#[tokio::test]
async fn reconciling_finds_what_lost_events_hid() {
    let gateway = Gateway::over_sim().await;
    let session = originate(&gateway, ECHO).await.unwrap();
    // Its end is lost: nobody is told that it is gone.
    gateway.sim().inject(Fault::LoseEvents(1000));
    let kill = pb::RunApiRequest {
        node_id: "sim-0".to_owned(),
        command: "uuid_kill".to_owned(),
        arguments: session.session_id.clone(),
    };
    within(gateway.nodes().run_api(kill)).await.unwrap();
    let ended = loop {
        // The list lags behind the core, so the first answers may still show it.
        let request = pb::ReconcileNodeRequest {
            node_id: "sim-0".to_owned(),
        };
        let response = within(gateway.nodes().reconcile_node(request))
            .await
            .unwrap()
            .into_inner();
        if response.sessions_ended > 0 {
            break response.sessions_ended;
        }
    };
    assert!(ended >= 1);
    let get = pb::GetSessionRequest {
        session_id: session.session_id,
        include_variables: false,
    };
    let session = within(gateway.sessions().get_session(get))
        .await
        .unwrap()
        .into_inner()
        .session
        .unwrap();
    assert!(session.hangup.is_some() && session.synthetic_end);
    gateway.stop().await;
}

async fn originate_on(gateway: &Gateway, node: &str) -> Result<pb::Session, tonic::Status> {
    let request = pb::OriginateRequest {
        endpoints: vec![ECHO.to_owned()],
        node_selector: Some(pb::NodeSelector {
            node_id: node.to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    Ok(within(gateway.sessions().originate(request))
        .await?
        .into_inner()
        .session
        .unwrap())
}

//! Two tenants on one node: each sees and touches what is its own, and no more.

use std::collections::{BTreeSet, HashMap};

use switchgate::pb::{self, subscribe_response::Message};
use tonic::{Code, Status};

use crate::callers::{Caller, VARIABLE, over_freeswitch, over_sim, value};
use crate::client::{ANSWERS, application, map, seconds, start_at, to};
use crate::gateway::{Gateway, code_and_reason, within};

mod hostile;
mod streams;

/// Runs a test over the simulator and, where one is given, over a real FreeSWITCH.
async fn on_each<F, T>(test: F)
where
    F: Fn(Gateway) -> T,
    T: Future<Output = Gateway>,
{
    test(over_sim().await).await.stop().await;
    on_freeswitch(test).await;
}

/// Runs a test over a real FreeSWITCH alone, where one is given.
async fn on_freeswitch<F, T>(test: F)
where
    F: Fn(Gateway) -> T,
    T: Future<Output = Gateway>,
{
    // Another test's sessions there would be the same tenants'.
    static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _alone = ALONE.lock().await;
    match over_freeswitch().await {
        Some(gateway) => test(gateway).await.stop().await,
        None => eprintln!(
            "skipped on a real FreeSWITCH: SWITCHGATE_TEST_FREESWITCH=host:port is not set"
        ),
    }
}

/// A dial string that answers.
fn answers(gateway: &Gateway) -> String {
    gateway.dial("answer")
}

async fn placed(gateway: &Gateway, who: &Caller) -> pb::OriginateResponse {
    let placed = within(who.sessions().originate(to(&answers(gateway)))).await;
    placed.unwrap().into_inner()
}

async fn leg(gateway: &Gateway, who: &Caller) -> String {
    placed(gateway, who).await.session.unwrap().session_id
}

async fn hang_up(who: &Caller, session_id: &str) {
    let request = pb::HangupRequest {
        session_id: session_id.to_owned(),
        ..Default::default()
    };
    within(who.sessions().hangup(request)).await.unwrap();
}

async fn get(who: &Caller, session_id: &str) -> Result<pb::Session, Status> {
    let request = pb::GetSessionRequest {
        session_id: session_id.to_owned(),
        ..Default::default()
    };
    let response = within(who.sessions().get_session(request)).await?;
    Ok(response.into_inner().session.unwrap())
}

async fn listed(who: &Caller) -> BTreeSet<String> {
    let request = pb::ListSessionsRequest {
        filter: "live = true".to_owned(),
        ..Default::default()
    };
    let response = within(who.sessions().list_sessions(request)).await;
    let response = response.unwrap().into_inner();
    assert_eq!(response.total_size as usize, response.sessions.len());
    let sessions = response.sessions.into_iter();
    sessions.map(|session| session.session_id).collect()
}

fn is_not_found<T: std::fmt::Debug>(outcome: Result<T, Status>, reason: &str) {
    let status = outcome.expect_err(reason);
    assert_eq!(
        code_and_reason(&status),
        (Code::NotFound, reason.to_owned())
    );
}

fn is_denied<T: std::fmt::Debug>(outcome: Result<T, Status>, what: &str) {
    let status = outcome.expect_err(what);
    let expected = (Code::PermissionDenied, "PERMISSION_DENIED".to_owned());
    assert_eq!(code_and_reason(&status), expected, "{what}: {status:?}");
}

#[tokio::test]
async fn each_tenant_sees_its_own_and_the_others_see_all() {
    on_each(|gateway| async move {
        let [acme, other, admin] =
            ["acme", "other", "admin"].map(|name| Caller::of(&gateway, name));
        let (ours, theirs) = (
            placed(&gateway, &acme).await,
            placed(&gateway, &other).await,
        );
        let id = |placed: &pb::OriginateResponse| placed.session.clone().unwrap().session_id;
        let (our_leg, their_leg) = (id(&ours), id(&theirs));
        // The leg that was called is nobody's: its dialplan says nothing.
        assert_eq!(listed(&acme).await, BTreeSet::from([our_leg.clone()]));
        assert_eq!(listed(&other).await, BTreeSet::from([their_leg.clone()]));
        let all = listed(&admin).await;
        assert!(all.len() >= 4 && all.contains(&our_leg) && all.contains(&their_leg));
        assert!(get(&acme, &our_leg).await.is_ok());
        is_not_found(get(&acme, &their_leg).await, "SESSION_NOT_FOUND");
        let variables = pb::GetVariablesRequest {
            session_id: our_leg.clone(),
            names: vec![VARIABLE.to_owned()],
        };
        let variables = within(acme.sessions().get_variables(variables)).await;
        assert_eq!(
            variables.unwrap().into_inner().variables[VARIABLE],
            value("acme")
        );

        let jobs = within(acme.jobs().list_jobs(pb::ListJobsRequest::default())).await;
        let jobs: Vec<_> = jobs
            .unwrap()
            .into_inner()
            .jobs
            .into_iter()
            .map(|job| job.job_id)
            .collect();
        assert_eq!(jobs, [ours.job_id]);
        let job = pb::GetJobRequest {
            job_id: theirs.job_id,
        };
        is_not_found(within(acme.jobs().get_job(job)).await, "JOB_NOT_FOUND");

        let nodes = within(acme.nodes().list_nodes(pb::ListNodesRequest::default())).await;
        let nodes = nodes.unwrap().into_inner().nodes;
        let shown = pb::Node {
            node_id: nodes[0].node_id.clone(),
            state: pb::NodeState::Ready.into(),
            ..Default::default()
        };
        assert_eq!(nodes, [shown]);
        for (who, leg) in [(&acme, &our_leg), (&other, &their_leg)] {
            hang_up(who, leg).await;
            // What has ended stays whose it was.
            assert!(get(who, leg).await.unwrap().hangup.is_some());
        }
        is_not_found(get(&acme, &their_leg).await, "SESSION_NOT_FOUND");
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_call_of_several_shows_each_only_its_own_sessions() {
    on_each(|gateway| async move {
        let [acme, other, admin] =
            ["acme", "other", "admin"].map(|name| Caller::of(&gateway, name));
        let (ours, theirs) = (leg(&gateway, &acme).await, leg(&gateway, &other).await);
        let bridge = pb::BridgeRequest {
            session_id: ours.clone(),
            peer: Some(pb::bridge_request::Peer::PeerSessionId(theirs.clone())),
            ..Default::default()
        };
        is_not_found(
            within(acme.sessions().bridge(bridge.clone())).await,
            "SESSION_NOT_FOUND",
        );
        let bridged = within(admin.sessions().bridge(bridge)).await.unwrap();
        let call_id = bridged.into_inner().session.unwrap().call_id;
        for (who, leg) in [(&acme, &ours), (&other, &theirs)] {
            let request = pb::GetCallRequest {
                call_id: call_id.clone(),
            };
            let call = within(who.calls().get_call(request)).await.unwrap();
            let call = call.into_inner().call.unwrap();
            let ids: Vec<_> = call
                .sessions
                .iter()
                .map(|session| &session.session_id)
                .collect();
            assert_eq!(ids, [leg]);
            assert_eq!((&call.first_session_id, &call.last_session_id), (leg, leg));
            let request = pb::GetPeerRequest {
                call_id: call_id.clone(),
                session_id: leg.clone(),
            };
            is_not_found(
                within(who.calls().get_peer(request)).await,
                "SESSION_NOT_FOUND",
            );
            // The partner is not to be moved along.
            let request = pb::TransferRequest {
                session_id: leg.clone(),
                extension: Some(pb::OriginateExtension {
                    number: "park".to_owned(),
                    ..Default::default()
                }),
                leg: pb::TransferLeg::Peer.into(),
                ..Default::default()
            };
            is_not_found(
                within(who.sessions().transfer(request)).await,
                "SESSION_NOT_FOUND",
            );
            let request = pb::AttendedTransferRequest {
                session_id: leg.clone(),
                endpoint: answers(&gateway),
                ..Default::default()
            };
            is_not_found(
                within(who.sessions().attended_transfer(request)).await,
                "SESSION_NOT_FOUND",
            );
        }
        hang_up(&admin, &ours).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_leg_that_is_called_for_a_tenants_session_is_the_tenants() {
    // The simulator knows no variables of an application.
    on_freeswitch(|gateway| async move {
        let acme = Caller::of(&gateway, "acme");
        let ours = leg(&gateway, &acme).await;
        let bridge = pb::BridgeRequest {
            session_id: ours.clone(),
            peer: Some(pb::bridge_request::Peer::Endpoint(answers(&gateway))),
            ..Default::default()
        };
        let bridged = within(acme.sessions().bridge(bridge)).await.unwrap();
        let peer = bridged.into_inner().peer.unwrap().session_id;
        assert_eq!(
            listed(&acme).await,
            BTreeSet::from([ours.clone(), peer.clone()])
        );
        hang_up(&acme, &ours).await;
        // A third party is called for one of two that talk.
        let (ours, peer) = (leg(&gateway, &acme).await, leg(&gateway, &acme).await);
        let bridge = pb::BridgeRequest {
            session_id: ours.clone(),
            peer: Some(pb::bridge_request::Peer::PeerSessionId(peer)),
            ..Default::default()
        };
        within(acme.sessions().bridge(bridge)).await.unwrap();
        let transfer = pb::AttendedTransferRequest {
            session_id: ours.clone(),
            endpoint: answers(&gateway),
            ..Default::default()
        };
        let transferred = within(acme.sessions().attended_transfer(transfer)).await;
        let third = transferred.unwrap().into_inner().peer.unwrap().session_id;
        assert!(listed(&acme).await.contains(&third));
        for id in listed(&acme).await {
            let request = pb::HangupRequest {
                session_id: id,
                ..Default::default()
            };
            // One may have ended with another.
            let _ = within(acme.sessions().hangup(request)).await;
        }
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_session_is_seen_from_when_the_dialplan_makes_it_a_tenants() {
    on_each(|gateway| async move {
        let [acme, admin] = ["acme", "admin"].map(|name| Caller::of(&gateway, name));
        let session = leg(&gateway, &admin).await;
        is_not_found(get(&acme, &session).await, "SESSION_NOT_FOUND");
        let set = pb::ExecuteRequest {
            session_id: session.clone(),
            application: "set".to_owned(),
            arguments: format!("{VARIABLE}={}", value("acme")),
            ..Default::default()
        };
        within(admin.sessions().execute(set)).await.unwrap();
        assert!(get(&acme, &session).await.is_ok());
        // What came before is not told.
        let request = pb::ListSessionEventsRequest {
            session_id: session.clone(),
            ..Default::default()
        };
        let ours = within(acme.sessions().list_session_events(request.clone())).await;
        let all = within(admin.sessions().list_session_events(request)).await;
        let names = |response: pb::ListSessionEventsResponse| -> Vec<String> {
            response
                .events
                .into_iter()
                .map(|event| event.name)
                .collect()
        };
        let (ours, all) = (
            names(ours.unwrap().into_inner()),
            names(all.unwrap().into_inner()),
        );
        assert!(all.contains(&"CHANNEL_CREATE".to_owned()));
        assert!(!ours.is_empty() && !ours.contains(&"CHANNEL_CREATE".to_owned()));
        // And taken away again.
        let request = pb::SetVariablesRequest {
            session_id: session.clone(),
            variables: map(&[(VARIABLE, &*value("other"))]),
            ..Default::default()
        };
        within(admin.sessions().set_variables(request))
            .await
            .unwrap();
        is_not_found(get(&acme, &session).await, "SESSION_NOT_FOUND");
        hang_up(&admin, &session).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn the_same_request_id_of_two_callers_means_two_requests() {
    let gateway = over_sim().await;
    let mut made = HashMap::new();
    for name in ["acme", "other", "acme", "operator"] {
        let who = Caller::of(&gateway, name);
        let request = pb::OriginateRequest {
            request_id: "the same".to_owned(),
            // Another request each, which one caller would be told.
            labels: map(&[("of", name)]),
            ..to(ANSWERS)
        };
        let placed = within(who.sessions().originate(request)).await.unwrap();
        let placed = placed.into_inner();
        let ids = (placed.session.unwrap().session_id, placed.job_id);
        match made.insert(name, ids.clone()) {
            // A repeat.
            Some(before) => assert_eq!(before, ids),
            None => assert_eq!(made.values().filter(|known| **known == ids).count(), 1),
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn many_are_hung_up_of_ones_own_alone() {
    let gateway = over_sim().await;
    let [acme, other] = ["acme", "other"].map(|name| Caller::of(&gateway, name));
    let (ours, theirs) = (leg(&gateway, &acme).await, leg(&gateway, &other).await);
    let request = pb::HangupManyRequest {
        filter: "live = true".to_owned(),
        ..Default::default()
    };
    let ended = within(acme.sessions().hangup_many(request)).await.unwrap();
    assert_eq!(ended.into_inner().session_ids, [ours]);
    assert!(get(&other, &theirs).await.unwrap().hangup.is_none());
    gateway.stop().await;
}

#[tokio::test]
async fn a_value_is_expanded_for_who_may_and_refused_for_others() {
    on_each(|gateway| async move {
        let [operator, trusted] = ["operator", "trusted"].map(|name| Caller::of(&gateway, name));
        let session_id = leg(&gateway, &operator).await;
        let execute = |who: &Caller, arguments: &str| {
            let (mut sessions, request) = (
                who.sessions(),
                pb::ExecuteRequest {
                    session_id: session_id.clone(),
                    application: "set".to_owned(),
                    arguments: arguments.to_owned(),
                    ..Default::default()
                },
            );
            async move { within(sessions.execute(request)).await }
        };
        let arguments = r"expanded=a\b $c ${uuid} $${not_there}";
        let refused = execute(&operator, arguments).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        execute(&trusted, arguments).await.unwrap();
        let request = pb::GetVariablesRequest {
            session_id: session_id.clone(),
            names: vec!["expanded".to_owned()],
        };
        let told = within(operator.sessions().get_variables(request))
            .await
            .unwrap();
        let told = told.into_inner().variables["expanded"].clone();
        assert_eq!(told.trim_end(), format!(r"a\b $c {session_id}"));
        let place = pb::OriginateRequest {
            variables: map(&[("later", "${system id}")]),
            ..to(&answers(&gateway))
        };
        // FreeSWITCH would drop such a variable.
        for who in [&operator, &trusted] {
            let refused = within(who.sessions().originate(place.clone())).await;
            assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
        }
        for (who, is_allowed) in [(&operator, false), (&trusted, true)] {
            let request = pb::SetVariablesRequest {
                session_id: session_id.clone(),
                variables: map(&[("later", "${uuid}")]),
                ..Default::default()
            };
            let set = within(who.sessions().set_variables(request)).await;
            assert_eq!(set.is_ok(), is_allowed, "{set:?}");
        }
        hang_up(&operator, &session_id).await;
        gateway
    })
    .await;
}

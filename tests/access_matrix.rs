//! Every RPC of the descriptor set by every kind of caller: a new RPC needs a row.

pub(crate) mod raw;
mod table;

use std::collections::BTreeSet;

use switchgate::grpc::Rpc;
use switchgate::pb;
use tonic::{Code, Status};

use crate::callers::{Caller, over_sim};
use crate::client::{ANSWERS, to};
use crate::gateway::{Gateway, code_and_reason, metadata, within};
use raw::ask;
use table::{Other, ROWS, Row, Theirs};

/// Path of a row's RPC.
fn path(row: &Row) -> String {
    format!("/switchgate.v1.{}", row.rpc)
}

/// What is another tenant's: a live session in a call, and the job that placed it.
async fn theirs(gateway: &Gateway) -> Theirs {
    let acme = Caller::of(gateway, "acme");
    let placed = within(acme.sessions().originate(to(ANSWERS)))
        .await
        .unwrap();
    let placed = placed.into_inner();
    let session = placed.session.unwrap();
    Theirs {
        session: session.session_id,
        call: session.call_id,
        job: placed.job_id,
        node: session.node_id,
    }
}

/// Whether a request was let in, whatever came of it then.
fn is_let_in(outcome: &Result<Vec<u8>, Status>) -> bool {
    let code = outcome.as_ref().map_or_else(Status::code, |_| Code::Ok);
    !matches!(code, Code::Unauthenticated | Code::PermissionDenied)
}

#[test]
fn every_rpc_has_one_row() {
    let rows: BTreeSet<String> = ROWS.iter().map(path).collect();
    assert_eq!(rows.len(), ROWS.len());
    let declared: BTreeSet<String> = Rpc::all().map(|rpc| rpc.path.clone()).collect();
    assert_eq!(rows, declared);
}

/// The ready role is written by names; the proto says what reads.
#[test]
fn viewers_may_what_reads_and_no_more() {
    for row in &ROWS {
        assert_eq!(
            row.viewer,
            Rpc::at(&path(row)).unwrap().reads,
            "{}",
            row.rpc
        );
    }
}

#[tokio::test]
async fn nobody_is_let_in_without_proving_who_it_is() {
    let gateway = over_sim().await;
    for row in &ROWS {
        for token in [None, Some("stranger"), Some("")] {
            let outcome = ask(&gateway.channel, &path(row), Vec::new(), token).await;
            let (code, reason) = code_and_reason(&outcome.unwrap_err());
            assert_eq!(
                (code, &*reason),
                (Code::Unauthenticated, "UNAUTHENTICATED"),
                "{}",
                row.rpc
            );
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn each_role_may_call_what_the_table_says() {
    let gateway = over_sim().await;
    for row in &ROWS {
        let expected = [
            ("viewer", row.viewer),
            ("operator", row.operator),
            ("admin", true),
        ];
        for (role, is_allowed) in expected {
            let outcome = ask(&gateway.channel, &path(row), Vec::new(), Some(role)).await;
            assert_eq!(
                is_let_in(&outcome),
                is_allowed,
                "{} {role}: {outcome:?}",
                row.rpc
            );
            if !is_allowed {
                let status = outcome.unwrap_err();
                assert_eq!(code_and_reason(&status).1, "PERMISSION_DENIED");
                assert_eq!(metadata(&status, "rpc"), row.rpc);
                assert_eq!(metadata(&status, "caller"), role);
                assert!(status.message().contains("rpcs.allow"), "{status:?}");
            }
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_another_tenants_is_not_there() {
    let gateway = over_sim().await;
    let theirs = theirs(&gateway).await;
    let unknown = Theirs {
        session: "00000000-0000-4000-8000-000000000000".to_owned(),
        call: "00000000-0000-4000-8000-000000000000".to_owned(),
        job: "00000000-0000-4000-8000-000000000000".to_owned(),
        node: theirs.node.clone(),
    };
    for row in &ROWS {
        let ask = |about: &Theirs, who: &'static str| {
            let (request, channel) = ((row.request)(about), gateway.channel.clone());
            let path = path(row);
            async move { ask(&channel, &path, request, Some(who)).await }
        };
        for who in ["other", "other-admin"] {
            let outcome = ask(&theirs, who).await;
            match row.other {
                Other::NotFound(reason) => {
                    let status = outcome.expect_err(row.rpc);
                    assert_eq!(
                        code_and_reason(&status),
                        (Code::NotFound, reason.to_owned()),
                        "{} {who}: {status:?}",
                        row.rpc
                    );
                    // Exactly as one that never was.
                    let never = ask(&unknown, who).await.expect_err(row.rpc);
                    assert_eq!(
                        anonymous(&status, &theirs),
                        anonymous(&never, &unknown),
                        "{}",
                        row.rpc
                    );
                }
                Other::Denied => {
                    let status = outcome.expect_err(row.rpc);
                    assert_eq!(
                        code_and_reason(&status).1,
                        "PERMISSION_DENIED",
                        "{} {who}: {status:?}",
                        row.rpc
                    );
                }
                Other::Without => {
                    let answer =
                        outcome.unwrap_or_else(|status| panic!("{} {who}: {status:?}", row.rpc));
                    for id in [&theirs.session, &theirs.call, &theirs.job] {
                        let found = answer.windows(id.len()).any(|part| part == id.as_bytes());
                        assert!(!found, "{} {who} tells {id}", row.rpc);
                    }
                }
            }
        }
    }
    // Nothing was done to it.
    let request = pb::GetSessionRequest {
        session_id: theirs.session.clone(),
        ..Default::default()
    };
    let acme = Caller::of(&gateway, "acme");
    let session = within(acme.sessions().get_session(request)).await.unwrap();
    assert!(session.into_inner().session.unwrap().hangup.is_none());
    gateway.stop().await;
}

/// What a failure says, without the ids.
fn anonymous(status: &Status, about: &Theirs) -> (String, Vec<(String, String)>) {
    use tonic_types::StatusExt as _;
    let strike = |text: &str| {
        let ids = [&about.session, &about.call, &about.job];
        ids.iter()
            .fold(text.to_owned(), |text, id| text.replace(id.as_str(), "ID"))
    };
    let info = status.get_error_details().error_info().cloned();
    let mut metadata: Vec<_> = info
        .map(|info| info.metadata)
        .unwrap_or_default()
        .into_iter()
        .map(|(key, value)| (key, strike(&value)))
        .collect();
    metadata.sort();
    (strike(status.message()), metadata)
}

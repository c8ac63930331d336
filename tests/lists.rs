//! Lists by filter, as clients use them: sessions, calls, jobs and nodes.

use switchgate::pb;
use tonic::{Code, Status};

use crate::client::{ANSWERS, answered, get, hang_up, map, place, tag, to};
use crate::gateway::{Gateway, code_and_reason, on_each, within};

async fn sessions(gateway: &Gateway, filter: &str) -> Result<Vec<String>, Status> {
    let request = pb::ListSessionsRequest {
        filter: filter.to_owned(),
        ..Default::default()
    };
    let page = within(gateway.sessions().list_sessions(request))
        .await?
        .into_inner();
    let mut ids: Vec<_> = page.sessions.into_iter().map(|s| s.session_id).collect();
    ids.sort();
    Ok(ids)
}

async fn calls(gateway: &Gateway, filter: &str) -> Result<Vec<String>, Status> {
    let request = pb::ListCallsRequest {
        filter: filter.to_owned(),
        ..Default::default()
    };
    let page = within(gateway.calls().list_calls(request))
        .await?
        .into_inner();
    let mut ids: Vec<_> = page.calls.into_iter().map(|call| call.call_id).collect();
    ids.sort();
    Ok(ids)
}

async fn nodes(gateway: &Gateway, filter: &str) -> Result<usize, Status> {
    let request = pb::ListNodesRequest {
        filter: filter.to_owned(),
        ..Default::default()
    };
    let page = within(gateway.nodes().list_nodes(request))
        .await?
        .into_inner();
    Ok(page.nodes.len())
}

async fn jobs(gateway: &Gateway, filter: &str) -> Result<usize, Status> {
    let request = pb::ListJobsRequest {
        filter: filter.to_owned(),
        ..Default::default()
    };
    let page = within(gateway.jobs().list_jobs(request))
        .await?
        .into_inner();
    Ok(page.jobs.len())
}

/// A leg with labels and variables.
async fn labelled(
    gateway: &Gateway,
    labels: &[(&str, &str)],
    variables: &[(&str, &str)],
) -> pb::Session {
    let request = pb::OriginateRequest {
        labels: map(labels),
        variables: map(variables),
        ..to(ANSWERS)
    };
    place(gateway, request).await.unwrap().session.unwrap()
}

fn sorted(ids: &[&str]) -> Vec<String> {
    let mut ids: Vec<_> = ids.iter().map(|id| (*id).to_owned()).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn sessions_are_found_by_labels_variables_and_logic() {
    on_each(async |gateway| {
        let tag = tag();
        let own = ("tag", tag.as_str());
        let a = labelled(&gateway, &[own, ("team", "blue")], &[("queue", "sales")]).await;
        let b = labelled(
            &gateway,
            &[own, ("team", "red")],
            &[("queue", "it's (50%)")],
        )
        .await;
        let c = labelled(&gateway, &[own], &[]).await;
        let (a, b, c) = (&*a.session_id, &*b.session_id, &*c.session_id);
        let cases: &[(&str, &[&str])] = &[
            ("", &[a, b, c]),
            ("label.team:*", &[a, b]),
            ("label:team", &[a, b]),
            ("-label:team", &[c]),
            ("label.team != blue", &[b, c]),
            ("label.team = blue OR label.team = red", &[a, b]),
            ("AND label.team = red AND answered = true", &[b]),
            ("variable.queue = sales", &[a]),
            ("variable.QUEUE = sales", &[a]),
            ("variable.queue = 'it\\'s (50%)'", &[b]),
            ("variable.queue:*", &[a, b]),
            ("variable:queue", &[a, b]),
            ("NOT variable:queue", &[c]),
            // OR binds tighter than AND.
            (
                "label:team AND variable.queue = sales OR live = false",
                &[a],
            ),
            (
                "live = true state = EXECUTE direction = OUTBOUND",
                &[a, b, c],
            ),
            (
                "(live = false OR parked = true) call_state = ACTIVE",
                &[a, b, c],
            ),
            ("times.created > 2020-01-01T00:00:00Z", &[a, b, c]),
            ("times.created < 2020-01-01T00:00:00Z", &[]),
        ];
        // They answer a moment before they park.
        for id in [a, b, c] {
            let is_parked = async || get(&gateway, id).await.unwrap().parked;
            within(async { while !is_parked().await {} }).await;
        }
        for (term, expected) in cases {
            let filter = format!("label.tag = {tag} {term}");
            let found = sessions(&gateway, &filter).await.unwrap();
            assert_eq!(found, sorted(expected), "{filter}");
        }
        let by_id = format!("session_id = {a} OR session_id = {c}");
        assert_eq!(sessions(&gateway, &by_id).await.unwrap(), sorted(&[a, c]));
        // What is hung up is found by what it was at the end.
        hang_up(&gateway, a).await;
        let ended = format!("label.tag = {tag} live = false variable.queue = sales");
        assert_eq!(sessions(&gateway, &ended).await.unwrap(), sorted(&[a]));
        let rest = pb::HangupManyRequest {
            filter: format!("label.tag = {tag} (variable:queue OR -label:team)"),
            ..Default::default()
        };
        let downed = within(gateway.sessions().hangup_many(rest)).await.unwrap();
        let mut downed = downed.into_inner().session_ids;
        downed.sort();
        assert_eq!(downed, sorted(&[b, c]));
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_variable_that_was_set_is_found_at_once() {
    on_each(async |gateway| {
        let session = answered(&gateway).await;
        let id = &session.session_id;
        let value = tag();
        let filter = format!("variable.mark = \"{value}\"");
        assert!(sessions(&gateway, &filter).await.unwrap().is_empty());
        let set = pb::SetVariablesRequest {
            session_id: id.clone(),
            variables: map(&[("mark", &value)]),
            ..Default::default()
        };
        within(gateway.sessions().set_variables(set)).await.unwrap();
        assert_eq!(sessions(&gateway, &filter).await.unwrap(), sorted(&[id]));
        let unset = pb::UnsetVariablesRequest {
            session_id: id.clone(),
            names: vec!["mark".to_owned()],
            ..Default::default()
        };
        within(gateway.sessions().unset_variables(unset))
            .await
            .unwrap();
        assert!(sessions(&gateway, &filter).await.unwrap().is_empty());
        hang_up(&gateway, id).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn calls_jobs_and_nodes_are_found_by_filters() {
    on_each(async |gateway| {
        let tag = tag();
        let own = ("tag", tag.as_str());
        let a = labelled(&gateway, &[own], &[("queue", "sales")]).await;
        let b = labelled(&gateway, &[own], &[]).await;
        let (a, b) = (&*a.call_id, &*b.call_id);
        let node = &gateway.control.fleet.nodes().next().unwrap().id().clone();
        let cases: &[(String, &[&str])] = &[
            (String::new(), &[a, b]),
            ("live = true".to_owned(), &[a, b]),
            (format!("call_id = {a}"), &[a]),
            (format!("session_id = {b}"), &[b]),
            (format!("node_id = {node} variable.queue = sales"), &[a]),
            ("-variable:queue".to_owned(), &[b]),
            (
                "started > 2020-01-01T00:00:00Z AND -ended:*".to_owned(),
                &[a, b],
            ),
            ("live = false".to_owned(), &[]),
        ];
        for (term, expected) in cases {
            let filter = format!("label.tag = {tag} {term}");
            let found = calls(&gateway, &filter).await.unwrap();
            assert_eq!(found, sorted(expected), "{filter}");
        }
        for id in [a, b] {
            hang_up(&gateway, id).await;
        }
        let ended = format!("label.tag = {tag} AND live = false AND ended:*");
        assert_eq!(calls(&gateway, &ended).await.unwrap().len(), 2);

        let of_jobs = [
            ("command = originate state = SUCCEEDED", 2),
            ("created > 2020-01-01T00:00:00Z", 2),
            ("state = RUNNING OR state = PENDING", 0),
        ];
        for (term, count) in of_jobs {
            let filter = format!("label.tag = {tag} {term}");
            assert_eq!(jobs(&gateway, &filter).await.unwrap(), count, "{filter}");
        }
        for (filter, count) in [
            (format!("node_id = {node} AND state = READY"), 1),
            ("state != NODE_STATE_READY".to_owned(), 0),
            ("label:zone".to_owned(), 0),
            ("version:*".to_owned(), 1),
        ] {
            assert_eq!(nodes(&gateway, &filter).await.unwrap(), count, "{filter}");
        }
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_filter_that_makes_no_sense_is_refused_with_its_place() {
    let gateway = Gateway::over_sim().await;
    let refused = [
        sessions(&gateway, "answered = true AND stat = x")
            .await
            .map(|_| ()),
        calls(&gateway, "live = true AND state = x")
            .await
            .map(|_| ()),
        jobs(&gateway, "created:* AND xx  = SUCCEEDED")
            .await
            .map(|_| ()),
        nodes(&gateway, "node_id = \"ab\" or state = READY")
            .await
            .map(|_| ()),
    ];
    for (status, column) in refused.into_iter().zip([21, 17, 15, 16]) {
        let status = status.unwrap_err();
        let expected = (Code::InvalidArgument, "INVALID_ARGUMENT".to_owned());
        assert_eq!(code_and_reason(&status), expected);
        let place = format!("filter: column {column}: ");
        assert!(status.message().starts_with(&place), "{}", status.message());
    }
    gateway.stop().await;
}

//! What tenants are told as it happens, and afterwards.

use super::*;

/// All sessions that events of a stream were about, up to the last event of one.
async fn told_until_end(
    stream: &mut tonic::Streaming<pb::SubscribeResponse>,
    last: &str,
) -> (BTreeSet<String>, String) {
    let mut told = BTreeSet::new();
    loop {
        let response = within(stream.message()).await.unwrap().unwrap();
        let Some(Message::Events(batch)) = response.message else {
            continue;
        };
        for event in batch.events {
            let is_last = event.session_id == last && event.name == "CHANNEL_DESTROY";
            told.insert(event.session_id);
            if is_last {
                return (told, response.cursor);
            }
        }
    }
}

async fn subscribe(
    who: &Caller,
    start: Option<pb::SubscribeStart>,
) -> tonic::Streaming<pb::SubscribeResponse> {
    let request = pb::SubscribeRequest {
        start,
        ..Default::default()
    };
    within(who.events().subscribe(request))
        .await
        .unwrap()
        .into_inner()
}

#[tokio::test]
async fn a_stream_tells_a_tenant_of_its_own_sessions_alone() {
    on_each(|gateway| async move {
        let [acme, other, admin] =
            ["acme", "other", "admin"].map(|name| Caller::of(&gateway, name));
        let mut live = subscribe(&acme, None).await;
        let first = within(live.message()).await.unwrap().unwrap();
        let mut whole = subscribe(&admin, None).await;
        within(whole.message()).await.unwrap();
        let (theirs, ours) = (leg(&gateway, &other).await, leg(&gateway, &acme).await);
        hang_up(&other, &theirs).await;
        hang_up(&acme, &ours).await;
        let (told, _) = told_until_end(&mut live, &ours).await;
        assert_eq!(told, BTreeSet::from([ours.clone()]));
        let (all, _) = told_until_end(&mut whole, &ours).await;
        assert!(all.contains(&theirs) && all.len() >= 4);
        // Once more from the cursor, and as a list.
        let mut again = subscribe(&acme, Some(start_at(&first.cursor))).await;
        let (told, _) = told_until_end(&mut again, &ours).await;
        assert_eq!(told, BTreeSet::from([ours.clone()]));
        let (mut page_token, mut listed) = (String::new(), BTreeSet::new());
        loop {
            let request = pb::ListEventsRequest {
                after_cursor: first.cursor.clone(),
                page_size: 7,
                page_token: page_token.clone(),
                ..Default::default()
            };
            let page = within(acme.events().list_events(request)).await.unwrap();
            let page = page.into_inner();
            listed.extend(page.events.into_iter().map(|event| event.session_id));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(listed, BTreeSet::from([ours.clone()]));
        // A filter for what is another's lets nothing through.
        let request = pb::ListEventsRequest {
            filter: Some(pb::EventFilter {
                session_ids: vec![theirs.clone()],
                ..Default::default()
            }),
            ..Default::default()
        };
        let page = within(acme.events().list_events(request)).await.unwrap();
        assert!(page.into_inner().events.is_empty());
        let request = pb::ListSessionEventsRequest {
            session_id: theirs,
            ..Default::default()
        };
        is_not_found(
            within(acme.sessions().list_session_events(request)).await,
            "SESSION_NOT_FOUND",
        );
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_snapshot_holds_what_is_the_tenants() {
    on_each(|gateway| async move {
        let [acme, other] = ["acme", "other"].map(|name| Caller::of(&gateway, name));
        let (ours, theirs) = (leg(&gateway, &acme).await, leg(&gateway, &other).await);
        let start = pb::SubscribeStart {
            position: Some(pb::subscribe_start::Position::Snapshot(
                pb::StartSnapshot::default(),
            )),
        };
        let mut stream = subscribe(&acme, Some(start)).await;
        let (mut sessions, mut in_calls) = (BTreeSet::new(), BTreeSet::new());
        let end = loop {
            match within(stream.message()).await.unwrap().unwrap().message {
                Some(Message::Snapshot(part)) => {
                    sessions.extend(part.sessions.into_iter().map(|session| session.session_id));
                    let calls = part.calls.into_iter().flat_map(|call| call.sessions);
                    in_calls.extend(calls.map(|session| session.session_id));
                    for node in part.nodes {
                        assert_eq!((node.tracked_sessions, &*node.address), (0, ""));
                    }
                }
                Some(Message::SnapshotEnd(end)) => break end,
                other => panic!("{other:?}"),
            }
        };
        assert!(sessions.contains(&ours) && !sessions.contains(&theirs));
        assert_eq!(sessions, in_calls);
        assert_eq!(end.sessions as usize, sessions.len());
        hang_up(&acme, &ours).await;
        hang_up(&other, &theirs).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn jobs_and_calls_are_watched_as_far_as_they_are_ones_own() {
    let gateway = over_sim().await;
    let [acme, other, admin] = ["acme", "other", "admin"].map(|name| Caller::of(&gateway, name));
    let mut jobs = within(acme.jobs().watch_jobs(pb::WatchJobsRequest::default())).await;
    let jobs = jobs.as_mut().unwrap().get_mut();
    within(jobs.message()).await.unwrap();
    let theirs = placed(&gateway, &other).await;
    let ours = placed(&gateway, &acme).await;
    let mut seen = BTreeSet::new();
    while !seen.contains(&ours.job_id) {
        let message = within(jobs.message()).await.unwrap().unwrap();
        seen.extend(message.jobs.into_iter().map(|job| job.job_id));
    }
    assert_eq!(seen, BTreeSet::from([ours.job_id.clone()]));
    let call_id = ours.session.clone().unwrap().call_id;
    let our_leg = ours.session.unwrap().session_id;
    let their_leg = theirs.session.unwrap().session_id;
    let watched = within(acme.calls().watch_call(pb::WatchCallRequest {
        call_id: call_id.clone(),
    }))
    .await;
    let mut watched = watched.unwrap().into_inner();
    let first = within(watched.message()).await.unwrap().unwrap();
    assert_eq!(first.joined_session_ids, std::slice::from_ref(&our_leg));
    // Somebody else's session comes, which is not to be noticed, and then ours ends.
    let append = pb::AppendSessionRequest {
        call_id,
        session_id: their_leg.clone(),
        ..Default::default()
    };
    within(admin.calls().append_session(append)).await.unwrap();
    hang_up(&acme, &our_leg).await;
    while let Some(message) = within(watched.message()).await.unwrap() {
        assert!(message.joined_session_ids.is_empty());
        let call = message.call.unwrap();
        assert!(
            call.sessions
                .iter()
                .all(|session| session.session_id == our_leg)
        );
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_wait_for_what_is_anothers_is_refused_and_ones_own_ends_with_the_session() {
    let gateway = over_sim().await;
    let [acme, other] = ["acme", "other"].map(|name| Caller::of(&gateway, name));
    let (ours, theirs) = (leg(&gateway, &acme).await, leg(&gateway, &other).await);
    let wait = |session_id: &str| pb::WaitForEventsRequest {
        session_id: session_id.to_owned(),
        event_names: vec!["CHANNEL_HANGUP".to_owned()],
        timeout: Some(seconds(20)),
        ..Default::default()
    };
    is_not_found(
        within(acme.sessions().wait_for_events(wait(&theirs))).await,
        "SESSION_NOT_FOUND",
    );
    let mut sessions = acme.sessions();
    let waits = sessions.wait_for_events(wait(&ours));
    let (waited, ()) = tokio::join!(waits, hang_up(&acme, &ours));
    let events = match waited {
        Ok(response) => response.into_inner().events,
        // It had ended before.
        Err(status) => {
            assert_eq!(code_and_reason(&status).1, "SESSION_ENDED");
            Vec::new()
        }
    };
    assert!(events.iter().all(|event| event.session_id == ours));
    gateway.stop().await;
}

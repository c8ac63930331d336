//! Lists of sessions, by filter and page.

use super::*;

#[tokio::test]
async fn sessions_are_listed_by_every_term_of_a_filter() {
    on_each(async |gateway| {
        let tag = tag();
        let label = [("tag", tag.as_str())];
        let ringing = pb::OriginateRequest {
            labels: map(&label),
            wait_for: pb::OriginateWait::Progress.into(),
            ..to(RINGS)
        };
        let talking = pb::OriginateRequest {
            labels: map(&label),
            ..to(ANSWERS)
        };
        let ringing = place(&gateway, ringing).await.unwrap().session.unwrap();
        let talking = place(&gateway, talking).await.unwrap().session.unwrap();
        let talking = until(&gateway, &talking.session_id, |session| session.parked).await;
        let (ringing_id, talking_id) = (ringing.session_id.clone(), talking.id.to_string());
        let both = vec![ringing_id.clone(), talking_id.clone()];
        let (first, second) = (vec![ringing_id.clone()], vec![talking_id.clone()]);
        let node = ringing.node_id.clone();
        for (term, expected) in [
            (String::new(), &both),
            (format!("AND node_id = \"{node}\""), &both),
            (format!("AND node_id = {node}"), &both),
            ("AND node_id != elsewhere".to_owned(), &both),
            ("AND node_id = elsewhere".to_owned(), &vec![]),
            ("AND answered = true".to_owned(), &second),
            ("AND answered != true".to_owned(), &first),
            ("AND answered=false".to_owned(), &first),
            ("AND call_state = CALL_STATE_RINGING".to_owned(), &first),
            ("AND call_state = CALL_STATE_ACTIVE".to_owned(), &second),
            ("AND state = SESSION_STATE_EXECUTE".to_owned(), &second),
            ("AND direction = DIRECTION_OUTBOUND".to_owned(), &both),
            ("AND direction = DIRECTION_INBOUND".to_owned(), &vec![]),
            (format!("AND call_id = {}", ringing.call_id), &first),
            (format!("AND call_id != {}", ringing.call_id), &second),
            (
                "AND label.other != x AND answered = true".to_owned(),
                &second,
            ),
        ] {
            let filter = format!("label.tag = {tag} {term}");
            let page = list(&gateway, &filter, 0, "").await.unwrap();
            let mut ids: Vec<_> = page.sessions.into_iter().map(|s| s.session_id).collect();
            // Sessions of one tick of FreeSWITCH's clock are in the order of their ids.
            let mut expected = expected.clone();
            ids.sort();
            expected.sort();
            assert_eq!(ids, expected, "{filter}");
            assert_eq!(usize::try_from(page.total_size).unwrap(), expected.len());
            assert_eq!(page.next_page_token, "");
            assert!(!page.cursor.is_empty());
        }
        hang_up(&gateway, &ringing_id).await;
        hang_up(&gateway, &talking_id).await;
        let page = list(&gateway, &format!("label.tag = {tag}"), 0, "")
            .await
            .unwrap();
        assert_eq!(page.total_size, 2, "ended sessions stay for the retention");
        gateway
    })
    .await;
}

#[tokio::test]
async fn pages_of_sessions_are_the_whole_list_without_loss_or_repeat() {
    on_each(async |gateway| {
        let tag = tag();
        let mut placed = HashSet::new();
        for _ in 0..7 {
            let request = pb::OriginateRequest {
                labels: map(&[("tag", &tag)]),
                wait_for: pb::OriginateWait::Started.into(),
                ..to(ANSWERS)
            };
            placed.insert(
                place(&gateway, request)
                    .await
                    .unwrap()
                    .session
                    .unwrap()
                    .session_id,
            );
        }
        let filter = format!("label.tag = {tag}");
        let mut whole = Vec::new();
        for size in [8, 1, 2, 3, 7] {
            let mut listed = Vec::new();
            let mut token = String::new();
            loop {
                let page = list(&gateway, &filter, size, &token).await.unwrap();
                assert_eq!(page.total_size, 7);
                assert!(page.sessions.len() <= usize::try_from(size).unwrap());
                listed.extend(page.sessions.into_iter().map(|session| session.session_id));
                token = page.next_page_token;
                if token.is_empty() {
                    break;
                }
            }
            if whole.is_empty() {
                assert_eq!(listed.iter().cloned().collect::<HashSet<_>>(), placed);
                whole.clone_from(&listed);
            }
            assert_eq!(listed, whole, "pages of {size}");
        }
        for id in &placed {
            hang_up(&gateway, id).await;
        }
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_bad_filter_size_or_token_is_refused() {
    let gateway = Gateway::over_sim().await;
    for filter in [
        "nonsense = 1",
        "state",
        "state = ",
        "state ~ x",
        "state = a OR state = b",
        "answered = true answered",
        "node_id = \"a",
        "label. = x",
    ] {
        let status = list(&gateway, filter, 0, "").await.unwrap_err();
        assert_invalid(&status, "filter");
    }
    assert_invalid(&list(&gateway, "", -1, "").await.unwrap_err(), "page_size");
    let first = originate(&gateway, ANSWERS).await.unwrap();
    originate(&gateway, ANSWERS).await.unwrap();
    let token = list(&gateway, "", 1, "").await.unwrap().next_page_token;
    assert!(!token.is_empty());
    for token in ["nonsense", "0.0", &format!("{token}x")[1..]] {
        assert_invalid(
            &list(&gateway, "", 1, token).await.unwrap_err(),
            "page_token",
        );
    }
    let status = list(&gateway, "answered = true", 1, &token)
        .await
        .unwrap_err();
    assert_invalid(&status, "page_token");
    // More than the most counts as the most.
    let page = list(&gateway, "", i32::MAX, "").await.unwrap();
    assert!(
        page.sessions
            .iter()
            .any(|session| session.session_id == first.session_id)
    );
    gateway.stop().await;
}

//! ListEvents: pages through the journal.

use switchgate::events::Cursor;
use switchgate::pb::{self, header_selection, subscribe_response, subscribe_start};
use tonic::{Code, Status};

use crate::client::*;
use crate::faults::{bring_back, leave, take_away};
use crate::gateway::{Gateway, code_and_reason, metadata, on_each, within};

async fn list(
    gateway: &Gateway,
    request: pb::ListEventsRequest,
) -> Result<pb::ListEventsResponse, Status> {
    Ok(within(gateway.events().list_events(request))
        .await?
        .into_inner())
}

/// All pages of a list.
async fn walk(
    gateway: &Gateway,
    mut request: pb::ListEventsRequest,
) -> Vec<pb::ListEventsResponse> {
    let mut pages = Vec::new();
    loop {
        let page = list(gateway, request.clone()).await.unwrap();
        request.page_token.clone_from(&page.next_page_token);
        let is_last = page.next_page_token.is_empty();
        pages.push(page);
        if is_last {
            return pages;
        }
    }
}

#[tokio::test]
async fn pages_together_are_what_a_stream_from_the_oldest_event_tells() {
    on_each(async |gateway| {
        let id = answered(&gateway).await.session_id;
        hang_up(&gateway, &id).await;
        let filter = pb::EventFilter {
            session_ids: vec![id.clone()],
            ..Default::default()
        };
        let names = header_selection::Selection::Names(pb::HeaderNames {
            names: vec!["event-name".to_owned(), "Channel-State".to_owned()],
        });
        let header_selection = Some(pb::HeaderSelection {
            selection: Some(names),
        });
        let earliest = subscribe_start::Position::Earliest(pb::StartEarliest {});
        let request = pb::SubscribeRequest {
            filter: Some(filter.clone()),
            header_selection: header_selection.clone(),
            start: Some(pb::SubscribeStart {
                position: Some(earliest),
            }),
            ..Default::default()
        };
        let mut feed = Feed::begin(&gateway, request).await.unwrap();
        let streamed = feed.until_end_of(&id).await;
        let request = pb::ListEventsRequest {
            filter: Some(filter),
            header_selection,
            page_size: 3,
            ..Default::default()
        };
        let pages = walk(&gateway, request.clone()).await;
        assert!(pages.iter().all(|page| page.events.len() <= 3));
        let listed: Vec<_> = pages.iter().flat_map(|page| page.events.clone()).collect();
        // What comes behind the end of a session is listed too.
        assert_eq!(listed[..streamed.len()], streamed);
        // From within, and on from the end.
        let from_within = pb::ListEventsRequest {
            after_cursor: streamed[4].cursor.clone(),
            ..request
        };
        let pages = walk(&gateway, from_within).await;
        let listed: Vec<_> = pages.iter().flat_map(|page| page.events.clone()).collect();
        assert_eq!(listed[..streamed.len() - 5], streamed[5..]);
        let last = pages.last().unwrap();
        Feed::after(&gateway, &last.cursor, &[]).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_token_is_good_for_its_own_question_only() {
    let gateway = Gateway::over_sim().await;
    let id = answered(&gateway).await.session_id;
    let request = pb::ListEventsRequest {
        page_size: 1,
        ..Default::default()
    };
    let first = list(&gateway, request.clone()).await.unwrap();
    let token = first.next_page_token;
    let other = pb::ListEventsRequest {
        filter: Some(pb::EventFilter {
            session_ids: vec![id],
            ..Default::default()
        }),
        page_token: token.clone(),
        ..request.clone()
    };
    assert_invalid(&list(&gateway, other).await.unwrap_err(), "page_token");
    for token in ["nonsense", "0.0", &token[1..]] {
        let made_up = pb::ListEventsRequest {
            page_token: token.to_owned(),
            ..request.clone()
        };
        assert_invalid(&list(&gateway, made_up).await.unwrap_err(), "page_token");
    }
    let negative = pb::ListEventsRequest {
        page_size: -1,
        ..Default::default()
    };
    assert_invalid(&list(&gateway, negative).await.unwrap_err(), "page_size");
    let no_cursor = pb::ListEventsRequest {
        after_cursor: "x".to_owned(),
        ..Default::default()
    };
    assert_invalid(
        &list(&gateway, no_cursor).await.unwrap_err(),
        "after_cursor",
    );
    // Another size is no other question.
    let larger = pb::ListEventsRequest {
        page_size: 1000,
        page_token: token,
        ..request
    };
    let page = list(&gateway, larger).await.unwrap();
    assert!(page.events.len() > 1 && page.next_page_token.is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn a_journal_that_has_moved_on_says_from_where_it_can_be_read() {
    let gateway = Gateway::over_sims(1, |config| {
        config.events.journal_bytes = "64KiB".parse().unwrap();
    })
    .await;
    let page = pb::ListEventsRequest {
        page_size: 1,
        ..Default::default()
    };
    answered(&gateway).await;
    let first = list(&gateway, page.clone()).await.unwrap();
    assert!(!first.next_page_token.is_empty());
    for _ in 0..10 {
        let id = answered(&gateway).await.session_id;
        hang_up(&gateway, &id).await;
    }
    let by_token = pb::ListEventsRequest {
        page_token: first.next_page_token,
        ..page.clone()
    };
    let by_cursor = pb::ListEventsRequest {
        after_cursor: first.cursor,
        ..page.clone()
    };
    for lost in [by_token, by_cursor] {
        let status = list(&gateway, lost).await.unwrap_err();
        let expected = (Code::OutOfRange, "CURSOR_LOST".to_owned());
        assert_eq!(code_and_reason(&status), expected);
        let again = pb::ListEventsRequest {
            after_cursor: metadata(&status, "oldest_cursor"),
            ..page.clone()
        };
        assert_eq!(list(&gateway, again).await.unwrap().events.len(), 1);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_list_of_what_nobody_asked_for_says_so_at_its_end() {
    let gateway = Gateway::over_sim().await;
    let request = |name: &str| pb::ListEventsRequest {
        filter: Some(pb::EventFilter {
            event_names: vec![name.to_owned()],
            ..Default::default()
        }),
        ..Default::default()
    };
    let pages = walk(&gateway, request("API")).await;
    assert!(pages.iter().all(|page| page.events.is_empty()));
    let last = pages.last().unwrap();
    let [gap] = &*last.gaps else {
        panic!("{last:?}")
    };
    assert_eq!(gap.reason(), pb::GapReason::NotSubscribed);
    assert!(gap.ended.is_none() && gap.cursor == last.cursor);

    // Always wanted, and wanted by somebody now.
    let pages = walk(&gateway, request("CHANNEL_ANSWER")).await;
    assert!(pages.iter().all(|page| page.gaps.is_empty()));
    let _feed = Feed::of(&gateway, request("API").filter.unwrap()).await;
    let pages = walk(&gateway, request("API")).await;
    let gaps = pages.iter().flat_map(|page| &page.gaps);
    assert!(gaps.into_iter().all(|gap| gap.ended.is_some()));
    gateway.stop().await;
}

#[tokio::test]
async fn gaps_are_listed_where_a_stream_tells_them() {
    let gateway = Gateway::over_sim().await;
    let before = gateway.control.journal.cursor();
    take_away(&gateway).await;
    bring_back(&gateway).await;
    let request = pb::ListEventsRequest {
        after_cursor: before.to_string(),
        page_size: 1,
        ..Default::default()
    };
    let pages = walk(&gateway, request.clone()).await;
    let gaps: Vec<_> = pages.iter().flat_map(|page| &page.gaps).collect();
    // The last: nobody asks for all events that there are.
    assert_eq!(gaps.len(), 2, "{gaps:?}");
    assert_eq!(gaps[1].reason(), pb::GapReason::NotSubscribed);
    assert_eq!(gaps[0].reason(), pb::GapReason::LinkLost);
    assert_eq!(gaps[0].node_id, "sim-0");
    let mut feed = Feed::after(&gateway, &before.to_string(), &[]).await;
    let told = loop {
        if let subscribe_response::Message::Gap(gap) = feed.next().await.unwrap() {
            break gap;
        }
    };
    assert_eq!(told, *gaps[0]);
    assert_eq!(told.cursor, feed.cursor);
    assert!(gaps[0].cursor.parse::<Cursor>().unwrap().position > before.position);
    let elsewhere = pb::ListEventsRequest {
        filter: Some(pb::EventFilter {
            node_ids: vec!["elsewhere".to_owned()],
            ..Default::default()
        }),
        ..request
    };
    let pages = walk(&gateway, elsewhere).await;
    assert!(pages.iter().all(|page| page.events.is_empty()));
    // What no node was asked for is missing from this one too.
    let is_of_any = |gap: &pb::Gap| gap.reason() == pb::GapReason::NotSubscribed;
    assert!(pages.iter().flat_map(|page| &page.gaps).all(is_of_any));
    leave(gateway).await;
}

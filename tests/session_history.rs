//! What is remembered of a session's events, and how it is listed.

use std::time::Duration;

use switchgate::config::Config;
use switchgate::pb;

use crate::client::{Feed, answered, assert_invalid, hang_up, names};
use crate::gateway::{Gateway, on_each, within};

async fn page(
    gateway: &Gateway,
    request: pb::ListSessionEventsRequest,
) -> pb::ListSessionEventsResponse {
    let response = within(gateway.sessions().list_session_events(request)).await;
    response.unwrap().into_inner()
}

fn of(session_id: &str) -> pb::ListSessionEventsRequest {
    pb::ListSessionEventsRequest {
        session_id: session_id.to_owned(),
        page_size: 1000,
        ..Default::default()
    }
}

/// A call that was hung up, with all of its events as a subscriber saw them.
async fn whole_call(gateway: &Gateway) -> (String, Vec<pb::Event>) {
    let mut feed = Feed::from_now(gateway).await;
    let id = answered(gateway).await.session_id;
    hang_up(gateway, &id).await;
    let events = feed.until_end_of(&id).await;
    (id, events)
}

fn bounded(history_events: usize, history_bytes: &str) -> impl FnOnce(&mut Config) {
    let history_bytes = history_bytes.parse().unwrap();
    move |config| {
        config.sessions.history_events = history_events;
        config.sessions.history_bytes = history_bytes;
        config.events.journal_bytes = "512KiB".parse().unwrap();
    }
}

#[tokio::test]
async fn the_list_is_what_a_subscriber_saw() {
    on_each(async |gateway| {
        let (id, seen) = whole_call(&gateway).await;
        let listed = page(&gateway, of(&id)).await;
        // FreeSWITCH may say more of a channel that it has destroyed.
        assert_eq!(listed.events[..seen.len()], seen[..]);
        assert_eq!(listed.left_out, 0);
        assert_eq!(listed.next_page_token, "");
        // From the list's cursor on there is nothing of the session that the list has.
        let last = listed.events.last().unwrap();
        let position = |cursor: &str| {
            let (_, position) = cursor.split_once('.').unwrap();
            u64::from_str_radix(position, 16).unwrap()
        };
        assert!(position(&listed.cursor) >= position(&last.cursor));
        gateway
    })
    .await;
}

#[tokio::test]
async fn the_history_outlives_the_journal_and_says_what_had_to_go() {
    let gateway = Gateway::over_sims(1, bounded(8, "16MiB")).await;
    let (id, seen) = whole_call(&gateway).await;
    for _ in 0..20 {
        whole_call(&gateway).await;
    }
    let listed = page(&gateway, of(&id)).await;
    assert_eq!(listed.total_size, 8);
    assert!(seen.len() > 8, "{}", seen.len());
    let (all, kept) = (names(&seen), names(&listed.events));
    let total = 8 + usize::try_from(listed.left_out).unwrap();
    assert!(total >= seen.len());
    assert_eq!(all[total - 8..], kept[..all.len() - (total - 8)]);
    gateway.stop().await;
}

#[tokio::test]
async fn all_histories_together_stay_within_their_bytes() {
    const BOUND: usize = 512 * 1024;
    let gateway = Gateway::over_sims(1, bounded(200, "512KiB")).await;
    let held = || gateway.control.journal.history_held().0;
    let (oldest, seen) = whole_call(&gateway).await;
    assert_eq!(page(&gateway, of(&oldest)).await.left_out, 0);
    let mut newest = oldest.clone();
    for _ in 0..40 {
        newest = whole_call(&gateway).await.0;
        assert!(held() <= BOUND);
    }
    assert!(held() > BOUND / 2, "the bound was reached");
    // The oldest have gone, whose ever they were, and it is told.
    let gone = page(&gateway, of(&oldest)).await;
    assert!(gone.events.is_empty() && gone.left_out >= seen.len() as u64);
    assert_eq!(page(&gateway, of(&newest)).await.left_out, 0);
    gateway.stop().await;
}

#[tokio::test]
async fn nothing_is_kept_of_a_session_past_its_retention() {
    let gateway = Gateway::over_sims(1, |config| {
        config.sessions.retention = Duration::from_millis(1);
    })
    .await;
    let id = answered(&gateway).await.session_id;
    assert!(gateway.control.journal.history_held().1 > 0);
    hang_up(&gateway, &id).await;
    within(async {
        // The far leg goes too.
        while gateway.control.journal.history_held() != (0, 0) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    gateway.stop().await;
}

#[tokio::test]
async fn pages_are_right_while_events_come() {
    on_each(async |gateway| {
        let id = answered(&gateway).await.session_id;
        let mut listed = Vec::new();
        let mut request = pb::ListSessionEventsRequest {
            page_size: 3,
            ..of(&id)
        };
        let mut rounds = 0;
        loop {
            let page = page(&gateway, request.clone()).await;
            listed.extend(page.events);
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
            rounds += 1;
            if rounds < 4 {
                let execute = pb::ExecuteRequest {
                    session_id: id.clone(),
                    application: "set".to_owned(),
                    arguments: format!("round={rounds}"),
                    ..Default::default()
                };
                within(gateway.sessions().execute(execute)).await.unwrap();
            }
        }
        assert!(rounds >= 4);
        let all = page(&gateway, of(&id)).await.events;
        assert_eq!(listed[..], all[..listed.len()]);
        let executed = |events: &[pb::Event]| {
            let is_complete = |name: &&str| *name == "CHANNEL_EXECUTE_COMPLETE";
            names(events).into_iter().filter(is_complete).count()
        };
        assert!(
            executed(&listed) >= 3,
            "later pages have what came meanwhile"
        );
        // Newest first, what comes meanwhile shifts nothing.
        let mut newest = pb::ListSessionEventsRequest {
            page_size: 4,
            newest_first: true,
            ..of(&id)
        };
        let first = page(&gateway, newest.clone()).await;
        hang_up(&gateway, &id).await;
        newest.page_token = first.next_page_token.clone();
        let second = page(&gateway, newest.clone()).await;
        let mut reversed = all.clone();
        reversed.reverse();
        let both = [first.events, second.events].concat();
        assert_eq!(both[..], reversed[..both.len()]);
        // A token of the other order is refused.
        newest.newest_first = false;
        let refused = within(gateway.sessions().list_session_events(newest)).await;
        assert_invalid(&refused.unwrap_err(), "page_token");
        gateway
    })
    .await;
}

//! EventService: from where a stream begins, what it holds, and how it ends.

use std::collections::HashSet;
use std::time::Duration;

use switchgate::pb::{self, header_selection, subscribe_response, subscribe_start};
use tonic::Code;

use crate::client::*;
use crate::gateway::{Gateway, code_and_reason, metadata, on_each, within};

fn filter(change: impl FnOnce(&mut pb::EventFilter)) -> pb::EventFilter {
    let mut filter = pb::EventFilter::default();
    change(&mut filter);
    filter
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// The events of a stream, by what FreeSWITCH identifies them with.
fn identities(events: &[pb::Event]) -> Vec<(String, u64)> {
    events
        .iter()
        .map(|event| (event.core_uuid.clone(), event.sequence))
        .collect()
}

#[tokio::test]
async fn a_calls_life_is_told_in_its_order() {
    on_each(async |gateway| {
        let mut feed = Feed::from_now(&gateway).await;
        let id = answered(&gateway).await.session_id;
        hang_up(&gateway, &id).await;
        let events = feed.until_end_of(&id).await;
        let wanted = [
            "CHANNEL_CREATE",
            "CHANNEL_ANSWER",
            "CHANNEL_EXECUTE",
            "CHANNEL_PARK",
            "CHANNEL_HANGUP",
            "CHANNEL_HANGUP_COMPLETE",
            "CHANNEL_DESTROY",
        ];
        let told: Vec<_> = names(&events)
            .into_iter()
            .filter(|name| wanted.contains(name))
            .collect();
        assert_eq!(told, wanted);
        let sequences: Vec<_> = events.iter().map(|event| event.sequence).collect();
        assert_eq!(
            sequences.iter().collect::<HashSet<_>>().len(),
            sequences.len()
        );
        for event in &events {
            assert_ne!((event.node_id.as_str(), event.core_uuid.as_str()), ("", ""));
            assert!(event.time.is_some() && !event.synthetic && !event.cursor.is_empty());
            assert_eq!(event.headers["Event-Name"], event.name);
            assert_ne!(event.call_id, "");
        }
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_filter_lets_only_through_what_it_names() {
    on_each(async |gateway| {
        let node = gateway
            .control
            .fleet
            .nodes()
            .next()
            .unwrap()
            .id()
            .to_string();
        let ended =
            |name: &'static str| filter(|f| f.event_names = strings(&[name, "CHANNEL_DESTROY"]));
        let mut by_name = Feed::of(&gateway, ended("CHANNEL_ANSWER")).await;
        let mut by_node = Feed::of(&gateway, filter(|f| f.node_ids = vec![node])).await;
        let mut elsewhere = Feed::begin(
            &gateway,
            pb::SubscribeRequest {
                filter: Some(filter(|f| f.node_ids = strings(&["elsewhere"]))),
                heartbeat_interval: Some(seconds(1)),
                ..Default::default()
            },
        )
        .await
        .unwrap();
        let (a, b) = tokio::join!(answered(&gateway), answered(&gateway));
        let mut by_session = Feed::of(
            &gateway,
            filter(|f| f.session_ids = vec![a.session_id.clone()]),
        )
        .await;
        let mut by_call =
            Feed::of(&gateway, filter(|f| f.call_ids = vec![b.call_id.clone()])).await;
        hang_up(&gateway, &a.session_id).await;
        hang_up(&gateway, &b.session_id).await;

        let is_end = |id: &str| {
            let id = id.to_owned();
            move |event: &pb::Event| event.name == "CHANNEL_DESTROY" && event.session_id == id
        };
        let events = by_name.events_until(is_end(&b.session_id)).await;
        assert!(
            events
                .iter()
                .all(|event| ["CHANNEL_ANSWER", "CHANNEL_DESTROY"].contains(&&*event.name))
        );
        let events = by_node.events_until(is_end(&b.session_id)).await;
        assert!(events.iter().any(|event| event.session_id == a.session_id));
        let events = by_session.events_until(is_end(&a.session_id)).await;
        assert!(events.iter().all(|event| event.session_id == a.session_id));
        let events = by_call.events_until(is_end(&b.session_id)).await;
        assert!(events.iter().all(|event| event.call_id == b.call_id));
        let message = elsewhere.next().await.unwrap();
        assert!(
            matches!(message, subscribe_response::Message::Checkpoint(_)),
            "{message:?}"
        );
        gateway
    })
    .await;
}

#[tokio::test]
async fn custom_events_are_chosen_by_their_subclass() {
    on_each(async |gateway| {
        let wanted = filter(|f| {
            f.subclasses = strings(&["conference::maintenance"]);
            f.event_names = strings(&["CHANNEL_DESTROY"]);
        });
        let mut feed = Feed::of(&gateway, wanted).await;
        let room = format!("sofia/internal/conf{}@127.0.0.1", &tag()[..8]);
        let session = originate(&gateway, &room).await.unwrap();
        let is_member = |event: &pb::Event| event.subclass == "conference::maintenance";
        let events = feed.events_until(is_member).await;
        for event in &events {
            assert!(is_member(event) && event.name == "CUSTOM" || event.name == "CHANNEL_DESTROY");
        }
        hang_up(&gateway, &session.session_id).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn the_headers_are_those_that_are_selected() {
    on_each(async |gateway| {
        let id = answered(&gateway).await.session_id;
        let selecting = |selection| pb::SubscribeRequest {
            filter: Some(filter(|f| f.session_ids = vec![id.clone()])),
            header_selection: Some(pb::HeaderSelection {
                selection: Some(selection),
            }),
            ..Default::default()
        };
        let all = header_selection::Selection::All(pb::AllHeaders {});
        let none = header_selection::Selection::None(pb::NoHeaders {});
        let some = header_selection::Selection::Names(pb::HeaderNames {
            names: strings(&["unique-id", "Channel-State", "X-None"]),
        });
        let mut all = Feed::begin(&gateway, selecting(all)).await.unwrap();
        let mut none = Feed::begin(&gateway, selecting(none)).await.unwrap();
        let mut some = Feed::begin(&gateway, selecting(some)).await.unwrap();
        hang_up(&gateway, &id).await;
        assert!(
            all.until_end_of(&id)
                .await
                .iter()
                .all(|event| event.headers.len() > 10)
        );
        for event in none.until_end_of(&id).await {
            assert!(event.headers.is_empty() && !event.name.is_empty());
        }
        for event in some.until_end_of(&id).await {
            let mut names: Vec<_> = event.headers.keys().map(String::as_str).collect();
            names.sort_unstable();
            assert_eq!(names, ["Channel-State", "Unique-ID"]);
        }
        gateway
    })
    .await;
}

#[tokio::test]
async fn from_any_cursor_a_stream_goes_on_without_hole_or_repeat() {
    on_each(async |gateway| {
        let mut feed = Feed::from_now(&gateway).await;
        let start = feed.cursor.clone();
        let id = answered(&gateway).await.session_id;
        hang_up(&gateway, &id).await;
        let whole = feed.until_end_of(&id).await;
        let again = Feed::after(&gateway, &start, &[&id])
            .await
            .until_end_of(&id)
            .await;
        assert_eq!(identities(&again), identities(&whole));
        for (at, event) in whole.iter().enumerate().take(whole.len() - 1) {
            let rest = Feed::after(&gateway, &event.cursor, &[&id])
                .await
                .until_end_of(&id)
                .await;
            assert_eq!(identities(&rest), identities(&whole[at + 1..]));
        }
        // The oldest event is still there.
        let request = pb::SubscribeRequest {
            filter: Some(filter(|f| f.session_ids = vec![id.clone()])),
            start: Some(pb::SubscribeStart {
                position: Some(subscribe_start::Position::Earliest(pb::StartEarliest {})),
            }),
            ..Default::default()
        };
        let earliest = Feed::begin(&gateway, request)
            .await
            .unwrap()
            .until_end_of(&id)
            .await;
        assert_eq!(identities(&earliest), identities(&whole));
        gateway
    })
    .await;
}

#[tokio::test]
async fn state_and_its_cursor_leave_no_hole_and_repeat_nothing() {
    on_each(async |gateway| {
        let mut feed = Feed::from_now(&gateway).await;
        let placed = place(&gateway, to(ANSWERS)).await.unwrap();
        let id = placed.session.unwrap().session_id;
        let shown = within(gateway.sessions().get_session(pb::GetSessionRequest {
            session_id: id.clone(),
            include_variables: false,
        }))
        .await
        .unwrap()
        .into_inner();
        let executed = execute(&gateway, &id, "set", "a=b", pb::ExecuteWait::Completed)
            .await
            .unwrap();
        let hung_up = within(gateway.sessions().hangup(pb::HangupRequest {
            session_id: id.clone(),
            ..Default::default()
        }))
        .await
        .unwrap()
        .into_inner();
        let whole = feed.until_end_of(&id).await;
        let all = identities(&whole);
        for cursor in [
            &placed.cursor,
            &shown.cursor,
            &executed.cursor,
            &hung_up.cursor,
        ] {
            let rest = Feed::after(&gateway, cursor, &[&id])
                .await
                .until_end_of(&id)
                .await;
            let rest = identities(&rest);
            assert_eq!(rest, all[all.len() - rest.len()..], "a hole or a repeat");
        }
        // What was seen is the last thing that its cursor includes.
        let last_before = |cursor: &str, count: usize| {
            let at = whole.iter().position(|event| event.cursor == cursor);
            (at.map(|at| whole[at].name.clone()), count)
        };
        assert_eq!(
            last_before(&hung_up.cursor, 0).0.as_deref(),
            Some("CHANNEL_HANGUP")
        );
        assert_eq!(
            last_before(&executed.cursor, 0).0.as_deref(),
            Some("CHANNEL_EXECUTE_COMPLETE")
        );
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_cursor_that_is_none_is_refused_and_one_of_another_gateway_is_lost() {
    let gateway = Gateway::over_sim().await;
    let other = Gateway::over_sim().await;
    let begin = async |cursor: &str| {
        let request = pb::SubscribeRequest {
            start: Some(start_at(cursor)),
            ..Default::default()
        };
        match Feed::begin(&gateway, request).await {
            Ok(_) => panic!("cursor {cursor:?} is no good"),
            Err(status) => status,
        }
    };
    for cursor in ["", "nonsense", "12", "zz.1", "1.", ".1", "a\nb", "1.1.1"] {
        assert_invalid(&begin(cursor).await, "start.cursor");
    }
    let foreign = Feed::from_now(&other).await.cursor;
    let newest = Feed::from_now(&gateway).await.cursor;
    let ahead = format!("{}.ffffffff", newest.split_once('.').unwrap().0);
    for cursor in [foreign, ahead] {
        let status = begin(&cursor).await;
        assert_eq!(
            code_and_reason(&status),
            (Code::OutOfRange, "CURSOR_LOST".to_owned())
        );
        // From there the stream can be had.
        let oldest = metadata(&status, "oldest_cursor");
        Feed::after(&gateway, &oldest, &[]).await;
    }
    gateway.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn a_journal_that_has_moved_on_has_lost_the_cursor() {
    let gateway = Gateway::over_sims(1, |config| {
        config.events.journal_bytes = "64KiB".parse().unwrap();
    })
    .await;
    let cursor = Feed::from_now(&gateway).await.cursor;
    for _ in 0..10 {
        let id = answered(&gateway).await.session_id;
        hang_up(&gateway, &id).await;
        until(&gateway, &id, |session| session.final_event.is_some()).await;
    }
    let request = pb::SubscribeRequest {
        start: Some(start_at(&cursor)),
        ..Default::default()
    };
    let status = Feed::begin(&gateway, request).await.err().unwrap();
    assert_eq!(
        code_and_reason(&status),
        (Code::OutOfRange, "CURSOR_LOST".to_owned())
    );
    assert_ne!(metadata(&status, "oldest_cursor"), "");

    // Whoever is refused leaves nothing behind that FreeSWITCH would send.
    let request = pb::SubscribeRequest {
        filter: Some(filter(|f| f.subclasses = strings(&["test::refused"]))),
        start: Some(start_at(&cursor)),
        ..Default::default()
    };
    assert!(Feed::begin(&gateway, request).await.is_err());
    assert!(!gateway.control.wants.set().has_subclass("test::refused"));
    gateway.stop().await;
}

#[tokio::test]
async fn a_name_under_which_no_event_comes_is_refused_with_the_remedy() {
    let gateway = Gateway::over_sim().await;
    for (name, remedy) in [
        ("NO_SUCH_EVENT", "among the subclasses"),
        ("conference::maintenance", "among the subclasses"),
        ("channel_answer", "write CHANNEL_ANSWER"),
        ("CHANNEL_ANSWR", "write CHANNEL_ANSWER"),
        ("ALL", "leave the names out"),
        ("", "is missing"),
    ] {
        let filter = Some(filter(|f| f.event_names = strings(&["DTMF", name])));
        let request = pb::SubscribeRequest {
            filter: filter.clone(),
            ..Default::default()
        };
        let refused = Feed::begin(&gateway, request).await.err().unwrap();
        let request = pb::ListEventsRequest {
            filter,
            ..Default::default()
        };
        let unlisted = within(gateway.events().list_events(request))
            .await
            .unwrap_err();
        for status in [refused, unlisted] {
            assert_invalid(&status, "filter.event_names[1]");
            assert!(status.message().contains(remedy), "{status:?}");
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_silent_stream_tells_its_cursor() {
    on_each(async |gateway| {
        let request = pb::SubscribeRequest {
            filter: Some(filter(|f| f.subclasses = strings(&["test::never"]))),
            heartbeat_interval: Some(seconds(1)),
            ..Default::default()
        };
        let mut feed = Feed::begin(&gateway, request).await.unwrap();
        let begun_at = feed.cursor.clone();
        let id = answered(&gateway).await.session_id;
        hang_up(&gateway, &id).await;
        let message = feed.next().await.unwrap();
        assert!(
            matches!(message, subscribe_response::Message::Checkpoint(_)),
            "{message:?}"
        );
        assert_ne!(feed.cursor, begun_at, "moves on also when nothing fits");
        for interval in [
            seconds(0),
            seconds(-1),
            prost_types::Duration {
                seconds: 0,
                nanos: 1,
            },
            seconds(3601),
            seconds(i64::MAX),
        ] {
            let request = pb::SubscribeRequest {
                heartbeat_interval: Some(interval),
                ..Default::default()
            };
            let status = Feed::begin(&gateway, request).await.err().unwrap();
            assert_invalid(&status, "heartbeat_interval");
        }
        gateway
    })
    .await;
}

#[tokio::test]
async fn the_clients_deadline_ends_a_stream_with_its_cursor() {
    on_each(async |gateway| {
        let request = with_deadline(pb::SubscribeRequest::default(), Duration::from_secs(2));
        let mut feed = Feed::begin(&gateway, request).await.unwrap();
        let status = loop {
            if let Err(status) = feed.next().await {
                break status;
            }
        };
        assert_eq!(
            code_and_reason(&status),
            (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned()),
            "{status:?}"
        );
        assert_ne!(metadata(&status, "cursor"), "");
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_gateway_that_stops_ends_streams_with_their_cursor() {
    let mut gateway = Gateway::over_sim().await;
    let mut feed = Feed::from_now(&gateway).await;
    gateway.begin_stop();
    let status = loop {
        if let Err(status) = feed.next().await {
            break status;
        }
    };
    assert_eq!(
        code_and_reason(&status),
        (Code::Unavailable, "SHUTTING_DOWN".to_owned())
    );
    assert_ne!(metadata(&status, "cursor"), "");
    assert!(has_retry(&status));
    gateway.stop().await;
}

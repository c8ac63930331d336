//! FreeSWITCH sends what is wanted, and whoever may have missed something is told.

use std::time::Duration;

use switchgate::config::Config;
use switchgate::domain::NodeState;
use switchgate::events::{Entry, EventFilter, Item, SlowPolicy, Start, Subscription};
use switchgate::pb::{self, subscribe_response, subscribe_start};
use switchgate::shutdown::Drain;
use switchgate::sim::{Sim, SimConfig, SimUser};
use tonic::Code;

use crate::client::*;
use crate::faults::{bring_back, count_received, node, reached, received, take_away, until};
use crate::gateway::{Gateway, code_and_reason, on_each, within};
use crate::raw_link::RawLink;

/// An event that nothing in the gateway needs.
const UNUSUAL: &str = "RE_SCHEDULE";
/// One that it always needs, to wait for.
const USUAL: &str = "CODEC";

fn wanting(names: &[&str], subclasses: &[&str]) -> pb::EventFilter {
    let all = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    pb::EventFilter {
        event_names: all(names),
        subclasses: all(subclasses),
        ..Default::default()
    }
}

fn from(filter: &pb::EventFilter, start: subscribe_start::Position) -> pb::SubscribeRequest {
    pb::SubscribeRequest {
        filter: Some(filter.clone()),
        start: Some(pb::SubscribeStart {
            position: Some(start),
        }),
        ..Default::default()
    }
}

fn after(filter: &pb::EventFilter, cursor: &str) -> pb::SubscribeRequest {
    from(filter, subscribe_start::Position::Cursor(cursor.to_owned()))
}

/// What a stream tells next, up to the last event with the mark: gaps, and marked events by name.
async fn story(feed: &mut Feed, mark: &str, last: &str) -> Vec<String> {
    let mut story = Vec::new();
    loop {
        match feed.next().await.unwrap() {
            subscribe_response::Message::Events(batch) => {
                for event in batch.events {
                    let is_marked = event.headers.get("Mark").is_some_and(|found| found == mark);
                    if is_marked && event.name == last {
                        return story;
                    }
                    if is_marked {
                        story.push(
                            format!("{} {}", event.name, event.subclass)
                                .trim()
                                .to_owned(),
                        );
                    }
                }
            }
            subscribe_response::Message::Gap(gap) => {
                assert!(gap.began.is_some() && gap.ended.is_some());
                story.push(gap.reason().as_str_name().to_owned());
            }
            _ => {}
        }
    }
}

/// The marked events in the journal, by name.
fn journalled(gateway: &Gateway, mark: &str) -> Vec<String> {
    use futures_util::FutureExt as _;
    let mut subscription = Subscription::begin(
        &gateway.control.journal,
        EventFilter::default(),
        Start::Earliest,
        SlowPolicy::Gap,
        u64::MAX,
        Duration::from_secs(600),
    )
    .unwrap();
    let mut found = Vec::new();
    while let Some(item) = subscription.next().now_or_never() {
        if let Item::Events(events) = item.unwrap() {
            for (_, entry) in events {
                if let Entry::Event(record) = &*entry
                    && record.event.text("Mark").as_deref() == Some(mark)
                {
                    found.push(record.event.name().into_owned());
                }
            }
        }
    }
    found
}

/// Fires these and, behind them, one that always comes; waits until that has.
async fn fire(gateway: &Gateway, raw: &mut RawLink, events: &[&str], mark: &str) {
    for event in events {
        raw.fire(event, mark).await;
    }
    raw.fire(USUAL, mark).await;
    until(|| journalled(gateway, mark).iter().any(|name| name == USUAL)).await;
}

fn short(config: &mut Config) {
    config.events.journal_age = Duration::from_millis(300);
}

#[tokio::test]
async fn an_event_comes_from_the_first_cursor_on_once_it_is_wanted_and_not_before() {
    on_each(async |gateway| {
        let mut raw = RawLink::of(&gateway).await;
        let (mine, custom) = (tag(), format!("CUSTOM {}::x", tag()));
        let fired = [UNUSUAL, &custom, "API"];
        fire(&gateway, &mut raw, &fired, &mine).await;
        assert_eq!(journalled(&gateway, &mine), [USUAL]);

        let filter = wanting(&[UNUSUAL, USUAL], &[&custom["CUSTOM ".len()..]]);
        let mut feed = Feed::of(&gateway, filter).await;
        let mark = tag();
        fire(&gateway, &mut raw, &fired, &mark).await;
        assert_eq!(story(&mut feed, &mark, USUAL).await, [UNUSUAL, &custom]);
        // Nobody wants the third.
        assert_eq!(journalled(&gateway, &mark), [UNUSUAL, "CUSTOM", USUAL]);

        // Without a filter everything comes.
        let mut all = Feed::from_now(&gateway).await;
        let mark = tag();
        let other = format!("CUSTOM {}::y", tag());
        fire(&gateway, &mut raw, &["API", &other, "TRAP"], &mark).await;
        assert_eq!(story(&mut all, &mark, USUAL).await, ["API", &other, "TRAP"]);
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_client_goes_on_from_its_cursor_after_a_pause_and_one_from_before_is_told() {
    on_each(async |gateway| {
        let mut raw = RawLink::of(&gateway).await;
        let before = Feed::of(&gateway, wanting(&[USUAL], &[])).await.cursor;
        let custom = format!("CUSTOM {}::x", tag());
        let filter = wanting(&[UNUSUAL, USUAL], &[&custom["CUSTOM ".len()..]]);
        let first = Feed::of(&gateway, filter.clone()).await;
        let cursor = first.cursor.clone();
        drop(first);
        let mark = tag();
        fire(&gateway, &mut raw, &[UNUSUAL, &custom], &mark).await;

        let mut again = Feed::begin(&gateway, after(&filter, &cursor))
            .await
            .unwrap();
        assert_eq!(story(&mut again, &mark, USUAL).await, [UNUSUAL, &custom]);
        const GAP: &str = "GAP_REASON_NOT_SUBSCRIBED";
        let earliest = subscribe_start::Position::Earliest(pb::StartEarliest {});
        for start in [after(&filter, &before), from(&filter, earliest.clone())] {
            let mut early = Feed::begin(&gateway, start).await.unwrap();
            let told = story(&mut early, &mark, USUAL).await;
            assert_eq!(told, [GAP, UNUSUAL, &custom]);
        }
        // What was always sent is not missing.
        let usual = wanting(&[USUAL], &[]);
        for start in [after(&usual, &before), from(&usual, earliest)] {
            let mut feed = Feed::begin(&gateway, start).await.unwrap();
            assert!(story(&mut feed, &mark, USUAL).await.is_empty());
        }
        gateway
    })
    .await;
}

#[tokio::test]
async fn what_the_configuration_asks_for_comes_always() {
    let gateway = Gateway::over_sims(1, |config| {
        config.events.always = [UNUSUAL, "x::y"].into_iter().collect();
    })
    .await;
    let mut raw = RawLink::of(&gateway).await;
    let mark = tag();
    fire(&gateway, &mut raw, &[UNUSUAL, "CUSTOM x::y", "TRAP"], &mark).await;
    let filter = wanting(&[UNUSUAL, USUAL], &["x::y"]);
    let earliest = subscribe_start::Position::Earliest(pb::StartEarliest {});
    let mut feed = Feed::begin(&gateway, from(&filter, earliest))
        .await
        .unwrap();
    let told = story(&mut feed, &mark, USUAL).await;
    assert_eq!(told, [UNUSUAL, "CUSTOM x::y"]);
    drop(raw);
    gateway.stop().await;
}

#[tokio::test]
async fn what_nobody_wants_any_more_is_taken_back() {
    let gateway = Gateway::over_sims(1, short).await;
    let mut raw = RawLink::of(&gateway).await;
    drop(Feed::of(&gateway, wanting(&[UNUSUAL, "TRAP"], &["x::y"])).await);
    received(gateway.sim(), "nixevent TRAP RE_SCHEDULE CUSTOM x::y").await;
    let mark = tag();
    fire(&gateway, &mut raw, &[UNUSUAL, "CUSTOM x::y"], &mark).await;
    assert_eq!(journalled(&gateway, &mark), [USUAL]);

    // After ALL the subclasses that FreeSWITCH knows stay until they show.
    drop(Feed::from_now(&gateway).await);
    received(gateway.sim(), "nixevent CLONE API").await;
    let mark = tag();
    fire(&gateway, &mut raw, &[UNUSUAL, "CUSTOM x::y"], &mark).await;
    assert_eq!(journalled(&gateway, &mark), [USUAL]);
    fire(&gateway, &mut raw, &["CUSTOM sofia::register"], &mark).await;
    received(gateway.sim(), "nixevent CUSTOM sofia::register").await;
    let mark = tag();
    fire(&gateway, &mut raw, &["CUSTOM sofia::register"], &mark).await;
    assert_eq!(journalled(&gateway, &mark), [USUAL]);
    assert_eq!(count_received(gateway.sim(), "noevents"), 0);
    drop(raw);
    gateway.stop().await;
}

#[tokio::test]
async fn a_link_that_comes_back_is_asked_for_what_is_wanted_by_then() {
    let gateway = Gateway::over_sim().await;
    let mut one = Feed::of(&gateway, wanting(&[UNUSUAL, USUAL], &["x::y"])).await;
    take_away(&gateway).await;
    let mut two = Feed::of(&gateway, wanting(&["TRAP", USUAL], &[])).await;
    bring_back(&gateway).await;
    let mut raw = RawLink::of(&gateway).await;
    let mark = tag();
    fire(&gateway, &mut raw, &[UNUSUAL, "CUSTOM x::y", "TRAP"], &mark).await;
    const GAP: &str = "GAP_REASON_LINK_LOST";
    let told = story(&mut one, &mark, USUAL).await;
    assert_eq!(told, [GAP, UNUSUAL, "CUSTOM x::y"]);
    assert_eq!(story(&mut two, &mark, USUAL).await, [GAP, "TRAP"]);
    drop(raw);
    gateway.stop().await;
}

#[tokio::test]
async fn an_event_is_waited_for_that_nobody_wanted_before() {
    on_each(async |gateway| {
        let id = answered(&gateway).await.session_id;
        let wait = async |cursor: &str, nanos| {
            let request = pb::WaitForEventsRequest {
                session_id: id.clone(),
                event_names: vec!["conference::maintenance".to_owned()],
                timeout: Some(prost_types::Duration { seconds: 0, nanos }),
                cursor: cursor.to_owned(),
                ..Default::default()
            };
            let response = within(gateway.sessions().wait_for_events(request)).await;
            response.unwrap().into_inner()
        };
        let before = Feed::of(&gateway, wanting(&[USUAL], &[])).await.cursor;
        let begun = wait("", 1_000_000).await;
        assert!(begun.events.is_empty() && begun.gap.is_none());
        let room = format!("{}@default", tag());
        execute(&gateway, &id, "conference", &room, pb::ExecuteWait::Started)
            .await
            .unwrap();
        let joined = wait(&begun.cursor, 999_000_000).await;
        assert_eq!(joined.events[0].subclass, "conference::maintenance");
        assert!(joined.gap.is_none());
        // From before it was asked for others may be missing.
        let early = wait(&before, 999_000_000).await;
        assert_eq!(early.events, joined.events);
        assert_eq!(early.gap.unwrap().reason(), pb::GapReason::NotSubscribed);
        hang_up(&gateway, &id).await;
        gateway
    })
    .await;
}

/// A node whose user may have these events.
async fn over_user(allowed: &str, is_ready: bool) -> Gateway {
    let drain = Drain::new();
    let config = SimConfig {
        name: "sim-0".to_owned(),
        users: vec![SimUser {
            name: "gateway@test".to_owned(),
            password: "ClueCon".to_owned(),
            allowed_events: Some(allowed.to_owned()),
            allowed_api: None,
            allowed_log: false,
        }],
        ..SimConfig::default()
    };
    let sim = Sim::new(config, &drain);
    let login = |config: &mut Config| config.nodes[0].user = Some("gateway@test".to_owned());
    match is_ready {
        true => Gateway::over(vec![sim], drain, login).await,
        false => Gateway::over_unready(sim, drain, login).await,
    }
}

fn base() -> String {
    switchgate::events::base_events().to_string()
}

#[tokio::test]
async fn a_user_who_may_not_have_all_gets_the_rest_and_people_are_told() {
    let gateway = over_user(&format!("NAT {} x::y", base()), true).await;
    let detail = || node(&gateway, "sim-0").status().detail;
    assert_eq!(detail(), "");
    let mut raw = RawLink::of(&gateway).await;
    let fired = ["NAT", "TRAP", "CUSTOM x::y", "CUSTOM x::z"];
    let mut feed = Feed::of(
        &gateway,
        wanting(&["NAT", "TRAP", USUAL], &["x::y", "x::z"]),
    )
    .await;
    let mark = tag();
    fire(&gateway, &mut raw, &fired, &mark).await;
    let told = story(&mut feed, &mark, USUAL).await;
    assert_eq!(told, ["NAT", "CUSTOM x::y"]);
    until(|| !detail().is_empty()).await;
    let shown = detail();
    assert!(
        shown.ends_with("(-ERR permission denied): TRAP, CUSTOM x::z"),
        "{shown}"
    );
    assert_eq!(node(&gateway, "sim-0").status().state, NodeState::Ready);
    // What would not come back is not sent.
    for (subclass, is_published) in [("x::y", true), ("x::z", false), ("x::new", false)] {
        let request = pb::PublishEventRequest {
            subclass: subclass.to_owned(),
            ..Default::default()
        };
        let published = within(gateway.events().publish_event(request)).await;
        assert_eq!(published.is_ok(), is_published, "{subclass}");
        if let Err(status) = published {
            assert_eq!(
                code_and_reason(&status),
                (Code::FailedPrecondition, "COMMAND_REJECTED".to_owned())
            );
            assert!(status.message().contains("esl-allowed-events"));
        }
    }
    // What everything is for that user.
    let mut all = Feed::from_now(&gateway).await;
    let mark = tag();
    fire(&gateway, &mut raw, &fired, &mark).await;
    assert_eq!(story(&mut all, &mark, USUAL).await, ["NAT", "CUSTOM x::y"]);
    drop(raw);
    gateway.stop().await;
}

#[tokio::test]
async fn a_user_who_may_name_no_subclass_but_have_all_gets_all() {
    let gateway = over_user("ALL", true).await;
    assert_eq!(node(&gateway, "sim-0").status().detail, "");
    let mut raw = RawLink::of(&gateway).await;
    let mut feed = Feed::of(&gateway, wanting(&[UNUSUAL, USUAL], &["x::y"])).await;
    let mark = tag();
    fire(&gateway, &mut raw, &[UNUSUAL, "CUSTOM x::y"], &mark).await;
    let told = story(&mut feed, &mark, USUAL).await;
    assert_eq!(told, [UNUSUAL, "CUSTOM x::y"]);
    drop(raw);
    gateway.stop().await;
}

#[tokio::test]
async fn a_user_who_may_not_have_what_the_gateway_needs_keeps_the_node_down() {
    let allowed = base()
        .replace("CHANNEL_HANGUP ", "")
        .replace(" avmd::beep", "");
    let gateway = over_user(&allowed, false).await;
    let detail = || node(&gateway, "sim-0").status().detail;
    until(|| detail().contains("must be allowed these events")).await;
    assert!(
        detail().ends_with("these events: CHANNEL_HANGUP CUSTOM avmd::beep"),
        "{}",
        detail()
    );
    let state = node(&gateway, "sim-0").status().state;
    assert!(matches!(state, NodeState::Connecting | NodeState::Down));
    gateway.stop().await;
}

#[tokio::test]
async fn a_silent_node_delays_a_subscriber_but_not_for_long() {
    let gateway = Gateway::over_sims(2, |_| {}).await;
    gateway.sims[1].inject(switchgate::sim::Fault::HalfOpen);
    let began = tokio::time::Instant::now();
    let mut feed = Feed::of(&gateway, wanting(&[UNUSUAL, USUAL], &[])).await;
    assert!((2..5).contains(&began.elapsed().as_secs()));
    // The other node sends them; that it is not sure of all is told when it is.
    let first = node(&gateway, "sim-0");
    let mut raw = RawLink::to(first.address()).await;
    let mark = tag();
    fire(&gateway, &mut raw, &[UNUSUAL], &mark).await;
    assert_eq!(story(&mut feed, &mark, USUAL).await, [UNUSUAL]);
    gateway.sims[1].inject(switchgate::sim::Fault::Heal);
    reached(&gateway, "sim-1", NodeState::Ready).await;
    let gap = loop {
        if let subscribe_response::Message::Gap(gap) = feed.next().await.unwrap() {
            break gap;
        }
    };
    assert_eq!(gap.reason(), pb::GapReason::NotSubscribed);
    drop(raw);
    gateway.stop().await;
}

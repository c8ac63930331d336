//! Metrics move exactly by what happened.

use std::time::Duration;

use switchgate::pb;
use switchgate::shutdown::Drain;
use tokio::time::Instant;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic_prost::ProstCodec;

use super::{OPEN_METRICS, Scrape, ask, until_scraped};
use crate::client::*;
use crate::faults::{SLACK, bring_back, take_away, until};
use crate::gateway::{Gateway, code_and_reason, connect, within};

const ORIGINATE: &str = r#"method="switchgate.v1.SessionService/Originate",kind="unary""#;
const SUBSCRIBE: &str = r#"method="switchgate.v1.EventService/Subscribe",kind="stream""#;

fn ended(labels: &str, code: &str) -> String {
    format!("switchgate_rpcs_total{{{labels},code=\"{code}\"}}")
}

fn job(state: &str) -> String {
    format!("switchgate_jobs_ended_total{{state=\"{state}\"}}")
}

#[tokio::test]
async fn calls_count_by_their_codes_and_jobs_by_their_ends() {
    let gateway = Gateway::over_sims(1, |config| {
        config.grpc.deadlines.originate = Duration::from_millis(300);
    })
    .await;
    let before = Scrape::of(&gateway).await;
    let session = answered(&gateway).await;
    for _ in 0..2 {
        let busy = originate(&gateway, BUSY).await.unwrap_err();
        assert_eq!(code_and_reason(&busy).1, "CALL_FAILED");
    }
    let began = Instant::now();
    let late = originate(&gateway, RINGS).await.unwrap_err();
    assert_eq!(code_and_reason(&late).1, "DEADLINE_EXCEEDED");
    let took = began.elapsed();
    until(|| gateway.control.jobs.unfinished() == 0).await;

    let after = Scrape::of(&gateway).await;
    let codes = [
        "OK",
        "ABORTED",
        "DEADLINE_EXCEEDED",
        "CANCELLED",
        "UNAVAILABLE",
    ];
    let codes = codes.map(|code| ended(ORIGINATE, code));
    let grown = after.since(&before, codes.each_ref().map(|code| &**code));
    assert_eq!(grown, [1.0, 2.0, 1.0, 0.0, 0.0]);
    let ends = ["SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "LOST"].map(job);
    let grown = after.since(&before, ends.each_ref().map(|end| &**end));
    assert_eq!(grown, [1.0, 2.0, 1.0, 0.0, 0.0]);

    let duration = |suffix: &str, le: &str| {
        after.value(&format!(
            "switchgate_rpc_duration_seconds_{suffix}{{{le}{ORIGINATE}}}"
        ))
    };
    assert_eq!(duration("count", ""), 4.0);
    assert_eq!(duration("bucket", "le=\"+Inf\","), 4.0);
    assert!(duration("bucket", "le=\"0.25\",") <= 3.0);
    let sum = duration("sum", "");
    assert!((0.3..(took + SLACK).as_secs_f64()).contains(&sum), "{sum}");
    let messages = format!("switchgate_rpc_messages_sent_total{{{ORIGINATE}}}");
    assert_eq!(after.since(&before, [&messages]), [1.0]);
    assert_eq!(
        after.value(&format!("switchgate_rpcs_in_flight{{{ORIGINATE}}}")),
        0.0
    );

    // The leg, and the inbound one that it arrived as.
    let tracker = &gateway.control.tracker;
    assert_eq!(after.value(r#"switchgate_sessions{state="live"}"#), 2.0);
    let live_calls = tracker.calls().iter().filter(|call| call.is_live()).count();
    assert_eq!(
        after.value(r#"switchgate_calls{state="live"}"#),
        live_calls as f64
    );
    let tracked = r#"switchgate_node_tracked_sessions{node="sim-0"}"#;
    assert_eq!(after.value(tracked), 2.0);
    assert_eq!(after.value("switchgate_jobs_kept"), 4.0);
    crate::client::hang_up(&gateway, &session.session_id).await;
    let after = until_scraped(&gateway, |scrape| {
        scrape.value(r#"switchgate_sessions{state="live"}"#) == 0.0
    })
    .await;
    assert_eq!(after.value(r#"switchgate_calls{state="live"}"#), 0.0);
    assert_eq!(
        after.value(r#"switchgate_sessions{state="ended"}"#),
        gateway.control.tracker.sessions().len() as f64
    );
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_under_way_is_seen() {
    let gateway = Gateway::over_sim().await;
    let ringing = {
        let mut sessions = gateway.sessions();
        Drain::new().spawn(async move { sessions.originate(to(RINGS)).await })
    };
    let in_flight = format!("switchgate_rpcs_in_flight{{{ORIGINATE}}}");
    let now = until_scraped(&gateway, |scrape| {
        scrape.value(&in_flight) == 1.0
            && scrape.value(r#"switchgate_jobs{state="RUNNING"}"#) == 1.0
    })
    .await;
    assert_eq!(now.value(r#"switchgate_jobs{state="PENDING"}"#), 0.0);
    assert_eq!(
        now.value(r#"switchgate_node_unfinished_jobs{node="sim-0"}"#),
        1.0
    );
    until_scraped(&gateway, |scrape| {
        scrape.value("switchgate_job_oldest_seconds") > 0.0
    })
    .await;

    // The client leaves; the call is hung up.
    ringing.abort();
    let after = until_scraped(&gateway, |scrape| {
        scrape.value(&in_flight) == 0.0 && scrape.value(&job("CANCELLED")) == 1.0
    })
    .await;
    assert_eq!(after.value(&ended(ORIGINATE, "CANCELLED")), 1.0);
    assert_eq!(after.value("switchgate_job_oldest_seconds"), 0.0);
    assert_eq!(after.value(r#"switchgate_jobs{state="RUNNING"}"#), 0.0);
    gateway.stop().await;
}

#[tokio::test]
async fn a_stream_counts_its_messages_and_ends_when_its_client_leaves() {
    let gateway = Gateway::over_sim().await;
    let in_flight = format!("switchgate_rpcs_in_flight{{{SUBSCRIBE}}}");
    let messages = format!("switchgate_rpc_messages_sent_total{{{SUBSCRIBE}}}");
    let mut feed = Feed::from_now(&gateway).await;
    let begun = Scrape::of(&gateway).await;
    assert_eq!(begun.value(&in_flight), 1.0);
    assert_eq!(begun.value(&messages), 1.0);
    assert_eq!(begun.value("switchgate_subscribers"), 1.0);

    let session = answered(&gateway).await.session_id;
    crate::client::hang_up(&gateway, &session).await;
    let events = feed
        .events_until(|event| event.name == "CHANNEL_DESTROY")
        .await;
    let after = Scrape::of(&gateway).await;
    let [delivered, appended, heard] = after.since(
        &begun,
        [
            "switchgate_events_delivered_total",
            "switchgate_journal_appended_total",
            r#"switchgate_node_events_total{node="sim-0"}"#,
        ],
    );
    assert!(
        delivered >= events.len() as f64,
        "{delivered} of {}",
        events.len()
    );
    assert_eq!(appended, heard, "each event came into the journal once");
    assert_eq!(after.value(&in_flight), 1.0);
    assert_eq!(after.value(&ended(SUBSCRIBE, "CANCELLED")), 0.0);

    drop(feed);
    let after = until_scraped(&gateway, |scrape| scrape.value(&in_flight) == 0.0).await;
    assert_eq!(after.value(&ended(SUBSCRIBE, "CANCELLED")), 1.0);
    assert_eq!(after.value("switchgate_subscribers"), 0.0);
    gateway.stop().await;
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_lags_and_is_ended() {
    let gateway = Gateway::over_sims(1, |config| {
        config.events.subscriber_bytes = "64KiB".parse().unwrap();
    })
    .await;
    let mut unread = Feed::from_now(&gateway).await;
    let before = Scrape::of(&gateway).await;
    assert_eq!(before.value("switchgate_subscriber_lag_entries"), 0.0);
    for _ in 0..20 {
        let leg = answered(&gateway).await.session_id;
        crate::client::hang_up(&gateway, &leg).await;
    }
    let slow = loop {
        if let Err(status) = unread.next().await {
            break status;
        }
    };
    assert_eq!(code_and_reason(&slow).1, "SLOW_CONSUMER");
    let after = Scrape::of(&gateway).await;
    let grown = after.since(
        &before,
        [
            r#"switchgate_subscribers_ended_total{reason="slow"}"#,
            r#"switchgate_subscribers_ended_total{reason="overrun"}"#,
            &ended(SUBSCRIBE, "RESOURCE_EXHAUSTED"),
        ],
    );
    assert_eq!(grown, [1.0, 0.0, 1.0]);
    gateway.stop().await;
}

#[tokio::test]
async fn a_link_that_is_lost_is_counted_with_the_gap_that_it_left() {
    let gateway = Gateway::over_sim().await;
    let mut feed = Feed::from_now(&gateway).await;
    let link = |what: &str, kind: &str| {
        format!("switchgate_link_{what}_total{{node=\"sim-0\",kind=\"{kind}\"}}")
    };
    let links = |kind: &str, state: &str| {
        format!("switchgate_links{{node=\"sim-0\",kind=\"{kind}\",state=\"{state}\"}}")
    };
    let state = |state: &str| format!("switchgate_node_state{{node=\"sim-0\",state=\"{state}\"}}");
    let before = until_scraped(&gateway, |scrape| {
        scrape.value(&links("query", "up")) == 1.0
    })
    .await;
    let configured = before.value(&links("command", "up"));
    assert_eq!(before.value(&state("READY")), 1.0);
    assert_eq!(before.value(&link("losses", "event")), 0.0);

    take_away(&gateway).await;
    let away = until_scraped(&gateway, |scrape| {
        scrape.value(&link("connect_failures", "event")) > 0.0
            && scrape.value(&links("query", "up")) == 0.0
    })
    .await;
    assert_eq!(away.value(&link("losses", "event")), 1.0);
    assert_eq!(away.value(&link("losses", "command")), configured);
    assert_eq!(away.value(&link("losses", "query")), 1.0);
    assert_eq!(away.value(&links("command", "connecting")), configured);
    assert_eq!(
        [away.value(&state("READY")), away.value(&state("DOWN"))],
        [0.0, 1.0]
    );

    bring_back(&gateway).await;
    loop {
        if let pb::subscribe_response::Message::Gap(_) = feed.next().await.unwrap() {
            break;
        }
    }
    let back = Scrape::of(&gateway).await;
    let grown = back.since(
        &before,
        [
            &link("connects", "event"),
            r#"switchgate_node_gaps_total{node="sim-0",reason="LINK_LOST"}"#,
            r#"switchgate_node_gaps_total{node="sim-0",reason="EVENTS_LOST"}"#,
            r#"switchgate_subscriber_gaps_total{reason="LINK_LOST"}"#,
        ],
    );
    assert_eq!(grown, [1.0, 1.0, 0.0, 1.0]);
    assert_eq!(back.value(&links("command", "up")), configured);
    gateway.stop().await;
}

#[tokio::test]
async fn commands_and_bytes_are_counted_on_the_link_that_they_took() {
    let gateway = Gateway::over_sim().await;
    let of = |what: &str| format!("switchgate_link_{what}{{node=\"sim-0\",kind=\"command\"}}");
    let session = answered(&gateway).await.session_id;
    let before = Scrape::of(&gateway).await;
    let names = ["commands_total", "written_bytes_total", "frames_read_total"].map(of);
    let sent = gateway.sim().commands().len();
    let command = {
        variables(&gateway, &session, &["uuid"]).await;
        let commands = gateway.sim().commands();
        assert_eq!(commands.len(), sent + 1, "one command asks for them");
        commands.last().unwrap().clone()
    };
    let after = Scrape::of(&gateway).await;
    let grown = after.since(&before, names.each_ref().map(|name| &**name));
    // The simulator gives a command without the empty line at its end.
    let bytes = String::from_utf8_lossy(&command).trim_end().len() as f64 + 2.0;
    assert_eq!(grown, [1.0, bytes, 1.0]);
    assert_eq!(after.value(&of("replies_pending")), 0.0);
    assert_eq!(after.value(&of("commands_queued")), 0.0);
    crate::client::hang_up(&gateway, &session).await;
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_no_rpc_counts_under_one_name() {
    let gateway = Gateway::over_sim().await;
    for path in [
        "/switchgate.v1.SessionService/Nothing",
        "/a.b/C1",
        "/a.b/C2",
    ] {
        let mut client = Grpc::new(connect(gateway.address).await);
        client.ready().await.unwrap();
        let codec = ProstCodec::<pb::ListNodesRequest, pb::ListNodesResponse>::default();
        let request = tonic::Request::new(pb::ListNodesRequest::default());
        let path = PathAndQuery::from_static(path);
        let refused = within(client.unary(request, path, codec))
            .await
            .unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unimplemented);
    }
    let after = Scrape::of(&gateway).await;
    assert_eq!(
        after.value(&ended(r#"method="_OTHER",kind="unary""#, "UNIMPLEMENTED")),
        3.0
    );
    assert!(!after.text.contains("Nothing") && !after.text.contains("a.b"));
    gateway.stop().await;
}

#[tokio::test]
async fn who_takes_openmetrics_gets_it() {
    let gateway = Gateway::over_sim().await;
    let address = gateway.admin.unwrap();
    let open = ask(address, "GET", "/metrics", OPEN_METRICS, "").await;
    assert!(
        open.head
            .contains("application/openmetrics-text; version=1.0.0"),
        "{}",
        open.head
    );
    assert!(open.body.contains("# TYPE switchgate_rpcs counter\n"));
    assert!(open.body.contains("\nswitchgate_rpcs_total{") && open.body.ends_with("# EOF\n"));
    let classic = ask(address, "GET", "/metrics", "*/*", "").await;
    assert!(
        classic.head.contains("text/plain; version=0.0.4"),
        "{}",
        classic.head
    );
    assert!(
        classic
            .body
            .contains("# TYPE switchgate_rpcs_total counter\n")
    );
    assert!(!classic.body.contains("# EOF"));
    gateway.stop().await;
}

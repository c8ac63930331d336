//! Waiting for a session's events and watching it, above all when something breaks.

use std::time::Duration;

use switchgate::domain::NodeState;
use switchgate::pb::session_service_client::SessionServiceClient;
use switchgate::pb::{self, GapReason, ReturnWhen};
use switchgate::sim::Fault;
use tonic::transport::Channel;
use tonic::{Code, Streaming};

use crate::client::{
    ANSWERS, answered, assert_invalid, hang_up, names, place, tag, to, with_deadline,
};
use crate::gateway::{
    Gateway, code_and_reason, connect_narrow, metadata, on_each, on_freeswitch, within,
};

/// An answered leg and the cursor behind the answer.
async fn leg(gateway: &Gateway) -> (String, String) {
    let placed = place(gateway, to(ANSWERS)).await.unwrap();
    (placed.session.unwrap().session_id, placed.cursor)
}

fn wait(
    (session_id, cursor): &(String, String),
    names: &[&str],
    when: ReturnWhen,
) -> pb::WaitForEventsRequest {
    pb::WaitForEventsRequest {
        session_id: session_id.clone(),
        event_names: names.iter().map(|name| (*name).to_owned()).collect(),
        return_when: when.into(),
        cursor: cursor.clone(),
        ..Default::default()
    }
}

async fn waited(gateway: &Gateway, request: pb::WaitForEventsRequest) -> pb::WaitForEventsResponse {
    let response = within(gateway.sessions().wait_for_events(request)).await;
    response.unwrap().into_inner()
}

async fn run(gateway: &Gateway, session_id: &str, application: &str, arguments: &str) {
    let request = pb::ExecuteRequest {
        session_id: session_id.to_owned(),
        application: application.to_owned(),
        arguments: arguments.to_owned(),
        wait_for: pb::ExecuteWait::Accepted.into(),
        ..Default::default()
    };
    within(gateway.sessions().execute(request)).await.unwrap();
}

fn millis(millis: i32) -> Option<prost_types::Duration> {
    Some(prost_types::Duration {
        seconds: 0,
        nanos: millis * 1_000_000,
    })
}

#[tokio::test]
async fn a_name_given_twice_stands_for_two_events() {
    on_each(async |gateway| {
        let leg = leg(&gateway).await;
        let name = "CHANNEL_EXECUTE_COMPLETE";
        for _ in 0..2 {
            run(&gateway, &leg.0, "set", "a=b").await;
        }
        let both = waited(&gateway, wait(&leg, &[name, name], ReturnWhen::All)).await;
        assert_eq!(names(&both.events), [name, name]);
        assert_ne!(both.events[0].cursor, both.events[1].cursor);
        assert!(both.pending_names.is_empty() && both.gap.is_none());
        let three = pb::WaitForEventsRequest {
            timeout: millis(1),
            ..wait(&leg, &[name, "DTMF", name, name], ReturnWhen::All)
        };
        let three = waited(&gateway, three).await;
        assert_eq!(names(&three.events), [name, name]);
        assert_eq!(three.pending_names, ["DTMF", name]);
        hang_up(&gateway, &leg.0).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn waits_that_follow_each_other_miss_and_repeat_nothing() {
    on_each(async |gateway| {
        let mut leg = leg(&gateway).await;
        for round in 0..5 {
            run(&gateway, &leg.0, "set", &format!("round={round}")).await;
        }
        let name = "CHANNEL_EXECUTE_COMPLETE";
        for round in 0..5 {
            let first = waited(&gateway, wait(&leg, &[name], ReturnWhen::First)).await;
            let data = &first.events[0].headers["Application-Data"];
            assert_eq!(*data, format!("round={round}"));
            leg.1 = first.cursor;
        }
        let none = pb::WaitForEventsRequest {
            timeout: millis(1),
            ..wait(&leg, &[name], ReturnWhen::First)
        };
        assert_eq!(waited(&gateway, none).await.pending_names, [name]);
        // An ended session tells its last events to who asks behind a cursor.
        hang_up(&gateway, &leg.0).await;
        let last = [
            "CHANNEL_DESTROY",
            "CHANNEL_HANGUP",
            "CHANNEL_HANGUP_COMPLETE",
        ];
        let ended = waited(&gateway, wait(&leg, &last, ReturnWhen::All)).await;
        let mut told = names(&ended.events);
        told.sort_unstable();
        assert_eq!(told, last);
        leg.1 = ended.cursor;
        let nothing = waited(&gateway, wait(&leg, &["DTMF"], ReturnWhen::First)).await;
        assert_eq!(nothing.pending_names, ["DTMF"]);
        gateway
    })
    .await;
}

#[tokio::test]
async fn custom_events_are_waited_for_by_subclass() {
    on_each(async |gateway| {
        let leg = leg(&gateway).await;
        run(
            &gateway,
            &leg.0,
            "conference",
            &format!("{}@default", tag()),
        )
        .await;
        let maintenance = "conference::maintenance";
        let first = waited(&gateway, wait(&leg, &[maintenance], ReturnWhen::First)).await;
        let event = &first.events[0];
        assert_eq!((&*event.name, &*event.subclass), ("CUSTOM", maintenance));
        assert_eq!(
            (&event.session_id, event.call_id.is_empty()),
            (&leg.0, false)
        );
        let any = waited(&gateway, wait(&leg, &["CUSTOM"], ReturnWhen::First)).await;
        assert_eq!(any.events[0].cursor, event.cursor);
        hang_up(&gateway, &leg.0).await;
        gateway
    })
    .await;
}

/// Its events have but the session's id, none of a channel's other headers.
#[tokio::test]
async fn events_with_nothing_but_the_sessions_id_are_the_sessions() {
    on_freeswitch(async |gateway| {
        let leg = leg(&gateway).await;
        run(&gateway, &leg.0, "avmd_start", "").await;
        let started = waited(&gateway, wait(&leg, &["avmd::start"], ReturnWhen::First)).await;
        assert_eq!(started.events[0].session_id, leg.0);
        hang_up(&gateway, &leg.0).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_wait_is_never_longer_than_its_deadline() {
    on_each(async |gateway| {
        let leg = leg(&gateway).await;
        let request = pb::WaitForEventsRequest {
            timeout: Some(prost_types::Duration {
                seconds: 3600,
                nanos: 0,
            }),
            ..wait(&leg, &["DTMF"], ReturnWhen::First)
        };
        let request = with_deadline(request, Duration::from_secs(1));
        let response = within(gateway.sessions().wait_for_events(request)).await;
        assert_eq!(response.unwrap().into_inner().pending_names, ["DTMF"]);
        let negative = pb::WaitForEventsRequest {
            timeout: millis(-1),
            ..wait(&leg, &["DTMF"], ReturnWhen::First)
        };
        let status = within(gateway.sessions().wait_for_events(negative)).await;
        assert_invalid(&status.unwrap_err(), "timeout");
        let nonsense = (leg.0.clone(), "nonsense".to_owned());
        let nonsense = wait(&nonsense, &["DTMF"], ReturnWhen::First);
        let status = within(gateway.sessions().wait_for_events(nonsense)).await;
        assert_invalid(&status.unwrap_err(), "cursor");
        hang_up(&gateway, &leg.0).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_wait_over_a_lost_link_ends_with_the_gap() {
    let gateway = Gateway::over_sim().await;
    let leg = leg(&gateway).await;
    gateway.sim().inject(Fault::DropLinks);
    let over = waited(&gateway, wait(&leg, &["DTMF"], ReturnWhen::First)).await;
    let gap = over.gap.unwrap();
    assert_eq!(gap.reason(), GapReason::LinkLost);
    assert_eq!((&*gap.node_id, gap.ended.is_some()), ("sim-0", true));
    assert_eq!(over.pending_names, ["DTMF"]);
    // The session is as it was, and can be waited for anew.
    run(&gateway, &leg.0, "set", "a=b").await;
    let again = (leg.0.clone(), over.cursor);
    let name = "CHANNEL_EXECUTE_COMPLETE";
    let again = waited(&gateway, wait(&again, &[name], ReturnWhen::First)).await;
    assert_eq!(names(&again.events), [name]);
    assert!(again.gap.is_none());

    // While the link is down, nobody knows until when.
    gateway
        .sim()
        .inject(Fault::RefuseConnections(Duration::from_secs(60)));
    gateway.sim().inject(Fault::DropLinks);
    let node = gateway.control.fleet.nodes().next().unwrap();
    within(node.reached(NodeState::Down)).await;
    let down = pb::WaitForEventsRequest {
        timeout: millis(50),
        ..wait(
            &(leg.0.clone(), String::new()),
            &["DTMF"],
            ReturnWhen::First,
        )
    };
    let gap = waited(&gateway, down).await.gap.unwrap();
    assert!(gap.began.is_some() && gap.ended.is_none());
    gateway.sim().inject(Fault::Heal);
    within(node.reached(NodeState::Ready)).await;
    gateway.stop().await;
}

#[tokio::test]
async fn an_end_that_was_concluded_ends_a_wait() {
    let gateway = Gateway::over_sim().await;
    let leg = leg(&gateway).await;
    let name = "CHANNEL_HANGUP_COMPLETE";
    let (mut one, mut other) = (gateway.sessions(), gateway.sessions());
    let (seen, unseen) = within(async {
        gateway.sim().inject(Fault::Restart);
        tokio::join!(
            one.wait_for_events(wait(&leg, &[name], ReturnWhen::First)),
            other.wait_for_events(wait(&leg, &["DTMF"], ReturnWhen::First)),
        )
    })
    .await;
    let (seen, unseen) = (seen.unwrap().into_inner(), unseen.unwrap().into_inner());
    assert!(seen.events[0].synthetic);
    assert!(seen.gap.is_some() && unseen.gap.is_some());
    assert_eq!(unseen.pending_names, ["DTMF"]);
    gateway.stop().await;
}

#[tokio::test]
async fn a_gateway_that_stops_ends_waits_with_their_cursor() {
    let mut gateway = Gateway::over_sim().await;
    let leg = leg(&gateway).await;
    let mut sessions = gateway.sessions();
    let request = wait(&leg, &["CHANNEL_PARK", "DTMF"], ReturnWhen::All);
    let stop = async {
        // The wait has begun once an RPC behind it has been answered.
        answered(&gateway).await;
        gateway.begin_stop();
    };
    let waiting = sessions.wait_for_events(request);
    let (stopped, ()) = within(async { tokio::join!(waiting, stop) }).await;
    let status = stopped.unwrap_err();
    let expected = (Code::Unavailable, "SHUTTING_DOWN".to_owned());
    assert_eq!(code_and_reason(&status), expected);
    assert_ne!(metadata(&status, "cursor"), "");
    gateway.stop().await;
}

async fn watch(gateway: &Gateway, id: &str) -> Streaming<pb::WatchSessionResponse> {
    watch_over(gateway.sessions(), id).await
}

async fn watch_over(
    mut sessions: SessionServiceClient<Channel>,
    id: &str,
) -> Streaming<pb::WatchSessionResponse> {
    let request = pb::WatchSessionRequest {
        session_id: id.to_owned(),
    };
    let stream = within(sessions.watch_session(request)).await;
    let mut stream = stream.unwrap().into_inner();
    let first = within(stream.message()).await.unwrap().unwrap();
    assert!(first.event_names.is_empty() && first.gap.is_none());
    stream
}

#[tokio::test]
async fn a_watch_tells_of_a_lost_link_and_shows_the_session_anew() {
    let gateway = Gateway::over_sim().await;
    let (id, _) = leg(&gateway).await;
    let mut stream = watch(&gateway, &id).await;
    gateway.sim().inject(Fault::DropLinks);
    // The leg parks in a moment, which may still be told.
    let mut next_gap = async || loop {
        let message = within(stream.message()).await.unwrap().unwrap();
        if let Some(gap) = &message.gap {
            return (gap.ended.is_some(), message);
        }
    };
    let (has_ended, lost) = next_gap().await;
    assert!(!has_ended && lost.event_names.is_empty());
    assert_eq!(lost.gap.unwrap().reason(), GapReason::LinkLost);
    let back = loop {
        let (has_ended, message) = next_gap().await;
        assert!(has_ended);
        if message.event_names.is_empty() {
            break message;
        }
    };
    assert!(back.session.unwrap().hangup.is_none());
    hang_up(&gateway, &id).await;
    let mut last = None;
    while let Some(message) = within(stream.message()).await.unwrap() {
        assert!(message.gap.is_none());
        last = Some(message);
    }
    let last = last.unwrap();
    assert!(last.event_names.contains(&"CHANNEL_DESTROY".to_owned()));
    assert!(last.session.unwrap().hangup.is_some());
    gateway.stop().await;
}

#[tokio::test]
async fn a_watch_ends_with_an_end_that_was_concluded() {
    let gateway = Gateway::over_sim().await;
    let (id, _) = leg(&gateway).await;
    let mut stream = watch(&gateway, &id).await;
    gateway.sim().inject(Fault::Restart);
    let mut last = None;
    while let Some(message) = within(stream.message()).await.unwrap() {
        last = Some(message);
    }
    let last = last.unwrap();
    assert_eq!(last.event_names, ["CHANNEL_HANGUP_COMPLETE"]);
    assert!(last.session.unwrap().synthetic_end && last.gap.is_some());
    gateway.stop().await;
}

#[tokio::test]
async fn a_slow_watch_misses_events_but_never_the_state() {
    let gateway = Gateway::over_sims(1, |config| {
        config.events.subscriber_bytes = "64KiB".parse().unwrap();
    })
    .await;
    let (id, _) = leg(&gateway).await;
    let narrow = SessionServiceClient::new(connect_narrow(gateway.address).await);
    let mut stream = watch_over(narrow, &id).await;
    // Nobody reads: what HTTP/2 has no room for stays with the gateway.
    for round in 0..800 {
        let request = pb::ExecuteRequest {
            session_id: id.clone(),
            application: "set".to_owned(),
            arguments: format!("round={round}"),
            ..Default::default()
        };
        within(gateway.sessions().execute(request)).await.unwrap();
    }
    hang_up(&gateway, &id).await;
    let (mut reasons, mut last) = (Vec::new(), None);
    while let Some(message) = within(stream.message()).await.unwrap() {
        reasons.extend(message.gap.as_ref().map(pb::Gap::reason));
        last = message.session;
    }
    assert!(reasons.contains(&GapReason::SlowConsumer), "{reasons:?}");
    assert!(last.unwrap().hangup.is_some());
    gateway.stop().await;
}

#[tokio::test]
async fn a_name_that_no_event_has_is_refused_with_the_right_one() {
    let gateway = Gateway::over_sim().await;
    let leg = leg(&gateway).await;
    for (wrong, right) in [
        ("CHANNEL_ANSWR", "CHANNEL_ANSWER"),
        ("channel_hold", "CHANNEL_HOLD"),
        ("Dtmf", "DTMF"),
        ("CHANNEL_PARKED_BY_ME", ""),
        ("", ""),
    ] {
        let request = wait(&leg, &["CHANNEL_HANGUP", wrong], ReturnWhen::First);
        let status = within(gateway.sessions().wait_for_events(request))
            .await
            .unwrap_err();
        assert_invalid(&status, "event_names[1]");
        assert!(status.message().contains(right), "{wrong}: {status:?}");
    }
    // What a module calls its own events is its affair.
    let free = pb::WaitForEventsRequest {
        timeout: millis(1),
        ..wait(&leg, &["conference::x", "my-events"], ReturnWhen::First)
    };
    assert_eq!(waited(&gateway, free).await.pending_names.len(), 2);
    hang_up(&gateway, &leg.0).await;
    gateway.stop().await;
}

//! Calls as legs come, go and change sides: grouping, WatchCall, AppendSession.

mod append;

use std::collections::BTreeSet;

use switchgate::pb;
use tonic::{Code, Streaming};

use crate::client::*;
use crate::gateway::{Gateway, code_and_reason, metadata, on_each, on_freeswitch, within};

/// A watched call.
struct Watch {
    stream: Streaming<pb::WatchCallResponse>,
    /// Everyone who ever joined, and who left.
    joined: Vec<String>,
    left: Vec<String>,
}

impl Watch {
    async fn of(gateway: &Gateway, call_id: &str) -> Self {
        let request = pb::WatchCallRequest {
            call_id: call_id.to_owned(),
        };
        let stream = within(gateway.calls().watch_call(request)).await.unwrap();
        Self {
            stream: stream.into_inner(),
            joined: Vec::new(),
            left: Vec::new(),
        }
    }

    /// The call as it is told next; `None` at the end.
    async fn next(&mut self) -> Option<pb::Call> {
        let message = within(self.stream.message()).await.unwrap()?;
        assert!(!message.cursor.is_empty());
        self.joined.extend(message.joined_session_ids);
        self.left.extend(message.left_session_ids);
        let call = message.call.unwrap();
        // What came and went adds up to who is there; nobody is forgotten within a test.
        let mut here: BTreeSet<&String> = BTreeSet::new();
        here.extend(call.sessions.iter().map(|session| &session.session_id));
        let count = |id: &String, of: &[String]| of.iter().filter(|other| *other == id).count();
        for id in &self.joined {
            let is_here = count(id, &self.joined) > count(id, &self.left);
            assert_eq!(here.contains(id), is_here, "{id} {call:?}");
        }
        Some(call)
    }

    async fn until(&mut self, is_wanted: impl Fn(&pb::Call) -> bool) -> pb::Call {
        loop {
            let call = self.next().await.expect("the call goes on");
            if is_wanted(&call) {
                return call;
            }
        }
    }

    /// The last message before the stream ends.
    async fn end(&mut self) -> Option<pb::Call> {
        let mut last = None;
        while let Some(call) = self.next().await {
            last = Some(call);
        }
        last
    }
}

fn ids(call: &pb::Call) -> Vec<&str> {
    let ids = call.sessions.iter().map(|session| &*session.session_id);
    ids.collect()
}

async fn call(gateway: &Gateway, call_id: &str) -> pb::Call {
    let request = pb::GetCallRequest {
        call_id: call_id.to_owned(),
    };
    let response = within(gateway.calls().get_call(request)).await.unwrap();
    response.into_inner().call.unwrap()
}

async fn bridge(gateway: &Gateway, a: &str, b: &str) {
    let peer = pb::bridge_request::Peer::PeerSessionId(b.to_owned());
    bridge_to(gateway, a, peer).await.unwrap();
}

/// Every session is in one call, and that is the one that it names.
fn assert_whole(gateway: &Gateway) {
    let tracker = &gateway.control.tracker;
    let calls = tracker.calls();
    for session in tracker.sessions() {
        let of = |call: &&switchgate::tracker::Call| {
            call.sessions.iter().any(|member| member.id == session.id)
        };
        let calls: Vec<_> = calls.iter().filter(of).map(|call| &call.id).collect();
        assert!(calls.len() <= 1, "{} is in {calls:?}", session.id);
    }
}

#[tokio::test]
async fn a_watched_call_is_told_to_its_end() {
    on_each(async |gateway| {
        let a = answered(&gateway).await;
        let mut watch = Watch::of(&gateway, &a.call_id).await;
        let first = watch.next().await.unwrap();
        assert_eq!(ids(&first), [&*a.session_id]);
        assert!(first.sessions[0].answered);
        hang_up(&gateway, &a.session_id).await;
        let last = watch.end().await.unwrap();
        assert!(last.ended.is_some() && last.sessions[0].hangup.is_some());
        assert_eq!(last.sessions[0].state(), pb::SessionState::Destroy);
        assert_eq!((watch.joined.len(), watch.left.len()), (1, 0));
        assert_eq!(gateway.control.tracker.followed_calls(), 0);

        let request = pb::WatchCallRequest { call_id: tag() };
        let status = within(gateway.calls().watch_call(request))
            .await
            .unwrap_err();
        assert_eq!(
            code_and_reason(&status),
            (Code::NotFound, "CALL_NOT_FOUND".to_owned())
        );
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_watch_of_a_call_ends_with_the_clients_deadline() {
    let gateway = Gateway::over_sim().await;
    let a = answered(&gateway).await;
    let request = pb::WatchCallRequest { call_id: a.call_id };
    let request = with_deadline(request, std::time::Duration::from_millis(300));
    let mut stream = within(gateway.calls().watch_call(request))
        .await
        .unwrap()
        .into_inner();
    let status = loop {
        match within(stream.message()).await {
            Ok(message) => assert!(message.is_some()),
            Err(status) => break status,
        }
    };
    assert_eq!(
        code_and_reason(&status),
        (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned())
    );
    hang_up(&gateway, &a.session_id).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_stop_ends_the_watch_of_a_call() {
    let mut gateway = Gateway::over_sim().await;
    let a = answered(&gateway).await;
    let mut watch = Watch::of(&gateway, &a.call_id).await;
    watch.next().await.unwrap();
    gateway.begin_stop();
    let status = loop {
        match within(watch.stream.message()).await {
            Ok(message) => assert!(message.is_some()),
            Err(status) => break status,
        }
    };
    assert_eq!(
        code_and_reason(&status),
        (Code::Unavailable, "SHUTTING_DOWN".to_owned())
    );
    assert!(has_retry(&status));
    assert_eq!(metadata(&status, "call_id"), a.call_id);
    assert!(!metadata(&status, "cursor").is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn a_bridge_of_two_calls_makes_them_one_and_its_end_parts_them() {
    // Not on the simulator yet: the end of its bridge does not tell the second leg's own call.
    on_freeswitch(async |gateway| {
        let (a, b) = (answered(&gateway).await, answered(&gateway).await);
        let mut watch = Watch::of(&gateway, &a.call_id).await;
        let mut other = Watch::of(&gateway, &b.call_id).await;
        watch.next().await.unwrap();
        other.next().await.unwrap();
        bridge(&gateway, &a.session_id, &b.session_id).await;
        watch.until(|call| call.sessions.len() == 2).await;
        assert!(other.end().await.unwrap().sessions.is_empty());
        assert_whole(&gateway);
        // A park of the one parts them; the other one, whose partner is gone, is hung up.
        let request = pb::ParkRequest {
            session_id: a.session_id.clone(),
            ..Default::default()
        };
        within(gateway.sessions().park(request)).await.unwrap();
        until_ended(&gateway, &b.session_id).await;
        assert_whole(&gateway);
        hang_up(&gateway, &a.session_id).await;
        let last = watch.end().await.unwrap();
        assert!(last.ended.is_some());
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_leg_that_rings_is_in_the_call_of_its_caller() {
    on_each(async |gateway| {
        let a = answered(&gateway).await;
        let mut watch = Watch::of(&gateway, &a.call_id).await;
        watch.next().await.unwrap();
        let rings = execute(
            &gateway,
            &a.session_id,
            "bridge",
            RINGS,
            pb::ExecuteWait::Started,
        );
        rings.await.unwrap();
        let two = watch.until(|call| call.sessions.len() == 2).await;
        let b = &two.sessions[1];
        assert!(!b.answered);
        hang_up(&gateway, &a.session_id).await;
        let last = watch.end().await.unwrap();
        assert_eq!(ids(&last), [&*a.session_id, &*b.session_id]);
        assert!(watch.left.is_empty());
        gateway
    })
    .await;
}

#[tokio::test]
async fn the_halves_of_a_loopback_channel_are_one_call() {
    on_each(async |gateway| {
        let outer = originate(&gateway, "loopback/echo/default").await.unwrap();
        let call = call(&gateway, &outer.call_id).await;
        assert_eq!(call.sessions.len(), 2, "{call:?}");
        assert_eq!(call.call_id, outer.session_id);
        let mut watch = Watch::of(&gateway, &call.call_id).await;
        hang_up(&gateway, &outer.session_id).await;
        let last = watch.end().await.unwrap();
        assert_eq!(last.sessions.len(), 2);
        assert_whole(&gateway);
        gateway
    })
    .await;
}

#[tokio::test]
async fn forked_legs_end_where_they_began_and_the_winner_stays() {
    on_each(async |gateway| {
        let request = pb::OriginateRequest {
            endpoints: vec![RINGS.to_owned(), ANSWERS.to_owned()],
            strategy: pb::OriginateStrategy::Forked.into(),
            ..Default::default()
        };
        let winner = place(&gateway, request).await.unwrap().session.unwrap();
        let call = call(&gateway, &winner.call_id).await;
        assert!(ids(&call).contains(&&*winner.session_id));
        assert_whole(&gateway);
        hang_up(&gateway, &winner.session_id).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn an_attended_transfer_loses_nobody() {
    on_each(async |gateway| {
        let (a, b) = (answered(&gateway).await, answered(&gateway).await);
        bridge(&gateway, &a.session_id, &b.session_id).await;
        let request = pb::AttendedTransferRequest {
            session_id: b.session_id.clone(),
            endpoint: ANSWERS.to_owned(),
            ..Default::default()
        };
        let response = within(gateway.sessions().attended_transfer(request)).await;
        let third = response.unwrap().into_inner().peer.unwrap();
        assert_whole(&gateway);
        hang_up(&gateway, &b.session_id).await;
        // The first party and the third one are left, bridged, in one call.
        let third_id = third.session_id.clone();
        until(&gateway, &a.session_id, move |session| {
            session
                .peer
                .as_ref()
                .is_some_and(|peer| *peer.as_str() == *third_id)
        })
        .await;
        let (a, third) = (
            get(&gateway, &a.session_id).await.unwrap(),
            get(&gateway, &third.session_id).await.unwrap(),
        );
        assert_eq!(a.call_id, third.call_id);
        assert_whole(&gateway);
        hang_up(&gateway, &a.session_id).await;
        gateway
    })
    .await;
}

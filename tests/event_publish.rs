//! PublishEvent: exactly what was written comes back, or nothing was sent.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use switchgate::pb;
use switchgate::sim::{Fault, Links, Sim};
use tonic::Status;

use crate::client::*;
use crate::faults::{
    assert_too_late, assert_unavailable, assert_unknown, bring_back, in_full_service, leave,
    take_away, until,
};
use crate::gateway::{Gateway, on_each, within};

/// Strings that broke somebody's quoting.
const HOSTILE: &[&str] = include!("hostile_strings.rs");
const SUBCLASS: &str = "test::published";
/// What FreeSWITCH unloads when it finds it in a command beside `unload`.
const SOCKET: &str = "mod_event_socket";
/// How late each reply is while links fail: longer than it takes to see that a command has arrived.
const SLOW: Duration = Duration::from_millis(150);

fn event() -> pb::PublishEventRequest {
    pb::PublishEventRequest {
        subclass: SUBCLASS.to_owned(),
        ..Default::default()
    }
}

async fn publish(
    gateway: &Gateway,
    request: pb::PublishEventRequest,
) -> Result<pb::PublishEventResponse, Status> {
    let published = within(gateway.events().publish_event(request)).await?;
    Ok(published.into_inner())
}

/// Whether FreeSWITCH sends a header's value on so that all read what was written.
fn arrives(value: &str) -> bool {
    let escape = |at: &[u8]| {
        let is_digit = |byte: &u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(byte);
        at[0] == b'%' && is_digit(&at[1]) && is_digit(&at[2])
    };
    let unloads = value.contains("load ") && value.to_ascii_lowercase().contains(SOCKET);
    let is_changed = value.is_empty()
        || value.contains(['\n', '\r', '\0'])
        || value.starts_with(' ')
        || value.starts_with("ARRAY::")
        || value.as_bytes().windows(3).any(escape);
    !is_changed && !unloads
}

fn sent(sim: &Sim) -> usize {
    let commands = sim.commands();
    commands
        .iter()
        .filter(|raw| raw.starts_with(b"sendevent"))
        .count()
}

#[tokio::test]
async fn every_value_arrives_as_it_is_or_is_refused_by_its_name() {
    on_each(async |gateway| {
        let (good, bad): (Vec<&str>, Vec<&str>) = HOSTILE.iter().partition(|value| arrives(value));
        assert!(good.len() > 300 && bad.len() > 15);
        // Beside this word another header may have none of the others.
        let (alone, good): (Vec<&str>, Vec<&str>) =
            good.iter().partition(|value| value.contains(SOCKET));
        for values in good.chunks(200).chain(alone.chunks(1)) {
            let named = values.iter().enumerate();
            let headers: HashMap<String, String> = named
                .map(|(at, value)| (format!("X-Hostile-{at}"), (*value).to_owned()))
                .collect();
            let request = pb::PublishEventRequest {
                headers: headers.clone(),
                ..event()
            };
            let event = publish(&gateway, request).await.unwrap().event.unwrap();
            for (name, value) in &headers {
                assert_eq!(event.headers.get(name), Some(value), "{name}");
            }
            assert!(!event.headers_replaced);
        }
        let before = gateway.sims.first().map(sent);
        for value in bad {
            let request = pb::PublishEventRequest {
                headers: map(&[("X-Bad", value)]),
                ..event()
            };
            let status = publish(&gateway, request).await.unwrap_err();
            let field = match value.to_ascii_lowercase().contains(SOCKET) {
                // Two headers together can be wrong.
                true => "headers",
                false => "headers[\"X-Bad\"]",
            };
            assert_invalid(&status, field);
        }
        assert_eq!(gateway.sims.first().map(sent), before);
        gateway
    })
    .await;
}

#[tokio::test]
async fn every_body_arrives_as_it_is() {
    on_each(async |gateway| {
        let all: Vec<&str> = HOSTILE
            .iter()
            .copied()
            .filter(|body| !body.contains('\0'))
            .collect();
        let together = all.join("\n");
        let large = "é\n\n".repeat(16 * 1024);
        let bodies = [
            "%41%2F",
            " lead",
            "\n\napi hupall\n\n",
            "\r\n",
            "ARRAY::a|:b",
            "${x}",
        ];
        let bodies = bodies.into_iter().chain([&*together, &*large, ""]);
        let publishing = bodies.map(async |body| {
            let request = pb::PublishEventRequest {
                body: body.to_owned(),
                ..event()
            };
            let event = publish(&gateway, request).await.unwrap().event.unwrap();
            assert_eq!(std::str::from_utf8(&event.body), Ok(body));
        });
        join_all(publishing).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn everybody_gets_the_event_and_the_cursor_is_behind_it() {
    on_each(async |gateway| {
        let filter = pb::EventFilter {
            subclasses: vec![SUBCLASS.to_owned()],
            ..Default::default()
        };
        let mut feed = Feed::of(&gateway, filter).await;
        let tag = tag();
        let request = pb::PublishEventRequest {
            headers: map(&[("X-Tag", &tag), ("Content-Type", "text/plain")]),
            body: "what is new".to_owned(),
            ..event()
        };
        let published = publish(&gateway, request).await.unwrap();
        let event = published.event.unwrap();
        assert_eq!(
            (&*event.name, &*event.subclass, &*event.body),
            ("CUSTOM", SUBCLASS, b"what is new".as_slice())
        );
        assert_eq!(event.headers["Event-UUID"], published.event_uuid);
        assert_eq!(
            (&event.cursor, &event.node_id),
            (&published.cursor, &published.node_id)
        );
        let told = feed
            .events_until(|event| event.headers.get("X-Tag") == Some(&tag))
            .await;
        assert_eq!(told.last(), Some(&event));

        // One that is not custom.
        let message = pb::PublishEventRequest {
            name: "GENERAL".to_owned(),
            headers: map(&[("X-Tag", &tag)]),
            ..Default::default()
        };
        let event = publish(&gateway, message).await.unwrap().event.unwrap();
        assert_eq!((&*event.name, &*event.subclass), ("GENERAL", ""));
        gateway
    })
    .await;
}

#[tokio::test]
async fn an_event_can_neither_reach_a_channel_nor_end_a_job() {
    on_each(async |gateway| {
        let id = answered(&gateway).await.session_id;
        for name in [
            "Unique-ID",
            "unique-id",
            "UNIQUE-Id",
            "Job-UUID",
            "Event-Name",
        ] {
            let command = [
                (name, &*id),
                ("call-command", "execute"),
                ("execute-app-name", "hangup"),
            ];
            let request = pb::PublishEventRequest {
                headers: map(&command),
                ..event()
            };
            let status = publish(&gateway, request).await.unwrap_err();
            assert_invalid(&status, &format!("headers[{name:?}]"));
        }
        assert!(get(&gateway, &id).await.unwrap().hangup.is_none());
        hang_up(&gateway, &id).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn an_event_on_which_freeswitch_acts_is_refused_and_never_sent() {
    let gateway = Gateway::over_sim().await;
    for (name, header) in [
        ("SHUTDOWN", ("X", "y")),
        (
            "DEL_SCHEDULE",
            ("Task-ID", "0 or 1=1; delete from channels; --"),
        ),
        ("CALL_SECURE", ("secure_type", "x' where 1=1; --")),
        ("MODULE_UNLOAD", ("type", "api")),
        ("TRAP", ("Condition", "network-external-address-change")),
    ] {
        let request = pb::PublishEventRequest {
            name: name.to_owned(),
            headers: map(&[header]),
            ..Default::default()
        };
        let status = publish(&gateway, request).await.unwrap_err();
        assert_invalid(&status, "name");
        assert!(status.message().contains("use CUSTOM"), "{status:?}");
    }
    for subclass in ["multicast::event", "SMS::SEND_MESSAGE"] {
        let request = pb::PublishEventRequest {
            subclass: subclass.to_owned(),
            ..Default::default()
        };
        assert_invalid(&publish(&gateway, request).await.unwrap_err(), "subclass");
    }
    assert_eq!(sent(gateway.sim()), 0);
    gateway.stop().await;
}

#[tokio::test]
async fn the_node_may_be_left_out_when_there_is_only_one() {
    let gateway = Gateway::over_sims(2, |_| {}).await;
    assert_invalid(&publish(&gateway, event()).await.unwrap_err(), "node_id");
    for node_id in ["sim-0", "sim-1"] {
        let request = pb::PublishEventRequest {
            node_id: node_id.to_owned(),
            ..event()
        };
        let published = publish(&gateway, request).await.unwrap();
        assert_eq!(published.event.unwrap().node_id, node_id);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_link_that_is_down_is_told_at_once_and_nothing_is_written() {
    let gateway = Gateway::over_sim().await;
    take_away(&gateway).await;
    assert_unavailable(&publish(&gateway, event()).await.unwrap_err());
    bring_back(&gateway).await;
    assert_eq!(sent(gateway.sim()), 0);
    leave(gateway).await;
}

#[tokio::test]
async fn a_link_that_is_lost_after_writing_leaves_the_outcome_unknown_and_nothing_is_sent_twice() {
    // Before its reply, and before the event alone.
    for links in [Links::All, Links::Events] {
        let gateway = Gateway::over_sim().await;
        let sim = gateway.sim();
        sim.inject(Fault::LoseEvents(u32::MAX));
        if links == Links::All {
            sim.inject(Fault::SlowReplies(SLOW));
        }
        let lost = async {
            until(|| sent(sim) > 0).await;
            sim.inject_on(links, Fault::DropLinks);
        };
        let (status, ()) = tokio::join!(publish(&gateway, event()), lost);
        assert_unknown(&status.unwrap_err());
        sim.inject(Fault::Heal);
        in_full_service(&gateway).await;
        assert_eq!(sent(sim), 1);
        leave(gateway).await;
    }
}

#[tokio::test]
async fn a_deadline_that_passes_after_writing_says_that_the_command_was_sent() {
    let gateway = Gateway::over_sims(1, |config| {
        config.grpc.deadlines.default = Duration::from_secs(2);
    })
    .await;
    gateway.sim().inject(Fault::LoseEvents(u32::MAX));
    assert_too_late(&publish(&gateway, event()).await.unwrap_err(), true);
    gateway.sim().inject(Fault::Heal);
    leave(gateway).await;
}

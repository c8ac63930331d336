//! Every RPC with ids that are none: the field is named, and nothing reaches a node.

use switchgate::pb::{self, bridge_request};

use crate::client::*;
use crate::gateway::{Gateway, within};

const ID: &str = "00000000-0000-4000-8000-000000000000";

/// What is no id, whoever asks.
fn malformed() -> Vec<String> {
    let fixed = [
        "",
        " ",
        "a b",
        "\n",
        "a\nb",
        "a\r\n\r\nexit",
        "a\0b",
        "\"a\"",
        "'a'",
        "${x}",
        "a,b",
        "a;b",
        "a|b",
        "a\tb",
        "grüße",
        "{a}",
        "a\\b",
    ];
    let mut all: Vec<_> = fixed.map(str::to_owned).into();
    all.push("a".repeat(257));
    all
}

#[tokio::test]
async fn every_rpc_refuses_what_is_no_id_by_the_name_of_its_field() {
    let gateway = Gateway::over_sim().await;
    let live = answered(&gateway).await.session_id;
    let sent = || {
        let is_ours = |raw: &&Vec<u8>| {
            raw.starts_with(b"bgapi") || raw.starts_with(b"sendmsg") || raw.starts_with(b"api uuid")
        };
        gateway.sim().commands().iter().filter(is_ours).count()
    };
    let before = sent();
    let mut rpcs = 0;
    macro_rules! refused {
        ($field:expr, $client:ident . $rpc:ident ( $request:expr )) => {{
            let status = within(gateway.$client().$rpc($request)).await.err();
            let status = status.unwrap_or_else(|| panic!("{} is taken", stringify!($rpc)));
            assert_invalid(&status, $field);
            rpcs += 1;
        }};
    }
    let malformed = malformed();
    for bad in &malformed {
        let session_id = bad.clone();
        let names = vec!["a".to_owned()];
        let variables = map(&[("a", "b")]);
        refused!(
            "session_id",
            sessions.get_session(pb::GetSessionRequest {
                session_id: session_id.clone(),
                include_variables: true,
            })
        );
        refused!(
            "session_id",
            sessions.answer(pb::AnswerRequest {
                session_id: session_id.clone(),
                ..Default::default()
            })
        );
        refused!(
            "session_id",
            sessions.hangup(pb::HangupRequest {
                session_id: session_id.clone(),
                ..Default::default()
            })
        );
        refused!(
            "session_id",
            sessions.park(pb::ParkRequest {
                session_id: session_id.clone(),
                ..Default::default()
            })
        );
        refused!(
            "session_id",
            sessions.bridge(pb::BridgeRequest {
                session_id: session_id.clone(),
                peer: Some(bridge_request::Peer::Endpoint(ANSWERS.to_owned())),
                ..Default::default()
            })
        );
        refused!(
            "peer_session_id",
            sessions.bridge(pb::BridgeRequest {
                session_id: live.clone(),
                peer: Some(bridge_request::Peer::PeerSessionId(bad.clone())),
                ..Default::default()
            })
        );
        refused!(
            "session_id",
            sessions.get_variables(pb::GetVariablesRequest {
                session_id: session_id.clone(),
                names: names.clone(),
            })
        );
        refused!(
            "session_id",
            sessions.set_variables(pb::SetVariablesRequest {
                session_id: session_id.clone(),
                variables: variables.clone(),
                ..Default::default()
            })
        );
        refused!(
            "session_id",
            sessions.unset_variables(pb::UnsetVariablesRequest {
                session_id: session_id.clone(),
                names: names.clone(),
                ..Default::default()
            })
        );
        refused!(
            "session_id",
            sessions.execute(pb::ExecuteRequest {
                session_id: session_id.clone(),
                application: "echo".to_owned(),
                ..Default::default()
            })
        );
        refused!(
            "call_id",
            calls.get_call(pb::GetCallRequest {
                call_id: bad.clone(),
            })
        );
        refused!(
            "call_id",
            calls.hangup_call(pb::HangupCallRequest {
                call_id: bad.clone(),
                ..Default::default()
            })
        );
        refused!(
            "job_id",
            jobs.get_job(pb::GetJobRequest {
                job_id: bad.clone(),
            })
        );
        refused!(
            "job_id",
            jobs.wait_job(pb::WaitJobRequest {
                job_id: bad.clone(),
                timeout: None,
            })
        );
        refused!(
            "job_id",
            jobs.cancel_job(pb::CancelJobRequest {
                job_id: bad.clone(),
                ..Default::default()
            })
        );
        refused!(
            "node_id",
            nodes.get_node(pb::GetNodeRequest {
                node_id: bad.clone(),
            })
        );
        refused!(
            "node_id",
            nodes.run_api(pb::RunApiRequest {
                node_id: bad.clone(),
                command: "status".to_owned(),
                arguments: String::new(),
            })
        );
        for (field, filter) in [
            (
                "filter.session_ids[0]",
                pb::EventFilter {
                    session_ids: vec![bad.clone()],
                    ..Default::default()
                },
            ),
            (
                "filter.call_ids[1]",
                pb::EventFilter {
                    call_ids: vec![ID.to_owned(), bad.clone()],
                    ..Default::default()
                },
            ),
            (
                "filter.node_ids[0]",
                pb::EventFilter {
                    node_ids: vec![bad.clone()],
                    ..Default::default()
                },
            ),
        ] {
            refused!(
                field,
                events.subscribe(pb::SubscribeRequest {
                    filter: Some(filter),
                    ..Default::default()
                })
            );
        }
        // What may be left out is not malformed when it is empty.
        if bad.is_empty() {
            continue;
        }
        refused!(
            "node_id",
            events.publish_event(pb::PublishEventRequest {
                node_id: bad.clone(),
                subclass: "acme::order".to_owned(),
                ..Default::default()
            })
        );
        let selector = Some(pb::NodeSelector {
            node_id: bad.clone(),
            ..Default::default()
        });
        refused!(
            "node_selector.node_id",
            sessions.originate(pb::OriginateRequest {
                node_selector: selector.clone(),
                ..to(ANSWERS)
            })
        );
        refused!(
            "node_selector.node_id",
            jobs.run_job(pb::RunJobRequest {
                command: "status".to_owned(),
                node_selector: selector.clone(),
                ..Default::default()
            })
        );
        refused!(
            "node_selector.node_id",
            jobs.start_job(pb::StartJobRequest {
                command: "status".to_owned(),
                node_selector: selector.clone(),
                ..Default::default()
            })
        );
        refused!(
            "session_id",
            jobs.run_job(pb::RunJobRequest {
                command: "status".to_owned(),
                session_id: bad.clone(),
                ..Default::default()
            })
        );
        refused!(
            "session_id",
            jobs.start_job(pb::StartJobRequest {
                command: "status".to_owned(),
                session_id: bad.clone(),
                ..Default::default()
            })
        );
    }
    // Of the other lists there is nothing but tokens, filters and sizes.
    refused!(
        "page_token",
        calls.list_calls(pb::ListCallsRequest {
            page_size: 1,
            page_token: "x".to_owned(),
            ..Default::default()
        })
    );
    refused!(
        "page_size",
        nodes.list_nodes(pb::ListNodesRequest {
            page_size: -1,
            page_token: String::new(),
            ..Default::default()
        })
    );
    refused!(
        "cause",
        sessions.hangup(pb::HangupRequest {
            session_id: live.clone(),
            cause: 9999,
            ..Default::default()
        })
    );
    refused!(
        "cause",
        calls.hangup_call(pb::HangupCallRequest {
            call_id: live.clone(),
            cause: -1,
            ..Default::default()
        })
    );
    refused!(
        "request_id",
        sessions.hangup(pb::HangupRequest {
            session_id: live.clone(),
            request_id: "a\nb".to_owned(),
            ..Default::default()
        })
    );
    refused!(
        "wait_for",
        sessions.execute(pb::ExecuteRequest {
            session_id: live.clone(),
            application: "echo".to_owned(),
            wait_for: 77,
            ..Default::default()
        })
    );
    refused!(
        "slow_consumer_policy",
        events.subscribe(pb::SubscribeRequest {
            slow_consumer_policy: 77,
            ..Default::default()
        })
    );
    assert_eq!(rpcs, malformed.len() * 26 - 6 + 7);
    assert_eq!(sent(), before, "something reached the wire");
    assert!(get(&gateway, &live).await.unwrap().hangup.is_none());
    gateway.stop().await;
}

#[tokio::test]
async fn a_text_that_must_be_given_is_called_missing() {
    let gateway = Gateway::over_sim().await;
    let session_id = answered(&gateway).await.session_id;
    let peer = answered(&gateway).await.session_id;
    let wanted = pb::BridgeRequest {
        session_id: session_id.clone(),
        peer: Some(bridge_request::Peer::PeerSessionId(peer.clone())),
        ..Default::default()
    };
    within(gateway.sessions().bridge(wanted)).await.unwrap();
    macro_rules! missing {
        ($field:literal, $client:ident . $rpc:ident ( $($message:ident)::+ { $($name:ident: $value:expr),* })) => {{
            #[allow(clippy::needless_update, reason = "one form for all requests")]
            let request = $($message)::+ { $($name: $value,)* ..Default::default() };
            let status = within(gateway.$client().$rpc(request)).await.err();
            let status = status.unwrap_or_else(|| panic!("{} is taken", stringify!($rpc)));
            assert_invalid(&status, $field);
            // What to write comes behind.
            let start = concat!($field, ": is missing; ");
            assert!(status.message().starts_with(start), "{status:?}");
        }};
    }
    let id = || session_id.clone();
    let delay = Some(prost_types::Duration {
        seconds: 1,
        nanos: 0,
    });
    missing!("command", jobs.start_job(pb::StartJobRequest {}));
    missing!("command", jobs.run_job(pb::RunJobRequest {}));
    missing!("job_id", jobs.get_job(pb::GetJobRequest {}));
    missing!(
        "command",
        nodes.run_api(pb::RunApiRequest {
            node_id: "sim-0".to_owned()
        })
    );
    missing!("node_id", nodes.get_node(pb::GetNodeRequest {}));
    missing!("call_id", calls.get_call(pb::GetCallRequest {}));
    missing!("session_id", sessions.get_session(pb::GetSessionRequest {}));
    missing!(
        "application",
        sessions.execute(pb::ExecuteRequest { session_id: id() })
    );
    missing!(
        "application",
        sessions.broadcast(pb::BroadcastRequest { session_id: id() })
    );
    missing!(
        "uri",
        sessions.deflect(pb::DeflectRequest { session_id: id() })
    );
    missing!(
        "files",
        sessions.playback(pb::PlaybackRequest { session_id: id() })
    );
    missing!(
        "files[0]",
        sessions.playback(pb::PlaybackRequest {
            session_id: id(),
            files: vec![String::new()]
        })
    );
    missing!(
        "path",
        sessions.start_recording(pb::StartRecordingRequest { session_id: id() })
    );
    missing!(
        "path",
        sessions.mask_recording(pb::MaskRecordingRequest { session_id: id() })
    );
    missing!(
        "engine",
        sessions.speak(pb::SpeakRequest { session_id: id() })
    );
    missing!(
        "text",
        sessions.speak(pb::SpeakRequest {
            session_id: id(),
            engine: "flite".to_owned(),
            voice: "kal".to_owned()
        })
    );
    missing!(
        "digits",
        sessions.send_dtmf(pb::SendDtmfRequest { session_id: id() })
    );
    missing!(
        "digits",
        sessions.schedule_dtmf(pb::ScheduleDtmfRequest {
            session_id: id(),
            delay: delay
        })
    );
    missing!(
        "extension",
        sessions.transfer(pb::TransferRequest { session_id: id() })
    );
    missing!(
        "extension.number",
        sessions.transfer(pb::TransferRequest {
            session_id: id(),
            extension: Some(pb::OriginateExtension::default())
        })
    );
    missing!(
        "endpoint",
        sessions.attended_transfer(pb::AttendedTransferRequest { session_id: id() })
    );
    missing!(
        "endpoint",
        sessions.bridge(pb::BridgeRequest {
            session_id: id(),
            peer: Some(bridge_request::Peer::Endpoint(String::new()))
        })
    );
    missing!(
        "names[0]",
        sessions.get_variables(pb::GetVariablesRequest {
            session_id: id(),
            names: vec![String::new()]
        })
    );
    missing!(
        "endpoints[0]",
        sessions.originate(pb::OriginateRequest {
            endpoints: vec![String::new()]
        })
    );
    hang_up(&gateway, &session_id).await;
    gateway.stop().await;
}

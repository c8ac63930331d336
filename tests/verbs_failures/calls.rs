//! Every RPC of CallService that changes something. A leg that is in no other call is one of its
//! own, with its id.

use switchgate::pb;
use switchgate::pb::call_service_client::CallServiceClient;

use super::legs::Leg;
use super::table::Verb;
use crate::gateway::within;

/// Those that change nothing.
pub(crate) const READING: [&str; 4] = ["GetCall", "ListCalls", "WatchCall", "GetPeer"];

/// All others.
pub(crate) fn verbs() -> [Verb; 2] {
    [
        Verb {
            rpc: "AppendSession",
            leg: Leg::Pair,
            wire: "uuid_setvar",
            wrong: None,
            call: |channel, ask| {
                let mut client = CallServiceClient::new(channel);
                let request = pb::AppendSessionRequest {
                    call_id: ask.other_id,
                    session_id: ask.session_id,
                    request_id: ask.request_id,
                };
                Box::pin(async move { within(client.append_session(request)).await.map(|_| ()) })
            },
        },
        Verb {
            rpc: "HangupCall",
            leg: Leg::Answered,
            wire: "uuid_kill",
            wrong: None,
            call: |channel, ask| {
                let mut client = CallServiceClient::new(channel);
                let request = pb::HangupCallRequest {
                    call_id: ask.session_id,
                    request_id: ask.request_id,
                    ..Default::default()
                };
                Box::pin(async move { within(client.hangup_call(request)).await.map(|_| ()) })
            },
        },
    ]
}

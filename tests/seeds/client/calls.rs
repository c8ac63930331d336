//! Calls that are placed, hung up and looked at, and what is no request at all.

use std::collections::HashMap;

use rand::Rng as _;
use rand::seq::IteratorRandom as _;
use switchgate::pb;

use super::super::requests;
use super::Client;

// === impl Client ===

impl Client {
    /// A call of its own, or one that another client has asked for under a `request_id`.
    pub(super) async fn originate(&mut self) {
        let repeated = {
            let known = self.shared.known.lock().unwrap();
            let before = (self.shared.trace.now(), String::new());
            let earlier = known.originates.range(..before);
            earlier
                .choose(&mut self.rng)
                .map(|(_, request)| request.clone())
        };
        let request = match repeated.filter(|_| self.rng.random_bool(0.3)) {
            Some(request) => request,
            None => requests::originate(self),
        };
        if !request.request_id.is_empty() {
            let mut known = self.shared.known.lock().unwrap();
            let key = (self.shared.trace.now(), request.request_id.clone());
            known.originates.insert(key, request.clone());
        }
        let labels = request.labels.clone();
        let patience = self.patience(!request.request_id.is_empty());
        let answer = ask!(self, sessions.originate(request), patience);
        if let Some(session) = answer.and_then(|answer| answer.session) {
            self.know_session(&session);
            self.check("originate", self.has_labels(&session, &labels), &session);
        }
    }

    pub(super) async fn originate_stream(&mut self) {
        let mut originate = requests::originate(self);
        originate.request_id = String::new();
        let labels = originate.labels.clone();
        let request = pb::OriginateStreamRequest {
            originate: Some(originate),
        };
        let patience = self.patience(false);
        let mut request = tonic::Request::new(request);
        request.set_timeout(patience.deadline);
        let mut service = self.shared.sessions.clone();
        let answer = async move {
            let mut stream = service.originate_stream(request).await?.into_inner();
            let mut last = None;
            while let Some(told) = stream.message().await? {
                last = told.progress;
            }
            Ok(last)
        };
        let last = self.judge("originate_stream", patience, answer).await;
        match last.flatten() {
            Some(pb::originate_stream_response::Progress::Ended(leg)) => {
                if let Some(session) = leg.session {
                    self.know_session(&session);
                    self.check(
                        "originate_stream",
                        self.has_labels(&session, &labels),
                        &session,
                    );
                }
            }
            Some(other) => self.check("originate_stream", false, &other),
            None => {}
        }
    }

    fn has_labels(&self, session: &pb::Session, labels: &HashMap<String, String>) -> bool {
        session.labels == *labels || (self.shared.loses_events && session.labels.is_empty())
    }

    pub(super) async fn hang_up(&mut self) {
        match self.rng.random_range(0..10) {
            0 => {
                let filter = format!("node_id = {} AND answered = true", self.some_node());
                let request = pb::HangupManyRequest {
                    filter,
                    ..Default::default()
                };
                ask!(self, sessions.hangup_many(request));
            }
            1 | 2 => {
                let call_id = self.some_call();
                let request = pb::HangupCallRequest {
                    call_id,
                    ..Default::default()
                };
                ask!(self, calls.hangup_call(request));
            }
            _ => {
                if let Some(session) = verb!(self, hangup, HangupRequest {}) {
                    self.check("hangup", session.hangup.is_some(), &session);
                }
            }
        }
    }

    pub(super) async fn look(&mut self) {
        match self.rng.random_range(0..5) {
            0 => {
                ask!(
                    self,
                    sessions.list_sessions(pb::ListSessionsRequest::default())
                );
            }
            1 => {
                ask!(self, nodes.list_nodes(pb::ListNodesRequest::default()));
            }
            2 => {
                let node_id = self.some_node();
                ask!(
                    self,
                    nodes.reconcile_node(pb::ReconcileNodeRequest { node_id })
                );
            }
            3 => {
                let session_id = self.some_session();
                let request = pb::WaitForEventsRequest {
                    session_id,
                    event_names: vec!["CHANNEL_HANGUP_COMPLETE".to_owned(), "DTMF".to_owned()],
                    return_when: self.rng.random_range(1..3),
                    timeout: Some(requests::seconds(self.rng.random_range(1..8))),
                    ..Default::default()
                };
                ask!(self, sessions.wait_for_events(request));
            }
            _ => {
                verb!(
                    self,
                    get_session,
                    GetSessionRequest {
                        include_variables: true
                    }
                );
            }
        }
    }

    /// Refused, whatever else fails.
    pub(super) async fn malformed(&mut self) {
        let session_id = self.some_session();
        let code = match self.rng.random_range(0..4) {
            0 => self.refusal(pb::ExecuteRequest {
                session_id: format!("{session_id} x"),
                application: "park".to_owned(),
                ..Default::default()
            }),
            1 => self.refusal(pb::ExecuteRequest {
                session_id,
                application: "set".to_owned(),
                arguments: "x=${system(id)}".to_owned(),
                ..Default::default()
            }),
            2 => self.refusal(pb::ExecuteRequest::default()),
            _ => self.refusal(pb::ExecuteRequest {
                session_id,
                application: "park\n\napi status".to_owned(),
                ..Default::default()
            }),
        };
        code.await;
    }

    async fn refusal(&mut self, request: pb::ExecuteRequest) {
        let executed = ask!(self, sessions.execute(request));
        self.check("execute", executed.is_none(), &executed);
    }
}

//! What is done to a session that somebody knows.

use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use switchgate::pb;

use super::super::requests;
use super::Client;

// === impl Client ===

impl Client {
    pub(super) async fn verb(&mut self) {
        match self.rng.random_range(0..19) {
            0 => drop(verb!(self, park, ParkRequest {})),
            1 => {
                if let Some(session) = verb!(self, answer, AnswerRequest {}) {
                    self.check("answer", session.answered, &session);
                }
            }
            2 | 3 => self.bridge().await,
            4 => {
                let extension = Some(pb::OriginateExtension {
                    number: (*["echo", "park", "tone"].choose(&mut self.rng).unwrap()).to_owned(),
                    ..Default::default()
                });
                drop(verb!(
                    self,
                    transfer,
                    TransferRequest {
                        extension: extension
                    }
                ));
            }
            5 | 6 => {
                let files = vec!["tone_stream://L=1;%(200,100,440,480)".to_owned()];
                let wait_for = self.rng.random_range(1..3);
                drop(verb!(
                    self,
                    playback,
                    PlaybackRequest {
                        files: files,
                        wait_for: wait_for
                    }
                ));
            }
            7 => drop(verb!(self, stop_playback, StopPlaybackRequest {})),
            8 => {
                let request = pb::SendDtmfRequest {
                    session_id: self.some_session(),
                    digits: "12#".to_owned(),
                    ..Default::default()
                };
                ask!(self, sessions.send_dtmf(request));
            }
            9 | 10 => self.variables().await,
            11 => drop(verb!(self, hold, HoldRequest {})),
            12 => drop(verb!(self, unhold, UnholdRequest {})),
            13 => drop(verb!(self, mute, MuteRequest { direction: 1 })),
            14 => {
                let path = format!("/tmp/{}.wav", self.mark());
                drop(verb!(
                    self,
                    start_recording,
                    StartRecordingRequest { path: path }
                ));
            }
            15 => drop(verb!(self, echo, EchoRequest {})),
            16 => {
                let request = pb::ScheduleHangupRequest {
                    session_id: self.some_session(),
                    delay: Some(requests::seconds(self.rng.random_range(1..20))),
                    ..Default::default()
                };
                ask!(self, sessions.schedule_hangup(request));
            }
            17 => {
                let request = pb::CollectDigitsRequest {
                    session_id: self.some_session(),
                    min_digits: 1,
                    max_digits: 2,
                    timeout: Some(requests::seconds(2)),
                    ..Default::default()
                };
                ask!(self, sessions.collect_digits(request));
            }
            _ => {
                let arguments = self.rng.random_range(1..4_000).to_string();
                let wait_for = self.rng.random_range(1..4);
                drop(verb!(
                    self,
                    execute,
                    ExecuteRequest {
                        application: "sleep".to_owned(),
                        arguments: arguments,
                        wait_for: wait_for
                    }
                ));
            }
        }
    }

    async fn bridge(&mut self) {
        let peer = match self.rng.random_bool(0.7) {
            true => pb::bridge_request::Peer::PeerSessionId(self.some_session()),
            false => pb::bridge_request::Peer::Endpoint(requests::endpoint(&mut self.rng)),
        };
        if let Some(session) = verb!(self, bridge, BridgeRequest { peer: Some(peer) }) {
            self.know_session(&session);
        }
    }

    /// What a client sets is what it gets, since nobody else uses this name.
    async fn variables(&mut self) {
        let (session_id, name, value) = (self.some_session(), self.mark(), self.mark());
        let name = name.replace('-', "_");
        let request = pb::SetVariablesRequest {
            session_id: session_id.clone(),
            variables: [(name.clone(), value.clone())].into(),
            ..Default::default()
        };
        if ask!(self, sessions.set_variables(request)).is_none() {
            return;
        }
        let request = pb::GetVariablesRequest {
            session_id,
            names: vec![name.clone()],
        };
        if let Some(answer) = ask!(self, sessions.get_variables(request)) {
            let got = answer.variables.get(&name);
            self.check("get_variables", got == Some(&value), &answer);
        }
    }
}

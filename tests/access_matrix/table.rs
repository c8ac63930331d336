//! Who may call what, and what another tenant is told.

use prost::Message as _;
use switchgate::pb;

use crate::callers::VARIABLE;
use crate::client::{ANSWERS, map, seconds};
use crate::verbs::tone;

/// One RPC.
pub(crate) struct Row {
    /// As roles write it.
    pub(crate) rpc: &'static str,
    /// Whether the ready role `viewer` may call it.
    pub(crate) viewer: bool,
    /// Whether `operator` may.
    pub(crate) operator: bool,
    /// What somebody is told who asks for what is another tenant's, be it an operator or an
    /// administrator of his own.
    pub(crate) other: Other,
    /// Such a request, complete.
    pub(crate) request: fn(&Theirs) -> Vec<u8>,
}

/// What somebody is told of what is another tenant's.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Other {
    /// NOT_FOUND for this reason, as of what never was.
    NotFound(&'static str),
    /// PERMISSION_DENIED.
    Denied,
    /// All that is his own.
    Without,
}

/// What is another tenant's.
pub(crate) struct Theirs {
    pub(crate) session: String,
    pub(crate) call: String,
    pub(crate) job: String,
    pub(crate) node: String,
}

macro_rules! row {
    ($rpc:literal, $viewer:literal, $operator:literal, $other:expr, $request:ident, |$theirs:ident| { $($fields:tt)* }) => {
        Row {
            rpc: $rpc,
            viewer: $viewer,
            operator: $operator,
            other: $other,
            request: |$theirs| pb::$request { $($fields)* ..Default::default() }.encode_to_vec(),
        }
    };
}

use Other::{Denied, NotFound, Without};

/// The RPC; whether a viewer and an operator may call it (an administrator may call all); what
/// another tenant is told; and the request with which it asks.
#[allow(clippy::needless_update, reason = "some requests have no other fields")]
pub(crate) const ROWS: [Row; 71] = [
    row!("SessionService/Originate", false, true, Denied, OriginateRequest, |_theirs| { endpoints: vec![ANSWERS.to_owned()], variables: map(&[(VARIABLE, "acme")]), }),
    row!("SessionService/OriginateStream", false, true, Denied, OriginateStreamRequest, |_theirs| { originate: Some(pb::OriginateRequest { endpoints: vec![ANSWERS.to_owned()], variables: map(&[(VARIABLE, "acme")]), ..Default::default() }), }),
    row!("SessionService/GetSession", true, true, NotFound("SESSION_NOT_FOUND"), GetSessionRequest, |theirs| { session_id: theirs.session.clone(),include_variables: true, }),
    row!(
        "SessionService/ListSessions",
        true,
        true,
        Without,
        ListSessionsRequest,
        |_theirs| {}
    ),
    row!("SessionService/Answer", false, true, NotFound("SESSION_NOT_FOUND"), AnswerRequest, |theirs| { session_id: theirs.session.clone(), }),
    row!("SessionService/Hangup", false, true, NotFound("SESSION_NOT_FOUND"), HangupRequest, |theirs| { session_id: theirs.session.clone(), }),
    row!("SessionService/Park", false, true, NotFound("SESSION_NOT_FOUND"), ParkRequest, |theirs| { session_id: theirs.session.clone(), }),
    row!("SessionService/PreAnswer", false, true, NotFound("SESSION_NOT_FOUND"), PreAnswerRequest, |theirs| { session_id: theirs.session.clone(), }),
    row!("SessionService/RingReady", false, true, NotFound("SESSION_NOT_FOUND"), RingReadyRequest, |theirs| { session_id: theirs.session.clone(), }),
    row!("SessionService/Hold", false, true, NotFound("SESSION_NOT_FOUND"), HoldRequest, |theirs| { session_id: theirs.session.clone(), }),
    row!("SessionService/Unhold", false, true, NotFound("SESSION_NOT_FOUND"), UnholdRequest, |theirs| { session_id: theirs.session.clone(), }),
    row!("SessionService/Mute", false, true, NotFound("SESSION_NOT_FOUND"), MuteRequest, |theirs| { session_id: theirs.session.clone(), }),
    row!("SessionService/Unmute", false, true, NotFound("SESSION_NOT_FOUND"), UnmuteRequest, |theirs| { session_id: theirs.session.clone(), }),
    row!("SessionService/StopPlayback", false, true, NotFound("SESSION_NOT_FOUND"), StopPlaybackRequest, |theirs| { session_id: theirs.session.clone(), }),
    row!("SessionService/ClearTasks", false, true, NotFound("SESSION_NOT_FOUND"), ClearTasksRequest, |theirs| { session_id: theirs.session.clone(), }),
    row!("SessionService/Echo", false, true, NotFound("SESSION_NOT_FOUND"), EchoRequest, |theirs| { session_id: theirs.session.clone(), }),
    row!("SessionService/StartAmd", false, true, NotFound("SESSION_NOT_FOUND"), StartAmdRequest, |theirs| { session_id: theirs.session.clone(), }),
    row!("SessionService/StopAmd", false, true, NotFound("SESSION_NOT_FOUND"), StopAmdRequest, |theirs| { session_id: theirs.session.clone(), }),
    row!("SessionService/StopRecording", false, true, NotFound("SESSION_NOT_FOUND"), StopRecordingRequest, |theirs| { session_id: theirs.session.clone(), }),
    row!("SessionService/Bridge", false, true, NotFound("SESSION_NOT_FOUND"), BridgeRequest, |theirs| { session_id: theirs.session.clone(),peer: Some(pb::bridge_request::Peer::Endpoint(ANSWERS.to_owned())), }),
    row!("SessionService/GetVariables", true, true, NotFound("SESSION_NOT_FOUND"), GetVariablesRequest, |theirs| { session_id: theirs.session.clone(), }),
    row!("SessionService/SetVariables", false, true, NotFound("SESSION_NOT_FOUND"), SetVariablesRequest, |theirs| { session_id: theirs.session.clone(),variables: map(&[("a", "b")]), }),
    row!("SessionService/UnsetVariables", false, true, NotFound("SESSION_NOT_FOUND"), UnsetVariablesRequest, |theirs| { session_id: theirs.session.clone(),names: vec!["a".to_owned()], }),
    row!("SessionService/Execute", false, true, NotFound("SESSION_NOT_FOUND"), ExecuteRequest, |theirs| { session_id: theirs.session.clone(),application: "system".to_owned(), arguments: "id".to_owned(), }),
    row!("SessionService/Respond", false, true, NotFound("SESSION_NOT_FOUND"), RespondRequest, |theirs| { session_id: theirs.session.clone(),status: 486, }),
    row!("SessionService/Deflect", false, true, NotFound("SESSION_NOT_FOUND"), DeflectRequest, |theirs| { session_id: theirs.session.clone(),uri: "sip:x@127.0.0.1".to_owned(), }),
    row!("SessionService/HangupMany", false, true, Without, HangupManyRequest, |_theirs| { filter: "live = true".to_owned(), }),
    row!("SessionService/ScheduleHangup", false, true, NotFound("SESSION_NOT_FOUND"), ScheduleHangupRequest, |theirs| { session_id: theirs.session.clone(),delay: Some(seconds(60)), }),
    row!("SessionService/Playback", false, true, NotFound("SESSION_NOT_FOUND"), PlaybackRequest, |theirs| { session_id: theirs.session.clone(),files: vec![tone(1000)], }),
    row!("SessionService/SeekPlayback", false, true, NotFound("SESSION_NOT_FOUND"), SeekPlaybackRequest, |theirs| { session_id: theirs.session.clone(),action: Some(pb::seek_playback_request::Action::Restart(true)), }),
    row!("SessionService/Speak", false, true, NotFound("SESSION_NOT_FOUND"), SpeakRequest, |theirs| { session_id: theirs.session.clone(),engine: "flite".to_owned(), voice: "kal".to_owned(), text: "x".to_owned(), }),
    row!("SessionService/Broadcast", false, true, NotFound("SESSION_NOT_FOUND"), BroadcastRequest, |theirs| { session_id: theirs.session.clone(),application: "system".to_owned(), arguments: "id".to_owned(), }),
    row!("SessionService/StartRecording", false, true, NotFound("SESSION_NOT_FOUND"), StartRecordingRequest, |theirs| { session_id: theirs.session.clone(),path: "/tmp/x.wav".to_owned(), }),
    row!("SessionService/MaskRecording", false, true, NotFound("SESSION_NOT_FOUND"), MaskRecordingRequest, |theirs| { session_id: theirs.session.clone(),path: "/tmp/x.wav".to_owned(), }),
    row!("SessionService/UnmaskRecording", false, true, NotFound("SESSION_NOT_FOUND"), UnmaskRecordingRequest, |theirs| { session_id: theirs.session.clone(),path: "/tmp/x.wav".to_owned(), }),
    row!("SessionService/SendDtmf", false, true, NotFound("SESSION_NOT_FOUND"), SendDtmfRequest, |theirs| { session_id: theirs.session.clone(),digits: "1".to_owned(), }),
    row!("SessionService/ScheduleDtmf", false, true, NotFound("SESSION_NOT_FOUND"), ScheduleDtmfRequest, |theirs| { session_id: theirs.session.clone(),digits: "1".to_owned(), delay: Some(seconds(60)), }),
    row!("SessionService/CollectDigits", false, true, NotFound("SESSION_NOT_FOUND"), CollectDigitsRequest, |theirs| { session_id: theirs.session.clone(),min_digits: 1, max_digits: 1, }),
    row!("SessionService/Transfer", false, true, NotFound("SESSION_NOT_FOUND"), TransferRequest, |theirs| { session_id: theirs.session.clone(),extension: Some(pb::OriginateExtension { number: "answer".to_owned(), ..Default::default() }), }),
    row!("SessionService/AttendedTransfer", false, true, NotFound("SESSION_NOT_FOUND"), AttendedTransferRequest, |theirs| { session_id: theirs.session.clone(),endpoint: ANSWERS.to_owned(), }),
    row!("SessionService/Eavesdrop", false, true, NotFound("SESSION_NOT_FOUND"), EavesdropRequest, |theirs| { session_id: theirs.session.clone(),target_session_id: theirs.session.clone(), }),
    row!("SessionService/BypassMedia", false, true, NotFound("SESSION_NOT_FOUND"), BypassMediaRequest, |theirs| { session_id: theirs.session.clone(),mode: pb::BypassMode::On.into(), }),
    row!("SessionService/WatchSession", true, true, NotFound("SESSION_NOT_FOUND"), WatchSessionRequest, |theirs| { session_id: theirs.session.clone(), }),
    row!("SessionService/ListSessionEvents", true, true, NotFound("SESSION_NOT_FOUND"), ListSessionEventsRequest, |theirs| { session_id: theirs.session.clone(), }),
    row!("SessionService/WaitForEvents", true, true, NotFound("SESSION_NOT_FOUND"), WaitForEventsRequest, |theirs| { session_id: theirs.session.clone(),event_names: vec!["DTMF".to_owned()], }),
    row!("CallService/GetCall", true, true, NotFound("CALL_NOT_FOUND"), GetCallRequest, |theirs| { call_id: theirs.call.clone(), }),
    row!(
        "CallService/ListCalls",
        true,
        true,
        Without,
        ListCallsRequest,
        |_theirs| {}
    ),
    row!("CallService/WatchCall", true, true, NotFound("CALL_NOT_FOUND"), WatchCallRequest, |theirs| { call_id: theirs.call.clone(), }),
    row!("CallService/HangupCall", false, true, NotFound("CALL_NOT_FOUND"), HangupCallRequest, |theirs| { call_id: theirs.call.clone(), }),
    row!("CallService/AppendSession", false, true, NotFound("CALL_NOT_FOUND"), AppendSessionRequest, |theirs| { call_id: theirs.call.clone(), session_id: theirs.session.clone(), }),
    row!("CallService/GetPeer", true, true, NotFound("CALL_NOT_FOUND"), GetPeerRequest, |theirs| { call_id: theirs.call.clone(), session_id: theirs.session.clone(), }),
    row!("JobService/RunJob", false, true, NotFound("SESSION_NOT_FOUND"), RunJobRequest, |theirs| { command: "uuid_kill".to_owned(), arguments: theirs.session.clone(), session_id: theirs.session.clone(), }),
    row!("JobService/StartJob", false, true, NotFound("SESSION_NOT_FOUND"), StartJobRequest, |theirs| { command: "uuid_kill".to_owned(), arguments: theirs.session.clone(), session_id: theirs.session.clone(), }),
    row!("JobService/GetJob", true, true, NotFound("JOB_NOT_FOUND"), GetJobRequest, |theirs| { job_id: theirs.job.clone(), }),
    row!(
        "JobService/ListJobs",
        true,
        true,
        Without,
        ListJobsRequest,
        |_theirs| {}
    ),
    row!("JobService/WaitJob", true, true, NotFound("JOB_NOT_FOUND"), WaitJobRequest, |theirs| { job_id: theirs.job.clone(), }),
    row!("JobService/WatchJobs", true, true, Without, WatchJobsRequest, |_theirs| { snapshot: true, }),
    row!("JobService/CancelJob", false, true, NotFound("JOB_NOT_FOUND"), CancelJobRequest, |theirs| { job_id: theirs.job.clone(), }),
    row!("JobService/DeleteJob", false, true, NotFound("JOB_NOT_FOUND"), DeleteJobRequest, |theirs| { job_id: theirs.job.clone(), }),
    row!("EventService/Subscribe", true, true, Without, SubscribeRequest, |_theirs| { start: Some(pb::SubscribeStart { position: Some(pb::subscribe_start::Position::Snapshot(pb::StartSnapshot::default())) }), }),
    row!("EventService/ListEvents", true, true, Without, ListEventsRequest, |_theirs| { page_size: 1000, }),
    row!("EventService/PublishEvent", false, false, Denied, PublishEventRequest, |_theirs| { subclass: "acme::order".to_owned(), }),
    row!(
        "NodeService/ListNodes",
        true,
        true,
        Without,
        ListNodesRequest,
        |_theirs| {}
    ),
    row!("NodeService/GetNode", true, true, Without, GetNodeRequest, |theirs| { node_id: theirs.node.clone(), }),
    row!(
        "NodeService/WatchNodes",
        true,
        true,
        Without,
        WatchNodesRequest,
        |_theirs| {}
    ),
    row!("NodeService/RunApi", false, false, Denied, RunApiRequest, |theirs| { node_id: theirs.node.clone(), command: "status".to_owned(), }),
    row!("NodeService/DrainNode", false, false, Denied, DrainNodeRequest, |theirs| { node_id: theirs.node.clone(), }),
    row!("NodeService/UndrainNode", false, false, Denied, UndrainNodeRequest, |theirs| { node_id: theirs.node.clone(), }),
    row!("NodeService/ReconcileNode", false, false, Denied, ReconcileNodeRequest, |theirs| { node_id: theirs.node.clone(), }),
    row!("NodeService/RemoveNode", false, false, Denied, RemoveNodeRequest, |theirs| { node_id: theirs.node.clone(), }),
    row!("NodeService/AddNode", false, false, Denied, AddNodeRequest, |_theirs| { node_id: "x".to_owned(), address: "127.0.0.1:1".to_owned(), password: "x".to_owned(), }),
];

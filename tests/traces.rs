//! Traces, as an OpenTelemetry collector gets them.

mod collector;

use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use switchgate::config::{Config, NodeAddress, NodeConfig, SipHeader};
use switchgate::pb;
use switchgate::shutdown::Drain;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::client::{get, hang_up, tag, to, variables};
use crate::gateway::{Gateway, code_and_reason, freeswitch_address, test_config, within};
use crate::identities::{access, token};
use crate::verbs::until;
pub(crate) use collector::Observed;
use collector::shown;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// As a client sends it whose own span is recorded.
fn traced<T>(message: T, flags: &str) -> Request<T> {
    let mut request = Request::new(message);
    let value = format!("00-{TRACE}-{PARENT}-{flags}");
    let metadata = request.metadata_mut();
    metadata.insert("traceparent", value.parse().unwrap());
    request
}

/// The one span of this name.
fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let mut found = spans.iter().filter(|span| span.name == name);
    match (found.next(), found.next()) {
        (Some(span), None) => span,
        _ => panic!("no single {name}: {}", shown(spans)),
    }
}

/// A value of a span as text; empty when it is not there.
fn value(span: &Span, name: &str) -> String {
    collector::value(&span.attributes, name)
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The gateways on which traces are tried: a simulated one, and a real one where there is one.
async fn gateways(observed: &Observed, tune: impl Fn(&mut Config)) -> Vec<Gateway> {
    let tuned = |config: &mut Config| {
        observed.configure(config);
        tune(config);
    };
    let mut gateways = vec![Gateway::over_sims(1, tuned).await];
    if let Some(address) = freeswitch_address() {
        let (host, port) = address.rsplit_once(':').unwrap();
        let mut config = test_config();
        let name = "freeswitch".parse().unwrap();
        let address = NodeAddress::new(host, port.parse().unwrap());
        config.nodes.push(NodeConfig::new(name, address, "ClueCon"));
        tuned(&mut config);
        let gateway = Gateway::launch(config, Vec::new(), Drain::new()).await;
        for node in gateway.control.fleet.nodes() {
            within(node.reached(switchgate::domain::NodeState::Ready)).await;
        }
        gateways.push(gateway);
    }
    gateways
}

#[tokio::test]
async fn one_trace_joins_client_rpc_job_and_command_and_the_call_knows_it() {
    let observed = Observed::start().await;
    for gateway in gateways(&observed, |_| {}).await {
        let request = traced(to(&gateway.dial("answer")), "01");
        let response = within(gateway.sessions().originate(request)).await.unwrap();
        let response = response.into_inner();
        let session = response.session.unwrap();
        let known = variables(&gateway, &session.session_id, &["traceparent"]).await;
        hang_up(&gateway, &session.session_id).await;
        gateway.stop().await;

        let spans = observed.spans().await;
        let spans = spans
            .into_iter()
            .filter(|span| hex(&span.trace_id) == TRACE);
        let spans: Vec<_> = spans.collect();
        let rpc = named(&spans, "switchgate.v1.SessionService/Originate");
        assert_eq!(hex(&rpc.parent_span_id), PARENT);
        assert_eq!(rpc.kind, SpanKind::Server as i32);
        for (name, expected) in [
            ("rpc.system.name", "grpc"),
            ("rpc.method", "switchgate.v1.SessionService/Originate"),
            ("rpc.response.status_code", "OK"),
            ("error.type", ""),
            ("switchgate.caller", "anonymous"),
            ("network.peer.address", "127.0.0.1"),
        ] {
            assert_eq!(value(rpc, name), expected, "{name}");
        }
        assert!(rpc.status.as_ref().is_none_or(|status| status.code == 0));

        let job = named(&spans, "job originate");
        assert_eq!(hex(&job.parent_span_id), hex(&rpc.span_id));
        assert_eq!(value(job, "switchgate.job.id"), response.job_id);
        assert_eq!(value(job, "switchgate.job.state"), "SUCCEEDED");
        let command = named(&spans, "bgapi originate");
        assert_eq!(hex(&command.parent_span_id), hex(&job.span_id));
        assert_eq!(command.kind, SpanKind::Client as i32);
        assert_eq!(value(command, "switchgate.node.id"), session.node_id);
        let queued: f64 = value(command, "switchgate.queue_ms").parse().unwrap();
        let wait = named(&spans, "wait for the effect");
        assert_eq!(hex(&wait.parent_span_id), hex(&rpc.span_id));
        assert_eq!(value(wait, "switchgate.command"), "originate");

        let took = |span: &Span| {
            assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
            Duration::from_nanos(span.end_time_unix_nano - span.start_time_unix_nano)
        };
        assert!(queued <= took(command).as_secs_f64() * 1e3);
        for inner in [job, command, wait] {
            assert!(rpc.start_time_unix_nano <= inner.start_time_unix_nano);
            took(inner);
        }
        assert!(wait.end_time_unix_nano <= rpc.end_time_unix_nano);
        assert!(command.end_time_unix_nano <= job.end_time_unix_nano);

        let rpc_id = hex(&rpc.span_id);
        assert_eq!(known["traceparent"], format!("00-{TRACE}-{rpc_id}-01"));
        observed.forget();
    }
}

#[tokio::test]
async fn a_request_with_an_id_is_one_trace_too() {
    let observed = Observed::start().await;
    let gateway = gateways(&observed, |_| {}).await.remove(0);
    let request = pb::OriginateRequest {
        request_id: tag(),
        ..to(&gateway.dial("answer"))
    };
    let answer = within(gateway.sessions().originate(traced(request, "01"))).await;
    let session = answer.unwrap().into_inner().session.unwrap();
    hang_up(&gateway, &session.session_id).await;
    gateway.stop().await;
    let spans = observed.spans().await;
    let rpc = named(&spans, "switchgate.v1.SessionService/Originate");
    let once = named(&spans, "once");
    let job = named(&spans, "job originate");
    let command = named(&spans, "bgapi originate");
    let path = [command, job, once, rpc];
    for (inner, outer) in path.iter().zip(&path[1..]) {
        assert_eq!(hex(&inner.parent_span_id), hex(&outer.span_id));
        assert_eq!(hex(&inner.trace_id), TRACE);
    }
}

#[tokio::test]
async fn the_far_end_gets_the_trace_where_that_is_configured() {
    let observed = Observed::start().await;
    let tune = |config: &mut Config| config.tracing.sip_header = header("X-Trace");
    for gateway in gateways(&observed, tune).await {
        let request = traced(to(&gateway.dial("answer")), "01");
        let answer = within(gateway.sessions().originate(request)).await.unwrap();
        let id = answer.into_inner().session.unwrap().session_id;
        let known = variables(&gateway, &id, &["sip_h_X-Trace", "traceparent"]).await;
        assert!(known["sip_h_X-Trace"].contains(TRACE), "{known:?}");
        assert_eq!(known["sip_h_X-Trace"], known["traceparent"]);
        if gateway.sims.is_empty() {
            // The far end is the same FreeSWITCH, whose inbound leg has what came in the INVITE.
            let sessions = gateway.control.tracker.sessions();
            let others = sessions.iter().filter(|other| other.is_live());
            let mut heard = Vec::new();
            for other in others.filter(|other| other.id.as_str() != id) {
                let names = ["sip_h_X-Trace"];
                heard.extend(variables(&gateway, other.id.as_str(), &names).await);
            }
            let expected = ("sip_h_X-Trace".to_owned(), known["traceparent"].clone());
            assert!(heard.contains(&expected), "{heard:?}");
        }
        hang_up(&gateway, &id).await;
        gateway.stop().await;
    }
}

#[tokio::test]
async fn what_a_client_sets_itself_stays() {
    let observed = Observed::start().await;
    let gateway = gateways(&observed, |_| {}).await.remove(0);
    let request = pb::OriginateRequest {
        variables: [("TraceParent".to_owned(), "mine".to_owned())].into(),
        ..to(&gateway.dial("answer"))
    };
    let answer = within(gateway.sessions().originate(traced(request, "01"))).await;
    let id = answer.unwrap().into_inner().session.unwrap().session_id;
    let sent = gateway.sim().commands();
    let shown = |command: &Vec<u8>| String::from_utf8_lossy(command).into_owned();
    let sent: Vec<_> = sent.iter().map(shown).collect();
    let placed = sent.iter().find(|one| one.contains("originate")).unwrap();
    assert!(
        placed.contains("mine") && !placed.contains(TRACE),
        "{placed}"
    );
    hang_up(&gateway, &id).await;
    gateway.stop().await;
}

#[tokio::test]
async fn the_client_decides_whether_its_trace_is_recorded() {
    let observed = Observed::start().await;
    let gateway = gateways(&observed, |_| {}).await.remove(0);
    let request = traced(to(&gateway.dial("answer")), "00");
    let answer = within(gateway.sessions().originate(request)).await.unwrap();
    let id = answer.into_inner().session.unwrap().session_id;
    let known = variables(&gateway, &id, &["traceparent"]).await;
    // Whoever goes on with it knows that it is not.
    let traceparent = &known["traceparent"];
    assert!(traceparent.starts_with(&format!("00-{TRACE}-")) && traceparent.ends_with("-00"));
    hang_up(&gateway, &id).await;
    gateway.stop().await;
    let spans = observed.spans().await;
    assert!(spans.iter().all(|span| hex(&span.trace_id) != TRACE));
    // Those that began here are.
    named(&spans, "switchgate.v1.SessionService/Hangup");
}

#[tokio::test]
async fn without_traces_a_call_has_no_variable_of_them() {
    let gateway = Gateway::over_sim().await;
    let request = traced(to(&gateway.dial("answer")), "01");
    let answer = within(gateway.sessions().originate(request)).await.unwrap();
    let id = answer.into_inner().session.unwrap().session_id;
    let sent = gateway.sim().commands();
    let told = |command: &Vec<u8>| String::from_utf8_lossy(command).contains("traceparent");
    assert!(!sent.iter().any(told));
    hang_up(&gateway, &id).await;
    gateway.stop().await;
}

#[tokio::test]
async fn failures_are_those_of_the_server_alone_and_unknown_methods_have_no_name() {
    let observed = Observed::start().await;
    let gateway = gateways(&observed, |_| {}).await.remove(0);
    let unknown = uuid::Uuid::new_v4().to_string();
    let status = get(&gateway, &unknown).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let path = http::uri::PathAndQuery::from_static("/switchgate.v1.SessionService/Invented");
    let codec = tonic_prost::ProstCodec::<pb::GetSessionRequest, ()>::default();
    let mut client = tonic::client::Grpc::new(gateway.channel.clone());
    client.ready().await.unwrap();
    let request = Request::new(pb::GetSessionRequest::default());
    let status = client.unary(request, path, codec).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    let mut health = HealthClient::new(gateway.channel.clone());
    within(health.check(HealthCheckRequest::default()))
        .await
        .unwrap();
    gateway.stop().await;

    let spans = observed.spans().await;
    let get = named(&spans, "switchgate.v1.SessionService/GetSession");
    assert_eq!(value(get, "rpc.response.status_code"), "NOT_FOUND");
    assert_eq!(value(get, "error.type"), "NOT_FOUND");
    assert!(get.status.as_ref().is_none_or(|status| status.code == 0));
    let other = named(&spans, "_OTHER");
    assert_eq!(value(other, "rpc.response.status_code"), "UNIMPLEMENTED");
    let failed = StatusCode::Error as i32;
    assert!(
        other
            .status
            .as_ref()
            .is_some_and(|status| status.code == failed)
    );
    assert_eq!(spans.len(), 2, "{}", shown(&spans));
}

#[tokio::test]
async fn a_stream_is_a_short_span_and_a_job_outlives_that_of_its_rpc() {
    let observed = Observed::start().await;
    let gateway = gateways(&observed, |_| {}).await.remove(0);
    let mut events = gateway.events();
    let opened = within(events.subscribe(pb::SubscribeRequest::default())).await;
    let stream = opened.unwrap();
    let request = pb::StartJobRequest {
        command: "originate".to_owned(),
        arguments: "sofia/internal/ring@127.0.0.1 &park()".to_owned(),
        timeout: Some(crate::client::seconds(3600)),
        ..Default::default()
    };
    let job = within(gateway.jobs().start_job(request)).await.unwrap();
    let job_id = job.into_inner().job.unwrap().job_id;
    // Both are told while the stream and the job go on.
    until_async(async || {
        let spans = observed.received();
        let has = |name: &str| spans.iter().any(|span| span.name == name);
        has("switchgate.v1.EventService/Subscribe") && has("switchgate.v1.JobService/StartJob")
    })
    .await;
    assert!(
        observed
            .received()
            .iter()
            .all(|span| span.name != "job originate")
    );
    drop(stream);
    let cancel = pb::CancelJobRequest {
        job_id,
        ..Default::default()
    };
    let _ = within(gateway.jobs().cancel_job(cancel)).await;
    let ids: Vec<_> = gateway
        .control
        .tracker
        .sessions()
        .iter()
        .map(|one| one.id.to_string())
        .collect();
    for id in ids {
        crate::verbs::release(&gateway, &id).await;
    }
    gateway.stop().await;
    let spans = observed.spans().await;
    let start = named(&spans, "switchgate.v1.JobService/StartJob");
    let job = named(&spans, "job originate");
    assert_eq!(hex(&job.parent_span_id), hex(&start.span_id));
    assert!(start.end_time_unix_nano < job.end_time_unix_nano);
    assert_ne!(value(job, "switchgate.job.state"), "SUCCEEDED");
    assert_ne!(value(job, "error.type"), "");
}

async fn until_async(mut holds: impl AsyncFnMut() -> bool) {
    within(async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_rpc_that_ends_during_the_drain_is_told_too() {
    let observed = Observed::start().await;
    let mut gateway = gateways(&observed, |_| {}).await.remove(0);
    let mut sessions = gateway.sessions();
    let ringing = to(&gateway.dial("ring"));
    let call = Drain::new().spawn(async move { sessions.originate(ringing).await });
    until(|| (!gateway.control.tracker.sessions().is_empty()).then_some(())).await;
    gateway.begin_stop();
    let ids: Vec<_> = gateway
        .control
        .tracker
        .sessions()
        .iter()
        .map(|one| one.id.clone())
        .collect();
    for id in ids {
        let line = format!("api uuid_kill {id} USER_BUSY");
        let command = switchgate::esl::Command::api(&line["api ".len()..]).unwrap();
        let node = gateway.control.fleet.nodes().next().unwrap();
        let deadline = switchgate::domain::Deadline::after(Duration::from_secs(5));
        let _ = node.send(command, None, deadline).await;
    }
    let status = within(call).await.unwrap().unwrap_err();
    assert_eq!(code_and_reason(&status).1, "CALL_FAILED");
    gateway.stop().await;
    let spans = observed.spans().await;
    let rpc = named(&spans, "switchgate.v1.SessionService/Originate");
    assert_eq!(value(rpc, "rpc.response.status_code"), "ABORTED");
}

fn header(name: &str) -> SipHeader {
    let text = format!("tracing: {{sip_header: {name}}}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("switchgate.yaml");
    std::fs::write(&path, text).unwrap();
    let source = switchgate::config::Process;
    let loader = switchgate::config::Loader::new(&source).file(Some(path));
    loader.load().unwrap().tracing.sip_header
}

#[tokio::test]
async fn who_is_not_let_in_does_not_choose_what_is_recorded() {
    let observed = Observed::start().await;
    let gateway = Gateway::over_sims(1, |config| {
        observed.configure(config);
        config.access = access(&token("crm", "swg_good"));
    })
    .await;
    let list = || traced(pb::ListNodesRequest::default(), "01");
    let refused = within(gateway.nodes().list_nodes(list())).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);
    let mut request = list();
    let bearer = "Bearer swg_good".parse().unwrap();
    request.metadata_mut().insert("authorization", bearer);
    within(gateway.nodes().list_nodes(request)).await.unwrap();
    gateway.stop().await;
    let mut spans = observed.spans().await;
    spans.retain(|span| hex(&span.trace_id) == TRACE);
    let rpc = named(&spans, "switchgate.v1.NodeService/ListNodes");
    assert_eq!(value(rpc, "rpc.response.status_code"), "OK");
}

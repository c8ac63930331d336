//! The audit: what stands in its file after what clients did.

use std::path::PathBuf;

use serde_json::Value;
use switchgate::access::TokenDigest;
use switchgate::config::{AuditPolicy, Config};
use switchgate::pb;
use switchgate::shutdown::Drain;
use tonic::{Code, Request};

use crate::client::{answered, hang_up, map, tag, to};
use crate::gateway::{Gateway, code_and_reason, on_each, within};
use crate::identities::{access, token};
use crate::verbs::until;

/// A file of its own.
struct File {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

// === impl File ===

impl File {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit");
        Self {
            _folder: folder,
            path,
        }
    }

    fn configure(&self, config: &mut Config) {
        config.audit.file = self.path.to_str().unwrap().to_owned();
    }

    fn lines(&self) -> Vec<Value> {
        let content = std::fs::read_to_string(&self.path).unwrap();
        let lines = content.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

async fn gateway(file: &File) -> Gateway {
    Gateway::over_sims(1, |config| file.configure(config)).await
}

fn rpc(line: &Value) -> &str {
    let rpc = line["rpc"].as_str().unwrap();
    rpc.rsplit_once('/').unwrap().1
}

#[tokio::test]
async fn each_change_has_a_line_with_what_it_was_about_and_no_reading_has_one() {
    let file = File::new();
    let gateway = gateway(&file).await;
    let request_id = tag();
    let request = pb::OriginateRequest {
        request_id: request_id.clone(),
        variables: map(&[("pin", "4711")]),
        ..to(&gateway.dial("answer"))
    };
    let mut request = Request::new(request);
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let traceparent = format!("00-{trace}-b7ad6b7169203331-01");
    request
        .metadata_mut()
        .insert("traceparent", traceparent.parse().unwrap());
    let placed = within(gateway.sessions().originate(request)).await.unwrap();
    let placed = placed.into_inner();
    let session = placed.session.unwrap();
    crate::client::get(&gateway, &session.session_id)
        .await
        .unwrap();
    hang_up(&gateway, &session.session_id).await;
    let again = pb::HangupRequest {
        session_id: session.session_id.clone(),
        ..Default::default()
    };
    within(gateway.sessions().hangup(again)).await.unwrap_err();
    let run = pb::RunApiRequest {
        node_id: "sim-0".to_owned(),
        command: "status".to_owned(),
        arguments: "4930123".to_owned(),
    };
    let _ = within(gateway.nodes().run_api(run)).await;
    gateway.stop().await;

    let lines = file.lines();
    let rpcs: Vec<_> = lines.iter().map(rpc).collect();
    assert_eq!(rpcs, ["Originate", "Hangup", "Hangup", "RunApi"]);
    let originate = &lines[0];
    assert_eq!(originate["rpc"], "switchgate.v1.SessionService/Originate");
    for (name, expected) in [
        ("caller", "anonymous"),
        ("code", "OK"),
        ("request_id", &request_id),
        ("session_id", &session.session_id),
        ("call_id", &session.call_id),
        ("node_id", "sim-0"),
        ("job_id", &placed.job_id),
        ("trace_id", trace),
    ] {
        assert_eq!(originate[name], expected, "{name}");
    }
    assert!(
        originate["peer"]
            .as_str()
            .unwrap()
            .starts_with("127.0.0.1:")
    );
    assert!(originate["duration_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(originate["request"]["variables"]["pin"], "***");
    assert_eq!(originate["request"]["endpoints"][0], "***");
    assert_eq!(originate.get("reason"), None);
    let refused = &lines[2];
    assert_eq!(refused["code"], "FAILED_PRECONDITION");
    assert_eq!(refused["reason"], "SESSION_ENDED");
    assert_eq!(refused["session_id"], session.session_id);
    let run = &lines[3];
    assert_eq!(run["request"]["command"], "status");
    assert_eq!(run["request"]["arguments"], "***");
}

#[tokio::test]
async fn a_call_that_fails_names_its_job_and_one_that_is_told_of_its_leg() {
    let file = File::new();
    let gateway = gateway(&file).await;
    let status = crate::client::originate(&gateway, crate::client::BUSY).await;
    assert_eq!(code_and_reason(&status.unwrap_err()).1, "CALL_FAILED");
    let request = pb::OriginateStreamRequest {
        originate: Some(pb::OriginateRequest {
            request_id: tag(),
            ..to(crate::client::BUSY)
        }),
    };
    let stream = within(gateway.sessions().originate_stream(request)).await;
    let mut stream = stream.unwrap().into_inner();
    while let Ok(Some(_)) = within(stream.message()).await {}
    gateway.stop().await;
    let lines = file.lines();
    assert_eq!(
        lines.iter().map(rpc).collect::<Vec<_>>(),
        ["Originate", "OriginateStream"]
    );
    assert_eq!(lines[0]["reason"], "CALL_FAILED");
    for line in &lines {
        for name in ["job_id", "session_id"] {
            assert!(line[name].is_string(), "{name} of {line}");
        }
    }
    assert!(lines[1]["session_ids"].is_array(), "{}", lines[1]);
    assert!(lines[1]["request_id"].is_string(), "{}", lines[1]);
}

#[tokio::test]
async fn a_client_that_leaves_is_told_as_such() {
    let file = File::new();
    let gateway = gateway(&file).await;
    let mut sessions = gateway.sessions();
    let ringing = to(&gateway.dial("ring"));
    let call = Drain::new().spawn(async move { sessions.originate(ringing).await });
    until(|| (!gateway.control.tracker.sessions().is_empty()).then_some(())).await;
    call.abort();
    until(|| {
        let content = std::fs::read_to_string(&file.path).ok()?;
        (!content.is_empty()).then_some(())
    })
    .await;
    gateway.stop().await;
    let lines = file.lines();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["code"], "CANCELLED");
    assert_eq!(lines[0]["request"]["endpoints"][0], "***");
}

#[tokio::test]
async fn nothing_is_changed_that_cannot_be_told_where_that_is_the_policy() {
    let gateway = Gateway::over_sims(1, |config| {
        config.audit.file = "/dev/full".to_owned();
        config.audit.on_failure = AuditPolicy::Refuse;
    })
    .await;
    // Nobody knows of the full disk before the first line.
    let session = answered(&gateway).await;
    let hangup = || {
        let request = pb::HangupRequest {
            session_id: session.session_id.clone(),
            ..Default::default()
        };
        let mut sessions = gateway.sessions();
        async move { within(sessions.hangup(request)).await }
    };
    let commands = gateway.sim().commands().len();
    let mut refused = None;
    for _ in 0..100 {
        match hangup().await {
            Err(status) if status.code() == Code::ResourceExhausted => {
                refused = Some(status);
                break;
            }
            _ => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
        }
    }
    let status = refused.expect("it is refused");
    assert_eq!(code_and_reason(&status).1, "OVERLOADED");
    assert!(crate::client::has_retry(&status));
    // Reading goes on.
    crate::client::get(&gateway, &session.session_id)
        .await
        .unwrap();
    let after = gateway.sim().commands();
    let kills = after[commands..]
        .iter()
        .filter(|one| one.starts_with(b"api uuid_kill"))
        .count();
    assert!(kills <= 1, "{kills}");
    gateway.stop().await;
}

#[tokio::test]
async fn what_ends_during_the_drain_has_its_line() {
    let file = File::new();
    let mut gateway = Gateway::over_sims(1, |config| {
        file.configure(config);
        config.shutdown.grace = std::time::Duration::from_millis(300);
    })
    .await;
    let mut sessions = gateway.sessions();
    let ringing = to(&gateway.dial("ring"));
    let call = Drain::new().spawn(async move { sessions.originate(ringing).await });
    until(|| (!gateway.control.tracker.sessions().is_empty()).then_some(())).await;
    gateway.begin_stop();
    gateway.stopped().await;
    let status = within(call).await.unwrap().unwrap_err();
    assert_eq!(code_and_reason(&status).1, "SHUTTING_DOWN");
    let lines = file.lines();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["code"], "UNAVAILABLE");
    assert_eq!(lines[0]["reason"], "SHUTTING_DOWN");
}

#[tokio::test]
async fn numbers_show_where_that_is_configured_and_passwords_never() {
    let file = File::new();
    let gateway = Gateway::over_sims(1, |config| {
        file.configure(config);
        config.audit.redact = false;
    })
    .await;
    let session = answered(&gateway).await;
    hang_up(&gateway, &session.session_id).await;
    let add = pb::AddNodeRequest {
        node_id: "other".to_owned(),
        address: "127.0.0.1:1".to_owned(),
        password: "never-to-be-seen".to_owned(),
        ..Default::default()
    };
    let _ = within(gateway.nodes().add_node(add)).await;
    gateway.stop().await;
    let lines = file.lines();
    assert_eq!(lines[0]["request"]["endpoints"][0], crate::client::ANSWERS);
    assert_eq!(lines[2]["request"]["password"], "***");
    let content = std::fs::read_to_string(&file.path).unwrap();
    assert!(!content.contains("never-to-be-seen"));
}

#[tokio::test]
async fn without_a_file_the_line_is_in_the_log() {
    let observed = crate::traces::Observed::start().await;
    on_each(async |gateway| {
        let session = answered(&gateway).await;
        hang_up(&gateway, &session.session_id).await;
        gateway
    })
    .await;
    let logs = observed.logs();
    let lines = logs
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let audit: Vec<_> = lines.filter(|line| line["target"] == "audit").collect();
    assert_eq!(audit[0]["rpc"], "switchgate.v1.SessionService/Originate");
    assert_eq!(audit[1]["rpc"], "switchgate.v1.SessionService/Hangup");
    assert_eq!(audit[1]["code"], "OK");
    assert!(audit[1]["session_id"].is_string());
}

#[tokio::test]
async fn strangers_fill_no_audit_and_are_counted() {
    let file = File::new();
    let gateway = Gateway::over_sims(1, |config| {
        file.configure(config);
        config.access = access(&token("crm", "swg_good"));
    })
    .await;
    for _ in 0..300 {
        let request = pb::HangupRequest::default();
        let refused = within(gateway.sessions().hangup(request)).await;
        assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);
    }
    gateway.stop().await;
    let lines = file.lines();
    let left_out = |line: &Value| line["left_out"].as_u64();
    let whole = lines.iter().filter(|line| left_out(line).is_none()).count();
    assert!(whole < 200, "{whole}");
    let counted: u64 = lines.iter().filter_map(left_out).sum();
    assert_eq!(counted + u64::try_from(whole).unwrap(), 300);
}

#[tokio::test]
async fn whoever_is_known_has_a_line_for_each_change_that_it_may_not_make() {
    let file = File::new();
    let digest = TokenDigest::of(b"swg_good").to_hex();
    let gateway = Gateway::over_sims(1, |config| {
        file.configure(config);
        config.access = access(&format!(
            "{{tokens: [{{name: desk, roles: [viewer], sha256: '{digest}'}}], anonymous: {{roles: [viewer]}}}}"
        ));
    })
    .await;
    let hangup = async |bearer: Option<&str>| {
        let mut request = Request::new(pb::HangupRequest::default());
        if let Some(bearer) = bearer {
            let bearer = bearer.parse().unwrap();
            request.metadata_mut().insert("authorization", bearer);
        }
        let refused = within(gateway.sessions().hangup(request)).await;
        assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    };
    for _ in 0..100 {
        hangup(None).await;
        hangup(Some("Bearer swg_good")).await;
    }
    gateway.stop().await;
    let lines = file.lines();
    let of = |name: &str| lines.iter().filter(|line| line["caller"] == name).count();
    assert_eq!(of("desk"), 100);
    // Anybody can be that one.
    assert!(of("anonymous") < 80, "{}", of("anonymous"));
}

#[tokio::test]
async fn a_flood_of_refusals_of_one_who_is_known_fills_no_audit_and_is_counted() {
    let file = File::new();
    let (desk, ops) = (TokenDigest::of(b"swg_desk"), TokenDigest::of(b"swg_ops"));
    let (desk, ops) = (desk.to_hex(), ops.to_hex());
    let gateway = Gateway::over_sims(1, |config| {
        file.configure(config);
        config.limits.requests_per_second = 1;
        config.limits.burst = 5;
        config.access = access(&format!(
            "tokens: [{{name: desk, roles: [viewer], sha256: '{desk}'}}, \
             {{name: ops, roles: [admin], sha256: '{ops}'}}]"
        ));
    })
    .await;
    let hangup = async |bearer: &str| {
        let mut request = Request::new(pb::HangupRequest::default());
        let bearer = bearer.parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
        let refused = within(gateway.sessions().hangup(request)).await;
        code_and_reason(&refused.unwrap_err()).1
    };
    let mut reasons = Vec::new();
    for _ in 0..600 {
        reasons.push(hangup("Bearer swg_desk").await);
    }
    // Who may do nothing asks no faster than others.
    assert!(
        reasons[..5]
            .iter()
            .all(|reason| reason == "PERMISSION_DENIED")
    );
    let limited = reasons.iter().filter(|reason| *reason == "RATE_LIMITED");
    assert!(limited.count() > 300);
    // The flood of one takes nothing from another.
    assert_eq!(hangup("Bearer swg_ops").await, "INVALID_ARGUMENT");
    gateway.stop().await;
    let lines = file.lines();
    let of = |caller: &'static str| lines.iter().filter(move |line| line["caller"] == caller);
    assert_eq!(of("ops").count(), 1);
    let whole = of("desk").filter(|line| line["left_out"].is_null()).count();
    // As many at once, and 10 a second.
    assert!((100..500).contains(&whole), "{whole}");
    let left_out = of("desk").filter_map(|line| line["left_out"].as_u64());
    assert_eq!(left_out.sum::<u64>() + whole as u64, 600);
}

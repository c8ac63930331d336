use std::fs;
use std::path::Path;

use super::*;

fn line(rpc: &str) -> Line {
    Line {
        time: SystemTime::UNIX_EPOCH,
        rpc: rpc.to_owned(),
        caller: Some("dialer".to_owned()),
        peer: "192.0.2.7:4711".parse().unwrap(),
        request: Some(json!({"session_id": "s", "request_id": "r", "variables": {"pin": "***"}})),
        ids: Ids {
            session: Some("s".to_owned()),
            ..Ids::default()
        },
        code: "OK",
        reason: None,
        took: Duration::from_micros(1500),
        trace_id: None,
    }
}

fn open(path: &Path, on_failure: AuditPolicy) -> Audit {
    let config = AuditConfig {
        file: path.to_str().unwrap().to_owned(),
        on_failure,
        ..AuditConfig::default()
    };
    Audit::open(&config).unwrap()
}

fn rpcs(path: &Path) -> Vec<String> {
    let content = fs::read_to_string(path).unwrap();
    let lines = content.lines();
    lines
        .map(|line| {
            let line: Json = serde_json::from_str(line).unwrap();
            line["rpc"].as_str().unwrap().to_owned()
        })
        .collect()
}

const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn each_line_is_one_object_with_what_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit");
    let audit = open(&path, AuditPolicy::Continue);
    audit.write(&line("a/B"));
    assert!(audit.flush(PATIENCE).await);
    let content = fs::read_to_string(&path).unwrap();
    let told: Json = serde_json::from_str(content.trim_end()).unwrap();
    assert_eq!(
        told,
        json!({
            "time": "1970-01-01T00:00:00.000Z",
            "rpc": "a/B",
            "caller": "dialer",
            "peer": "192.0.2.7:4711",
            "code": "OK",
            "duration_ms": 1.5,
            "request_id": "r",
            "session_id": "s",
            "request": {"session_id": "s", "request_id": "r", "variables": {"pin": "***"}},
        })
    );
}

#[tokio::test]
async fn lines_are_appended_and_follow_a_file_that_was_moved_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit");
    fs::write(&path, "{\"rpc\": \"before\"}\n").unwrap();
    let audit = open(&path, AuditPolicy::Continue);
    audit.write(&line("one"));
    assert!(audit.flush(PATIENCE).await);
    let old = folder.path().join("audit.1");
    fs::rename(&path, &old).unwrap();
    audit.reopen();
    audit.write(&line("two"));
    assert!(audit.flush(PATIENCE).await);
    assert_eq!(rpcs(&old), ["before", "one"]);
    assert_eq!(rpcs(&path), ["two"]);
    assert_eq!(audit.lost(), 0);
}

/// `/dev/full` takes nothing: each write fails as on a disk that is full.
#[tokio::test]
async fn a_full_disk_is_counted_and_refuses_changes_only_where_it_shall() {
    for (policy, refused) in [(AuditPolicy::Continue, false), (AuditPolicy::Refuse, true)] {
        let audit = open(Path::new("/dev/full"), policy);
        assert!(audit.check().is_ok());
        audit.write(&line("lost"));
        audit.flush(PATIENCE).await;
        assert_eq!(audit.lost(), 1);
        let failure = audit.check().err();
        assert_eq!(failure.is_some(), refused);
        if let Some(failure) = failure {
            assert_eq!(failure.reason(), Reason::Overloaded);
            assert!(failure.retry_delay().is_some());
        }
    }
}

#[tokio::test]
async fn what_could_not_be_written_can_be_again() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let path = inner.join("audit");
    let audit = open(&path, AuditPolicy::Refuse);
    fs::rename(&inner, folder.path().join("away")).unwrap();
    audit.reopen();
    assert!(!audit.flush(PATIENCE).await);
    assert!(audit.check().is_err());
    fs::create_dir(&inner).unwrap();
    // The attempt that is refused has a line of its own, which shows that it works again.
    audit.write(&line("refused"));
    assert!(audit.flush(PATIENCE).await);
    assert!(audit.check().is_ok());
    assert_eq!(rpcs(&path), ["refused"]);
}

#[test]
fn a_file_that_cannot_be_written_is_no_audit() {
    let config = AuditConfig {
        file: "/nowhere/at/all".to_owned(),
        ..AuditConfig::default()
    };
    let error = Audit::open(&config).unwrap_err();
    assert!(error.to_string().contains("audit.file"));
}

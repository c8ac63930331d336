//! The whole program with traces: the variables of OpenTelemetry, the last spans at its stop, and a
//! collector that is away.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use switchgate::pb;
use switchgate::pb::session_service_client::SessionServiceClient;
use tonic::Code;

use crate::gateway::{connect, within};
use crate::traces::Observed;
use crate::verbs::until;

/// `switchgate serve --demo` in a process of its own; killed when a test fails.
struct Program {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

// === impl Program ===

impl Program {
    fn start(collector: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_switchgate"))
            .args(["serve", "--demo", "--listen", "127.0.0.1:0"])
            .args(["--log-format", "json"])
            .env_clear()
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
            .env("OTEL_SERVICE_NAME", "gateway-of-tests")
            .env("OTEL_RESOURCE_ATTRIBUTES", "rack=seven")
            .env("SWITCHGATE__TRACING__TIMEOUT", "500ms")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::<Mutex<Vec<String>>>::default();
        let kept = Arc::clone(&log);
        // Reads to the end, or the program would block on a full pipe.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                kept.lock().unwrap().push(line);
            }
        });
        Self { child, log }
    }

    fn count(&self, text: &str) -> usize {
        let log = self.log.lock().unwrap();
        log.iter().filter(|line| line.contains(text)).count()
    }

    async fn address(&self) -> SocketAddr {
        until(|| {
            let log = self.log.lock().unwrap();
            log.iter()
                .find(|line| line.contains("a node is in service"))?;
            let line = log.iter().find(|line| line.contains("serving gRPC"))?;
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["address"].as_str()?.parse().ok()
        })
        .await
    }

    /// Asks it so many times for a session without an id, whatever nodes there are; says how long one
    /// took that took as long as most.
    async fn ask(&self, times: usize) -> Duration {
        let channel = connect(self.address().await).await;
        let mut sessions = SessionServiceClient::new(channel);
        let mut took = Vec::new();
        for _ in 0..times {
            let began = tokio::time::Instant::now();
            let request = pb::GetSessionRequest {
                session_id: String::new(),
                include_variables: false,
            };
            let status = within(sessions.get_session(request)).await.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument);
            took.push(began.elapsed());
        }
        took.sort();
        took[times / 2]
    }

    /// Says how long it took to stop.
    async fn stop(&mut self) -> Duration {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(status.success());
        let began = tokio::time::Instant::now();
        let status = until(|| self.child.try_wait().unwrap()).await;
        assert!(status.success(), "{status}");
        began.elapsed()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails when it has ended, as it should have.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn the_last_spans_are_sent_at_the_stop() {
    let observed = Observed::start().await;
    let mut program = Program::start(&format!("http://{}", observed.collector.address));
    program.ask(20).await;
    program.stop().await;
    let spans = observed.received();
    assert_eq!(spans.len(), 20);
    let exported = observed.exported();
    for part in ["gateway-of-tests", "rack", "seven", "service.version"] {
        assert!(exported.contains(part), "{part}");
    }
}

#[tokio::test]
async fn a_collector_that_is_away_is_told_once_and_holds_up_no_stop() {
    let mut observed = Observed::start().await;
    let collector = format!("http://{}", observed.collector.address);
    observed.collector.stop();
    let mut program = Program::start(&collector);
    // More than one export.
    for round in 1..=2 {
        // Each export fails after 500 ms, for which no RPC waits.
        let took = program.ask(600 * round).await;
        assert!(took < Duration::from_millis(100), "{took:?}");
        until(|| (program.count("spans are not exported") > 0).then_some(())).await;
    }
    let took = program.stop().await;
    assert!(took < Duration::from_secs(8), "{took:?}");
    assert_eq!(program.count("spans are not exported"), 1);
    let log = program.log.lock().unwrap();
    let alarms = log.iter().filter(|line| line.contains("opentelemetry"));
    assert_eq!(alarms.collect::<Vec<_>>(), Vec::<&String>::new());
}

//! An OpenTelemetry collector as far as tests need one, and a process's logs and spans.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use switchgate::config::{Config, LogConfig, LogFormat, TracingConfig};
use switchgate::shutdown::Drain;
use switchgate::telemetry::{Traces, dispatch};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};
use tracing::dispatcher::DefaultGuard;

use crate::gateway::PATIENCE;

/// What was exported, all of it.
#[derive(Debug, Clone, Default)]
struct Received(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

/// Takes spans over gRPC.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    received: Received,
    server: JoinHandle<()>,
}

/// Logs and traces of what runs on this test's runtime.
pub(crate) struct Observed {
    pub(crate) collector: Collector,
    traces: Traces,
    logs: Logs,
    tracing: TracingConfig,
    _default: DefaultGuard,
}

#[derive(Clone, Default)]
struct Logs(Arc<Mutex<Vec<u8>>>);

#[tonic::async_trait]
impl TraceService for Received {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

// === impl Collector ===

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Received::default();
        let service = TraceServiceServer::new(received.clone());
        let server = Drain::new().spawn(async move {
            let incoming = TcpListenerStream::new(listener);
            let server = tonic::transport::Server::builder().add_service(service);
            server.serve_with_incoming(incoming).await.unwrap();
        });
        Self {
            address,
            received,
            server,
        }
    }

    /// Nobody listens any more.
    pub(crate) fn stop(&mut self) {
        self.server.abort();
    }
}

// === impl Observed ===

impl Observed {
    /// A collector, and everything of this thread goes to it; the logs at level trace.
    pub(crate) async fn start() -> Self {
        let collector = Collector::start().await;
        let tracing = TracingConfig {
            otlp_endpoint: format!("http://{}", collector.address),
            timeout: Duration::from_secs(2),
            ..TracingConfig::default()
        };
        let traces = Traces::start(&tracing).unwrap();
        let logs = Logs::default();
        let log = LogConfig {
            // The simulator stands for FreeSWITCH, whose logs are its own.
            level: "trace,switchgate::sim=off".to_owned(),
            format: LogFormat::Json,
        };
        let writer = logs.clone();
        let (dispatch, _) = dispatch(&log, false, move || writer.clone(), Some(&traces)).unwrap();
        Self {
            collector,
            traces,
            logs,
            tracing,
            _default: tracing::dispatcher::set_default(&dispatch),
        }
    }

    pub(crate) fn configure(&self, config: &mut Config) {
        config.tracing = self.tracing.clone();
    }

    /// What has come so far.
    pub(crate) fn received(&self) -> Vec<Span> {
        let received = self.collector.received.0.lock().unwrap();
        let resources = received.iter().flat_map(|one| &one.resource_spans);
        let scopes = resources.flat_map(|one| &one.scope_spans);
        scopes.flat_map(|one| one.spans.clone()).collect()
    }

    /// All that was exported, as text.
    pub(crate) fn exported(&self) -> String {
        format!("{:?}", self.collector.received.0.lock().unwrap())
    }

    /// All spans that have ended.
    pub(crate) async fn spans(&self) -> Vec<Span> {
        self.traces.flush(PATIENCE).await;
        self.received()
    }

    /// Forgets what has come.
    pub(crate) fn forget(&self) {
        self.collector.received.0.lock().unwrap().clear();
    }

    /// What was logged.
    pub(crate) fn logs(&self) -> String {
        String::from_utf8(self.logs.0.lock().unwrap().clone()).unwrap()
    }
}

// === impl Logs ===

impl io::Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A value as text; empty when it is not there.
pub(crate) fn value(attributes: &[KeyValue], name: &str) -> String {
    let found = attributes.iter().find(|one| one.key == name);
    let value = found.and_then(|one| one.value.as_ref()?.value.as_ref());
    match value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(truth)) => truth.to_string(),
        _ => String::new(),
    }
}

/// Spans for people.
pub(crate) fn shown(spans: &[Span]) -> String {
    let names = spans.iter().map(|span| span.name.as_str());
    names.collect::<Vec<_>>().join(", ")
}

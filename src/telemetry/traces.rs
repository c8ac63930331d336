//! Traces: spans go to an OpenTelemetry collector in batches, on a thread of the exporter's own.

use std::fs;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData, SpanExporter,
};
use tonic::metadata::{Ascii, MetadataKey, MetadataMap, MetadataValue};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::TelemetryError;
use super::spans::{RPC, SPANS};
use crate::config::TracingConfig;

/// Spans that wait for their export: some seconds of a busy gateway. More are left out, and counted
/// in the log.
const MAX_QUEUED: usize = 16 * 1024;
/// Spans in one export.
const MAX_BATCH: usize = 512;
/// Longest time that a span waits for others to make up a batch.
const BATCH_DELAY: Duration = Duration::from_secs(1);

/// The way of spans to the collector. Clones share it.
#[derive(Debug, Clone)]
pub struct Traces {
    provider: SdkTracerProvider,
}

/// Says once that spans do not arrive, and once that they do again.
#[derive(Debug)]
struct Told<E> {
    exporter: E,
    fails: AtomicBool,
}

// === impl Traces ===

impl Traces {
    /// Starts the exporter, which connects when it has spans; within a runtime.
    ///
    /// # Errors
    /// When the headers for the collector or its address cannot be used.
    pub fn start(config: &TracingConfig) -> Result<Self, TelemetryError> {
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_protocol(Protocol::Grpc)
            .with_endpoint(&config.otlp_endpoint)
            .with_timeout(config.timeout)
            .with_metadata(headers(&config.headers_file)?)
            .build()?;
        let exporter = Told {
            exporter,
            fails: AtomicBool::new(false),
        };
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(MAX_QUEUED)
            .with_max_export_batch_size(MAX_BATCH)
            .with_scheduled_delay(BATCH_DELAY)
            .build();
        let processor = BatchSpanProcessor::builder(exporter)
            .with_batch_config(batches)
            .build();
        let attributes = config.resource.iter();
        let resource = Resource::builder()
            .with_service_name(config.service_name.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attributes(
                attributes.map(|(name, value)| KeyValue::new(name.clone(), value.clone())),
            )
            .build();
        let mut provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_resource(resource);
        // Else OTEL_TRACES_SAMPLER counts, which the provider reads itself.
        if config.sample_ratio < 1.0 {
            let ratio = Sampler::TraceIdRatioBased(config.sample_ratio);
            provider = provider.with_sampler(Sampler::ParentBased(Box::new(ratio)));
        }
        Ok(Self {
            provider: provider.build(),
        })
    }

    /// Takes spans.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        // What else the layer could tell is of no use to operators, or costs at each poll.
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer(env!("CARGO_PKG_NAME")))
            .with_context_activation(false)
            .with_tracked_inactivity(false)
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_filter(
                dynamic_filter_fn(|metadata, context: &Context<'_, S>| {
                    is_of_trace(metadata)
                        && (metadata.name() == RPC || context.lookup_current().is_some())
                })
                .with_callsite_filter(|metadata| match is_of_trace(metadata) {
                    true => tracing::subscriber::Interest::sometimes(),
                    false => tracing::subscriber::Interest::never(),
                }),
            )
    }

    /// Sends the spans that have ended; gives up after `patience`.
    pub async fn flush(&self, patience: Duration) {
        let provider = self.provider.clone();
        blocking(patience, move || provider.force_flush()).await;
    }

    /// Sends the spans that are left, and no more from then on; gives up after `patience`.
    pub async fn finish(self, patience: Duration) {
        blocking(patience, move || {
            self.provider.shutdown_with_timeout(patience)
        })
        .await;
    }
}

// === impl Told ===

impl<E: SpanExporter> SpanExporter for Told<E> {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        let export = self.exporter.export(batch);
        async move {
            let result = export.await;
            let failed = result.is_err();
            if self.fails.swap(failed, Ordering::Relaxed) != failed {
                match &result {
                    Ok(()) => tracing::info!("spans are exported again"),
                    Err(error) => tracing::warn!(%error, "spans are not exported"),
                }
            }
            // The caller would tell each failure again.
            Ok(())
        }
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// Waits for the exporter's thread, which blocks, and not longer than this. What fails was told.
async fn blocking(patience: Duration, wait: impl FnOnce() -> OTelSdkResult + Send + 'static) {
    let waited = tokio::task::spawn_blocking(wait);
    let _ = tokio::time::timeout(patience, waited).await;
}

fn is_of_trace(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target() == SPANS
}

/// The headers in a file, one `name: value` a line.
fn headers(path: &str) -> Result<MetadataMap, TelemetryError> {
    let mut headers = MetadataMap::new();
    if path.is_empty() {
        return Ok(headers);
    }
    let content = fs::read_to_string(path).map_err(|source| TelemetryError::HeadersFile {
        path: path.to_owned(),
        source,
    })?;
    for (at, line) in content.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = header(line).ok_or_else(|| TelemetryError::Header {
            path: path.to_owned(),
            line: at + 1,
        })?;
        headers.append(name, value);
    }
    Ok(headers)
}

fn header(line: &str) -> Option<(MetadataKey<Ascii>, MetadataValue<Ascii>)> {
    let (name, value) = line.split_once(':')?;
    let name = name.trim().to_ascii_lowercase().parse().ok()?;
    let mut value: MetadataValue<Ascii> = value.trim().parse().ok()?;
    value.set_sensitive(true);
    Some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_and_a_malformed_line_is_named_but_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("headers");
        let path = path.to_str().unwrap();
        fs::write(path, "# token\nAuthorization: Bearer a:b\n\nx-scope: 1\n").unwrap();
        let read = headers(path).unwrap();
        assert_eq!(read.get("authorization").unwrap(), "Bearer a:b");
        assert_eq!(read.len(), 2);
        fs::write(path, "x-scope: 1\nsecret\n").unwrap();
        let error = headers(path).unwrap_err().to_string();
        assert!(
            error.contains("line 2") && !error.contains("secret"),
            "{error}"
        );
        assert!(headers("").unwrap().is_empty());
        assert!(matches!(
            headers("/nowhere/at/all"),
            Err(TelemetryError::HeadersFile { .. })
        ));
    }
}

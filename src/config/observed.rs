//! What operators see beside the logs: traces and the audit.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::value::{AuditPolicy, SipHeader, read, write_duration};

/// Traces, which go to an OpenTelemetry collector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TracingConfig {
    /// Where the collector takes OTLP over gRPC, such as `http://127.0.0.1:4317`. Empty for no
    /// traces, which is the default. OTEL_EXPORTER_OTLP_TRACES_ENDPOINT and
    /// OTEL_EXPORTER_OTLP_ENDPOINT say it where no file does.
    #[serde(deserialize_with = "read")]
    pub otlp_endpoint: String,
    /// Part of the traces that begin here which is exported, from 0 to 1. Of a trace that a client
    /// began, the client decides. Default 1; OTEL_TRACES_SAMPLER counts where it is 1.
    #[serde(deserialize_with = "read")]
    pub sample_ratio: f64,
    /// `service.name` of all spans. Default switchgate; OTEL_SERVICE_NAME says it where no file
    /// does.
    #[serde(deserialize_with = "read")]
    pub service_name: String,
    /// Further attributes of all spans, such as `deployment.environment.name`. Default none; those
    /// of OTEL_RESOURCE_ATTRIBUTES come in addition.
    pub resource: BTreeMap<String, String>,
    /// File with headers for the collector, one `name: value` a line, such as its token. Empty for
    /// none, which is the default.
    #[serde(deserialize_with = "read")]
    pub headers_file: String,
    /// Longest time for one export. Default 10s.
    #[serde(deserialize_with = "read", serialize_with = "write_duration")]
    pub timeout: Duration,
    /// Channel variable of calls that are placed which holds their `traceparent`, so that CDRs can
    /// be joined; set while there are traces. Empty for none. Default `traceparent`.
    #[serde(deserialize_with = "read")]
    pub variable: String,
    /// Whether the far end of such a call gets it too, as a SIP header: `false`, `true` for
    /// `traceparent`, or the name of the header. Default false.
    #[serde(deserialize_with = "read")]
    pub sip_header: SipHeader,
}

/// The audit: one line for each RPC that changes something, or tried to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditConfig {
    /// File to which lines of JSON are appended. Empty for the standard log, with the target
    /// `audit`, which is the default.
    #[serde(deserialize_with = "read")]
    pub file: String,
    /// Whether `***` stands for what the API marks as sensitive. Passwords never show. Default
    /// true.
    #[serde(deserialize_with = "read")]
    pub redact: bool,
    /// What becomes of RPCs that change something while the file cannot be written: `continue`
    /// without the line, or `refuse` them. Default continue.
    #[serde(deserialize_with = "read")]
    pub on_failure: AuditPolicy,
}

// === impl Default ===

impl Default for TracingConfig {
    fn default() -> Self {
        Self {
            otlp_endpoint: String::new(),
            sample_ratio: 1.0,
            service_name: "switchgate".to_owned(),
            resource: BTreeMap::new(),
            headers_file: String::new(),
            timeout: Duration::from_secs(10),
            variable: "traceparent".to_owned(),
            sip_header: SipHeader::default(),
        }
    }
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self {
            file: String::new(),
            redact: true,
            on_failure: AuditPolicy::default(),
        }
    }
}

// === impl TracingConfig ===

impl TracingConfig {
    /// Whether there are traces.
    pub fn is_on(&self) -> bool {
        !self.otlp_endpoint.is_empty()
    }

    /// The channel variables that hold the trace of a call.
    pub fn variables(&self) -> Vec<String> {
        if !self.is_on() {
            return Vec::new();
        }
        let variable = Some(self.variable.clone()).filter(|name| !name.is_empty());
        // `sip_h_` makes a header of a variable (`sofia_glue_get_extra_headers` in `sofia_glue.c`).
        let header = self.sip_header.name().map(|name| format!("sip_h_{name}"));
        variable.into_iter().chain(header).collect()
    }
}

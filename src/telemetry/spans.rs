//! Spans of traces: what the floors need to know of them.

use http::HeaderMap;
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::domain::Reason;

/// Target of all spans of traces, at level INFO. While there are no traces nobody takes it, so that
/// a span costs no more than the look whether somebody does.
pub const SPANS: &str = "switchgate::trace";

/// Name of the span with which a trace goes on or begins here. All others are inside one: what the
/// gateway does by itself makes no traces.
pub(super) const RPC: &str = "rpc";

/// `otel.status_code` of a span that failed.
pub(crate) const FAILED: &str = "error";

/// A reason as `error.type` of a span: its name in the API.
pub(crate) fn error_type(reason: Reason) -> String {
    let name = format!("{reason:?}");
    let mut shown = String::with_capacity(name.len() + 4);
    for (at, letter) in name.char_indices() {
        if at > 0 && letter.is_ascii_uppercase() {
            shown.push('_');
        }
        shown.push(letter.to_ascii_uppercase());
    }
    shown
}

/// Headers of a request as OpenTelemetry reads them.
struct Headers<'a>(&'a HeaderMap);

// === impl Headers ===

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

/// Makes a span part of the trace that the headers tell, if they tell one.
pub(crate) fn continue_from(span: &Span, headers: &HeaderMap) {
    if !span.is_disabled() {
        // Only a span that has children already would refuse.
        let _ = span.set_parent(remote(headers));
    }
}

/// The trace that the headers tell.
pub(crate) fn remote_trace_id(headers: &HeaderMap) -> Option<String> {
    headers.get("traceparent")?;
    shown_trace_id(remote(headers).span().span_context())
}

/// Makes a span that was made without a parent a child of the current one in the trace, without
/// holding that one open: for what may outlive it.
pub fn detach(span: &Span) {
    if !span.is_disabled() {
        let _ = span.set_parent(Span::current().context());
    }
}

/// The trace of a span, if it has one.
pub fn trace_id(span: &Span) -> Option<String> {
    if span.is_disabled() {
        return None;
    }
    shown_trace_id(span.context().span().span_context())
}

/// The current span as W3C Trace Context writes it, while there are traces.
pub fn traceparent() -> Option<String> {
    let context = Span::current().context();
    let span = context.span();
    let context = span.span_context();
    context.is_valid().then(|| {
        format!(
            "00-{}-{}-{:02x}",
            context.trace_id(),
            context.span_id(),
            context.trace_flags() & opentelemetry::TraceFlags::SAMPLED
        )
    })
}

fn remote(headers: &HeaderMap) -> Context {
    TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers))
}

fn shown_trace_id(context: &SpanContext) -> Option<String> {
    context.is_valid().then(|| context.trace_id().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_read_from_the_headers_and_a_malformed_one_is_none() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", value.parse().unwrap());
            remote_trace_id(&headers)
        };
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let whole = format!("00-{trace}-b7ad6b7169203331-01");
        assert_eq!(of(&whole).as_deref(), Some(trace));
        for malformed in [
            "",
            "00",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(of(malformed), None, "{malformed}");
        }
        assert_eq!(remote_trace_id(&HeaderMap::new()), None);
    }

    #[test]
    fn without_traces_there_is_no_traceparent() {
        assert_eq!(traceparent(), None);
        assert_eq!(trace_id(&Span::current()), None);
    }
}

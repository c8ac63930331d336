//! Traces and the audit.

use super::{errors, load};
use crate::config::Fake;

#[test]
fn the_variables_of_opentelemetry_count_where_nothing_else_says_it() {
    let collector = "http://192.0.2.1:4317";
    let source = || {
        Fake::new()
            .variable("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
            .variable("OTEL_SERVICE_NAME", "dialer")
    };
    let of = |content: &str, source| load(content, source).unwrap().tracing;
    let tracing = of("", source());
    assert_eq!(
        (
            tracing.otlp_endpoint.as_str(),
            tracing.service_name.as_str()
        ),
        (collector, "dialer")
    );
    assert!(tracing.is_on());
    let own = "http://192.0.2.2:4317";
    let source_of_traces = source().variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", own);
    assert_eq!(of("", source_of_traces).otlp_endpoint, own);
    let content = format!("tracing: {{otlp_endpoint: '{own}', service_name: x}}");
    let tracing = of(&content, source());
    assert_eq!(
        (
            tracing.otlp_endpoint.as_str(),
            tracing.service_name.as_str()
        ),
        (own, "x")
    );
    // As one says that there shall be none.
    assert!(!of("tracing: {otlp_endpoint: ''}", source()).is_on());
}

#[test]
fn a_trace_goes_into_the_variables_that_are_asked_for_while_there_are_traces() {
    let of = |content: &str| load(content, Fake::new()).unwrap().tracing.variables();
    assert!(of("tracing: {sip_header: true}").is_empty());
    let on = "otlp_endpoint: 'http://h:4317'";
    assert_eq!(of(&format!("tracing: {{{on}}}")), ["traceparent"]);
    assert_eq!(
        of(&format!("tracing: {{{on}, sip_header: true}}")),
        ["traceparent", "sip_h_traceparent"]
    );
    assert_eq!(
        of(&format!(
            "tracing: {{{on}, variable: '', sip_header: X-Trace}}"
        )),
        ["sip_h_X-Trace"]
    );
}

#[test]
fn what_traces_and_audit_cannot_use_is_told() {
    assert_eq!(
        errors(
            "tracing: {otlp_endpoint: 'https://h:4317', sample_ratio: 1.5, variable: 'a b', sip_header: 'a b', timeout: 0s}\naudit: {on_failure: perhaps}"
        ),
        [
            "tracing.otlp_endpoint: `https://h:4317` asks for TLS, which the exporter does not speak; run a collector beside the gateway and write http://127.0.0.1:4317 (switchgate.yaml)",
            "tracing.sample_ratio: 1.5 is no part of the whole; give a number from 0 to 1, such as 0.1 (switchgate.yaml)",
            "tracing.sip_header: `a b` is not true, false or the name of a SIP header; write letters, digits and -, such as X-Traceparent (switchgate.yaml)",
            "tracing.timeout: 0s is too short; give a time longer than zero (switchgate.yaml)",
            "tracing.variable: `a b` is no name of a channel variable; write letters, digits, _ and -, at most 128, such as traceparent, or \"\" for none (switchgate.yaml)",
            "audit.on_failure: `perhaps` is not a policy; write continue or refuse (switchgate.yaml)",
        ]
    );
    for endpoint in ["h:4317", "http://", "grpc://h:1", "no url"] {
        let content = format!("tracing: {{otlp_endpoint: '{endpoint}'}}");
        assert_eq!(errors(&content).len(), 1, "{endpoint}");
    }
    assert_eq!(errors("tracing: {sample_ratio: .nan}").len(), 1);
}

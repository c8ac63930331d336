//! What no single value shows of traces.

use http::Uri;

use super::{Check, LONGEST_VARIABLE};
use crate::config::TracingConfig;
use crate::esl::quote::check_variable_name;

// === impl Check ===

impl Check<'_> {
    pub(super) fn tracing(&mut self, tracing: &TracingConfig) {
        let shown = |text: &str| format!("`{}`", text.escape_debug());
        if let Err((reason, remedy)) = check_endpoint(&tracing.otlp_endpoint) {
            let value = shown(&tracing.otlp_endpoint);
            self.add("tracing.otlp_endpoint", Some(&value), reason, remedy);
        }
        if !(0.0..=1.0).contains(&tracing.sample_ratio) {
            self.add(
                "tracing.sample_ratio",
                Some(&tracing.sample_ratio),
                "is no part of the whole",
                "give a number from 0 to 1, such as 0.1",
            );
        }
        let variable = &tracing.variable;
        if !variable.is_empty()
            && (check_variable_name(variable).is_err() || variable.len() > LONGEST_VARIABLE)
        {
            self.add(
                "tracing.variable",
                Some(&shown(variable)),
                "is no name of a channel variable",
                &format!(
                    "write letters, digits, _ and -, at most {LONGEST_VARIABLE}, such as traceparent, or \"\" for none"
                ),
            );
        }
    }
}

/// That spans can be sent there.
fn check_endpoint(endpoint: &str) -> Result<(), (&'static str, &'static str)> {
    if endpoint.is_empty() {
        return Ok(());
    }
    let example = "write http://HOST:PORT, such as http://127.0.0.1:4317";
    let uri: Uri = endpoint.parse().map_err(|_| ("is no URL", example))?;
    match uri.scheme_str() {
        Some("http") if uri.host().is_some() => Ok(()),
        Some("https") => Err((
            "asks for TLS, which the exporter does not speak",
            "run a collector beside the gateway and write http://127.0.0.1:4317",
        )),
        _ => Err(("is no URL of a collector", example)),
    }
}

//! Names and labels in expressions of PromQL, as far as the dashboard and the alert rules need it.

/// Metrics that Prometheus makes itself.
pub(super) const MADE: [&str; 1] = ["up"];

/// `a="b",c=~"d"` as pairs.
pub(super) fn matchers(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('"') {
        let Some((value, behind)) = after.split_once('"') else {
            break;
        };
        let label = before.trim_start_matches([',', ' ']);
        let label = label.trim_end_matches(['=', '~', '!']);
        found.push((label.to_owned(), value.to_owned()));
        rest = behind;
    }
    found
}

/// Each metric that an expression names, with what stands in its braces.
pub(super) fn selectors(expression: &str) -> Vec<(String, String)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(at) = rest.find(|c: char| c.is_ascii_alphabetic() || c == '"') {
        rest = &rest[at..];
        if let Some(text) = rest.strip_prefix('"') {
            rest = text.split_once('"').map_or("", |(_, behind)| behind);
            continue;
        }
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        rest = behind;
        let is_metric = ["switchgate_", "process_"]
            .iter()
            .any(|begin| name.starts_with(begin));
        if !is_metric && !MADE.contains(&name) {
            continue;
        }
        let selector = rest.strip_prefix('{').map(|inner| {
            // No label value of ours holds a brace.
            inner.split_once('}').map_or(inner, |(inner, _)| inner)
        });
        found.push((name.to_owned(), selector.unwrap_or_default().to_owned()));
        if let Some(selector) = selector {
            rest = &rest[selector.len() + 2..];
        }
    }
    found
}

/// Labels behind `by`.
pub(super) fn grouped(expression: &str) -> Vec<String> {
    let groups = expression.split("by (").skip(1);
    let inner = groups.filter_map(|group| group.split_once(')'));
    inner
        .flat_map(|(labels, _)| labels.split(','))
        .map(|label| label.trim().to_owned())
        .collect()
}

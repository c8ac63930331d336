//! Which keys of two configurations differ.

use serde_json::Value as Json;

use crate::config::Config;

/// The names of the keys that differ, but for those that are left out. No value is told.
pub(super) fn that_differ(
    one: &Config,
    other: &Config,
    left_out: impl Fn(&str) -> bool,
) -> Vec<String> {
    let mut keys = Vec::new();
    // Every value that is read can be written.
    if let (Ok(one), Ok(other)) = (serde_json::to_value(one), serde_json::to_value(other)) {
        compare("", &one, &other, &mut keys);
    }
    keys.retain(|key| !left_out(key));
    keys
}

fn compare(key: &str, one: &Json, other: &Json, keys: &mut Vec<String>) {
    match (one, other) {
        (Json::Object(one), Json::Object(other)) => {
            let missing = &Json::Null;
            let names = one
                .keys()
                .chain(other.keys().filter(|name| !one.contains_key(*name)));
            for name in names {
                let below = match key {
                    "" => name.clone(),
                    above => format!("{above}.{name}"),
                };
                let value =
                    |map: &serde_json::Map<String, Json>| map.get(name).unwrap_or(missing).clone();
                compare(&below, &value(one), &value(other), keys);
            }
        }
        _ if one != other => keys.push(key.to_owned()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn keys_are_named_as_they_are_written() {
        let (one, mut other) = (Config::default(), Config::default());
        assert!(that_differ(&one, &other, |_| false).is_empty());
        other.grpc.listen.set_port(1);
        other.esl.backoff.max = Duration::from_secs(1);
        other.grpc.tls.certificate = Some("/a".into());
        other.log.level = "debug".to_owned();
        other.tenants.insert("a".to_owned(), Default::default());
        let mut keys = that_differ(&one, &other, |key| key == "log.level");
        keys.sort();
        assert_eq!(
            keys,
            [
                "esl.backoff.max",
                "grpc.listen",
                "grpc.tls.certificate",
                "tenants.a"
            ]
        );
    }
}

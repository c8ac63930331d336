//! The schema of the chart's values knows each key of the configuration, and no other.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::Value;

/// Keys that are no values, since they follow from others or would break the probes.
const SET_BY_THE_CHART: [&str; 4] = ["grpc.listen", "grpc.tls", "admin.enabled", "admin.listen"];

/// Keys that the chart adds, and takes away again.
const OF_THE_CHART: [&str; 5] = [
    "nodes[].existingSecret",
    "access.tokens[].existingSecret",
    "access.jwt[].existingJwks",
    "access.jwt[].existingCa",
    "tracing.existingHeaders",
];

/// Whatever the gateway shows only when it is set. A JWKS with a key, since it is read.
const FULL: &str = r#"
nodes: [{id: a, address: a, user: u@d, password_file: FOLDER/password, labels: {}, command_links: 1}]
access:
  tokens: [{name: a, sha256: "0000000000000000000000000000000000000000000000000000000000000000", roles: [viewer], tenant: t}]
  jwt:
    - {issuer: a, audience: [b], jwks_url: "http://127.0.0.1/keys", tenant_claim: t, roles: [viewer], tenant: t}
  certificates: []
  anonymous: {roles: [viewer], tenant: t}
roles: {r: {rpcs: {allow: ["*"], deny: ["JobService/*"]}, nodes: [a], commands: {allow: [a], deny: [b]}, applications: {allow: [a], deny: [b]}, expand: false}}
tenants: {t: {variable: a, value: b}}
discovery:
  dns_server: 127.0.0.1:53
  sources:
    - {name: a, dns: {name: a., port: 8021}, interval: 3s, node_id: "{address}", labels: {}, user: u@d, password_file: FOLDER/password}
    - {name: b, dns: {name: a., srv: true}}
    - {name: c, file: FOLDER/nodes.yaml, labels: {}}
"#;

/// Keys that `FULL` cannot show: two ways exclude each other, or files would have to be there.
const NOT_SHOWN: [&str; 5] = [
    "nodes[].password",
    "access.jwt[].ca_file",
    "access.jwt[].jwks_file",
    "access.certificates[]",
    "roles{}",
];

#[test]
fn the_schema_has_the_keys_of_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("password"), "secret").unwrap();
    let file = folder.path().join("switchgate.yaml");
    let full = FULL.replace("FOLDER", folder.path().to_str().unwrap());
    fs::write(&file, full).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_switchgate"))
        .arg("check-config")
        .arg(&file)
        .env_clear()
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let shown: Value = yaml_serde::from_slice(&output.stdout).unwrap();
    let mut configuration = BTreeSet::new();
    keys_of(&shown, "", &mut configuration);

    let schema = fs::read_to_string(format!("{}/values.schema.json", super::CHART)).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let mut known = BTreeSet::new();
    schema_keys(&schema, &schema["properties"]["config"], "", &mut known);

    let starts = |key: &str, list: &[&str]| list.iter().any(|one| key.starts_with(one));
    let missing: Vec<_> = configuration
        .difference(&known)
        .filter(|key| !starts(key, &SET_BY_THE_CHART))
        .collect();
    assert!(missing.is_empty(), "values.schema.json lacks {missing:?}");
    let unknown: Vec<_> = known
        .difference(&configuration)
        .filter(|key| !starts(key, &OF_THE_CHART) && !starts(key, &NOT_SHOWN))
        .collect();
    assert!(unknown.is_empty(), "the configuration lacks {unknown:?}");
    for key in SET_BY_THE_CHART {
        assert!(!known.contains(key), "{key} is not the user's to set");
    }
}

/// The paths of all keys; `[]` stands for an item of a list, `{}` for a name that a user chose.
fn keys_of(value: &Value, path: &str, keys: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let below = match path {
                    "roles" | "tenants" => format!("{path}{{}}"),
                    "" => key.clone(),
                    above => format!("{above}.{key}"),
                };
                keys.insert(below.clone());
                keys_of(value, &below, keys);
            }
        }
        Value::Array(items) => {
            for item in items.iter().filter(|item| item.is_object()) {
                keys_of(item, &format!("{path}[]"), keys);
            }
        }
        _ => {}
    }
}

/// The same of a schema.
fn schema_keys(root: &Value, schema: &Value, path: &str, keys: &mut BTreeSet<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let found = root.pointer(reference.strip_prefix('#').unwrap()).unwrap();
        return schema_keys(root, found, path, keys);
    }
    if let Some(properties) = schema["properties"].as_object() {
        assert_eq!(schema["additionalProperties"], false, "{path}");
        for (key, value) in properties {
            let below = match path {
                "" => key.clone(),
                above => format!("{above}.{key}"),
            };
            keys.insert(below.clone());
            schema_keys(root, value, &below, keys);
        }
    }
    if schema["items"].is_object() {
        schema_keys(root, &schema["items"], &format!("{path}[]"), keys);
    }
    // Only names that the user chooses have keys below them here: other maps hold plain values.
    if matches!(path, "roles" | "tenants") {
        let below = format!("{path}{{}}");
        keys.insert(below.clone());
        schema_keys(root, &schema["additionalProperties"], &below, keys);
    }
}

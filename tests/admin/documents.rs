//! The dashboard, the alert rules and the operator's guide name what a gateway really tells.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use switchgate::config::{Password, Place, SourceConfig};
use switchgate::sim::SimConfig;
use switchgate::tls::ClientCertificates;

use super::promql::{MADE, grouped, matchers, selectors};
use super::{Scrape, until_scraped};
use crate::client::{answered, hang_up};
use crate::faults::over;
use crate::tls::Secured;

const DASHBOARD: &str = "deploy/grafana/switchgate.json";
const ALERTS: &str = "deploy/prometheus/alerts.yaml";
const GUIDE: &str = "docs/operating-metrics.md";

/// Labels that Prometheus adds to each sample.
const ADDED: [&str; 2] = ["instance", "job"];
/// What a gateway tells: labels and their values by the name of the sample, and each family with its
/// kind.
#[derive(Default)]
struct Told {
    labels: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    families: BTreeMap<String, String>,
}

// === impl Told ===

impl Told {
    /// By a gateway on which each family has a sample.
    async fn live() -> (Self, String) {
        let config = SimConfig {
            name: "sim-0".to_owned(),
            heartbeat: Duration::from_millis(50),
            ..SimConfig::default()
        };
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "[]").unwrap();
        let gateway = over(config, |config| {
            config.discovery.sources.push(SourceConfig {
                name: "list".to_owned(),
                place: Place::File(file.path().to_owned()),
                interval: Duration::from_secs(1),
                user: None,
                password: Password::freeswitch_default(),
                labels: BTreeMap::new(),
                command_links: 1,
            });
        })
        .await;
        let session = answered(&gateway).await.session_id;
        hang_up(&gateway, &session).await;
        let scrape = until_scraped(&gateway, |scrape| {
            scrape.value(r#"switchgate_node_max_sessions{node="sim-0"}"#) > 0.0
        })
        .await;
        gateway.stop().await;
        let mut told = Self::parse(&scrape);
        // What is told with TLS alone.
        let secured = Secured::new(ClientCertificates::None).await;
        let with_tls = Scrape::of(&secured.gateway).await;
        secured.gateway.stop().await;
        for (name, labels) in Self::parse(&with_tls).labels {
            told.labels.entry(name).or_insert(labels);
        }
        (told, scrape.text)
    }

    fn parse(scrape: &Scrape) -> Self {
        let mut told = Self::default();
        for line in scrape.text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                told.families.insert(name.to_owned(), kind.to_owned());
            }
        }
        for sample in scrape.samples.keys() {
            let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
            let known = told.labels.entry(name.to_owned()).or_default();
            for (label, value) in matchers(labels) {
                known.entry(label).or_default().insert(value);
            }
        }
        told
    }

    /// What is wrong with an expression of PromQL, as far as names and labels go.
    fn check(&self, expression: &str) -> Vec<String> {
        let mut problems = Vec::new();
        let mut labels = BTreeSet::from(ADDED.map(str::to_owned));
        for (name, selector) in selectors(expression) {
            let Some(known) = self.labels.get(&name) else {
                if !MADE.contains(&&*name) {
                    problems.push(format!("no metric {name}"));
                }
                continue;
            };
            labels.extend(known.keys().cloned());
            for (label, value) in matchers(&selector) {
                if ADDED.contains(&&*label) {
                    continue;
                }
                let Some(values) = known.get(&label) else {
                    problems.push(format!("{name} has no label {label}"));
                    continue;
                };
                // Codes that did not occur are not told; variables and patterns stand for any.
                let is_closed = label == "kind" || label == "state" || label == "reason";
                let parts = value
                    .split('|')
                    .filter(|part| part.chars().all(|c| c.is_alphanumeric() || c == '_'));
                for part in parts.filter(|part| is_closed && !values.contains(*part)) {
                    problems.push(format!("{name} has no {label} {part}"));
                }
            }
        }
        for label in grouped(expression) {
            if !labels.contains(&label) {
                problems.push(format!("nothing has a label {label}"));
            }
        }
        problems
    }
}

/// All texts below keys of this name.
fn texts(value: &serde_json::Value, key: &str, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(map) => {
            for (name, value) in map {
                match value.as_str() {
                    Some(text) if name == key => found.push(text.to_owned()),
                    _ => texts(value, key, found),
                }
            }
        }
        serde_json::Value::Array(list) => list.iter().for_each(|value| texts(value, key, found)),
        _ => {}
    }
}

fn alerts() -> Vec<serde_json::Value> {
    let rules: serde_json::Value =
        yaml_serde::from_str(&fs::read_to_string(ALERTS).unwrap()).unwrap();
    let groups = rules["groups"].as_array().unwrap();
    let rules = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap());
    rules.cloned().collect()
}

/// Rows of the guide's tables whose first cell is code: the cells.
fn rows(guide: &str) -> Vec<Vec<String>> {
    let rows = guide.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| {
        let cells = line.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().to_owned()).collect()
    })
    .collect()
}

#[tokio::test]
async fn the_dashboard_and_the_alerts_name_what_is_told() {
    let (told, _) = Told::live().await;
    let mut wrong = Vec::new();
    let mut expressions = Vec::new();
    let dashboard: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(DASHBOARD).unwrap()).unwrap();
    texts(&dashboard, "expr", &mut expressions);
    texts(&dashboard["templating"], "query", &mut expressions);
    expressions.extend(
        alerts()
            .iter()
            .map(|alert| alert["expr"].as_str().unwrap().to_owned()),
    );
    assert!(expressions.len() > 60, "{}", expressions.len());
    for expression in &expressions {
        let problems = told.check(expression);
        wrong.extend(
            problems
                .into_iter()
                .map(|problem| format!("{problem}: {expression}")),
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");

    // Each family is on the dashboard or in an alert.
    let named: BTreeSet<String> = expressions
        .iter()
        .flat_map(|expression| selectors(expression))
        .map(|(name, _)| name)
        .collect();
    let shown = |family: &&String| named.iter().any(|name| name.starts_with(&***family));
    let silent: Vec<_> = told
        .families
        .keys()
        .filter(|family| !shown(family))
        .collect();
    let elsewhere = [
        "process_virtual_memory_bytes",
        "switchgate_history_sessions",
        "switchgate_journal_entries",
        "switchgate_subscriber_lag_entries",
    ];
    assert_eq!(silent, elsewhere);
}

#[test]
fn a_wrong_name_or_label_is_found() {
    let text =
        "# TYPE switchgate_a_total counter\nswitchgate_a_total{node=\"x\",kind=\"event\"} 1\n";
    let told = Told::parse(&Scrape::parse(text.to_owned()));
    for right in [
        r#"sum by (node, instance) (rate(switchgate_a_total{kind=~"event",instance="$i"}[5m]))"#,
        "up == 0",
    ] {
        assert_eq!(told.check(right), Vec::<String>::new(), "{right}");
    }
    for (wrong, problem) in [
        ("switchgate_b > 1", "no metric switchgate_b"),
        (
            r#"switchgate_a_total{nod="x"}"#,
            "switchgate_a_total has no label nod",
        ),
        (
            r#"switchgate_a_total{kind="evnet"}"#,
            "switchgate_a_total has no kind evnet",
        ),
        (
            "sum by (knid) (switchgate_a_total)",
            "nothing has a label knid",
        ),
    ] {
        assert_eq!(told.check(wrong), [problem], "{wrong}");
    }
}

#[tokio::test]
async fn the_guide_tells_of_every_metric_and_of_no_other() {
    let (told, text) = Told::live().await;
    let guide = fs::read_to_string(GUIDE).unwrap();
    let mut documented = BTreeMap::new();
    for cells in rows(&guide).into_iter().filter(|cells| cells.len() == 4) {
        let name = cells[0].trim_matches('`').to_owned();
        let labels: BTreeSet<String> = match &*cells[2] {
            "-" => BTreeSet::new(),
            labels => labels
                .split(", ")
                .map(|label| label.trim_matches('`').to_owned())
                .collect(),
        };
        documented.insert(name, (cells[1].clone(), labels));
    }
    let mut exposed = BTreeMap::new();
    for (family, kind) in &told.families {
        let samples = ["", "_count"].map(|suffix| told.labels.get(&format!("{family}{suffix}")));
        let labels = samples.into_iter().flatten().flat_map(BTreeMap::keys);
        exposed.insert(family.clone(), (kind.clone(), labels.cloned().collect()));
    }
    assert_eq!(documented, exposed);
    // A label by id would show in the text.
    let uuid =
        |word: &str| word.len() == 36 && word.bytes().filter(|byte| *byte == b'-').count() == 4;
    assert!(!text.split('"').any(uuid));
}

#[test]
fn the_guide_says_what_to_do_about_each_alert() {
    let guide = fs::read_to_string(GUIDE).unwrap();
    let headings: BTreeSet<&str> = guide
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .filter(|heading| heading.starts_with("Switchgate"))
        .collect();
    let alerts = alerts();
    let names: BTreeSet<&str> = alerts
        .iter()
        .map(|alert| alert["alert"].as_str().unwrap())
        .collect();
    assert_eq!(headings, names);
    for alert in &alerts {
        let name = alert["alert"].as_str().unwrap();
        let notes = &alert["annotations"];
        let link = format!("{GUIDE}#{}", name.to_lowercase());
        assert_eq!(notes["runbook_url"], link, "{name}");
        for note in ["summary", "description"] {
            assert!(
                notes[note].as_str().is_some_and(|text| !text.is_empty()),
                "{name}: {note}"
            );
        }
        let severity = alert["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning"].contains(&severity), "{name}");
    }
}

#[test]
fn alerts_that_leave_out_rpcs_name_them_right() {
    let pattern = fs::read_to_string(ALERTS).unwrap();
    let (_, rest) = pattern.split_once("method!~\".*/(").unwrap();
    let (names, _) = rest.split_once(')').unwrap();
    let known: BTreeSet<&str> = switchgate::grpc::Rpc::all()
        .map(|rpc| &*rpc.method)
        .collect();
    for name in names.split('|') {
        let is_known = match name.strip_suffix(".*") {
            Some(begin) => known.iter().any(|method| method.starts_with(begin)),
            None => known.contains(name),
        };
        assert!(is_known, "{name}");
    }
}

#[tokio::test]
async fn promtool_finds_nothing_to_say_of_the_metrics() {
    let (_, text) = Told::live().await;
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        return eprintln!("skipped: promtool is missing (Debian: apt-get install prometheus)");
    };
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [&*output.stdout, &*output.stderr]
        .map(String::from_utf8_lossy)
        .concat();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

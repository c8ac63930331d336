//! What the chart renders, if helm is here.

use std::fs;
use std::path::Path;
use std::process::Command;

use yaml_serde::Value;

use super::{CHART, helm, value_files};

/// Helm built from its module takes an old version for what the cluster has.
const TEMPLATE: [&str; 5] = ["template", "sg", CHART, "--kube-version", "1.34.0"];

const GOLDEN: &str = "helm/test/golden";

#[test]
fn every_value_file_renders_what_is_under_version_control() {
    let Some(helm) = helm() else { return };
    for (name, values) in value_files() {
        let values = values.to_str().unwrap();
        let output = helm(&[&TEMPLATE[..], &["-n", "voice", "-f", values]].concat());
        assert!(output.status.success(), "{name}: {output:?}");
        let rendered = tidy(&String::from_utf8(output.stdout).unwrap());
        let golden = Path::new(GOLDEN).join(format!("{name}.yaml"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &rendered).unwrap();
        }
        let golden = fs::read_to_string(&golden).unwrap_or_default();
        let differs = golden
            .lines()
            .zip(rendered.lines())
            .find(|(old, new)| old != new);
        assert!(
            golden == rendered,
            "{name} renders otherwise, first {differs:?}: look at it, then UPDATE_GOLDEN=1 ./test helm::"
        );
    }
    let kept = fs::read_dir(GOLDEN).unwrap().count();
    assert_eq!(kept, value_files().len(), "a rendering without its values");
}

#[test]
fn every_value_file_passes_the_strict_lint() {
    let Some(helm) = helm() else { return };
    for (name, values) in value_files() {
        let output = helm(&["lint", "--strict", CHART, "-f", values.to_str().unwrap()]);
        assert!(output.status.success(), "{name}: {output:?}");
    }
}

#[test]
fn the_guide_has_the_values_that_are_tested() {
    let guide = fs::read_to_string("docs/kubernetes.md").unwrap();
    let (_, rest) = guide.split_once("`values.yaml`:\n\n```yaml\n").unwrap();
    let (shown, _) = rest.split_once("```\n").unwrap();
    let tested = fs::read_to_string(format!("{CHART}/ci/11-guide-values.yaml")).unwrap();
    let (_, tested) = tested.split_once('\n').unwrap();
    assert_eq!(shown, tested);
}

/// Each of these needs no file beside the configuration, which the gateway would look for.
#[test]
fn the_gateway_takes_the_configurations_that_are_rendered() {
    let Some(helm) = helm() else { return };
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("files");
    for password in [
        "esl/nodes/fs1",
        "esl/nodes/fs3",
        "esl/nodes/eu_fs2.943efb5f",
    ] {
        let file = files.join(password);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "secret").unwrap();
    }
    let mut taken = 0;
    for (name, values) in value_files() {
        let values = values.to_str().unwrap();
        let output = helm(&[&TEMPLATE[..], &["-f", values]].concat());
        let rendered = String::from_utf8(output.stdout).unwrap();
        let Some(configuration) = configuration(&rendered) else {
            continue;
        };
        // Certificates and keys of issuers are looked into: tests/tls and tests/identities do that.
        if configuration.contains("/files/tls/") || configuration.contains("/files/jwt/") {
            continue;
        }
        let here = files.to_str().unwrap();
        let configuration = configuration.replace("/etc/switchgate/files", here);
        let file = folder.path().join("switchgate.yaml");
        fs::write(&file, &configuration).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchgate"));
        command.arg("check-config").arg(&file).env_clear();
        if configuration.contains("tokens:") {
            command.env("SWITCHGATE__ACCESS__TOKENS__0__SHA256", "0".repeat(64));
        }
        if !configuration.contains("nodes:") {
            command.env("SWITCHGATE__NODES__0__ID", "demo");
            command.env("SWITCHGATE__NODES__0__ADDRESS", "demo");
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{name}: {output:?}");
        taken += 1;
    }
    assert!(taken >= 5, "{taken}");
}

#[test]
fn values_that_cannot_work_are_refused_with_a_remedy() {
    let Some(helm) = helm() else { return };
    for (values, remedy) in [
        ("demo=false", "config.nodes: is empty; name at least one"),
        (
            "config.access.insecure=false",
            "config.access: would let everybody in",
        ),
        ("terminationGracePeriodSeconds=30", "give at least 75"),
        ("tls.clientCertificates=required", "set tls.existingSecret"),
        (
            "autoscaling.enabled=true,autoscaling.minReplicas=9",
            "more than maxReplicas",
        ),
        (
            "serviceMonitor.enabled=true,adminService.enabled=false",
            "set adminService.enabled",
        ),
        ("grpcRoute.enabled=true", "grpcRoute.parentRefs: is empty"),
        (
            "config.nodes[0].id=a,config.nodes[0].address=a",
            "demo: comes with nodes of its own",
        ),
        (
            "demo=false,networkPolicy.enabled=true,networkPolicy.egress.enabled=true,config.nodes[0].id=a,config.nodes[0].address=a",
            "networkPolicy.egress.freeswitch: is empty",
        ),
        (
            "demo=false,config.nodes[0].id=a,config.nodes[0].address=a,config.nodes[0].password=p,config.nodes[0].existingSecret.name=s",
            "leave one out",
        ),
        (
            "existingConfig.secret=a,existingConfig.configMap=b",
            "names both configMap and secret",
        ),
        (
            "config.grpc.listen=0.0.0.0:1",
            "additional properties 'listen' not allowed",
        ),
        (
            "confg.log.level=debug",
            "additional properties 'confg' not allowed",
        ),
        ("config.shutdown.grace=soon", "does not match pattern"),
        ("image.digest=latest", "does not match pattern"),
    ] {
        let demo = format!("{CHART}/ci/01-demo-values.yaml");
        let output = helm(&[&TEMPLATE[..], &["-f", &demo, "--set", values]].concat());
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{values} renders");
        assert!(told.contains(remedy), "{values}: {told}");
    }
}

#[test]
fn a_pod_has_the_time_that_its_stop_takes() {
    let Some(helm) = helm() else { return };
    let demo = format!("{CHART}/ci/01-demo-values.yaml");
    for (grace, seconds) in [
        ("30s", 45),
        ("1m30s", 105),
        ("500ms", 16),
        ("2m", 135),
        ("1h", 3615),
    ] {
        let set = format!("config.shutdown.grace={grace}");
        let output = helm(&[&TEMPLATE[..], &["-f", &demo, "--set", &set]].concat());
        let rendered = String::from_utf8(output.stdout).unwrap();
        let line = format!("terminationGracePeriodSeconds: {seconds}\n");
        assert!(rendered.contains(&line), "{grace}");
    }
}

/// The documents by kind and name, without what differs by the version of helm; the dashboard, which
/// another test compares, by its length alone.
fn tidy(rendered: &str) -> String {
    let mut documents: Vec<_> = rendered
        .split("\n---\n")
        .map(|document| {
            let lines = document.trim_start_matches("---\n").lines();
            let lines = lines.filter(|line| !line.starts_with("# Source:"));
            lines.collect::<Vec<_>>().join("\n").trim().to_owned()
        })
        .filter(|document| !document.is_empty())
        .map(
            |document| match document.split_once("  switchgate.json: |") {
                Some((head, json)) => {
                    format!("{head}  # switchgate.json: {} lines", json.lines().count())
                }
                None => document,
            },
        )
        .collect();
    documents.sort_by_key(|document| {
        let value: Value = yaml_serde::from_str(document).unwrap();
        let kind = value["kind"].as_str().unwrap().to_owned();
        (kind, value["metadata"]["name"].as_str().unwrap().to_owned())
    });
    documents.join("\n---\n") + "\n"
}

/// The configuration file, if the chart makes it.
fn configuration(rendered: &str) -> Option<String> {
    rendered.split("\n---\n").find_map(|document| {
        let value: Value = yaml_serde::from_str(document).ok()?;
        let file = value.get("data")?.get("switchgate.yaml")?;
        Some(file.as_str()?.to_owned())
    })
}

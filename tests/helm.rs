//! The helm chart: its files are those of `deploy/`, its README and its schema follow from its values
//! and the configuration, and what it renders is what is under version control. The last part needs
//! `helm`, in PATH or by `HELM`; `UPDATE_GOLDEN=1` writes the renderings anew.

mod configuration;
mod readme;
mod rendering;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const CHART: &str = "helm/switchgate";

#[test]
fn its_rules_and_dashboard_are_those_of_deploy() {
    for (copy, original) in [
        ("alerts.yaml", "deploy/prometheus/alerts.yaml"),
        ("dashboard.json", "deploy/grafana/switchgate.json"),
    ] {
        let copy = format!("{CHART}/files/{copy}");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::copy(original, &copy).unwrap();
        }
        assert!(
            fs::read(&copy).unwrap() == fs::read(original).unwrap(),
            "{copy} differs from {original}: run UPDATE_DOCS=1 ./test helm::"
        );
    }
}

#[test]
fn its_application_is_of_this_version() {
    let chart = fs::read_to_string(format!("{CHART}/Chart.yaml")).unwrap();
    let version = format!("appVersion: \"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(chart.lines().any(|line| line == version), "{version}");
}

/// Helm, unless it is missing; then it says so.
fn helm() -> Option<impl Fn(&[&str]) -> Output> {
    let program = std::env::var_os("HELM").unwrap_or_else(|| "helm".into());
    if Command::new(&program).arg("version").output().is_err() {
        eprintln!("skipped: helm is missing (go install helm.sh/helm/v4/cmd/helm@v4.3.1)");
        return None;
    }
    Some(move |arguments: &[&str]| Command::new(&program).args(arguments).output().unwrap())
}

/// The value files of `ci/`, by name.
fn value_files() -> Vec<(String, PathBuf)> {
    let folder = fs::read_dir(Path::new(CHART).join("ci")).unwrap();
    let mut files: Vec<_> = folder
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let name = name.strip_suffix("-values.yaml").unwrap().to_owned();
            (name, path)
        })
        .collect();
    files.sort();
    assert!(files.len() >= 8, "{files:?}");
    files
}

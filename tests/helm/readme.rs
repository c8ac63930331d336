//! The README of the chart is made of the comments in its values.

use std::fmt::Write as _;
use std::fs;

use yaml_serde::Value;

const BEGIN: &str = "<!-- values: made from values.yaml by UPDATE_DOCS=1 ./test helm:: -->\n";
const END: &str = "<!-- end of values -->\n";

/// A value with its comment.
struct Row {
    path: String,
    text: String,
}

#[test]
fn the_readme_tells_each_value_with_its_default() {
    let page = format!("{}/README.md", super::CHART);
    let written = fs::read_to_string(&page).unwrap();
    let (before, rest) = written.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let made = format!("{before}{BEGIN}{}{END}{after}", table());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&page, &made).unwrap();
    }
    assert!(
        fs::read_to_string(&page).unwrap() == made,
        "{page} is not up to date: run UPDATE_DOCS=1 ./test helm::"
    );
}

#[test]
fn each_value_has_a_comment_of_its_own_or_above_it() {
    let rows = rows(&source());
    let values: Value = yaml_serde::from_str(&source()).unwrap();
    let mut leaves = Vec::new();
    collect(&values, "", &mut leaves);
    assert!(leaves.len() > 100, "{leaves:?}");
    for leaf in leaves {
        let told = rows.iter().any(|row| {
            let below = leaf.strip_prefix(row.path.as_str());
            below.is_some_and(|below| below.is_empty() || below.starts_with('.'))
        });
        assert!(told, "{leaf} has no comment `# -- ...`");
    }
}

fn source() -> String {
    fs::read_to_string(format!("{}/values.yaml", super::CHART)).unwrap()
}

fn table() -> String {
    let values: Value = yaml_serde::from_str(&source()).unwrap();
    let mut table = "| value | default | |\n|---|---|---|\n".to_owned();
    for Row { path, text } in rows(&source()) {
        let found = path
            .split('.')
            .try_fold(&values, |value, key| value.get(key));
        let default = serde_json::to_string(found.unwrap()).unwrap();
        let default = default.replace('|', "\\|");
        writeln!(table, "| `{path}` | `{default}` | {text} |").unwrap();
    }
    table
}

/// The keys behind a comment that begins with `# -- `, in their order.
fn rows(source: &str) -> Vec<Row> {
    let (mut rows, mut comment) = (Vec::new(), None);
    let mut above: Vec<(usize, &str)> = Vec::new();
    for line in source.lines() {
        let content = line.trim_start();
        if let Some(text) = content.strip_prefix("# -- ") {
            comment = Some(text.to_owned());
            continue;
        }
        let Some((key, _)) = content.split_once(':') else {
            continue;
        };
        if content.starts_with(['#', '-']) {
            continue;
        }
        let indent = line.len() - content.len();
        above.retain(|(outer, _)| *outer < indent);
        above.push((indent, key));
        if let Some(text) = comment.take() {
            let keys: Vec<_> = above.iter().map(|(_, key)| *key).collect();
            let path = keys.join(".");
            rows.push(Row { path, text });
        }
    }
    rows
}

/// The paths of all that is no mapping with something in it.
fn collect(value: &Value, path: &str, leaves: &mut Vec<String>) {
    match value {
        Value::Mapping(map) if !map.is_empty() => {
            for (key, value) in map {
                let key = key.as_str().unwrap();
                let path = match path {
                    "" => key.to_owned(),
                    above => format!("{above}.{key}"),
                };
                collect(value, &path, leaves);
            }
        }
        _ => leaves.push(path.to_owned()),
    }
}

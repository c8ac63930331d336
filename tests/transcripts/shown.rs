//! Whether a program printed what a page shows, when ids, times and the like are others.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// What is another thing each time, by its form; the names of groups are kinds.
static OTHER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r#"(?<time>"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")"#,
        r#"|(?<uptime>"uptime": "[\d.]+s")"#,
        r#"|(?<sequence>"sequence": "\d+")"#,
        r#"|(?<port>127\.0\.0\.1:\d{4,5})"#,
        r#"|(?<id>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"#,
        r#"|(?<cursor>\b[0-9a-f]{16}\.[0-9a-f]+\b)"#,
        r#"|(?<node>\bdemo-[ab]\b)"#,
    ))
    .unwrap()
});

const KINDS: [&str; 7] = ["time", "uptime", "sequence", "port", "id", "cursor", "node"];

/// What stands on the page, and what came really: ids, which mean the same all over a page, and the
/// latest of each cursor.
#[derive(Debug, Clone, Default)]
pub(super) struct Known(BTreeMap<String, String>);

// === impl Known ===

impl Known {
    /// A line of the page with what came really; an id that it does not know is the error.
    pub(super) fn translate(&self, command: &str) -> Result<String, String> {
        let mut unknown = None;
        let translated = OTHER.replace_all(command, |found: &Captures<'_>| {
            let text = &found[0];
            match kind(found) {
                "id" | "cursor" => self.0.get(text).cloned().unwrap_or_else(|| {
                    unknown = Some(text.to_owned());
                    String::new()
                }),
                _ => text.to_owned(),
            }
        });
        let translated = translated.into_owned();
        unknown.map_or(Ok(translated), Err)
    }

    /// Whether a line was printed for one that is shown; learns from it if so.
    fn line(&mut self, shown: &str, printed: &str) -> bool {
        if OTHER.replace_all(shown, by_kind) != OTHER.replace_all(printed, by_kind) {
            return false;
        }
        let pairs = OTHER.captures_iter(shown).zip(OTHER.captures_iter(printed));
        for (shown, printed) in pairs {
            let kind = kind(&shown);
            if kind == "id" || kind == "cursor" {
                let before = self.0.insert(shown[0].to_owned(), printed[0].to_owned());
                if kind == "id" && before.is_some_and(|before| before != printed[0]) {
                    return false;
                }
            }
        }
        true
    }
}

/// Whether these lines were printed: how many, and what is known then. `...` stands for any, or none.
/// What was printed beyond them counts where all must be shown.
pub(super) fn prints(
    shown: &[String],
    printed: &[String],
    known: &Known,
    all: bool,
) -> Option<(usize, Known)> {
    let Some((first, rest)) = shown.split_first() else {
        return (!all || printed.is_empty()).then(|| (0, known.clone()));
    };
    if first.trim() == "..." {
        let mut skips = 0..=printed.len();
        return skips.find_map(|skip| {
            let (count, known) = prints(rest, &printed[skip..], known, all)?;
            Some((skip + count, known))
        });
    }
    let (line, printed) = printed.split_first()?;
    let mut known = known.clone();
    if !known.line(first, line) {
        return None;
    }
    let (count, known) = prints(rest, printed, &known, all)?;
    Some((1 + count, known))
}

fn kind(found: &Captures<'_>) -> &'static str {
    let of = |kind: &&str| found.name(kind).is_some();
    KINDS.into_iter().find(of).unwrap()
}

fn by_kind(found: &Captures<'_>) -> String {
    format!("<{}>", kind(found))
}

#[test]
fn what_is_another_each_time_may_differ_and_all_else_may_not() {
    let known = Known::default();
    let lines = |text: &str| text.split('/').map(str::to_owned).collect::<Vec<_>>();
    let same =
        |shown: &str, printed: &str| prints(&lines(shown), &lines(printed), &known, true).is_some();
    let (one, two) = (
        "056cc0be-fc13-4642-9632-b8189a3f451c",
        "31cee815-cb17-43b4-81cc-033f4b39297d",
    );
    assert!(same(one, two));
    assert!(!same(one, "x"));
    assert!(same(&format!("{one}/{one}"), &format!("{two}/{two}")));
    assert!(!same(&format!("{one}/{one}"), &format!("{two}/{one}")));
    assert!(same("a/.../c", "a/b/b/c") && same("a/.../c", "a/c"));
    assert!(!same("a/.../c", "a/b") && !same("a", "a/b"));
    assert!(same(".../{/x", "{/y/{/x"));
    assert!(!same("\"q850\": \"17\"", "\"q850\": \"18\""));
}

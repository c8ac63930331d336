//! What the node has loaded: applications, apis and modules, as recorded.

use std::collections::HashSet;
use std::sync::OnceLock;

/// Name, description, syntax and module of each application.
const APPLICATIONS: &str = include_str!("data/applications.txt");

/// Type, name, module and file of each interface.
const MODULES: &str = include_str!("data/modules.txt");

fn rows<const COLUMNS: usize>(
    table: &'static str,
) -> impl Iterator<Item = [&'static str; COLUMNS]> {
    table.lines().filter_map(|line| {
        let mut columns = [""; COLUMNS];
        let mut parts = line.split('\t');
        for column in &mut columns {
            *column = parts.next()?;
        }
        Some(columns)
    })
}

/// Every application: name, description, syntax, module.
pub(super) fn applications() -> impl Iterator<Item = [&'static str; 4]> {
    rows(APPLICATIONS)
}

/// Every interface: type, name, module, file.
pub(super) fn modules() -> impl Iterator<Item = [&'static str; 4]> {
    rows(MODULES)
}

/// Whether an application of this name exists.
pub(super) fn is_application(name: &str) -> bool {
    static NAMES: OnceLock<HashSet<&'static str>> = OnceLock::new();
    NAMES
        .get_or_init(|| applications().map(|[name, ..]| name).collect())
        .contains(name)
}

/// Whether an api of this name exists.
pub(super) fn is_api(name: &str) -> bool {
    static NAMES: OnceLock<HashSet<&'static str>> = OnceLock::new();
    let apis = || {
        modules()
            .filter(|[kind, ..]| *kind == "api")
            .map(|[_, name, ..]| name)
            .collect()
    };
    NAMES.get_or_init(apis).contains(name)
}

/// Whether a module of this name is loaded.
pub(super) fn is_module(name: &str) -> bool {
    modules().any(|[_, _, module, _]| module == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorded_tables_are_whole() {
        assert_eq!(applications().count(), 151);
        assert_eq!(modules().count(), 410);
        assert!(is_application("park") && !is_application("nosuch") && is_api("uuid_kill"));
    }
}

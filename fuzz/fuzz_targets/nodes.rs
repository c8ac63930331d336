//! Arbitrary text as a file that names nodes.

#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use switchgate::config::{NodeFile, Password, Place, Source, SourceConfig};

/// No file of this machine is read.
struct Nothing;

impl Source for Nothing {
    fn variables(&self) -> Vec<(String, OsString)> {
        Vec::new()
    }

    fn read(&self, _: &Path) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }
}

fuzz_target!(|content: &str| {
    let source = SourceConfig {
        name: "list".to_owned(),
        place: Place::File("nodes.yaml".into()),
        interval: Duration::from_secs(5),
        user: None,
        password: Password::freeswitch_default(),
        labels: BTreeMap::new(),
        command_links: 8,
    };
    let file = NodeFile {
        path: Path::new("nodes.yaml"),
        source: &source,
    };
    match file.nodes(content, &Nothing) {
        Ok(nodes) => {
            let ids: BTreeSet<_> = nodes.iter().map(|node| &node.id).collect();
            let addresses = nodes.iter().map(|node| node.address.to_string());
            let addresses: BTreeSet<_> = addresses.collect();
            assert!(ids.len() == nodes.len() && addresses.len() == nodes.len());
        }
        Err(problems) => assert!(!problems.0.is_empty()),
    }
});

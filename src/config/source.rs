//! Where a configuration is read from: the process, or a map in a test.

use std::ffi::OsString;
use std::io;
use std::path::Path;

/// The outside world as far as the configuration reads it, so that tests need not change the
/// environment of their process (which other threads read).
pub trait Source {
    /// All environment variables whose name is UTF-8.
    fn variables(&self) -> Vec<(String, OsString)>;

    /// The content of a file.
    fn read(&self, path: &Path) -> io::Result<String>;
}

/// The environment and the files of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct Process;

// === impl Process ===

impl Source for Process {
    fn variables(&self) -> Vec<(String, OsString)> {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .collect()
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        std::fs::read_to_string(path)
    }
}

#[cfg(test)]
pub(crate) mod fake {
    //! A source made of maps.

    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::*;

    /// Variables and files that exist in a test alone.
    #[derive(Debug, Default)]
    pub(crate) struct Fake {
        variables: BTreeMap<String, OsString>,
        files: BTreeMap<PathBuf, String>,
    }

    // === impl Fake ===

    impl Fake {
        pub(crate) fn new() -> Self {
            Self::default()
        }

        pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
            self.variables.insert(name.into(), value.into());
            self
        }

        pub(crate) fn file(mut self, path: &str, content: &str) -> Self {
            self.files.insert(path.into(), content.into());
            self
        }
    }

    impl Source for Fake {
        fn variables(&self) -> Vec<(String, OsString)> {
            self.variables.clone().into_iter().collect()
        }

        fn read(&self, path: &Path) -> io::Result<String> {
            let missing = || io::Error::new(io::ErrorKind::NotFound, "no such file");
            self.files.get(path).cloned().ok_or_else(missing)
        }
    }
}

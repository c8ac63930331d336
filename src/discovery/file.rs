//! A file with a list of nodes.

use std::path::PathBuf;
use std::time::Duration;

use super::source::{Look, Trouble};
use crate::config::{NodeConfig, NodeFile, Process, Source as _, SourceConfig};

/// A file is not always changed at once: what is new counts when it is the same after this time.
const SETTLE: Duration = Duration::from_secs(1);

/// What is remembered of a file.
pub(super) struct File {
    path: PathBuf,
    config: SourceConfig,
    /// The content that counts.
    content: Option<String>,
}

// === impl File ===

impl File {
    pub(super) fn new(path: PathBuf, config: SourceConfig) -> Self {
        Self {
            path,
            config,
            content: None,
        }
    }

    /// Reads it by its path, since a volume of Kubernetes swaps a link above it, which watching the
    /// file does not show.
    pub(super) async fn look(&mut self) -> Result<Look, Trouble> {
        let (mut content, mut read) = self.read().await?;
        let is_changed = |before: &String| *before != content;
        // At first there is nothing that half a file could take away.
        if self.content.as_ref().is_some_and(is_changed) {
            loop {
                tokio::time::sleep(SETTLE.min(self.config.interval)).await;
                let (later, later_read) = self.read().await?;
                let is_settled = later == content;
                (content, read) = (later, later_read);
                if is_settled {
                    break;
                }
            }
        }
        let nodes = read.map_err(|error| self.trouble(error))?;
        self.content = Some(content);
        // Told each time: a `password_file` that it names may have changed.
        Ok(Look {
            nodes: Some(nodes),
            again: self.config.interval,
        })
    }

    /// The content, and what it comes to.
    async fn read(&self) -> Result<(String, Result<Vec<NodeConfig>, String>), Trouble> {
        let (path, config) = (self.path.clone(), self.config.clone());
        let read = move || {
            let content = Process
                .read(&path)
                .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
            let file = NodeFile {
                path: &path,
                source: &config,
            };
            let nodes = file.nodes(&content, &Process);
            Ok((content, nodes.map_err(|problems| problems.to_string())))
        };
        // It can be on a volume that hangs.
        match tokio::task::spawn_blocking(read).await {
            Ok(read) => read.map_err(|error| self.trouble(error)),
            Err(defect) => Err(self.trouble(defect.to_string())),
        }
    }

    fn trouble(&self, error: String) -> Trouble {
        Trouble {
            error,
            again: self.config.interval,
        }
    }
}

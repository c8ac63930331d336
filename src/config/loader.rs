//! Reads a configuration: the file, then the environment, then flags.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use super::check::Check;
use super::layers::Layers;
use super::password::{Password, fallback};
use super::problem::{Origin, Problem, Problems};
use super::source::Source;
use super::{Config, ENVIRONMENT_PREFIX, PASSWORD_FILE_VARIABLE, PASSWORD_VARIABLE};

/// How many nodes the configuration must name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeNeed {
    /// At least one.
    Required,
    /// None, since they are simulated.
    Simulated,
    /// Any number.
    Optional,
}

/// OpenTelemetry's own variables, which say what neither the file nor a variable of ours does; the
/// first one counts.
const OPENTELEMETRY: [(&str, &str); 3] = [
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "otlp_endpoint"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "otlp_endpoint"),
    ("OTEL_SERVICE_NAME", "service_name"),
];

/// Reads a configuration from its layers and reports everything that is wrong with it at once.
///
/// Each layer replaces single values of the one below: the file, then `RUST_LOG` (for
/// `log.level`) and variables such as `SWITCHGATE__GRPC__LISTEN`, then flags. A variable that is
/// set to nothing counts as unset.
pub struct Loader<'a> {
    source: &'a dyn Source,
    file: Option<PathBuf>,
    flags: Vec<(&'static str, &'static str, String)>,
    nodes: Vec<(String, String)>,
    need: NodeNeed,
}

// === impl Loader ===

impl fmt::Debug for Loader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A flag's value could be anything; the source holds passwords.
        f.debug_struct("Loader")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl<'a> Loader<'a> {
    /// Reads the environment and files of `source`; without a file or flags so far.
    pub fn new(source: &'a dyn Source) -> Self {
        Self {
            source,
            file: None,
            flags: Vec::new(),
            nodes: Vec::new(),
            need: NodeNeed::Optional,
        }
    }

    /// Reads this YAML file as the lowest layer.
    #[must_use]
    pub fn file(mut self, path: Option<PathBuf>) -> Self {
        self.file = path;
        self
    }

    /// Lays the value of a flag, where it was given, over `key`.
    #[must_use]
    pub fn flag(mut self, key: &'static str, flag: &'static str, value: Option<String>) -> Self {
        self.flags.extend(value.map(|value| (key, flag, value)));
        self
    }

    /// Adds the node of a `--node` flag, or gives the one with this id another address.
    #[must_use]
    pub fn node(mut self, id: impl Into<String>, address: impl Into<String>) -> Self {
        self.nodes.push((id.into(), address.into()));
        self
    }

    /// Says how many nodes there must be; any number otherwise.
    #[must_use]
    pub fn need(mut self, need: NodeNeed) -> Self {
        self.need = need;
        self
    }

    /// Reads all layers.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub fn load(self) -> Result<Config, Problems> {
        let mut layers = self.read_file()?;
        let mut problems = Problems::default();
        let fallback = self.lay_environment(&mut layers, &mut problems);
        self.lay_flags(&mut layers, &mut problems);

        let Some(tree) = layers.read(&mut problems) else {
            return Err(problems.sorted());
        };
        let mut check = Check::new(&layers, self.source, &mut problems);
        let config = check.finish(tree, self.need, fallback.as_ref());
        problems.sorted().or(config)
    }

    fn read_file(&self) -> Result<Layers, Problems> {
        let Some(path) = &self.file else {
            return Ok(Layers::default());
        };
        match self.source.read(path) {
            Ok(content) => Layers::from_file(path, &content),
            Err(error) => Err(Problem {
                key: String::new(),
                value: None,
                reason: format!("cannot be read: {error}"),
                remedy: "name a YAML file that this user may read".to_owned(),
                origin: Origin::File(path.clone()),
            }
            .into()),
        }
    }

    /// Gives the password of nodes without one, unless it is broken.
    fn lay_environment(&self, layers: &mut Layers, problems: &mut Problems) -> Option<Password> {
        let (mut password, mut password_file) = (None, None);
        let mut variables = self.source.variables();
        // RUST_LOG comes first, so that the variable of our own wins over it.
        variables.sort_by_key(|(name, _)| (name != "RUST_LOG", name.clone()));
        for (name, value) in variables {
            let nested = name.strip_prefix(ENVIRONMENT_PREFIX);
            let single = ["RUST_LOG", PASSWORD_VARIABLE, PASSWORD_FILE_VARIABLE];
            if value.is_empty() || (nested.is_none() && !single.contains(&name.as_str())) {
                continue;
            }
            let Some(text) = problems.absorb(text(&name, value)) else {
                continue;
            };
            match (name.as_str(), nested) {
                (PASSWORD_VARIABLE, _) => password = Some(text),
                (PASSWORD_FILE_VARIABLE, _) => password_file = Some(text),
                (_, nested) => {
                    let key = nested.map_or("log__level".to_owned(), str::to_ascii_lowercase);
                    let path: Vec<&str> = key.split("__").collect();
                    problems.absorb(layers.set(&path, text, Origin::Environment(name)));
                }
            }
        }
        self.lay_opentelemetry(layers, problems);
        problems.absorb(fallback(password, password_file, self.source))
    }

    fn lay_opentelemetry(&self, layers: &mut Layers, problems: &mut Problems) {
        let variables = self.source.variables();
        for (wanted, key) in OPENTELEMETRY {
            let named = |(name, value): &&(String, OsString)| name == wanted && !value.is_empty();
            let Some((name, value)) = variables.iter().find(named) else {
                continue;
            };
            if layers.has("tracing", key) {
                continue;
            }
            if let Some(text) = problems.absorb(text(name, value.clone())) {
                let origin = Origin::Environment(name.clone());
                problems.absorb(layers.set(&["tracing", key], text, origin));
            }
        }
    }

    fn lay_flags(&self, layers: &mut Layers, problems: &mut Problems) {
        for (key, flag, value) in &self.flags {
            let path: Vec<&str> = key.split('.').collect();
            problems.absorb(layers.set(&path, value.clone(), Origin::Flag(flag)));
        }
        for (id, address) in &self.nodes {
            let index = layers.node_index(id).to_string();
            for (key, value) in [("id", id), ("address", address)] {
                let path = ["nodes", &index, key];
                problems.absorb(layers.set(&path, value.clone(), Origin::Flag("--node")));
            }
        }
    }
}

/// The value of a variable, if it is text.
fn text(name: &str, value: OsString) -> Result<String, Problems> {
    value.into_string().map_err(|_| {
        Problems::from(Problem {
            key: name.to_owned(),
            value: None,
            reason: "is not UTF-8".to_owned(),
            remedy: "set it to plain text".to_owned(),
            origin: Origin::Environment(name.to_owned()),
        })
    })
}

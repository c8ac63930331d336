//! What is wrong with a configuration, said so that its reader can mend it.

use std::fmt;
use std::path::PathBuf;

/// The sections of a configuration, in order.
pub(super) const SECTIONS: [&str; 16] = [
    "grpc",
    "access",
    "admin",
    "nodes",
    "discovery",
    "esl",
    "sessions",
    "jobs",
    "events",
    "shutdown",
    "log",
    "tracing",
    "audit",
    "limits",
    "roles",
    "tenants",
];

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The built-in default.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// An environment variable, by name.
    Environment(String),
    /// A flag of the command line, such as `--listen`.
    Flag(&'static str),
}

/// One thing that is wrong: which key, what value, why, what to do, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key, such as `nodes[1].password_file`; empty when the file as a whole is meant.
    pub key: String,
    /// The value as it was given; absent where there is none or where it is a secret.
    pub value: Option<String>,
    /// Why it is refused: continues the sentence that key and value began.
    pub reason: String,
    /// What to write instead.
    pub remedy: String,
    /// Where the value came from.
    pub origin: Origin,
}

/// Everything that is wrong with a configuration; never empty where it is an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

// === impl Origin ===

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

// === impl Problem ===

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        if let Some(value) = &self.value {
            write!(f, "{value} ")?;
        }
        write!(f, "{}; {}", self.reason, self.remedy)?;
        match (&self.value, &self.origin) {
            // Nothing was given, so nothing came from anywhere.
            (None, Origin::Default) => Ok(()),
            (_, origin) => write!(f, " ({origin})"),
        }
    }
}

// === impl Problems ===

impl Problems {
    /// Takes over the problems of a step and gives back what it made without any.
    pub(super) fn absorb<T>(&mut self, step: Result<T, Self>) -> Option<T> {
        match step {
            Ok(made) => Some(made),
            Err(more) => {
                self.0.extend(more.0);
                None
            }
        }
    }

    /// In the order of the keys: sections as the example has them, then by name and number. What is
    /// about no key, as the file or a variable of the environment, stands first.
    pub(super) fn sorted(mut self) -> Self {
        self.0.sort_by_cached_key(|problem| {
            let section = problem.key.split(['.', '[']).next();
            let rank = SECTIONS.iter().position(|name| Some(*name) == section);
            let numbers = |part: &str| part.parse::<usize>().map_err(|_| part.to_owned());
            let parts: Vec<_> = problem.key.split(['.', '[', ']']).map(numbers).collect();
            (rank, parts)
        });
        self
    }

    /// `made`, if there are no problems.
    pub(super) fn or<T>(self, made: T) -> Result<T, Self> {
        if self.0.is_empty() {
            Ok(made)
        } else {
            Err(self)
        }
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [_] => f.write_str("the configuration has 1 error:")?,
            many => write!(f, "the configuration has {} errors:", many.len())?,
        }
        for problem in &self.0 {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

//! `switchgate check-config`: what a server would start with.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::CliError;
use crate::config::{Loader, Source};

/// Flags of `switchgate check-config`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  switchgate check-config switchgate.yaml
  SWITCHGATE__GRPC__LISTEN=127.0.0.1:50062 switchgate check-config switchgate.yaml

Exit codes: 0 the file is good, 64 it is not.")]
pub struct CheckConfig {
    /// YAML file with the configuration
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

// === impl CheckConfig ===

impl CheckConfig {
    /// Writes the configuration to `out` and warnings to `aside`.
    ///
    /// # Errors
    /// Everything that is wrong with the configuration, or that it cannot be written.
    pub fn run(
        &self,
        source: &dyn Source,
        out: &mut dyn Write,
        aside: &mut dyn Write,
    ) -> Result<(), CliError> {
        let config = Loader::new(source).file(Some(self.file.clone())).load()?;
        if config.nodes.is_empty() && config.discovery.sources.is_empty() {
            writeln!(
                aside,
                "warning: nodes: is empty; serve then needs --node or --demo"
            )?;
        }
        for node in config.nodes_with_default_password() {
            writeln!(
                aside,
                "warning: node {}: no password, so that FreeSWITCH's default is used; \
                 set password, password_file or SWITCHGATE_ESL_PASSWORD",
                node.id
            )?;
        }
        if let Some(key) = config.key_open_to_all() {
            writeln!(
                aside,
                "warning: grpc.tls.key: every user may read `{}`; chmod 600 it, or mount the secret \
                 with defaultMode 0400",
                key.display()
            )?;
        }
        for (warning, remedy) in config.access_warnings() {
            writeln!(aside, "warning: access: {warning}; {remedy}")?;
        }
        out.write_all(config.to_yaml()?.as_bytes())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Fake;

    fn check(content: &str) -> Result<(String, String), CliError> {
        let source = Fake::new().file("f.yaml", content);
        let (mut out, mut aside) = (Vec::new(), Vec::new());
        let file = PathBuf::from("f.yaml");
        CheckConfig { file }.run(&source, &mut out, &mut aside)?;
        Ok((
            String::from_utf8(out).unwrap(),
            String::from_utf8(aside).unwrap(),
        ))
    }

    #[test]
    fn what_is_in_effect_is_shown_and_can_be_read_again() {
        let (shown, aside) =
            check("nodes: [{id: a, address: one, password: hunter2}]\njobs: {retention: 5m}")
                .unwrap();
        assert!(
            shown.contains("retention: 5m") && shown.contains("dead_after: 45s"),
            "{shown}"
        );
        assert!(
            shown.contains("password: '[redacted]'") && !shown.contains("hunter2"),
            "{shown}"
        );
        assert_eq!(aside, "");
        assert_eq!(check(&shown).unwrap().0, shown);
    }

    #[test]
    fn what_deserves_a_warning_is_told_aside() {
        assert!(check("").unwrap().1.starts_with("warning: nodes: is empty"));
        let (_, aside) = check("nodes: [{id: a, address: one}]").unwrap();
        assert!(aside.starts_with("warning: node a: no password"), "{aside}");
    }

    #[test]
    fn all_errors_are_told() {
        let error = check("grpc: {listen: x}\nesl: {max_pending: 0}").unwrap_err();
        assert_eq!(error.exit_code(), super::super::EXIT_USAGE.into());
        assert!(
            error
                .to_string()
                .starts_with("the configuration has 2 errors:\n  grpc.listen: `x`"),
            "{error}"
        );
    }
}

//! `switchgate token`: makes a static token, or the digest of one.

use std::io::{BufRead, Write};

use clap::Args;

use super::CliError;
use crate::access::{TokenDigest, bearer, random_token};

/// Shorter tokens can be guessed, since their digests are made fast.
const SHORTEST: usize = 32;

/// Flags of `switchgate token`.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "\
Examples:
  switchgate token --name crm --role operator
  switchgate token --digest < token.txt

The token goes to whoever is to have it: `authorization: Bearer TOKEN`. The gateway needs its digest
alone, as an item of access.tokens.")]
pub struct Token {
    /// Read a token from standard input and print its digest
    #[arg(long, conflicts_with_all = ["name", "role", "tenant"])]
    pub digest: bool,

    /// Who is to have it
    #[arg(long, value_name = "NAME", default_value = "NAME")]
    pub name: String,

    /// A role of its bearer, more than once for more
    #[arg(long, value_name = "ROLE", default_value = "operator")]
    pub role: Vec<String>,

    /// The tenant of its bearer
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<String>,
}

// === impl Token ===

impl Token {
    /// Writes token and digest to `out`, a warning to `aside`.
    ///
    /// # Errors
    /// When there is no chance to draw from, or no token on `input`.
    pub fn run(
        &self,
        input: &mut dyn BufRead,
        out: &mut dyn Write,
        aside: &mut dyn Write,
    ) -> Result<(), CliError> {
        if self.digest {
            return digest(input, out, aside);
        }
        let token = random_token()
            .ok_or_else(|| CliError::run("the token", "the system gives no random bytes"))?;
        let digest = TokenDigest::of(token.as_bytes()).to_hex();
        writeln!(
            out,
            "# The token, which is shown this once. Its bearer sends the header `authorization: Bearer TOKEN`.\n\
             {token}\n\n\
             # For the configuration:\n\
             access:\n  tokens:\n    - name: {}\n      sha256: \"{digest}\"\n      roles: [{}]",
            quoted(&self.name),
            self.role
                .iter()
                .map(|role| quoted(role))
                .collect::<Vec<_>>()
                .join(", "),
        )?;
        if let Some(tenant) = &self.tenant {
            writeln!(out, "      tenant: {}", quoted(tenant))?;
        }
        Ok(())
    }
}

fn digest(
    input: &mut dyn BufRead,
    out: &mut dyn Write,
    aside: &mut dyn Write,
) -> Result<(), CliError> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    let token = line.trim_end_matches(['\n', '\r']);
    // What no header can carry would never be accepted.
    if bearer(format!("Bearer {token}").as_bytes()) != Some(token) {
        let reason =
            "standard input holds no token of letters, digits and - . _ ~ + / on its first line";
        return Err(CliError::run("the digest", reason));
    }
    if token.len() < SHORTEST {
        writeln!(
            aside,
            "warning: the token has less than {SHORTEST} characters and might be guessed; `switchgate token` makes a good one"
        )?;
    }
    writeln!(out, "{}", TokenDigest::of(token.as_bytes()).to_hex())?;
    Ok(())
}

/// As YAML, which takes the quoted texts of JSON.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(plain) {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::config::{Fake, Loader};

    fn run(arguments: &[&str], input: &str) -> Result<(String, String), CliError> {
        let line = ["switchgate", "token"].iter().chain(arguments);
        let Command::Token(token) = Cli::try_parse_from(line).unwrap().command else {
            panic!("{arguments:?}");
        };
        let (mut out, mut aside) = (Vec::new(), Vec::new());
        token.run(&mut input.as_bytes(), &mut out, &mut aside)?;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ok((text(out), text(aside)))
    }

    #[test]
    fn what_is_printed_can_be_pasted_and_is_the_digest_of_the_token() {
        let arguments = [
            "--name",
            "the crm: 1",
            "--role",
            "viewer",
            "--role",
            "dialer",
            "--tenant",
            "acme",
        ];
        let (out, aside) = run(&arguments, "").unwrap();
        assert_eq!(aside, "");
        let token = out.lines().nth(1).unwrap();
        let (_, yaml) = out.split_once("\n\n").unwrap();
        assert!(token.starts_with("swg_") && !yaml.contains(token), "{out}");
        let described = format!(
            "{yaml}\nroles: {{dialer: {{}}}}\ntenants: {{acme: {{variable: a, value: b}}}}\n"
        );
        let source = Fake::new().file("f", &described);
        let config = Loader::new(&source).file(Some("f".into())).load().unwrap();
        let [known] = config.access.tokens.as_slice() else {
            panic!("{yaml}");
        };
        assert_eq!(known.sha256, TokenDigest::of(token.as_bytes()).to_hex());
        assert_eq!(known.name, "the crm: 1");
        assert_eq!(known.roles.to_vec(), ["viewer", "dialer"]);
        assert_eq!(known.tenant.as_deref(), Some("acme"));
    }

    #[test]
    fn the_digest_of_a_token_of_ones_own_is_that_of_its_line() {
        let token = "0123456789abcdef0123456789abcdef";
        let digest = TokenDigest::of(token.as_bytes()).to_hex();
        for input in [
            token.to_owned(),
            format!("{token}\n"),
            format!("{token}\r\nx"),
        ] {
            let (out, aside) = run(&["--digest"], &input).unwrap();
            assert_eq!((out, aside), (format!("{digest}\n"), String::new()));
        }
        let (_, aside) = run(&["--digest"], "hunter2\n").unwrap();
        assert!(aside.starts_with("warning:") && !aside.contains("hunter2"));
    }

    #[test]
    fn what_cannot_be_sent_has_no_digest() {
        for input in ["", "\n", "two words\n", " x\n", "ä\n"] {
            let error = run(&["--digest"], input).unwrap_err();
            assert!(!error.to_string().contains("words"), "{error}");
        }
    }
}

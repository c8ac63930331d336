//! What FreeSWITCH's answer to a command means.

use std::fmt;

/// The answer to an `api`, a `bgapi` or any other command, by its form
/// (`switch_api_execute` callers in `mod_event_socket.c`; the forms are a convention that
/// every api function of FreeSWITCH follows in its own way).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// `+OK`, with what follows it.
    Ok(String),
    /// `-ERR`, with what follows it; may be empty.
    Error(String),
    /// `-USAGE`, with what follows it: the arguments are wrong.
    Usage(String),
    /// Anything else: a value, a table, JSON.
    Data(String),
    /// The command printed nothing, which `api` reports as `-ERR no reply`.
    NoReply,
}

// === impl Outcome ===

impl Outcome {
    /// Reads an answer. In one of several lines that starts with a status, the last status counts:
    /// `load` of a missing module says `+OK Reloading XML` and then `-ERR [...]`.
    pub fn parse(answer: &[u8]) -> Self {
        let text = String::from_utf8_lossy(answer);
        let trimmed = text.trim_end_matches(['\r', '\n']);
        if trimmed.is_empty() || trimmed == "-ERR no reply" {
            return Self::NoReply;
        }
        let Some(first) = status(trimmed) else {
            return Self::Data(text.into_owned());
        };
        match trimmed.lines().skip(1).filter_map(status).last() {
            Some(last) => last,
            // Without a later status the whole answer belongs to the first one.
            None => first,
        }
    }

    /// Whether FreeSWITCH did what was asked, as far as its answer tells.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Ok(_) | Self::Data(_) | Self::NoReply)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok(text) => write!(f, "+OK {text}"),
            Self::Error(text) => write!(f, "-ERR {text}"),
            Self::Usage(text) => write!(f, "-USAGE: {text}"),
            Self::Data(text) => f.write_str(text),
            Self::NoReply => f.write_str("no reply"),
        }
    }
}

fn status(line: &str) -> Option<Outcome> {
    let rest_after = |prefix: &str| {
        let rest = line.strip_prefix(prefix)?;
        Some(rest.trim_start_matches([':', ' ']).trim_end().to_owned())
    };
    rest_after("+OK")
        .map(Outcome::Ok)
        // `uuid_answer` and the like (`mod_commands.c`).
        .or_else(|| rest_after("-ERROR").map(Outcome::Error))
        .or_else(|| rest_after("-ERR").map(Outcome::Error))
        .or_else(|| rest_after("-USAGE").map(Outcome::Usage))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_told_apart() {
        let cases: [(&[u8], Outcome); 12] = [
            (b"+OK 5f3c\n", Outcome::Ok("5f3c".into())),
            (b"+OK\n", Outcome::Ok(String::new())),
            (
                b"+OK:SIP/2.0 403 Forbidden",
                Outcome::Ok("SIP/2.0 403 Forbidden".into()),
            ),
            (b"-ERR USER_BUSY\n", Outcome::Error("USER_BUSY".into())),
            (b"-ERR", Outcome::Error(String::new())),
            (b"-ERR no reply\n", Outcome::NoReply),
            (b"", Outcome::NoReply),
            (
                b"-USAGE: <uuid> <var>\n",
                Outcome::Usage("<uuid> <var>".into()),
            ),
            (b"_undef_", Outcome::Data("_undef_".into())),
            (b"true", Outcome::Data("true".into())),
            (
                b"+OK Reloading XML\n-ERR [module load file routine returned an error]\n",
                Outcome::Error("[module load file routine returned an error]".into()),
            ),
            (
                b"line\n-ERR inside a table\n",
                Outcome::Data("line\n-ERR inside a table\n".into()),
            ),
        ];
        for (answer, outcome) in cases {
            assert_eq!(
                Outcome::parse(answer),
                outcome,
                "{:?}",
                String::from_utf8_lossy(answer)
            );
        }
    }

    #[test]
    fn last_status_line_counts_and_the_first_lines_text_stays() {
        let cases = [
            ("+OK one\r\n", "+OK one"),
            ("+OK\n+OK [Success]\n", "+OK [Success]"),
            ("-ERR a\n+OK b\n-ERR c\n\n", "-ERR c"),
            ("-USAGE: a\n b\n", "-USAGE: a\n b"),
            ("\n\r\n", "no reply"),
            ("-ERROR\n", "-ERR "),
            ("-ERR no reply", "no reply"),
            ("-ERR no reply at all", "-ERR no reply at all"),
        ];
        for (answer, expected) in cases {
            assert_eq!(Outcome::parse(answer.as_bytes()).to_string(), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_an_outcome(text in "(\\+OK|-ERR|-USAGE)?[:\\s]{0,2}\\PC{0,30}\n?.{0,9}", bytes: Vec<u8>) {
            for answer in [text.as_bytes(), &bytes] {
                let outcome = Outcome::parse(answer);
                proptest::prop_assert_eq!(
                    outcome.is_success(),
                    !matches!(outcome, Outcome::Error(_) | Outcome::Usage(_))
                );
            }
        }
    }
}

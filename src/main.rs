//! The program `switchgate`: reads the command line and gives the exit code. All else is in the
//! library.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use clap::Parser;
use switchgate::cli::{Cli, CliError, Command, EXIT_USAGE};
use switchgate::config::Process;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A closed output is no reason to fail: the exit code still tells.
            let _ = error.print();
            // Help and version come this way too. clap's own code for an error, 2, is taken.
            return match error.use_stderr() {
                true => EXIT_USAGE.into(),
                false => ExitCode::SUCCESS,
            };
        }
    };
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("switchgate: {}", with_causes(&error));
            error.exit_code()
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, CliError> {
    let source = Process;
    match cli.command {
        Command::Serve(serve) => serve.run(source)?,
        Command::Sim(sim) => sim.run(&source)?,
        Command::CheckConfig(check) => {
            check.run(&source, &mut io::stdout().lock(), &mut io::stderr().lock())?;
        }
        Command::Healthcheck(healthcheck) => return healthcheck.run(),
        Command::Nodes(nodes) => return nodes.run(),
        Command::Token(token) => {
            let (mut input, mut out) = (io::stdin().lock(), io::stdout().lock());
            token.run(&mut input, &mut out, &mut io::stderr().lock())?;
        }
        Command::Completions(completions) => completions.run(&mut io::stdout().lock())?,
        Command::Man(man) => man.run()?,
    }
    Ok(ExitCode::SUCCESS)
}

/// An error and all its causes on one line.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

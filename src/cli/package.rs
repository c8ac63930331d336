//! `switchgate completions` and `switchgate man`: what packages bring beside the program, made from
//! its own command line.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, CliError};

/// Flags of `switchgate completions`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  switchgate completions bash > /etc/bash_completion.d/switchgate")]
pub struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Flags of `switchgate man`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  switchgate man /usr/local/share/man/man1")]
pub struct Man {
    /// Folder to write them to, which is made if it does not exist
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
}

// === impl Completions ===

impl Completions {
    /// Writes the script to `out`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), CliError> {
        // clap_complete panics when the output is closed.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "switchgate", &mut script);
        out.write_all(&script)?;
        Ok(())
    }
}

// === impl Man ===

impl Man {
    /// Writes the pages.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn run(&self) -> Result<(), CliError> {
        std::fs::create_dir_all(&self.folder)?;
        let mut program = Cli::command().disable_help_subcommand(true);
        // Gives the sub-commands their full names.
        program.build();
        let shown = program.get_subcommands().filter(|it| !it.is_hide_set());
        for command in shown.chain([&program]) {
            self.write_page(command.clone())?;
        }
        Ok(())
    }

    fn write_page(&self, command: clap::Command) -> io::Result<()> {
        let page = clap_mangen::Man::new(command)
            .source(concat!("switchgate ", env!("CARGO_PKG_VERSION")))
            .manual("Switchgate");
        let mut text = Vec::new();
        page.render(&mut text)?;
        // What stands below the flags has lines of its own, which would be filled.
        let text = String::from_utf8_lossy(&text)
            .replace("\n.SH EXTRA\n", "\n.SH NOTES\n.nf\n")
            .replace("\n.SH VERSION\n", "\n.fi\n.SH VERSION\n");
        std::fs::write(self.folder.join(page.get_filename()), text)
    }
}

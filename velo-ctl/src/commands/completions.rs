//! `completions`: a completion script for a shell, on standard output.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::CommandLine;
use crate::failure::{Failure, status};
use crate::output::Output;

/// Print a completion script for a shell
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  velo-ctl completions bash > /etc/bash_completion.d/velo-ctl
  velo-ctl completions zsh  > \"${fpath[1]}/_velo-ctl\"
  velo-ctl completions fish > ~/.config/fish/completions/velo-ctl.fish")]
pub struct Arguments {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut CommandLine::command(),
        "velo-ctl",
        &mut script,
    );
    let mut out = Output::new();
    out.bytes(&script)?;
    out.finish()?;
    Ok(status::DONE)
}

//! One file per command: its arguments, its help, and what it does.

pub mod build_manifest;
pub mod cat;
pub mod completions;
pub mod diff;
pub mod doctor;
pub mod inspect;
pub mod ls;
mod ls_long;
pub mod run;
pub mod stat;
pub mod use_current;
pub mod verify;
pub mod warm;

use crate::cli::Command;
use crate::failure::Failure;

/// Runs `command`; the exit status.
pub fn dispatch(command: Command) -> Result<u8, Failure> {
    match command {
        Command::BuildManifest(arguments) => build_manifest::run(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Use(arguments) => use_current::run(&arguments),
        Command::Ls(arguments) => ls::run(&arguments),
        Command::Cat(arguments) => cat::run(&arguments),
        Command::Stat(arguments) => stat::run(&arguments),
        Command::Diff(arguments) => diff::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Warm(arguments) => warm::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
    }
}

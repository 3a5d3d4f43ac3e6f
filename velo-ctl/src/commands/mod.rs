//! One file per command: its arguments, its help, and what it does.

pub mod completions;
pub mod doctor;

use crate::cli::Command;
use crate::failure::Failure;

/// Runs `command`; the exit status.
pub fn dispatch(command: Command) -> Result<u8, Failure> {
    match command {
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Probe(arguments) => crate::doctor::probe::run(&arguments),
    }
}

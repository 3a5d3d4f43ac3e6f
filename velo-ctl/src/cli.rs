//! The command line as clap sees it. Each command's arguments stand in its own file.

use std::ffi::OsString;
use std::io::{self, Write};

use clap::{Parser, Subcommand};

use crate::commands::{
    build_manifest, cat, completions, diff, doctor, inspect, ls, run, stat, use_current, verify,
    warm,
};
use crate::failure::status;
use crate::output::write_failure;

/// Serves dependency trees from one manifest: index a tree once, run programs from it anywhere.
#[derive(Parser, Debug)]
#[command(name = "velo-ctl", version, propagate_version = true, max_term_width = 100, after_help = EXAMPLES)]
pub struct CommandLine {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  velo-ctl build-manifest .venv -o app.velo        index a tree
  velo-ctl run -m app.velo -- .venv/bin/python app.py
  velo-ctl use app.velo                            make it the default
  velo-ctl doctor                                  what of this machine works

Exit status: 0 done, 1 failed, 2 wrong command line; `diff`: 1 different, 2 trouble;
`run`: the command's own, or 125 Velo failed, 126 cannot execute, 127 not found or unusable manifest.";

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    BuildManifest(build_manifest::Arguments),
    Run(run::Arguments),
    Warm(warm::Arguments),
    Use(use_current::Arguments),
    Ls(ls::Arguments),
    Cat(cat::Arguments),
    Stat(stat::Arguments),
    Diff(diff::Arguments),
    Inspect(inspect::Arguments),
    Verify(verify::Arguments),
    Doctor(doctor::Arguments),
    Completions(completions::Arguments),
}

/// Parses, or prints what clap has to say and gives the exit status.
pub fn parse(arguments: Vec<OsString>) -> Result<CommandLine, u8> {
    let is_run = arguments.get(1).is_some_and(|first| first == "run");
    CommandLine::try_parse_from(arguments).map_err(|error| {
        let printed = error.print().and_then(|()| io::stdout().flush());
        match error.use_stderr() {
            false => match printed {
                Ok(()) => status::DONE,
                Err(error) => {
                    write_failure(&error).report();
                    status::FAILED
                }
            },
            true if is_run => status::VELO,
            true => status::USAGE,
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn command_line_is_consistent() {
        super::CommandLine::command().debug_assert();
    }
}

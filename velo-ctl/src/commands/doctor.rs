//! `doctor`: what of this machine works, and what to do about the rest.

use anstyle::AnsiColor;
use clap::Args;
use serde::Serialize;

use crate::doctor::{Check, Verdict, examine};
use crate::failure::{Failure, status};
use crate::output::{FormatArguments, Output};

/// Examine this machine: what works, and what to do about what does not
#[derive(Args, Debug)]
#[command(after_help = "\
Each check does what Velo would do; nothing is left behind.
Exit status: 0 all ok or only warnings, 1 something failed.

Examples:
  velo-ctl doctor
  velo-ctl doctor --json | jq -r '.checks[] | select(.status != \"ok\") | .advice'
  VELO_ROOT=/var/lib/velo velo-ctl doctor          examine another store root")]
pub struct Arguments {
    #[command(flatten)]
    format: FormatArguments,
}

#[derive(Serialize)]
struct Report<'a> {
    status: Verdict,
    checks: &'a [Check],
}

/// Examines and reports.
pub fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let checks = examine();
    let worst = worst(&checks);
    let mut out = Output::new();
    if arguments.format.json {
        out.json(&Report {
            status: worst,
            checks: &checks,
        })?;
    } else {
        for check in &checks {
            show(&mut out, check)?;
        }
    }
    out.finish()?;
    Ok(if worst == Verdict::Fail {
        status::FAILED
    } else {
        status::DONE
    })
}

fn worst(checks: &[Check]) -> Verdict {
    let has = |verdict| checks.iter().any(|check| check.status == verdict);
    if has(Verdict::Fail) {
        Verdict::Fail
    } else if has(Verdict::Warn) {
        Verdict::Warn
    } else {
        Verdict::Ok
    }
}

fn show(out: &mut Output, check: &Check) -> Result<(), Failure> {
    let (word, color) = match check.status {
        Verdict::Ok => ("ok  ", AnsiColor::Green),
        Verdict::Warn => ("warn", AnsiColor::Yellow),
        Verdict::Fail => ("fail", AnsiColor::Red),
    };
    let word = out.painted(word, color);
    out.line(format_args!("{word} {:<18} {}", check.id, check.found))?;
    if !check.advice.is_empty() {
        out.line(format_args!("     {:<18} -> {}", "", check.advice))?;
    }
    Ok(())
}

//! `warm`: the parents that `run --warm` has started, and their end.

use clap::{Args, Subcommand};
use serde::Serialize;
use velo_store::Root;

use crate::failure::{Failure, status};
use crate::output::{FormatArguments, Output};
use crate::warm::directory::Directory;
use crate::warm::parents::{self, Parent};

/// Show or stop the interpreters that `run --warm` keeps
#[derive(Args, Debug)]
#[command(after_help = "\
A parent has imported what an application imports; `run --warm` forks the application out of it.
It ends by itself after VELO_WARM_IDLE seconds without work (600). There are at most VELO_WARM_MAX
of a user (8), with VELO_WARM_MEMORY MiB together (a quarter of the machine's memory).

Examples:
  velo-ctl warm list
  velo-ctl warm stop                 all
  velo-ctl warm stop 40720f47c9a28787")]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// What there is, and which modules were left out
    List {
        #[command(flatten)]
        format: FormatArguments,
    },
    /// End them; programs that run go on
    Stop {
        /// Those of these names or process numbers [default: all]
        parent: Vec<String>,
    },
}

#[derive(Serialize)]
struct Row {
    name: String,
    pid: i32,
    application: String,
    python: String,
    flags: String,
    preload: Vec<String>,
    modules: u64,
    memory: u64,
    idle_seconds: u64,
    left_out: Vec<LeftOut>,
}

#[derive(Serialize)]
struct LeftOut {
    module: String,
    reason: String,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let root = Root::discover().map_err(Failure::new)?;
    let directory = Directory::existing(&root.path);
    let found = directory.as_ref().map_or_else(Vec::new, parents::list);
    match &arguments.action {
        Action::List { format } => list(&found, *format)?,
        Action::Stop { parent } => stop(&found, parent)?,
    }
    Ok(status::DONE)
}

fn list(found: &[Parent], format: FormatArguments) -> Result<(), Failure> {
    let rows: Vec<Row> = found.iter().map(row).collect();
    let mut output = Output::new();
    if format.json {
        output.json(&rows)?;
        return output.finish();
    }
    for row in &rows {
        output.name(
            format!(
                "{}  pid {}  {} modules  {} MiB  idle {} s  {}{}",
                row.name,
                row.pid,
                row.modules,
                row.memory >> 20,
                row.idle_seconds,
                row.application,
                if row.preload.is_empty() {
                    String::new()
                } else {
                    format!(" --preload {}", row.preload.join(","))
                },
            )
            .as_bytes(),
        )?;
        output.line("")?;
        for left in &row.left_out {
            output.name(format!("  left out {}: {}", left.module, left.reason).as_bytes())?;
            output.line("")?;
        }
    }
    output.finish()
}

fn row(parent: &Parent) -> Row {
    let left_out = parent.all("left-out").filter_map(|line| {
        let (module, reason) = line.split_once(": ")?;
        Some(LeftOut {
            module: module.into(),
            reason: reason.into(),
        })
    });
    Row {
        name: parent.name.clone(),
        pid: parent.pid,
        application: parent.get("app").into(),
        python: parent.get("python").into(),
        flags: parent.get("flags").into(),
        preload: parent
            .get("preload")
            .split(',')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect(),
        modules: parent.get("modules").parse().unwrap_or(0),
        memory: parent.memory_bytes,
        idle_seconds: parent.idle_seconds,
        left_out: left_out.collect(),
    }
}

fn stop(found: &[Parent], named: &[String]) -> Result<(), Failure> {
    let is =
        |parent: &Parent, name: &String| parent.name == *name || parent.pid.to_string() == *name;
    if let Some(missing) = named
        .iter()
        .find(|name| !found.iter().any(|parent| is(parent, name)))
    {
        return Err(Failure::expected(
            "the name or process number of a parent",
            format_args!("`{missing}`"),
            "see `velo-ctl warm list`",
        ));
    }
    for parent in found {
        if named.is_empty() || named.iter().any(|name| is(parent, name)) {
            parent.stop();
        }
    }
    Ok(())
}

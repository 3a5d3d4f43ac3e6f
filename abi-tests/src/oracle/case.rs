//! A tree, scripts and who runs them: as text, so that a difference can be committed and replayed.
//!
//! ```text
//! # what it is about
//! run c alone nobody
//! tree usual
//! <an entry a line>
//! script
//! <an operation a line>
//! script
//! <what the next thread does>
//! ```

use std::fmt;
use std::str::FromStr;

use super::entry::Entry;

/// Who carries out a script.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Caller {
    /// `c/oracle.c`.
    C,
    /// `src/bin/oracle_std.rs`.
    Std,
}

/// How several scripts run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// One after the other.
    Alone,
    /// Each in a thread of one process.
    Threads,
    /// Each in a child of one process.
    Processes,
}

impl Way {
    /// As the runners are told.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Alone => "alone",
            Self::Threads => "threads",
            Self::Processes => "processes",
        }
    }
}

/// Everything that one comparison depends on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    /// What it is about, a line each.
    pub about: Vec<String>,
    /// Who runs it.
    pub caller: Caller,
    /// How its scripts run.
    pub way: Way,
    /// Whether as root, else as nobody.
    pub root: bool,
    /// Whether the manifest keeps every field of stat.
    pub exact: bool,
    /// The tree.
    pub tree: Vec<Entry>,
    /// Lines of each script.
    pub scripts: Vec<Vec<String>>,
}

impl fmt::Display for Case {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.about {
            writeln!(out, "# {line}")?;
        }
        let caller = match self.caller {
            Caller::C => "c",
            Caller::Std => "std",
        };
        let user = if self.root { "root" } else { "nobody" };
        writeln!(out, "run {caller} {} {user}", self.way.name())?;
        writeln!(out, "tree {}", if self.exact { "exact" } else { "usual" })?;
        for entry in &self.tree {
            writeln!(out, "{entry}")?;
        }
        for script in &self.scripts {
            writeln!(out, "script")?;
            for line in script {
                writeln!(out, "{line}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut case = Self {
            about: Vec::new(),
            caller: Caller::C,
            way: Way::Alone,
            root: false,
            exact: false,
            tree: Vec::new(),
            scripts: Vec::new(),
        };
        let mut in_tree = false;
        for (number, line) in text.lines().enumerate() {
            let wrong =
                |what: &str| format!("line {}: expected {what}, found `{line}`", number + 1);
            if let Some(about) = line.strip_prefix('#') {
                case.about.push(about.trim().to_owned());
            } else if line == "script" {
                case.scripts.push(Vec::new());
            } else if let Some(script) = case.scripts.last_mut() {
                script.push(line.to_owned());
            } else if in_tree {
                case.tree
                    .push(line.parse().map_err(|error: String| wrong(&error))?);
            } else if let Some(fidelity) = line.strip_prefix("tree ") {
                (in_tree, case.exact) = (true, fidelity == "exact");
            } else if let Some(run) = line.strip_prefix("run ") {
                let words: Vec<&str> = run.split(' ').collect();
                (case.caller, case.way, case.root) = match words[..] {
                    [caller, way, user] => (
                        if caller == "std" {
                            Caller::Std
                        } else {
                            Caller::C
                        },
                        match way {
                            "threads" => Way::Threads,
                            "processes" => Way::Processes,
                            _ => Way::Alone,
                        },
                        user == "root",
                    ),
                    _ => return Err(wrong("`run caller way user`")),
                };
            } else {
                return Err(wrong("`run`, `tree` or `script`"));
            }
        }
        if case.scripts.is_empty() {
            return Err("expected a script, found none".to_owned());
        }
        Ok(case)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{script, tree};
    use super::{Caller, Case, Way};
    use crate::random::Random;

    #[test]
    fn text_comes_back() {
        let random = &mut Random::new(3);
        let tree = tree(random, 40);
        let case = Case {
            about: vec!["why".to_owned()],
            caller: Caller::Std,
            way: Way::Threads,
            root: true,
            exact: true,
            scripts: vec![script(random, &tree, 50), script(random, &tree, 50)],
            tree,
        };
        assert_eq!(case.to_string().parse(), Ok(case));
    }
}

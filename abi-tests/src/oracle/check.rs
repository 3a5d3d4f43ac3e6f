//! Runs a case on both sides, and makes it smaller while it still differs.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::case::{Caller, Case};
use super::entry::make;
use super::text::{escaped, placed};
use crate::random::shrink;
use crate::{Call, Fidelity, NOBODY, Outcome, World, compare, compile, trees};

/// A tree on both sides, to run scripts on.
#[derive(Debug)]
pub struct Check {
    world: World,
    place: String,
    standard_library: PathBuf,
}

/// Two answers that are not the same.
#[derive(Debug)]
pub struct Difference {
    /// The lines that differ.
    pub report: String,
    /// The script and the tree, as small as they could be made.
    pub case: Case,
}

impl Check {
    /// Makes the tree of `case` and its manifest. `standard_library` is the built `oracle_std`.
    ///
    /// # Panics
    /// If they cannot be made.
    #[must_use]
    pub fn new(case: &Case, standard_library: &Path) -> Self {
        let fidelity = if case.exact {
            Fidelity::Exact
        } else {
            Fidelity::Usual
        };
        let world = World::new("oracle", fidelity, |base, at| {
            make(&case.tree, base, at);
            trees::neighbours(&at.with_file_name("outside"), at);
        })
        .sealed();
        if case.exact {
            world.settle_times();
        }
        let place = escaped(world.at.as_os_str().as_bytes());
        Self {
            world,
            place,
            standard_library: standard_library.to_path_buf(),
        }
    }

    /// As [`Self::new`], but the plain tree loses the entry `victim` after it was indexed.
    ///
    /// # Panics
    /// If it cannot be made or removed.
    #[must_use]
    pub fn of_altered(case: &Case, victim: usize, standard_library: &Path) -> Self {
        let check = Self::new(case, standard_library);
        let path = OsString::from_vec(super::text::unescaped(&case.tree[victim].path));
        let path = check.world.plain.join(path);
        let gone = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir_all(&path));
        gone.unwrap_or_else(|error| panic!("remove {}: {error}", path.display()));
        check
    }

    fn call(&self, case: &Case) -> Call {
        let scripts: Vec<String> = case
            .scripts
            .iter()
            .map(|lines| lines.iter().map(|line| self.line(line) + "\n").collect())
            .collect();
        let program = match case.caller {
            Caller::C => compile::with("cc", "oracle", &["-pthread"]),
            Caller::Std => self.standard_library.clone(),
        };
        let call = Call::new(program)
            .arg(&self.world.at)
            .arg(case.way.name())
            .input(scripts.join("---\n"));
        let call = if case.exact {
            call.env("PROBE_EXACT", "1")
        } else {
            call
        };
        if case.root {
            call
        } else {
            call.user_if_root(NOBODY)
        }
    }

    fn line(&self, line: &str) -> String {
        if !line.contains('{') {
            return line.to_owned();
        }
        let fields: Vec<String> = line
            .split('\t')
            .map(|field| placed(field, &self.place))
            .collect();
        fields.join("\t")
    }

    /// What the caller of `case` says on the plain tree.
    ///
    /// # Panics
    /// If it does not come to its end there: that is a fault of the test.
    #[must_use]
    pub fn plain(&self, case: &Case) -> Outcome {
        let plain = self.world.plain(&self.call(case));
        assert!(
            plain.text().contains("descriptors more\n")
                && !plain.text().contains("unknown operation"),
            "the script did not end on the plain tree: {:?}\n{}\n{}",
            plain.ended,
            plain.errors(),
            plain.text().lines().last().unwrap_or_default()
        );
        plain
    }

    /// Where both sides of `case` differ, if they do.
    #[must_use]
    pub fn difference(&self, case: &Case) -> Option<String> {
        let (plain, served) =
            compare::settled(|| self.plain(case), || self.world.served(&self.call(case)));
        compare::difference(&plain, &served)
    }

    /// As [`Self::difference`], with what is found made small.
    #[must_use]
    pub fn smallest_difference(&self, case: &Case) -> Option<Difference> {
        let first = self.difference(case)?;
        let mut small = case.clone();
        for number in 0..small.scripts.len() {
            let with = |lines: &[String]| {
                let mut other = small.clone();
                other.scripts[number] = lines.to_vec();
                other
            };
            let lines = small.scripts[number].clone();
            if self.difference(&with(&[])).is_some() {
                small.scripts[number] = Vec::new();
                continue;
            }
            let fewer = shrink(&lines, 300, |lines| self.difference(&with(lines)).is_some());
            small = with(&fewer);
        }
        let differs = |entries: &[super::Entry]| {
            let other = Case {
                tree: entries.to_vec(),
                ..small.clone()
            };
            Self::new(&other, &self.standard_library)
                .difference(&other)
                .is_some()
        };
        let tree = shrink(&small.tree, 120, differs);
        small.tree = tree;
        let report = Self::new(&small, &self.standard_library)
            .difference(&small)
            .unwrap_or_else(|| format!("{first}  (not always: the smaller case did not differ when it was run once more)\n"));
        Some(Difference {
            report,
            case: small,
        })
    }
}

//! The oracle: random operations on random trees, line by line against the kernel, and the cases that once differed.
//!
//! `VELO_ABI_OPERATIONS` (200,000) operations in all, from `VELO_ABI_SEED` (1), or for at most `VELO_ABI_MINUTES`. A
//! difference is shrunk to the few operations and entries that still show it and printed as a case: put it into
//! `abi-tests/cases`, where it is replayed for ever. `VELO_ABI_WITHOUT` leaves operations out.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use abi_tests::oracle::{self, Caller, Case, Check, Way};
use abi_tests::random::Random;
use abi_tests::{is_root, namespace, number};

/// Lines of one script, and how many run at once.
const LINES: usize = 600;
const SCRIPTS: usize = 4;
/// After so many differences the rest is not worth the time.
const DIFFERENCES_MAX: usize = 8;

/// Who runs scripts on each tree.
const RUNS: [(Caller, Way, bool); 7] = [
    (Caller::C, Way::Alone, false),
    (Caller::C, Way::Alone, true),
    (Caller::C, Way::Threads, false),
    (Caller::C, Way::Processes, false),
    (Caller::C, Way::Threads, true),
    (Caller::Std, Way::Alone, false),
    (Caller::Std, Way::Threads, true),
];

fn standard_library() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_oracle_std"))
}

/// The tree and the scripts of a seed; the same for the same seed.
fn case(random: &mut Random) -> Case {
    let entries = 20 + random.below(120);
    Case {
        about: Vec::new(),
        caller: Caller::C,
        way: Way::Alone,
        root: false,
        exact: random.once_in(2),
        tree: oracle::tree(random, entries),
        scripts: Vec::new(),
    }
}

/// Runs all scripts of one seed; how many operations both sides did, and the differences.
fn check(seed: u64) -> (u64, Vec<oracle::Difference>) {
    let random = &mut Random::new(seed);
    let mut case = case(random);
    let check = Check::new(&case, standard_library());
    let (mut operations, mut differences) = (0, Vec::new());
    for (caller, way, root) in RUNS {
        case.scripts = (0..SCRIPTS)
            .map(|_| oracle::script(random, &case.tree, LINES))
            .collect();
        (case.caller, case.way, case.root) = (caller, way, root);
        operations += (SCRIPTS * LINES) as u64;
        if let Some(mut difference) = check.smallest_difference(&case) {
            difference.case.about = vec![format!("seed {seed}")];
            differences.push(difference);
        }
    }
    (operations, differences)
}

#[test]
fn random_scripts_agree() {
    if !namespace::or_skip() {
        return;
    }
    let wanted = number("VELO_ABI_OPERATIONS", 200_000);
    let first = number("VELO_ABI_SEED", 1).wrapping_mul(1_000_003);
    let minutes = number("VELO_ABI_MINUTES", 24 * 60);
    let (begun, limit) = (Instant::now(), Duration::from_secs(60 * minutes));
    let (next, done) = (AtomicU64::new(0), AtomicU64::new(0));
    let found = Mutex::new(Vec::new());
    let work = || {
        while done.load(Ordering::Relaxed) < wanted && begun.elapsed() < limit {
            let seed = first.wrapping_add(next.fetch_add(1, Ordering::Relaxed));
            let (operations, differences) = check(seed);
            done.fetch_add(operations, Ordering::Relaxed);
            let mut found = found.lock().unwrap();
            found.extend(differences);
            if found.len() >= DIFFERENCES_MAX {
                break;
            }
        }
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(work);
        work();
        other
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    let found = found.into_inner().unwrap();
    let (trees, done) = (next.into_inner(), done.into_inner());
    println!(
        "{done} operations on {trees} trees in {:.0} s, {} differences; left out: {}",
        begun.elapsed().as_secs_f64(),
        found.len(),
        oracle::excluded().join(", ")
    );
    let reports: Vec<String> = found
        .iter()
        .map(|difference| {
            format!(
                "plain and served differ\n{}as a case:\n{}",
                difference.report, difference.case
            )
        })
        .collect();
    assert!(reports.is_empty(), "{}", reports.join("\n"));
}

/// The committed cases: each differed once.
fn cases() -> Vec<(PathBuf, Case)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "case")
        })
        .collect();
    paths.sort();
    let parse = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let case = text
            .parse()
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, case)
    };
    paths.into_iter().map(parse).collect()
}

#[test]
fn what_differed_once_agrees() {
    if !namespace::or_skip() {
        return;
    }
    let cases = cases();
    assert!(!cases.is_empty(), "no cases");
    let mut reports = Vec::new();
    for (path, mut case) in cases {
        let check = Check::new(&case, standard_library());
        // Who else does the same must agree as well.
        let others = [
            (Caller::C, true),
            (Caller::C, false),
            (Caller::Std, true),
            (Caller::Std, false),
        ];
        for (caller, root) in [(case.caller, case.root)].into_iter().chain(others) {
            (case.caller, case.root) = (caller, root);
            if caller == Caller::Std && case.way == Way::Processes {
                continue;
            }
            if let Some(report) = check.difference(&case) {
                reports.push(format!(
                    "{} ({caller:?}, root {root}):\n{report}",
                    path.display()
                ));
                break;
            }
        }
    }
    assert!(reports.is_empty(), "{}", reports.join("\n"));
}

/// The oracle sees a difference where there is one, and makes it small: a tree that lost a file, and a manifest of
/// the tree before.
#[test]
fn an_altered_tree_is_found_out() {
    if !namespace::or_skip() || abi_tests::world::oracle_only() {
        return;
    }
    let random = &mut Random::new(7);
    let mut case = case(random);
    case.root = is_root();
    case.scripts = vec![oracle::script(random, &case.tree, 400)];
    let victim = case
        .tree
        .iter()
        .rposition(|entry| !entry.path.is_empty())
        .unwrap();
    let check = Check::of_altered(&case, victim, standard_library());
    assert!(check.difference(&case).is_some());
    let small = abi_tests::random::shrink(&case.scripts[0], 200, |lines| {
        let scripts = vec![lines.to_vec()];
        check
            .difference(&Case {
                scripts,
                ..case.clone()
            })
            .is_some()
    });
    assert!(small.len() <= 3, "{small:?}");
}

//! Random operations on random trees, line by line against the kernel.
//!
//! `VELO_ABI_OPERATIONS` (20,000) operations in all, from `VELO_ABI_SEED` (1). A difference is
//! shrunk to the few operations that still show it, and reported with the tree.
//! `VELO_ABI_WITHOUT` leaves operations out.

use abi_tests::{Call, Fidelity, NOBODY, World, compare, compile, number, random};
use random::Random;

const SCRIPT_LINES: usize = 500;
const SCRIPTS_A_TREE: u64 = 4;
const ENTRIES: usize = 70;

/// The difference between both sides for `script`, if any.
fn difference(world: &World, script: &[String], user: Option<u32>) -> Option<String> {
    let path = world.outside.join("script");
    std::fs::write(&path, script.join("\n") + "\n").unwrap();
    let call = Call::new(compile::c("random_ops"))
        .arg(&world.at)
        .arg(&path);
    let call = user.into_iter().fold(call, Call::user);
    let plain = world.plain(&call);
    assert!(
        plain.text().ends_with("end\n"),
        "the script did not end on the plain tree: {:?}\n{}",
        plain.ended,
        plain.errors()
    );
    compare::difference(&plain, &world.served(&call))
}

fn check(seed: u64) {
    let random = &mut Random::new(seed);
    let mut paths = Vec::new();
    let world = World::new(&format!("random-{seed}"), Fidelity::Usual, |base, at| {
        paths = random::tree(random, base, at, ENTRIES);
        abi_tests::trees::neighbours(&at.with_file_name("outside"), at);
    });
    for round in 0..SCRIPTS_A_TREE {
        let user = (abi_tests::is_root() && round != 0).then_some(NOBODY);
        // Root may write anywhere outside of P, so its paths must stay in it; nobody's need not.
        let mut script = random::script(random, &paths, &world.at, SCRIPT_LINES);
        if user.is_none() {
            script.retain(|line| !random::may_change(line));
        }
        if difference(&world, &script, user).is_none() {
            continue;
        }
        let shrunk = random::shrink(&script, 300, |fewer| {
            difference(&world, fewer, user).is_some()
        });
        let report = difference(&world, &shrunk, user).unwrap_or_default();
        let tree = Call::new("find")
            .arg(".")
            .args(["-printf", "%M %u %n %s %p -> %l\\n"])
            .started_in(&world.plain)
            .run(None)
            .text();
        panic!(
            "seed {seed}, script {round}, user {user:?}: plain and served differ\n{report}script (operation, slot, number, path):\n{}\ntree:\n{tree}",
            shrunk.join("\n")
        );
    }
}

#[test]
fn random_operations_agree() {
    if !abi_tests::namespace::or_skip() {
        return;
    }
    let operations = number("VELO_ABI_OPERATIONS", 20_000);
    let first = number("VELO_ABI_SEED", 1);
    let trees = operations.div_ceil(SCRIPTS_A_TREE * SCRIPT_LINES as u64);
    let seeds: Vec<u64> = (0..trees)
        .map(|tree| first.wrapping_mul(1_000_003).wrapping_add(tree))
        .collect();
    let (left, right) = seeds.split_at(seeds.len() / 2);
    std::thread::scope(|scope| {
        let half = scope.spawn(|| left.iter().copied().for_each(check));
        right.iter().copied().for_each(check);
        if let Err(panic) = half.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// The runner sees a difference where there is one, and shrinks it.
#[test]
fn an_altered_tree_is_found_out() {
    if !abi_tests::namespace::or_skip() {
        return;
    }
    let random = &mut Random::new(7);
    let world = World::unbuilt("random-altered", Fidelity::Usual);
    std::fs::create_dir(&world.plain).unwrap();
    let paths = random::tree(random, &world.plain, &world.at, 30);
    let copy = world.plain.with_file_name("copy");
    assert!(
        std::process::Command::new("cp")
            .arg("-a")
            .arg(&world.plain)
            .arg(&copy)
            .status()
            .unwrap()
            .success()
    );
    let victim = paths.iter().find(|path| !path.is_empty()).unwrap();
    abi_tests::scratch::remove(&copy.join(victim));
    let _ = std::fs::remove_file(copy.join(victim));
    let script = random::script(random, &paths, &world.at, 400);
    let script: Vec<String> = script
        .into_iter()
        .filter(|line| !random::may_change(line))
        .collect();
    let run = |tree: &std::path::Path, lines: &[String]| {
        let path = world.outside.join("script");
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
        world.on_tree(
            tree,
            &Call::new(compile::c("random_ops"))
                .arg(&world.at)
                .arg(&path),
        )
    };
    let differs = |lines: &[String]| {
        compare::difference(&run(&world.plain, lines), &run(&copy, lines)).is_some()
    };
    assert!(differs(&script));
    let shrunk = random::shrink(&script, 200, differs);
    assert!(shrunk.len() <= 3 && differs(&shrunk), "{shrunk:?}");
}

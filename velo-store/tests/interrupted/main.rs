//! Builders that are killed (SIGKILL) at a random moment, again and again: whatever is
//! visible is whole, a retry succeeds, and what is left over can be cleaned away.
#![allow(
    missing_docs,
    dead_code,
    clippy::unwrap_used,
    reason = "a test binary has no public items, shares helpers with another one, and a test that cannot go on should panic"
)]

mod worker;
#[path = "../store/world.rs"]
mod world;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use velo_store::Store;

use worker::{Work, check_whole};

/// Kills per kind of work: where it is fast, and where it is real.
const KILLS_IN_MEMORY: u64 = 30;
const KILLS_ON_DISK: u64 = 12;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, work, root, seed] = arguments.as_slice()
        && first == "--worker"
    {
        let work = Work::ALL
            .into_iter()
            .find(|kind| kind.name() == *work)
            .unwrap();
        work.run_until_killed(Path::new(root), seed.parse().unwrap());
    }
    // Filters of `cargo test NAME`.
    let filters: Vec<&String> = arguments.iter().filter(|a| !a.starts_with('-')).collect();
    for work in Work::ALL {
        let name = format!("interrupted::{}", work.name());
        if filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str())) {
            if world::with_faults(&[], || ()).is_none() && work.needs_faults() {
                continue;
            }
            let begin = Instant::now();
            let places = [
                (world::in_memory(), KILLS_IN_MEMORY),
                (world::on_disk(), KILLS_ON_DISK),
            ];
            for (place, kills) in places {
                kill_again_and_again(work, &place.path().join("root"), kills);
            }
            println!("test {name} ... ok ({:.1?})", begin.elapsed());
        }
    }
}

fn kill_again_and_again(work: Work, root: &Path, kills: u64) {
    Store::open_or_create(root).unwrap();
    let mut progress = 0;
    for kill in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--worker", work.name()])
            .arg(root)
            .arg(kill.to_string())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        // From "hardly started" to "did some of it already", in steps that share no period
        // with the work.
        std::thread::sleep(Duration::from_micros(500 + kill * 1_373 % 40_000));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert!(
            status.code().is_none(),
            "the worker ended by itself: {status}"
        );
        progress += check_whole(root);
    }
    assert!(
        progress > 0,
        "no worker got anything done before it was killed"
    );
    // The same work done in peace succeeds, whatever lies around.
    let store = Store::open_or_create(root).unwrap();
    work.finish(&store);
    check_whole(root);
    store.clean_leftovers(Duration::ZERO).unwrap();
    let left: Vec<_> = world::files_below(root)
        .into_iter()
        .filter(|path| path.to_string_lossy().contains(".velo-tmp-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

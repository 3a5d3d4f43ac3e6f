//! The scan keeps within a small limit of open files. A test crate of its own, because
//! the limit is the process's.

mod common;

use common::{Place, entries, settle, threads};
use rustix::process::{Resource, getrlimit, setrlimit};
use velo_indexer::IndexError;

#[test]
fn few_descriptors_are_enough() {
    let place = Place::new();
    // Wide at every level, so that a scan wants to keep many directories open.
    for number in 0..2000 {
        let digits: Vec<String> = format!("{number:04}").chars().map(String::from).collect();
        place.write(
            format!("{}/deeper/and/deeper/file", digits.join("/")),
            digits[3].as_bytes(),
        );
    }
    settle();
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(40);
    setrlimit(Resource::Nofile, limit).unwrap();
    for count in [1, 4] {
        let built = place.build_with(&threads(count)).unwrap();
        assert_eq!(entries(&built.bytes), place.expected());
    }
    // Too few to begin with: said so, and nothing hangs.
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64 - 1;
    limit.current = Some(open + 1);
    setrlimit(Resource::Nofile, limit).unwrap();
    let error = place.build_with(&threads(2)).unwrap_err();
    assert!(matches!(error, IndexError::Descriptors { .. }), "{error}");
    assert!(error.to_string().contains("ulimit -n"), "{error}");
}

//! docs/FORMAT.md is enough to read a manifest: a reader that was written from it alone
//! (`probes/format.py`) finds in one what is in the tree that it was made of.

use std::time::Duration;

use abi_tests::trees::Tree;
use abi_tests::{Call, Fidelity, Outcome, World, compile};

fn read(world: &World) -> Outcome {
    let call = Call::new("python3")
        .args(["-X", "utf8", "-B"])
        .arg(compile::probes().join("format.py"))
        .arg(&world.manifest)
        .arg(&world.plain)
        .arg(&world.at);
    call.deadline(Duration::from_secs(300)).run(None)
}

#[test]
fn a_reader_by_the_page_alone_reads_every_entry() {
    for fidelity in [Fidelity::Usual, Fidelity::Exact] {
        let world = World::of_everything("format", fidelity);
        let said = read(&world).success().text();
        let entries = said.split(' ').next().and_then(|count| count.parse().ok());
        assert!(entries.is_some_and(|count: u32| count > 900), "{said}");
    }
}

/// The reader does compare: of another tree it says what is different.
#[test]
fn the_reader_notices_a_difference() {
    let world = World::new("format-changed", Fidelity::Usual, |base, _| {
        Tree::in_directory(base)
            .dir("dir")
            .file("dir/file", "content");
    });
    let _ = read(&world).success();
    let path = world.plain.join("dir/file");
    let times = std::fs::metadata(&path).and_then(|found| found.modified());
    std::fs::write(&path, "CONTENT").unwrap_or_else(|error| panic!("{error}"));
    let file = std::fs::File::options().write(true).open(&path);
    file.and_then(|file| file.set_modified(times?))
        .unwrap_or_else(|error| panic!("{error}"));
    let said = read(&world).errors();
    assert!(said.contains("dir/file': content: expected"), "{said}");
}

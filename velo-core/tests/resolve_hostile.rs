//! The fuzz target `resolve_path` without the fuzzer: its corpus, and inputs made
//! from the corpus by a few random changes. `VELO_RESOLVE_CASES` sets their number.

mod resolve_support;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use resolve_support::fuzzed;
use std::fs;

fn corpus() -> Vec<Vec<u8>> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/resolve_path");
    let entries = fs::read_dir(directory).expect("the corpus is part of the crate");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("readable").path())
        .collect();
    files.sort();
    files
        .iter()
        .map(|path| fs::read(path).expect("readable"))
        .collect()
}

#[test]
fn the_corpus_holds() {
    let corpus = corpus();
    assert!(corpus.len() >= 10, "the corpus is there");
    for input in &corpus {
        fuzzed::run(input);
    }
}

#[test]
fn so_do_its_variations() {
    let corpus = corpus();
    let config = Config {
        cases: resolve_support::cases(20_000),
        failure_persistence: None,
        ..Config::default()
    };
    let change = (any::<u16>(), any::<u8>());
    let damage = proptest::collection::vec((any::<u16>(), any::<u8>()), 0..6);
    let changes = proptest::collection::vec(change, 0..8);
    let tokens = proptest::collection::vec(0usize..10, 0..8);
    let strategy = (0..corpus.len(), changes, damage, tokens);
    TestRunner::new(config)
        .run(&strategy, |(number, changes, damage, tokens)| {
            let mut input = corpus[number].clone();
            for (position, value) in changes {
                let position = usize::from(position) % input.len();
                input[position] = value;
            }
            for token in tokens {
                let text = [
                    "/", "..", "a", "/l", "/in", "/s", "/up", "/abs", "/far", "/x",
                ][token];
                input.extend_from_slice(text.as_bytes());
            }
            if input.len() > 5 {
                // Damage of our own goes before that of the corpus, if it has any.
                input[4] = input[4].saturating_add(damage.len() as u8);
                for (offset, value) in damage {
                    let [low, high] = offset.to_le_bytes();
                    input.splice(5..5, [low, high, value]);
                }
            }
            fuzzed::run(&input);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

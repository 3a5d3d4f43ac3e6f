//! Measures perfect hashes over 64-bit path hashes, for docs/decisions/001-perfect-hash.md.
//!
//! Every candidate is asked the manifest's whole question: hash -> slot -> tag -> entry
//! index. So the plain open-addressing table, which needs no function before its slots,
//! competes on equal terms. Times are the least of several runs (noise only adds), and
//! every lookup waits for the one before it: latency, as a `stat` sees it.
//!
//! Arguments: numbers of keys (default 20000 1000000 10000000); words choose the rows that
//! hold one of them.

mod candidates;
mod measure;

use candidates::{
    Boomphf, Fmphgo, OpenHalf, OpenThreeQuarters, PhGenerator, PhGeneratorPtr, Phast, PtrHashFast,
    PtrHashParts, Velo,
};

fn main() {
    let (counts, words): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|argument| argument.parse::<usize>().is_ok());
    let mut counts: Vec<usize> = counts.iter().filter_map(|text| text.parse().ok()).collect();
    if counts.is_empty() {
        counts = vec![20_000, 1_000_000, 10_000_000];
    }
    for count in counts {
        let keys = path_hashes(0, count);
        let absent = path_hashes(count, count.min(1_000_000));
        println!("\n{count} keys\n\n{}", measure::HEADING);
        measure::row::<Velo>(&words, &keys, &absent);
        measure::row::<PtrHashFast>(&words, &keys, &absent);
        measure::row::<PtrHashParts>(&words, &keys, &absent);
        measure::row::<Phast>(&words, &keys, &absent);
        measure::row::<Fmphgo>(&words, &keys, &absent);
        measure::row::<Boomphf>(&words, &keys, &absent);
        measure::row::<PhGenerator>(&words, &keys, &absent);
        measure::row::<PhGeneratorPtr>(&words, &keys, &absent);
        measure::row::<OpenThreeQuarters>(&words, &keys, &absent);
        measure::row::<OpenHalf>(&words, &keys, &absent);
    }
}

/// Hashes of paths as a site-packages directory has them.
fn path_hashes(first: usize, count: usize) -> Vec<u64> {
    let mut path = String::new();
    (first..first + count)
        .map(|number| {
            use std::fmt::Write as _;
            path.clear();
            let (package, module) = (number / 213 % 9973, number % 213);
            let _ = write!(
                path,
                "lib/python3.11/site-packages/package_{package}/sub{}/module_{module}_{number}.py",
                module / 32
            );
            rapidhash::v3::rapidhash_v3(path.as_bytes())
        })
        .collect()
}

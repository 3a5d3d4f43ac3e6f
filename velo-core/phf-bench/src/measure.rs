//! One row of the table: build, look up, weigh.

use std::hint::black_box;
use std::time::Instant;

use crate::candidates::Candidate;

/// Markdown heading of the rows.
pub const HEADING: &str = "| candidate | build 1 / 2 threads, ms | hot, ns | random hit, ns | random miss, ns | function, B/key | with slots, B/key | lookup code, B | any order, same function |\n|---|---|---|---|---|---|---|---|---|";

/// Lookups of one pass: short enough to fall between what else runs on the machine.
const LOOKUPS: usize = 1_000_000;
const PASSES: usize = 16;

/// Measures `C` and prints its row, if its name holds one of `words` or there are none.
pub fn row<C: Candidate>(words: &[String], keys: &[u64], absent: &[u64]) {
    if !words.is_empty() && !words.iter().any(|word| C::NAME.contains(word)) {
        return;
    }
    let runs = if keys.len() > 2_000_000 { 2 } else { 5 };
    let build = |threads| {
        let least = (0..runs)
            .map(|_| timed(|| C::build(keys, threads)).1)
            .min_by(f64::total_cmp)
            .unwrap_or(0.0);
        format!("{:.1}", least * 1e3)
    };
    let one = build(1);
    let two = if C::THREADS { build(2) } else { "-".into() };

    let candidate = C::build(keys, 1);
    let slots = fill(&candidate, keys);
    let ask: fn(&C, &[u64], u64) -> u32 = black_box(C::find);
    for (index, key) in keys.iter().enumerate().step_by(97) {
        assert_eq!(
            ask(&candidate, &slots, *key),
            index as u32,
            "{} is wrong",
            C::NAME
        );
    }
    let hot = latency(&candidate, &slots, &[keys[keys.len() / 2]; 1024]);
    let hit = latency(&candidate, &slots, &shuffled(keys, LOOKUPS));
    let miss = if C::MISSES {
        format!(
            "{:.1}",
            latency(&candidate, &slots, &shuffled(absent, LOOKUPS))
        )
    } else {
        "panics".into()
    };
    let stable = {
        let mut sorted = keys[..20_000].to_vec();
        let before = C::build(&sorted, 1);
        sorted.sort_unstable();
        let after = C::build(&sorted, 1);
        sorted
            .iter()
            .all(|key| before.slot(*key) == after.slot(*key))
    };
    println!(
        "| {} | {one} / {two} | {hot:.1} | {hit:.1} | {miss} | {:.2} | {:.2} | {} | {} |",
        C::NAME,
        candidate.bytes() as f64 / keys.len() as f64,
        (candidate.bytes() + 8 * candidate.range()) as f64 / keys.len() as f64,
        code_bytes(C::SYMBOL),
        if stable { "yes" } else { "no" },
    );
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let made = black_box(work());
    let seconds = start.elapsed().as_secs_f64();
    (made, seconds)
}

/// The manifest's slots: the tag (high half of the hash) above, the entry's index below.
fn fill<C: Candidate>(candidate: &C, keys: &[u64]) -> Vec<u64> {
    let mut slots = vec![u64::from(u32::MAX); candidate.range()];
    for (index, key) in keys.iter().enumerate() {
        let slot = &mut slots[candidate.slot(*key)];
        assert!(
            *slot == u64::from(u32::MAX),
            "{}: two keys in one slot",
            C::NAME
        );
        *slot = key >> 32 << 32 | index as u64;
    }
    slots
}

/// Nanoseconds of one lookup, each waiting for the result of the last.
fn latency<C: Candidate>(candidate: &C, slots: &[u64], keys: &[u64]) -> f64 {
    let nothing = black_box(0_u64);
    let pass = || {
        let mut last = 0;
        let mut done = 0;
        while done < LOOKUPS {
            for key in keys.iter().take(LOOKUPS - done) {
                last = C::find(candidate, slots, key ^ (u64::from(last) & nothing));
            }
            done += keys.len();
        }
        last
    };
    let least = (0..PASSES)
        .map(|_| timed(pass).1)
        .min_by(f64::total_cmp)
        .unwrap_or(0.0);
    least * 1e9 / LOOKUPS as f64
}

/// At most `count` of `keys`, in an order no cache likes.
fn shuffled(keys: &[u64], count: usize) -> Vec<u64> {
    let mut order = keys.to_vec();
    let mut random = 1_u64;
    for left in (1..order.len()).rev() {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        order.swap(
            left,
            ((u128::from(random) * (left as u128 + 1)) >> 64) as usize,
        );
    }
    order.truncate(count);
    order
}

/// Size of the candidate's lookup as this program has it, from its own symbol table.
fn code_bytes(symbol: &str) -> String {
    let own = std::env::current_exe().ok();
    let output = own.and_then(|path| {
        std::process::Command::new("nm")
            .arg("-S")
            .arg(path)
            .output()
            .ok()
    });
    let table = output
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    let line = table
        .lines()
        .find(|line| line.ends_with(&format!(" {symbol}")));
    let size = line
        .and_then(|line| line.split_whitespace().nth(1))
        .and_then(|size| u64::from_str_radix(size, 16).ok());
    size.map_or("?".into(), |size| size.to_string())
}

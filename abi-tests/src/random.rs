//! Random numbers from a seed (the same seed, the same run), and making what fails smaller.

/// A small generator (splitmix64), so that a seed means the same for ever.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap_or(0)
    }

    /// True once in `of` times.
    pub fn once_in(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    /// One of `choices`, which are not empty.
    pub fn one<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}

/// The fewest of `items` for which `fails` still holds, in their order, within `runs` trials.
pub fn shrink<T: Clone>(items: &[T], mut runs: usize, fails: impl Fn(&[T]) -> bool) -> Vec<T> {
    let mut best = items.to_vec();
    let mut chunk = best.len().div_ceil(2);
    while chunk > 0 && runs > 0 {
        let mut start = 0;
        while start < best.len() && runs > 0 {
            let end = (start + chunk).min(best.len());
            let fewer = [&best[..start], &best[end..]].concat();
            runs -= 1;
            if !fewer.is_empty() && fails(&fewer) {
                best = fewer;
            } else {
                start = end;
            }
        }
        chunk = if chunk == 1 { 0 } else { chunk.div_ceil(2) };
    }
    best
}

#[cfg(test)]
mod tests {
    use super::{Random, shrink};

    #[test]
    fn shrinks_to_the_two_lines_that_matter() {
        let script: Vec<String> = (0..100).map(|line| line.to_string()).collect();
        let fails =
            |lines: &[String]| lines.contains(&"17".to_owned()) && lines.contains(&"83".to_owned());
        assert_eq!(shrink(&script, 10_000, fails), ["17", "83"]);
    }

    #[test]
    fn a_seed_means_one_run() {
        let run = |seed| {
            (0..50)
                .map(|_| Random::new(seed).below(1000))
                .collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(Random::new(1).next(), Random::new(2).next());
    }
}

//! The stat cache's view of a directory, walked beside the real one.

use std::ops::Range;

use crate::cache::Cache;

/// Walks the cached children of a directory beside the real ones, both in order.
pub(super) struct Guide<'a> {
    cache: &'a Cache,
    rest: Range<u32>,
}

impl<'a> Guide<'a> {
    /// Starts at the first cached child that is not before `first`.
    pub(super) fn new(cache: &'a Cache, directory: u32, first: &[u8]) -> Option<Self> {
        let mut rest = cache.children(directory);
        let (mut low, mut high) = (rest.start, rest.end);
        while low < high {
            let middle = low + (high - low) / 2;
            if cache.name(middle)? < first {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        rest.start = low;
        Some(Self { cache, rest })
    }

    /// The cached child called `name`; names must come in order.
    pub(super) fn find(&mut self, name: &[u8]) -> Option<u32> {
        while !self.rest.is_empty() {
            let here = self.rest.start;
            match self.cache.name(here)?.cmp(name) {
                std::cmp::Ordering::Less => self.rest.start += 1,
                std::cmp::Ordering::Equal => {
                    self.rest.start += 1;
                    return Some(here);
                }
                std::cmp::Ordering::Greater => return None,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use super::Guide;
    use crate::cache::{About, Cache, Fingerprint, encode};
    use crate::stat::Stat;
    use crate::tree::{Content, Directory, Entry, Tree};

    /// A cache of one directory with files of these names.
    fn cache_of(names: &[&str]) -> Cache {
        let mut root = Directory::default();
        root.stat.mode = 0o040_755;
        let mut pool = Vec::new();
        for name in names {
            let content = Content::File {
                hash: [1; 32],
                facts: Default::default(),
            };
            let entry = Entry::new(
                pool.len() as u32,
                name.len() as u8,
                Stat::default(),
                content,
            );
            pool.extend_from_slice(name.as_bytes());
            pool.push(0);
            root.entries.push(entry);
        }
        root.names = Arc::new(pool);
        let tree = Tree {
            directories: vec![root],
        };
        let about = About {
            key: [7; 32],
            fingerprint: Fingerprint([0; 32]),
            began: SystemTime::now(),
            xattrs: crate::Xattrs::User,
        };
        Cache::from_bytes(
            encode(&tree, 1 + names.len() as u64, &about).unwrap(),
            &[7; 32],
        )
        .unwrap()
    }

    /// Names that are found, of those asked for in order.
    fn found<'n>(cache: &Cache, asked: &[&'n str]) -> Vec<&'n str> {
        let mut guide = Guide::new(cache, 0, asked[0].as_bytes()).unwrap();
        let known = |name: &&str| {
            let index = guide.find(name.as_bytes());
            index.is_some_and(|index| cache.name(index) == Some(name.as_bytes()))
        };
        asked.iter().copied().filter(known).collect()
    }

    #[test]
    fn finds_what_both_sides_have() {
        let cache = cache_of(&["a", "bb", "c", "e", "ff"]);
        assert_eq!(
            found(&cache, &["a", "bb", "c", "e", "ff"]),
            ["a", "bb", "c", "e", "ff"]
        );
        assert_eq!(found(&cache, &["0", "b", "bb", "d", "e", "g"]), ["bb", "e"]);
        assert_eq!(
            found(&cache, &["c", "ff"]),
            ["c", "ff"],
            "a piece from the middle"
        );
        assert_eq!(found(&cache, &["g"]), [""; 0]);
        assert_eq!(found(&cache_of(&[]), &["a"]), [""; 0]);
    }
}

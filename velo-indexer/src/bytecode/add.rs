//! One build's bytecode from beginning to end: plan, compile what nobody compiled before,
//! remember it, plant.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read;
use std::path::Path;

use velo_core::id::ContentHash;

use super::known::{Known, Outcome};
use super::plan::{Plan, Want};
use super::plant::{Plant, plant};
use super::worker::{Job, Result as Compiled, Shop};
use super::{Bytecode, CACHE_DIRECTORY, Compiler, HEADER_BYTES, PROVENANCE};
use crate::attributes::Attributes;
use crate::error::{IndexError, Paths, Shown};
use crate::progress::{Amount, Progress};
use crate::tree::{Tree, full_path};

/// What was added to a tree.
#[derive(Default)]
pub(crate) struct Added {
    pub(crate) counts: Bytecode,
    /// Entries that the tree has more.
    pub(crate) entries: u64,
    /// Blobs that were not in the store before.
    pub(crate) new: Amount,
    /// What the manifest says of it.
    pub(crate) provenance: Vec<(String, String)>,
    pub(crate) warnings: Vec<String>,
}

/// How many files of one variant were added, stayed, and are missing.
#[derive(Clone, Default)]
struct Tally {
    added: u64,
    kept: u64,
    skipped: u64,
}

/// What became of compilers that did not answer, by variant and source.
type Crashes = HashMap<(usize, [u8; 32]), String>;

impl Compiler<'_> {
    /// Adds bytecode to `tree`, whose source stands at `source`.
    pub(crate) fn add(
        &self,
        source: &Path,
        tree: &mut Tree,
        attributes: &mut Attributes,
        progress: &dyn Progress,
    ) -> Result<Added, IndexError> {
        let plan = Plan::of(tree, &self.variants, self.store);
        let mut known: Vec<Known> = self
            .variants
            .iter()
            .map(|variant| match self.options.no_cache {
                true => Known::default(),
                false => Known::load(&self.directory, &variant.key()),
            })
            .collect();
        let mut added = Added::default();
        let crashes = self.compile(&plan, &mut known, progress, &mut added)?;

        let mut tallies = vec![Tally::default(); self.variants.len()];
        for (tally, (kept, skipped)) in tallies.iter_mut().zip(plan.kept.iter().zip(&plan.skipped))
        {
            (tally.kept, tally.skipped) = (*kept, *skipped);
        }
        let mut plants: BTreeMap<u32, Vec<Plant>> = BTreeMap::new();
        let mut crashed = Paths::default();
        for want in plan.wants {
            let Some(tally) = tallies.get_mut(want.variant) else {
                continue;
            };
            match known
                .get(want.variant)
                .and_then(|known| known.get(&want.source))
            {
                Some(Outcome::Compiled { hash, .. }) if self.is_true(&want, &hash) => {
                    tally.kept += 1;
                }
                Some(Outcome::Compiled { hash, size }) => {
                    tally.added += 1;
                    plants.entry(want.directory).or_default().push(Plant {
                        name: want.name,
                        hash,
                        size,
                        stat: want.stat,
                    });
                }
                other => {
                    tally.skipped += 1;
                    if other != Some(Outcome::Invalid) {
                        let below =
                            [&tree.path(want.directory), &b"/"[..], CACHE_DIRECTORY].concat();
                        let below = below.strip_prefix(b"/").unwrap_or(&below);
                        let how = crashes.get(&(want.variant, want.source)).cloned();
                        let how = how.unwrap_or_else(|| "ended the compiler before".into());
                        crashed.add(full_path(source, below, &want.name), how);
                    }
                }
            }
        }
        if !crashed.is_empty() {
            let crashed = crashed.into_first();
            let warning = format!("{crashed}; not made, --no-cache tries again");
            added.warnings.push(warning);
        }
        for (variant, tally) in self.variants.iter().zip(&tallies) {
            added.counts.reused += tally.added;
            added.counts.kept += tally.kept;
            added.counts.skipped += tally.skipped;
            let (identity, magic) = (
                &variant.identity,
                u32::from_be_bytes(variant.identity.magic),
            );
            added.provenance.push((
                format!("{PROVENANCE}{}", variant.tag()),
                format!(
                    "version={} magic={magic:08x} added={} kept={} skipped={}",
                    identity.version, tally.added, tally.kept, tally.skipped
                ),
            ));
        }
        added.counts.reused = added.counts.reused.saturating_sub(added.counts.compiled);
        added.entries = plant(tree, attributes, plants).ok_or(IndexError::TooManyEntries {
            path: source.to_path_buf(),
            max: u32::MAX,
        })?;
        Ok(added)
    }

    /// Compiles what `known` lacks. What was compiled is remembered, whatever fails then.
    fn compile(
        &self,
        plan: &Plan,
        known: &mut [Known],
        progress: &dyn Progress,
        added: &mut Added,
    ) -> Result<Crashes, IndexError> {
        let mut jobs = self.jobs(plan, known);
        let shop = Shop {
            store: self.store,
            interpreters: &self.interpreters,
            patience: self.options.python.patience,
            threads: self.options.threads(),
            progress,
        };
        let (results, failed) = shop.run(&mut jobs);
        let mut crashes = Crashes::new();
        for Compiled {
            job,
            outcome,
            new,
            crash,
        } in results
        {
            let Some(job) = jobs.get(job) else {
                continue;
            };
            if let Some(known) = known.get_mut(job.variant) {
                known.insert(job.source, outcome);
            }
            if let Outcome::Compiled { size, .. } = outcome {
                added.counts.compiled += 1;
                if new {
                    added.new.files += 1;
                    added.new.bytes += size;
                }
            }
            if let Some(crash) = crash {
                crashes.insert((job.variant, job.source), crash);
            }
        }
        for (variant, known) in self.variants.iter().zip(known) {
            let key = variant.key();
            if known.save(&self.directory, &key).is_err() {
                let place = self.directory.join(key);
                added.warnings.push(format!(
                    "{}: cannot be written; the next build compiles every source again",
                    Shown(&place)
                ));
            }
        }
        failed.map_or(Ok(crashes), Err)
    }

    /// One for each content that was never compiled, or whose bytecode is lost.
    fn jobs(&self, plan: &Plan, known: &[Known]) -> Vec<Job> {
        let mut jobs = Vec::new();
        let mut seen = HashSet::new();
        for want in &plan.wants {
            let (Some(variant), Some(known)) =
                (self.variants.get(want.variant), known.get(want.variant))
            else {
                continue;
            };
            if !seen.insert((want.variant, want.source)) {
                continue;
            }
            let done = known
                .get(&want.source)
                .is_some_and(|outcome| match outcome {
                    Outcome::Compiled { hash, size } => {
                        let hash = ContentHash::from_bytes(hash);
                        self.store.serves(&hash, size, false)
                    }
                    Outcome::Invalid | Outcome::Crashed => true,
                });
            if !done {
                jobs.push(Job {
                    variant: want.variant,
                    interpreter: variant.interpreter,
                    level: variant.level,
                    source: want.source,
                    size: want.stat.size,
                });
            }
        }
        jobs
    }

    /// Whether the tree's own file claims what ours, `hash`, knows to be the source's hash.
    fn is_true(&self, want: &Want, hash: &[u8; 32]) -> bool {
        let mut header = [0; HEADER_BYTES];
        want.claimed.is_some_and(|claimed| {
            let hash = ContentHash::from_bytes(*hash);
            let file = self.store.open_blob(&hash);
            file.is_ok_and(|mut file| file.read_exact(&mut header).is_ok())
                && header.ends_with(&claimed)
        })
    }
}

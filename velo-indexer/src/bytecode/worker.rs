//! Compiling in worker processes: each source that is asked for once, on all threads, each
//! with an interpreter of its own that it feeds.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use velo_core::id::ContentHash;
use velo_store::Store;

use super::HEADER_BYTES;
use super::interpreter::{Interpreter, refused};
use super::known::Outcome;
use super::process::{Conversation, end_of, is_timeout};
use crate::crew;
use crate::error::IndexError;
use crate::progress::Progress;

const WORKER: &str = include_str!("worker.py");
/// Larger answers are not bytecode.
const ANSWER_BYTES_MAX: u64 = 1 << 30;
/// A compilation is limited in processor time. A machine that is this much slower in real
/// time has not hung.
const REAL_TIME: u32 = 10;
/// SIGPROF, by which a compilation ends whose time is up.
const TIME_IS_UP: i32 = 27;

/// One source to compile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    /// Positions of the variant and of its interpreter.
    pub(super) variant: usize,
    pub(super) interpreter: usize,
    pub(super) level: u8,
    pub(super) source: [u8; 32],
    pub(super) size: u64,
}

/// What came of a job.
#[derive(Clone, Debug)]
pub(super) struct Result {
    /// Its position.
    pub(super) job: usize,
    pub(super) outcome: Outcome,
    /// The blob was not in the store before.
    pub(super) new: bool,
    /// What became of its compiler, if that did not answer.
    pub(super) crash: Option<String>,
}

/// Where the work goes on.
pub(super) struct Shop<'a> {
    pub(super) store: &'a Store,
    pub(super) interpreters: &'a [Interpreter],
    pub(super) patience: Duration,
    pub(super) threads: usize,
    pub(super) progress: &'a dyn Progress,
}

impl Shop<'_> {
    /// Does all `jobs`, those of one interpreter after another and large ones first. Returns
    /// what was done even if an error ended it.
    pub(super) fn run(&self, jobs: &mut [Job]) -> (Vec<Result>, Option<IndexError>) {
        jobs.sort_by_key(|job| {
            let size = std::cmp::Reverse(job.size);
            (job.interpreter, size, job.source, job.level)
        });
        let (next, done) = (AtomicUsize::new(0), AtomicU64::new(0));
        let stop = AtomicBool::new(false);
        let jobs = &*jobs;
        let total = jobs.len() as u64;
        let work = || {
            let (mut results, mut worker) = (Vec::new(), None);
            while !stop.load(Ordering::Relaxed) {
                let position = next.fetch_add(1, Ordering::Relaxed);
                let Some(job) = jobs.get(position) else {
                    break;
                };
                match self.job(job, &mut worker) {
                    Ok((outcome, new, crash)) => results.push(Result {
                        job: position,
                        outcome,
                        new,
                        crash,
                    }),
                    Err(error) => {
                        stop.store(true, Ordering::Relaxed);
                        return (results, Some(error));
                    }
                }
                self.progress
                    .compiled(done.fetch_add(1, Ordering::Relaxed) + 1, total);
            }
            (results, None)
        };
        if !jobs.is_empty() {
            self.progress.compiled(0, total);
        }
        let (mut results, mut error) = (Vec::new(), None);
        for (more, failed) in crew::run(self.threads.min(jobs.len()), work) {
            results.extend(more);
            error = error.or(failed);
        }
        (results, error)
    }

    fn job(
        &self,
        job: &Job,
        worker: &mut Option<(usize, Conversation)>,
    ) -> std::result::Result<(Outcome, bool, Option<String>), IndexError> {
        let source = self
            .store
            .read_verified(&ContentHash::from_bytes(job.source))?;
        let Some(interpreter) = self.interpreters.get(job.interpreter) else {
            return Ok((Outcome::Invalid, false, None));
        };
        let seconds = self.patience.as_secs().max(1);
        let (number, conversation) = match worker.take() {
            Some(found) if found.0 == job.interpreter => found,
            _ => {
                let started = Conversation::start(
                    &interpreter.program,
                    WORKER,
                    &seconds.to_string(),
                    self.patience.max(Duration::from_secs(1)) * REAL_TIME,
                );
                let started = started.map_err(|error| broken(interpreter, error.to_string()))?;
                (job.interpreter, started)
            }
        };
        let answer = match exchange(&conversation, job.level, &source) {
            Ok(answer) => answer,
            Err(error) if is_timeout(&error) => {
                let patience = u64::from(REAL_TIME) * seconds;
                return Err(broken(
                    interpreter,
                    format!("no answer within {patience} s"),
                ));
            }
            Err(_) => return Err(broken(interpreter, conversation.end())),
        };
        *worker = Some((number, conversation));
        self.keep(interpreter, &answer)
    }

    /// For a warning, after the path.
    fn crash(&self, interpreter: &Interpreter, status: ExitStatus) -> String {
        let name = interpreter.given.display();
        if status.signal() == Some(TIME_IS_UP) {
            let seconds = self.patience.as_secs().max(1);
            return format!("{name}: not compiled within {seconds} s");
        }
        format!("{name}: {} of the compiler", end_of(status))
    }

    /// Takes an answer into the store.
    fn keep(
        &self,
        interpreter: &Interpreter,
        answer: &[u8],
    ) -> std::result::Result<(Outcome, bool, Option<String>), IndexError> {
        match answer {
            [b'+', file @ ..] if file.len() > HEADER_BYTES => {
                if !file.starts_with(&interpreter.identity.magic) {
                    let found = "one with another bytecode than it had when it was last asked";
                    return Err(refused(
                        &interpreter.given,
                        "the same interpreter",
                        found,
                        "build again with --no-cache",
                    ));
                }
                let put = self.store.put_bytes(file, false)?;
                let (hash, size) = (*put.hash.as_bytes(), put.size);
                Ok((Outcome::Compiled { hash, size }, put.new, None))
            }
            [b'-', ..] => Ok((Outcome::Invalid, false, None)),
            [b'!', status @ ..] => {
                let status = std::str::from_utf8(status).ok();
                let status = status.and_then(|text| text.parse::<i32>().ok());
                let Some(status) = status else {
                    return Err(broken(interpreter, "an unknown answer"));
                };
                let crash = self.crash(interpreter, ExitStatus::from_raw(status));
                Ok((Outcome::Crashed, false, Some(crash)))
            }
            _ => Err(broken(interpreter, "an unknown answer")),
        }
    }
}

/// One source out, one answer back.
fn exchange(worker: &Conversation, level: u8, source: &[u8]) -> std::io::Result<Vec<u8>> {
    let head = [&[level][..], &(source.len() as u64).to_le_bytes()].concat();
    worker.send(&head)?;
    worker.send(source)?;
    let mut bytes = [0; 8];
    worker.receive(&mut bytes)?;
    let bytes = u64::from_le_bytes(bytes);
    if bytes > ANSWER_BYTES_MAX {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    let mut answer = vec![0; usize::try_from(bytes).unwrap_or_default()];
    worker.receive(&mut answer)?;
    Ok(answer)
}

/// The error of an interpreter that ended, or does not answer, while it should compile.
fn broken(interpreter: &Interpreter, found: impl Into<String>) -> IndexError {
    let program: &Path = &interpreter.program;
    refused(
        &interpreter.given,
        "an interpreter that compiles",
        found,
        format!(
            "try `{} -m compileall`, name another interpreter, or build without --python",
            program.display()
        ),
    )
}

//! Progress on a terminal, for what takes longer than a second.
//!
//! Silent in a pipe, and silent for short work: the bar appears after
//! [`PATIENCE`]. Safe to call from many threads; a call costs two loads until then.

use std::io::IsTerminal;
use std::sync::{OnceLock, mpsc};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How long work may take before a bar appears.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is counted.
#[derive(Clone, Copy)]
pub enum Unit {
    /// Things: files, entries, blobs.
    Items,
    /// Bytes, shown with binary prefixes.
    Bytes,
}

/// The progress of one piece of work.
pub struct Progress {
    started: Instant,
    label: &'static str,
    unit: Unit,
    wanted: bool,
    bar: OnceLock<ProgressBar>,
}

impl Progress {
    /// Starts the clock; nothing is drawn yet.
    pub fn new(label: &'static str, unit: Unit) -> Self {
        Self {
            started: Instant::now(),
            label,
            unit,
            wanted: std::io::stderr().is_terminal()
                && std::env::var_os("TERM").is_none_or(|term| term != "dumb"),
            bar: OnceLock::new(),
        }
    }

    /// Work whose size nobody counts: a spinner appears after [`PATIENCE`], and goes
    /// away when the returned value is dropped.
    pub fn waiting(label: &'static str) -> Waiting {
        let progress = Self::new(label, Unit::Items);
        if !progress.wanted {
            return Waiting {
                done: None,
                thread: None,
            };
        }
        let (done, wait) = mpsc::channel::<()>();
        let thread = std::thread::Builder::new().spawn(move || {
            if wait.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                let style = ProgressStyle::with_template("{spinner} {msg}, {elapsed}");
                let bar = progress.bar(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
                while wait.recv_timeout(Duration::from_millis(100))
                    == Err(mpsc::RecvTimeoutError::Timeout)
                {
                    bar.tick();
                }
                bar.finish_and_clear();
            }
        });
        Waiting {
            done: Some(done),
            // Without a thread nothing turns, which is no reason to fail.
            thread: thread.ok(),
        }
    }

    /// `done` of `total` (0 when it is not known yet) so far.
    pub fn set(&self, done: u64, total: u64) {
        if !self.wanted || self.started.elapsed() < PATIENCE {
            return;
        }
        let bar = self.bar.get_or_init(|| self.bar(self.style(total > 0)));
        if total > 0 && bar.length() != Some(total) {
            bar.set_length(total);
            bar.set_style(self.style(true));
        }
        bar.set_position(done);
    }

    /// Removes the bar, so that the result stands alone.
    pub fn finish(&self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }

    fn bar(&self, style: ProgressStyle) -> ProgressBar {
        ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10))
            .with_elapsed(self.started.elapsed())
            .with_style(style)
            .with_message(self.label)
    }

    fn style(&self, total_known: bool) -> ProgressStyle {
        let template = match (self.unit, total_known) {
            (Unit::Items, true) => "{msg} [{bar:30}] {human_pos} of {human_len}, {eta} left",
            (Unit::Items, false) => "{spinner} {msg} {human_pos}, {elapsed}",
            (Unit::Bytes, true) => {
                "{msg} [{bar:30}] {binary_bytes} of {binary_total_bytes}, {eta} left"
            }
            (Unit::Bytes, false) => "{spinner} {msg} {binary_bytes}, {elapsed}",
        };
        ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ")
    }
}

/// A spinner for as long as this lives.
pub struct Waiting {
    done: Option<mpsc::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.done = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

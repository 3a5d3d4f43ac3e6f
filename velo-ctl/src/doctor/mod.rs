//! The examination behind `velo-ctl doctor`: what of this machine works.
//!
//! Each check really does what Velo would do (maps a page executable, mounts an
//! overlay in a throw-away namespace, runs a program under the preload library)
//! instead of guessing from version numbers, and cleans up after itself.

pub mod machine;
pub mod modes;
pub mod preload;
pub mod probe;
pub mod root;
mod scratch;

use serde::Serialize;

/// How a check went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Works.
    Ok,
    /// Velo runs, and something is worse than it could be, or a mode is missing.
    Warn,
    /// Programs cannot be served until this is repaired.
    Fail,
}

/// One line of the report.
#[derive(Debug, Serialize)]
pub struct Check {
    /// Stable name, for scripts.
    pub id: &'static str,
    /// How it went.
    pub status: Verdict,
    /// What was found.
    pub found: String,
    /// What to do; empty when there is nothing to do.
    #[serde(rename = "advice", skip_serializing_if = "String::is_empty")]
    pub advice: String,
}

impl Check {
    /// Works.
    pub fn ok(id: &'static str, found: impl Into<String>) -> Self {
        Self {
            id,
            status: Verdict::Ok,
            found: found.into(),
            advice: String::new(),
        }
    }

    /// Works less well than it could.
    pub fn warn(id: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            id,
            status: Verdict::Warn,
            found: found.into(),
            advice: advice.into(),
        }
    }

    /// Does not work.
    pub fn fail(id: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            id,
            status: Verdict::Fail,
            found: found.into(),
            advice: advice.into(),
        }
    }
}

/// All checks, in the order in which they are shown.
pub fn examine() -> Vec<Check> {
    let mut checks = machine::checks();
    checks.extend(root::checks());
    checks.extend(preload::checks());
    checks.extend(modes::checks());
    checks
}

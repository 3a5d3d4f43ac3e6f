//! `velo_hooks._native`: what the Python part of velo-hooks cannot do by itself.
//!
//! Thin: it finds the C functions of `libvelo_fs.so` in the process and hands their answers to Python. It never
//! reads a manifest, holds no state but those addresses, and never panics.

use pyo3::prelude::*;

#[pymodule]
fn _native(_module: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}

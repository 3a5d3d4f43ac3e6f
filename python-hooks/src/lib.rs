//! `velo_hooks._native`: what the Python part of velo-hooks cannot do by itself.
//!
//! Thin: it finds the C functions of `libvelo_fs.so` in the process, hands their answers to Python, and gives
//! `marshal` the bytecode right from its mapping. It never reads a manifest, keeps no state but those addresses, and
//! never panics.

mod abi;
mod content;
mod finder;

use pyo3::prelude::*;

/// BLAKE3 of some bytes, in hexadecimal.
#[pyfunction]
fn hash(data: &[u8]) -> String {
    blake3::hash(data).to_hex().as_str().into()
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<finder::Finder>()?;
    module.add_class::<content::Source>()?;
    module.add_function(wrap_pyfunction!(hash, module)?)
}

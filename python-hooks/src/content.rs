//! A source of the manifest, and the bytecode that the manifest has for it.
//!
//! What is handed on was compared with its BLAKE3 first: bytecode is trusted, because the manifest's builder made it, so
//! it must be what was built, whatever has become of the store.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::abi::{Found, Functions, Mapping, NONE};

/// Magic, flags, and the hash of the source or its time and size.
const HEADER_BYTES: usize = 16;
const UNCHECKED: [u8; 4] = [1, 0, 0, 0];
const BY_TIME: [u8; 4] = [0, 0, 0, 0];

/// What all sources of an interpreter have in common.
#[derive(Clone, Copy)]
pub struct Identity {
    pub functions: Functions,
    pub magic: [u8; 4],
}

/// A source.
#[pyclass(frozen, module = "velo_hooks._native")]
pub struct Source {
    identity: Identity,
    found: Found,
}

#[pymethods]
impl Source {
    /// BLAKE3 of the content, in hexadecimal.
    #[getter]
    fn hash(&self) -> String {
        blake3::Hash::from_bytes(self.found.hash)
            .to_hex()
            .as_str()
            .into()
    }

    /// The code that `loads` makes of the bytecode; `None` if there is none, or none that can be used as it is: another
    /// interpreter's, damaged, of an older source, or one that has to be compared with its source.
    fn code(&self, py: Python<'_>, loads: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
        let accepted = self
            .content()
            .filter(|content| self.accepts(content.bytes()));
        let Some(content) = accepted else {
            return Ok(None);
        };
        let code = content.bytes().get(HEADER_BYTES..).unwrap_or_default();
        let view = view_of(py, code)?;
        let answer = loads.call1((&view,));
        // From now on the view is of nothing, whoever has kept it.
        if view.call_method0("release").is_err() {
            // Somebody has a view of the view: better a mapping too many than one too few.
            std::mem::forget(content);
        }
        match answer {
            Ok(code) => Ok(Some(code.unbind())),
            Err(error) if is_malformed(py, &error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The bytecode as a file; `None` if there is none, or a damaged one.
    fn bytecode<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.content()
            .map(|content| PyBytes::new(py, content.bytes()))
    }
}

impl Source {
    pub fn new(identity: Identity, found: Found) -> Self {
        Self { identity, found }
    }

    /// The bytecode, mapped, if it is what was built.
    fn content(&self) -> Option<Content> {
        if self.found.bytecode == NONE {
            return None;
        }
        let mut mapping = Mapping {
            at: std::ptr::null(),
            bytes: 0,
            hash: [0; 32],
        };
        let map = self.identity.functions.map;
        // SAFETY: the structure is ours.
        let error = unsafe { map(self.found.mount, self.found.bytecode, &mut mapping) };
        if error != 0 {
            return None;
        }
        let content = Content(mapping);
        (*blake3::hash(content.bytes()).as_bytes() == content.0.hash).then_some(content)
    }

    /// Whether the header is what CPython takes without a look at the source.
    fn accepts(&self, file: &[u8]) -> bool {
        let Some(header) = file.first_chunk::<HEADER_BYTES>() else {
            return false;
        };
        let (magic, rest) = header.split_at(4);
        let (flags, rest) = rest.split_at(4);
        let time = (self.found.mtime as u32).to_le_bytes();
        let size = (self.found.size as u32).to_le_bytes();
        let fresh = flags == BY_TIME && rest == [time, size].concat();
        magic == self.identity.magic && (flags == UNCHECKED || fresh)
    }
}

/// A mapping, until it is dropped.
struct Content(Mapping);

impl Content {
    fn bytes(&self) -> &[u8] {
        // SAFETY: mapped for reading until `self` is dropped.
        unsafe { std::slice::from_raw_parts(self.0.at, self.0.bytes) }
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and views of it were released before.
        unsafe { libc::munmap(self.0.at.cast_mut().cast(), self.0.bytes) };
    }
}

/// Bytes as Python sees them, to be released before they go.
fn view_of<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    /// `PyBUF_READ`, which is not in pyo3's part of the stable interface.
    const READ: std::ffi::c_int = 0x100;
    let at = bytes.as_ptr().cast_mut().cast();
    // SAFETY: for reading only, while the bytes are there; a new reference, or null with an exception.
    unsafe {
        let view = ffi::PyMemoryView_FromMemory(at, bytes.len() as isize, READ);
        Bound::from_owned_ptr_or_err(py, view)
    }
}

/// What `marshal` says of bytes that are no code.
fn is_malformed(py: Python<'_>, error: &PyErr) -> bool {
    use pyo3::exceptions::{PyEOFError, PyTypeError, PyValueError};
    error.is_instance_of::<PyEOFError>(py)
        || error.is_instance_of::<PyTypeError>(py)
        || error.is_instance_of::<PyValueError>(py)
}

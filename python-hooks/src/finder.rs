//! Asks what a name is in a directory.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::abi::{ABSENT, Dialect, Found, Functions, NAMESPACE, NOT_MINE, PACKAGE, Text};
use crate::content::{Identity, Source};

/// What the import system is told by: one for each process.
#[pyclass(frozen, module = "velo_hooks._native")]
pub struct Finder {
    functions: Functions,
    tag: Vec<u8>,
    /// Kept for `texts`, which point into them.
    _suffixes: Vec<Vec<u8>>,
    texts: Vec<Text>,
    identity: Identity,
}

#[pymethods]
impl Finder {
    /// `tag` stands between a source's name and `.pyc`, `magic` at the start of such a file.
    #[new]
    fn new(tag: &str, magic: [u8; 4], suffixes: Vec<String>) -> PyResult<Self> {
        let functions = Functions::connect().map_err(PyRuntimeError::new_err)?;
        let suffixes: Vec<Vec<u8>> = suffixes.into_iter().map(String::into_bytes).collect();
        if let Some(odd) = suffixes.iter().find(|suffix| !suffix.ends_with(b".so")) {
            let odd = String::from_utf8_lossy(odd);
            let message = format!("expected extension modules to end in .so, found {odd}");
            return Err(PyRuntimeError::new_err(message));
        }
        Ok(Self {
            functions,
            tag: tag.into(),
            texts: suffixes.iter().map(|suffix| Text::of(suffix)).collect(),
            _suffixes: suffixes,
            identity: Identity { functions, magic },
        })
    }

    /// `None`: ask the file system. `False`: nothing. `True`: a namespace portion. Else whether it is a package, and a
    /// [`Source`], the position of an extension module's suffix, or -1 for bytecode without source.
    fn find(
        &self,
        py: Python<'_>,
        directory: &Bound<'_, PyString>,
        name: &Bound<'_, PyString>,
    ) -> PyResult<Option<Py<PyAny>>> {
        let mut found = Found::default();
        let kind = self.ask(directory, name, &mut found)?;
        Ok(match kind {
            NOT_MINE => None,
            ABSENT => Some(false.into_pyobject(py)?.to_owned().into_any().unbind()),
            NAMESPACE => Some(true.into_pyobject(py)?.to_owned().into_any().unbind()),
            _ => {
                let file = match found.form {
                    0 => Bound::new(py, Source::new(self.identity, found))?.into_any(),
                    1 => (-1_i32).into_pyobject(py)?.into_any(),
                    _ => found.suffix.into_pyobject(py)?.into_any(),
                };
                Some(
                    (kind == PACKAGE, file)
                        .into_pyobject(py)?
                        .into_any()
                        .unbind(),
                )
            }
        })
    }

    /// Whether the manifest knows what can be imported from a directory.
    fn serves(&self, directory: &Bound<'_, PyString>) -> PyResult<bool> {
        let name = PyString::new(directory.py(), "velo_hooks");
        let kind = self.ask(directory, &name, &mut Found::default())?;
        Ok(kind != NOT_MINE)
    }
}

impl Finder {
    fn ask(
        &self,
        directory: &Bound<'_, PyString>,
        name: &Bound<'_, PyString>,
        found: &mut Found,
    ) -> PyResult<u32> {
        let (directory, name) = (file_name(directory)?, file_name(name)?);
        let (directory, name) = (Text::of(directory.as_bytes()), Text::of(name.as_bytes()));
        let dialect = Dialect {
            tag: Text::of(&self.tag),
            suffixes: self.texts.as_ptr(),
            count: self.texts.len(),
        };
        // SAFETY: all of it lives until the call returns.
        Ok(unsafe { (self.functions.find)(&directory, &name, &dialect, found) })
    }
}

/// As `os.fsencode`.
fn file_name<'py>(text: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyBytes>> {
    // SAFETY: a string; the answer is a new reference to bytes, or null with an exception.
    unsafe {
        let bytes = pyo3::ffi::PyUnicode_EncodeFSDefault(text.as_ptr());
        Ok(Bound::from_owned_ptr_or_err(text.py(), bytes)?.cast_into_unchecked())
    }
}

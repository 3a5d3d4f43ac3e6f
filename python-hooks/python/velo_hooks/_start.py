"""Turns the hook on, or says in one line why it is off.

Runs at the start of each interpreter: no module is imported here that the interpreter has not loaded by itself.
"""
import sys

import _frozen_importlib
import _frozen_importlib_external as _external

try:
    from posix import _exit, environ, write
except ImportError:
    environ = {}


def activate(native=None):
    """See `velo_hooks.activate`."""
    if _value(b"VELO_PYTHON") == b"0" or not supported():
        return False
    try:
        from velo_hooks import _hook

        return _hook.activate(_load(native))
    except Exception as error:
        # What CPython says of the compiled part in any interpreter of a process but the first.
        return False if "subinterpreter" in str(error) else _off(error)


def supported():
    """CPython 3.9 or newer with its lock; others import as ever, without a word."""
    return sys.implementation.name == "cpython" and sys.version_info >= (3, 9) and "t" not in sys.abiflags


def _value(name):
    return environ.get(name, b"")


def _load(path):
    """The compiled part: that of this package, or the file that is named."""
    name = "velo_hooks._native"
    if name in sys.modules:
        return sys.modules[name]
    own = __file__.rpartition("/")[0] + "/_native.abi3.so"
    if not path or _external._path_isfile(own):
        path = own
    spec = _external.spec_from_file_location(name, path, loader=_external.ExtensionFileLoader(name, path))
    module = _frozen_importlib.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[name] = module
    return module


def _off(error):
    strict = _value(b"VELO_PYTHON_STRICT") not in (b"", b"0")
    rest = "this is an error because of VELO_PYTHON_STRICT" if strict else "imports go on without it; VELO_PYTHON=0 says so"
    line = "velo: expected to turn Python's import hook on, found: %s; %s\n" % (" ".join(str(error).split()), rest)
    write(2, line.encode("utf-8", "backslashreplace"))
    if strict:
        _exit(1)
    return False

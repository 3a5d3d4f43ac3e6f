# Found first through PYTHONPATH, which `velo-ctl run` sets: turns Velo's import hook on, then makes way for whatever
# `sitecustomize` there is without it. Any Python may get to read this, so nothing here is newer than Python 2.
import sys


def _velo():
    here = __file__.rpartition("/")[0]
    while here in sys.path:
        sys.path.remove(here)
    sys.path_importer_cache.pop(here, None)
    if getattr(sys, "implementation", None) is None or sys.implementation.name != "cpython":
        return
    if sys.version_info < (3, 9):
        return
    import _frozen_importlib
    import _frozen_importlib_external as external
    from posix import environ

    if environ.get(b"VELO_PYTHON") == b"0":
        return
    package = here.rpartition("/")[0]
    # What is written is beside this file, in the store; the interpreter asks for it at every start.
    kept = sys.dont_write_bytecode, sys.pycache_prefix
    sys.dont_write_bytecode, sys.pycache_prefix = False, None
    try:
        if "velo_hooks" not in sys.modules:
            path = package + "/__init__.py"
            loader = external.SourceFileLoader("velo_hooks", path)
            spec = external.spec_from_file_location("velo_hooks", path, loader=loader, submodule_search_locations=[package])
            module = _frozen_importlib.module_from_spec(spec)
            sys.modules["velo_hooks"] = module
            loader.exec_module(module)
        native = environ.get(b"VELO_PYTHON_NATIVE")
        sys.modules["velo_hooks"].activate(native and native.decode("utf-8", "surrogateescape"))
    finally:
        sys.dont_write_bytecode, sys.pycache_prefix = kept


try:
    _velo()
finally:
    del _velo
    sys.modules.pop(__name__, None)
try:
    import sitecustomize
except ImportError:
    # There is none: as if this was none either.
    raise

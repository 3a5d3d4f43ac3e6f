"""The import hook: finder, loader, and the collector's pause.

A directory of a served tree gets a finder that asks the manifest instead of the file system. In everything else it is
FileFinder: `sys.path`, its order and its changes, PathFinder, namespace packages and `.pth` files are the
interpreter's own business. Where the manifest cannot say, FileFinder itself looks. So nothing here can be stale.

Loaders are SourceFileLoader but for where the code comes from, and otherwise the standard library's own.
"""
import gc
import sys
from marshal import loads

import _frozen_importlib
import _frozen_importlib_external as _external
import _imp
from posix import environ

# The collector's first threshold while a module is executed. Modules make objects that stay, and looking through them
# again and again finds nothing. Not off: a program may run inside of an import for as long as it likes. A number that
# nobody else sets.
PAUSED = 1_000_003

_ModuleSpec = _frozen_importlib.ModuleSpec
_call = _frozen_importlib._call_with_frames_removed
_fix_file_name = _imp._fix_co_filename
_Function = type(lambda: None)
_Code = type((lambda: None).__code__)
_real_threshold = gc.get_threshold

_active = False
_quick = True
_find = _serves = None
# What stands behind a module's name in the name of its bytecode.
_cached = ""
_pausing = True
_freezing = False
# The collector's own thresholds while they are replaced.
_before = None


class SourceFileLoader(_external.SourceFileLoader):
    """The standard loader, with bytecode from the manifest, or what was kept for this user."""

    __slots__ = ("_velo",)

    # Lines as in the standard one: tracebacks show their numbers.
    def exec_module(self, module):
        """Execute the module."""
        code = _code_of(self, module.__name__) or self.get_code(module.__name__)
        if code is None: raise ImportError("get_code() returned None", name=module.__name__)  # fmt: skip
        before = _pause()
        try:
            _call(exec, code, module.__dict__)
        finally:
            _resume(before)

    def get_data(self, path):
        if type(path) is str and path.endswith(".pyc") and _is_here() and path == _external.cache_from_source(self.path):
            data = self._velo.bytecode()
            if data is None:
                data = _cache().read(self._velo.hash)
            if data is None:
                raise FileNotFoundError(2, "No such file or directory", path)
            return data
        return _external.SourceFileLoader.get_data(self, path)

    def _cache_bytecode(self, source_path, bytecode_path, data):
        if not _is_here():
            return _external.SourceFileLoader._cache_bytecode(self, source_path, bytecode_path, data)
        source = _external.SourceFileLoader.get_data(self, source_path)
        _cache().write(self._velo.hash, source, data)

    # What is compared, copied or pickled is a standard loader.
    def __eq__(self, other):
        return type(other) in (SourceFileLoader, _external.SourceFileLoader) and self.__dict__ == other.__dict__

    __hash__ = _external.SourceFileLoader.__hash__

    def __reduce_ex__(self, protocol):
        return _external.SourceFileLoader, (self.name, self.path), self.__dict__


def _is_here():
    """Whether bytecode belongs beside its source, and so into the manifest: a program may set another place at any time."""
    return sys.pycache_prefix is None


def _code_of(loader, name):
    """The code of a module; nothing if the standard loader has to see to it."""
    if not _quick or name != loader.name or not _is_here():
        return None
    code = loader._velo.code(loads)
    if type(code) is not _Code:
        return None
    _fix_file_name(code, loader.path)
    return code


def _cache():
    name = "velo_hooks._cache"
    if name not in sys.modules:
        from velo_hooks import _cache

        _hide(vars(_cache))
    return sys.modules[name]


def _pause():
    """Before a module is executed; for `_resume` after it."""
    global _before
    if _before or not _pausing or not gc.isenabled():
        return None
    before = _real_threshold()
    if not 0 < before[0] < PAUSED:
        return None
    gc.set_threshold(PAUSED, *before[1:])
    _before = before
    return before


def _is_paused():
    # Whoever has set another one meant it.
    return _before is not None and _real_threshold() == (PAUSED,) + _before[1:]


def _resume(before):
    global _before
    if before is None:
        return
    if _is_paused():
        if _freezing and gc.get_count()[0] > before[0]:
            gc.freeze()
        gc.set_threshold(*before)
    _before = None


def get_threshold():
    """What modules see in place of the collector's own function: many multiply what they find, and set that."""
    return _before if _is_paused() else _real_threshold()


class FileFinder(_external.FileFinder):
    """The standard finder of one directory, which asks the manifest first."""

    __slots__ = ("_velo",)

    def find_spec(self, fullname, target=None):
        tail = fullname.rpartition(".")[2]
        try:
            found = _find(self.path, tail)
        except (UnicodeError, TypeError):
            found = None
        if found is None:
            return _external.FileFinder.find_spec(self, fullname, target)
        if found is False:
            return None
        base = self._velo + tail
        if found is True:
            spec = _ModuleSpec(fullname, None)
            spec.submodule_search_locations = [base]
            return spec
        is_package, file = found
        stem = base + "/__init__" if is_package else base
        if type(file) is not int:
            path = stem + ".py"
            loader = SourceFileLoader(fullname, path)
            loader._velo = file
        elif file < 0:
            path = stem + ".pyc"
            loader = _external.SourcelessFileLoader(fullname, path)
        else:
            path = stem + _imp.extension_suffixes()[file]
            loader = _external.ExtensionFileLoader(fullname, path)
        spec = _ModuleSpec(fullname, loader, origin=path)
        spec._set_fileattr = True
        if type(file) is not int and _is_here():
            if is_package:
                spec.cached = base + "/__pycache__/__init__" + _cached
            else:
                spec.cached = self._velo + "__pycache__/" + tail + _cached
        if is_package:
            spec.submodule_search_locations = [base]
        return spec

    # As above.
    def __reduce_ex__(self, protocol):
        return _external.FileFinder, (self.path,), self.__dict__


def _like_the_standard(cls, base):
    """Its name is what `repr` and messages show."""
    for name in ("__module__", "__qualname__", "__doc__"):
        setattr(cls, name, getattr(base, name))


_like_the_standard(SourceFileLoader, _external.SourceFileLoader)
_like_the_standard(FileFinder, _external.FileFinder)
# The one function here that is there while a module is executed: the interpreter leaves such frames out of tracebacks
# by the name of their file.
_standard = _external.SourceFileLoader.exec_module.__code__
SourceFileLoader.exec_module.__code__ = SourceFileLoader.exec_module.__code__.replace(co_firstlineno=_standard.co_firstlineno)


def _hide(names):
    """Gives functions the file name of the interpreter's own, which has no file: coverage, profiles, debuggers and
    tracebacks do not show them as a part of the program."""
    for function in list(names.values()):
        if type(function) is _Function and function.__module__.startswith("velo_hooks."):
            _fix_file_name(function.__code__, _standard.co_filename)


def path_hook_for_FileFinder(path):
    """As the standard hook, for directories that the manifest knows."""
    if type(path) is not str or not _serves(path):
        raise ImportError("not served", path=path)
    return _finder(path)


def _finder(path):
    finder = FileFinder(path, *_external._get_supported_file_loaders())
    finder._velo = finder.path.rstrip("/") + "/"
    return finder


def activate(native):
    """Put the finders in place. Returns whether they are."""
    global _active, _find, _serves, _cached, _pausing, _freezing, _quick
    if _active:
        return True
    tag, level = sys.implementation.cache_tag, sys.flags.optimize
    if not tag:
        return False
    # Asked to show what is read, or to compare it with its source, the standard loader does all by itself.
    _quick = not sys.flags.verbose and _imp.check_hash_based_pycs != "always"
    if level:
        tag += ".opt-%d" % level
    asked = native.Finder(tag, _external.MAGIC_NUMBER, _imp.extension_suffixes())
    _find, _serves = asked.find, asked.serves
    _cached = ".%s.pyc" % tag
    _pausing = environ.get(b"VELO_PYTHON_GC") != b"0"
    _freezing = environ.get(b"VELO_PYTHON_GC") == b"freeze"
    if _pausing:
        get_threshold.__module__, get_threshold.__doc__ = gc.__name__, _real_threshold.__doc__
        gc.get_threshold = get_threshold
    sys.path_hooks.insert(_place(), path_hook_for_FileFinder)
    known = sys.path_importer_cache
    for path, finder in list(known.items()):
        if type(finder) is _external.FileFinder and _serves(path):
            known[path] = _finder(path)
    _active = True
    return True


def _place():
    """Before the standard hooks, behind what others have put before them."""
    for place, hook in enumerate(sys.path_hooks):
        name = getattr(hook, "__qualname__", "")
        if name == "zipimporter" or name == "FileFinder.path_hook.<locals>.path_hook_for_FileFinder":
            return place
    return len(sys.path_hooks)


for _names in (globals(), vars(SourceFileLoader), vars(FileFinder)):
    _hide(_names)

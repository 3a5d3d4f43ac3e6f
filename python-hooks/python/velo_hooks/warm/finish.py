"""The end of a child.

CPython's finalization takes every object apart, which for a few thousand preloaded modules takes longer than the start
saved, and writes to every page that children share. So after everything that a program can see of it (threads, atexit
callbacks, streams, its own modules and objects) the process ends by exit(3), with the preloaded modules as they are.
Where that cannot be done exactly, the usual finalization goes on.
"""
import atexit
import gc
import io
import sys
import weakref


class Finish:
    """Ends one child. `register` must come before anything else registers with atexit, because the last comes first."""

    def __init__(self):
        self.exit = self.status = None
        self.preloaded, self.last = frozenset(), None
        try:
            import ctypes

            self.exit = ctypes.PyDLL(None).exit
        except Exception:
            pass

    def register(self):
        self.callback = self._last
        atexit.register(self.callback)

    def expect(self, preloaded, last):
        """From now on this process is the application's."""
        self.preloaded, self.last = preloaded, last

    def ended(self, error):
        """The program ended, by an exception or not; what status that makes, if it is known."""
        self.status = None
        if error is None:
            self.status = 0
        elif isinstance(error, SystemExit):
            code = error.code
            if code is None:
                self.status = 0
            elif isinstance(code, int):
                self.status = int(code) & 0xFF if -(1 << 31) <= code < 1 << 31 else None
            else:
                self.status = 1
        elif not isinstance(error, KeyboardInterrupt):
            self.status = 1

    def _last(self):
        threading = sys.modules.get("threading")
        if self.exit is None or self.status is None or (threading and threading.active_count() > 1):
            return
        if sys.flags.inspect or sys.flags.verbose:
            return
        # As finalization does before it takes anything apart; what fails it says.
        if not _flushed(sys.stdout) or not _flushed(sys.stderr):
            return
        if gc.isenabled():
            gc.collect()
        self._take_apart()
        for stream in (sys.stdout, sys.stderr):
            _flushed(stream)
        self.exit(self.status)

    def _take_apart(self):
        """What finalization does to callbacks and modules, for those that are not preloaded."""
        atexit._clear()
        for name in ("path", "argv", "ps1", "ps2", "last_exc", "last_type", "last_value", "last_traceback"):
            if hasattr(sys, name):
                setattr(sys, name, None)
        builtin = sys.modules.get("builtins")
        if builtin is not None and hasattr(builtin, "_"):
            builtin._ = None
        for name in ("stdin", "stdout", "stderr"):
            setattr(sys, name, getattr(sys, f"__{name}__", None))
        modules, names = [], None
        for name in since(self.last, self.preloaded) + ["__main__"]:
            module = sys.modules.get(name)
            try:
                modules.append(weakref.ref(module))
            except TypeError:
                pass
            sys.modules[name] = None
        module = None
        gc.collect()
        for reference in modules:
            module = reference()
            names = getattr(module, "__dict__", None)
            if isinstance(names, dict):
                _clear(names)
        module = names = None
        gc.collect()
        # Files that something preloaded holds for the application.
        for thing in gc.get_objects():
            if isinstance(thing, (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)):
                try:
                    if not thing.closed and thing not in (sys.stdout, sys.stderr):
                        thing.flush()
                except Exception:
                    pass


def _flushed(stream):
    try:
        if stream is not None and not stream.closed:
            stream.flush()
    except Exception:
        return False
    return True


def since(last, preloaded):
    """Names of the modules that came after the parent's last one. From the end, so that the others are not even looked at:
    a reference that is counted is a page that is no longer shared."""
    names = []
    for name in reversed(sys.modules):
        if name == last:
            break
        if name not in preloaded:
            names.append(name)
    return names[::-1]


def _clear(names):
    """As finalization clears a module: names with one underscore first, then all but `__builtins__`."""
    for private in (True, False):
        for name, value in list(names.items()):
            if value is None or not isinstance(name, str) or name == "__builtins__":
                continue
            if not private or (name[:1] == "_" and name[1:2] != "_"):
                names[name] = None

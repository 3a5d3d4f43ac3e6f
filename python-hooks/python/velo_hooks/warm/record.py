"""Which modules an application imports: one name a line, in the order of their first import.

Written by the application's own process at its end, into the directory of its user alone; replaced, never changed. A
module is added when two runs in a row imported it, so that one that only one odd run needs is not preloaded for all.
"""
import os
import sys

ONCE = "? "


def load(path):
    """The names that are to be preloaded, and those that one run had."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as source:
            lines = source.read().splitlines()
    except OSError:
        return None, []
    return [line for line in lines if not line.startswith(ONCE)], [line[len(ONCE) :] for line in lines if line.startswith(ONCE)]


def candidates(new):
    """Those of the modules that can be imported by their names and are not the application's own."""
    own = sys.path[0] if sys.path and isinstance(sys.path[0], str) else ""
    own = os.path.abspath(own) if own or not sys.flags.isolated else None
    entries = [entry for entry in sys.path[1:] if isinstance(entry, str) and entry]
    names, is_own = [], {}
    for name in new:
        module = sys.modules.get(name)
        if name in ("__main__", "__mp_main__") or not isinstance(name, str) or "\n" in name:
            continue
        spec = getattr(module, "__spec__", None)
        if spec is None or getattr(spec, "name", None) != name or getattr(spec, "loader", None) is None:
            continue
        top = name.partition(".")[0]
        if top not in is_own:
            is_own[top] = own is not None and _first_entry(sys.modules.get(top, module), [own, *entries]) == own
        if not is_own[top]:
            names.append(name)
    return names


def _first_entry(module, entries):
    """The deepest directory of sys.path that a module comes from."""
    spec = getattr(module, "__spec__", None)
    origin = getattr(spec, "origin", None)
    if not isinstance(origin, str) or not origin.startswith("/"):
        origin = next(iter(getattr(module, "__path__", ())), "")
    below = [entry for entry in entries if origin.startswith(os.path.join(entry, ""))]
    return max(below, key=len, default=None)


def update(path, new):
    """Notes what this process imported beside what its parent had: the names of `new`."""
    new = candidates(new)
    if not new and os.path.exists(path):
        return
    wanted, once = load(path)
    if wanted is None:
        text = [*new]
    else:
        known = set(wanted)
        new = [name for name in new if name not in known]
        again = set(once)
        added = [name for name in new if name in again]
        rest = [ONCE + name for name in new if name not in again]
        if not added and rest == [ONCE + name for name in once]:
            return
        text = [*wanted, *added, *rest]
    write(path, "".join(line + "\n" for line in text).encode("utf-8", "surrogateescape"))


def write(path, content):
    """Puts a file in place at once."""
    temporary = path + b".%d" % os.getpid()
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            while content:
                content = content[os.write(descriptor, content) :]
        finally:
            os.close(descriptor)
        os.rename(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise

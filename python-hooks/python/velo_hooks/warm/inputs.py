"""What the imports of a parent looked at, so that a parent is used only where the imports would have seen the same.

Variables of the environment and the working directory are recorded while the modules are imported in a scratch process;
they are part of the parent's key. Files outside the served trees (sources, configuration) are compared by stat before
each use, and directories of sys.path are looked through for new names that would have been found first.
"""
import os
import sys

# Variables that differ from call to call and that no library reads while it is imported, unless by its name.
VOLATILE = {b"_", b"PWD", b"OLDPWD", b"SHLVL", b"COLUMNS", b"LINES", b"WINDOWID", b"INVOCATION_ID", b"JOURNAL_STREAM"}
ALL, DIRECTORY = b"*", b"."


class Inputs:
    """The names of what was read."""

    def __init__(self, names=(), everything=False, directory=False, files=()):
        self.names, self.everything, self.directory, self.files = set(names), everything, directory, set(files)

    def add(self, other):
        self.names |= other.names
        self.everything |= other.everything
        self.directory |= other.directory
        self.files |= other.files

    def plain(self):
        """As data that marshal takes."""
        return sorted(self.names), self.everything, self.directory, sorted(self.files)

    def lines(self):
        """As velo-ctl reads them."""
        head = [ALL] * self.everything + [DIRECTORY] * self.directory
        return b"".join(line + b"\n" for line in head + [b"=" + name for name in sorted(self.names)])

    def values(self, environment, directory):
        """The part of a key that they make, for an environment (a dictionary of bytes) and a working directory."""
        names = {name for name in environment if name not in VOLATILE} | self.names if self.everything else self.names
        parts = [name + b"=" + environment[name] if name in environment else name for name in sorted(names)]
        return b"".join(part + b"\0" for part in parts + [b"/" + directory] * self.directory)


def key(slot, values):
    """Name of the parent for a slot and the values of its inputs: FNV-1a, as velo-ctl computes it. Names only: whoever
    uses a parent compares the texts."""
    total = 0xCBF29CE484222325
    for byte in slot + b"\0" + values:
        total = ((total ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return b"%016x" % total


class Recorder:
    """Notes what is read from now on. For a process that ends afterwards: an audit hook stays."""

    def __init__(self, served):
        self.inputs = Inputs()
        self.served = served
        self.skipped = tuple(
            {os.path.join(os.path.realpath(prefix), "") for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix)}
        ) + ("/proc/", "/sys/", "/dev/")
        self._watch_environment()
        self._watch_directory()
        sys.addaudithook(self._audit)

    def _watch_environment(self):
        inputs, base = self.inputs, type(os.environ)

        class Watched(base):
            def __getitem__(self, name):
                try:
                    inputs.names.add(os.fsencode(name))
                except (TypeError, ValueError):
                    pass
                return base.__getitem__(self, name)

            def __iter__(self):
                inputs.everything = True
                return base.__iter__(self)

            def copy(self):
                inputs.everything = True
                return base.copy(self)

        for environ in (os.environ, os.environb):
            environ.__class__ = Watched

    def _watch_directory(self):
        for name in ("getcwd", "getcwdb"):
            original = getattr(os, name)

            def asked(original=original):
                self.inputs.directory = True
                return original()

            setattr(os, name, asked)

    def _audit(self, event, details):
        if event != "open":
            return
        path, mode, flags = details
        if isinstance(path, int) or path is None:
            return
        try:
            path = os.fsdecode(path)
        except (TypeError, ValueError):
            return
        writes = (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)) or (mode and "r" not in mode)
        if writes:
            return
        if not path.startswith("/"):
            self.inputs.directory = True
            path = os.path.join("/proc/self/cwd/", path)
            path = os.path.realpath(os.path.dirname(path)) + "/" + os.path.basename(path)
        if not path.startswith(self.skipped) and not is_below(path, self.served):
            self.inputs.files.add(path)


def is_below(path, roots):
    """Whether a path is one of the directories or in one."""
    return any(path.startswith(root) and (len(path) == len(root) or path[len(root)] == "/" or root == "/") for root in roots)


def signature(path):
    """What changes when a file does."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def sources(modules, served):
    """The files of modules that are not served."""
    found = set()
    for module in modules:
        spec = getattr(module, "__spec__", None)
        origin = getattr(spec, "origin", None)
        if isinstance(origin, str) and origin.startswith("/") and not is_below(origin, served):
            found.add(origin)
    return found


def names_in(directory):
    """The module names that a directory of sys.path offers."""
    return {name.partition(".")[0] for name in listing(directory)}


def listing(directory):
    """The names in a directory; none if it is not there."""
    try:
        return set(os.listdir(directory))
    except OSError:
        return set()


class Files:
    """Files, and directories of sys.path and of packages, as they were before the imports of the parent."""

    def __init__(self, served):
        self.served = served
        self.files, self.directories, self.sought = {}, {}, {None: set()}
        for entry in sys.path:
            if isinstance(entry, str) and entry and not is_below(entry, served):
                self.directories[entry] = signature(entry), listing(entry)

    def add(self, paths):
        for path in paths:
            self.files.setdefault(path, signature(path))

    def seek(self, sought):
        """Module names that were looked for, found or not, by directory; None: on sys.path."""
        for directory, names in sought.items():
            if directory is not None and directory not in self.directories:
                self.directories[directory] = signature(directory), listing(directory)
            self.sought.setdefault(directory, set()).update(names)

    def changed(self, imported):
        """The first file that is not as it was; `imported`: names of top-level modules."""
        stat = os.stat
        for path, known in self.files.items():
            try:
                found = stat(path)
                if known != (found.st_mtime_ns, found.st_size, found.st_ino):
                    return path
            except OSError:
                if known is not None:
                    return path
        for directory, (known, names) in self.directories.items():
            if signature(directory) != known:
                wanted = imported | self.sought[None] | self.sought.get(directory, set())
                new = {name for name in listing(directory) ^ names if name.partition(".")[0] in wanted}
                if new:
                    return os.path.join(directory, min(new))
        return None

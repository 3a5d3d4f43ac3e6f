"""Imports modules so that forks can use them.

First in a scratch process, module by module: one that starts a thread which does not end before a fork, leaves a
descriptor open (files, sockets, epoll, a GPU's device), prints, cannot be imported, or depends on what is another in each
process (`watch`), is left out, and so is what imports it. Then in the parent itself, which is checked again.
"""
import gc
import marshal
import os
import select
import signal
import sys
import time
from importlib import import_module

from . import inputs, process, watch

ROUNDS_MAX = 4


class Unfit(Exception):
    """The parent cannot be used."""


class Outcome:
    """What became of the modules."""

    def __init__(self):
        self.left_out = {}
        self.inputs = inputs.Inputs()
        self.origins = set()
        # Names that were looked for, by directory; None: on sys.path.
        self.sought = {}


def preload(names, served, files, deadline):
    """Imports `names`, which are in the order in which an application imported them, less what a fork would break."""
    outcome = Outcome()
    for _ in range(ROUNDS_MAX):
        wanted = [name for name in names if not _is_left_out(name, outcome.left_out)]
        if not wanted:
            return outcome
        found = _scratch(wanted, served, deadline)
        outcome.left_out.update(found["left_out"])
        outcome.inputs.add(inputs.Inputs(*found["inputs"]))
        outcome.origins.update(found["origins"])
        outcome.sought = found["sought"]
        if not found["left_out"]:
            break
    else:
        raise Unfit("its modules are not the same each time")
    files.add(outcome.origins)
    files.add(outcome.inputs.files)
    files.seek(outcome.sought)
    _in_parent([name for name in names if not _is_left_out(name, outcome.left_out)])
    return outcome


def _is_left_out(name, left_out):
    parts = name.split(".")
    return any(".".join(parts[: length + 1]) in left_out for length in range(len(parts)))


def _in_parent(names):
    before, directory = process.descriptors(), os.getcwd()
    for name in names:
        try:
            import_module(name)
        except BaseException as error:
            raise Unfit(f"{name} could be imported once only: {error!r}") from None
    sys.stdout.flush()
    sys.stderr.flush()
    stay = process.threads_that_stay()
    if stay:
        raise Unfit(f"{stay} threads were started")
    after = process.descriptors()
    if after != before:
        raise Unfit(f"{process.described(after - before)} stayed open")
    if os.getcwd() != directory:
        raise Unfit("the working directory was changed")


def _scratch(names, served, deadline):
    """Imports in a process that ends, and gives what it found. A module that ends it, or is not done in time, is left out."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            _Scratch(writer, served).run(names)
        finally:
            os._exit(0)
    os.close(writer)
    trying, found, data = None, None, b""
    ends = time.monotonic() + deadline
    try:
        while found is None:
            ready, _, _ = select.select([reader], [], [], max(0, ends - time.monotonic()))
            part = os.read(reader, 1 << 16) if ready else b""
            if not part:
                break
            data += part
            while len(data) >= 4 and len(data) >= 4 + int.from_bytes(data[:4], "little"):
                length = 4 + int.from_bytes(data[:4], "little")
                message = marshal.loads(data[4:length])
                data = data[length:]
                if isinstance(message, str):
                    trying = message
                else:
                    found = message
    finally:
        os.close(reader)
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    if found is not None:
        return found
    if trying is None:
        raise Unfit("the scratch process ended at once")
    reason = "its import did not end in time" if time.monotonic() >= ends else f"its import ends the process (status {status})"
    return {"left_out": {trying: reason}, "inputs": inputs.Inputs().plain(), "origins": [], "sought": {}}


class _Scratch:
    """The scratch process."""

    def __init__(self, writer, served):
        self.writer, self.served = writer, served
        self.left_out, self.stack, self.sought = {}, [], {}
        self.printed = os.memfd_create("printed")
        os.dup2(self.printed, 1)
        os.dup2(self.printed, 2)

    def run(self, names):
        before = set(sys.modules)
        recorder = inputs.Recorder(self.served)
        self.watch = watch.Watch(self.note)
        self.state = self.observe()
        bootstrap = sys.modules["_frozen_importlib"]
        self.load, bootstrap._load_unlocked = bootstrap._load_unlocked, self.watched
        self.find, bootstrap._find_spec = bootstrap._find_spec, self.seek
        if "importlib.util" in sys.modules:
            sys.modules["importlib.util"]._find_spec = self.seek
        for name in names:
            self.say(name)
            try:
                import_module(name)
            except BaseException as error:
                self.left_out.setdefault(name, f"it cannot be imported: {type(error).__name__}: {error}")
            self.look(name)
        new = [module for name, module in list(sys.modules.items()) if name not in before]
        origins = sorted(inputs.sources(new, self.served))
        self.say({"left_out": self.left_out, "inputs": recorder.inputs.plain(), "origins": origins, "sought": self.sought})

    def say(self, message):
        data = marshal.dumps(message)
        data = len(data).to_bytes(4, "little") + data
        while data:
            data = data[os.write(self.writer, data) :]

    def observe(self):
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (AttributeError, ValueError, OSError):
                pass
        return process.descriptors(), set(os.listdir("/proc/self/task")), os.fstat(self.printed).st_size, self.watch.settings()

    def watched(self, spec):
        """In place of importlib's `_load_unlocked`: what a module does itself shows between its own end and that of the
        last module that it imported."""
        self.stack.append(spec.name)
        try:
            return self.load(spec)
        finally:
            self.look(spec.name)
            self.stack.pop()

    def seek(self, name, path, *rest):
        """In place of importlib's `_find_spec`: a file that is made later may be what is found."""
        for directory in [None] if path is None else list(path):
            if directory is None or (isinstance(directory, str) and not inputs.is_below(directory, self.served)):
                self.sought.setdefault(directory, set()).add(name.rpartition(".")[2])
        return self.find(name, path, *rest)

    def note(self, reason):
        """A module that is being imported read something that is another in each process."""
        if self.stack and not any(watch.is_renewed(name) for name in self.stack):
            self.leave_out(self.stack[-1], reason, self.stack[:-1])

    def leave_out(self, name, reason, importers):
        self.left_out.setdefault(name, reason)
        for importer in importers:
            self.left_out.setdefault(importer, f"it imports {name}")

    def look(self, name):
        last, now = self.state, self.observe()
        if now == last:
            return
        reason = next((reason for reason, value in now[3].items() if value != last[3][reason]), None)
        if now[2] != last[2]:
            reason = "it prints when it is imported"
        if now[0] - last[0]:
            reason = f"it leaves {process.described(now[0] - last[0])} open"
        if now[1] - last[1]:
            stay = process.threads_that_stay()
            now = self.observe()
            if stay and now[1] - last[1]:
                reason = f"it starts {stay} thread{'s' * (stay > 1)}"
        self.state = now
        if reason:
            self.leave_out(name, reason, self.stack)


def settle():
    """After the imports: what children will share is put where they do not write to it."""
    gc.collect()
    gc.disable()
    gc.freeze()
    process.gather_pages()

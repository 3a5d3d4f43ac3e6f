"""One caller's workspace and the three sides on which its steps run.

    native   the tree from disk, on a read-only bind mount at its place
    gone     an empty directory in its place, no Velo: a step that ends the same here would prove nothing
    served   an empty directory in its place, and the preload

Each side has a directory of its own to write to, which all see as the same path. The mounts live in a namespace of the
one command (enter.py), so the machine's own trees (a JDK, a standard library) are served at their own places.
"""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROBES = HERE / "probes"
NOBODY = 65534
SIDES = ("native", "gone", "served")
VELO_VARIABLES = ("LD_PRELOAD", "VELO_MANIFEST", "VELO_ROOT", "VELO_VIEW_ROOT", "VELO_STATS", "VELO_ON_ERROR", "VELO_LIB")


RUNNING = {}  # process -> what ends it and all that it has started
STARTING = threading.Lock()  # never of the main thread, which a signal's handler interrupts
STOPPING = threading.Event()


class CallersError(Exception):
    """The check itself cannot be made; says why."""


@dataclass(frozen=True)
class Tools:
    """The built library and command under test."""

    library: str
    ctl: str


@dataclass
class Run:
    """What one command printed and how it ended; `home` is its side's directory, as seen from outside."""

    code: int
    out: str
    err: str
    home: Path
    seconds: float


@dataclass
class Workspace:
    """The directories of one caller; `here` is the place that all sides see as theirs, and the working directory."""

    root: Path
    store: Path
    tools: Tools
    trees: list = field(default_factory=list)  # (source, place, manifest)

    @classmethod
    def make(cls, name, tools):
        root = Path(tempfile.mkdtemp(prefix=f"velo-callers-{name}-", dir="/var/tmp"))
        memory = "/dev/shm" if shutil.disk_usage("/dev/shm").free > 4 << 30 else "/var/tmp"
        workspace = cls(root, Path(tempfile.mkdtemp(prefix="velo-callers-", dir=memory)), tools)
        for part in (*SIDES, "here", "empty", "trees", "tmp"):
            (root / part).mkdir()
        for directory in (root, workspace.store):
            directory.chmod(0o755)
        return workspace

    @property
    def here(self):
        return self.root / "here"

    def remove(self):
        for directory in (self.root, self.store):
            for base, names, _ in os.walk(directory):
                for name in names:
                    path = os.path.join(base, name)
                    if not os.path.islink(path):
                        os.chmod(path, 0o755)
            shutil.rmtree(directory, ignore_errors=True)

    def serve(self, place, source=None, exact=False, python=None):
        """Indexes `source` (or what is at `place`) to be served at `place`; with bytecode for `python`."""
        place = Path(place)
        source = Path(source or place)
        if place != place.resolve():
            raise CallersError(f"{place} is reached through a symbolic link: its resolved path is to be served")
        place.mkdir(parents=True, exist_ok=True)
        if place.is_relative_to(self.here):  # a mount point of its own on each side
            for side in SIDES:
                (self.root / side / place.relative_to(self.here)).mkdir(parents=True)
        manifest = self.root / f"{len(self.trees)}.velo"
        command = [self.tools.ctl, "build-manifest", str(source), "--at", str(place), "-o", str(manifest), *["--exact"] * exact]
        if python:
            command += ["--python", str(python)]
        code, _, err = execute(command, self.outer_env())
        if code != 0:
            raise CallersError(f"build-manifest {source}: {err.strip()}")
        self.trees.append((source, place, manifest))

    def outer_env(self):
        """For commands outside of the three sides: never preloaded, and with their temporary files where all else is."""
        own = {"VELO_ROOT": str(self.store), "VELO_LIB": self.tools.library, "LC_ALL": "C.UTF-8", "TMPDIR": str(self.root / "tmp")}
        return {**{key: value for key, value in os.environ.items() if key not in VELO_VARIABLES}, **own}

    def run(self, side, argv, env=(), deadline=300, ordinary=False):
        """Runs a command on one side, as an `ordinary` user where that is asked for. What it leaves running ends with it
        (enter.py)."""
        # The C library's tmpfile(3) knows no other place than /tmp; an ordinary user can harm nobody there.
        writable = ["/tmp"] if ordinary else []
        user = NOBODY if ordinary and os.geteuid() == 0 else None
        if user is not None:
            os.chown(self.root / side, user, user)
        inner = {"PATH": os.environ["PATH"], "HOME": str(self.here), "TMPDIR": str(self.here), "LC_ALL": "C.UTF-8", "TERM": "dumb"}
        inner.update(env)
        argv = [str(part) for part in argv]
        if side == "served":
            inner["VELO_ROOT"] = str(self.store)
            inner["VELO_LIB"] = self.tools.library
            manifests = [part for _, _, manifest in self.trees for part in ("-m", str(manifest))]
            argv = [self.tools.ctl, "run", *manifests, "--", *argv]
        empty = str(self.root / "empty")
        spec = {
            "writable": [*writable, str(self.root), str(self.store)],
            "binds": [(str(self.root / side), str(self.here))],
            "trees": [(str(source) if side == "native" else empty, str(place)) for source, place, _ in self.trees],
            "cwd": str(self.here),
            "env": inner,
            "argv": argv,
            "user": user,
        }
        begun = time.monotonic()
        command = [sys.executable, "-ISE", str(HERE / "enter.py"), json.dumps(spec)]
        code, out, err = execute(command, self.outer_env(), deadline=deadline, end=subprocess.Popen.terminate)
        return Run(code, out, err, self.root / side, time.monotonic() - begun)


def end_group(process):
    """For what is no enter.py: it and its children, which have not left its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def execute(command, env, cwd=None, deadline=None, end=end_group):
    """Runs a command in a session of its own: its exit status and what it printed. All that takes long is run by this, so
    that `stop` can `end` it. Not for the main thread."""
    with STARTING:
        if STOPPING.is_set():
            raise CallersError("interrupted")
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        RUNNING[process] = end
    with process:
        try:
            out, err = process.communicate(timeout=deadline)
        except subprocess.TimeoutExpired:
            end(process)
            out, err = process.communicate()
            err += f"\nended after {deadline} s\n".encode()
        finally:
            del RUNNING[process]
    return process.returncode, text(out), text(err)


def stop():
    """Ends what runs, and lets nothing else start."""
    with STARTING:
        STOPPING.set()
        for process, end in list(RUNNING.items()):
            if process.returncode is None:
                end(process)


def text(raw):
    return raw.decode("utf-8", "backslashreplace")

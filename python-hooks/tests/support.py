"""Trees, stores and interpreters for the tests: a program is run with the tree on disk, and then from a manifest with the
tree moved away, through `velo-ctl run`; both must print the same.

VELO_CTL, VELO_LIB and VELO_HOOKS name what was built; else it is looked for in target/release.
"""
import atexit
import functools
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import textwrap

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
BUILT = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target") / "release"
CTL = os.environ.get("VELO_CTL") or str(BUILT / "velo-ctl")
LIBRARY = os.environ.get("VELO_LIB") or str(BUILT / "libvelo_fs.so")
# Set: the Python files of this directory by hand, in place of those that velo-ctl was built with.
SOURCES = os.environ.get("VELO_HOOKS_SOURCES")
NATIVE = os.environ.get("VELO_HOOKS") or str(BUILT / "libvelo_hooks.so")


@functools.lru_cache(None)
def interpreters():
    """Programs by series, as in {"3.11": "/usr/bin/python3.11"}: those that the hook is for."""
    managed = sorted(pathlib.Path.home().glob(".pyenv/versions/*/bin/python3"))
    system = [pathlib.Path(f"/usr/bin/python3.{minor}") for minor in range(9, 16)]
    found = {}
    for program in [*managed, *system]:
        if program.exists():
            text = "import sys; print(sys.implementation.name, '%d.%d' % sys.version_info[:2], sys.abiflags or '-')"
            said = subprocess.run([program, "-c", text], capture_output=True, text=True, check=False).stdout.split()
            if len(said) == 3 and said[0] == "cpython" and said[2] == "-" and tuple(map(int, said[1].split("."))) >= (3, 9):
                found.setdefault(said[1], str(program))
    if not found:
        raise RuntimeError("no CPython 3.9 or newer, and these tests need one")
    return found


def newest():
    return max(interpreters().items(), key=lambda item: tuple(map(int, item[0].split("."))))[1]


class Ended:
    """What a program did."""

    def __init__(self, process):
        self.status, self.out, self.errors = process.returncode, process.stdout, process.stderr

    def __eq__(self, other):
        return vars(self) == vars(other)

    def __repr__(self):
        return f"status {self.status}\n{self.out}\n{self.errors}"


class World:
    """A directory `at` that is served, and one, `outside`, that is not."""

    def __init__(self, python=None):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="velo-hooks-")).resolve()
        self.store = pathlib.Path(tempfile.mkdtemp(prefix="velo-hooks-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
        self.at, self.outside, self.cache = self.base / "at", self.base / "outside", self.base / "cache"
        atexit.register(self.__exit__)  # also of a test that failed and left it open
        self.python = python or newest()
        self.manifests = []
        for directory in (self.at, self.outside, self.cache):
            directory.mkdir(0o755)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for directory in (self.base, self.store):
            subprocess.run(["chmod", "-R", "u+w", directory], check=False, stderr=subprocess.DEVNULL)
            shutil.rmtree(directory, ignore_errors=True)

    def write(self, files, base=None):
        """Files by path, below `at` unless another base is given."""
        for name, text in files.items():
            path = (base or self.at) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(text, bytes):
                path.write_bytes(text)
            else:
                path.write_text(textwrap.dedent(text), encoding="utf-8")

    def index(self, *options, tree=None):
        """Indexes a tree (with bytecode of this interpreter, unless told otherwise) and moves it away."""
        tree = tree or self.at
        manifest = self.base / f"{len(self.manifests)}.velo"
        options = options or ("--python", self.python)
        command = [CTL, "build-manifest", tree, "-o", manifest, *options]
        subprocess.run(command, env=self.environment(), check=True, capture_output=True)
        self.manifests.append(manifest)

    def environment(self, **more):
        """The caller's, less all that is about Python or Velo."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VELO", "LD_", "XDG"))}
        own = {"VELO_ROOT": str(self.store), "VELO_LIB": LIBRARY, "VELO_PYTHON_NATIVE": NATIVE, "VELO_PYTHON_STRICT": "1",
               "XDG_CACHE_HOME": str(self.cache), "PYTHONDONTWRITEBYTECODE": "1"}
        return {**kept, **own, **more}

    def run(self, *arguments, served, **environment):
        """The interpreter with these arguments."""
        command = [self.python, *map(str, arguments)]
        more = {}
        if served and SOURCES:
            more = {"LD_PRELOAD": LIBRARY, "VELO_MANIFEST": ":".join(map(str, self.manifests))}
            run = str(REPOSITORY / "python-hooks" / "python" / "velo_hooks" / "run")
            environment["PYTHONPATH"] = ":".join(filter(None, [run, environment.get("PYTHONPATH")]))
        elif served:
            flags = [word for manifest in self.manifests for word in ("-m", manifest)]
            command = [CTL, "run", *flags, "--", *command]
        cwd = environment.pop("cwd", self.outside)
        environment = {name: value for name, value in self.environment(**environment, **more).items() if value is not None}
        return Ended(subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=600, check=False))

    def both(self, *arguments, **environment):
        """On disk, then served with all that was indexed away."""
        native = self.run(*arguments, served=False, **environment)
        return native, self.served(*arguments, **environment)

    def served(self, *arguments, **environment):
        self.at.rename(self.base / "away")
        try:
            return self.run(*arguments, served=True, **environment)
        finally:
            (self.base / "away").rename(self.at)

    def script(self, text):
        path = self.outside / "script.py"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path


def load(text):
    return json.loads(text)

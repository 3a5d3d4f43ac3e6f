"""The ways to see one tree: plain files, Velo's preload, a kernel OverlayFS mount, a squashfuse mount.

Each mode is a context manager; inside it, `root` is where the tree appears and `env` is what a program is started
with. Every mount made here is unmounted on the way out, also after a failure.
"""
import os
import shutil
import subprocess
import time

from measure import BenchError

VELO_VARIABLES = ("LD_PRELOAD", "VELO_MANIFEST", "VELO_ROOT", "VELO_VIEW_ROOT", "VELO_STATS", "VELO_ON_ERROR", "VELO_LIB",
                  "VELO_PYTHON", "VELO_PYTHON_GC", "VELO_PYTHON_STRICT", "VELO_PYTHON_NATIVE", "PYTHONPATH")


def plain_env():
    """This environment without anything of Velo's, and with a fixed locale."""
    env = {key: value for key, value in os.environ.items() if key not in VELO_VARIABLES}
    env["LC_ALL"] = "C"
    return env


class Mode:
    """A view of the tree under `root`, used with `env`."""

    name = ""

    def __init__(self, root, env=None):
        self.root = root
        self.env = env or plain_env()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


class Native(Mode):
    name = "native"


class Velo(Mode):
    """The preload over a manifest; nothing exists at `root` itself."""

    name = "velo"

    def __init__(self, root, tools, manifest, store):
        super().__init__(root, {**plain_env(), **tools.variables(manifest, store)})
        if os.path.exists(root):
            raise BenchError(f"{root} exists: the Velo mode would not be what answers")


class Overlay(Mode):
    """Kernel OverlayFS over the native copy, with an upper directory; needs the right to mount."""

    name = "overlay"

    def __init__(self, root, lower, scratch):
        super().__init__(root)
        self.lower, self.scratch = lower, scratch

    def __enter__(self):
        for directory in (self.root, f"{self.scratch}/upper", f"{self.scratch}/work"):
            os.makedirs(directory, exist_ok=True)
        options = f"lowerdir={self.lower},upperdir={self.scratch}/upper,workdir={self.scratch}/work"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, self.root], check=True)
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", self.root], check=False)
        return False


class Squashfuse(Mode):
    """A squashfs image of the tree, served by squashfuse (its low-level variant where there is one)."""

    name = "squashfuse"

    def __init__(self, root, source, image):
        super().__init__(root)
        self.source, self.image, self.daemon = source, image, None

    def __enter__(self):
        os.makedirs(self.root, exist_ok=True)
        subprocess.run(
            ["mksquashfs", self.source, self.image, "-comp", "lz4", "-no-progress", "-noappend", "-quiet"],
            check=True, stdout=subprocess.DEVNULL,
        )
        program = shutil.which("squashfuse_ll") or "squashfuse"
        self.daemon = subprocess.Popen([program, "-f", self.image, self.root], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while not os.path.ismount(self.root):
            if self.daemon.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise BenchError(f"{program} did not mount {self.root}")
            time.sleep(0.02)
        return self

    def __exit__(self, *_):
        unmount = shutil.which("fusermount3") or shutil.which("fusermount")
        command = ["umount", self.root] if os.geteuid() == 0 or not unmount else [unmount, "-u", self.root]
        if os.path.ismount(self.root):
            subprocess.run(command, check=False)
        if self.daemon is not None:
            try:
                self.daemon.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.daemon.terminate()
                self.daemon.wait()
        return False


def overlay_refusal():
    """Why OverlayFS cannot be mounted here, or None."""
    if os.geteuid() != 0:
        return "mounting OverlayFS needs root"
    with open("/proc/filesystems", encoding="ascii") as known:
        if "\toverlay\n" not in known.read() and shutil.which("modprobe"):
            if subprocess.run(["modprobe", "overlay"], capture_output=True).returncode != 0:
                return "this kernel has no OverlayFS"
    return None


def squashfuse_refusal():
    """Why squashfuse cannot be used here, or None."""
    for program in ("mksquashfs", "squashfuse"):
        if shutil.which(program) is None:
            return f"{program} is not installed (apt-get install squashfs-tools squashfuse)"
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "/dev/fuse cannot be opened"
    return None

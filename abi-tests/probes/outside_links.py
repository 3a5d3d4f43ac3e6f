"""Prints what calls answer at paths that lead through symlinks outside into the tree, and at
neighbours that do not."""

import ctypes
import os
import subprocess
import sys

outside = sys.argv[1]


def say(name, path, call):
    try:
        answer = call(path)
    except OSError as error:
        answer = f"errno {error.errno}"
    print(f"{name}\t{path}\t{answer}")


def status(path):
    found = os.stat(path)
    return (oct(found.st_mode), found.st_size, int(found.st_mtime))


def content(path):
    with open(path, "rb") as file:
        return file.read(40)


def here(path):
    back = os.getcwd()
    os.chdir(path)
    try:
        return (os.getcwd().removeprefix(os.path.dirname(outside)), sorted(os.listdir(".")))
    finally:
        os.chdir(back)


def loaded(path):
    try:
        return ctypes.CDLL(path) is not None
    except OSError:
        return "not loaded"


def opened(path, flags):
    os.close(os.open(path, flags, 0o600))
    return "opened"


READS = [
    ("stat", status),
    ("lstat", lambda path: oct(os.lstat(path).st_mode)),
    ("read", content),
    ("readlink", os.readlink),
    ("realpath", lambda path: os.path.realpath(path, strict=True)),
    ("access", lambda path: [os.access(path, mode) for mode in (os.F_OK, os.R_OK, os.X_OK)]),
    ("list", lambda path: sorted(os.listdir(path))),
    ("chdir", here),
    ("load", loaded),
    ("run", lambda path: subprocess.run([path, "x"], capture_output=True).stdout),
    ("statvfs", lambda path: os.statvfs(path).f_flag & os.ST_RDONLY),
    ("xattr", lambda path: os.listxattr(path)),
]
CHANGES = [
    ("chmod", lambda path: os.chmod(path, 0o700)),
    ("utime", lambda path: os.utime(path, (1, 1))),
    ("truncate", lambda path: os.truncate(path, 0)),
    ("write", lambda path: opened(path, os.O_WRONLY)),
    ("create", lambda path: opened(path, os.O_WRONLY | os.O_CREAT)),
    ("create only", lambda path: opened(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)),
    ("mkdir", os.mkdir),
    ("symlink", lambda path: os.symlink("x", path)),
    ("mkfifo", os.mkfifo),
    ("unlink in", lambda path: os.unlink(path + "/one")),
    ("rmdir in", lambda path: os.rmdir(path + "/dir")),
    ("rename in", lambda path: os.rename(path + "/one", path + "/two")),
    ("rename to", lambda path: os.rename(outside + "/file", path + "/two")),
    ("link to", lambda path: os.link(outside + "/file", path + "/two")),
]
PATHS = [line.rstrip("\n") for line in sys.stdin]

for path in PATHS:
    for name, call in READS:
        say(name, path, call)
os.chdir(outside)
for path in PATHS:
    say("stat from here", path.removeprefix(outside + "/"), status)
    say("read from here", path.removeprefix(outside + "/"), content)
directory = os.open("..", os.O_RDONLY | os.O_DIRECTORY)
for path in PATHS:
    below = "outside" + path.removeprefix(outside)
    say("stat from a descriptor", below, lambda path: os.stat(path, dir_fd=directory).st_size)
for path in PATHS:
    for name, call in CHANGES:
        # docs/LIMITS.md: the kernel would make a file where the mount is.
        if name != "create" or not path.endswith("/current"):
            say(name, path, call)

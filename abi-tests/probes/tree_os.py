"""Asks CPython's os, pathlib, shutil, glob, zipimport and subprocess about the tree in argv[1].

Prints one line an answer, so that two runs compare; an exception is an answer too.
"""

import contextlib
import errno
import glob
import hashlib
import io
import mmap
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import tempfile

ROOT = sys.argv[1]
EXACT = "PROBE_EXACT" in os.environ
CHANGES = "PROBE_CHANGES" in os.environ


def say(name, function, *arguments, **options):
    try:
        answer = function(*arguments, **options)
    except OSError as error:
        answer = f"{type(error).__name__} {errno.errorcode.get(error.errno)} {error.filename!r} {error.filename2!r}"
    except (TypeError, ValueError, RuntimeError, shutil.Error) as error:  # TypeError: what an older Python does not take
        answer = f"{type(error).__name__} {error}"
    print(name, ascii(arguments), "=", ascii(answer))


def fields(result):
    usual = (oct(result.st_mode), result.st_nlink, result.st_uid, result.st_gid, result.st_size, result.st_mtime_ns, result.st_blksize)
    return usual + ((result.st_ino, result.st_blocks, result.st_atime_ns, result.st_ctime_ns) if EXACT else ())


def walk(top):
    found = []
    for directory, directories, files in os.walk(top):
        directories.sort()
        found.append(directory)
        found.extend(os.path.join(directory, name) for name in sorted(files))
    return found


def one(path):
    say("stat", lambda: fields(os.stat(path)))
    say("lstat", lambda: fields(os.lstat(path)))
    for function in (os.readlink, os.path.realpath, os.path.exists, os.path.lexists, os.path.isfile, os.path.isdir, os.path.islink, os.path.getsize):
        say(function.__name__, function, path)
    for mode in (os.R_OK, os.W_OK, os.X_OK):
        say("access", os.access, path, mode)
        say("access effective", os.access, path, mode, effective_ids=True)
    say("listdir", lambda: sorted(os.listdir(path)))
    say("scandir", lambda: sorted((e.name, e.is_dir(), e.is_file(), e.is_symlink(), e.inode() if EXACT else 0) for e in sorted(os.scandir(path), key=lambda e: e.name)))
    if not os.path.isfile(path) or os.path.getsize(path) < 1 << 20:
        say("read", lambda: hashlib.sha1(open(path, "rb").read()).hexdigest())
        say("pathlib", lambda: len(pathlib.Path(os.fsdecode(path)).read_bytes()))
    say("resolve", lambda: pathlib.Path(os.fsdecode(path)).resolve())
    say("resolve strict", lambda: pathlib.Path(os.fsdecode(path)).resolve(strict=True))
    say("xattrs", lambda: [(name, os.getxattr(path, name)) for name in os.listxattr(path)])
    say("pathconf", os.pathconf, path, "PC_NAME_MAX")


def descriptors():
    directory = os.open(os.path.join(ROOT, "dir"), os.O_RDONLY | os.O_DIRECTORY)
    say("stat dir_fd", lambda: fields(os.stat("same-a", dir_fd=directory)))
    say("stat fd", lambda: fields(os.stat(directory)))
    say("open dir_fd", lambda: os.read(os.open("sub/../same-a", os.O_RDONLY, dir_fd=directory), 5))
    say("listdir fd", lambda: sorted(os.listdir(directory)))
    say("scandir fd", lambda: sorted((entry.name, entry.stat().st_size) for entry in os.scandir(directory)))
    say("readlink dir_fd", lambda: os.readlink("../links/relative", dir_fd=directory))
    say("access dir_fd", lambda: os.access("same-a", os.R_OK, dir_fd=directory, follow_symlinks=False))
    say("fwalk", lambda: sorted((top, tuple(sorted(names))) for top, _, names, _ in os.fwalk(".", dir_fd=directory)))
    say("fchdir", os.fchdir, directory)
    say("getcwd", os.getcwd)
    say("getcwdb", os.getcwdb)
    say("statvfs", lambda: os.statvfs(".").f_namemax)
    file = open("same-a", "rb")
    say("fileno", lambda: fields(os.fstat(file.fileno())))
    say("mmap", lambda: bytes(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)))
    say("sendfile", lambda: os.sendfile(os.memfd_create("x"), file.fileno(), 0, 100))
    say("dup", lambda: os.pread(os.dup(file.fileno()), 4, 1))
    say("path of fd", lambda: os.readlink(f"/proc/self/fd/{file.fileno()}"))
    say("io.open_code", lambda: io.open_code(os.path.abspath("same-a")).read())
    say("chdir", os.chdir, "..")
    say("getcwd", os.getcwd)
    say("abspath", os.path.abspath, "links/to-dir")
    say("samefile", os.path.samefile, "hard/first", "hard/second")
    say("samefile of equal content", os.path.samefile, "dir/same-a", "dir/same-b")
    say("sameopenfile", lambda: os.path.sameopenfile(os.open("hard/first", 0), os.open("hard/elsewhere/third", 0)))
    say("relpath", os.path.relpath, "links/to-dir", "dir/sub")
    with contextlib.suppress(AttributeError):
        with contextlib.chdir("dir/sub"):
            say("contextlib.chdir", os.getcwd)
    say("getcwd", os.getcwd)


def patterns():
    for pattern in ("*", "**/same*", "links/*", "names/*", "*/sub/*", "modes/*/file", "[a-d]*", "missing/*", "links/to-dir/*"):
        say("glob", lambda: sorted(glob.glob(pattern, root_dir=ROOT)))
        say("glob recursive", lambda: sorted(glob.glob(os.path.join(ROOT, "dir", pattern), recursive=True)))
        say("pathlib.glob", lambda: sorted(str(path) for path in pathlib.Path(ROOT, "hard").glob(pattern)))
    say("rglob", lambda: sorted(str(path) for path in pathlib.Path(ROOT, "dir").rglob("*")))
    say("iterdir", lambda: sorted(path.name for path in pathlib.Path(ROOT).iterdir()))
    say("owner", lambda: pathlib.Path(ROOT, "plain.txt").owner())


def copies():
    with tempfile.TemporaryDirectory() as out:
        say("copytree", lambda: len(walk(shutil.copytree(os.path.join(ROOT, "dir"), os.path.join(out, "copy"), symlinks=True))))
        say("copy2", lambda: oct(os.stat(shutil.copy2(os.path.join(ROOT, "plain.txt"), os.path.join(out, "c"))).st_mode))
        say("copyfile", lambda: os.path.getsize(shutil.copyfile(os.path.join(ROOT, "bytes-70000"), os.path.join(out, "d"))))
        say("mtime", lambda: os.stat(os.path.join(out, "c")).st_mtime_ns == os.stat(os.path.join(ROOT, "plain.txt")).st_mtime_ns)
        say("filecmp", lambda: __import__("filecmp").cmp(os.path.join(ROOT, "bytes-70000"), os.path.join(out, "d"), shallow=False))
        archive = shutil.make_archive(os.path.join(out, "a"), "tar", ROOT, "dir")
        say("make_archive", lambda: sorted(__import__("tarfile").open(archive).getnames()))
        say("move", lambda: shutil.move(os.path.join(ROOT, "plain.txt"), os.path.join(ROOT, "never")))
        say("disk_usage", lambda: shutil.disk_usage(ROOT).total > 0)


def changes():
    for name in ("plain.txt", "new", "dir", "missing/new", "links/dangling", "links/relative"):
        path = os.path.join(ROOT, name)
        for mode in ("w", "a", "x", "r+"):
            say(f"open {mode}", open, path, mode)
        for function in (os.mkdir, os.makedirs, os.rmdir, os.unlink, os.remove, os.removedirs, os.mkfifo):
            say(function.__name__, function, path)
        say("rename", os.rename, path, path + "2")
        say("replace", os.replace, path, os.path.join(ROOT, "other"))
        say("link", os.link, path, path + "2")
        say("symlink", os.symlink, "x", path)
        say("chmod", os.chmod, path, 0o600)
        say("chown", os.chown, path, 0, 0)
        say("utime", os.utime, path)
        say("utime ns", os.utime, path, ns=(1, 2), follow_symlinks=False)
        say("truncate", os.truncate, path, 0)
        say("setxattr", os.setxattr, path, "user.x", b"v")
        say("touch", lambda: pathlib.Path(os.fsdecode(path)).touch())
    say("rmtree", shutil.rmtree, os.path.join(ROOT, "dir", "sub", "empty"))


def programs():
    run = lambda *command, **options: subprocess.run(command, capture_output=True, text=True, **options)
    os.chdir(ROOT)
    for close_fds in (True, False):
        say("subprocess", lambda: run("cat", "plain.txt", close_fds=close_fds).stdout)
        say("subprocess cwd", lambda: run("pwd", cwd="dir", close_fds=close_fds).stdout)
        say("subprocess empty environment", lambda: run("/bin/cat", "plain.txt", env={}, close_fds=close_fds).stdout)
        say("subprocess preexec", lambda: run("cat", "same-a", preexec_fn=lambda: os.chdir("dir"), close_fds=close_fds).stdout)
        say("subprocess session", lambda: run("sh", "-c", "cat dir/*a", start_new_session=True, close_fds=close_fds).stdout)
        say("subprocess missing", lambda: run("./missing", close_fds=close_fds).stdout)
        say("subprocess not executable", lambda: run("./plain.txt", close_fds=close_fds).stdout)
        say("subprocess bad cwd", lambda: run("pwd", cwd="missing", close_fds=close_fds).stdout)
    say("stdin", lambda: subprocess.check_output(["cat"], stdin=open("plain.txt")))
    say("pass_fds", lambda: (lambda fd: run("cat", f"/dev/fd/{fd}", pass_fds=[fd]).stdout)(os.open("dir/same-a", os.O_RDONLY)))
    say("system", lambda: (sys.stdout.flush(), os.system("cat dir/same-b; cd links/to-dir; pwd")))
    say("popen", lambda: os.popen("pwd; cat one").read())
    say("posix_spawn", lambda: (sys.stdout.flush(), os.waitpid(os.posix_spawn("/bin/cat", ["cat", "one"], {}), 0)[1]))
    say("posix_spawnp", lambda: os.waitpid(os.posix_spawnp("cat", ["cat"], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 0, "plain.txt", os.O_RDONLY, 0)]), 0)[1])
    say("posix_spawn missing", os.posix_spawn, os.path.join(ROOT, "missing"), ["x"], {})
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        say("in the child", lambda: open("dir/same-a").read())
        sys.stdout.flush()
        os.chdir("dir")
        os.execvp("cat", ["cat", "same-b"])
    os.waitpid(child, 0)


def main():
    paths = [path for path in walk(ROOT) if "level-0" not in path and "/wide/" not in path]
    for name in ("missing", "plain.txt/", "plain.txt/x", "links/to-dir/..", "links/chain-40", "links/chain-41", "", ".", "names/" + "x" * 256, "y" * 5000):
        paths.append(os.path.join(ROOT, name))
    paths.append(os.fsencode(ROOT) + b"/names/\xff\xfe not utf-8 \x80")
    for path in paths:
        print("--", ascii(path))
        one(path)
    descriptors()
    patterns()
    copies()
    programs()
    if CHANGES:
        changes()


main()

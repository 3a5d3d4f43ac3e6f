"""Bytecode of sources for which the manifest has none: compiled once, and kept for this user alone.

    $XDG_CACHE_HOME/velo/python (or ~/.cache/velo/python), 0700
        ab/HASH-VARIANT     a line with the BLAKE3 of what follows, then a .pyc (unchecked)

HASH is the source's content, VARIANT the interpreter's release, magic and optimisation level: so whatever is there
cannot be stale. Nobody but this user can have written it: owner and mode of the directories and of each file are
checked. A file that is not what its first line says is no file. Bounded in size: each of the 256 directories is.
"""
import sys

import _frozen_importlib_external as _external
import posix

BYTES_MAX = 2 << 20  # of a directory, so of all 512 MiB
FILE_BYTES_MAX = BYTES_MAX // 2
HEAD_BYTES = 65

_hash = None
_root = None
_variant = ""


def _place(name):
    """Directory and file for a source; nothing if there is no safe place."""
    global _root, _variant, _hash
    if _root is None:
        from velo_hooks import _native

        _hash = _native.hash
        magic = _external.MAGIC_NUMBER.hex()
        _variant = "-%s-%08x-%s-%d" % (sys.implementation.cache_tag, sys.hexversion, magic, sys.flags.optimize)
        _root = _find_root() or ""
    if not _root:
        return None
    return _root + "/" + name[:2], name + _variant


def _find_root():
    home = posix.environ.get(b"XDG_CACHE_HOME", b"")
    if not home.startswith(b"/"):
        home = posix.environ.get(b"HOME", b"")
        if not home.startswith(b"/"):
            return None
        home += b"/.cache"
    # Somebody else's rights are not for this user's files.
    if posix.geteuid() != posix.getuid() or posix.getegid() != posix.getgid():
        return None
    path = home.decode(sys.getfilesystemencoding(), "surrogateescape")
    for name in ("", "/velo", "/python"):
        path += name
        try:
            # Who may write above can take our directories away, not make one that is ours.
            if name and not _is_own(posix.lstat(path)):
                return None
            posix.stat(path)
        except FileNotFoundError:
            if sys.dont_write_bytecode:
                return None
            try:
                posix.mkdir(path, 0o700)
            except FileExistsError:
                pass
            except OSError:
                return None
        except OSError:
            return None
    return path


def _is_own(status, kind=0o040000):
    return status.st_mode & 0o170022 == kind and status.st_uid == posix.geteuid()


def read(source_hash):
    """The .pyc that was kept for a source; nothing if there is none that can be trusted."""
    place = _place(source_hash)
    if place is None:
        return None
    directory, name = place
    try:
        file = posix.open(directory + "/" + name, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW)
    except OSError:
        return None
    try:
        status = posix.fstat(file)
        if not _is_own(status, 0o100000) or not _is_own(posix.lstat(directory)) or status.st_size > FILE_BYTES_MAX:
            return None
        data = posix.read(file, status.st_size + 1)
    except OSError:
        return None
    finally:
        posix.close(file)
    content = data[HEAD_BYTES:]
    return content if data[:HEAD_BYTES] == _head(content) else None


def write(source_hash, source, data):
    """Keeps a .pyc that was made of `source`."""
    place = _place(source_hash)
    # What was compiled has to be what the name says.
    if place is None or _hash(source) != source_hash:
        return
    directory, name = place
    # The manifest says what it belongs to, so neither time nor size has to (PEP 552).
    content = bytes(data[:4]) + b"\1\0\0\0" + bytes(8) + bytes(data[16:])
    data = _head(content) + content
    if len(data) > FILE_BYTES_MAX:
        return
    new = "%s/.%s.%d" % (directory, name, posix.getpid())
    try:
        try:
            posix.mkdir(directory, 0o700)
        except FileExistsError:
            pass
        if not _is_own(posix.lstat(directory)):
            return
        _make_room(directory, len(data))
        flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC | posix.O_NOFOLLOW
        file = posix.open(new, flags, 0o600)
    except OSError:
        # A full disk, a cache that is read-only: it is compiled again, that is all.
        return
    try:
        try:
            whole = posix.write(file, data) == len(data)
        finally:
            posix.close(file)
        if whole:
            posix.rename(new, directory + "/" + name)
        else:
            posix.unlink(new)
    except OSError:
        try:
            posix.unlink(new)
        except OSError:
            pass


def _head(content):
    return _hash(content).encode() + b"\n"


def _make_room(directory, more):
    """Removes the oldest files until `more` bytes fit."""
    found = []
    with posix.scandir(directory) as entries:
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            found.append((status.st_mtime_ns, status.st_size, entry.path))
    total = more + sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= BYTES_MAX:
            break
        posix.unlink(path)
        total -= size

# Compiles the sources that it is fed until there are no more. Nothing of them is executed or imported.
#
#   to here:   level, 1 byte | bytes of the source, 8 bytes, little-endian | the source
#   from here: bytes of the answer, 8 bytes | the answer
#
# An answer is "+" and the .pyc, "-" (the source does not compile), or "!" and the wait status of what was to compile it.
import sys

# The interpreter's own library, for codecs; not the directory that this happens to be started in.
sys.path[:] = [place for place in sys.path if place]

import _imp
import _signal
import gc
import marshal
import posix
from _frozen_importlib_external import MAGIC_NUMBER

seconds = int(sys.argv[1])
# PEP 552, flags 1: by hash and unchecked, so CPython takes it without a look at the source.
start = MAGIC_NUMBER + (1).to_bytes(4, "little")
key = int.from_bytes(MAGIC_NUMBER, "little")
# Whatever the caller ignores: a child that is waited for must be there, and its limit must end it.
_signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
_signal.signal(_signal.SIGINT, _signal.SIG_DFL)
_signal.signal(_signal.SIGPROF, _signal.SIG_DFL)
gc.disable()


def read(count):
    parts = []
    while count:
        part = posix.read(0, min(count, 1 << 20))
        if not part:
            posix._exit(0)
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def write(fd, data):
    data = memoryview(data)
    while data:
        data = data[posix.write(fd, data):]


def compiled(source, level):
    try:
        # The name is neutral: CPython puts the real one in when it loads the code.
        code = compile(source, "<velo>", "exec", dont_inherit=True, optimize=level)
        return b"+" + start + _imp.source_hash(key, source) + marshal.dumps(code)
    except BaseException:
        return b"-"


def answer(source, level):
    """From a child, which always begins in the same state: what was compiled before it would show in the bytes (what
    is interned is marshalled differently), and what kills a compiler must not end the others' work."""
    out, into = posix.pipe()
    child = posix.fork()
    if child == 0:
        _signal.setitimer(_signal.ITIMER_PROF, seconds)
        write(into, compiled(source, level))
        posix._exit(0)
    posix.close(into)
    parts = []
    while True:
        part = posix.read(out, 1 << 20)
        if not part:
            break
        parts.append(part)
    posix.close(out)
    status = posix.waitpid(child, 0)[1]
    return b"!%d" % status if status else b"".join(parts)


while True:
    level = read(1)[0]
    source = read(int.from_bytes(read(8), "little"))
    result = answer(source, level)
    write(1, len(result).to_bytes(8, "little"))
    write(1, result)

"""The three standard streams, over descriptors that were replaced.

The objects stay the same, because modules that were imported may hold them; they are made anew in place, as the
interpreter makes them at its start: buffer size by the file, line buffering for a terminal.
"""
import io
import os
import sys


def renew():
    """Makes the streams as they would be at a start with these descriptors."""
    unbuffered = isinstance(sys.stdout.buffer, io.FileIO)  # -u
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        try:
            os.fstat(number)
        except OSError:
            setattr(sys, name, None)
            setattr(sys, f"__{name}__", None)
            continue
        _renew(stream, number, f"<{name}>", "r" if number == 0 else "w", unbuffered)


def _renew(text, number, name, mode, unbuffered):
    encoding, errors = text.encoding, text.errors
    buffer = text.buffer
    # The file object itself remembers whether it can seek, so it is a new one.
    raw = io.FileIO(number, mode + "b", closefd=False)
    raw.name = name
    if isinstance(buffer, io.FileIO):
        buffer = raw
    else:
        buffer.__init__(raw, raw._blksize if raw._blksize > 1 else io.DEFAULT_BUFFER_SIZE)
    line_buffering = not unbuffered and (raw.isatty() or number == 2)
    text.__init__(buffer, encoding, errors, "\n", line_buffering, unbuffered)
    text.mode = mode

"""What a module does to its process while it is imported, or reads of it, that is another in each process: signals, limits,
the umask, the standard streams, arguments, numbers that are drawn. A fork has none of it from its parent, so such a module
is imported by each program itself. For the scratch process, which ends afterwards.
"""
import io
import os
import resource
import signal
import sys

import _signal

# A fork is given new numbers by these, and by `child.renew_state`.
RENEWED = ("random", "multiprocessing", "numpy.random")
TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
ASKS_STREAMS = "it asks what the standard streams are"


class Watch:
    """`note` is called with what is read, when it is read."""

    def __init__(self, note):
        self.note = note
        self.kept = []
        # As at the start of a program, so that setting them shows.
        _signal.set_wakeup_fd(-1)
        for number in _signal.valid_signals() - {_signal.SIGKILL, _signal.SIGSTOP}:
            if _signal.getsignal(number) is not None:
                _signal.signal(number, _signal.default_int_handler if number == _signal.SIGINT else _signal.SIG_DFL)
        given = os.memfd_create("input")
        os.write(given, b"\n")
        os.lseek(given, 0, os.SEEK_SET)
        os.dup2(given, 0)
        os.close(given)
        self._watch_streams()
        self._watch_arguments()
        self._watch_functions()

    def settings(self):
        """What can be changed: a reason, and what tells whether it was."""
        mask = os.umask(0o077)
        os.umask(mask)
        timers = [signal.getitimer(which)[0] > 0 for which in TIMERS]
        for which, runs in zip(TIMERS, timers):
            if runs:
                signal.setitimer(which, 0)
        return {
            "it sets how a signal is handled": [_signal.getsignal(number) for number in range(1, 65) if number not in (32, 33)],
            "it changes the umask": mask,
            "it changes limits": [resource.getrlimit(number) for number in range(resource.RLIM_NLIMITS if hasattr(resource, "RLIM_NLIMITS") else 16)],
            "it changes the working directory": os.readlink("/proc/self/cwd"),
            "it sets a timer": timers,
            "it changes the standard streams": [_of_stream(getattr(sys, name, None)) for name in ("stdin", "stdout", "stderr")],
            "it reads standard input": _position(),
        }

    def _watch_streams(self):
        note = self.note

        class Stream(io.TextIOWrapper):
            def isatty(self):
                note(ASKS_STREAMS)
                return io.TextIOWrapper.isatty(self)

        for name in ("stdin", "stdout", "stderr"):
            old = getattr(sys, name)
            if type(old) is not io.TextIOWrapper:
                continue
            new = Stream(old.buffer, encoding=old.encoding, errors=old.errors, newline="\n", line_buffering=old.line_buffering)
            self.kept.append(old)
            setattr(sys, name, new)
            setattr(sys, f"__{name}__", new)

    def _watch_arguments(self):
        note = self.note

        def watched(name):
            original = getattr(list, name)

            def asked(self, *arguments):
                note("it reads the arguments")
                return original(self, *arguments)

            return asked

        reads = ("__getitem__", "__iter__", "__len__", "__contains__", "__add__", "__eq__", "__repr__", "copy", "index", "count", "pop")
        kind = type("list", (list,), {name: watched(name) for name in reads})
        for name in ("argv", "orig_argv"):
            if hasattr(sys, name):
                setattr(sys, name, kind(getattr(sys, name)))

    def _watch_functions(self):
        def watched(name, reason, counts):
            original = getattr(os, name)

            def asked(*arguments, **named):
                if counts(arguments):
                    self.note(reason)
                return original(*arguments, **named)

            setattr(os, name, asked)
            return asked

        for name in ("isatty", "fstat", "ttyname", "get_terminal_size"):
            watched(name, ASKS_STREAMS, lambda arguments: not arguments or arguments[0] in (0, 1, 2))
        for name in ("getpid", "getppid"):
            watched(name, "it asks for the number of its process", lambda _: True)
        for name in ("urandom", "getrandom"):
            watched(name, "it draws a random number", lambda _: True)
        if "random" in sys.modules:
            sys.modules["random"]._urandom = os.urandom


def is_renewed(name):
    """Whether what a module draws is drawn anew in each fork."""
    return any(name == known or name.startswith(known + ".") for known in RENEWED)


def _of_stream(stream):
    try:
        return id(stream), [getattr(stream, name, None) for name in ("encoding", "errors", "line_buffering", "write_through")]
    except ValueError:
        return id(stream), None


def _position():
    try:
        return os.lseek(0, 0, os.SEEK_CUR)
    except OSError:
        return None

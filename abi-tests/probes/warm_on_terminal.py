"""A program on a terminal, for warm_terminal.py: does what its argument says."""
import os
import signal
import sys
import time


def show(*what):
    print(*what, flush=True)


def facts():
    show("FACTS", [os.isatty(number) for number in range(3)], os.ttyname(0) == os.ttyname(2), os.get_terminal_size(0))
    terminal = os.open("/dev/tty", os.O_RDWR)
    raw = sys.stdout.buffer.raw
    show(os.tcgetpgrp(terminal) == os.getpgrp(), sys.stdout.line_buffering, sys.stdin.isatty(), raw._blksize)
    show("END")


def wait():
    show("WAIT")
    time.sleep(60)


def handler():
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, lambda number, frame: os.write(1, b"GOT %d\n" % number))
    show("WAIT")
    input()
    show("END")


def winch():
    got = []
    signal.signal(signal.SIGWINCH, lambda *_: got.append(1))
    show("WAIT")
    for _ in range(100):
        if got:
            break
        time.sleep(0.1)
    time.sleep(0.3)
    show(len(got), os.get_terminal_size(0))
    show("END")


globals()[sys.argv[1]]()

"""Works with an interactive shell on a terminal as a person would, and prints what it saw.

Arguments: the command line before the program (one word), and the program with its script (one word).
"""
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

before, program = sys.argv[1:3]
run = f"{before} {program}"
seen = []


def size(rows, columns):
    return struct.pack("HHHH", rows, columns, 0, 0)


class Terminal:
    def __init__(self, argv):
        self.data = b""
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.execvp(argv[0], argv)
        self.resize(33, 101)

    def resize(self, rows, columns):
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, size(rows, columns))

    def expect(self, text, note=True):
        """Reads until `text` was shown."""
        end = time.monotonic() + 20
        while text.encode() not in self.data:
            ready, _, _ = select.select([self.descriptor], [], [], max(0, end - time.monotonic()))
            try:
                part = os.read(self.descriptor, 4096) if ready else b""
            except OSError:
                part = b""
            if not part:
                sys.exit(f"never {text!r} in {self.data[-600:]!r}")
            self.data += part
        length = self.data.index(text.encode()) + len(text)
        if note:
            seen.append(self.data[:length].decode())
        self.data = self.data[length:]

    def send(self, text):
        time.sleep(0.3)  # the program is at rest
        os.write(self.descriptor, text.encode())

    def step(self, text, *waits):
        self.send(text)
        for wait in waits:
            self.expect(wait)


def plain():
    """Without what differs: the command, job numbers and prompts."""
    text = "\n".join(seen).replace("\r", "").replace(before, "RUN")
    return [line for line in text.split("\n") if line and not line.startswith(("[1] ", "<0>"))]


def work(terminal):
    terminal.send("PS1='<$?>'$'\\n'; bind 'set enable-bracketed-paste off' 2>/dev/null; stty -echo; echo rea''dy\n")
    terminal.expect("ready")
    terminal.step(f"{run} facts\n", "FACTS", "END", "<0>")
    # A parent of this session imports now.
    for _ in range(80 if "--warm" in before else 0):
        seen.clear()
        terminal.step(f"{run} facts 2>&1\n", "END", "<0>")
        if "started cold" not in "".join(seen):
            break
    seen.clear()
    terminal.step(f"{run} facts\n", "FACTS", "END", "<0>")
    # The keys, with and without a handler.
    terminal.step(f"{run} wait\n", "WAIT")
    terminal.step("\x03", "<130>")
    terminal.step(f"{run} handler\n", "WAIT")
    terminal.step("\x03", "GOT 2")
    terminal.step("\x1c", "GOT 3")
    terminal.step("x\n", "END", "<0>")
    # Stopped, and in the foreground again.
    terminal.step(f"{run} handler\n", "WAIT")
    terminal.step("\x1a", "<148>")
    terminal.step("jobs\n", "Stopped")
    terminal.expect("<0>", note=False)
    terminal.send("fg\n")
    terminal.expect("handler", note=False)
    time.sleep(0.5)
    terminal.step("\x03", "GOT 2")
    terminal.step("x\n", "END", "<0>")
    # What reads in the background stops.
    terminal.step(f"{run} handler &\n", "<0>")
    terminal.expect("WAIT")
    terminal.send("\n")
    terminal.expect("<0>", note=False)
    terminal.step("jobs\n", "Stopped")
    terminal.expect("<0>", note=False)
    terminal.send("fg\n")
    terminal.expect("handler", note=False)
    time.sleep(0.5)
    terminal.step("x\n", "END", "<0>")
    # The size of the window; pipelines, scripts; signals to the job.
    terminal.step(f"{run} winch\n", "WAIT")
    time.sleep(0.3)
    terminal.resize(44, 102)
    terminal.expect("END")
    terminal.expect("<0>")
    terminal.step(f"{run} facts | cat\n", "END", "<0>")
    terminal.step(f'bash -c "{run} wait; echo after"\n', "WAIT")
    terminal.step("\x03", "<130>")
    terminal.step(f"{run} handler\n", "WAIT")
    terminal.step("\x1a", "<148>")
    terminal.send("kill -TERM %1; fg\n")
    terminal.expect("<143>", note=False)
    terminal.send("exit\n")


shell = Terminal(["bash", "--norc", "--noprofile", "-i"])
try:
    work(shell)
finally:
    print("\n".join(plain()), flush=True)
    os.kill(shell.pid, signal.SIGHUP)
    os.close(shell.descriptor)
    os.waitpid(shell.pid, 0)

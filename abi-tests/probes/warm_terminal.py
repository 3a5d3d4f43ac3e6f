"""Works with an interactive shell on a terminal as a person would, and prints what it saw.

Arguments: the command line before the program (one word), and the program with its script (one word)."""
import os, pty, sys, time, select, signal, termios, struct, fcntl, subprocess
before, program = sys.argv[1:3]
class Term:
    def __init__(self, argv):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvp(argv[0], argv)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack('HHHH', 33, 101, 0, 0))
        self.data = b''
    def expect(self, text, timeout=10):
        end = time.time() + timeout
        while text not in self.data:
            r, _, _ = select.select([self.fd], [], [], max(0, end - time.time()))
            if not r:
                raise SystemExit(f'TIMEOUT waiting for {text!r}, have {self.data[-600:]!r}')
            try: d = os.read(self.fd, 4096)
            except OSError: d = b''
            if not d: raise SystemExit(f'EOF waiting for {text!r}, have {self.data[-600:]!r}')
            self.data += d
        i = self.data.index(text) + len(text)
        seen, self.data = self.data[:i], self.data[i:]
        return seen
    def send(self, b):
        time.sleep(0.3)  # the program is at rest
        os.write(self.fd, b)
t = Term(['bash', '--norc', '--noprofile', '-i'])
t.send(b"PS1='<$?>'$'\\n'; bind 'set enable-bracketed-paste off' 2>/dev/null; stty -echo; echo rea''dy\n")
t.expect(b'ready')
run = f"{before} {program}".encode()
def plain(text):
    """Without what differs: the command, job numbers and prompts."""
    text = text.replace('\r', '').replace(before, 'RUN')
    return [line for line in text.split('\n') if not line.startswith(('[1] ', '<0>')) and line]
out = []
def note(*a): out.append(' '.join(map(str, a)))
def step(cmd, *waits):
    t.send(cmd)
    for w in waits: note(t.expect(w).decode())
try:
    # facts
    step(run + b' facts\n', b'FACTS', b'END', b'<0>')
    out.clear()
    # A parent of this session imports now.
    for _ in range(40 if '--warm' in before else 0):
        time.sleep(.25)
        step(run + b' facts 2>&1\n', b'END', b'<0>')
        cold = 'started cold' in '\n'.join(out)
        out.clear()
        if not cold: break
    step(run + b' facts\n', b'FACTS', b'END', b'<0>')
    # ctrl-c default
    step(run + b' wait\n', b'WAIT'); t.send(b'\x03'); note(t.expect(b'<130>').decode())
    step(run + b' handler\n', b'WAIT'); t.send(b'\x03'); note(t.expect(b'GOT 2').decode()); t.send(b'\x1c'); note(t.expect(b'GOT 3').decode()); t.send(b'x\n'); note(t.expect(b'END').decode()); note(t.expect(b'<0>').decode())
    # ctrl-z, jobs, fg
    step(run + b' handler\n', b'WAIT'); t.send(b'\x1a'); note(t.expect(b'<148>').decode())
    step(b'jobs\n', b'Stopped'); t.expect(b'<0>')
    t.send(b'fg\n'); t.expect(b'handler'); time.sleep(.5); t.send(b'\x03'); note(t.expect(b'GOT 2').decode()); t.send(b'x\n'); note(t.expect(b'END').decode()); note(t.expect(b'<0>').decode())
    # background reading stops
    step(run + b' handler &\n', b'<0>'); time.sleep(.7); t.send(b'\n'); t.expect(b'<0>'); step(b'jobs\n', b'Stopped'); t.expect(b'<0>'); t.send(b'fg\n'); t.expect(b'handler'); time.sleep(.5); t.send(b'x\n'); note(t.expect(b'END').decode()); note(t.expect(b'<0>').decode())
    # window size
    step(run + b' winch\n', b'WAIT'); fcntl.ioctl(t.fd, termios.TIOCSWINSZ, struct.pack('HHHH', 44, 102, 0, 0)); note(t.expect(b'END').decode()); note(t.expect(b'<0>').decode())
    # pipeline and script
    step(run + b' facts | cat\n', b'END', b'<0>')
    step(b'bash -c "' + run + b' wait; echo after"\n', b'WAIT'); t.send(b'\x03'); note(t.expect(b'<130>').decode())
    # kill -STOP / -CONT by group and bg
    step(run + b' handler\n', b'WAIT'); t.send(b'\x1a'); t.expect(b'<148>'); t.send(b'kill -TERM %1; fg\n'); t.expect(b'<143>')
    t.send(b'exit\n')
finally:
    print('\n'.join(plain('\n'.join(out))))
    os.kill(t.pid, signal.SIGHUP); os.close(t.fd)
    os.waitpid(t.pid, 0)

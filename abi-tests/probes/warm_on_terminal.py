import sys, os, signal, time
how = sys.argv[1]
def show(*a): print(*a, flush=True)
if how == 'facts':
    show('FACTS', [os.isatty(i) for i in range(3)], os.ttyname(0) == os.ttyname(2), os.get_terminal_size(0))
    fd = os.open('/dev/tty', os.O_RDWR)
    show(os.tcgetpgrp(fd) == os.getpgrp(), os.getsid(0) == os.getsid(os.getppid()), sys.stdout.line_buffering, sys.stdin.isatty(), sys.stdout.buffer.raw._blksize)
    show('END')
elif how == 'wait':
    show('WAIT'); time.sleep(20)
elif how == 'handler':
    for s in (2, 3): signal.signal(s, lambda n, f: os.write(1, b'GOT %d\n' % n))
    show('WAIT')
    input(); show('END')
elif how == 'winch':
    got = []
    signal.signal(signal.SIGWINCH, lambda *a: got.append(1))
    show('WAIT')
    for i in range(50):
        if got: break
        time.sleep(.1)
    time.sleep(.3)
    show(len(got), os.get_terminal_size(0)); show('END')

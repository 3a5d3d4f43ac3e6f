"""Prints what a process can know of itself, one fact a line: the same in a process that was started and in one that
was forked out of a parent. Left out is what docs/LIMITS.md says is different."""
import os
import sys


def show(name, value):
    print(f"{name}: {value}")


def read(path):
    with open(path, "rb") as source:
        return source.read()


def interpreter():
    show("argv", sys.argv)
    show("orig_argv", getattr(sys, "orig_argv", None))
    show("flags", sys.flags)
    show("path", sys.path)
    show("executable", (sys.executable, sys.prefix, sys.base_prefix))
    show("options", (sys.warnoptions, sys._xoptions, sys.dont_write_bytecode, sys.getrecursionlimit()))
    show("encoding", (sys.getdefaultencoding(), sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()))
    main = sys.modules["__main__"]
    names = {name: value for name, value in vars(main).items() if name.startswith("__")}
    show("main", list(names))
    show("main values", [repr(value).partition(" object at")[0] for value in names.values()])
    import gc
    import signal
    import threading

    show("gc", (gc.isenabled(), gc.get_threshold()))
    show("threads", ([thread.name for thread in threading.enumerate()], threading.get_native_id() == os.getpid()))
    show("main thread", threading.current_thread() is threading.main_thread() and threading.main_thread().native_id == os.getpid())
    show("handlers", [(number, str(signal.getsignal(number))) for number in sorted(signal.valid_signals())])
    show("hooks", (sys.excepthook is sys.__excepthook__, sys.displayhook is sys.__displayhook__, [str(hook).partition(" at 0x")[0] for hook in sys.meta_path]))
    show("velo", [name for name in sys.modules if name.startswith("velo_hooks.warm")])


def streams():
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            show(name, None)
            continue
        buffer = stream.buffer
        raw = getattr(buffer, "raw", buffer)
        show(name, (repr(stream), stream.encoding, stream.errors, stream.line_buffering, stream.write_through, stream.isatty()))
        show(name + " raw", (repr(buffer), repr(raw), raw.name, raw._blksize, raw.seekable(), stream.seekable(), stream.fileno()))
        show(name + " same", (stream is getattr(sys, f"__{name}__"), stream.mode))


def process():
    show("ids", (os.getuid(), os.geteuid(), os.getgid(), os.getegid(), os.getgroups()))
    show("cwd", os.getcwd())
    old = os.umask(0)
    os.umask(old)
    show("umask", oct(old))
    show("nice", (os.nice(0), os.sched_getscheduler(0), os.sched_getaffinity(0)))
    import resource

    show("limits", [resource.getrlimit(number) for number in range(16)])
    status = dict(line.split(b":", 1) for line in read("/proc/self/status").splitlines())
    for name in (b"Name", b"Umask", b"Groups", b"Threads", b"SigBlk", b"SigIgn", b"SigCgt", b"CapInh", b"CapPrm", b"CapEff", b"NoNewPrivs", b"Seccomp"):
        show(name.decode(), status[name].strip())
    show("comm", read("/proc/self/comm"))
    show("cmdline", read("/proc/self/cmdline"))
    show("environ", read("/proc/self/environ").replace(b"\0", b" ") == b"" or sorted(read("/proc/self/environ").split(b"\0")))
    show("os.environ", list(os.environ.items()))
    os.system("env | grep -v ^_= | sort")
    for name in ("oom_score_adj", "cgroup", "loginuid", "coredump_filter"):
        try:
            show(name, read(f"/proc/self/{name}"))
        except OSError as error:
            show(name, error)
    show("namespaces", [os.readlink(f"/proc/self/ns/{name}") for name in sorted(os.listdir("/proc/self/ns"))])
    own = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY)
    descriptors = sorted(int(name) for name in os.listdir(own))
    for number in descriptors:
        if number != own:
            import fcntl

            show(f"fd {number}", (os.readlink(f"/proc/self/fd/{number}").partition("[")[0], fcntl.fcntl(number, fcntl.F_GETFD), fcntl.fcntl(number, fcntl.F_GETFL), os.get_inheritable(number)))
    show("next", own)
    os.close(own)
    show("leads", (os.getpgid(0) == os.getpid(), os.getsid(0) == os.getpid()))
    show("children", os.path.exists("/proc/self/task/self/children"))
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        show("waitpid", "no children")


interpreter()
streams()
process()

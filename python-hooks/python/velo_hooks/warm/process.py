"""The kernel's side of a process: who it is, its descriptors, its name and arguments.

`facts` is what must be equal in a caller and the parent that serves it: the trust boundary. It is read from /proc of
the caller itself, never taken from what the caller says.
"""
import os

STATUS = (
    b"Uid", b"Gid", b"Groups", b"CapInh", b"CapPrm", b"CapEff", b"CapBnd", b"CapAmb", b"NoNewPrivs", b"Seccomp",
    b"Seccomp_filters",
)
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")


def read(path):
    """The content of a small file, without the layers of `open`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while True:
            part = os.read(descriptor, 1 << 16)
            if not part:
                return b"".join(parts)
            parts.append(part)
    finally:
        os.close(descriptor)


def facts(pid):
    """Credentials, namespaces, root directory and security label of a process ("self" or a number)."""
    base = f"/proc/{pid}"
    found = [line for line in read(f"{base}/status").split(b"\n") if line.split(b":", 1)[0] in STATUS]
    for name in NAMESPACES:
        try:
            found.append(os.readlink(f"{base}/ns/{name}").encode())
        except FileNotFoundError:
            found.append(b"none")
    root = os.stat(f"{base}/root/.")
    found.append(b"%d:%d" % (root.st_dev, root.st_ino))
    try:
        found.append(read(f"{base}/attr/current"))
    except OSError:
        found.append(b"none")
    return found


def descriptors():
    """The numbers of the open descriptors."""
    own = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return {int(name) for name in os.listdir(own)} - {own}
    finally:
        os.close(own)


def described(numbers):
    """What descriptors lead to, for messages."""
    names = []
    for number in sorted(numbers):
        try:
            names.append(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:
            names.append(f"descriptor {number}")
    return ", ".join(names)


def threads():
    """How many threads this process has."""
    return len(os.listdir("/proc/self/task"))


def threads_that_stay():
    """How many threads there are beside this one, after those are gone that end before a fork.

    Libraries that know of forks (OpenBLAS, some OpenMP) end their threads before one and start them again when they
    need them. So a fork that does nothing tells which threads a child would miss.
    """
    count = threads()
    if count == 1:
        return 0
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return threads() - 1


def place(received, targets):
    """Moves received descriptors to the numbers that they have at the caller. All others but them are the caller's to
    have closed; those below 3 that it does not have are closed here."""
    above = max([*targets, *received, 2]) + 1
    fcntl = _fcntl()
    safe = [fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, above) for number in received]
    for number in received:
        os.close(number)
    for number in range(3):
        if number not in targets:
            os.close(number)
    for number, target in zip(safe, targets):
        os.dup2(number, target, inheritable=True)
        os.close(number)


def high(descriptor, above):
    """A copy of a descriptor with a number of at least `above`."""
    fcntl = _fcntl()
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, above)


def _fcntl():
    import fcntl

    return fcntl


def lock(path):
    """Takes the lock file of a parent; the descriptor, or None if somebody has it. Ends with this process; forks have no part in it."""
    fcntl = _fcntl()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def join_cgroup(wanted):
    """Moves this process to the control group of the caller. `wanted`: lines `DIRECTORY\\0PATH` per hierarchy, as the
    caller has them in /proc/self/cgroup. An OSError if that is not permitted."""
    own = read("/proc/self/cgroup")
    text, _, mounts = wanted.partition(b"\0")
    if text == own:
        return
    mine = dict(line.split(b":", 1) for line in own.splitlines())
    for line in text.splitlines():
        hierarchy, rest = line.split(b":", 1)
        if mine.get(hierarchy) == rest:
            continue
        controllers, path = rest.split(b":", 1)
        for mount in mounts.split(b"\0"):
            names, _, directory = mount.partition(b"=")
            if names == controllers:
                with open(os.path.join(directory, path.lstrip(b"/"), b"cgroup.procs"), "wb", buffering=0) as out:
                    out.write(b"%d" % os.getpid())
                break
        else:
            raise OSError(f"no control group {controllers!r}")
    if read("/proc/self/cgroup") != text:
        raise OSError("the control group is another")


PR_SET_MM, PR_SET_MM_MAP = 35, 14
# Kept: the kernel reads them whenever somebody asks for the command line.
_kept = []


def set_command_line(arguments, environment):
    """Makes /proc/self/cmdline and environ say these. Best effort: needs ctypes, and a kernel with PR_SET_MM_MAP."""
    try:
        import ctypes

        text = b"".join(part + b"\0" for part in arguments)
        variables = b"".join(part + b"\0" for part in environment)
        buffer = ctypes.create_string_buffer(text + variables, len(text) + len(variables) + 1)
        start = ctypes.addressof(buffer)
        stat = read("/proc/self/stat").rpartition(b")")[2].split()
        field = lambda position: int(stat[position - 3])  # numbered as in proc(5), from the third on
        libc = ctypes.CDLL(None, use_errno=True)
        libc.sbrk.restype = ctypes.c_void_p
        # struct prctl_mm_map: code, data, heap, stack, arguments, environment; no auxiliary vector, no executable.
        values = (
            field(26), field(27), field(45), field(46), field(47), libc.sbrk(ctypes.c_long(0)), field(28), start,
            start + len(text), start + len(text), start + len(text) + len(variables), 0, 0xFFFFFFFF << 32,
        )
        table = (ctypes.c_uint64 * len(values))(*values)
        size = ctypes.sizeof(table)
        unsigned = ctypes.c_ulong
        done = libc.prctl(PR_SET_MM, unsigned(PR_SET_MM_MAP), ctypes.byref(table), unsigned(size), unsigned(0))
        if done == 0:
            _kept.append(buffer)
        return done == 0
    except Exception:
        return False


def set_name(name):
    """The short name of the process, as exec gives it."""
    try:
        descriptor = os.open("/proc/self/comm", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, name[:15])
        finally:
            os.close(descriptor)
    except OSError:
        pass


def gather_pages():
    """Puts the memory that was filled by imports on huge pages where the kernel can: a fork then copies a few entries in
    place of a hundred thousand, and the end of a child gives back as few. Best effort (MADV_COLLAPSE, Linux 6.1)."""
    try:
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        huge = 1 << 21
        for line in read("/proc/self/maps").splitlines():
            parts = line.split(None, 5)
            if parts[1][:2] != b"rw" or parts[4] != b"0" or (len(parts) > 5 and parts[5] != b"[heap]"):
                continue
            begin, end = (int(number, 16) for number in parts[0].split(b"-"))
            begin = (begin + huge - 1) & -huge
            while begin + huge <= end:
                libc.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(huge), 25)
                begin += huge
    except Exception:
        pass

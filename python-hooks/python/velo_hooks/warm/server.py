"""The parent: one thread, one loop. Forks a child for each connection and tells the client how it goes on and ends.

It imports while nobody waits for it: its socket is there only when it can fork at once. It ends when it is idle for too
long, told to (SIGTERM), when its session's leader is gone, or when it is stale; then after its last child.
"""
import errno
import gc
import os
import select
import sys
import time

import _signal
import _socket

from . import child, inputs, preload, process, record, wire
from .finish import Finish, since

CHILDREN_MAX = 1024
OWN = "velo_hooks.warm"


class Parent:
    """Everything that the parent knows. `config`: what velo-ctl said when it started it."""

    def __init__(self, config):
        self.slot = config[b"slot"]
        self.served = [os.fsdecode(mount) for mount in config[b"served"].split(b"\n") if mount]
        self.directory = int(config[b"directory"])
        self.idle, self.deadline = float(config[b"idle"]), float(config[b"deadline"])
        self.memory_max = int(config[b"memory"])
        self.record, self.names = config[b"record"], config[b"preload"]
        self.leader = os.pidfd_open(int(config[b"leader"])) if config[b"leader"] else None
        self.base, self.slot_name = config[b"base"].decode(), config[b"slot_name"].decode()
        self.facts = process.facts("self")
        self.inputs, self.values = inputs.Inputs(), b""
        self.files = inputs.Files(self.served)
        self.entries = {os.path.realpath(entry) for entry in sys.path if isinstance(entry, str) and entry != child.PLACEHOLDER}
        # As it was given: what start-up files changed in it, they would change in a child's too.
        given = process.read("/proc/self/environ").split(b"\0")
        self.environment = dict(reversed([text.partition(b"=")[::2] for text in reversed(given) if b"=" in text[1:]]))
        self.environment_changes = {}
        self.cwd = os.getcwd().encode("utf-8", "surrogateescape")
        self.before = self.had = frozenset(name for name in sys.modules if not name.startswith(OWN))
        self.own = [name for name in sys.modules if name.startswith(OWN)]
        self.last = next(name for name in reversed(sys.modules) if not name.startswith(OWN))
        self.top_level, self.preloaded_any = frozenset(), False
        self.left_out = {}
        self.listening, self.key, self.info = None, None, None
        self.children, self.connections, self.stopped = {}, {}, set()
        self.ending = self.stale = False
        self.used, self.count, self.seen = time.monotonic(), 0, None
        self.spare, self.spare_pid = None, None
        self.collects = gc.isenabled()
        self.signals = {}
        self.finish = Finish()
        self.finish.register()
        self.lock = None
        # While it is held, nobody starts another one for the same.
        self.preparing = process.lock(self._path(self.slot_name + ".lock"))
        if self.preparing is None:
            os._exit(0)

    def serve(self, first):
        """Returns only in children: what runs the program."""
        self._own_signals()
        if first is not None:
            run = self._fork(_socket.socket(fileno=first))
            if run:
                return run
            run = self._attend()
            if run:
                return run
        try:
            self._preload()
        except preload.Unfit as error:
            self._give_up(str(error))
        while not self.ending:
            self._listen()
            run = self._attend()
            if run:
                return run
        self._end()

    # Importing.

    def _wanted(self):
        if self.names:
            return [os.fsdecode(name) for name in self.names.split(b",")]
        names, _ = record.load(self.record)
        return names or []

    def _preload(self):
        have = set(sys.modules)
        names = [name for name in self._wanted() if name not in have and name not in self.left_out]
        if names:
            outcome = preload.preload(names, self.served, self.files, self.deadline)
            self.left_out.update(outcome.left_out)
            self.inputs.add(outcome.inputs)
        self.values = self.inputs.values(self.environment, self.cwd)
        self.environment_changes = changes(self.environment, dict(os.environb.items()))
        imported = set(sys.modules) - self.before
        self.top_level = frozenset(name.partition(".")[0] for name in imported)
        # Made here, because every name that a child touches is a page that it no longer shares.
        self.had = frozenset(name for name in sys.modules if not name.startswith(OWN))
        self.last = next(name for name in reversed(sys.modules) if not name.startswith(OWN))
        self.preloaded_any = bool(imported)
        self._write_inputs()
        os.chdir("/")
        preload.settle()
        used = int(process.read("/proc/self/statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")
        if used > self.memory_max:
            self._give_up(f"it needs {used >> 20} MiB, more than VELO_WARM_MEMORY allows")

    def _write_inputs(self):
        record.write(self._path(self.base + ".inputs"), self.inputs.lines())

    def _give_up(self, reason):
        record.write(self._path(self.slot_name + ".unfit"), reason.encode("utf-8", "replace") + b"\n")
        self._end()

    # Names in the directory of parents.

    def _path(self, name):
        return f"/proc/self/fd/{self.directory}/{name}".encode()

    def _listen(self):
        key = inputs.key(self.slot, self.values).decode()
        if self.lock is None:
            self.lock = process.lock(self._path(key + ".lock"))
        if self.lock is None:
            self._end()
        self.key = key
        listening = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)
        name = self._path(key + ".sock")
        try:
            os.unlink(name)
        except FileNotFoundError:
            pass
        os.umask(0o077)
        listening.bind(name)
        listening.listen(64)
        self.listening = listening
        self._write_info()
        if self.preparing is not None:
            os.close(self.preparing)
            self.preparing = None

    def _write_info(self):
        left_out = [f"left-out={name}: {reason}".replace("\n", " ") for name, reason in self.left_out.items() if not reason.startswith("it imports ")]
        lines = [f"pid={os.getpid()}", f"base={self.base}", f"modules={len(sys.modules) - len(self.before)}", f"idle={self.idle:g}", *left_out]
        text = "".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape")
        record.write(self._path(self.key + ".info"), text + self.slot.partition(b"\n\n")[0] + b"\n")

    def _stop_listening(self):
        self._end_spare()
        if self.listening is not None:
            for suffix in (".sock", ".info"):
                try:
                    os.unlink(self._path(self.key + suffix))
                except OSError:
                    pass
            self.listening.close()
            self.listening = None

    def _end(self):
        self._stop_listening()
        os._exit(0)

    # The loop.

    def _own_signals(self):
        self.wakeup, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.writer = writer
        _signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (_signal.SIGCHLD, _signal.SIGTERM):
            self.signals[number] = _signal.signal(number, lambda *_: None)
        for number in (_signal.SIGINT, _signal.SIGHUP, _signal.SIGQUIT, _signal.SIGTSTP, _signal.SIGTTIN, _signal.SIGTTOU):
            self.signals[number] = _signal.signal(number, _signal.SIG_IGN)

    def _attend(self):
        """Until there is something else to do: an import, or the end. Without a socket: until the last child ended."""
        while True:
            if not self.children and (self.ending or self.listening is None):
                return None
            if not self.children and self._more_to_import():
                return self._import_more()
            if self.listening is not None and self.spare is None:
                run = self._fork_spare()
                if run:
                    return run
            poll = select.poll()
            poll.register(self.wakeup, select.POLLIN)
            if self.listening is not None:
                poll.register(self.listening, select.POLLIN)
            for number in self.connections:
                poll.register(number, 0)
            if self.leader is not None:
                poll.register(self.leader, select.POLLIN)
            left = self.used + self.idle - time.monotonic()
            if not self.children and left <= 0:
                self._end()
            for number, _events in poll.poll(None if self.children else max(1, left * 1000)):
                if number == self.wakeup:
                    self._signalled()
                elif self.listening is not None and number == self.listening.fileno():
                    run = self._accept()
                    if run:
                        return run
                elif number == self.leader:
                    os.close(self.leader)
                    self.leader = None
                    self._wind_up()
                else:
                    self._client_gone(number)

    def _wind_up(self):
        self.ending = True
        self._stop_listening()
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None

    def _more_to_import(self):
        if self.ending or self.names or not self.count:
            return False
        self.count = 0
        seen = inputs.signature(self.record)
        if seen == self.seen:
            return False
        self.seen = seen
        have = set(sys.modules)
        return any(name not in have and name not in self.left_out for name in self._wanted())

    def _import_more(self):
        """Children imported more than this: so will the next ones."""
        self._stop_listening()
        gc.unfreeze()
        values = self.values
        try:
            os.chdir(self.cwd)
            self._preload()
        except (preload.Unfit, OSError) as error:
            self._give_up(str(error))
        if values != self.values and self.lock is not None:
            # They looked at more than those before: it has another name now.
            os.close(self.lock)
            self.lock = None
        return None

    def _signalled(self):
        numbers = os.read(self.wakeup, 4096)
        if _signal.SIGTERM in numbers:
            self._wind_up()
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._child_changed(pid, status)

    def _child_changed(self, pid, status):
        connection = self.children.get(pid)
        if connection is None:
            return
        if os.WIFSTOPPED(status):
            answer = wire.number(wire.STOPPED, os.WSTOPSIG(status))
        elif os.WIFCONTINUED(status):
            answer = wire.number(wire.CONTINUED, 0)
        else:
            answer = wire.number(wire.ENDED, status)
        try:
            connection.send(answer, _socket.MSG_DONTWAIT | _socket.MSG_NOSIGNAL)
        except OSError:
            pass
        if os.WIFSTOPPED(status):
            self.stopped.add(pid)
        elif pid in self.stopped:
            self.stopped.remove(pid)
            self._continue_client(connection)
        if answer[:1] == wire.ENDED:
            del self.children[pid]
            self.connections.pop(connection.fileno(), None)
            connection.close()
            self.count += 1
            self._touch()

    def _continue_client(self, connection):
        """The client stops with its child; who continues the child by its group does not reach the client."""
        pid = int.from_bytes(connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)[:4], "little")
        try:
            os.kill(pid, _signal.SIGCONT)
        except OSError:
            pass

    def _client_gone(self, number):
        """A client that ended before its child was killed: so is the child, and what is in a group of its own with it."""
        pid = self.connections.pop(number, None)
        if pid is None:
            return
        try:
            if os.getpgid(pid) == pid:
                os.killpg(pid, _signal.SIGKILL)
            os.kill(pid, _signal.SIGKILL)
        except OSError:
            pass

    def _accept(self):
        try:
            descriptor, _address = self.listening._accept()
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.ECONNABORTED, errno.EINTR):
                return None
            raise
        connection = _socket.socket(fileno=descriptor)
        connection.setblocking(True)
        credentials = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
        uid = int.from_bytes(credentials[4:8], "little")
        if uid != os.geteuid() or len(self.children) >= CHILDREN_MAX:
            connection.close()
            return None
        if self.spare is None:
            return self._fork(connection)
        try:
            rights = connection.fileno().to_bytes(4, "little")
            self.spare.sendmsg([b"."], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
        except OSError:
            self._end_spare()
            return self._fork(connection)
        self._touch()
        self._adopt(self.spare_pid, connection)
        self.spare.close()
        self.spare = self.spare_pid = None
        return None

    def _fork_spare(self):
        """One child is forked beforehand, because that takes longer than all the rest of a start."""
        ours, its = _socket.socketpair()
        pid = os.fork()
        if pid:
            its.close()
            self.spare, self.spare_pid = ours, pid
            return None
        ours.close()
        message, rights, _flags, _address = its.recvmsg(1, _socket.CMSG_SPACE(4))
        if not message or not rights:
            os._exit(0)
        connection = _socket.socket(fileno=int.from_bytes(rights[0][2][:4], "little"))
        its.close()
        return child.become(connection, self)

    def _end_spare(self):
        """It ends by itself when nobody can call it any more."""
        if self.spare is not None:
            self.spare.close()
            self.spare = self.spare_pid = None

    def _adopt(self, pid, connection):
        self.children[pid] = connection
        self.connections[connection.fileno()] = pid

    def _touch(self):
        """It is of use: the longest idle parent is the first to go."""
        self.used = time.monotonic()
        if self.listening is not None:
            try:
                os.utime(self._path(self.key + ".info"))
            except OSError:
                pass

    def _fork(self, connection):
        self._touch()
        pid = os.fork()
        if pid == 0:
            return child.become(connection, self)
        self._adopt(pid, connection)
        return None

    # In a child.

    def close_in_child(self, connection):
        for other in list(self.children.values()):
            other.close()
        for other in (self.listening, self.spare):
            if other is not None:
                other.close()
        for number in (self.wakeup, self.writer, self.leader, self.lock, self.preparing, self.directory):
            if number is not None:
                os.close(number)

    def mark_stale(self):
        """A file that was imported has changed: this parent is of no more use. Called in a child that is not ready yet."""
        os.kill(os.getppid(), _signal.SIGTERM)

    def forget_in_child(self, path):
        """The last thing before the program runs."""
        for name in self.own:
            sys.modules.pop(name, None)
        self.record_path = path
        self.pid = os.getpid()
        self.finish.expect(self.had, self.last)
        if self.collects:
            gc.enable()

    def program_ended(self, error):
        """In the child, at the end of the program; a fork of it that comes here too is not it."""
        self.finish.ended(error)
        if os.getpid() == self.pid and self.record_path and not self.names:
            try:
                record.update(self.record_path, since(self.last, self.had))
            except Exception:
                pass


def changes(before, after):
    """What became of variables: name to value, or None."""
    changed = {name: value for name, value in after.items() if before.get(name) != value}
    changed.update((name, None) for name in before if name not in after)
    return changed

"""Processes, threads and event loops of a program, and what must be new in each process."""
import asyncio
import concurrent.futures
import multiprocessing
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import uuid


def double(value):
    return value * 2, __name__


async def talk():
    server = await asyncio.start_server(lambda reader, writer: (writer.write(b"hello"), writer.close()), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    said = await reader.read()
    writer.close()
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(1)", stdout=subprocess.PIPE)
    server.close()
    return said, (await child.communicate())[0], child.returncode


def main():
    if sys.argv[1:] == ["new"]:
        numbers = [random.random(), uuid.uuid4().hex, os.urandom(4).hex(), multiprocessing.current_process().authkey.hex()]
        print(numbers, tempfile.mktemp())
        return
    for method in ("spawn", "fork", "forkserver"):
        context = multiprocessing.get_context(method)
        with context.Pool(2) as pool:
            print(method, pool.map(double, [1, 2, 3]))
        with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
            print(method, pool.submit(double, 4).result())
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        print("threads", list(pool.map(double, range(4))))
    print("asyncio", asyncio.run(talk()))
    print("subprocess", subprocess.run([sys.executable, "-c", "import os, sys; print(sys.argv, os.getcwd())", "x"], capture_output=True).stdout)
    print("shell", subprocess.run("echo out; exit 3", shell=True, capture_output=True))
    got = []
    signal.signal(signal.SIGALRM, lambda *_: got.append("alarm"))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    signal.pause()
    print(got, threading.active_count(), multiprocessing.active_children())
    left, right = socket.socketpair()
    left.send(b"x")
    print(right.recv(1), sorted(os.listdir("/proc/self/fd"))[:3])
    pid = os.fork()
    if pid == 0:
        sys.exit(5)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


if __name__ == "__main__":
    main()

"""Starts a server with two workers on a socket of our own, asks it, and ends it: serve.py gunicorn|uvicorn."""
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ask(path):
    connection = Connection(path)
    connection.request("GET", "/asked")
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


with tempfile.TemporaryDirectory() as directory:
    path = os.path.join(directory, "s")
    if sys.argv[1] == "gunicorn":
        command = ["gunicorn", "-w", "2", "--preload", "-b", f"unix:{path}", "--log-level", "error", "--worker-tmp-dir", directory, "web:wsgi"]
    else:
        command = [sys.executable, "-m", "uvicorn", "--workers", "2", "--uds", path, "--log-level", "error", "--lifespan", "off", "web:asgi"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, text=True)
    try:
        for _ in range(600):
            try:
                print([ask(path) for _ in range(4)])
                break
            except (FileNotFoundError, ConnectionRefusedError):
                time.sleep(0.1)
        else:
            print("no answer")
        server.send_signal(signal.SIGTERM)
        out, _ = server.communicate(timeout=60)
        print(out, server.returncode)
    finally:
        try:
            os.killpg(server.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

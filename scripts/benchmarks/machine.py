"""What the numbers were measured on."""
import os
import platform
import re
import subprocess


def first_match(path, pattern):
    """The first group of `pattern` in a text file, or None."""
    try:
        with open(path, encoding="utf-8", errors="replace") as text:
            found = re.search(pattern, text.read(), re.MULTILINE)
    except OSError:
        return None
    return found.group(1).strip() if found else None


def version(argv):
    """The first line that a program prints about itself, or None."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return (done.stdout or done.stderr).strip().splitlines()[0] if done.returncode == 0 else None


def describe(workspace_directory, store):
    """Name -> text, in the order in which it is shown."""
    total_kib = first_match("/proc/meminfo", r"^MemTotal:\s+(\d+)")
    return {
        "processor": first_match("/proc/cpuinfo", r"^model name\s*:\s*(.*)$") or platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{int(total_kib) / 2**20:.1f} GiB" if total_kib else "unknown",
        "kernel": platform.release(),
        "system": first_match("/etc/os-release", r'^PRETTY_NAME="?([^"\n]*)') or "unknown",
        "libc": " ".join(platform.libc_ver()),
        "disk": filesystem(workspace_directory),
        "store": filesystem(store),
        "python": platform.python_version(),
        "node": version(["node", "--version"]) or "none",
        "rustc": version(["rustc", "--version"]) or "none",
        "squashfuse": version(["dpkg-query", "-W", "-f", "${Version}", "squashfuse"]) or "none",
    }


def filesystem(path):
    """The type of the filesystem that holds `path`."""
    return version(["stat", "-f", "-c", "%T", path]) or "unknown"

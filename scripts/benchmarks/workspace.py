"""The trees that are measured, the path lists, and the tools under test.

Layout of the workspace (short and of equal length in every mode, as a path's length is part of its cost):
    n/tree   the plain copy        v/tree   where Velo serves it (absent)
    o/tree   the overlay mount     s/tree   the squashfuse mount
and tree/{site,few,many,links,bin}: the site-packages of the Python fixture without bytecode, 200 directories of 8
files, one directory of 10,000, 1,000 symbolic links, and `true`.
"""
import json
import os
import random
import shutil
import subprocess
from dataclasses import dataclass

from measure import BenchError, output
from modes import plain_env

LIST_PATHS = 1000
MANY_ENTRIES = 10_000


@dataclass(frozen=True)
class Tools:
    """The built library and command under test."""

    library: str
    ctl: str

    def variables(self, manifest, store):
        """What turns a program's environment into a served one."""
        return {"LD_PRELOAD": self.library, "VELO_MANIFEST": manifest, "VELO_ROOT": store}

    def env(self, store):
        """The environment for velo-ctl itself: never preloaded."""
        return {**plain_env(), "VELO_ROOT": store, "VELO_LIB": self.library}

    def build_manifest(self, source, mount, manifest, store, *more):
        """Returns what the command says of it."""
        command = [self.ctl, "build-manifest", source, "--at", mount, "-o", manifest, "--json", *more]
        return json.loads(output(command, self.env(store)))


class Workspace:
    """A directory on disk and a store in memory; both removed at the end unless `keep`."""

    def __init__(self, directory, store, keep):
        self.directory, self.store, self.keep = directory, store, keep

    def __enter__(self):
        for part in ("n", "v", "o", "s"):
            os.makedirs(f"{self.directory}/{part}", exist_ok=True)
        os.makedirs(self.store, exist_ok=True)
        return self

    def __exit__(self, *_):
        if not self.keep:
            shutil.rmtree(self.directory, ignore_errors=True)
            shutil.rmtree(self.store, ignore_errors=True)
        return False

    @property
    def tree(self):
        return f"{self.directory}/n/tree"

    def path(self, letter):
        """Where the tree appears in the mode of that letter."""
        return f"{self.directory}/{letter}/tree"

    def make_tree(self, site_packages):
        """Copies the fixture's site-packages (no bytecode) and makes the synthetic directories beside it."""
        os.makedirs(self.tree)
        shutil.copytree(
            site_packages, f"{self.tree}/site", symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
        )
        os.makedirs(f"{self.tree}/many")
        for number in range(MANY_ENTRIES):
            open(f"{self.tree}/many/entry_{number:05}.txt", "w", encoding="ascii").close()
        os.makedirs(f"{self.tree}/links")
        for number in range(LIST_PATHS):
            os.symlink(f"../many/entry_{number:05}.txt", f"{self.tree}/links/link_{number:05}")
        os.makedirs(f"{self.tree}/bin")
        shutil.copy(shutil.which("true"), f"{self.tree}/bin/true")
        for directory in range(200):
            os.makedirs(f"{self.tree}/few/dir_{directory:03}")
            for number in range(8):
                with open(f"{self.tree}/few/dir_{directory:03}/file_{number}.txt", "w", encoding="ascii") as out:
                    out.write(f"{directory} {number}\n")

    def site_counts(self):
        """(files, directories, bytes) below tree/site."""
        files = directories = size_bytes = 0
        for base, names, leaves in os.walk(f"{self.tree}/site"):
            directories += len(names)
            files += len(leaves)
            size_bytes += sum(os.lstat(os.path.join(base, leaf)).st_size for leaf in leaves)
        return files, directories, size_bytes

    def relative_lists(self):
        """operation list name -> paths relative to the tree; the same in every run (fixed seed)."""
        random_order = random.Random(20)
        regular, small = [], []
        for base, names, leaves in os.walk(f"{self.tree}/site"):
            names.sort()
            for leaf in sorted(leaves):
                path = os.path.join(base, leaf)
                relative = os.path.relpath(path, self.tree)
                if "\n" in relative or os.path.islink(path):
                    continue
                regular.append(relative)
                if os.path.getsize(path) <= 16384:
                    small.append(relative)
        if len(small) < LIST_PATHS:
            raise BenchError(f"{self.tree}/site holds {len(small)} small files, {LIST_PATHS} are needed")
        hits = random_order.sample(regular, LIST_PATHS)
        return {
            "hit": hits,
            "miss": [os.path.join(os.path.dirname(path), f"no_such_{n}.py") for n, path in enumerate(hits)],
            "small": random_order.sample(small, LIST_PATHS),
            "links": [f"links/link_{n:05}" for n in random_order.sample(range(LIST_PATHS), LIST_PATHS)],
            "few": [f"few/dir_{n:03}" for n in random_order.sample(range(200), 200)],
            "many": ["many"],
        }

    def write_list(self, name, root, relatives):
        """A file with the absolute paths of one list under one mode's root."""
        file = f"{self.directory}/{name}.list"
        with open(file, "w", encoding="utf-8", errors="surrogateescape") as out:
            out.writelines(f"{root}/{relative}\n" for relative in relatives)
        return file

    def compile(self, source, name):
        """Compiles one of the C programs beside this file; returns its path."""
        here = os.path.dirname(os.path.abspath(__file__))
        program = f"{self.directory}/{name}"
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-o", program, f"{here}/{source}"], check=True)
        return program

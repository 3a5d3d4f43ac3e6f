"""What is imported from a served tree, and what can be seen of it, is as from disk: for each CPython that is here."""
import os
import pathlib
import unittest
import zipfile

from support import SOURCES, World, interpreters, load

PROBE = pathlib.Path(__file__).with_name("probe.py")

TREE = {
    "plain.py": "'''a module'''\nX = 1\n",
    "pack/__init__.py": "'''a package'''\nfrom . import one\n",
    "pack/one.py": "def f():\n    '''doc'''\n    return __file__\n",
    "pack/deep/__init__.py": "",
    "pack/deep/two.py": "from ..one import f\n",
    "pack/data.txt": "text",
    "pack/\u00fcmlaut.py": "NAME = __name__\n",
    "portion/inside/leaf.py": "LEAF = 1\n",
    "both.py": "WHICH = 'module'\n",
    "both/__init__.py": "WHICH = 'package'\n",
    "hollow/readme.txt": "",
    "hollow.py": "WHICH = 'module beside a directory'\n",
    "Case.py": "",
    "broken.py": "x = (\ny = 1\n",
    "raises.py": "import pack\n\n\ndef fail():\n    return 1 / 0\n\n\nfail()\n",
    "missing.py": "import no_such_module\n",
    "thing-1.2.dist-info/METADATA": "Metadata-Version: 2.1\nName: thing\nVersion: 1.2\n",
    "thing-1.2.dist-info/RECORD": "plain.py,,\n",
    "thing-1.2.dist-info/entry_points.txt": "[console_scripts]\nthing = plain:X\n",
    "Odd.Name-3.dist-info/METADATA": "Metadata-Version: 2.1\nName: Odd.Name\nVersion: 3\n",
}


class Base(unittest.TestCase):
    maxDiff = 4000

    def same(self, world, *arguments, **environment):
        native, served = world.both(*arguments, **environment)
        self.assertEqual((native.status, native.out, native.errors), (served.status, served.out, served.errors), world.python)
        return native

    def each(self, files=None):
        """A world for each interpreter, with this tree indexed."""
        for series, python in interpreters().items():
            with self.subTest(series), World(python) as world:
                world.write(TREE if files is None else files)
                yield world


class Semantics(Base):
    def test_modules_look_the_same(self):
        names = ["plain", "pack.deep.two", "pack.\u00fcmlaut", "portion.inside.leaf", "both", "hollow", "Case", "case", "pack.nothing",
                 "broken", "raises", "missing", "pack.data", "no.such", "thing-1"]
        for world in self.each():
            for options in ((), ("--python-optimize", "0,1,2", "--python", world.python), ("--threads", "1")):
                world.manifests.clear()
                world.index(*options)
                for flags in ([], ["-O"]):
                    native, served = world.both(*flags, PROBE, world.at, *names, PYTHONPATH=str(world.at), PYTHONIOENCODING="utf-8")
                    self.assertEqual((native.status, native.errors), (0, ""), native)
                    self.assertEqual(served.errors, "")
                    left, right = load(native.out), load(served.out)
                    for name, module in left["modules"].items():
                        self.assertEqual(module, right["modules"].get(name), f"{name} with {world.python}")
                    # `velo-ctl run` puts a directory of its own before PYTHONPATH, and takes it away again.
                    self.assertEqual(left, right)
                    self.assertIn("pack.deep.two", left["modules"])

    def test_tracebacks(self):
        for world in self.each():
            world.index()
            for name in ("raises", "broken", "missing", "no_such", "pack.no_such"):
                for text in (f"import {name}", f"import importlib; importlib.import_module({name!r})"):
                    script = world.script(text)
                    self.assertEqual(self.same(world, script, PYTHONPATH=str(world.at)).status, 1)
            script = world.script("import pack.one, traceback\ntry:\n    pack.one.g()\nexcept AttributeError:\n    traceback.print_exc()\n")
            self.same(world, script, PYTHONPATH=str(world.at))

    def test_the_bytecode_of_the_manifest_is_what_runs(self):
        """No served module is compiled, and none is read but for its bytecode."""
        text = """
            import sys
            seen = []
            sys.addaudithook(lambda event, detail: event in ("compile", "open") and seen.append((event, str(detail[1 if event == "compile" else 0]))))
            import pack.deep.two, plain, portion.inside.leaf
            print([event for event in seen if sys.argv[1] in event[1]])
            print(type(plain.__loader__).__mro__[1].__name__, pack.one.f.__code__.co_filename)
            """
        for world in self.each():
            world.index()
            said = world.served(world.script(text), world.at, PYTHONPATH=str(world.at))
            self.assertEqual(said.errors, "")
            first, second = said.out.splitlines()
            self.assertEqual((first, second), ("[]", f"SourceFileLoader {world.at}/pack/one.py"))

    def test_loaders_do_what_the_standard_ones_do(self):
        """Where a program asks a loader or finder itself, and where it looks on with a profiler."""
        text = """
            import copy, importlib.util, pathlib, pickle, sys
            from importlib.machinery import SourceFileLoader
            seen = []
            sys.setprofile(lambda frame, event, more: event == "call" and seen.append(frame.f_code.co_filename))
            import plain, pack.deep.two
            sys.setprofile(None)
            print(sorted({name for name in seen if name.startswith("/")}))
            loader, spec, finder = plain.__loader__, plain.__spec__, sys.path_importer_cache[plain.__file__.rpartition("/")[0]]
            print(loader.get_data(pathlib.Path(plain.__file__)))
            other = SourceFileLoader("plain", plain.__file__)
            print(loader == other, other == loader, hash(loader) == hash(other), loader != SourceFileLoader("x", plain.__file__))
            for again in (copy.copy, copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))):
                print(again(loader) == loader, again(spec) == spec, again(finder).find_spec("plain") == spec, again(loader).get_code("plain").co_filename)
            new = importlib.util.module_from_spec(importlib.util.find_spec("pack.one"))
            new.__name__ = "other"
            try:
                new.__loader__.exec_module(new)
            except ImportError as error:
                print(error)
            """
        for world in self.each():
            world.index()
            self.assertEqual(self.same(world, world.script(text), PYTHONPATH=str(world.at)).status, 0)

    def test_bytecode_in_another_place(self):
        """`sys.pycache_prefix` may be set at any time."""
        text = """
            import os, shutil, sys
            sys.dont_write_bytecode, sys.pycache_prefix = False, sys.argv[1]
            import plain, pack.one
            print(plain.__cached__, plain.__spec__.cached)
            print(sorted(name for _, _, names in os.walk(sys.argv[1]) for name in names))
            del sys.modules["plain"]
            import plain
            shutil.rmtree(sys.argv[1])
            """
        for world in self.each():
            world.index()
            self.assertEqual(self.same(world, world.script(text), world.outside / "prefix", PYTHONPATH=str(world.at)).status, 0)

    def test_subinterpreters_import_without_a_word(self):
        text = """
            try:
                import _interpreters as interpreters
            except ImportError:
                import _xxsubinterpreters as interpreters
            each = interpreters.create()
            interpreters.run_string(each, "import plain, pack.one; assert plain.X == 1")
            interpreters.destroy(each)
            """
        for world in self.each():
            world.index()
            self.assertEqual(self.same(world, world.script(text), PYTHONPATH=str(world.at)).status, 0)

    def test_ways_to_start(self):
        for world in self.each({**TREE, "pack/__main__.py": "import sys, pack.one\nprint(__name__, sys.argv, sys.path[0], __spec__.name)\n"}):
            world.index()
            path = str(world.at)
            self.same(world, "-m", "pack", "a", PYTHONPATH=path)
            self.same(world, "-m", "plain", PYTHONPATH=path)
            self.same(world, "-c", "import pack; print(pack.__file__)", PYTHONPATH=path)
            self.same(world, world.at / "pack" / "deep", PYTHONPATH=path)
            self.same(world, world.at / "raises.py")
            self.same(world, "-I", "-c", f"import sys; sys.path.insert(0, {path!r}); import pack; print(pack.__spec__.origin)")
            for flags in (["-E"], ["-S"], ["-s"], ["-B"], ["-OO"]):
                text = f"import sys; sys.path.insert(0, {path!r}); import pack.one; print(pack.one.f.__doc__, 'site' in sys.modules)"
                self.same(world, *flags, "-c", text)
            self.same(world, "-c", "import sys; print(sys.path, 'sitecustomize' in sys.modules)", PYTHONPATH=path)

    def test_a_sitecustomize_of_the_users(self):
        own = {"sitecustomize.py": "import sys\nprint('own', __file__, __spec__.name, __name__ in sys.modules)\nHERE = 1\n"}
        for world in self.each():
            world.write(own, world.outside)
            world.index()
            text = "import sitecustomize; print(sitecustomize.HERE, sitecustomize.__file__)"
            self.same(world, "-c", text, PYTHONPATH=f"{world.outside}:{world.at}")
            world.write({"sitecustomize.py": "raise ValueError('of the user')\n"}, world.outside)
            native, served = world.both("-c", "print(1)", PYTHONPATH=f"{world.outside}:{world.at}")
            self.assertEqual((native.status, native.out), (served.status, served.out))
            self.assertEqual(native.errors.splitlines()[-1:], served.errors.splitlines()[-1:])


class PathSemantics(Base):
    """`sys.path` and what changes it: never a stale module, never another one than without Velo."""

    def script_is_same(self, files, outside, text, **environment):
        for world in self.each(files):
            world.write(outside, world.outside)
            world.index()
            at, out = str(world.at), str(world.outside)
            script = world.script(f"import sys\nAT, OUT = {at!r}, {out!r}\n")
            script.write_text(script.read_text() + "\n".join(line[12:] for line in text.splitlines()) + "\n", encoding="utf-8")
            said = self.same(world, script, **environment)
            self.assertEqual(said.status, 0, said)

    def test_order_and_edits(self):
        self.script_is_same({"m.py": "W = 'served'\n", "only.py": ""}, {"a/m.py": "W = 'a'\n", "b/m.py": "W = 'b'\n"}, """
            import importlib
            def which():
                sys.modules.pop("m", None)
                import m
                return m.W, m.__file__
            for path in ([OUT + "/a", AT], [AT, OUT + "/a"], [OUT + "/none", AT + "/", OUT + "/b"], [AT + "/../at", OUT + "/b"], [OUT + "/b"]):
                sys.path[:0] = path
                print(which())
                del sys.path[:len(path)]
            sys.path.insert(0, AT)
            print(which())
            sys.path.insert(0, OUT + "/b")
            print(which(), importlib.util.find_spec("only") and 1)
            sys.path.remove(AT)
            print(importlib.util.find_spec("only"))
            """.replace("import importlib\n", "import importlib, importlib.util\n"))

    def test_what_is_written_at_run_time_is_seen(self):
        self.script_is_same({"m.py": "W = 'served'\n", "space/one.py": ""}, {}, """
            import importlib, os
            sys.path[:0] = [OUT + "/new", AT]
            import m
            print(m.W)
            os.makedirs(OUT + "/new/space", exist_ok=True)
            with open(OUT + "/new/m.py", "w") as out: out.write("W = 'new'")
            with open(OUT + "/new/space/two.py", "w") as out: out.write("")
            importlib.invalidate_caches()
            sys.modules.pop("m"); import m
            print(m.W)
            import space.one, space.two
            print(list(space.__path__), space.one.__file__, space.two.__file__)
            import shutil; shutil.rmtree(OUT + "/new"); importlib.invalidate_caches()
            sys.modules.pop("m"); import m
            print(m.W)
            print(importlib.reload(m).W)
            """)

    def test_namespace_packages_over_both(self):
        self.script_is_same({"space/one.py": "", "space/sub/x.py": "", "other/deep/leaf.py": ""}, {"a/space/two.py": "", "b/space/sub/y.py": ""}, """
            sys.path[:0] = [OUT + "/a", AT, OUT + "/b"]
            import space.one, space.two, space.sub.x, space.sub.y, other.deep.leaf
            print(list(space.__path__), list(space.sub.__path__), space.__spec__.loader and 1, space.one.__spec__.origin)
            print(list(other.__path__), getattr(other, "__file__", 0))
            sys.path.append(OUT + "/c")
            import os; os.makedirs(OUT + "/c/space", exist_ok=True)
            open(OUT + "/c/space/three.py", "w").close()
            import space.three
            print(list(space.__path__))
            import shutil; shutil.rmtree(OUT + "/c")
            """)

    def test_kinds_and_their_precedence(self):
        self.script_is_same({
            "p.py": "W = 1\n", "p/__init__.py": "W = 2\n", "q.py": "W = 3\n", "q/data": "", "r/x.py": "", "x-y.py": "W = 4\n", "k.txt": "",
            "s.pyc": b"damaged", "s.py": "W = 5\n", "__main__.py": "", "d.py/x.py": "", "e/__init__.py/x": "", "e/f.py": "W = 6\n", "1.py": "W = 7\n",
        }, {}, """
            import importlib
            sys.path.insert(0, AT)
            for name in ("p", "q", "q.data", "r", "r.x", "x-y", "k", "s", "__main__", "d", "d.x", "e", "e.f", "1", "P", "__pycache__", "", ".", "p/q", "a\\0b", "\\udce4"):
                try:
                    sys.modules.pop(name, None) if name != "__main__" else None
                    found = importlib.import_module(name)
                    print(repr(name), getattr(found, "W", 0), getattr(found, "__file__", None), type(found.__spec__.loader).__name__ if "Name" not in repr(found.__spec__) else "")
                except Exception as error:
                    print(repr(name), type(error).__name__, error)
            """)

    def test_extensions_before_sources(self):
        """A copied extension module of the interpreter's own, with a source of the same name beside it."""
        for series, python in interpreters().items():
            with self.subTest(series), World(python) as world:
                text = "import _json, importlib.machinery as m; print(getattr(_json, '__file__', ''), *m.EXTENSION_SUFFIXES)"
                file, *suffixes = world.run("-c", text, served=False).out.split() or [""]
                if not file.endswith(".so"):
                    self.skipTest("the interpreter has no extension modules in files")
                content = pathlib.Path(file).read_bytes()
                world.write({"_json.py": "W = 1\n", f"_json{suffixes[0]}": content, "in_pack/__init__.py": "", f"in_pack/_json{suffixes[-1]}": content})
                world.write({"_json.cpython-30-x86_64-linux-gnu.so": b"", "in_pack/__init__.cpython-30-x86_64-linux-gnu.so": b""})
                world.index()
                script = world.script(f"""
                    import sys
                    sys.path.insert(0, {str(world.at)!r})
                    import _json, in_pack._json
                    for each in (_json, in_pack._json, in_pack):
                        print(each.__file__, type(each.__loader__), each.__spec__.origin, each.__spec__.cached)
                    """)
                self.assertEqual(self.same(world, script).status, 0)

    def test_symlinks_zips_and_relative_entries(self):
        for world in self.each({"real.py": "W = 1\n", "dir/__init__.py": "", "dir/m.py": "W = 2\n"}):
            (world.at / "link.py").symlink_to("real.py")
            (world.at / "dirlink").symlink_to("dir")
            (world.at / "out.py").symlink_to(world.outside / "target.py")
            (world.outside / "way").symlink_to(world.at)
            world.write({"target.py": "W = 3\n"}, world.outside)
            with zipfile.ZipFile(world.at / "z.zip", "w") as archive:
                archive.writestr("zipped.py", "W = 4\n")
            world.index()
            script = world.script(f"""
                import os, sys
                sys.path[:0] = [{str(world.outside / 'way')!r}, {str(world.at / 'z.zip')!r}]
                import link, real, dirlink.m, out, zipped
                for each in (link, real, dirlink, dirlink.m, out, zipped):
                    print(each.__file__, getattr(each, "W", 0), each.__spec__.cached)
                for name in ("link", "real", "dirlink", "dirlink.m", "out"):
                    del sys.modules[name]
                os.chdir({str(world.at)!r})
                sys.path[0] = ""
                import real, link
                print(real.__file__, link.__file__)
                sys.modules.pop("real"); sys.path[0] = "dir/.."
                import real
                print(real.__file__)
                sys.modules.pop("m", None); sys.path[0] = "dir"
                import m
                print(m.__file__)
                """)
            self.assertEqual(self.same(world, script).status, 0)

    def test_pth_files_and_editable_installs(self):
        files = {
            "site/extra.pth": "import sys; sys.added = 1\nmore\n", "site/more/inside.py": "W = 1\n",
            "site/edit.pth": "import _edit; _edit.install()\n",
            "site/_edit.py": """
                import importlib.machinery, importlib.util, os, sys
                class Finder:
                    def find_spec(self, name, path=None, target=None):
                        if name == "edited":
                            place = os.path.join(os.path.dirname(__file__), "..", "src", "edited.py")
                            return importlib.util.spec_from_file_location(name, place)
                def install():
                    sys.meta_path.append(Finder())
                """,
            "src/edited.py": "W = 2\n",
        }
        for world in self.each(files):
            world.index()
            script = world.script(f"import site, sys\nsite.addsitedir({str(world.at / 'site')!r})\nimport inside, edited\n"
                                  "print(sys.added, inside.__file__, edited.__file__, edited.W, inside.__loader__.get_data(inside.__file__))\n")
            self.assertEqual(self.same(world, script).status, 0)

    def test_other_hooks_come_first(self):
        self.script_is_same({"m.py": "W = 1\n"}, {}, """
            import importlib.machinery as machinery
            class Loader(machinery.SourceFileLoader):
                def source_to_code(self, data, path, *rest, **more):
                    return super().source_to_code(data.replace(b"1", b"2"), path, *rest, **more)
                def get_code(self, name):
                    return self.source_to_code(self.get_data(self.path), self.path)
            sys.path_hooks.insert(0, machinery.FileFinder.path_hook((Loader, machinery.SOURCE_SUFFIXES)))
            sys.path_importer_cache.clear()
            sys.path.insert(0, AT)
            import m
            print(m.W, m.__loader__.__class__.__name__, isinstance(m.__loader__, machinery.SourceFileLoader))
            """)


class Robust(unittest.TestCase):
    """What is missing or damaged is noticed, and never executed."""

    def test_damaged_and_foreign_bytecode_is_compiled_anew(self):
        for series, python in interpreters().items():
            with self.subTest(series), World(python) as world:
                world.write({"m.py": "print('right')\n"})
                world.index()
                script = world.script(f"import sys; sys.path.insert(0, {str(world.at)!r}); import m; print(m.__cached__)")
                expected = world.served(script)
                self.assertEqual(expected.errors, "")
                blobs = [path for path in world.store.glob("cas_store/*/*") if path.read_bytes()[16:].find(b"right") >= 0]
                self.assertEqual(len(blobs), 1)
                whole, status = blobs[0].read_bytes(), blobs[0].stat()
                for content in (whole[:20], whole[:-1], whole[:16], b"", whole.replace(b"right", b"wrong"), bytes(4) + whole[4:], whole + b"x"):
                    for stamped in (False, True):
                        blobs[0].chmod(0o644)
                        blobs[0].write_bytes(content)
                        if stamped:
                            os.utime(blobs[0], ns=(status.st_mtime_ns, status.st_mtime_ns))
                        blobs[0].chmod(0o444)
                        said = world.served(script)
                        # What the standard loader then makes of a damaged .pyc is its own business; it is never run as code of ours.
                        self.assertNotIn("wrong", said.out if stamped else "", (content, stamped))

    def test_what_is_compiled_is_kept_for_this_user_alone(self):
        for series, python in interpreters().items():
            with self.subTest(series), World(python) as world:
                world.write({"m.py": "print('right')\n", "n.py": "print('right')\n"})
                world.index("--threads", "1")
                script = world.script(f"import sys; sys.path.insert(0, {str(world.at)!r})\nimport m, n\nprint(m.__spec__.origin, n.f if hasattr(n, 'f') else 0)")
                expected = world.run(script, served=False)
                self.assertEqual(list(world.cache.rglob("*")), [])
                world.served(script)
                self.assertEqual(list(world.cache.rglob("*")), [], "-B: nothing is written")
                for _ in range(2):
                    self.assertEqual(world.served(script, PYTHONDONTWRITEBYTECODE=None).out, expected.out)
                    files = [path for path in world.cache.rglob("*") if path.is_file()]
                    self.assertEqual(len(files), 1, "one for both")
                self.assertEqual({path.stat().st_mode & 0o777 for path in [*files, *world.cache.rglob("*")] if path.is_dir()}, {0o700})
                count = "import sys\ncount = []\nsys.addaudithook(lambda event, detail: event == 'compile' and str(detail[1]).endswith(('/m.py', '/n.py')) and count.append(1))\n"
                counting = world.script(count + script.read_text() + "\nprint(len(count))")
                self.assertEqual(world.served(counting).out.split()[-1], "0")
                whole = files[0].read_bytes()
                for content in (whole.replace(b"right", b"wrong"), whole[:70], b""):
                    files[0].write_bytes(content)
                    said = world.served(counting)
                    self.assertNotIn("wrong", said.out)
                    self.assertGreaterEqual(int(said.out.split()[-1]), 1)
                files[0].write_bytes(whole)
                files[0].chmod(0o622)
                self.assertGreaterEqual(int(world.served(counting).out.split()[-1]), 1, "others can write to it")
                files[0].chmod(0o600)
                (world.cache / "velo").chmod(0o777)
                self.assertGreaterEqual(int(world.served(counting).out.split()[-1]), 1, "others can replace it")

    @unittest.skipIf(SOURCES, "of what velo-ctl writes")
    def test_nobody_else_can_write_to_what_is_run(self):
        """Whatever the umask of the one who runs it first."""
        with World() as world:
            world.index()
            before = os.umask(0)
            try:
                said = world.served("-c", "print(1)", PYTHONDONTWRITEBYTECODE=None)
            finally:
                os.umask(before)
            self.assertEqual((said.out, said.errors), ("1\n", ""))
            found = list((world.store / "hooks").rglob("*"))
            self.assertTrue(any(path.suffix == ".pyc" for path in found), found)
            self.assertEqual([path for path in found if path.stat().st_mode & 0o022], [])

    def test_a_hook_that_cannot_be_turned_on_says_so_once(self):
        with World() as world:
            world.write({"m.py": "print('right')\n"})
            world.index()
            script = world.script(f"import sys; sys.path.insert(0, {str(world.at)!r}); import m")
            bad = world.outside / "libvelo_hooks.so"
            bad.write_bytes(b"nothing")
            said = world.served(script, VELO_PYTHON_NATIVE=str(bad), VELO_PYTHON_STRICT=None)
            self.assertEqual((said.status, said.out, len(said.errors.splitlines())), (0, "right\n", 1), said)
            self.assertTrue(said.errors.startswith("velo: expected to turn Python's import hook on"), said.errors)
            said = world.served(script, VELO_PYTHON_NATIVE=str(bad))
            self.assertEqual((said.status, said.out), (1, ""), said)
            said = world.served(script, VELO_PYTHON_NATIVE=str(bad), VELO_PYTHON="0")
            self.assertEqual((said.status, said.out, said.errors), (0, "right\n", ""), said)

    def test_the_collector_is_as_it_was(self):
        files = {"m.py": "import gc\nDURING = gc.get_threshold()\nX = [[] for _ in range(100000)]\nYOUNG = gc.get_count()[0]\n",
                 "more.py": "import gc\nfirst, *rest = gc.get_threshold()\ngc.set_threshold(first * 10, *rest)\n", "sets.py": "import gc\ngc.set_threshold(50, 5, 5)\n",
                 "off.py": "import gc\ngc.disable()\n", "fails.py": "1 / 0\n"}
        text = """
            import gc, sys
            before = gc.get_threshold(), gc.isenabled(), gc.get_freeze_count()
            import m
            print(m.DURING == before[0], m.YOUNG > 50000, (gc.get_threshold(), gc.isenabled(), gc.get_freeze_count()) == before, gc.is_tracked(m.X))
            try:
                import fails
            except ZeroDivisionError:
                print(gc.get_threshold() == before[0])
            import more
            print(gc.get_threshold()[0] == 10 * before[0][0])
            import sets
            print(gc.get_threshold())
            import off
            print(gc.isenabled())
            """
        for series, python in interpreters().items():
            with self.subTest(series), World(python) as world:
                world.write(files)
                world.index()
                script = world.script(text)
                path = {"PYTHONPATH": str(world.at)}
                self.assertEqual(world.served(script, **path).out.splitlines(), ["True True True True", "True", "True", "(50, 5, 5)", "False"])
                frozen = world.script("import gc, m; print(gc.get_freeze_count() > 100000)")
                self.assertEqual(world.served(frozen, VELO_PYTHON_GC="freeze", **path).out, "True\n")
                script = world.script(text)
                self.assertEqual(world.served(script, VELO_PYTHON_GC="0", **path).out.splitlines()[0], "True False True True")


if __name__ == "__main__":
    unittest.main()

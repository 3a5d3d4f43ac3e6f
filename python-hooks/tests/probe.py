"""Imports modules and prints, as JSON, all that a program can see of them:

    probe.py ROOT MODULE...

ROOT is the tree whose modules are shown. Whether they came from disk or from a manifest must not show.
"""
import hashlib
import importlib
import importlib.util
import inspect
import json
import pkgutil
import re
import sys


def digest(value):
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogatepass")
    return value if value is None else hashlib.sha256(value).hexdigest()[:16]


def kind(value):
    return None if value is None else f"{type(value).__module__}.{type(value).__qualname__}"


def asked(function, *arguments):
    try:
        return function(*arguments)
    except Exception as error:
        return re.sub(r" at 0x[0-9a-f]+", "", f"{type(error).__name__}: {error}")


def spec_of(spec):
    return spec and {
        "name": spec.name, "loader": kind(spec.loader), "origin": spec.origin, "cached": spec.cached,
        "parent": spec.parent, "has_location": spec.has_location, "state": spec.loader_state,
        "path": spec.submodule_search_locations and list(spec.submodule_search_locations),
    }


def loader_of(name, loader):
    shown = {"kind": kind(loader), "equal": loader == loader, "attributes": sorted(vars(loader)) if hasattr(loader, "__dict__") else None}
    for ask in ("get_filename", "is_package", "get_resource_reader"):
        if hasattr(loader, ask):
            answer = asked(getattr(loader, ask), name)
            shown[ask] = answer if isinstance(answer, (str, bool)) else kind(answer)
    if hasattr(loader, "get_source"):
        shown["source"] = digest(asked(loader.get_source, name))
    if hasattr(loader, "get_code"):
        code = asked(loader.get_code, name)
        shown["code"] = [code.co_filename, code.co_name, len(code.co_consts)] if hasattr(code, "co_filename") else kind(code)
        names = set()
        waiting = [code]
        while waiting:
            code = waiting.pop()
            if hasattr(code, "co_filename"):
                names.add(code.co_filename)
                waiting.extend(code.co_consts)
        shown["files"] = sorted(names)
    if hasattr(loader, "path_stats"):
        shown["stats"] = asked(loader.path_stats, loader.path)
    if hasattr(loader, "get_data"):
        shown["data"] = digest(asked(loader.get_data, loader.path))
    return shown


def module_of(name, module):
    shown = {key: repr(getattr(module, key, "none")) for key in ("__name__", "__file__", "__cached__", "__package__")}
    shown["path"] = asked(list, module.__path__) if hasattr(module, "__path__") else None
    shown["doc"] = digest(module.__doc__) if isinstance(module.__doc__, str) else kind(module.__doc__)
    shown["spec"], shown["loader"] = spec_of(module.__spec__), loader_of(name, module.__spec__.loader)
    shown["same loader"] = getattr(module, "__loader__", None) is module.__spec__.loader
    shown["file"] = asked(inspect.getsourcefile, module)
    if shown["path"] and not isinstance(shown["path"], str):
        shown["below"] = sorted((found.name, found.ispkg, kind(found.module_finder)) for found in pkgutil.iter_modules(module.__path__))
        shown["resources"] = resources(module)
        shown["found again"] = spec_of(asked(importlib.util.find_spec, name))
    return shown


def resources(module):
    try:
        from importlib.resources import files
    except ImportError:
        return None
    return asked(lambda: sorted(entry.name for entry in files(module).iterdir() if entry.name != "__pycache__"))


def metadata():
    from importlib.metadata import distributions, entry_points, version

    found = sorted((each.metadata["Name"], each.version, len(each.files or ())) for each in distributions())
    return {"all": found, "by name": [asked(version, name) for name, _, _ in found], "none": asked(version, "no-such-thing"),
            "points": len(str(entry_points()))}


def main():
    root, *names = sys.argv[1:]
    failed = {name: asked(importlib.import_module, name) for name in names}
    shown = {"failed": {name: answer for name, answer in failed.items() if isinstance(answer, str)}, "modules": {}}
    for name, module in sorted(sys.modules.items()):
        spec = getattr(module, "__spec__", None)
        places = [getattr(module, "__file__", None), *(asked(list, getattr(module, "__path__", ())) or ())]
        if spec is not None and spec.name == name and any(str(place).startswith(root) for place in places):
            shown["modules"][name] = module_of(name, module)
    # The hook itself, and the module of the collector, which it pauses.
    shown["all"] = sorted(name for name in sys.modules if not name.startswith("velo_hooks") and name != "gc")
    shown["path"] = sys.path
    shown["metadata"] = metadata()
    json.dump(shown, sys.stdout, indent=1, default=repr)
    if len(shown["failed"]) == len(names):
        sys.exit(1)


main()

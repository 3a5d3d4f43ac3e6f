"""Bytecode of sources for which the manifest has none: compiled once, and kept for this user alone."""
import _frozen_importlib_external as _external


def code_of(loader, fullname, path, source):
    return _external.SourceFileLoader.get_code(loader, fullname)

"""Python's part of Velo: modules and their bytecode straight from the manifest.

Importing this package changes nothing. `velo-ctl run` turns the import hook on; see docs/PYTHON.md.
"""

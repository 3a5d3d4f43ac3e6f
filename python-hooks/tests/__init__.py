"""Tests of velo-hooks: `python -m unittest discover python-hooks/tests`; scripts/test runs them."""

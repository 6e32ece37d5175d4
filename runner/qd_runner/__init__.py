"""Turns a published Quarterdeck pipeline into cosmos-xenna objects and runs it.

Three commands, each a module: `describe` (what stage classes look like), `check` (does this
run file instantiate), `run` (execute it and report over an event descriptor). The package
changes nothing in cosmos_xenna for users who call it directly: what it patches, it patches
in its own driver process only, and all of that is in `observe.py` and `rayhost.py`.
"""

__version__ = "0.1.0"

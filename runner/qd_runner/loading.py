"""Imports what a spec names as `package.module:Name`, and says precisely why where it cannot.

User code may raise anything on import, print, or call sys.exit: all of it becomes a `LoadError`
with a stable code and the traceback from the user's own frames on.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterable
from typing import Any

from qd_runner.protocol import StopRequested, error_line

_PATH = re.compile(r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")


class LoadError(Exception):
    """`code` is one of bad_path, import_error, not_found, not_a_stage, not_callable, abstract, arity."""

    def __init__(self, code: str, detail: str, traceback_text: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.traceback = traceback_text


def code_dirs_use(dirs: Iterable[str]) -> None:
    """Puts the folders at the front of sys.path, in order. Workers get them through PYTHONPATH (rayhost)."""
    for folder in reversed(list(dirs)):
        if folder in sys.path:
            sys.path.remove(folder)
        sys.path.insert(0, folder)
    importlib.invalidate_caches()


def traceback_of(error: BaseException) -> str:
    """The traceback without this package's and importlib's own frames, where the user's frames are left."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "/qd_runner/" not in f.filename and "importlib" not in f.filename]
    kept = own or frames
    lines = ["Traceback (most recent call last):\n", *traceback.format_list(kept)]
    lines += traceback.format_exception_only(type(error), error)
    if error.__cause__ is not None:
        lines.insert(0, traceback_of(error.__cause__) + "\nThe above exception was the direct cause of:\n\n")
    return "".join(lines)


def object_load(path: str) -> Any:
    if not isinstance(path, str) or not _PATH.match(path):
        raise LoadError("bad_path", f"{path!r} is not of the form package.module:Name")
    module_name, _, attribute = path.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | StopRequested):
            raise
        missing = isinstance(error, ModuleNotFoundError) and error.name is not None
        if missing and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise LoadError("import_error", f"no module named {error.name!r} in the pipeline's code", None) from error
        detail = f"importing {module_name} raised {error_line(error)}"
        raise LoadError("import_error", detail, traceback_of(error)) from error
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise LoadError("not_found", f"module {module_name} has no {attribute!r}") from None
    return found


def stage_class_load(path: str) -> type:
    """The user's own subclass of Xenna's Stage, checked the way Xenna itself will check it."""
    from cosmos_xenna.pipelines.v1 import Stage

    found = object_load(path)
    if not isinstance(found, type) or not issubclass(found, Stage):
        kind = f"class {found.__name__}" if isinstance(found, type) else type(found).__name__
        raise LoadError("not_a_stage", f"{path} is a {kind}, not a subclass of cosmos_xenna's Stage")
    missing = sorted(getattr(found, "__abstractmethods__", ()))
    if missing:
        raise LoadError("abstract", f"{path} does not implement {', '.join(missing)}")
    for method in ("setup", "setup_on_node", "process_data"):
        _arity_check(path, found, Stage, method)
    return found


def _arity_check(path: str, found: type, base: type, method: str) -> None:
    ours, theirs = getattr(found, method, None), getattr(base, method, None)
    if ours is None or theirs is None or ours is theirs:
        return
    try:
        have, want = inspect.signature(ours), inspect.signature(theirs)
    except (ValueError, TypeError):
        return
    if len(have.parameters) != len(want.parameters):
        names = ", ".join(want.parameters)
        raise LoadError("arity", f"{path}.{method}{have} must take {len(want.parameters)} parameters ({names})")


def callable_load(path: str) -> Callable[..., Any]:
    found = object_load(path)
    if not callable(found):
        raise LoadError("not_callable", f"{path} is a {type(found).__name__}, not a function")
    return found

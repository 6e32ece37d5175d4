"""`describe`: what classes and callables look like, as one JSON on stdout, whatever the user's code does on import.

Nothing is instantiated: batch size and resources are read from the properties of an instance whose `__init__` never
ran, and are null where they depend on it (`check` runs the constructor).
"""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import sys
from typing import Any

from qd_runner import loading, schema, xenna
from qd_runner.protocol import error_line


@contextlib.contextmanager
def stdout_kept_for_json():
    """Descriptor 1 and sys.stdout go to stderr; yields a function that writes to the real stdout."""
    real = os.dup(1)
    sys.stdout.flush()
    os.dup2(2, 1)
    held, sys.stdout = sys.stdout, sys.stderr

    def write(value: Any) -> None:
        data = memoryview((json.dumps(value, ensure_ascii=False, default=str) + "\n").encode("utf-8", "replace"))
        while data:
            data = data[os.write(real, data) :]

    try:
        yield write
    finally:
        sys.stdout = held
        os.dup2(real, 1)
        os.close(real)


def main(code: list[str], classes: str, callables: str) -> int:
    with stdout_kept_for_json() as write:
        write(describe(code, _split(classes), _split(callables)))
    return 0


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def describe(code: list[str], classes: list[str], callables: list[str]) -> dict[str, Any]:
    loading.code_dirs_use(code)
    return {
        **xenna.versions(),
        "cpus": xenna.ray_cpus(),
        "config_fields": xenna.config_fields(),
        "stage_spec_fields": xenna.stage_spec_fields(),
        "classes": {path: _described(path, _class) for path in classes},
        "callables": {path: _described(path, _callable) for path in callables},
    }


def _described(path: str, how: Any) -> dict[str, Any]:
    try:
        return {"ok": True, **how(path)}
    except loading.LoadError as error:
        return {"ok": False, "code": error.code, "detail": error.detail, "traceback": error.traceback}
    except (Exception, SystemExit) as error:
        detail = f"describing {path} raised {error_line(error)}"
        return {"ok": False, "code": "import_error", "detail": detail, "traceback": loading.traceback_of(error)}


def _class(path: str) -> dict[str, Any]:
    cls = loading.stage_class_load(path)
    batch, resources = _property(cls, "stage_batch_size"), _property(cls, "required_resources")
    return {
        "doc": _own_doc(cls),
        "name": cls.__name__,
        "params": {"schema": schema.signature_schema(cls, cls.__dict__.get("__doc__"))},
        "batch_size": batch if type(batch) is int and batch > 0 else None,
        "resources": xenna.resources_of(resources) if hasattr(resources, "cpus") else None,
    }


def _callable(path: str) -> dict[str, Any]:
    found = loading.callable_load(path)
    return {
        "doc": inspect.getdoc(found),
        "name": getattr(found, "__name__", path),
        "params": {"schema": schema.signature_schema(found)},
    }


def _own_doc(cls: type) -> str | None:
    """The class's own docstring; one inherited from Xenna's Stage says nothing about it."""
    doc = cls.__dict__.get("__doc__")
    return inspect.cleandoc(doc) if isinstance(doc, str) else None


def _property(cls: type, name: str) -> Any:
    try:
        return getattr(cls.__new__(cls), name)
    except (Exception, SystemExit):  # depends on __init__: not known here
        return None

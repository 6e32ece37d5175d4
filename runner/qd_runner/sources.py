"""Where a run's input items come from: files by glob, a JSONL file, items in the spec, or the user's function."""

from __future__ import annotations

import glob
import json
from pathlib import Path
from typing import Any

from qd_runner import loading
from qd_runner.spec import RunFile


class InputError(Exception):
    """The input is not there or not readable as what the spec says it is."""


def items_load(run: RunFile, arguments: dict[str, Any]) -> list[Any]:
    """All items, in a stable order. Xenna takes a list, so there is no streaming to be had here."""
    if run.input is None:
        return []
    kind, options = next(iter(run.input.items()))
    if kind == "items":
        return list(options)
    if kind == "files":
        return _files(run.spec_dir, options["glob"])
    if kind == "jsonl":
        return _jsonl(run.spec_dir / options["path"])
    return list(loading.callable_load(options["uses"])(**arguments))


def _files(base: Path, pattern: str) -> list[str]:
    found = sorted(p for p in glob.iglob(str(base / pattern), recursive=True) if Path(p).is_file())
    if not found:
        raise InputError(f"no file matches {base / pattern}")
    return [str(Path(p).absolute()) for p in found]


def _jsonl(path: Path) -> list[Any]:
    items = []
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    try:
                        items.append(json.loads(line))
                    except ValueError as error:
                        raise InputError(f"{path} line {number}: {error}") from error
    except OSError as error:
        raise InputError(f"{path}: {error}") from error
    return items

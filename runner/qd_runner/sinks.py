"""Where results go: one JSONL file, a folder of files, or nowhere. Written aside and renamed, so never half.

Names that come out of items stay inside the run's output folder.
"""

from __future__ import annotations

import base64
import collections.abc
import dataclasses
import datetime
import enum
import json
import os
import shutil
import uuid
from pathlib import Path
from typing import Any

from qd_runner.check import inside
from qd_runner.protocol import error_line, preview
from qd_runner.spec import RunFile

_FILES_NAMED = 100
# Half a character, as in names of files that are not UTF-8: this writes it as JSON's own \udc80.
_SURROGATES = "backslashreplace"


class OutputError(Exception):
    """A result cannot be written as the spec's output says."""


class Written:
    """What was written: all of it in numbers, and the first files by name, because `result` is one bounded event."""

    def __init__(self) -> None:
        self.files: list[dict[str, Any]] = []  # [{path relative to the output folder, bytes, items}]
        self.files_total = 0
        self.bytes_total = 0

    def add(self, path: str, size: int, items: int) -> None:
        self.files_total += 1
        self.bytes_total += size
        if len(self.files) < _FILES_NAMED:
            self.files.append({"path": path, "bytes": size, "items": items})

    def to_json(self) -> dict[str, Any]:
        return {"files": self.files, "files_total": self.files_total, "bytes_total": self.bytes_total}


def results_write(run: RunFile, items: list[Any]) -> Written:
    """Writes all items."""
    written = Written()
    kind, options = next(iter(run.output.items()))
    if kind == "none" or run.mode == "serving":
        return written
    run.output_dir.mkdir(parents=True, exist_ok=True)
    if kind == "jsonl":
        _jsonl(run.output_dir, options["path"], items, written)
    else:
        _files(run.output_dir, options, items, written)
    return written


def _jsonl(base: Path, name: str, items: list[Any], written: Written) -> None:
    if not inside(name):
        raise OutputError(f"{name!r} leaves the output folder")
    target = base / name
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.part")
    with aside.open("w", encoding="utf-8", errors=_SURROGATES) as file:
        for index, item in enumerate(items):
            file.write(json_text(item, f"result {index}") + "\n")
        file.flush()
        os.fsync(file.fileno())
    size = aside.stat().st_size
    aside.replace(target)
    written.add(name, size, len(items))


def _files(base: Path, options: dict[str, Any], items: list[Any], written: Written) -> None:
    folder = options.get("dir") or "files"
    if not inside(folder):
        raise OutputError(f"{folder!r} leaves the output folder")
    name_field, content_field = options.get("name_field") or "name", options.get("content_field") or "content"
    aside = base / f".{Path(folder).name}.part"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    taken: set[Path] = set()
    for index, item in enumerate(items):
        name = _field(item, name_field, index)
        if not inside(name):
            raise OutputError(f"result {index}: {name_field} {preview(name, 80)} leaves the output folder")
        path = aside / name  # which also makes one of "a" and "./a"
        if path in taken:
            raise OutputError(f"result {index}: a result named {name!r} was already written")
        content = _field(item, content_field, index)
        if isinstance(content, str):
            content = content.encode("utf-8", "surrogateescape")
        elif not isinstance(content, bytes | bytearray | memoryview):
            content = json_text(content, f"result {index}").encode("utf-8", _SURROGATES)
        taken.add(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        written.add(f"{folder}/{name}", len(content), 1)
    target = base / folder
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside.replace(target)


def _field(item: Any, field: str, index: int) -> Any:
    try:
        return item[field] if isinstance(item, collections.abc.Mapping) else getattr(item, field)
    except (KeyError, AttributeError):
        raise OutputError(f"result {index} has no field {field!r}: {preview(item, 120)}") from None


def json_text(value: Any, what: str) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)
    except Exception as error:  # besides json's own: properties of the user's types, and nesting without end
        raise OutputError(f"{what} cannot be written as JSON: {_said(error)} in {preview(value, 200)}") from error


def _said(error: Exception) -> str:
    """json's own complaints speak for themselves; what other code raised is named."""
    return str(error) if type(error) in (TypeError, ValueError) else error_line(error)


def _plain(value: Any) -> Any:
    """What json does not know by itself, for types that pipelines pass on."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if hasattr(type(value), "__attrs_attrs__"):
        return {a.name: getattr(value, a.name) for a in type(value).__attrs_attrs__}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Path | uuid.UUID):
        return str(value)
    if isinstance(value, datetime.date | datetime.datetime | datetime.time):
        return value.isoformat()
    if isinstance(value, set | frozenset):
        return sorted(value, key=repr)
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, collections.abc.Mapping):
        return dict(value)
    for method in ("tolist", "item", "model_dump"):  # numpy arrays and scalars, pydantic models
        if callable(getattr(value, method, None)):
            return getattr(value, method)()
    raise TypeError(f"a {type(value).__name__} has no JSON form")

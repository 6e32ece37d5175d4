"""The run file (`spec.json`): what qd hands the runner, parsed and checked for shape only.

Pointers are into the run file itself (`/stages/0/params/x`, `/config/slots_per_actor`). What a value means to the
installed Xenna is `xenna.py`'s and `check.py`'s business.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

MODES = ("streaming", "batch", "serving")


@dataclasses.dataclass(frozen=True)
class Violation:
    pointer: str
    code: str
    detail: str
    traceback: str | None = None

    def to_json(self) -> dict[str, Any]:
        out = {"pointer": self.pointer, "code": self.code, "detail": self.detail}
        return out | ({"traceback": self.traceback} if self.traceback else {})


class BadSpec(Exception):
    def __init__(self, violations: list[Violation]) -> None:
        super().__init__("; ".join(f"{v.pointer}: {v.detail}" for v in violations))
        self.violations = violations


@dataclasses.dataclass
class StageEntry:
    index: int
    id: str
    name: str
    uses: str
    params: dict[str, Any]
    resources: dict[str, Any] | None
    batch_size: int | None
    replay_failures: bool
    settings: dict[str, Any]  # what goes to Xenna's StageSpec, under its names, nulls left out

    @property
    def pointer(self) -> str:
        return f"/stages/{self.index}"


@dataclasses.dataclass
class RunFile:
    run: str
    run_id: str
    mode: str
    code: list[str]
    stages: list[StageEntry]
    input: dict[str, Any] | None
    output: dict[str, Any]
    output_dir: Path
    config: dict[str, Any]
    env: dict[str, str]
    spec_dir: Path


# Names of the pipeline spec for fields that Xenna calls otherwise.
_STAGE_ALIASES = {
    "workers": "num_workers",
    "workers_per_node": "num_workers_per_node",
    "setup_attempts": "num_setup_attempts_python",
    "run_attempts": "num_run_attempts_python",
}
_STAGE_OWN = {"id", "name", "uses", "params", "resources", "batch_size", "replay_failures", "description", "template"}


def run_file_read(path: Path) -> RunFile:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadSpec([Violation("", "unreadable", f"{path}: {error}")]) from error
    return run_file_parse(raw)


def run_file_parse(raw: Any) -> RunFile:
    shape = _Shape()
    if not isinstance(raw, dict):
        raise BadSpec([Violation("", "type_mismatch", "the run file must be a JSON object")])
    mode = raw.get("execution_mode", "streaming")
    if mode not in MODES:
        shape.add("/execution_mode", "invalid_value", f"expected one of {', '.join(MODES)}, got {mode!r}")
    entries = shape.typed(raw, "/stages", "stages", list, [])
    if not entries:
        shape.add("/stages", "missing", "a pipeline needs at least one stage")
    stages = [_stage(shape, index, entry) for index, entry in enumerate(entries)]
    seen: dict[str, int] = {}
    for stage in stages:
        if stage.id in seen:
            shape.add(f"{stage.pointer}/id", "duplicate_id", f"stage id {stage.id!r} is also /stages/{seen[stage.id]}")
        seen.setdefault(stage.id, stage.index)
    io = shape.typed(raw, "/io", "io", dict, {})
    env = shape.typed(raw, "/env", "env", dict, {})
    for key, value in env.items():
        if not isinstance(value, str | int | float | bool):
            shape.add(f"/env/{key}", "type_mismatch", "an environment value must be a string")
    out = RunFile(
        run=str(raw.get("run") or raw.get("run_id") or "run"),
        run_id=str(raw.get("run_id") or ""),
        mode=mode,
        code=[str(c) for c in shape.typed(raw, "/code", "code", list, [])],
        stages=stages,
        input=_one_of(shape, io, "input", ("files", "jsonl", "items", "callable"), optional=mode == "serving"),
        output=_one_of(shape, io, "output", ("jsonl", "files", "none"), optional=True) or {"none": {}},
        output_dir=Path(str(raw.get("attempt_output") or "output")).absolute(),
        config=shape.typed(raw, "/config", "config", dict, {}),
        env={str(k): str(v).lower() if isinstance(v, bool) else str(v) for k, v in env.items()},
        spec_dir=Path(str(raw.get("spec_dir") or ".")).absolute(),
    )
    if mode == "serving" and out.input is not None:
        shape.add("/io/input", "not_allowed", "a serving pipeline takes its items from requests, not from an input")
    if shape.violations:
        raise BadSpec(shape.violations)
    return out


def _stage(shape: _Shape, index: int, entry: Any) -> StageEntry:
    pointer = f"/stages/{index}"
    if not isinstance(entry, dict):
        shape.add(pointer, "type_mismatch", "a stage must be an object")
        entry = {}
    uses = shape.typed(entry, f"{pointer}/uses", "uses", str, "")
    if entry.get("uses") in (None, ""):
        shape.add(f"{pointer}/uses", "missing", 'a stage names its class: uses: "module:Class"')
    batch = shape.typed(entry, f"{pointer}/batch_size", "batch_size", int, None)
    if batch is not None and batch < 1:
        shape.add(f"{pointer}/batch_size", "invalid_value", "batch_size must be at least 1")
    stage_id = str(entry.get("id") or f"stage-{index}")
    return StageEntry(
        index=index,
        id=stage_id,
        name=str(entry.get("name") or stage_id),
        uses=uses,
        params=shape.typed(entry, f"{pointer}/params", "params", dict, {}),
        resources=shape.typed(entry, f"{pointer}/resources", "resources", dict, None),
        batch_size=batch,
        replay_failures=bool(shape.typed(entry, f"{pointer}/replay_failures", "replay_failures", bool, True)),
        settings={_STAGE_ALIASES.get(k, k): v for k, v in entry.items() if k not in _STAGE_OWN and v is not None},
    )


def stage_field_name(xenna_name: str) -> str:
    """The pipeline spec's name for a StageSpec field, for pointers."""
    return next((ours for ours, theirs in _STAGE_ALIASES.items() if theirs == xenna_name), xenna_name)


def _one_of(
    shape: _Shape, io: dict[str, Any], field: str, kinds: tuple[str, ...], *, optional: bool
) -> dict[str, Any] | None:
    value = io.get(field)
    pointer = f"/io/{field}"
    if isinstance(value, dict):
        value = {k: v for k, v in value.items() if v is not None} or None
    if value is None:
        if not optional:
            shape.add(pointer, "missing", f"{field} must be one of {', '.join(kinds)}")
        return None
    if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in kinds:
        shape.add(pointer, "invalid_value", f"{field} must have exactly one of {', '.join(kinds)}")
        return None
    kind, options = next(iter(value.items()))
    if kind != "items" and not isinstance(options, dict):
        shape.add(f"{pointer}/{kind}", "type_mismatch", "expected an object")
        return None
    needed = {"files": "glob", "jsonl": "path", "callable": "uses"} if field == "input" else {"jsonl": "path"}
    if kind in needed and not isinstance(options.get(needed[kind]), str):
        shape.add(f"{pointer}/{kind}/{needed[kind]}", "missing", f"{needed[kind]} must be a string")
    if kind == "items" and not isinstance(options, list):
        shape.add(f"{pointer}/items", "type_mismatch", "items must be a list")
    return value


class _Shape:
    """Collects every complaint about the run file's shape."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def add(self, pointer: str, code: str, detail: str) -> None:
        self.violations.append(Violation(pointer, code, detail))

    def typed(self, raw: dict[str, Any], pointer: str, key: str, kind: type, default: Any) -> Any:
        value = raw.get(key)
        if value is None:
            return default
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            self.add(pointer, "type_mismatch", f"expected {kind.__name__}, got {type(value).__name__}")
            return default
        return value

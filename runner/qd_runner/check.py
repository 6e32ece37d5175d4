"""`check`: a run file validated by really building what it names: params, stages, StageSpec, PipelineConfig.

Reports every violation, with pointers into the run file. It starts no Ray and touches no input data
beyond looking whether it is there.
"""

from __future__ import annotations

import dataclasses
import glob
from pathlib import Path
from typing import Any

from qd_runner import convert, loading, xenna
from qd_runner.describe import stdout_kept_for_json
from qd_runner.protocol import error_line
from qd_runner.spec import BadSpec, RunFile, StageEntry, Violation, run_file_read


@dataclasses.dataclass
class Built:
    """What a valid run file becomes. `stages` are plain instances of the users' classes, not yet instrumented."""

    stages: list[Any]
    config: Any
    input_arguments: dict[str, Any]


def main(path: Path) -> int:
    with stdout_kept_for_json() as write:
        try:
            run = run_file_read(path)
        except BadSpec as error:
            write({**xenna.versions(), "violations": [v.to_json() for v in error.violations]})
            return 0
        loading.code_dirs_use(run.code)
        _, violations = run_build(run)
        write({**xenna.versions(), "violations": [v.to_json() for v in violations]})
    return 0


def run_build(run: RunFile) -> tuple[Built | None, list[Violation]]:
    violations: list[Violation] = []
    config = xenna.config_build(run, violations)
    stages = [_stage_build(entry, violations) for entry in run.stages]
    specs = [
        xenna.stage_spec_build(entry, stage, violations) if stage is not None else None
        for entry, stage in zip(run.stages, stages, strict=True)
    ]
    arguments = _input_check(run, violations)
    _output_check(run, violations)
    if config is not None and all(spec is not None for spec in specs):
        _mode_check(run, stages, violations)
        _capacity_check(run, stages, specs, config, violations)
    if violations:
        return None, violations
    return Built(stages, config, arguments), violations


def _stage_build(entry: StageEntry, violations: list[Violation]) -> Any:
    try:
        cls = loading.stage_class_load(entry.uses)
    except loading.LoadError as error:
        violations.append(Violation(f"{entry.pointer}/uses", error.code, error.detail, error.traceback))
        return None
    arguments, errors = convert.arguments_convert(cls, entry.params)
    for error in errors:
        violations.append(Violation(f"{entry.pointer}/params{error.pointer}", error.code, error.detail))
    if errors:
        return None
    try:
        stage = cls(**arguments)
    except (Exception, SystemExit) as error:
        detail = f"{cls.__name__}(…) raised {error_line(error)}"
        at = f"{entry.pointer}/params"
        violations.append(Violation(at, "constructor_failed", detail, loading.traceback_of(error)))
        return None
    before = len(violations)
    _stage_properties_check(entry, stage, violations)
    return stage if len(violations) == before else None


def _stage_properties_check(entry: StageEntry, stage: Any, violations: list[Violation]) -> None:
    for name in ("required_resources", "stage_batch_size", "env_info"):
        try:
            value = getattr(stage, name)
        except (Exception, SystemExit) as error:
            detail = f"{type(stage).__name__}.{name} raised {error_line(error)}"
            at = f"{entry.pointer}/uses"
            violations.append(Violation(at, "property_failed", detail, loading.traceback_of(error)))
            continue
        if name == "required_resources" and not hasattr(value, "to_worker_shape"):
            detail = f"{type(stage).__name__}.required_resources is a {type(value).__name__}, not Resources"
            violations.append(Violation(f"{entry.pointer}/uses", "property_failed", detail))
        if name == "stage_batch_size" and (not isinstance(value, int) or value < 1):
            detail = f"{type(stage).__name__}.stage_batch_size must be an integer ≥ 1, got {value!r}"
            violations.append(Violation(f"{entry.pointer}/uses", "property_failed", detail))
    for key, value in (entry.resources or {}).items():
        at = f"{entry.pointer}/resources/{convert.escape(key)}"
        if key not in ("cpus", "gpus"):
            violations.append(Violation(at, "unknown_field", f"resources has cpus and gpus, not {key!r}"))
        elif value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value < 0):
            violations.append(Violation(at, "type_mismatch", f"expected a number ≥ 0, got {value!r}"))


def stage_resources(entry: StageEntry, stage: Any) -> dict[str, float]:
    """What the stage needs per worker: its own property, overridden by the spec field by field."""
    own = xenna.resources_of(stage.required_resources)
    given = {k: float(v) for k, v in (entry.resources or {}).items() if v is not None}
    return own | given


def stage_batch(entry: StageEntry, stage: Any) -> int:
    return entry.batch_size or stage.stage_batch_size


def _mode_check(run: RunFile, stages: list[Any], violations: list[Violation]) -> None:
    if run.mode != "serving":
        return
    for entry, stage in zip(run.stages, stages, strict=True):
        if stage_batch(entry, stage) > 1 and entry.index > 0:
            detail = (
                f"stage_batch_size is {stage_batch(entry, stage)}: while serving, a lone request would wait for a full "
                "batch at this stage; set batch_size: 1 (only the first stage may batch)"
            )
            violations.append(Violation(f"{entry.pointer}/batch_size", "serving_batch", detail))
        if hasattr(stage, "run_continuous"):
            detail = "a continuous stage owns its loop, so requests and answers cannot be matched"
            violations.append(Violation(f"{entry.pointer}/uses", "serving_continuous", detail))


def _capacity_check(
    run: RunFile, stages: list[Any], specs: list[Any], config: Any, violations: list[Violation]
) -> None:
    """Xenna refuses these at run time (streaming, serving) or waits for ever (batch): say it before, with numbers."""
    percentage = getattr(config, "cpu_allocation_percentage", 0.95)
    usable = xenna.usable_cpus(percentage)
    needs = []
    for entry, stage, spec in zip(run.stages, stages, specs, strict=True):
        per_worker = stage_resources(entry, stage)["cpus"]
        workers = spec.num_workers or spec.num_workers_per_node or 1
        needs.append((entry, per_worker, workers, per_worker * workers))
    cpus = xenna.ray_cpus()
    have = f"{usable} of this machine's {cpus} CPUs are usable (floor({cpus} × {percentage}))"
    if run.mode == "batch":
        for entry, per_worker, workers, total in needs:
            if total > usable + 1e-6:
                detail = f"needs {per_worker:g} × {workers:g} = {total:g} CPUs, but {have}"
                violations.append(Violation(f"{entry.pointer}/resources/cpus", "not_enough_cpus", detail))
        return
    total = sum(need for *_, need in needs)
    if total > usable + 1e-6:
        parts = " + ".join(f"{entry.id} {per_worker:g} × {workers:g}" for entry, per_worker, workers, _ in needs)
        detail = f"{run.mode} runs all stages at once and needs {parts} = {total:g} CPUs, but {have}"
        violations.append(Violation("/stages", "not_enough_cpus", detail))


def _input_check(run: RunFile, violations: list[Violation]) -> dict[str, Any]:
    if run.input is None:
        return {}
    kind, options = next(iter(run.input.items()))
    if kind == "callable":
        try:
            function = loading.callable_load(options["uses"])
        except loading.LoadError as error:
            violations.append(Violation("/io/input/callable/uses", error.code, error.detail, error.traceback))
            return {}
        arguments, errors = convert.arguments_convert(function, options.get("params") or {})
        for error in errors:
            violations.append(Violation(f"/io/input/callable/params{error.pointer}", error.code, error.detail))
        return arguments
    if kind == "jsonl" and not (run.spec_dir / options["path"]).is_file():
        path = run.spec_dir / options["path"]
        violations.append(Violation("/io/input/jsonl/path", "input_missing", f"no file {path}"))
    if kind == "files" and not any(glob.iglob(str(run.spec_dir / options["glob"]), recursive=True)):
        detail = f"nothing matches {run.spec_dir / options['glob']}"
        violations.append(Violation("/io/input/files/glob", "input_missing", detail))
    return {}


def _output_check(run: RunFile, violations: list[Violation]) -> None:
    kind, options = next(iter(run.output.items()))
    for key in ("path", "dir"):
        value = options.get(key)
        if value is not None and not inside(value):
            at = f"/io/output/{kind}/{key}"
            violations.append(Violation(at, "outside_output", f"{value!r} must stay inside the run's output folder"))


def inside(path: Any) -> bool:
    """Is this a relative path that stays below its folder and is not the folder itself?"""
    if not isinstance(path, str) or "\0" in path:
        return False
    parts = Path(path).parts  # "." has none
    return bool(parts) and not Path(path).is_absolute() and ".." not in parts

"""The installed cosmos-xenna, whichever it is: what its classes have, and spec fields built into them.

Fields come and go between Xenna's versions (0.3.0 on Python 3.11 has no `serving_drain_on_close`), so nothing here
is written down twice: the attrs classes are asked. A field that the installed version does not have is a violation,
never a TypeError at run time.
"""

from __future__ import annotations

import importlib.metadata
import math
import os
import platform
from typing import Any

from qd_runner import __version__, convert, schema
from qd_runner.spec import RunFile, StageEntry, Violation, stage_field_name

# What the runner decides itself; `/io/output` and `/execution_mode` are where a spec says these.
_RESERVED = {"execution_mode", "return_last_stage_outputs"}


def versions() -> dict[str, str | None]:
    def of(package: str) -> str | None:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return None

    return {
        "runner": __version__,
        "python": platform.python_version(),
        "xenna": of("cosmos-xenna"),
        "ray": of("ray"),
    }


def fields_describe(cls: type) -> dict[str, Any]:
    """{field: {type, default, schema}} of an attrs class, for editors and validators."""
    out: dict[str, Any] = {}
    for name, hint, default in schema.fields_of(cls) or []:
        plain = schema.default_json(default) if default is not schema.MISSING else None
        text = getattr(hint, "__name__", None) if isinstance(hint, type) else str(hint).replace("typing.", "")
        out[name] = {
            "type": text or str(hint),
            "default": None if plain is schema.MISSING else plain,
            "required": default is schema.MISSING,
            "schema": schema.annotation_schema(hint),
        }
    return out


def config_fields() -> dict[str, Any]:
    from cosmos_xenna.pipelines.v1 import PipelineConfig, StreamingSpecificSpec

    fields = {k: v for k, v in fields_describe(PipelineConfig).items() if k not in _RESERVED}
    if "mode_specific" in fields:
        fields["mode_specific"]["fields"] = fields_describe(StreamingSpecificSpec)
    return fields


def stage_spec_fields() -> dict[str, Any]:
    from cosmos_xenna.pipelines.v1 import StageSpec

    return {k: v for k, v in fields_describe(StageSpec).items() if k != "stage"}


def fields_build(cls: type, values: dict[str, Any], pointer: str, violations: list[Violation]) -> dict[str, Any]:
    """Typed keyword arguments for an attrs class of Xenna; every misfit goes to `violations`."""
    known = {name: hint for name, hint, _ in schema.fields_of(cls) or []}
    out: dict[str, Any] = {}
    for name, value in values.items():
        at = f"{pointer}/{convert.escape(name)}"
        if name not in known:
            version = versions()["xenna"]
            violations.append(
                Violation(at, "unknown_field", f"the installed cosmos-xenna {version} has no {cls.__name__}.{name}")
            )
            continue
        try:
            out[name] = convert.value_convert(known[name], value, at)
        except convert.ConvertError as error:
            code = error.code
            detail = error.detail
            if code == "unknown_param":
                code, detail = "unknown_field", f"the installed cosmos-xenna {versions()['xenna']}: {error.detail}"
            violations.append(Violation(error.pointer, code, detail))
    return out


def config_build(run: RunFile, violations: list[Violation]) -> Any:
    """Xenna's PipelineConfig of this run, or None where `violations` says why not."""
    from cosmos_xenna.pipelines.v1 import ExecutionMode, PipelineConfig

    before = len(violations)
    values = dict(run.config)
    for name in _RESERVED & values.keys():
        said = "spec.execution_mode" if name == "execution_mode" else "spec.io.output"
        violations.append(Violation(f"/config/{name}", "reserved_field", f"{name} follows from {said}"))
        del values[name]
    arguments = fields_build(PipelineConfig, values, "/config", violations)
    known = {name for name, _, _ in schema.fields_of(PipelineConfig) or []}
    mode = getattr(ExecutionMode, run.mode.upper(), None)
    if mode is None:
        version = versions()["xenna"]
        detail = f"the installed cosmos-xenna {version} has no {run.mode} mode"
        violations.append(Violation("/execution_mode", "unsupported_mode", detail))
    if len(violations) > before:
        return None
    arguments["execution_mode"] = mode
    arguments["return_last_stage_outputs"] = run.mode != "serving" and "none" not in run.output
    if "monitoring_verbosity_level" not in arguments and "monitoring_verbosity_level" in known:
        # Xenna's tables say what the progress events already say; its other log lines stay.
        from cosmos_xenna.pipelines.v1 import VerbosityLevel

        arguments["monitoring_verbosity_level"] = VerbosityLevel.NONE
    if run.mode == "serving" and "serving_drain_on_close" in known:
        arguments.setdefault("serving_drain_on_close", True)
    try:
        config = PipelineConfig(**arguments)
        if hasattr(config, "validate_serving_close_options"):
            config.validate_serving_close_options()
    except Exception as error:
        violations.append(Violation("/config", "invalid_value", f"{type(error).__name__}: {error}"))
        return None
    return config


def stage_spec_build(entry: StageEntry, stage: Any, violations: list[Violation]) -> Any:
    from cosmos_xenna.pipelines.v1 import StageSpec

    before = len(violations)
    arguments = fields_build(StageSpec, entry.settings, entry.pointer, violations)
    for index in range(before, len(violations)):  # pointers speak the pipeline spec's names
        v = violations[index]
        last = v.pointer.rsplit("/", 1)[-1]
        pointer = v.pointer[: len(v.pointer) - len(last)] + stage_field_name(last)
        violations[index] = Violation(pointer, v.code, v.detail)
    for name in ("num_workers", "num_setup_attempts_python", "num_run_attempts_python", "slots_per_actor"):
        value = arguments.get(name)
        if value is not None and value < 1:
            at = f"{entry.pointer}/{stage_field_name(name)}"
            violations.append(Violation(at, "invalid_value", f"must be at least 1, got {value}"))
    if arguments.get("num_workers") is not None and arguments.get("num_workers_per_node") is not None:
        at = f"{entry.pointer}/workers_per_node"
        violations.append(Violation(at, "invalid_value", "give workers or workers_per_node, not both"))
    if len(violations) > before:
        return None
    try:
        return StageSpec(stage=stage, **arguments)
    except Exception as error:
        violations.append(Violation(entry.pointer, "invalid_value", f"{type(error).__name__}: {error}"))
        return None


def resources_of(value: Any) -> dict[str, float]:
    return {"cpus": float(getattr(value, "cpus", 0.0) or 0.0), "gpus": float(getattr(value, "gpus", 0) or 0)}


def ray_cpus() -> int:
    """How many CPUs an own Ray on this machine has (Ray looks at cgroups, not only at the machine)."""
    try:
        from ray._private.utils import get_num_cpus

        return int(get_num_cpus())
    except Exception:  # a private function: its absence must not break validation
        return os.cpu_count() or 1


def usable_cpus(cpu_allocation_percentage: float) -> int:
    """Xenna's own rule: floor(node CPUs × percentage). Two cores at 0.95 are one CPU."""
    return max(0, math.floor(ray_cpus() * cpu_allocation_percentage))

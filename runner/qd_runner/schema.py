"""From a Python signature to a JSON Schema of its keyword arguments, with docs and defaults.

The schema is what a form and a validator need and no more. An annotation this module does not
know accepts anything: refusing what Python would take is worse than letting the constructor decide
(`check` really calls it).
"""

from __future__ import annotations

import collections.abc
import dataclasses
import enum
import inspect
import math
import pathlib
import re
import types
import typing
from typing import Any

_SCALARS: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
}
_LISTS = (list, tuple, set, frozenset, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection)
_MAPPINGS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
MISSING = object()
_under_way: list[type] = []  # classes whose schema is being made


def fields_of(cls: type) -> list[tuple[str, Any, Any]] | None:
    """(name, annotation, default or MISSING) of a dataclass or attrs class, None for others."""
    hints = _hints(cls)
    if dataclasses.is_dataclass(cls):
        out = []
        for f in dataclasses.fields(cls):
            if f.init:
                made = _made(f.default_factory) if f.default_factory is not dataclasses.MISSING else MISSING
                default = f.default if f.default is not dataclasses.MISSING else made
                out.append((f.name, hints.get(f.name, Any), default))
        return out
    if hasattr(cls, "__attrs_attrs__"):
        import attrs

        out = []
        for a in attrs.fields(cls):
            if a.init:
                default: Any = a.default
                if a.default is attrs.NOTHING:
                    default = MISSING
                elif isinstance(a.default, attrs.Factory):  # type: ignore[arg-type]
                    default = MISSING if a.default.takes_self else _made(a.default.factory)
                out.append((a.alias or a.name, hints.get(a.name, Any), default))
        return out
    return None


def _made(factory: Any) -> Any:
    """What a default factory makes; where it cannot here, something that is there and has no JSON."""
    try:
        return factory()
    except Exception:  # the user's own, which may want a machine like the one it runs on
        return object()


def _hints(target: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(target)
    except Exception:  # an annotation that does not resolve here still has a usable name
        return dict(getattr(target, "__annotations__", {}))


def annotation_schema(annotation: Any) -> dict[str, Any]:
    if annotation in (Any, inspect.Parameter.empty, object):
        return {}
    try:
        if annotation in _SCALARS:
            return dict(_SCALARS[annotation])
    except TypeError:
        return {}
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return annotation_schema(args[0])
    if origin in (typing.Union, types.UnionType):
        options = [annotation_schema(a) for a in args]
        return {"anyOf": options} if all(options) else {}
    if origin is typing.Literal:
        return {"enum": list(args)}
    if origin in _LISTS or annotation in _LISTS:
        return _list_schema(origin or annotation, args)
    if origin in _MAPPINGS or annotation in _MAPPINGS:
        schema: dict[str, Any] = {"type": "object"}
        if len(args) == 2 and annotation_schema(args[1]):
            schema["additionalProperties"] = annotation_schema(args[1])
        return schema
    if isinstance(annotation, type):
        return _class_schema(annotation)
    return {}


def _list_schema(origin: Any, args: tuple[Any, ...]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "array"}
    if origin is tuple and args and args[-1] is not Ellipsis:
        schema |= {"prefixItems": [annotation_schema(a) for a in args], "minItems": len(args), "maxItems": len(args)}
    elif args and annotation_schema(args[0]):
        schema["items"] = annotation_schema(args[0])
    if origin in (set, frozenset):
        schema["uniqueItems"] = True
    return schema


def _class_schema(cls: type) -> dict[str, Any]:
    if issubclass(cls, enum.Enum):
        return {"enum": [enum_json(member) for member in cls]}
    if issubclass(cls, pathlib.PurePath):
        return {"type": "string", "format": "path"}
    fields = fields_of(cls)
    if fields is None:
        return {}
    if cls in _under_way:
        return {"type": "object"}  # it holds itself: what is deeper is left to the constructor
    _under_way.append(cls)
    try:
        return object_schema([(name, hint, default, None) for name, hint, default in fields], extra=False)
    finally:
        _under_way.pop()


def enum_json(member: enum.Enum) -> Any:
    """How an enum member is written in JSON: its value where that is a JSON scalar, else its name."""
    value = member.value
    plain = isinstance(value, str | int | bool) or (isinstance(value, float) and math.isfinite(value))
    return value if plain else member.name


def object_schema(entries: list[tuple[str, Any, Any, str | None]], *, extra: bool) -> dict[str, Any]:
    """The schema of an object from (name, annotation, default or MISSING, description)."""
    properties: dict[str, Any] = {}
    required = []
    for name, hint, default, description in entries:
        schema = annotation_schema(hint)
        if default is MISSING:
            required.append(name)
        else:
            plain = default_json(default)
            if plain is not MISSING:
                schema["default"] = plain
        if description:
            schema["description"] = description
        properties[name] = schema
    out: dict[str, Any] = {"type": "object", "properties": properties, "required": required}
    if not extra:
        out["additionalProperties"] = False
    return out


def default_json(value: Any) -> Any:
    """The default as JSON, or MISSING where it has none."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if value == value and value not in (float("inf"), float("-inf")) else MISSING
    if isinstance(value, enum.Enum):
        return enum_json(value)
    if isinstance(value, pathlib.PurePath):
        return str(value)
    if isinstance(value, list | tuple | set | frozenset):
        items = [default_json(v) for v in value]
        return MISSING if MISSING in items else items
    if isinstance(value, dict):
        plain = {str(k): default_json(v) for k, v in value.items()}
        return MISSING if MISSING in plain.values() else plain
    return MISSING


def signature_schema(target: Any, doc: str | None = None) -> dict[str, Any]:
    """The schema of a class's __init__ or a function's keyword arguments."""
    function = target.__init__ if isinstance(target, type) else target
    if isinstance(target, type) and target.__init__ is object.__init__:
        return {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):
        return {"type": "object"}
    hints = _hints(function)
    described = doc_parameters(doc or inspect.getdoc(target)) | doc_parameters(inspect.getdoc(function))
    entries: list[tuple[str, Any, Any, str | None]] = []
    extra = False
    parameters = list(signature.parameters.values())
    for parameter in parameters[1:] if isinstance(target, type) else parameters:
        if parameter.kind is parameter.VAR_KEYWORD:
            extra = True
        elif parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            default = MISSING if parameter.default is parameter.empty else parameter.default
            hint = hints.get(parameter.name, parameter.annotation)
            entries.append((parameter.name, hint, default, described.get(parameter.name)))
    return object_schema(entries, extra=extra)


def doc_parameters(doc: str | None) -> dict[str, str]:
    """Parameter descriptions of a Google (`Args:`) or NumPy (`Parameters` underlined) docstring."""
    if not doc:
        return {}
    lines = inspect.cleandoc(doc).splitlines()
    for index, line in enumerate(lines):
        if line.strip() in ("Args:", "Arguments:", "Parameters:"):
            return _google(lines[index + 1 :])
        if line.strip() == "Parameters" and index + 1 < len(lines) and set(lines[index + 1].strip()) == {"-"}:
            return _numpy(lines[index + 2 :])
    return {}


def _google(lines: list[str]) -> dict[str, str]:
    out: dict[str, str] = {}
    name, indent = None, None
    for line in lines:
        if not line.strip():
            continue
        depth = len(line) - len(line.lstrip())
        if depth == 0:
            break
        match = re.match(r"^\*{0,2}(\w+)\s*(\([^)]*\))?\s*:\s*(.*)$", line.strip())
        if match and (indent is None or depth <= indent):
            name, indent = match.group(1), depth
            out[name] = match.group(3).strip()
        elif name:
            out[name] = f"{out[name]} {line.strip()}".strip()
    return out


def _numpy(lines: list[str]) -> dict[str, str]:
    out: dict[str, str] = {}
    name = None
    for index, line in enumerate(lines):
        underlined = index + 1 < len(lines) and lines[index + 1].strip() and set(lines[index + 1].strip()) == {"-"}
        if underlined:
            break
        if line and not line[0].isspace():
            name = line.split(":")[0].strip()
            out[name] = ""
        elif name and line.strip():
            out[name] = f"{out[name]} {line.strip()}".strip()
    return out

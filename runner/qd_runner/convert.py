"""JSON values to the types a signature asks for (Path, Enum, dataclass, attrs, tuple, set, …).

A value that does not fit raises `ConvertError` with a JSON pointer below the parameter; a value under an unknown
annotation is passed as it is.
"""

from __future__ import annotations

import collections.abc
import enum
import inspect
import pathlib
import types
import typing
from typing import Any

from qd_runner import schema


class ConvertError(Exception):
    def __init__(self, pointer: str, code: str, detail: str) -> None:
        super().__init__(detail)
        self.pointer = pointer
        self.code = code
        self.detail = detail


def escape(part: str) -> str:
    """One JSON pointer segment."""
    return part.replace("~", "~0").replace("/", "~1")


def arguments_convert(target: Any, params: dict[str, Any]) -> tuple[dict[str, Any], list[ConvertError]]:
    """Keyword arguments for `target` and every reason why they do not fit, with pointers like `/threshold`."""
    function = target.__init__ if isinstance(target, type) else target
    if isinstance(target, type) and target.__init__ is object.__init__:
        signature_parameters: list[inspect.Parameter] = []
    else:
        try:
            signature_parameters = list(inspect.signature(function).parameters.values())
        except (ValueError, TypeError):
            return dict(params), []
        if isinstance(target, type):
            signature_parameters = signature_parameters[1:]
    hints = schema._hints(function)
    named = {p.name: p for p in signature_parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in signature_parameters)
    out: dict[str, Any] = {}
    errors: list[ConvertError] = []
    for name, value in params.items():
        if name not in named:
            if takes_any:
                out[name] = value
            else:
                known = ", ".join(named) or "no parameters"
                errors.append(
                    ConvertError(f"/{escape(name)}", "unknown_param", f"no parameter {name!r}: takes {known}")
                )
            continue
        try:
            out[name] = value_convert(hints.get(name, named[name].annotation), value, f"/{escape(name)}")
        except ConvertError as error:
            errors.append(error)
    for name, parameter in named.items():
        if parameter.default is parameter.empty and name not in params:
            errors.append(ConvertError(f"/{escape(name)}", "missing_param", f"parameter {name!r} is required"))
    return out, errors


def value_convert(annotation: Any, value: Any, pointer: str) -> Any:
    if annotation in (Any, inspect.Parameter.empty, object) or isinstance(annotation, str | typing.TypeVar):
        return value
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return value_convert(args[0], value, pointer)
    if origin in (typing.Union, types.UnionType):
        return _union(annotation, args, value, pointer)
    if origin is typing.Literal:
        if not any(value == a and type(value) is type(a) for a in args):
            raise _mismatch(pointer, "one of " + ", ".join(map(repr, args)), value)
        return value
    if annotation is None or annotation is type(None):
        if value is not None:
            raise _mismatch(pointer, "null", value)
        return None
    container = origin or annotation
    if container in schema._LISTS:
        return _sequence(container, args, value, pointer)
    if container in schema._MAPPINGS:
        if not isinstance(value, dict):
            raise _mismatch(pointer, "an object", value)
        hint = args[1] if len(args) == 2 else Any
        return {k: value_convert(hint, v, f"{pointer}/{escape(str(k))}") for k, v in value.items()}
    return _plain(annotation, value, pointer) if isinstance(annotation, type) else value


def _union(annotation: Any, args: tuple[Any, ...], value: Any, pointer: str) -> Any:
    first: ConvertError | None = None
    # An exact fit before a widening one: `int | float` must keep 3 an int and `float | int` too.
    for hint in sorted(args, key=lambda a: not (isinstance(a, type) and type(value) is a)):
        try:
            return value_convert(hint, value, pointer)
        except ConvertError as error:
            if first is None or len(error.pointer) > len(first.pointer):
                first = error
    if first is not None and first.pointer != pointer:
        raise first
    raise _mismatch(pointer, " or ".join(_name(a) for a in args), value)


def _sequence(container: Any, args: tuple[Any, ...], value: Any, pointer: str) -> Any:
    if not isinstance(value, list | tuple):
        raise _mismatch(pointer, "a list", value)
    if container is tuple and args and args[-1] is not Ellipsis:
        if len(args) != len(value):
            raise _mismatch(pointer, f"a list of {len(args)}", value)
        return tuple(value_convert(a, v, f"{pointer}/{i}") for i, (a, v) in enumerate(zip(args, value, strict=True)))
    hint = args[0] if args else Any
    items = [value_convert(hint, v, f"{pointer}/{i}") for i, v in enumerate(value)]
    concrete = container if isinstance(container, type) and container in (tuple, set, frozenset) else list
    try:
        return concrete(items)
    except TypeError as error:
        raise ConvertError(pointer, "type_mismatch", str(error)) from error


def _plain(cls: type, value: Any, pointer: str) -> Any:
    if cls is bool or cls is str:
        if not isinstance(value, cls):
            raise _mismatch(pointer, _name(cls), value)
        return value
    if cls is int:
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise _mismatch(pointer, "an integer", value)
        return value
    if cls is float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise _mismatch(pointer, "a number", value)
        return float(value)
    if issubclass(cls, enum.Enum):
        if isinstance(value, cls):
            return value
        for member in cls:
            if value == schema.enum_json(member) or value == member.name:
                return member
        raise _mismatch(pointer, "one of " + ", ".join(repr(schema.enum_json(m)) for m in cls), value)
    if issubclass(cls, pathlib.PurePath):
        if not isinstance(value, str):
            raise _mismatch(pointer, "a path", value)
        return cls(value)
    fields = schema.fields_of(cls)
    if fields is not None and not isinstance(value, cls):
        return _record(cls, fields, value, pointer)
    return value


def _record(cls: type, fields: list[tuple[str, Any, Any]], value: Any, pointer: str) -> Any:
    if not isinstance(value, collections.abc.Mapping):
        raise _mismatch(pointer, f"an object ({cls.__name__})", value)
    hints = {name: hint for name, hint, _ in fields}
    for name in value:
        if name not in hints:
            known = ", ".join(hints)
            raise ConvertError(f"{pointer}/{escape(name)}", "unknown_param", f"{cls.__name__} has no {name!r}: {known}")
    for name, _, default in fields:
        if default is schema.MISSING and name not in value:
            raise ConvertError(f"{pointer}/{escape(name)}", "missing_param", f"{cls.__name__} needs {name!r}")
    arguments = {k: value_convert(hints[k], v, f"{pointer}/{escape(k)}") for k, v in value.items()}
    try:
        return cls(**arguments)
    except Exception as error:
        raise ConvertError(pointer, "invalid_value", f"{cls.__name__}: {type(error).__name__}: {error}") from error


def _name(annotation: Any) -> str:
    names = {str: "a string", bool: "true or false", int: "an integer", float: "a number", type(None): "null"}
    try:
        return names.get(annotation) or getattr(annotation, "__name__", str(annotation))
    except TypeError:
        return str(annotation)


def _mismatch(pointer: str, wanted: str, value: Any) -> ConvertError:
    from qd_runner.protocol import preview

    return ConvertError(pointer, "type_mismatch", f"expected {wanted}, got {preview(value, 80)}")

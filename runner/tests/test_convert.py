"""Typed parameters from JSON values. No Xenna."""

from __future__ import annotations

import dataclasses
import enum
import pathlib
from typing import Any, Literal

import pytest

from qd_runner.convert import ConvertError, arguments_convert, value_convert
from qd_runner.schema import doc_parameters, signature_schema


class Mode(enum.Enum):
    FAST = 1
    SAFE = object()


@dataclasses.dataclass
class Inner:
    size: int
    tags: set[str] = dataclasses.field(default_factory=set)


@pytest.mark.parametrize(
    ("annotation", "value", "wanted"),
    [
        (float, 3, 3.0),
        (int, 3.0, 3),
        (pathlib.Path, "/a/b", pathlib.Path("/a/b")),
        (Mode, 1, Mode.FAST),
        (Mode, "SAFE", Mode.SAFE),
        (Literal["a", 1], 1, 1),
        (int | float, 3, 3),
        (float | None, None, None),
        (list[pathlib.Path], ["a"], [pathlib.Path("a")]),
        (tuple[int, str], [1, "a"], (1, "a")),
        (dict[str, float], {"a": 1}, {"a": 1.0}),
        (Inner, {"size": 2, "tags": ["x"]}, Inner(2, {"x"})),
        (Any, {"as": "is"}, {"as": "is"}),
        (object, 3, 3),
    ],
)
def test_fits(annotation, value, wanted):
    made = value_convert(annotation, value, "")
    assert made == wanted
    assert type(made) is type(wanted)


@pytest.mark.parametrize(
    ("annotation", "value", "pointer", "code"),
    [
        (int, True, "/p", "type_mismatch"),
        (bool, 1, "/p", "type_mismatch"),
        (str, 3, "/p", "type_mismatch"),
        (Literal[1], True, "/p", "type_mismatch"),
        (list[int], [1, "x"], "/p/1", "type_mismatch"),
        (list[Inner] | None, [{"size": "x"}], "/p/0/size", "type_mismatch"),
        (Inner, {"size": 1, "sizes": 2}, "/p/sizes", "unknown_param"),
        (Inner, {}, "/p/size", "missing_param"),
    ],
)
def test_does_not_fit(annotation, value, pointer, code):
    with pytest.raises(ConvertError) as caught:
        value_convert(annotation, value, "/p")
    assert (caught.value.pointer, caught.value.code) == (pointer, code)


def test_all_errors_of_a_call_are_collected():
    def function(a: int, b: str = "x") -> None: ...

    made, errors = arguments_convert(function, {"b": 3, "c/d": 1})
    assert made == {}
    assert {e.pointer: e.code for e in errors} == {
        "/b": "type_mismatch",
        "/c~1d": "unknown_param",
        "/a": "missing_param",
    }


def test_numpy_docstrings_are_read():
    doc = """Does it.

    Parameters
    ----------
    size : int
        How big,
        in metres.
    name
        What it is called.

    Returns
    -------
    None
    """
    assert doc_parameters(doc) == {"size": "How big, in metres.", "name": "What it is called."}


def test_a_default_without_json_form_is_left_out():
    def function(a: object = object(), b: float = float("inf")) -> None: ...

    assert signature_schema(function)["properties"] == {"a": {}, "b": {"type": "number"}}
    assert signature_schema(function)["required"] == []

"""`describe`: good and bad classes, whatever they do on import. Real Xenna, no Ray."""

from __future__ import annotations

import textwrap

import pytest
from conftest import command

CODE = """
    import atexit, dataclasses, enum, pathlib, sys, threading
    from typing import Any, Literal, Optional
    import cosmos_xenna.pipelines.v1 as px

    print("printed on import")

    class Colour(enum.Enum):
        RED = "red"
        BLUE = "blue"

    @dataclasses.dataclass
    class Options:
        depth: int
        names: list[str] = dataclasses.field(default_factory=list)

    class Good(px.Stage):
        '''Does something.

        Args:
            path: Where it is.
            colour: Which one,
                of two.
        '''
        def __init__(self, path: pathlib.Path, colour: Colour = Colour.RED, options: Optional[Options] = None,
                     share: float = 0.5, kind: Literal["a", "b"] = "a", anything: Any = None, *, many: bool = False):
            self._batch = 4
        @property
        def stage_batch_size(self): return self._batch
        @property
        def required_resources(self): return px.Resources(cpus=0.25, gpus=0)
        def process_data(self, in_data): return in_data

    class Open(Good):
        def __init__(self, **kwargs): pass

    class Half(px.Stage):
        @property
        def required_resources(self): return px.Resources(cpus=1)

    class Arity(Good):
        def process_data(self): return []

    class Bound(enum.Enum):
        SOME = 1.5
        NONE = float("inf")

    @dataclasses.dataclass
    class Tree:
        leaves: list["Tree"]
        root: str = dataclasses.field(default_factory=lambda: {}["not here"])

    class Unusual(Good):
        def __init__(self, tree: Tree, bound: Bound = Bound.NONE): pass
        @property
        def stage_batch_size(self): sys.exit("not now")

    atexit.register(print, "printed at exit")
    threading.Thread(target=threading.Event().wait).start()

    def numbers(count: int, start: int = 0) -> list[int]: return list(range(start, count))
"""


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    folder = tmp_path_factory.mktemp("code")
    (folder / "good.py").write_text(textwrap.dedent(CODE), encoding="utf-8")
    (folder / "raises.py").write_text("import json\njson.loads('{')\n", encoding="utf-8")
    (folder / "exits.py").write_text("import sys\nsys.exit(7)\n", encoding="utf-8")
    good = ",".join(f"good:{name}" for name in ("Good", "Unusual", "Open", "Half", "Arity", "Missing", "Colour"))
    classes = f"{good},raises:A,exits:A,nowhere:A,not a path"
    arguments = ["--code", str(folder), "--classes", classes, "--callables", "good:numbers,good:Colour.RED"]
    return command("describe", *arguments)


def test_a_good_class_is_described_with_its_parameters(described):
    good = described[0]["classes"]["good:Good"]
    properties = good["params"]["schema"]["properties"]
    assert good["ok"]
    assert good["name"] == "Good"
    assert good["resources"] == {"cpus": 0.25, "gpus": 0.0}
    assert good["batch_size"] is None  # depends on __init__, which describe does not run
    assert properties["path"] == {"type": "string", "format": "path", "description": "Where it is."}
    assert properties["colour"] == {"enum": ["red", "blue"], "default": "red", "description": "Which one, of two."}
    assert properties["options"]["anyOf"][0]["required"] == ["depth"]
    assert properties["share"] == {"type": "number", "default": 0.5}
    assert properties["kind"] == {"enum": ["a", "b"], "default": "a"}
    assert properties["anything"] == {"default": None}
    assert good["params"]["schema"]["required"] == ["path"]
    assert good["params"]["schema"]["additionalProperties"] is False
    assert "additionalProperties" not in described[0]["classes"]["good:Open"]["params"]["schema"]


def test_what_has_no_plain_schema_is_left_to_the_constructor(described):
    unusual = described[0]["classes"]["good:Unusual"]
    properties = unusual["params"]["schema"]["properties"]
    assert properties["bound"] == {"enum": [1.5, "NONE"], "default": "NONE"}
    assert properties["tree"]["properties"]["leaves"] == {"type": "array", "items": {"type": "object"}}
    assert properties["tree"]["required"] == ["leaves"]
    assert unusual["batch_size"] is None


@pytest.mark.parametrize(
    ("path", "code", "said"),
    [
        ("good:Half", "abstract", "process_data"),
        ("good:Arity", "arity", "in_data"),
        ("good:Missing", "not_found", "Missing"),
        ("good:Colour", "not_a_stage", "Colour"),
        ("raises:A", "import_error", "JSONDecodeError"),
        ("exits:A", "import_error", "SystemExit"),
        ("nowhere:A", "import_error", "nowhere"),
        ("not a path", "bad_path", "package.module:Name"),
    ],
)
def test_a_bad_class_says_why(described, path, code, said):
    found = described[0]["classes"][path]
    assert (found["ok"], found["code"]) == (False, code)
    assert said in found["detail"]


def test_an_import_error_carries_the_users_frames(described):
    text = described[0]["classes"]["raises:A"]["traceback"]
    assert "raises.py" in text
    assert "importlib" not in text


def test_the_users_prints_go_to_stderr(described):
    assert "printed on import" in described[1]


def test_callables_and_the_installed_fields(described):
    answer = described[0]
    assert answer["callables"]["good:numbers"]["params"]["schema"]["required"] == ["count"]
    assert answer["callables"]["good:Colour.RED"]["code"] == "not_callable"
    assert answer["config_fields"]["slots_per_actor"]["default"] == 2
    assert "autoscale_interval_s" in answer["config_fields"]["mode_specific"]["fields"]
    assert "num_workers" in answer["stage_spec_fields"]
    assert "execution_mode" not in answer["config_fields"]

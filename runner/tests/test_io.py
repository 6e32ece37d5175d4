"""Inputs and outputs of a run. No Xenna, no Ray."""

from __future__ import annotations

import dataclasses
import json

import pytest
from conftest import run_file, stage

from qd_runner.sinks import OutputError, results_write
from qd_runner.sources import InputError, items_load
from qd_runner.spec import run_file_parse


def parsed(folder, **io):
    return run_file_parse(run_file(folder, "streaming", [stage("Pass")], io=io))


def test_a_glob_gives_sorted_absolute_paths(tmp_path):
    for name in ("b.txt", "a.txt", "c.md"):
        (tmp_path / name).write_text(name)
    (tmp_path / "d.txt").mkdir()
    run = parsed(tmp_path, input={"files": {"glob": "*.txt"}})
    assert items_load(run, {}) == [str(tmp_path / "a.txt"), str(tmp_path / "b.txt")]


def test_a_bad_json_line_is_named(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"a": 1}\n\n{"a": \n')
    run = parsed(tmp_path, input={"jsonl": {"path": "in.jsonl"}})
    with pytest.raises(InputError, match=r"in.jsonl line 3"):
        items_load(run, {})


@dataclasses.dataclass
class Record:
    name: str
    content: bytes = b"x"


def test_jsonl_appears_whole(tmp_path):
    run = parsed(tmp_path, input={"items": []}, output={"jsonl": {"path": "deep/out.jsonl"}})
    files = results_write(run, [{"a": "ü"}, Record("n"), {3, 1}])
    text = (tmp_path / "output/deep/out.jsonl").read_text(encoding="utf-8")
    assert [json.loads(line) for line in text.splitlines()] == [{"a": "ü"}, {"name": "n", "content": "eA=="}, [1, 3]]
    assert files.to_json() == {
        "files": [{"path": "deep/out.jsonl", "bytes": len(text.encode()), "items": 3}],
        "files_total": 1,
        "bytes_total": len(text.encode()),
    }
    with pytest.raises(OutputError, match=r"result 1 cannot be written as JSON: a object"):
        results_write(run, [1, object()])
    assert (tmp_path / "output/deep/out.jsonl").read_text(encoding="utf-8") == text


@pytest.mark.parametrize("name", ["../up", "/etc/x", "", ".", "./", "a/../../b", "nul\0"])
def test_a_files_name_stays_inside(tmp_path, name):
    run = parsed(tmp_path, input={"items": []}, output={"files": {"dir": "f"}})
    with pytest.raises(OutputError, match="leaves the output folder"):
        results_write(run, [{"name": name, "content": "x"}])


def test_files(tmp_path):
    run = parsed(tmp_path, input={"items": []}, output={"files": {"dir": "f", "content_field": "body"}})
    files = results_write(run, [{"name": "a/b.txt", "body": "ü"}, {"name": "c.json", "body": {"x": 1}}])
    assert [f["path"] for f in files.files] == ["f/a/b.txt", "f/c.json"]
    assert (tmp_path / "output/f/c.json").read_text() == '{"x": 1}'
    with pytest.raises(OutputError, match="already written"):
        results_write(run, [{"name": "a", "body": "1"}, {"name": "./a", "body": "2"}])
    assert (tmp_path / "output/f/a/b.txt").exists()


@pytest.mark.parametrize("output", [{"files": {"dir": "."}}, {"files": {"dir": "./"}}, {"jsonl": {"path": "."}}])
def test_the_output_folder_itself_is_never_replaced(tmp_path, output):
    kept = tmp_path / "output" / "kept"
    kept.parent.mkdir()
    kept.write_text("x")
    run = parsed(tmp_path, input={"items": []}, output=output)
    with pytest.raises(OutputError, match="leaves the output folder"):
        results_write(run, [{"name": "a", "content": "x"}])
    assert kept.exists()


def test_of_very_many_files_the_first_are_named_and_all_are_counted(tmp_path):
    run = parsed(tmp_path, input={"items": []}, output={"files": {"dir": "f"}})
    told = results_write(run, [{"name": f"{n}.txt", "content": "xy"} for n in range(1000)]).to_json()
    assert (told["files_total"], told["bytes_total"]) == (1000, 2000)
    assert [f["path"] for f in told["files"]] == [f"f/{n}.txt" for n in range(100)]


class Awkward:
    @property
    def tolist(self):
        raise RuntimeError("not today")


def test_whatever_keeps_a_result_from_being_json_names_the_result(tmp_path):
    run = parsed(tmp_path, input={"items": []}, output={"jsonl": {"path": "out.jsonl"}})
    endless: list = []
    endless.append({1: endless})
    for item, said in ((Awkward(), "RuntimeError: not today"), (endless, "Circular reference")):
        with pytest.raises(OutputError, match=f"result 0 cannot be written as JSON: {said}"):
            results_write(run, [item])


def test_half_a_character_does_not_cost_the_results(tmp_path):
    run = parsed(tmp_path, input={"items": []}, output={"jsonl": {"path": "out.jsonl"}})
    results_write(run, ["caf\udce9"])
    assert json.loads((tmp_path / "output/out.jsonl").read_text(encoding="utf-8")) == "caf\udce9"

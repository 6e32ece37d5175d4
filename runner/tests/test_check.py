"""`check`: every violation at once, with pointers into the run file. Real Xenna, no Ray."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import command, run_file, stage


def check(folder: Path, spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    path = folder / "spec.json"
    path.write_text(json.dumps(spec), encoding="utf-8")
    return {v["pointer"]: v for v in command("check", "--spec", str(path))[0]["violations"]}


def test_a_good_run_file_has_no_violations(tmp_path):
    stages = [stage("Pass", {"say": "x", "seconds": 1}, setup_attempts=2, resources={"cpus": 0.1, "gpus": None})]
    spec = run_file(tmp_path, "streaming", stages, 5, config={"logging_interval_s": 2, "slots_per_actor": 1})
    assert check(tmp_path, spec) == {}


def test_all_violations_come_at_once(tmp_path):
    spec = run_file(
        tmp_path,
        "streaming",
        [
            stage("Pass", {"say": 3, "colour": "red"}),
            stage("FailsOn"),
            stage("Nowhere"),
            stage("Double", workers=0, slots_per_actor="two", colour="red"),
            stage("Splits", resources={"cpus": -1, "tpus": 2}),
        ],
        5,
        config={"slots_per_actors": 2, "execution_mode": "batch", "mode_specific": {"no_such": 1}},
    )
    spec["io"]["input"]["callable"]["params"] = {"count": "five"}
    spec["io"]["output"] = {"jsonl": {"path": "../up.jsonl"}}
    found = {pointer: v["code"] for pointer, v in check(tmp_path, spec).items()}
    assert found == {
        "/stages/0/params/say": "type_mismatch",
        "/stages/0/params/colour": "unknown_param",
        "/stages/1/params/bad": "missing_param",
        "/stages/2/uses": "not_found",
        "/stages/3/workers": "invalid_value",
        "/stages/3/slots_per_actor": "type_mismatch",
        "/stages/3/colour": "unknown_field",
        "/stages/4/resources/cpus": "type_mismatch",
        "/stages/4/resources/tpus": "unknown_field",
        "/config/slots_per_actors": "unknown_field",
        "/config/execution_mode": "reserved_field",
        "/config/mode_specific/no_such": "unknown_field",
        "/io/input/callable/params/count": "type_mismatch",
        "/io/output/jsonl/path": "outside_output",
    }


def test_too_many_cpus_are_said_with_the_numbers(tmp_path):
    spec = run_file(tmp_path, "streaming", [stage("Pass", workers=9000), stage("Double", workers=1)], 5)
    violation = check(tmp_path, spec)["/stages"]
    assert violation["code"] == "not_enough_cpus"
    assert "pass 0.2 × 9000 + double 0.2 × 1 = 1800.2 CPUs" in violation["detail"]


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"execution_mode": "sideways"}, "/execution_mode", "invalid_value"),
        ({"stages": []}, "/stages", "missing"),
        ({"stages": [{"id": "a", "uses": 3}]}, "/stages/0/uses", "type_mismatch"),
        ({"io": {"input": {"files": {"glob": "a"}, "items": []}}}, "/io/input", "invalid_value"),
        ({"io": {"input": {"jsonl": {"path": "none.jsonl"}}}}, "/io/input/jsonl/path", "input_missing"),
        ({"io": {"input": {"files": {"glob": "none*"}}}}, "/io/input/files/glob", "input_missing"),
    ],
)
def test_shape(tmp_path, change, pointer, code):
    spec = run_file(tmp_path, "batch", [stage("Pass")], 5) | change
    assert check(tmp_path, spec)[pointer]["code"] == code


def test_a_constructor_that_exits_is_a_violation(tmp_path):
    spec = run_file(tmp_path, "batch", [stage("Exits")], 5)
    assert check(tmp_path, spec)["/stages/0/params"]["detail"] == "Exits(…) raised SystemExit: no licence"


@pytest.mark.parametrize("output", [{"files": {"dir": "."}}, {"jsonl": {"path": "./"}}])
def test_the_output_folder_itself_is_no_output(tmp_path, output):
    spec = run_file(tmp_path, "batch", [stage("Pass")], 5)
    spec["io"]["output"] = output
    assert [v["code"] for v in check(tmp_path, spec).values()] == ["outside_output"]


def test_serving_refuses_what_cannot_answer(tmp_path):
    spec = run_file(tmp_path, "serving", [stage("Pass"), stage("Batched")])
    assert check(tmp_path, spec)["/stages/1/batch_size"]["code"] == "serving_batch"
    spec["stages"][1]["batch_size"] = 1
    assert check(tmp_path, spec) == {}

"""What the reporting thread makes of the workers' records. No Xenna, no Ray."""

from __future__ import annotations

from typing import Any

import pytest

from qd_runner import report
from qd_runner.progress import Board, StageBoard
from qd_runner.report import Reporter
from qd_runner.spool import SpoolWriter


class Told:
    """Stands in for the events."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def send(self, type_: str, **fields: Any) -> None:
        self.send_all([{"type": type_, **fields}])

    def send_all(self, events: list[dict[str, Any]]) -> None:
        self.events += events

    def of(self, type_: str) -> list[dict[str, Any]]:
        return [e for e in self.events if e["type"] == type_]


@pytest.fixture
def reporter(tmp_path):
    told, ended = Told(), []
    board = Board([StageBoard("s", "S", "Stage 00 - S", 1, 0, 1)], 10)
    made = Reporter(told, board, tmp_path, lambda: ended.append(1))
    made.told, made.ended, made.writer = told, ended, SpoolWriter(str(tmp_path), 0)
    return made


SAID = {"exception": "ValueError", "message": "no", "traceback": "…"}
FAILURE = {"k": "f", "phase": "process_data", "batch": 3, "batch_size": 4, "item": None, "item_preview": None}
FAILURE |= SAID | {"error": "ValueError: no", "ignored": False, "replay": True}
ITEM = {"k": "i", "batch": 3, "item": 2, "item_preview": "8"} | SAID


def test_the_item_comes_with_the_failure(reporter):
    reporter.writer.write(FAILURE)
    reporter.pump()
    assert reporter.told.of("failure") == []
    reporter.writer.write(ITEM)
    reporter.pump()
    (failure,) = reporter.told.of("failure")
    assert (failure["stage"], failure["batch"], failure["item"], failure["item_preview"]) == ("s", 3, 2, "8")
    assert reporter.ended == [1]


def test_an_item_that_takes_long_is_told_after_the_failure(reporter, monkeypatch):
    monkeypatch.setattr(report, "_ITEM_WAIT_S", -1)
    reporter.writer.write(FAILURE)
    reporter.pump()
    assert [(e["batch"], e["item"]) for e in reporter.told.of("failure")] == [(3, None)]
    reporter.writer.write(ITEM | {"batch": 2})
    reporter.writer.write(ITEM)
    reporter.pump()
    first, second = reporter.told.of("failure")
    assert second == first | {"item": 2, "item_preview": "8"}
    assert reporter.ended == [1]


def test_the_end_of_the_run_waits_for_no_item(reporter):
    reporter.writer.write(FAILURE)
    reporter.failure_of(RuntimeError("Xenna's own words"))
    assert [e["message"] for e in reporter.told.of("failure")] == ["no"]


def test_dropped_lines_are_told(reporter):
    reporter.writer.write({"k": "x", "lines": 12})
    reporter.pump()
    (log,) = reporter.told.of("log")
    assert (log["st"], log["l"]) == ("s", "warning")
    assert log["m"].startswith("[12 lines")


def test_many_lines_are_sent_in_parts(reporter, monkeypatch):
    parts = []
    monkeypatch.setattr(reporter.told, "send_all", lambda events: parts.append(len(events)))
    for n in range(7000):
        reporter.writer.write({"k": "l", "t": n, "s": "stdout", "l": "info", "m": "x"})
    reporter.pump()
    assert parts == [5000, 2000]


def test_one_look_that_fails_is_not_the_last(reporter, monkeypatch, capsys):
    look = reporter.pump
    looks = iter([True])

    def pump(**how):
        if next(looks, False):
            raise RuntimeError("odd record")
        look(**how)

    monkeypatch.setattr(reporter, "pump", pump)
    reporter.writer.write(FAILURE | {"replay": False})
    reporter.start()
    for _ in range(100):
        if reporter.told.of("failure"):
            break
        reporter._stop.wait(0.05)
    reporter._stop.set()
    reporter._thread.join(5)
    assert len(reporter.told.of("failure")) == 1
    assert "odd record" in capsys.readouterr().err

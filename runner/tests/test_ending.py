"""The one way out, whatever happens on it. No Xenna, no Ray."""

from __future__ import annotations

import json
import os
import types

import pytest
from conftest import run_file, stage

from qd_runner import run
from qd_runner.progress import StageBoard
from qd_runner.run import _Ending


class Ended(BaseException):
    """In place of the process's end."""


class Host:
    stop_grace_s = 2.5

    def __init__(self, *_: object) -> None: ...

    def kill(self) -> None: ...

    def remove(self) -> None: ...


@pytest.fixture(autouse=True)
def process(monkeypatch):
    seen = types.SimpleNamespace(signals=[])

    def exit_(code: int) -> None:
        raise Ended(code)

    monkeypatch.setattr(run.os, "_exit", exit_)
    monkeypatch.setattr(run.signal, "signal", lambda number, _how: seen.signals.append(number))
    return seen


def test_what_goes_wrong_at_the_end_does_not_keep_the_process(capsys):
    host = Host()
    host.kill = lambda: 1 / 0
    with pytest.raises(Ended) as ended:
        _Ending(host).end(0)
    assert ended.value.args == (0,)
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_stop_cannot_come_between_the_lock_and_the_end(monkeypatch):
    ending = _Ending(Host())
    locked = []
    monkeypatch.setattr(run.signal, "signal", lambda *_: locked.append(ending._taken.locked()))
    with pytest.raises(Ended):
        ending.end(0)
    assert locked == [False, False]


def _main(tmp_path, monkeypatch, build) -> tuple[int, list[dict]]:
    """The exit code and the events of a run whose stages are built by `build`."""
    monkeypatch.setattr(run.check, "run_build", build)
    monkeypatch.setattr(run, "RayHost", Host)
    monkeypatch.setattr(run.loading, "code_dirs_use", lambda _dirs: None)
    read, write = os.pipe()
    monkeypatch.setenv("QD_EVENTS_FD", str(write))
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(run_file(tmp_path, "streaming", [stage("Pass")])))
    with pytest.raises(Ended) as ended:
        run.main(spec, 1, tmp_path / "attempt-1")
    os.close(write)
    with os.fdopen(read) as lines:
        return ended.value.args[0], [json.loads(line) for line in lines]


@pytest.mark.parametrize("error", [RuntimeError("nobody foresaw this"), SystemExit(0)])
def test_what_nobody_foresaw_is_a_failure(tmp_path, monkeypatch, error):
    def build(_run: object) -> None:
        raise error

    code, events = _main(tmp_path, monkeypatch, build)
    last = events[-1]
    assert code == 1
    assert (last["type"], last["phase"], last["exception"]) == ("failure", "run", type(error).__name__)


def test_a_stop_is_a_stop_whatever_is_raised_over_it(tmp_path, monkeypatch):
    endings = []
    monkeypatch.setattr(_Ending, "signals_catch", lambda self: endings.append(self))
    monkeypatch.setattr(_Ending, "_watchdog", lambda *_: None)

    def build(_run: object) -> None:
        try:
            endings[0]._stop(15, None)
        finally:
            raise RuntimeError("cannot clean up")

    code, events = _main(tmp_path, monkeypatch, build)
    assert (code, [e["type"] for e in events]) == (143, ["hello", "state"])


def test_a_stop_while_xenna_runs_is_a_stop_whatever_is_raised_over_it(tmp_path, monkeypatch):
    ending, told = _Ending(Host()), []

    def pipeline_run(*_: object) -> None:
        ending.stop_raised = True
        raise RuntimeError("cannot clean up")

    spec = types.SimpleNamespace(mode="serving", input=None, stages=[])
    built = types.SimpleNamespace(input_arguments={})
    events = types.SimpleNamespace(send=lambda kind, **_: told.append(kind))
    runner = run._Runner(spec, built, events, ending, tmp_path)
    monkeypatch.setattr(runner, "_stage_boards", lambda _specs: [StageBoard("s", "S", "Stage 00 - S", 1, 0, 1)])
    monkeypatch.setattr(runner, "_pipeline_run", pipeline_run)
    with pytest.raises(Ended) as ended:
        runner.execute()
    assert ended.value.args == (143,)
    assert "failure" not in told

"""The entrypoint of a Ray job: whatever the run says becomes records that survive Ray's way of handing logs out."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from qd_runner import job

MARK = "qd-test-1-1-0123456789ab"


@pytest.fixture
def said(tmp_path, monkeypatch):
    """Runs a program as the job's child; answers the exit code and the records of the log."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def run(program: str) -> tuple[int, list[dict]]:
        path = tmp_path / "log"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        folder = tmp_path / "job"
        folder.mkdir(exist_ok=True)
        program = "import os, sys, json\nevents = int(os.environ['QD_EVENTS_FD'])\n" + program
        code = job.Child(job.Log(fd, MARK), [sys.executable, "-c", program], folder).watch()
        assert not folder.exists()
        lines = path.read_bytes().decode("ascii").splitlines()
        records = [json.loads(line.removeprefix(f"@qd1 {MARK} ")) for line in lines]
        assert [r["n"] for r in records] == list(range(len(records)))
        return code, records

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


def test_everything_said_becomes_a_record_in_ascii(said):
    code, records = said(
        "os.write(events, json.dumps({'type': 'hello', 'ray': '…'}).encode() + b'\\n')\n"
        "line = {'type': 'log', 't': 5, 's': 'stdout', 'l': 'warning', 'st': 'a', 'm': 'é'}\n"
        "os.write(events, json.dumps(line).encode() + b'\\ncut short')\n"
        "os.write(1, b'plain\\r\\n\\nno UTF-8: \\xff\\n'); os.write(2, b'x' * 40000 + b'\\nno end')\n"
        "sys.exit(3)"
    )
    assert code == 3
    of = {k: [r for r in records if r["k"] == k] for k in ("event", "log", "out", "exit")}
    assert [r["e"]["type"] for r in of["event"]] == ["hello"]
    assert [(r["t"], r["st"], r["l"], r["m"]) for r in of["log"]] == [(5, "a", "warning", "é")]
    assert [r["m"] for r in of["out"] if r["s"] == "stdout"] == ["plain", "no UTF-8: \ufffd"]
    errors = [r["m"] for r in of["out"] if r["s"] == "stderr"]
    assert "".join(errors) == "x" * 40000 + "no end"
    assert max(map(len, errors)) <= 32_768
    assert [(r["code"], r["signal"], r["stopped"]) for r in of["exit"]] == [(3, None, False)]
    assert records[-1]["k"] == "exit"


def test_a_record_that_a_full_disk_tears_does_not_take_the_next_one_with_it(monkeypatch):
    written, room = bytearray(), [10]

    def write(_fd: int, data: memoryview) -> int:
        if room and not room[0]:
            raise OSError(28, "No space left on device")
        some = bytes(data[: room[0]] if room else data)
        written.extend(some)
        if room:
            room[0] -= len(some)
        return len(some)

    monkeypatch.setattr(job.os, "write", write)
    log = job.Log(1, MARK)
    log.record(1, {"k": "out", "s": "stdout", "m": "torn"})
    log.record(2, {"k": "out", "s": "stdout", "m": "lost"})
    room.clear()
    log.record(3, {"k": "out", "s": "stdout", "m": "whole"})
    log.record(4, {"k": "out", "s": "stdout", "m": "next"})
    torn, whole, following = bytes(written).decode("ascii").splitlines()
    assert torn == "@qd1 qd-te"
    said = [json.loads(line.removeprefix(f"@qd1 {MARK} "))["m"] for line in (whole, following)]
    assert said == ["whole", "next"]


def test_a_run_that_is_killed_is_told_with_its_signal(said):
    code, records = said("import signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert code == 128 + signal.SIGKILL
    assert (records[-1]["code"], records[-1]["signal"]) == (None, signal.SIGKILL)


def test_a_process_that_the_run_leaves_behind_does_not_hold_the_job_up(said):
    began = time.monotonic()
    code, _ = said("import subprocess; subprocess.Popen(['sleep', '30'], start_new_session=True)")
    assert code == 0
    assert time.monotonic() - began < 15


def test_a_log_at_its_limit_counts_what_it_leaves_out_and_tells_events_on(said, monkeypatch):
    monkeypatch.setattr(job, "_LOG_LIMIT", 10_000)
    _, records = said(
        "for n in range(1000): os.write(1, b'line %d\\n' % n)\n"
        "os.write(events, json.dumps({'type': 'x'}).encode() + b'\\n')"
    )
    told = sum(r["k"] == "out" for r in records)
    assert 0 < told < 1000
    assert f"{1000 - told} lines were left out" in next(r["m"] for r in records if r["k"] == "log")
    assert any(r["k"] == "event" for r in records)


def test_code_is_found_where_ray_has_unpacked_it(monkeypatch):
    monkeypatch.setattr(sys, "path", ["", "/r/py_modules_files/_ray_pkg_ab", "/r/py_modules_files/_ray_pkg_cd", "/lib"])
    resolved = job.paths_resolve({"code": ["_ray_pkg_cd", "_ray_pkg_ab"], "run": "a#1"})
    assert resolved["code"] == ["/r/py_modules_files/_ray_pkg_cd", "/r/py_modules_files/_ray_pkg_ab"]
    assert (resolved["spec_dir"], resolved["run"]) == ("/r/py_modules_files/_ray_pkg_cd", "a#1")
    assert job.paths_resolve({"code": []})["spec_dir"] == str(Path.cwd())

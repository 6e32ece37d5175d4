"""Real runs on a real Ray: counts, logs, failures, drops, stops, what is bound, what is left over."""

from __future__ import annotations

import collections
import itertools
import os
import signal
import stat
import time
from pathlib import Path

import pytest
from conftest import stage

pytestmark = pytest.mark.ray
LINES = 500


@pytest.fixture(scope="module")
def spoken(start):
    """One run that most of this module looks at."""
    run = start("streaming", [stage("Pass", {"say": "line"}), stage("Speaks"), stage("Double")], LINES)
    run.until(lambda e: e["type"] == "log" and e["st"] == "speaks")
    family = {run.process.pid, *run.left_over()}
    run.listening = {pid: pairs for pid, pairs in _listening().items() if pid in family}
    run.ray_dir_mode = stat.S_IMODE(run.ray_dir().stat().st_mode)
    run.token_mode = stat.S_IMODE((run.attempt / "ray" / "token").stat().st_mode)
    run.exit_code = run.wait()
    return run


def test_results_and_counts_are_exact(spoken):
    assert spoken.exit_code == 0, spoken.stderr()[-3000:]
    assert sorted(spoken.results()) == [2 * n for n in range(LINES)]
    result = spoken.of("result")[0]
    assert (result["outputs"], result["dropped"]) == (LINES, 0)
    assert result["files"][0]["items"] == LINES
    last = spoken.of("progress")[-1]
    assert (last["inputs_total"], last["inputs_done"], last["outputs"]) == (LINES, LINES, LINES)
    assert [(s["items_in"], s["items_out"], s["state"]) for s in last["stages"]] == [(LINES, LINES, "succeeded")] * 3
    assert spoken.events[-1]["type"] == "result"
    assert [e["state"] for e in spoken.of("state")] == ["starting", "running", "finishing"]


def test_every_printed_line_is_there_once_with_its_stage(spoken):
    assert sorted(spoken.logs("pass")) == sorted([f"line {n}" for n in range(LINES)] + ["imported stages_under_test"])
    said = collections.Counter(spoken.logs("speaks"))
    wanted = {"setup says hello", "from a subprocess", "from a descriptor"}
    if _xenna(spoken) >= (0, 5):  # 0.3.0 has no destroy()
        wanted |= {"destroy says goodbye"}
    wanted |= {f"printed {n}" for n in range(LINES)} | {f"unfinished {n}" for n in range(LINES)}
    wanted |= {f"logged {n}" for n in range(LINES)} | {f" on stderr {n}" for n in range(LINES)}
    wanted |= {"imported stages_under_test"}
    logurued = {m for m in said if "logurued" in m}
    assert len(logurued) == LINES
    assert said == collections.Counter(wanted | logurued)


def test_lines_have_level_stream_and_time(spoken):
    by_text = {e["m"]: e for e in spoken.of("log")}
    assert (by_text["printed 3"]["l"], by_text["printed 3"]["s"]) == ("info", "stdout")
    assert (by_text["logged 3"]["l"], by_text["logged 3"]["s"]) == ("warning", "stderr")
    assert next(e for m, e in by_text.items() if m.endswith("logurued 3"))["l"] == "error"
    times = [e["t"] for e in spoken.of("log") if e["m"].startswith("line ")]
    assert times == sorted(times)
    assert abs(times[0] / 1e6 - time.time()) < 600


def test_progress_comes_at_least_every_other_second(spoken):
    at = [e["_at"] for e in spoken.of("progress")]
    assert max(b - a for a, b in itertools.pairwise(at)) < 3
    seen = [s for e in spoken.of("progress") for s in e["stages"]]
    assert any(s["actors"]["ready"] == 1 for s in seen)
    assert any((s["rss_bytes"] or 0) > 10_000_000 for s in seen)


def test_nothing_listens_beyond_loopback(spoken):
    assert len(spoken.listening) > 3  # the looking works
    beyond = {pair for pairs in spoken.listening.values() for pair in pairs if pair[0] not in ("127.0.0.1", "::1")}
    assert beyond == set()


def test_the_token_is_private_and_nothing_is_left(spoken):
    assert (spoken.token_mode, spoken.ray_dir_mode) == (0o600, 0o700)
    assert spoken.left_over() == []
    assert not spoken.ray_dir().exists()
    assert not (spoken.attempt / "spool").exists()


def test_a_failure_names_stage_batch_and_item_at_once(start):
    run = start("streaming", [stage("Pass"), stage("FailsOn", {"bad": [14]}), stage("Double")], 60)
    failure = run.until(lambda e: e["type"] == "failure")
    assert run.wait() == 1
    assert (failure["stage"], failure["batch_size"], failure["item_preview"]) == ("failson", 4, "14")
    assert failure["batch"] >= 1
    assert failure["item"] in range(4)
    assert (failure["exception"], failure["message"]) == ("ValueError", "cannot work on 14")
    assert "stages_under_test.py" in failure["traceback"]
    raised = next(e for e in run.of("log") if "Got an exception in process_data" in e["m"])
    assert failure["_at"] - raised["_at"] < 3
    assert len(run.of("failure")) == 1
    assert run.of("progress")[-1]["stages"][1]["state"] == "failed"
    assert run.of("result") == []
    assert run.left_over() == []


def test_a_failure_is_told_within_five_seconds_though_its_item_takes_longer(start):
    run = start("streaming", [stage("FailsSlowly")], 8)
    raised = run.until(lambda e: e["type"] == "log" and "imported" in e["m"])
    failure = run.until(lambda e: e["type"] == "failure")
    assert failure["_at"] - raised["_at"] < 5
    assert (failure["batch_size"], failure["item"], failure["message"]) == (4, None, "no such batch")
    assert run.wait() == 1
    assert run.left_over() == []


def test_drops_are_counted_exactly_and_a_batch_run_keeps_them_apart(start):
    stages = [
        stage("Pass"),
        stage("FailsOn", {"bad": [5, 33]}, ignore_failures=True, batch_size=2),
        stage("DropsOdd"),
        stage("Splits"),
    ]
    run = start("batch", stages, 40)
    assert run.wait() == 0, run.stderr()[-3000:]
    last = run.of("progress")[-1]
    counts = [(s["items_in"], s["items_out"], s["dropped"]) for s in last["stages"]]
    assert counts[:2] == [(40, 40, 0), (40, 36, 4)]
    assert counts[2][0] == 36
    assert counts[2][1] + counts[2][2] == 36
    assert counts[3] == (counts[2][1], 2 * counts[2][1], 0)
    events = run.of("dropped")
    assert [(e["stage"], e["items"]) for e in events] == [("failson", 2)] * 2
    assert {e["error"] for e in events} == {"ValueError: cannot work on 5", "ValueError: cannot work on 33"}
    result = run.of("result")[0]
    assert (result["outputs"], result["dropped"]) == (len(run.results()), last["dropped"])


def test_a_killed_worker_costs_nothing_and_doubles_nothing(start, spoken, tmp_path):
    if _xenna(spoken) < (0, 5):
        pytest.skip("this Xenna fails a run whose worker dies")
    run = start("streaming", [stage("DiesOnce", {"item": 14, "mark": str(tmp_path / "mark")}), stage("Double")], 60)
    assert run.wait() == 0, run.stderr()[-3000:]
    assert sorted(run.results()) == [2 * n for n in range(60)]
    last = run.of("progress")[-1]
    assert [(s["items_in"], s["items_out"]) for s in last["stages"]] == [(60, 60)] * 2
    assert run.logs("diesonce").count("about to die") == 1


def test_sigterm_stops_within_three_seconds_and_leaves_nothing(start):
    run = start("streaming", [stage("Pass", {"say": "x", "seconds": 0.2}), stage("Double")], 4000)
    run.until(lambda e: e["type"] == "log" and e["m"].startswith("x "))
    sent = time.monotonic()
    run.process.send_signal(signal.SIGTERM)
    assert run.wait() == 143
    assert time.monotonic() - sent < 4
    assert run.events[-1]["type"] == "progress"
    assert run.events[-1]["stages"][0]["items_in"] >= 0
    assert run.left_over() == []
    assert not run.ray_dir().exists()


def test_a_setup_failure_names_its_stage_and_two_runs_live_side_by_side(start):
    failing = start("streaming", [stage("NoSetup"), stage("Double")], 10)
    other = start("streaming", [stage("HangsOnDestroy", {"say": "x", "seconds": 0.2})], 4000)
    failure = failing.until(lambda e: e["type"] == "failure")
    assert (failure["stage"], failure["phase"], failure["message"]) == ("nosetup", "setup", "no model here")
    assert failing.wait() == 1
    assert failing.left_over() == []
    other.until(lambda e: e["type"] == "log" and e["m"].startswith("x "))
    sent = time.monotonic()
    other.process.send_signal(signal.SIGTERM)
    assert other.wait() == 143
    assert time.monotonic() - sent < 5
    assert other.left_over() == []


def test_a_bad_spec_exits_3_and_an_unreadable_input_1(start):
    run = start("streaming", [stage("Nowhere")], 4)
    assert run.wait() == 3
    assert run.of("failure")[0]["violations"][0]["pointer"] == "/stages/0/uses"
    run = start("streaming", [stage("Pass")], 4, io={"input": {"callable": {"uses": "sys:exit"}}, "output": None})
    assert run.wait() == 1
    assert run.of("failure")[0]["exception"] == "SystemExit"
    run = start("streaming", [stage("Pass")], 4, io={"input": {"items": []}, "output": {"none": {}}})
    assert run.wait() == 0
    assert run.of("result")[0]["outputs"] == 0


def _xenna(run) -> tuple[int, ...]:
    return tuple(int(part) for part in run.of("hello")[0]["xenna"].split(".")[:2])


def _listening() -> dict[int, set[tuple[str, int]]]:
    """What each process listens on: pid → {(address, port)}."""
    sockets: dict[str, tuple[str, int]] = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                address, port = fields[1].split(":")
                sockets[fields[9]] = (_address(address), int(port, 16))
    out: dict[int, set[tuple[str, int]]] = collections.defaultdict(set)
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                for fd in os.scandir(f"/proc/{entry.name}/fd"):
                    target = os.readlink(fd.path)  # noqa: PTH115
                    if target.startswith("socket:["):
                        found = sockets.get(target[8:-1])
                        if found:
                            out[int(entry.name)].add(found)
            except OSError:
                continue
    return out


def _address(hexed: str) -> str:
    raw = bytes.fromhex(hexed)
    words = [raw[i : i + 4][::-1] for i in range(0, len(raw), 4)]
    if len(words) == 1:
        return ".".join(map(str, words[0]))
    joined = b"".join(words)
    if joined[:12] == b"\0" * 10 + b"\xff\xff":
        return ".".join(map(str, joined[12:]))
    return "::1" if joined == b"\0" * 15 + b"\1" else joined.hex()

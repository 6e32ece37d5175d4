"""Records of another machine, fetched by its reader. Real Ray of one node, which is taken for another machine's."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.ray


@pytest.fixture
def nodes(tmp_path, monkeypatch):
    import ray

    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parent.parent))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    from qd_runner.nodes import Nodes

    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    monkeypatch.setattr(ray.util, "get_node_ip_address", lambda: "192.0.2.1")
    made = Nodes(tmp_path / "job" / "spool")
    made.start()
    yield made
    ray.shutdown()


def _write(folder: Path, number: int, lines: list[int]) -> None:
    # A worker that has ended: its segment is complete.
    path = folder / f"000-{os.getpid()}-{number:06d}.ndjson"
    path.write_text("".join(json.dumps({"k": "l", "m": n}) + "\n" for n in lines), encoding="utf-8")


def _until(nodes, count: int) -> list:
    found: list = []
    deadline = time.monotonic() + 30
    while len(found) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} records"
        found += nodes.read()
        time.sleep(0.01)
    return found


def test_each_record_of_another_machine_comes_once_and_the_last_ones_at_the_end(nodes, tmp_path):
    folder = tmp_path / "job" / "spool"
    assert folder.stat().st_mode & 0o777 == 0o700
    _write(folder, 0, list(range(12_000)))
    found = _until(nodes, 12_000)
    assert [record["m"] for _, _, record in found] == list(range(12_000))
    index, pid, _ = found[0]
    assert index == 0
    assert pid > 1 << 22, "told from the processes of this machine"

    _write(folder, 1, list(range(23_000)))
    nodes.close(within_s=20)
    assert [record["m"] for _, _, record in nodes.read()] == list(range(23_000))
    assert (list(nodes.read()), nodes.unread) == ([], [])
    assert not folder.exists()


def test_a_machine_that_is_not_read_to_the_end_is_named(nodes, monkeypatch):
    import ray

    (address,) = nodes._readers
    monkeypatch.setattr(ray, "wait", lambda calls, timeout: ([], calls))
    nodes.close(within_s=0)
    assert nodes.unread == [address]
    assert list(nodes.read()) == []

"""What workers say reaches the driver, in bounded space. No Xenna, no Ray."""

from __future__ import annotations

import os
import signal

import pytest

from qd_runner import spool, worker_files
from qd_runner.spool import SpoolReader, SpoolWriter, Tail
from qd_runner.worker_files import WorkerFiles


def line(text: str) -> dict:
    return {"k": "l", "t": 1, "s": "stdout", "l": "info", "m": text}


def read(reader: SpoolReader, **how) -> list[dict]:
    return [record for _, _, record in reader.read(**how)]


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(spool, "_SEGMENT", 1000)
    monkeypatch.setattr(spool, "_SEGMENTS", 3)


def test_what_was_read_is_removed_and_nothing_is_lost(tmp_path, small):
    writer, reader = SpoolWriter(str(tmp_path), 0), SpoolReader(tmp_path)
    got = []
    for n in range(500):
        writer.write(line(f"{n} {'x' * 50}"))
        if n % 7 == 0:
            got += read(reader)
            assert len(list(tmp_path.iterdir())) == 1
    got += read(reader)
    assert [int(r["m"].split()[0]) for r in got] == list(range(500))


def test_a_worker_that_is_not_read_keeps_a_bounded_part_and_counts_the_rest(tmp_path, small, monkeypatch):
    monkeypatch.setattr(spool, "_HELD_S", 600.0)
    writer, reader = SpoolWriter(str(tmp_path), 0), SpoolReader(tmp_path)
    for n in range(1, 1001):
        writer.write({"k": "s", "n": n})
        writer.write(line("x" * 100))
        writer.write({"k": "b", "n": n, "i": 2, "o": 1, "none": 0, "d": 0.5, "t": 1})
    writer.write({"k": "f", "ignored": False, "batch": 7})
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 4000
    got = read(reader)
    assert got[-1] == {"k": "f", "ignored": False, "batch": 7}
    writer.write(line("room again"))
    got += read(reader)
    lines, dropped = [r for r in got if r["k"] == "l"], [r["lines"] for r in got if r["k"] == "x"]
    assert dropped
    assert len(lines) - 1 + sum(dropped) == 1000
    done = [r for r in got if r["k"] == "b"]
    assert sum(r["i"] for r in done) == 2000
    assert sum(r.get("c", 1) for r in done) == 1000
    assert len(done) < 100


def test_what_is_held_back_is_told_while_there_is_no_room(tmp_path, small, monkeypatch):
    monkeypatch.setattr(spool, "_HELD_S", 0.05)
    writer = SpoolWriter(str(tmp_path), 0)
    for _ in range(100):
        writer.write(line("x" * 100))
    while writer._timer is not None:
        writer._timer.join(10)
    got = read(SpoolReader(tmp_path))
    assert sum(r["k"] == "l" for r in got) + sum(r.get("lines", 0) for r in got) == 100


def test_a_dead_workers_file_goes_and_its_number_may_come_again(tmp_path):
    reader = SpoolReader(tmp_path)
    for _ in range(3):
        child = os.fork()
        if child == 0:
            SpoolWriter(str(tmp_path), 0).write(line("last words"))
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        assert [r["m"] for r in read(reader)] == ["last words"]
        assert list(tmp_path.iterdir()) == []
    (tmp_path / f"000-{os.getpid()}-000004.ndjson").write_text("")
    SpoolWriter(str(tmp_path), 0).write(line("mine"))
    assert (tmp_path / f"000-{os.getpid()}-000005.ndjson").exists()


def test_a_forked_process_has_a_file_of_its_own(tmp_path):
    writer = SpoolWriter(str(tmp_path), 0)
    writer.write(line("parent"))
    child = os.fork()
    if child == 0:
        writer.write(line("child"))
        os._exit(0)
    os.waitpid(child, 0)
    assert len(list(tmp_path.iterdir())) == 2
    assert sorted(r["m"] for r in read(SpoolReader(tmp_path))) == ["child", "parent"]


def test_a_line_cut_by_a_full_disk_does_not_take_the_next_with_it(tmp_path, monkeypatch):
    writer = SpoolWriter(str(tmp_path), 0)
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:5]))
    writer.write(line("cut"))
    monkeypatch.setattr(os, "write", write)
    writer.write(line("whole"))
    assert [r["m"] for r in read(SpoolReader(tmp_path))] == ["whole"]


def test_a_look_is_bounded_and_a_line_without_end_is_broken(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"x" * (10 << 20))
    tail = Tail(path)
    looks = []
    while not tail.at_end:
        looks.append(sum(len(piece) for piece in tail.lines()))
    assert len(looks) >= 2
    assert max(looks) <= 6 << 20
    assert sum(looks) + sum(len(piece) for piece in tail.lines(final=True)) == 10 << 20


def test_of_a_workers_own_file_that_outgrows_the_reading_the_middle_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(worker_files, "_BEHIND_LIMIT", 1000)
    monkeypatch.setattr(worker_files, "_BEHIND_KEPT", 100)
    (tmp_path / "logs").mkdir()
    path = tmp_path / "logs" / f"worker-a-b-{os.getpid()}.out"
    path.write_text("".join(f"line {n}\n" for n in range(1000)) + "y" * 40_000 + "\n")
    monkeypatch.setattr(worker_files, "_BEHIND_KEPT", 40_100)
    got = [text for _, _, _, text in WorkerFiles(tmp_path, lambda _pid: "s").read(final=True)]
    assert "bytes were left out here" in got[0]
    assert got[1].startswith("line 99")
    assert [len(text) for text in got[-2:]] == [32_768, 40_000 - 32_768]

"""Lines, levels and threads of a worker's streams; tailing of spools. No Xenna, no Ray."""

from __future__ import annotations

import io
import logging
import threading

import pytest

from qd_runner.capture import LINE_LIMIT, LevelGuess, LineStream, _logging_levels_keep
from qd_runner.spool import SpoolReader, SpoolWriter
from qd_runner.worker_files import WorkerFiles


class Records:
    def __init__(self) -> None:
        self.all: list[dict] = []

    def write(self, record: dict) -> None:
        self.all.append(record)


@pytest.fixture
def stream():
    records = Records()
    made = LineStream(records, "stdout", io.StringIO())
    made.lines = lambda: [r["m"] for r in records.all]
    made.levels = lambda: [r["l"] for r in records.all]
    return made


def test_lines_are_whole(stream):
    print("one", "two", file=stream)
    print("three\nfour", end="", file=stream, flush=True)
    assert stream.lines() == ["one two", "three"]
    stream.line_end()
    stream.line_end()
    assert stream.lines() == ["one two", "three", "four"]


def test_carriage_returns_and_bytes(stream):
    stream.write("10%\r20%\r\ndone\n")
    stream.buffer.write("grün\n".encode())
    assert stream.lines() == ["10%", "20%", "done", "grün"]


def test_a_line_without_end_is_broken(stream):
    for _ in range(100):
        print("." * 1000, end="", file=stream)
    stream.line_end()
    assert "".join(stream.lines()) == "." * 100_000
    assert max(len(line) for line in stream.lines()) <= LINE_LIMIT
    assert len(stream.lines()) < 10


def test_threads_do_not_cut_into_each_others_lines(stream):
    gate = threading.Barrier(4)

    def speak(name: str) -> None:
        gate.wait()
        for n in range(200):
            print(name, n, file=stream)

    threads = [threading.Thread(target=speak, args=(str(i),)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(stream.lines()) == sorted(f"{i} {n}" for i in range(4) for n in range(200))


def test_muted_lines_are_not_recorded(stream):
    with stream.muted():
        print("again", file=stream)
    print("once", file=stream)
    assert stream.lines() == ["once"]


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("2026-11-20 23:41:33.071 | WARNING  | a.b:c:626 - text", "warning"),
        ("ERROR:root:text", "error"),
        ("[DEBUG] text", "debug"),
        ("2026-11-20 10:00:00,123 - mine - CRITICAL - text", "error"),
        ("an error occurred", None),
        ("INFORMATION", None),
    ],
)
def test_levels_are_read_from_their_names(line, level):
    assert LevelGuess().of(line) == level


def test_a_traceback_is_an_error_to_its_last_line():
    guess = LevelGuess()
    lines = ["Traceback (most recent call last):", '  File "a", line 1, in f', "    f()", "ValueError: no", "after"]
    assert [guess.of(line) for line in lines] == ["error"] * 4 + [None]


def test_a_logging_record_knows_its_level_whatever_its_format(stream, monkeypatch):
    monkeypatch.setattr(logging.StreamHandler, "emit", logging.StreamHandler.emit)
    _logging_levels_keep()
    logger = logging.Logger("mine")
    logger.addHandler(logging.StreamHandler(stream))
    logger.warning("two\nlines")
    print("plain", file=stream)
    assert stream.levels() == ["warning", "warning", "info"]


def test_a_spool_is_read_once_and_whole_lines_only(tmp_path):
    writer = SpoolWriter(str(tmp_path), 3)
    reader = SpoolReader(tmp_path)
    writer.write({"k": "l", "m": "a"})
    assert [(index, r["m"]) for index, _, r in reader.read()] == [(3, "a")]
    path = next(tmp_path.glob("*.ndjson"))
    with path.open("a") as file:
        file.write('{"k":"l","m"')
        file.flush()
        assert list(reader.read()) == []
        file.write(':"b"}\n')
    assert [r["m"] for _, _, r in reader.read()] == ["b"]


def test_worker_files_give_lines_their_stage_once_it_is_known(tmp_path):
    (tmp_path / "logs").mkdir()
    path = tmp_path / "logs" / "worker-abc-01000000-77.err"
    path.write_text(":job_id:01000000\n:actor_name:Stage 00 - A\nUsing blocking ray.get inside async actor. x\nearly\n")
    known: dict[int, str] = {}
    files = WorkerFiles(tmp_path, known.get)
    assert list(files.read()) == []
    known[77] = "load"
    assert list(files.read()) == [("load", "stderr", "info", "early")]
    with path.open("a") as file:
        file.write("unfinished")
    assert list(files.read()) == []
    assert list(files.read(final=True)) == [("load", "stderr", "info", "unfinished")]

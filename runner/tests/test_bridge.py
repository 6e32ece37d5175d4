"""The serving socket with a stand-in for Xenna: what is refused, what is dropped, what cannot be answered."""

from __future__ import annotations

import json
import os
import queue
import socket
import threading
import time
from typing import Any

import pytest

from qd_runner import serving
from qd_runner.instrument import Envelope
from qd_runner.progress import Board, StageBoard
from qd_runner.serving import Bridge


class Peer:
    def __init__(self, folder) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        descriptor = os.open(folder, os.O_PATH)
        self.socket.connect(f"/proc/self/fd/{descriptor}/serve.sock")
        os.close(descriptor)
        self.socket.settimeout(10)
        self._lines = self.socket.makefile("r", encoding="utf-8")

    def ask(self, *items: Any) -> None:
        self.socket.sendall("".join(json.dumps({"id": i, "item": i}) + "\n" for i in items).encode())

    def answer(self) -> dict[str, Any]:
        return json.loads(self._lines.readline())

    def close(self) -> None:
        self._lines.close()
        self.socket.close()


class Quiet:
    def send(self, *_: Any, **__: Any) -> None: ...


@pytest.fixture
def bridge(tmp_path):
    board = Board([StageBoard("s", "S", "Stage 00 - S", 1, 0, 1)], None)
    made = Bridge(tmp_path, board, Quiet(), drains_itself=True, drain_s=1)
    made.board, made.peer = board, lambda: Peer(tmp_path)
    yield made
    made.finish("stopped", "the test is over")


def wait(condition) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def take(bridge) -> Envelope:
    """What Xenna's loop does, once there is something."""
    wait(lambda: not bridge.source.empty())
    return bridge.source.get(block=False)


class Awkward:
    @property
    def __dict__(self):
        raise AttributeError("no insides")

    @property
    def tolist(self):
        raise RuntimeError("not today")


def deep() -> list:
    made: list = []
    for _ in range(100_000):
        made = [made]
    return made


@pytest.mark.parametrize("value", [Awkward(), deep(), object(), float("nan")])
def test_a_result_that_is_no_json_is_refused_and_the_next_is_answered(bridge, value):
    peer = bridge.peer()
    peer.ask(1, 2)
    bridge.sink.put(Envelope(take(bridge).id, value))
    assert peer.answer()["error"]["code"] == "not_serialisable"
    bridge.sink.put("no envelope at all")
    bridge.sink.put(Envelope(take(bridge).id, "fine"))
    assert peer.answer() == {"id": 2, "result": "fine"}


def test_a_result_beyond_the_limit_says_so(bridge, monkeypatch):
    monkeypatch.setattr(serving, "_ANSWER_LIMIT", 10)
    peer = bridge.peer()
    peer.ask(1)
    bridge.sink.put(Envelope(take(bridge).id, "x" * 20))
    assert peer.answer()["error"]["code"] == "too_large"


def test_a_request_nested_too_deep_is_malformed(bridge):
    peer = bridge.peer()
    peer.socket.sendall(b'{"id": 1, "item": ' + b"[" * 100_000 + b"\n")
    assert peer.answer()["error"]["code"] == "malformed"
    peer.ask(2)
    assert take(bridge).value == 2


def test_too_many_unanswered_are_refused_until_one_is_answered(bridge, monkeypatch):
    monkeypatch.setattr(serving, "_UNANSWERED_LIMIT", 3)
    peer = bridge.peer()
    peer.ask(1, 2, 3, 4)
    answer = peer.answer()
    assert (answer["id"], answer["error"]["code"]) == (4, "busy")
    bridge.sink.put(Envelope(take(bridge).id, "one"))
    assert peer.answer() == {"id": 1, "result": "one"}
    peer.ask(5)
    wait(lambda: bridge.outstanding() == 3)


def test_what_a_closed_connection_asked_is_dropped_where_xenna_does_not_have_it(bridge):
    gone, stays = bridge.peer(), bridge.peer()
    gone.ask(1, 2, 3)
    wait(lambda: bridge.outstanding() == 3)
    first = take(bridge)
    stays.ask(4)
    wait(lambda: bridge.outstanding() == 4)
    gone.close()
    wait(lambda: bridge.outstanding() == 2)
    assert bridge.board.fed == 2
    assert take(bridge).value == 4
    bridge.sink.put(Envelope(first.id, "for nobody"))
    wait(lambda: bridge.outstanding() == 1)


def test_a_connection_that_only_stopped_asking_gets_its_answers(bridge, monkeypatch):
    hung_up, asked = serving._Connection.hung_up, threading.Event()

    def asks(connection: Any) -> bool:
        asked.set()
        return hung_up(connection)

    monkeypatch.setattr(serving._Connection, "hung_up", asks)
    peer = bridge.peer()
    peer.ask(1)
    peer.socket.shutdown(socket.SHUT_WR)
    envelope = take(bridge)
    assert asked.wait(10)
    bridge.sink.put(Envelope(envelope.id, "late"))
    assert peer.answer() == {"id": 1, "result": "late"}
    assert peer._lines.readline() == ""


def test_lost_items_of_closed_connections_do_not_fill_the_run_for_ever(bridge, monkeypatch):
    monkeypatch.setattr(serving, "_UNANSWERED_LIMIT", 1)
    monkeypatch.setattr(serving, "_ABANDONED_S", 0.0)
    gone, next_one = bridge.peer(), bridge.peer()
    gone.ask(1)
    take(bridge)
    gone.close()
    wait(lambda: all(known[0].closed for known in bridge._open.values()))
    next_one.ask(2)
    assert take(bridge).value == 2


def test_xenna_gets_little_more_than_it_works_on(bridge):
    peer = bridge.peer()
    peer.ask(*range(5))
    wait(lambda: bridge.outstanding() == 5)
    bridge.board.xenna_waiting = 16
    with pytest.raises(queue.Empty):
        bridge.source.get(block=False)
    bridge.board.xenna_waiting = 15
    assert bridge.source.get(block=False).value == 0


def test_a_peer_that_does_not_read_does_not_hold_up_the_others(bridge, monkeypatch):
    monkeypatch.setattr(serving, "_SEND_LIMIT_S", 1)
    deaf, hears = bridge.peer(), bridge.peer()
    deaf.ask(1)
    bridge.sink.put(Envelope(take(bridge).id, "x" * 8_000_000))
    hears.ask(2)
    bridge.sink.put(Envelope(take(bridge).id, "heard"))
    assert hears.answer() == {"id": 2, "result": "heard"}


def test_the_end_waits_for_the_answer_under_way(bridge, monkeypatch):
    body = serving._body

    def slow(value: Any) -> dict[str, Any]:
        time.sleep(0.3)
        return body(value)

    monkeypatch.setattr(serving, "_body", slow)
    peer = bridge.peer()
    peer.ask(1)
    bridge.sink.put(Envelope(take(bridge).id, "in time"))
    wait(bridge.sink.empty)
    bridge.finish("lost", "too late")
    assert peer.answer() == {"id": 1, "result": "in time"}

"""Serving on a real Ray: answers belong to their requests, errors reach theirs, closing drains."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from typing import Any

import pytest
from conftest import Run, stage

pytestmark = pytest.mark.ray


class Client:
    def __init__(self, run: Run) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        folder = os.open(run.attempt, os.O_PATH)
        self._socket.connect(f"/proc/self/fd/{folder}/serve.sock")
        os.close(folder)
        self._socket.settimeout(60)
        self._file = self._socket.makefile("rw", encoding="utf-8")

    def send(self, message: dict[str, Any]) -> None:
        self._file.write(json.dumps(message) + "\n")
        self._file.flush()

    def receive(self) -> dict[str, Any] | None:
        line = self._file.readline()
        return json.loads(line) if line else None


@pytest.fixture(scope="module")
def serving(start):
    stages = [stage("Pass"), stage("FailsOn", {"bad": [1000]}, batch_size=1, ignore_failures=True), stage("Double")]
    run = start("serving", stages)
    run.until(lambda e: e["type"] == "serving" and e["ready"])
    return run


def test_fifty_at_once_get_their_own_answers(serving):
    answers: dict[str, Any] = {}

    def ask(client_number: int) -> None:
        client = Client(serving)
        for n in range(10):
            client.send({"id": f"{client_number}-{n}", "item": 100 * client_number + n})
        for _ in range(10):
            answer = client.receive()
            answers[answer["id"]] = answer["result"]

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(5)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert answers == {f"{c}-{n}": 2 * (100 * c + n) for c in range(5) for n in range(10)}


def test_an_item_that_fails_gets_its_error_and_a_bad_request_its_own(serving):
    client = Client(serving)
    client.send({"id": "bad", "item": 1000})
    assert client.receive() == {
        "id": "bad",
        "error": {"code": "stage_error", "message": "stage failson: ValueError: cannot work on 1000"},
    }
    client.send({"id": "empty"})
    assert client.receive()["error"]["code"] == "malformed"
    assert serving.until(lambda e: e["type"] == "serving" and e["failed"] == 1)["p50_ms"] > 0


def test_sigterm_answers_what_is_outstanding_and_then_ends(serving):
    client, late = Client(serving), Client(serving)
    for n in range(20):
        client.send({"id": n, "item": n})
    client.send({"id": "marker"})  # its refusal says that all before it were read
    got = [client.receive()]
    while got[-1]["id"] != "marker":
        got.append(client.receive())
    serving.process.send_signal(signal.SIGTERM)
    serving.until(lambda e: e == e and e["type"] == "state" and e["state"] == "draining")
    late.send({"id": "late", "item": 1})
    answer = late.receive()
    assert answer is None or answer["error"]["code"] == "closing"
    while answer := client.receive():
        got.append(answer)
    assert serving.wait() == 0
    assert {a["id"]: a["result"] for a in got if a["id"] != "marker"} == {n: 2 * n for n in range(20)}
    result = serving.of("result")[0]
    assert (result["outputs"], result["dropped"], result["files"]) == (70, 1, [])
    assert serving.left_over() == []

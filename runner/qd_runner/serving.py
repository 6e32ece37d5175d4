"""Requests into a serving pipeline and answers out of it, over a Unix socket in the attempt's folder.

NDJSON both ways: `{"id","item"}` in, `{"id","result"}` or `{"id","error":{"code","message"}}` out, in any order;
`{"close": true}` closes the intake: what is outstanding is answered, then the run ends. Xenna's queues
live in this process; its loop reads one item per turn, about 100 a second. Error codes: malformed, closing,
dropped, count_mismatch, stage_error, not_serialisable, lost (its worker died), run_failed, stopped.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import json
import os
import queue
import socket
import threading
import time
from pathlib import Path
from typing import Any

from qd_runner.instrument import Envelope
from qd_runner.progress import Board, Window
from qd_runner.protocol import Events
from qd_runner.sinks import OutputError, json_text

_LATENCY_WINDOW_S = 60.0


class Bridge:
    def __init__(self, folder: Path, board: Board, events: Events, *, drains_itself: bool, drain_s: float) -> None:
        """`drains_itself`: this Xenna finishes what it has read when its source closes (0.3.0 drops it)."""
        # In-process queues: Xenna asks only for get(block=False) and put(); deep copies keep them shared.
        self.source: queue.Queue[Any] = queue.Queue()
        self.sink: queue.Queue[Any] = queue.Queue()
        self.closing = threading.Event()
        self.ready = False
        self._folder, self._board, self._events = folder, board, events
        self._drains_itself, self._drain_s = drains_itself, drain_s
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._open: dict[str, tuple[_Connection, Any, float]] = {}
        self._answered = self._failed = 0
        self._rate = Window()
        self._latencies: collections.deque[tuple[float, float]] = collections.deque(maxlen=20_000)
        self._listener = _listen(folder)
        for target in (self._accept_loop, self._answer_loop):
            threading.Thread(target=target, name=f"serving-{target.__name__}", daemon=True).start()

    def outstanding(self) -> int:
        with self._lock:
            return len(self._open)

    def close(self) -> None:
        """Closes the intake. Returns once Xenna has been told, which is at once where it drains by itself."""
        with self._lock:
            if self.closing.is_set():
                return
            self.closing.set()
        self._events.send("state", state="draining")
        if not self._drains_itself:
            deadline = time.monotonic() + self._drain_s
            while self.outstanding() and time.monotonic() < deadline:
                threading.Event().wait(0.05)
        self.source.put(None)

    def fail(self, ids: list[str], code: str, message: str) -> None:
        for envelope_id in ids:
            self._answer(envelope_id, {"error": {"code": code, "message": message}})

    def finish(self, code: str, message: str) -> None:
        """After Xenna's loop has ended: hands out what is in the sink, fails the rest, closes the socket."""
        self.closing.set()
        deadline = time.monotonic() + 1.0
        while not self.sink.empty() and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        with self._lock:
            left = list(self._open)
        self.fail(left, code, message)
        with contextlib.suppress(OSError):
            (self._folder / "serve.sock").unlink()
        self._listener.close()

    def event_send(self) -> None:
        with self._lock:
            now = time.monotonic()
            while self._latencies and self._latencies[0][0] < now - _LATENCY_WINDOW_S:
                self._latencies.popleft()
            times = sorted(ms for _, ms in self._latencies)
            queued = min(self.source.qsize(), len(self._open))  # the closing None is no request
            fields = {
                "ready": self.ready and not self.closing.is_set(),
                "rate": round(self._rate.rate(now), 2),
                "p50_ms": _quantile(times, 0.50),
                "p95_ms": _quantile(times, 0.95),
                "queued": queued,
                "in_flight": max(0, len(self._open) - queued),
                "answered": self._answered,
                "failed": self._failed,
            }
        self._events.send("serving", **fields)

    def _accept_loop(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            connection = _Connection(peer)
            threading.Thread(target=self._read_loop, args=(connection,), name="serving-peer", daemon=True).start()

    def _read_loop(self, connection: _Connection) -> None:
        for line in connection.lines():
            try:
                request = json.loads(line)
                if not isinstance(request, dict):
                    raise ValueError("a request is a JSON object")
            except ValueError as error:
                connection.send({"id": None, "error": {"code": "malformed", "message": str(error)}})
                continue
            if request.get("close"):
                threading.Thread(target=self.close, name="serving-close", daemon=True).start()
            elif "item" not in request or "id" not in request:
                error = {"code": "malformed", "message": 'a request has "id" and "item"'}
                connection.send({"id": request.get("id"), "error": error})
            else:
                self._take(connection, request)

    def _take(self, connection: _Connection, request: dict[str, Any]) -> None:
        envelope_id = str(next(self._numbers))
        with self._lock:
            closing = self.closing.is_set()
            if not closing:
                self._open[envelope_id] = (connection, request["id"], time.monotonic())
                self._board.fed += 1
                # Under the lock, so that close() cannot put its None before this.
                self.source.put(Envelope(envelope_id, request["item"]))
        if closing:
            error = {"code": "closing", "message": "the run takes no more requests"}
            connection.send({"id": request["id"], "error": error})

    def _answer_loop(self) -> None:
        while True:
            envelope = self.sink.get()
            try:
                body = {"result": json.loads(json_text(envelope.value, "the result"))}
            except OutputError as error:
                body = {"error": {"code": "not_serialisable", "message": str(error)}}
            self._answer(envelope.id, body)

    def _answer(self, envelope_id: str, body: dict[str, Any]) -> None:
        with self._lock:
            known = self._open.pop(envelope_id, None)
            if known is None:
                return
            now = time.monotonic()
            connection, request_id, since = known
            if "error" in body:
                self._failed += 1
            else:
                self._answered += 1
                self._latencies.append((now, (now - since) * 1000))
            self._rate.add(1, now)
        connection.send({"id": request_id, **body})


class _Connection:
    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer
        self._lock = threading.Lock()

    def lines(self) -> Any:
        with contextlib.suppress(OSError, ValueError), self._peer.makefile("rb") as file:
            yield from file

    def send(self, message: dict[str, Any]) -> None:
        data = (json.dumps(message, ensure_ascii=False) + "\n").encode("utf-8", "replace")
        with self._lock, contextlib.suppress(OSError):  # a peer that went away wants no answer
            self._peer.sendall(data)


def _listen(folder: Path) -> socket.socket:
    """Binds `serve.sock` through the folder's descriptor: a socket's path is limited to 107 bytes."""
    path = folder / "serve.sock"
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        before = os.umask(0o177)
        try:
            listener.bind(f"/proc/self/fd/{fd}/serve.sock")
        finally:
            os.umask(before)
    finally:
        os.close(fd)
    listener.listen(64)
    return listener


def _quantile(values: list[float], share: float) -> float | None:
    return round(values[min(len(values) - 1, int(share * len(values)))], 2) if values else None

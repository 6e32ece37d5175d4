"""Requests into a serving pipeline and answers out of it, over a Unix socket in the attempt's folder.

NDJSON both ways: `{"id","item"}` in, `{"id","result"}` or `{"id","error":{"code","message"}}` out, in any order;
`{"close": true}` closes the intake: what is outstanding is answered, then the run ends. Xenna's queues
live in this process; its loop reads one item per turn, about 100 a second. Error codes: malformed, closing,
busy (too many are unanswered), dropped, count_mismatch, stage_error, not_serialisable, too_large, lost (its worker
died), run_failed, stopped. Items of a connection that closed are taken out of the queue; what Xenna has of them
already is worked on, and counts among the unanswered until it is done.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import json
import os
import queue
import select
import socket
import struct
import threading
import time
import traceback
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from qd_runner.instrument import Envelope
from qd_runner.progress import Board, Window
from qd_runner.protocol import Events, error_line
from qd_runner.sinks import OutputError, json_text

_LATENCY_WINDOW_S = 60.0
_UNANSWERED_LIMIT = 256
# Xenna takes in all that it is given: what it has cannot be called back, so it gets little more than it works on.
_XENNA_AHEAD = 16
# After which an item of a closed connection is taken for lost rather than under way.
_ABANDONED_S = 600.0
_ANSWER_LIMIT = 15 << 20  # qd reads 16 MiB
_SEND_LIMIT_S = 5
_HANGUP_LOOK_MS = 500


class _Source(queue.Queue):
    """Xenna asks only for get(block=False) and empty()."""

    def __init__(self, has_enough: Callable[[], bool]) -> None:
        super().__init__()
        self._has_enough = has_enough

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if self._has_enough():
            raise queue.Empty
        return super().get(block, timeout)

    def take_out(self, ids: Collection[str]) -> set[str]:
        """Removes those of them that Xenna does not have yet, and answers which."""
        with self.mutex:
            found = {e.id for e in self.queue if e is not None} & set(ids)
            self.queue = collections.deque(e for e in self.queue if e is None or e.id not in found)
        return found


class Bridge:
    def __init__(
        self, folder: Path, board: Board, events: Events, *, drains_itself: bool, drain_s: float, first_batch: int = 1
    ) -> None:
        """`drains_itself`: this Xenna finishes what it has read when its source closes (0.3.0 drops it)."""
        ahead = max(_XENNA_AHEAD, 2 * first_batch)
        # In-process queues; deep copies of what holds them keep them shared.
        self.source = _Source(lambda: board.xenna_waiting >= ahead)
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
        while self.sink.unfinished_tasks and time.monotonic() < deadline:
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
            except (ValueError, RecursionError) as error:
                connection.send({"id": None, "error": {"code": "malformed", "message": str(error)}})
                continue
            if request.get("close"):
                threading.Thread(target=self.close, name="serving-close", daemon=True).start()
            elif "item" not in request or "id" not in request:
                error = {"code": "malformed", "message": 'a request has "id" and "item"'}
                connection.send({"id": request.get("id"), "error": error})
            else:
                self._take(connection, request)
        # The peer says no more; it may still listen, as one does that has shut down its half.
        while self._has_open(connection) and not connection.hung_up():
            pass
        connection.close()
        self._forget(connection)

    def _has_open(self, connection: _Connection) -> bool:
        with self._lock:
            return any(known[0] is connection for known in self._open.values())

    def _forget(self, connection: _Connection) -> None:
        with self._lock:
            for envelope_id in self.source.take_out([i for i, known in self._open.items() if known[0] is connection]):
                del self._open[envelope_id]
                self._board.fed -= 1

    def _full(self) -> bool:
        if len(self._open) >= _UNANSWERED_LIMIT:
            before = time.monotonic() - _ABANDONED_S
            for envelope_id in [i for i, (c, _, since) in self._open.items() if c.closed and since < before]:
                del self._open[envelope_id]
        return len(self._open) >= _UNANSWERED_LIMIT

    def _take(self, connection: _Connection, request: dict[str, Any]) -> None:
        envelope_id = str(next(self._numbers))
        with self._lock:
            error = None
            if self.closing.is_set():
                error = {"code": "closing", "message": "the run takes no more requests"}
            elif self._full():
                error = {"code": "busy", "message": f"{_UNANSWERED_LIMIT} items are unanswered already"}
            else:
                self._open[envelope_id] = (connection, request["id"], time.monotonic())
                self._board.fed += 1
                # Under the lock, so that close() cannot put its None before this.
                self.source.put(Envelope(envelope_id, request["item"]))
        if error is not None:
            connection.send({"id": request["id"], "error": error})

    def _answer_loop(self) -> None:
        while True:
            envelope = self.sink.get()
            try:
                self._answer(envelope.id, _body(envelope.value))
            except Exception:  # one answer lost; without this thread the run would fall silent
                traceback.print_exc()
            finally:
                self.sink.task_done()

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


def _body(value: Any) -> dict[str, Any]:
    try:
        text = json_text(value, "the result")
        size = len(text.encode("utf-8", "replace"))
        if size > _ANSWER_LIMIT:
            return {"error": {"code": "too_large", "message": f"the result has {size} bytes as JSON"}}
        return {"result": json.loads(text)}
    except Exception as error:  # OutputError, and what json.loads has no stack for
        message = str(error) if isinstance(error, OutputError) else error_line(error)
        return {"error": {"code": "not_serialisable", "message": message}}


class _Connection:
    def __init__(self, peer: socket.socket) -> None:
        self.closed = False
        self._peer = peer
        self._lock = threading.Lock()
        # There is one thread that answers: a peer that does not read its answers must not hold up the others'.
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _SEND_LIMIT_S, 0))

    def lines(self) -> Any:
        with contextlib.suppress(OSError, ValueError), self._peer.makefile("rb") as file:
            yield from file

    def send(self, message: dict[str, Any]) -> None:
        data = (json.dumps(message, ensure_ascii=False) + "\n").encode("utf-8", "replace")
        with self._lock:
            try:
                self._peer.sendall(data)
            except OSError:  # a peer that went away wants no answer; half of one must not be followed by another
                with contextlib.suppress(OSError):
                    self._peer.shutdown(socket.SHUT_RDWR)

    def hung_up(self) -> bool:
        """Waits a moment for the peer to close its side entirely."""
        poll = select.poll()
        poll.register(self._peer, 0)  # POLLHUP and POLLERR are told in any case
        return bool(poll.poll(_HANGUP_LOOK_MS))

    def close(self) -> None:
        with self._lock:
            self.closed = True
            self._peer.close()


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

"""The wire between the runner and its supervisor: NDJSON events, exit codes, bounded previews.

Events go to the descriptor named by QD_EVENTS_FD, so that a stage's own prints stay logs.
Without that variable (a run by hand) they go to the real stdout. Each event is one write of one
line under a lock; the descriptor is close-on-exec, so no Ray process inherits it.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from typing import Any

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_BAD_SPEC = 3
EXIT_STOPPED = 143

PREVIEW_LIMIT = 500


class StopRequested(BaseException):
    """SIGTERM. Not an Exception, so that neither Xenna nor the user's code takes it for a failed batch."""


def now_us() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000


class Events:
    """Writes events to the supervisor. A supervisor that is gone is no reason to fail the run."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.Lock()
        self._broken = self._cut = False
        os.set_inheritable(fd, False)

    @classmethod
    def from_env(cls) -> Events:
        named = os.environ.pop("QD_EVENTS_FD", None)
        return cls(int(named) if named else os.dup(1))

    def send(self, type_: str, **fields: Any) -> None:
        self.send_all([{"type": type_, **fields}])

    def send_all(self, events: list[dict[str, Any]]) -> None:
        lines = [json.dumps(e, ensure_ascii=False, allow_nan=False, default=str) for e in events]
        data = memoryview("".join(f"{line}\n" for line in lines).encode("utf-8", "replace"))
        with self._lock:
            if self._broken:
                return
            if self._cut:
                data = memoryview(b"\n" + data)
            self._cut = True  # a stop may come in the midst of a write: the next event begins on a line of its own
            try:
                while data:
                    data = data[os.write(self._fd, data) :]
                self._cut = False
            except OSError:
                self._broken = True


def preview(value: Any, limit: int = PREVIEW_LIMIT) -> str:
    """A repr of at most `limit` characters that never raises and never walks a huge container whole."""
    import reprlib

    short = reprlib.Repr()
    short.maxlevel = 4
    short.maxdict = short.maxlist = short.maxtuple = short.maxset = short.maxfrozenset = 20
    short.maxstring = short.maxlong = short.maxother = limit
    text = f"<{type(value).__name__}: no repr>"
    with contextlib.suppress(Exception):
        text = short.repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def error_line(error: BaseException, limit: int = PREVIEW_LIMIT) -> str:
    """`ValueError: what it said`, on one line, bounded."""
    text = type(error).__name__
    with contextlib.suppress(Exception):
        said = " ".join(str(error).split())
        if said:
            text = f"{text}: {said}"
    return text if len(text) <= limit else text[: limit - 1] + "…"

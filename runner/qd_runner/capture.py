"""A worker's prints as log records with stage, stream, level and time, each exactly once.

`sys.stdout` and `sys.stderr` are replaced by streams that spool whole lines, and the handlers of loguru and logging
that already hold the old streams are moved over. What still reaches descriptors 1 and 2 (C code, subprocesses, lines
printed before this was installed) lands in Ray's own worker files, which the driver reads as well (`worker_files.py`);
Ray's forwarding of those files is off, so that nothing doubles.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
import sys
import threading
from typing import Any

from qd_runner.protocol import now_us
from qd_runner.spool import SpoolWriter

LINE_LIMIT = 32_768
_LEVELS = {
    "TRACE": "debug",
    "DEBUG": "debug",
    "INFO": "info",
    "SUCCESS": "info",
    "NOTICE": "info",
    "WARN": "warning",
    "WARNING": "warning",
    "ERROR": "error",
    "CRITICAL": "error",
    "FATAL": "error",
}
_LEVEL = re.compile(rf"(?:^|[\s|\[(<:-])({'|'.join(_LEVELS)})(?:[\s|\])>:-]|$)")


# Ray prints these for its log monitor when an actor starts.
_RAY_MARKS = (":actor_name:", ":job_id:", ":task_name:")
# The level of the logging record that this thread is just writing.
_logging = threading.local()


class LevelGuess:
    """The level of a stream's lines, from the names that logging and loguru write; a traceback is an error."""

    def __init__(self) -> None:
        self._in_traceback = False

    def of(self, line: str) -> str | None:
        """None where the line says nothing about its level."""
        if line.startswith("Traceback (most recent call last)"):
            self._in_traceback = True
            return "error"
        if self._in_traceback:
            # The block ends with the first unindented line, which is the exception itself.
            self._in_traceback = line[:1].isspace() or not line
            return "error"
        found = _LEVEL.search(line[:80])
        return _LEVELS[found.group(1)] if found else None


class LineStream(io.TextIOBase):
    """A text stream whose lines become spool records. Threads do not cut into each other's lines."""

    def __init__(self, writer: SpoolWriter, stream: str, original: Any) -> None:
        self._writer = writer
        self._stream = stream
        self._original = original
        self._local = threading.local()

    encoding = "utf-8"
    errors = "replace"

    @property
    def buffer(self) -> Any:
        return _Bytes(self)

    def fileno(self) -> int:
        return self._original.fileno()

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if getattr(self._local, "muted", False):
            return len(text)
        # loguru writes strings that know their record; a logging handler has left its level behind.
        record = getattr(text, "record", None)
        known = _LEVELS.get(record["level"].name, "info") if record else getattr(_logging, "level", None)
        before: str | None = None
        pieces = re.split(r"\r\n|\n|\r", getattr(self._local, "rest", "") + text)
        self._local.rest = pieces.pop()
        if len(self._local.rest) > LINE_LIMIT:  # somebody never ends a line
            pieces.append(self._local.rest)
            self._local.rest = ""
        for line in pieces:
            before = self._emit(line, known, before)
        return len(text)

    def flush(self) -> None:
        """Nothing is held back but an unfinished line, and a flush must not break that in two."""

    def line_end(self) -> None:
        """Emits this thread's unfinished line: nothing more is coming."""
        rest, self._local.rest = getattr(self._local, "rest", ""), ""
        if rest:
            self._emit(rest, None, None)

    @contextlib.contextmanager
    def muted(self):
        """Nothing this thread writes is recorded (a replay prints what was printed before)."""
        self._local.muted = True
        try:
            yield
        finally:
            self._local.muted = False

    def _emit(self, line: str, known: str | None, before: str | None) -> str | None:
        """One line, at the level that is known, or that it names itself, or that the line before it had."""
        guess = getattr(self._local, "guess", None)
        if guess is None:
            guess = self._local.guess = LevelGuess()
        guessed = guess.of(line)
        level = known or guessed or before
        if line.startswith(_RAY_MARKS):
            return level
        for start in range(0, max(len(line), 1), LINE_LIMIT):
            part = line[start : start + LINE_LIMIT]
            self._writer.write({"k": "l", "t": now_us(), "s": self._stream, "l": level or "info", "m": part})
        return level


class _Bytes(io.RawIOBase):
    """`sys.stdout.buffer` for those who write bytes."""

    def __init__(self, text: LineStream) -> None:
        self._text = text

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        raw = bytes(data)
        self._text.write(raw.decode("utf-8", "replace"))
        return len(raw)


class Capture:
    """The pair of streams of one worker process."""

    def __init__(self, writer: SpoolWriter) -> None:
        held = {"stdout": (sys.stdout, sys.__stdout__), "stderr": (sys.stderr, sys.__stderr__)}
        self.stdout = LineStream(writer, "stdout", sys.stdout)
        self.stderr = LineStream(writer, "stderr", sys.stderr)
        for name, old in held.items():
            _handlers_move([o for o in old if o is not None], getattr(self, name))
        _logging_levels_keep()
        sys.stdout, sys.stderr = self.stdout, self.stderr  # type: ignore[assignment]

    def line_end(self) -> None:
        self.stdout.line_end()
        self.stderr.line_end()

    @contextlib.contextmanager
    def muted(self):
        with self.stdout.muted(), self.stderr.muted():
            yield


def _logging_levels_keep() -> None:
    """Formats need not name the level (logging's last resort does not): the record does."""
    emit = logging.StreamHandler.emit

    def emit_with_level(self: Any, record: logging.LogRecord) -> None:
        _logging.level = _level_of_number(record.levelno)
        try:
            emit(self, record)
        finally:
            _logging.level = None

    logging.StreamHandler.emit = emit_with_level  # type: ignore[method-assign]


def _level_of_number(number: int) -> str:
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warning"
    return "info" if number >= logging.INFO else "debug"


def _handlers_move(old: list[Any], new: LineStream) -> None:
    """Handlers that took hold of a stream at import time would write past the replacement."""
    loggers = [logging.getLogger(), *(v for v in logging.root.manager.loggerDict.values() if hasattr(v, "handlers"))]
    for logger in loggers:
        for handler in logger.handlers:  # type: ignore[union-attr]
            if isinstance(handler, logging.StreamHandler) and any(handler.stream is o for o in old):
                handler.setStream(new)
    with contextlib.suppress(Exception):  # loguru's inside: where it differs, Ray's worker file still has the lines
        from loguru import logger as loguru_logger

        for handler in loguru_logger._core.handlers.values():  # type: ignore[attr-defined]
            sink = handler._sink
            if any(getattr(sink, "_stream", None) is o for o in old):
                sink._stream = new

"""How worker processes tell the driver what happened: append-only NDJSON files, each written by one worker process.

A record is one `write` of one line to a file opened with O_APPEND, so that it is on its way the moment it is made,
survives the worker's death (even by SIGKILL), and needs no connection. The driver tails the folder on its own machine;
from others of a cluster `nodes.py` fetches it.

A worker goes on in a new file (a segment) when one is full, and the driver removes what it has read. Where it does
not come after, a worker keeps 16 MiB and then drops log lines, which it counts, and adds up what else it has to say.

Records (`k`): `h` worker process is up; `l` log line; `s` batch begun; `b` batch done; `r` attempt failed and will be
retried; `f` attempts used up; `i` which item of a failed batch it was; `e` serving requests to be answered with an
error; `x` log lines dropped. `c` is how many records one stands for, where it is not 1.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_CHUNK = 1 << 20
_PER_LOOK = 4 * _CHUNK
_LINE_LIMIT = _CHUNK
_SEGMENT = 1 << 20
_SEGMENTS = 16
_HELD_S = 0.2  # of a worker killed while it is not read, the count of this last moment is lost
# Of records that are added up while there is no room.
_SUMS = ("i", "o", "none", "d", "batch_size")


class SpoolWriter:
    def __init__(self, folder: str, index: int) -> None:
        self._folder, self._index = folder, index
        self._fd: int | None = None
        folder_make(folder)
        self._start()
        # A process that the user's code forks speaks for itself: two must not take turns at one worker's segments.
        os.register_at_fork(after_in_child=self._start)

    def write(self, record: dict[str, Any]) -> None:
        with self._lock, contextlib.suppress(OSError):  # a full disk must not look like a failure of the user's stage
            if self._has_room():
                self._held_write()
                self._append(record)
            elif not self._hold(record):
                self._append(record)
            elif self._timer is None:
                self._timer = threading.Timer(_HELD_S, self._held_tell)
                self._timer.daemon = True
                self._timer.start()

    def _start(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
        self._lock = threading.RLock()  # a signal handler or a finaliser may print in the midst of a write
        self._fd, self._size, self._cut = None, 0, False
        self._stem = f"{self._index:03d}-{os.getpid()}"
        # A process number comes again: what its former owner left is not to be written to.
        left = (segment_parse(path.name) for path in Path(self._folder).glob(f"{self._stem}-*"))
        self._number = self._oldest = max((s[2] + 1 for s in left if s), default=0)
        self._lost = 0
        self._held: dict[str, dict[str, Any]] = {}
        self._timer: threading.Timer | None = None

    def _path(self, number: int) -> str:
        return f"{self._folder}/{self._stem}-{number:06d}.ndjson"

    def _has_room(self) -> bool:
        """Goes on in a new segment where this one is full; false where too many wait for the driver."""
        if self._fd is not None and self._size < _SEGMENT:
            return True
        if self._fd is not None:
            while self._oldest < self._number and not os.path.exists(self._path(self._oldest)):  # noqa: PTH110
                self._oldest += 1
            if self._number - self._oldest + 1 >= _SEGMENTS:
                return False
            full, self._fd = self._fd, None
            os.close(full)
            self._number += 1
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._fd = os.open(self._path(self._number), flags, 0o600)
        self._size, self._cut = 0, False
        return True

    def _hold(self, record: dict[str, Any]) -> bool:
        """Takes a record for which there is no room; false for those that nobody may miss."""
        kind = record["k"]
        if kind == "l":
            self._lost += 1
        elif kind == "b" or (kind == "f" and record["ignored"] and not record.get("ids")):
            before = self._held.get(kind)
            if before is not None:
                sums = {name: before[name] + record[name] for name in _SUMS if name in record}
                record = record | sums | {"c": before.get("c", 1) + 1}
            self._held[kind] = record
        else:
            return kind in ("s", "r")
        return True

    def _held_tell(self) -> None:
        """Room or not: it is little, and a worker that says nothing more would take it to its grave."""
        with self._lock, contextlib.suppress(OSError):
            self._timer = None
            self._held_write()

    def _held_write(self) -> None:
        if self._lost:
            lost, self._lost = self._lost, 0
            self._append({"k": "x", "lines": lost})
        for kind in list(self._held):
            self._append(self._held.pop(kind))

    def _append(self, record: dict[str, Any]) -> None:
        line = json.dumps(record, ensure_ascii=False, default=str) + "\n"
        data = (b"\n" if self._cut else b"") + line.encode("utf-8", "replace")
        self._cut = True  # a full disk takes a part of a line: the next begins on a line of its own
        written = os.write(self._fd, data)  # type: ignore[arg-type]
        self._cut = written < len(data)
        self._size += written


def batch_number_next(folder: str, index: int) -> int:
    """Numbers a stage's batches from 1, over all its workers and their restarts."""
    fd = os.open(f"{folder}/{index:03d}.batches", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        number = int(os.read(fd, 20) or b"0") + 1
        os.lseek(fd, 0, os.SEEK_SET)
        os.write(fd, str(number).encode())
        return number
    finally:
        os.close(fd)


class Tail:
    """Reads what was appended to a growing file; whole lines only, the rest waits.

    Bounded in what it holds: a line is broken at 1 MiB. No descriptor is kept, because files of ended workers stay.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0
        self._rest = b""
        self.at_end = False

    def behind(self) -> int:
        """Bytes not read yet."""
        try:
            return self._path.stat().st_size - self._at
        except OSError:
            return 0

    def skip(self, size: int) -> None:
        """Leaves out `size` bytes and the line that they cut."""
        self._at, self._rest = self._at + size, b""
        with contextlib.suppress(OSError), self._path.open("rb", buffering=0) as file:
            file.seek(self._at)
            head, newline, _ = file.read(_CHUNK).partition(b"\n")
            self._at += len(head) + len(newline)

    def lines(self, *, final: bool = False, limit: int | None = _PER_LOOK) -> Iterator[bytes]:
        """At most `limit` bytes' worth, so that nobody waits behind a worker that writes faster than it is read."""
        if self.behind() > 0:
            with contextlib.suppress(OSError), self._path.open("rb", buffering=0) as file:
                file.seek(self._at)
                left = limit
                while (left is None or left > 0) and (chunk := file.read(_CHUNK)):
                    self._at += len(chunk)
                    left = left if left is None else left - len(chunk)
                    *whole, self._rest = (self._rest + chunk).split(b"\n")
                    yield from whole
                    if len(self._rest) > _LINE_LIMIT:
                        yield self._rest
                        self._rest = b""
        self.at_end = self.behind() <= 0
        if final and self.at_end and self._rest:
            yield self._rest
            self._rest = b""


def folder_make(folder: str) -> None:
    """For a worker on a machine where nobody was before. Records hold what stages print: nobody else may read them."""
    for path in (os.path.dirname(folder), folder):  # noqa: PTH120
        with contextlib.suppress(OSError):
            os.mkdir(path, 0o700)  # noqa: PTH102


def segment_parse(name: str) -> tuple[int, int, int] | None:
    """(stage index, pid, number) of a segment's file name."""
    parts = name.removesuffix(".ndjson").split("-")
    if not name.endswith(".ndjson") or len(parts) != 3 or not all(part.isdigit() for part in parts):
        return None
    return int(parts[0]), int(parts[1]), int(parts[2])


def process_lives(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")  # noqa: PTH110


class SpoolReader:
    """All records of a spool folder since the last look, as (stage index, pid, record). Removes what is read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tails: dict[str, Tail] = {}

    def read(self, *, final: bool = False) -> Iterator[tuple[int, int, dict[str, Any]]]:
        try:
            found = sorted((s, path.name) for path in self._folder.iterdir() if (s := segment_parse(path.name)))
        except FileNotFoundError:
            return
        newest = {(index, pid): number for (index, pid, number), _ in found}
        waiting: set[tuple[int, int]] = set()
        for (index, pid, number), name in found:
            if (index, pid) in waiting:
                continue
            # Asked before it is read: what a living worker's last segment holds may still grow.
            complete = number < newest[index, pid] or not process_lives(pid)
            tail = self._tails.setdefault(name, Tail(self._folder / name))
            for line in tail.lines(final=final or complete, limit=None if final else _PER_LOOK):
                try:
                    record = json.loads(line)
                except ValueError:  # cut short by a full disk or a death inside the write
                    continue
                yield index, pid, record
            if not tail.at_end:
                waiting.add((index, pid))
            elif complete:
                del self._tails[name]
                with contextlib.suppress(OSError):
                    (self._folder / name).unlink()

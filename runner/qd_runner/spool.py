"""How worker processes tell the driver what happened: append-only NDJSON files, one per worker process.

A record is one `write` of one line to a file opened with O_APPEND, so that it is on its way the moment it is made,
survives the worker's death (even by SIGKILL), and needs no connection. The driver tails the folder. Only the local
machine is served: a Ray of several machines would need another road.

Records (`k`): `h` worker process is up; `l` log line; `s` batch begun; `b` batch done; `r` attempt failed and will be
retried; `f` attempts used up; `e` serving requests to be answered with an error.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_CHUNK = 1 << 20


class SpoolWriter:
    def __init__(self, folder: str, index: int) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._fd = os.open(f"{folder}/{index:03d}-{os.getpid()}.ndjson", flags, 0o600)

    def write(self, record: dict[str, Any]) -> None:
        line = json.dumps(record, ensure_ascii=False, default=str) + "\n"
        with contextlib.suppress(OSError):  # a full disk must not look like a failure of the user's stage
            os.write(self._fd, line.encode("utf-8", "replace"))


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
    """Reads what was appended to a growing file; whole lines only, the rest waits."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self._rest = b""

    def lines(self, *, final: bool = False) -> Iterator[bytes]:
        while chunk := self._file.read(_CHUNK):
            *whole, self._rest = (self._rest + chunk).split(b"\n")
            yield from whole
        if final and self._rest:
            yield self._rest
            self._rest = b""

    def close(self) -> None:
        self._file.close()


class SpoolReader:
    """All records of a spool folder since the last look, as (stage index, pid, record)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tails: dict[str, Tail] = {}

    def read(self, *, final: bool = False) -> Iterator[tuple[int, int, dict[str, Any]]]:
        for name in sorted(entry.name for entry in os.scandir(self._folder) if entry.name.endswith(".ndjson")):
            if name not in self._tails:
                self._tails[name] = Tail(self._folder / name)
            index, _, pid = name.removesuffix(".ndjson").partition("-")
            for line in self._tails[name].lines(final=final):
                try:
                    record = json.loads(line)
                except ValueError:  # cut short by a full disk or a death inside the write
                    continue
                yield int(index), int(pid), record

    def close(self) -> None:
        for tail in self._tails.values():
            tail.close()

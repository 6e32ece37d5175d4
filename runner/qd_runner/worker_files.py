"""What workers wrote to descriptors 1 and 2 themselves, read from Ray's own per-worker files.

Python prints of a stage never get there (`capture.py` has them); what does: lines printed while the user's module is
imported, C libraries, subprocesses, the interpreter's last words. Times are those of reading, to about 50 ms.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from qd_runner.capture import LevelGuess
from qd_runner.spool import Tail

_ACTOR = b":actor_name:"
_MARKS = (_ACTOR, b":job_id:", b":task_name:", b":info_message:")
# Ray says this about Xenna's own worker in every actor, and it is nothing a user could change.
NOISE = ("Using blocking ray.get inside async actor.", "pynvml is not installed. Assuming no GPUs.")


def is_noise(line: str) -> bool:
    return any(said in line for said in NOISE)


class WorkerFiles:
    def __init__(self, session_dir: Path) -> None:
        self._folder = session_dir / "logs"
        self._tails: dict[str, tuple[Tail, LevelGuess]] = {}
        self._stages: dict[str, str] = {}  # worker's file stem → Xenna's stage name

    def read(self, *, final: bool = False) -> Iterator[tuple[str | None, str, str, str]]:
        """(Xenna's stage name or None, stream, level, line) since the last look."""
        try:
            names = sorted(e.name for e in os.scandir(self._folder) if e.name.startswith("worker-"))
        except FileNotFoundError:
            return
        for name in names:
            stem, _, ending = name.rpartition(".")
            if ending not in ("out", "err"):
                continue
            if name not in self._tails:
                self._tails[name] = (Tail(self._folder / name), LevelGuess())
            tail, guess = self._tails[name]
            for raw in tail.lines(final=final):
                if raw.startswith(_MARKS):
                    if raw.startswith(_ACTOR):
                        self._stages[stem] = raw[len(_ACTOR) :].decode("utf-8", "replace")
                    continue
                line = raw.decode("utf-8", "replace").rstrip("\r")
                if line and not is_noise(line):
                    stream = "stdout" if ending == "out" else "stderr"
                    yield self._stages.get(stem), stream, guess.of(line) or "info", line

    def close(self) -> None:
        for tail, _ in self._tails.values():
            tail.close()

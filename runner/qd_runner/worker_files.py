"""What workers wrote to descriptors 1 and 2 themselves, read from Ray's own per-worker files.

Python prints of a stage never get there (`capture.py` has them); what does: lines printed while the user's module is
imported, C libraries, subprocesses, the interpreter's last words. Times are those of reading, to about 50 ms. The
files are Ray's and go with its folder; of one that has grown faster than it is read the middle is left out.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from qd_runner.capture import LINE_LIMIT, LevelGuess
from qd_runner.spool import Tail, process_lives

_MARKS = (b":actor_name:", b":job_id:", b":task_name:", b":info_message:")
# Ray says this about Xenna's own worker in every actor, and it is nothing a user could change.
NOISE = ("Using blocking ray.get inside async actor.", "pynvml is not installed. Assuming no GPUs.")
_BEHIND_LIMIT = 16 << 20
_BEHIND_KEPT = 8 << 20


def is_noise(line: str) -> bool:
    return any(said in line for said in NOISE)


# How long lines wait for their worker to say which stage it is of (it does on unpickling the stage).
_UNKNOWN_S = 3.0


class WorkerFiles:
    def __init__(self, session_dir: Path, stage_of_pid: Callable[[int], str | None]) -> None:
        self._folder = session_dir / "logs"
        self._stage_of_pid = stage_of_pid
        self._tails: dict[str, tuple[Tail, LevelGuess]] = {}
        self._waiting: dict[str, tuple[float, list[tuple[str, str, str]]]] = {}
        self._ended: set[str] = set()  # of workers that are gone; looked at once more at the end

    def read(self, *, final: bool = False) -> Iterator[tuple[str | None, str, str, str]]:
        """(stage id or None, stream, level, line) since the last look."""
        try:
            names = sorted(e.name for e in os.scandir(self._folder) if e.name.startswith("worker-"))
        except FileNotFoundError:
            return
        now = time.monotonic()
        for name in names:
            stem, _, ending = name.rpartition(".")
            pid = stem.rpartition("-")[2]
            if ending not in ("out", "err") or not pid.isdigit() or (name in self._ended and not final):
                continue
            lives = process_lives(int(pid))
            since, held = self._waiting.pop(name, (now, []))
            lines = held + self._new_lines(name, ending, final)
            if not lines:
                if not lives and self._tails[name][0].at_end:
                    self._ended.add(name)
                continue
            stage = self._stage_of_pid(int(pid))
            if stage is None and not final and now - since < _UNKNOWN_S:
                self._waiting[name] = (since, lines)
                continue
            for stream, level, line in lines:
                yield stage, stream, level, line

    def _new_lines(self, name: str, ending: str, final: bool) -> list[tuple[str, str, str]]:
        if name not in self._tails:
            self._tails[name] = (Tail(self._folder / name), LevelGuess())
        tail, guess = self._tails[name]
        stream = "stdout" if ending == "out" else "stderr"
        out = []
        behind = tail.behind()
        if behind > _BEHIND_LIMIT:
            skipped = behind - _BEHIND_KEPT
            tail.skip(skipped)
            out.append((stream, "warning", f"[{skipped} bytes were left out here: more was written than can be read]"))
        for raw in tail.lines(final=final, limit=None if final else _BEHIND_KEPT // 4):
            line = raw.decode("utf-8", "replace").rstrip("\r")
            if line and not raw.startswith(_MARKS) and not is_noise(line):
                level = guess.of(line) or "info"
                out += [(stream, level, line[at : at + LINE_LIMIT]) for at in range(0, len(line), LINE_LIMIT)]
        return out

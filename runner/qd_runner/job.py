"""`job`: the entrypoint of a Ray job. Starts `run` on the cluster's Ray and writes all that it says into the job's log.

A job has one log, which Ray hands out as text. So each line of it is a record of its own, in the shape of the journal
that `qd supervise` writes on a machine of ours, behind a mark that no other line has: `@qd1 <mark> {json}`. What stands
without the mark is Ray's. Records are ASCII, because Ray reads the log in the locale's encoding and gives up at a byte
that does not fit, and short, because Ray's own hop breaks off at 4 MiB.

The run is a child, so that its end is told even where nothing is left of it to tell: by a signal, out of memory.
"""

from __future__ import annotations

import ctypes
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from qd_runner.capture import LINE_LIMIT
from qd_runner.protocol import EXIT_FAILED, now_us
from qd_runner.worker_files import is_noise

_CHUNK = 1 << 16
_EVENT_LIMIT = 1 << 20
# A log that is read again from its beginning at each reconnect must not grow without end.
_LOG_LIMIT = 256 << 20
# After the run is gone: processes that it left may hold the pipes for ever.
_DRAIN_S = 1.0
_PR_SET_PDEATHSIG = 1


def main(spec: Path, attempt: int, mark: str) -> int:
    folder = Path("/tmp") / f"qd-job-{mark}"  # the same on every node: workers write below it
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    log = Log(os.dup(1), mark)
    run = paths_resolve(json.loads(spec.read_text(encoding="utf-8")))
    shutil.rmtree(run["attempt_output"], ignore_errors=True)  # what an earlier attempt left is no result of this one
    resolved = folder / "spec.json"
    resolved.write_text(json.dumps(run), encoding="utf-8")
    command = [sys.executable, "-m", "qd_runner", "run", "--cluster", "--spec", str(resolved)]
    return Child(log, [*command, "--attempt", str(attempt), "--dir", str(folder)], folder).watch()


def paths_resolve(run: dict[str, Any]) -> dict[str, Any]:
    """Puts in where Ray has unpacked the code: each package lies on PYTHONPATH in a folder of its own name."""
    found = {Path(entry).name: entry for entry in reversed(sys.path) if entry}
    code = [found.get(name, name) for name in run["code"]]
    return run | {"code": code, "spec_dir": code[0] if code else str(Path.cwd())}


class Log:
    """Writes records, each with one `write` of one line."""

    def __init__(self, fd: int, mark: str) -> None:
        self._fd = fd
        self._head = f"@qd1 {mark} "
        self._next = self._bytes = self._lost = 0
        self._torn = False

    def record(self, t: int, body: dict[str, Any]) -> None:
        text = json.dumps({"n": self._next, "t": t, **body}, ensure_ascii=True)
        # A record that was torn must not take the next one with it.
        start = "\n" if self._torn else ""
        data = memoryview(f"{start}{self._head}{text}\n".encode("ascii"))
        self._next += 1
        self._bytes += len(data)
        whole = len(data)
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError:  # a full disk must not look like a failure of the run
            self._torn = self._torn or 0 < len(data) < whole
        else:
            self._torn = False

    def line(self, t: int, body: dict[str, Any]) -> None:
        """A log line, for which there may be no more room."""
        if self._bytes > _LOG_LIMIT:
            self._lost += 1
        else:
            self.record(t, body)

    def lost_tell(self) -> None:
        if self._lost:
            text = f"{self._lost} lines were left out: the job's log has reached {_LOG_LIMIT >> 20} MiB"
            self.record(now_us(), {"k": "log", "s": "driver", "l": "warning", "st": None, "m": text})


class Child:
    def __init__(self, log: Log, command: list[str], folder: Path) -> None:
        self._log = log
        self._stopped = False
        self._rest: dict[str, bytes] = {}
        read, write = os.pipe()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        self._folder = folder
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"QD_EVENTS_FD": str(write)},
            pass_fds=[write],
            preexec_fn=_die_with_parent,
        )
        os.close(write)
        assert self._process.stdout is not None and self._process.stderr is not None
        self._pipes = {"event": read, "stdout": self._process.stdout.fileno(), "stderr": self._process.stderr.fileno()}

    def _stop(self, number: int, _frame: Any) -> None:
        # Ray asks the child as well; to be asked twice does no harm, and others may ask this process alone.
        self._stopped = True
        process = getattr(self, "_process", None)
        if process is not None and process.poll() is None:
            process.send_signal(number)

    def watch(self) -> int:
        with selectors.DefaultSelector() as selector:
            for name, fd in self._pipes.items():
                os.set_blocking(fd, False)
                selector.register(fd, selectors.EVENT_READ, name)
            deadline: float | None = None
            while selector.get_map() and (deadline is None or time.monotonic() < deadline):
                for key, _ in selector.select(timeout=0.1):
                    if not self._read(key.fd, key.data):
                        selector.unregister(key.fd)
                if deadline is None and self._process.poll() is not None:
                    deadline = time.monotonic() + _DRAIN_S
        for name, rest in self._rest.items():
            if rest:
                self._say(name, rest)
        code = self._process.wait()
        self._log.lost_tell()
        ended = {"code": code, "signal": None} if code >= 0 else {"code": None, "signal": -code}
        shutil.rmtree(self._folder, ignore_errors=True)  # a run that was killed leaves it
        self._log.record(now_us(), {"k": "exit", **ended, "stopped": self._stopped})
        return code if code >= 0 else 128 - code

    def _read(self, fd: int, name: str) -> bool:
        """False at the end."""
        try:
            chunk = os.read(fd, _CHUNK)
        except BlockingIOError:
            return True
        if not chunk:
            return False
        *whole, rest = (self._rest.get(name, b"") + chunk).split(b"\n")
        for line in whole:
            self._say(name, line)
        limit = _EVENT_LIMIT if name == "event" else LINE_LIMIT
        if len(rest) > limit:  # somebody never ends a line
            self._say(name, rest)
            rest = b""
        self._rest[name] = rest
        return True

    def _say(self, name: str, raw: bytes) -> None:
        if name == "event":
            self._event(raw)
            return
        text = raw.decode("utf-8", "replace").rstrip("\r")
        if text and not is_noise(text):
            for at in range(0, len(text), LINE_LIMIT):
                self._log.line(now_us(), {"k": "out", "s": name, "m": text[at : at + LINE_LIMIT]})

    def _event(self, raw: bytes) -> None:
        try:
            event = json.loads(raw)
        except ValueError:  # cut by a death inside the write
            return
        if event.get("type") == "log":
            line = {"k": "log", "s": event["s"], "l": event["l"], "st": event["st"], "m": event["m"]}
            self._log.line(event["t"], line)
        elif len(raw) <= _EVENT_LIMIT:
            self._log.record(now_us(), {"k": "event", "e": event})


def _die_with_parent() -> None:
    """A run without its job would say nothing to anyone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def missing_tell(mark: str, what: str) -> int:
    """The cluster's Python lacks what every run needs: said as a failure of its own, in words for whoever runs it."""
    log = Log(1, mark)
    message = f"the cluster's Python ({sys.executable}) has no {what}: the nodes' environment must hold it"
    failure = {"type": "failure", "stage": None, "batch": None, "item": None, "exception": "ModuleNotFoundError"}
    log.record(now_us(), {"k": "event", "e": failure | {"phase": "run", "message": message, "traceback": None}})
    log.record(now_us(), {"k": "exit", "code": EXIT_FAILED, "signal": None, "stopped": False})
    return EXIT_FAILED

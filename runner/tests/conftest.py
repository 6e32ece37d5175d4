"""Runs the real runner as a process of its own, the way the supervisor does, and collects what it says.

`QD_TEST_PYTHON` names the interpreter that has cosmos-xenna; without it, the one that runs pytest.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RUNNER = Path(__file__).resolve().parent.parent
PIPELINES = RUNNER / "tests" / "pipelines"
PYTHON = os.environ.get("QD_TEST_PYTHON") or sys.executable
# Slow machines are slow; a hang is still a failure.
RUN_LIMIT_S = 120


def stage(name: str, params: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    return {
        "id": name.lower(),
        "name": name,
        "uses": f"stages_under_test:{name}",
        "params": params or {},
        "workers": 1,
    } | settings


def run_file(folder: Path, mode: str, stages: list[dict[str, Any]], count: int = 0, **more: Any) -> dict[str, Any]:
    source = {"callable": {"uses": "stages_under_test:numbers", "params": {"count": count}}}
    return {
        "run_id": "019a0000-0000-7000-8000-000000000000",
        "run": "test#1",
        "attempt_output": str(folder / "output"),
        "code": [str(PIPELINES)],
        "execution_mode": mode,
        "stages": stages,
        "io": {"input": None if mode == "serving" else source, "output": {"jsonl": {"path": "out.jsonl"}}},
        "config": {},
        "env": {},
        "spec_dir": str(folder),
    } | more


class Run:
    """One runner process."""

    def __init__(self, folder: Path, spec: dict[str, Any]) -> None:
        self.folder = folder
        self.attempt = folder / "attempt-1"
        self.events: list[dict[str, Any]] = []
        path = folder / "spec.json"
        path.write_text(json.dumps(spec), encoding="utf-8")
        read, write = os.pipe()
        # A host's Ray must be ignored, whatever the environment says of it.
        env = os.environ | {"QD_EVENTS_FD": str(write), "RAY_ADDRESS": "127.0.0.1:1", "PYTHONPATH": str(RUNNER)}
        self.stderr_path = folder / "stderr"
        with self.stderr_path.open("wb") as stderr, (folder / "stdout").open("wb") as stdout:
            arguments = ["run", "--spec", str(path), "--attempt", "1", "--dir", str(self.attempt)]
            self.process = subprocess.Popen(
                [PYTHON, "-m", "qd_runner", *arguments],
                cwd=folder,
                env=env,
                pass_fds=[write],
                stdout=stdout,
                stderr=stderr,
            )
        os.close(write)
        self.started = time.monotonic()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, args=(read,), daemon=True)
        self._thread.start()

    def _read(self, fd: int) -> None:
        with os.fdopen(fd, encoding="utf-8") as lines:
            for line in lines:
                with self._changed:
                    self.events.append(json.loads(line) | {"_at": time.monotonic()})
                    self._changed.notify_all()

    def of(self, type_: str) -> list[dict[str, Any]]:
        return [e for e in self.events if e["type"] == type_]

    def logs(self, stage_id: str | None = None) -> list[str]:
        return [e["m"] for e in self.of("log") if stage_id is None or e["st"] == stage_id]

    def until(self, condition: Callable[[dict[str, Any]], bool], limit_s: float = 60) -> dict[str, Any]:
        deadline = time.monotonic() + limit_s
        seen = 0
        with self._changed:
            while True:
                for event in self.events[seen:]:
                    if condition(event):
                        return event
                seen = len(self.events)
                left = deadline - time.monotonic()
                if left <= 0 or (self.process.poll() is not None and not self._thread.is_alive()):
                    raise AssertionError(f"no such event; stderr: {self.stderr()[-3000:]}")
                self._changed.wait(min(left, 0.5))

    def wait(self, limit_s: float = RUN_LIMIT_S) -> int:
        code = self.process.wait(limit_s)
        self._thread.join(5)
        return code

    def stderr(self) -> str:
        return self.stderr_path.read_text(encoding="utf-8", errors="replace")

    def results(self) -> list[Any]:
        text = (self.folder / "output" / "out.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def ray_dir(self) -> Path:
        return Path((self.attempt / "ray" / "temp_dir").read_text(encoding="utf-8").strip())

    def left_over(self) -> list[int]:
        """Processes that hold a file below the run's Ray folder, or carry it in their environment."""
        mark = str(self.ray_dir())
        found = []
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    links = [os.readlink(fd.path) for fd in os.scandir(f"/proc/{entry.name}/fd")]  # noqa: PTH115
                    in_env = mark.encode() in Path(f"/proc/{entry.name}/environ").read_bytes()
                    if in_env or any(link.startswith(mark) for link in links):
                        found.append(int(entry.name))
        return found

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
        if self.process.poll() is None:
            self.process.kill()


@dataclasses.dataclass
class Starter:
    factory: pytest.TempPathFactory
    runs: list[Run] = dataclasses.field(default_factory=list)

    def __call__(self, mode: str, stages: list[dict[str, Any]], count: int = 0, **more: Any) -> Run:
        folder = self.factory.mktemp("run")
        run = Run(folder, run_file(folder, mode, stages, count, **more))
        self.runs.append(run)
        return run


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory):
    starter = Starter(tmp_path_factory)
    yield starter
    for run in starter.runs:
        run.end()


def command(*arguments: str, env: dict[str, str] | None = None) -> tuple[dict[str, Any], str]:
    """`describe` or `check`: its JSON and its stderr."""
    done = subprocess.run(
        [PYTHON, "-m", "qd_runner", *arguments],
        cwd=RUNNER,
        env=os.environ | (env or {}),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(done.stdout), done.stderr

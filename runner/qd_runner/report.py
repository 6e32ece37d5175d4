"""The reporting thread: drains spool and worker files, and turns them into events while the pipeline runs.

Looks 20 times a second. A failure is sent the moment its record is read, long before Xenna has wound up; only where
the worker is finding out which item it was, it waits for that, for at most 2.5 s. Should the item be told later still,
a second `failure` of the same stage and batch says it. Ignored failures are counted exactly; their `dropped` events
come one per batch for the first 200 of a stage, then one a second.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qd_runner.loading import traceback_of
from qd_runner.nodes import Nodes
from qd_runner.progress import Board, StageBoard
from qd_runner.protocol import Events, now_us
from qd_runner.serving import Bridge
from qd_runner.spool import SpoolReader
from qd_runner.worker_files import WorkerFiles, is_noise

_LOOK_S = 0.05
_PROGRESS_S = 1.0
_PROGRESS_CHANGED_S = 0.5
_DROPPED_SINGLY = 200
_ITEM_WAIT_S = 2.5  # a worker looks for 2 s
_LOGS_AT_ONCE = 5000
_OF_ITEM = ("item", "item_preview", "exception", "message", "traceback")
_STAGE_NAME = re.compile(r"Stage \d\d - \w+")


class Reporter:
    def __init__(self, events: Events, board: Board, spool: Path, on_failure: Callable[[], None]) -> None:
        self.bridge: Bridge | None = None
        self.nodes: Nodes | None = None  # of a run that has workers on other machines
        self.failed = False
        self._events, self._board = events, board
        self._spool = SpoolReader(spool)
        self._files: WorkerFiles | None = None
        self._on_failure = on_failure
        self._item_due: tuple[float, StageBoard, dict[str, Any]] | None = None  # a failure that waits for its item
        self._sent: dict[str, Any] | None = None
        self._held: dict[str, Any] | None = None  # a setup failure that Xenna was told to tolerate
        self._tolerated = {s.id: False for s in board.stages}
        self._stage_of_pid: dict[int, str] = {}
        self._dropped: dict[str, int] = {}
        self._dropped_later: dict[str, dict[str, Any]] = {}
        self._progress_at = self._usage_at = self._later_at = 0.0
        self._progress_counts: Any = None
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="report", daemon=True)

    def setup_failures_tolerated(self, stage_id: str) -> None:
        self._tolerated[stage_id] = True

    def start(self) -> None:
        self._thread.start()

    def session_use(self, session_dir: Path) -> None:
        with self._lock:
            self._files = WorkerFiles(session_dir, self._stage_of_pid.get)

    def close(self) -> None:
        """Last drain and last progress. Nothing but `result` may be sent after this."""
        self._stop.set()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(timeout=2.0)
        self.pump(final=True)
        with self._lock:
            self._item_wait_end()
            self._dropped_flush()
            self._board.finished = True
            self._progress_send()
            if self.bridge is not None:
                self.bridge.event_send()

    def result_send(self, result: dict[str, Any]) -> None:
        self._events.send("result", **result)

    def _loop(self) -> None:
        while not self._stop.wait(_LOOK_S):
            try:
                self.pump()
                self._tick()
            except Exception:  # one look lost; without this thread the run would go on unseen
                traceback.print_exc()

    def pump(self, *, final: bool = False) -> None:
        with self._lock:
            logs: list[tuple[int, dict[str, Any]]] = []

            def log(t: int, stream: str, level: str, stage_id: str | None, text: str) -> None:
                logs.append((t, _log(t, stream, level, stage_id, text)))
                if len(logs) >= _LOGS_AT_ONCE:
                    self._logs_send(logs)

            elsewhere = self.nodes.read() if self.nodes is not None else ()
            for index, pid, record in itertools.chain(self._spool.read(final=final), elsewhere):
                stage = self._board.stage(index)
                if record["k"] == "l":
                    if not is_noise(record["m"]):
                        log(record["t"], record["s"], record["l"], stage.id, record["m"])
                elif record["k"] == "x":
                    text = f"[{record['lines']} lines of worker {pid} were dropped: it prints faster than can be read]"
                    log(now_us(), "stderr", "warning", stage.id, text)
                else:
                    self._record(index, stage, pid, record)
            if self._files is not None:
                for stage_id, stream, level, line in self._files.read(final=final):
                    log(now_us(), stream, level, stage_id, line)
            if final and self.nodes is not None:
                for address in self.nodes.unread:
                    text = f"[the last lines of the workers on {address} are missing: it could not be read to the end]"
                    log(now_us(), "driver", "warning", None, text)
            self._logs_send(logs)
            if self._item_due is not None and time.monotonic() > self._item_due[0]:
                self._item_wait_end()

    def _logs_send(self, logs: list[tuple[int, dict[str, Any]]]) -> None:
        if logs:
            # Workers write at their own pace; within one look the order is that of the clock.
            logs.sort(key=lambda pair: pair[0])
            self._events.send_all([event for _, event in logs])
            logs.clear()

    def _record(self, index: int, stage: StageBoard, pid: int, record: dict[str, Any]) -> None:
        kind = record["k"]
        if kind == "f" and record.get("ids") and self.bridge is not None:
            self.bridge.fail(record["ids"], "stage_error", f"stage {stage.id}: {record['error']}")
        if kind == "h":
            stage.pids.add(pid)
            self._stage_of_pid[pid] = stage.id
        elif kind == "s":
            self._board.begun(index, pid)
        elif kind == "b":
            self._board.spooled(index, pid, record)
        elif kind == "e":
            if self.bridge is not None:
                self.bridge.fail(record["ids"], record["code"], record["message"])
        elif kind == "f" and record.get("ignored"):
            self._board.spooled(index, pid, record)
            self.dropped(stage.id, record["batch"], record["batch_size"], record["error"], record["item_preview"])
        elif kind == "f":
            fields = {
                "stage": stage.id,
                "phase": record["phase"],
                "batch": record.get("batch"),
                "batch_size": record.get("batch_size"),
                **{k: record[k] for k in _OF_ITEM},
            }
            if record["phase"] != "process_data" and self._tolerated[stage.id]:
                self._held = fields
            elif self._item_due is not None:
                pass  # the first failure is the run's
            elif record.get("replay") and not self.failed:
                self._item_due = (time.monotonic() + _ITEM_WAIT_S, stage, fields)
            else:
                self._failure_send(stage, fields)
        elif kind == "i":
            self._item_take(stage, record)

    def _item_take(self, stage: StageBoard, record: dict[str, Any]) -> None:
        """Which item of a failed batch it was, or that it was not found."""
        found = {k: record[k] for k in _OF_ITEM if k in record}
        if self._item_due is not None and _same_batch(self._item_due[2], stage, record):
            self._item_due[2].update(found)
            self._item_wait_end()
        elif self._sent is not None and _same_batch(self._sent, stage, record) and record["item"] is not None:
            self._events.send("failure", **self._sent | found)

    def _item_wait_end(self) -> None:
        if self._item_due is not None:
            (_, stage, fields), self._item_due = self._item_due, None
            self._failure_send(stage, fields)

    def dropped(self, stage_id: str, batch: int | None, items: int, error: str, sample: str | None) -> None:
        with self._lock:
            seen = self._dropped[stage_id] = self._dropped.get(stage_id, 0) + 1
            event = {"stage": stage_id, "batch": batch, "items": items, "error": error, "sample": sample}
            if seen <= _DROPPED_SINGLY:
                self._events.send("dropped", **event)
            else:
                before = self._dropped_later.get(stage_id, {"items": 0})
                self._dropped_later[stage_id] = event | {"items": before["items"] + items}

    def _dropped_flush(self) -> None:
        for event in self._dropped_later.values():
            self._events.send("dropped", **event)
        self._dropped_later.clear()

    def failure_of(self, error: BaseException) -> None:
        """What ended the run, where no worker has told it: its own failure (input, output, Ray) or a held one."""
        self.pump()
        with self._lock:
            self._item_wait_end()
            if self.failed:
                return
            stage = None
            if self._held is not None:
                self._failure_send(next(s for s in self._board.stages if s.id == self._held["stage"]), self._held)
                return
            text = ""
            with contextlib.suppress(Exception):
                text = str(error)
            named = _STAGE_NAME.search(text)
            if named:
                stage = self._board.stage_named(named.group(0))
            cause = getattr(error, "cause", None)
            shown = cause if isinstance(cause, BaseException) else error
            fields = {
                "stage": stage.id if stage else None,
                "phase": "run",
                "batch": None,
                "batch_size": None,
                "item": None,
                "item_preview": None,
                "exception": type(shown).__name__,
                "message": (str(shown) or text)[:4000],
                "traceback": (text if cause is not None else traceback_of(error))[:20_000],
            }
            self._failure_send(stage, fields)

    def _failure_send(self, stage: StageBoard | None, fields: dict[str, Any]) -> None:
        if self.failed:
            return
        self.failed = True
        if stage is not None:
            stage.failed = True
        self._sent = fields
        self._events.send("failure", **fields)
        self._on_failure()

    def _tick(self) -> None:
        now = time.monotonic()
        with self._lock:
            if now - self._usage_at >= _PROGRESS_S:
                self._usage_at = now
                for stage in self._board.stages:
                    stage.usage_read(now)
                if self.bridge is not None:
                    self.bridge.event_send()
            if now - self._later_at >= 1.0:
                self._later_at = now
                self._dropped_flush()
            if now - self._progress_at >= _PROGRESS_CHANGED_S:
                event = self._board.event()
                counts = [(s["items_in"], s["items_out"], s["state"], s["actors"]) for s in event["stages"]]
                if counts != self._progress_counts or now - self._progress_at >= _PROGRESS_S:
                    self._progress_at, self._progress_counts = now, counts
                    self._events.send("progress", **event)

    def _progress_send(self) -> None:
        self._events.send("progress", **self._board.event())


def _same_batch(fields: dict[str, Any], stage: StageBoard, record: dict[str, Any]) -> bool:
    return fields["stage"] == stage.id and fields["batch"] == record["batch"]


def _log(t: int, stream: str, level: str, stage: str | None, text: str) -> dict[str, Any]:
    return {"type": "log", "t": t, "s": stream, "l": level, "st": stage, "m": text}

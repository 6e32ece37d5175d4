"""The board: what is known of every stage, from three sources, and what a `progress` event says of it.

- Accepted tasks, counted where Xenna's driver takes a result from a worker (`observe.py`). Exact also when
  workers die and batches are done twice. Where a future Xenna hides that place, the spool's counts stand in.
- The spool: time spent, batches returned as None, ignored failures, process ids.
- Xenna's pools, looked at four times a second: actors and slots; null where a version has no such thing.

Queues follow from conservation: what a stage was fed, less what it has finished and what sits in its slots.

**Bottleneck**: back-pressure keeps queues short and idles the stages before the slow one, and those after it
starve. So the stage whose workers are busiest (process_data seconds per worker second over the last 10 s) is named if
it is busy for at least 30 %; below that the time goes into Xenna's own handling, and the stage is named that would
need longest to work off its queue at its present speed. At the end: the stage with the most busy time per worker.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import itertools
import os
import threading
import time
from pathlib import Path
from typing import Any

WINDOW_S = 10.0
_BUSY_SHARE = 0.3
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Window:
    """Sum of values over the last seconds."""

    def __init__(self, seconds: float = WINDOW_S) -> None:
        self._seconds = seconds
        self._entries: collections.deque[tuple[float, float]] = collections.deque()
        self._sum = 0.0
        self._first: float | None = None

    def add(self, value: float, now: float) -> None:
        self._first = now if self._first is None else self._first
        self._entries.append((now, value))
        self._sum += value

    def rate(self, now: float) -> float:
        """Per second, over the window or the time since the first value where that is shorter."""
        while self._entries and self._entries[0][0] < now - self._seconds:
            self._sum -= self._entries.popleft()[1]
        if not self._entries or self._first is None:
            return 0.0
        return max(self._sum, 0.0) / max(min(self._seconds, now - self._first), 1.0)


@dataclasses.dataclass
class PoolView:
    """One look at one of Xenna's actor pools. None where the installed version does not say."""

    pending: int | None = None
    ready: int | None = None
    running: int | None = None
    idle: int | None = None
    target: int | None = None
    slots_used: int | None = None
    slots_empty: int | None = None
    items_in_slots: int = 0


class StageBoard:
    def __init__(self, stage_id: str, name: str, xenna_name: str, cpus: float, gpus: float, workers: Any) -> None:
        self.id, self.name, self.xenna_name = stage_id, name, xenna_name
        self.cpus, self.gpus, self.workers = cpus, gpus, workers
        self.accepted_in = self.accepted_out = self.accepted_ignored = 0
        self.spool_in = self.spool_out = self.spool_none = self.spool_ignored = 0
        self.lost = 0
        self.busy_s = 0.0
        self.batches = 0
        self.failed = False
        self.first_at: float | None = None
        self.last_at: float | None = None
        self.most_ready = 0
        self.pool = PoolView()
        self.items = Window()
        self.busy = Window()
        self.pids: set[int] = set()
        self.begun: dict[int, float] = {}  # worker's pid → when it began the batch it has not finished
        self.cpu: float | None = None
        self.rss: int | None = None
        self._cpu_seen: dict[int, tuple[float, float]] = {}

    def busy_share(self, now: float) -> float:
        """How much of its workers' time goes into process_data, 0 to 1, batches under way included."""
        under_way = sum(min(now - at, WINDOW_S) for at in self.begun.values()) / WINDOW_S
        return min(1.0, (self.busy.rate(now) + under_way) / max(self.pool.ready or 1, 1))

    def usage_read(self, now: float) -> None:
        """CPU in cores and resident bytes of the stage's living workers."""
        cpu, rss, alive = 0.0, 0, set()
        for pid in self.pids:
            with contextlib.suppress(OSError, ValueError, IndexError):
                stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
                fields = stat[stat.rindex(")") + 2 :].split()
                if fields[0] == "Z":
                    continue
                spent = (int(fields[11]) + int(fields[12])) / _TICKS
                rss += int(fields[21]) * _PAGE
                alive.add(pid)
                before = self._cpu_seen.get(pid)
                if before and now > before[1]:
                    cpu += max(0.0, spent - before[0]) / (now - before[1])
                self._cpu_seen[pid] = (spent, now)
        self.pids = alive
        self.begun = {pid: at for pid, at in self.begun.items() if pid in alive}
        self.cpu, self.rss = (round(cpu, 3), rss) if alive else (None, None)


class Board:
    def __init__(self, stages: list[StageBoard], inputs_total: int | None, clock: Any = time.monotonic) -> None:
        self.stages = stages
        self.inputs_total = inputs_total
        self.fed = inputs_total or 0  # grows with every request when serving
        self.outputs: int | None = None  # exact once the results are in hand
        self.xenna_waiting = 0  # items that Xenna has and no worker yet, where its loop says so
        self.counts_accepted = False
        self.finished = False
        self.succeeded = False
        self._clock = clock
        self._started = clock()
        self._by_name = {s.xenna_name: s for s in stages}
        self._lock = threading.RLock()
        self._inputs_done = 0

    def stage(self, index: int) -> StageBoard:
        return self.stages[index]

    def stage_named(self, xenna_name: str | None) -> StageBoard | None:
        return self._by_name.get(xenna_name or "")

    def accept(self, xenna_name: str, items_in: int, items_out: int, ignored: bool) -> None:
        """Xenna's driver has taken a task's result."""
        with self._lock:
            stage = self._by_name.get(xenna_name)
            if stage is None:
                return
            stage.accepted_in += items_in
            stage.accepted_out += items_out
            stage.accepted_ignored += items_in if ignored else 0
            self._seen(stage, items_in)

    def begun(self, index: int, pid: int) -> None:
        """A worker has begun a batch: a long one must count as busy before it is done."""
        with self._lock:
            self.stages[index].begun[pid] = self._clock()

    def spooled(self, index: int, pid: int, record: dict[str, Any]) -> None:
        """A worker has reported a finished batch (`b`) or attempts used up and ignored (`f`)."""
        with self._lock:
            stage, now = self.stages[index], self._clock()
            stage.begun.pop(pid, None)
            spent = float(record.get("d") or 0.0)
            stage.busy_s += spent
            stage.batches += int(record.get("c") or 1)
            stage.busy.add(spent, now)
            items = int(record.get("i") or record.get("batch_size") or 0)
            stage.spool_in += items
            stage.spool_out += int(record.get("o") or 0)
            stage.spool_none += int(record.get("none") or 0)
            stage.spool_ignored += items if record.get("ignored") else 0
            if not self.counts_accepted:
                self._seen(stage, items)

    def _seen(self, stage: StageBoard, items: int) -> None:
        now = self._clock()
        stage.items.add(items, now)
        stage.first_at = now if stage.first_at is None else stage.first_at
        stage.last_at = now

    def _counts(self, stage: StageBoard) -> tuple[int, int, int]:
        if self.counts_accepted:
            dropped = stage.accepted_ignored + stage.spool_none + stage.lost
            return stage.accepted_in, stage.accepted_out, dropped
        return stage.spool_in, stage.spool_out, stage.spool_ignored + stage.spool_none + stage.lost

    def lost_settle(self) -> list[tuple[StageBoard, int]]:
        """After a run that ended well: items fed to a stage that never came back died with their workers."""
        out = []
        with self._lock:
            fed = self.fed
            for stage in self.stages:
                done_in, done_out, _ = self._counts(stage)
                if self.counts_accepted and fed > done_in:
                    stage.lost = fed - done_in
                    out.append((stage, stage.lost))
                fed = done_out
        return out

    def dropped_total(self) -> int:
        with self._lock:
            return sum(self._counts(s)[2] for s in self.stages)

    def event(self) -> dict[str, Any]:
        with self._lock:
            now = self._clock()
            rows, fed, upstream_done = [], self.fed, self.inputs_total is not None or self.finished
            waiting_scale, waiting = 1.0, 0.0
            for index, stage in enumerate(self.stages):
                done_in, done_out, dropped = self._counts(stage)
                pending = max(0, fed - done_in - stage.lost)
                if index > 0:
                    waiting += pending / waiting_scale
                # A stage that never got anything is done only because all before it are.
                done = upstream_done and pending == 0 and (self.finished or self.fed > 0)
                rows.append(self._row(stage, now, done_in, done_out, dropped, pending, done))
                if done_in:
                    waiting_scale *= max(done_out, 1) / done_in
                fed, upstream_done = done_out, done
            for row, following in itertools.pairwise(rows):
                row["queue_out"] = following["queue_in"]
            first_in = self._counts(self.stages[0])[0] + self.stages[0].lost
            if self.finished and self.succeeded:
                self._inputs_done = self.fed
            else:
                self._inputs_done = max(self._inputs_done, int(max(0.0, first_in - waiting)))
            return {
                "inputs_total": self.inputs_total,
                "inputs_done": self._inputs_done,
                "outputs": self.outputs if self.outputs is not None else rows[-1]["items_out"],
                "dropped": sum(row["dropped"] for row in rows),
                "elapsed_s": round(now - self._started, 3),
                "stages": rows,
                "bottleneck": self._bottleneck(now, rows),
            }

    def _row(
        self, stage: StageBoard, now: float, done_in: int, done_out: int, dropped: int, pending: int, done: bool
    ) -> dict[str, Any]:
        pool = stage.pool
        stage.most_ready = max(stage.most_ready, pool.ready or 0)
        if stage.failed:
            state = "failed"
        elif done:
            state = "succeeded"
        else:
            state = "running" if done_in or pool.ready or stage.pids else "pending"
            if self.finished and state == "running":
                state = "stopped"  # the run ended around it
        # A finished stage's speed is its own average; a window that has run empty would say 0.
        rate = stage.items.rate(now)
        if done and stage.first_at is not None and stage.last_at is not None:
            rate = done_in / max(stage.last_at - stage.first_at, stage.busy_s / max(stage.most_ready, 1), 0.001)
        return {
            "id": stage.id,
            "state": state,
            "actors": {
                "target": pool.target,
                "pending": pool.pending,
                "ready": pool.ready,
                "running": pool.running,
                "idle": pool.idle,
            },
            "queue_in": max(0, pending - pool.items_in_slots),
            "queue_out": 0,
            "slots_used": pool.slots_used,
            "slots_empty": pool.slots_empty,
            "items_in": done_in,
            "items_out": done_out,
            "dropped": dropped,
            "items_per_s": round(rate, 2),
            "process_time_s": round(stage.busy_s / stage.batches, 6) if stage.batches else None,
            "cpu": stage.cpu,
            "rss_bytes": stage.rss,
        }

    def _bottleneck(self, now: float, rows: list[dict[str, Any]]) -> str | None:
        pairs = list(zip(self.stages, rows, strict=True))
        if self.finished:
            stage = max(self.stages, key=lambda s: s.busy_s / max(s.most_ready, 1))
            return stage.id if stage.busy_s > 0 else None
        running = [(s, r) for s, r in pairs if r["state"] == "running" and (s.batches or s.begun)]
        if not running:
            return None
        busiest, share = max(((s, s.busy_share(now)) for s, _ in running), key=lambda pair: pair[1])
        if share >= _BUSY_SHARE:
            return busiest.id
        slowest, row = max(running, key=lambda pair: pair[1]["queue_in"] / max(pair[0].items.rate(now), 0.01))
        return slowest.id if row["queue_in"] else None

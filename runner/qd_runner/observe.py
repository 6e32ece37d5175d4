"""Looks into Xenna's driver loop. Everything that patches or reads Xenna's private parts is in this file.

Two hooks, both in this process only: Xenna's `PipelineMonitor`, which its loops call about 100 times a second
with queue lengths, is replaced by one that looks at the pools and starts no actors of its own (Xenna's starts one per
node, which takes a CPU of Ray's and needs the dashboard); and the place where a pool accepts a task's
result is wrapped to count items. Where a version has neither, the run goes on with fewer numbers.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from qd_runner.progress import Board, PoolView

_LOOK_EVERY_S = 0.25


def monitor_replaceable() -> bool:
    """False where Xenna's own monitor must run: its Prometheus gauges are asked for, or it is not where it was."""
    if os.environ.get("XENNA_RAY_METRICS_PORT"):
        return False
    try:
        from cosmos_xenna.pipelines.private import batch, monitoring, streaming

        # Both loops reach it through the module, so replacing the module's name is enough.
        return all(getattr(m, "monitoring", None) is monitoring for m in (batch, streaming)) and hasattr(
            monitoring, "PipelineMonitor"
        )
    except ImportError:
        return False


def install(board: Board, *, replace_monitor: bool, on_ready: Callable[[], None]) -> None:
    """`on_ready` is called once, when every stage has had a worker ready at the same time."""
    _count_accepted(board)
    if not replace_monitor:
        return
    from cosmos_xenna.pipelines.private import monitoring

    class PipelineMonitor:
        def __init__(self, log_interval_s: float, initial_input_len: int, actor_pools: Any, *_: Any, **__: Any) -> None:
            self._pools = list(actor_pools)
            self._next = 0.0
            self._ready = False

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: Any) -> None:
            self._look()

        def update(self, input_len: int = 0, *_: Any, **__: Any) -> bool:
            board.xenna_waiting = input_len
            now = time.monotonic()
            if now >= self._next:
                self._next = now + _LOOK_EVERY_S
                self._look()
            return False  # "nothing was logged"

        def _look(self) -> None:
            for pool in self._pools:
                stage = board.stage_named(getattr(pool, "name", None))
                if stage is not None:
                    stage.pool = pool_view(pool)
                    stage.most_ready = max(stage.most_ready, stage.pool.ready or 0)
            if not self._ready and all((s.pool.ready or 0) > 0 for s in board.stages):
                self._ready = True
                on_ready()

    monitoring.PipelineMonitor = PipelineMonitor  # type: ignore[misc]


def pool_view(pool: Any) -> PoolView:
    view = PoolView()
    for field, attribute in (
        ("pending", "num_pending_actors"),
        ("ready", "num_ready_actors"),
        ("running", "num_running_actors"),
        ("idle", "num_idle_actors"),
        ("slots_used", "num_used_slots"),
        ("slots_empty", "num_empty_slots"),
    ):
        try:
            setattr(view, field, int(getattr(pool, attribute)))
        except Exception:  # not in this version
            continue
    try:
        view.target = len(pool._worker_groups) + len(pool._worker_groups_to_create)
    except Exception:
        view.target = None if view.ready is None else view.ready + (view.pending or 0)
    try:
        view.items_in_slots = sum(
            len(slot.task.task.task_data) for a in pool._ready_actors.values() for slot in a.slots if slot.task
        )
    except Exception:
        view.items_in_slots = view.slots_used or 0
    return view


def _count_accepted(board: Board) -> None:
    try:
        from cosmos_xenna.ray_utils.actor_pool import ActorPool

        original = ActorPool._process_completed_task
    except (ImportError, AttributeError):
        return

    def counted(self: Any, actor: Any, slot_num: int, *args: Any, **kwargs: Any) -> Any:
        before = None
        try:
            slot = actor.slots[slot_num]
            items_in = len(slot.task.task.task_data) if slot.task is not None else 0
            before = (self._num_completed_tasks, self._num_null_tasks)
        except Exception:  # the inside differs in this version: the spool's counts take over
            board.counts_accepted = False
        result = original(self, actor, slot_num, *args, **kwargs)
        try:
            if before is not None and self._num_completed_tasks > before[0]:
                ignored = self._num_null_tasks > before[1]
                items_out = 0 if ignored else len(self._completed_tasks[-1].task_data)
                board.accept(self.name, items_in, items_out, ignored)
        except Exception:  # as above; counting must not fail the run
            board.counts_accepted = False
        return result

    ActorPool._process_completed_task = counted  # type: ignore[method-assign]
    board.counts_accepted = True

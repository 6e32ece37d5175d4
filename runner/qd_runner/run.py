"""`run`: a run file executed by Xenna on a Ray of its own, or in a Ray job on the cluster's, reported over the event
descriptor.

Every end goes through `_Ending`: last drain, Ray killed or left, last event, exit. Watchdogs give Xenna and the user's
`destroy()` a bounded time to wind up (after a stop 2.5 s, in a job 1.5 s; after a failure 6 s), because neither bounds
itself.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from qd_runner import check, instrument, loading, observe, sinks, sources, xenna
from qd_runner.progress import Board, StageBoard
from qd_runner.protocol import EXIT_BAD_SPEC, EXIT_FAILED, EXIT_OK, EXIT_STOPPED, Events, StopRequested, error_line
from qd_runner.rayhost import RayHost
from qd_runner.rayjob import RayJob
from qd_runner.report import Reporter
from qd_runner.serving import Bridge
from qd_runner.spec import BadSpec, RunFile, run_file_read

_FAILURE_GRACE_S = 6.0
_SERVING_STOP_GRACE_S = 8.0
_SERVING_DRAIN_S = 60.0
_NOT_OF_A_BATCH = ("stage", "batch", "batch_size", "item", "item_preview")


def main(spec: Path, attempt: int, attempt_dir: Path, *, cluster: bool = False) -> int:
    events = Events.from_env()
    events.send("hello", attempt=attempt, pid=os.getpid(), **xenna.versions())
    events.send("state", state="starting")
    attempt_dir = attempt_dir.absolute()
    attempt_dir.mkdir(parents=True, exist_ok=True)
    try:
        run = run_file_read(spec)
    except BadSpec as error:
        return _bad_spec(events, error)
    host = RayJob(attempt_dir) if cluster else RayHost(attempt_dir, run.code, run.env)
    ending = _Ending(host)
    ending.signals_catch()
    try:
        loading.code_dirs_use(run.code)
        built, violations = check.run_build(run)
        if built is None:
            return ending.end(_bad_spec(events, BadSpec(violations)))
        return _Runner(run, built, events, ending, attempt_dir).execute()
    except BaseException as error:
        if ending.stop_raised:
            return ending.end(EXIT_STOPPED)
        traceback.print_exc()
        ending.failure_tell(events, error)
        return ending.end(EXIT_FAILED)


def _bad_spec(events: Events, error: BadSpec) -> int:
    for violation in error.violations:
        print(f"{violation.pointer or '/'}: {violation.code}: {violation.detail}", file=sys.stderr)
    events.send(
        "failure",
        **dict.fromkeys(_NOT_OF_A_BATCH),
        phase="spec",
        traceback=None,
        exception="BadSpec",
        message=str(error),
        violations=[v.to_json() for v in error.violations],
    )
    return EXIT_BAD_SPEC


class _Runner:
    def __init__(self, run: RunFile, built: check.Built, events: Events, ending: _Ending, folder: Path) -> None:
        self._run, self._built, self._events, self._ending, self._folder = run, built, events, ending, folder
        self._spool = folder / "spool"
        shutil.rmtree(self._spool, ignore_errors=True)
        self._spool.mkdir(parents=True)
        ending.spool = self._spool

    def execute(self) -> int:
        run = self._run
        try:
            items = sources.items_load(run, self._built.input_arguments)
            error = None
        except (Exception, SystemExit) as caught:  # the user's own function, or a file that is not there
            items, error = [], caught
        specs = [self._stage_spec(index) for index in range(len(run.stages))]
        serving = run.mode == "serving"
        board = Board(self._stage_boards(specs), None if serving else len(items))
        self._board = board
        self._events.send("stages", stages=[_stage_event(s) for s in board.stages])
        reporter = Reporter(self._events, board, self._spool, self._ending.failure_seen)
        for entry, spec in zip(run.stages, specs, strict=True):
            limit = spec.max_setup_failure_percentage or self._built.config.max_setup_failure_percentage
            if limit is not None:
                reporter.setup_failures_tolerated(entry.id)
        self._reporter = self._ending.reporter = reporter
        if error is not None:
            reporter.failure_of(error)
            return self._ending.end(EXIT_FAILED)
        try:
            results = self._pipeline_run(items, specs) if items or serving else []
        except (Exception, StopRequested) as caught:
            if self._ending.stop_raised:
                self._bridge_finish("stopped", "the run was stopped")
                return self._ending.end(EXIT_STOPPED)
            reporter.failure_of(caught)
            self._bridge_finish("run_failed", "the run has failed")
            return self._ending.end(EXIT_FAILED)
        return self._finish(results)

    def _pipeline_run(self, items: list[Any], specs: list[Any]) -> list[Any] | None:
        from cosmos_xenna.pipelines.v1 import PipelineSpec, ServingQueues, run_pipeline

        replace = observe.monitor_replaceable()
        observe.install(self._board, replace_monitor=replace, on_ready=self._ready)
        queues = None
        if self._run.mode == "serving":
            bridge = self._bridge_make()
            self._reporter.bridge = self._ending.bridge = bridge
            queues = ServingQueues(source=bridge.source, sink=bridge.sink)  # type: ignore[arg-type]
        self._reporter.start()
        session = self._ending.host.start(dashboard=not replace)
        self._ending.signals_catch()  # Ray's C++ side prints a stack trace on SIGTERM before it hands on
        if session is not None:
            self._reporter.session_use(session)
        self._reporter.nodes = getattr(self._ending.host, "nodes", None)
        self._events.send("state", state="running")
        spec = PipelineSpec(input_data=items, stages=specs, config=self._built.config, serving_queues=queues)
        return run_pipeline(spec)

    def _finish(self, results: list[Any] | None) -> int:
        self._events.send("state", state="finishing")
        self._bridge_finish("lost", "the item was lost with its worker")
        self._reporter.pump(final=True)
        for stage, items in self._board.lost_settle():
            self._reporter.dropped(stage.id, None, items, "WorkerDied: a worker died with these items", None)
        try:
            written = sinks.results_write(self._run, results or [])
        except Exception as caught:
            self._reporter.failure_of(caught)
            return self._ending.end(EXIT_FAILED)
        if results is not None:
            self._board.outputs = len(results)
        self._board.succeeded = True
        last = self._board.event()
        outputs, dropped = last["outputs"], last["dropped"]
        return self._ending.end(EXIT_OK, {"outputs": outputs, "dropped": dropped, **written.to_json()})

    def _stage_spec(self, index: int) -> Any:
        entry, stage, config = self._run.stages[index], self._built.stages[index], self._built.config
        spec = xenna.stage_spec_build(entry, stage, [])

        def setting(name: str) -> Any:
            own = getattr(spec, name)
            return own if own is not None else getattr(config, name)

        resources = {k: float(v) for k, v in (entry.resources or {}).items() if v is not None}
        options = instrument.Options(
            stage=entry.id,
            index=index,
            spool=str(self._spool),
            run_attempts=setting("num_run_attempts_python"),
            setup_attempts=setting("num_setup_attempts_python"),
            ignore_failures=setting("ignore_failures"),
            replay_failures=entry.replay_failures,
            serving=self._run.mode == "serving",
            batch_size=entry.batch_size,
            cpus=resources.get("cpus"),
            gpus=resources.get("gpus"),
        )
        spec.stage = instrument.instrument(stage, options)
        return spec

    def _stage_boards(self, specs: list[Any]) -> list[StageBoard]:
        boards = []
        for index, (entry, spec) in enumerate(zip(self._run.stages, specs, strict=True)):
            needs = xenna.resources_of(spec.stage.required_resources)
            boards.append(
                StageBoard(entry.id, entry.name, spec.name(index), needs["cpus"], needs["gpus"], spec.num_workers)
            )
        return boards

    def _bridge_make(self) -> Bridge:
        config = self._built.config
        return Bridge(
            self._folder,
            self._board,
            self._events,
            drains_itself=bool(getattr(config, "serving_drain_on_close", False)),
            drain_s=getattr(config, "serving_drain_timeout_s", None) or _SERVING_DRAIN_S,
            first_batch=check.stage_batch(self._run.stages[0], self._built.stages[0]),
        )

    def _ready(self) -> None:
        if self._ending.bridge is not None:
            self._ending.bridge.ready = True

    def _bridge_finish(self, code: str, message: str) -> None:
        if self._ending.bridge is not None:
            self._reporter.pump()  # errors that workers have already told come before the general one
            self._ending.bridge.finish(code, message)


def _stage_event(stage: StageBoard) -> dict[str, Any]:
    return {k: getattr(stage, k) for k in ("id", "name", "xenna_name", "cpus", "gpus", "workers")}


class _Ending:
    """The one way out, whoever takes it first: the main thread, or a watchdog because that one hangs."""

    def __init__(self, host: RayHost | RayJob) -> None:
        self.host = host
        self.reporter: Reporter | None = None
        self.bridge: Bridge | None = None
        self.spool: Path | None = None
        self._taken = threading.Lock()
        self._stopping = False
        # Asked in place of the exception's type: what cleans up on its way, Ray's and Xenna's, may raise over it.
        self.stop_raised = False

    def signals_catch(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def _stop(self, _number: int, _frame: Any) -> None:
        if self._stopping:
            return
        self._stopping = True
        if self.bridge is not None and self.bridge.ready:
            # Not from this thread: it may be inside the very queue that close() puts to.
            threading.Thread(target=self.bridge.close, name="serving-close", daemon=True).start()
            self._watchdog(_SERVING_STOP_GRACE_S, EXIT_STOPPED)
            return
        self._watchdog(self.host.stop_grace_s, EXIT_STOPPED)
        self.stop_raised = True
        raise StopRequested

    def failure_seen(self) -> None:
        self._watchdog(_FAILURE_GRACE_S, EXIT_FAILED)

    def failure_tell(self, events: Events, error: BaseException) -> None:
        """A failure that nobody foresaw: the runner's own, or code that left by sys.exit."""
        if self.reporter is not None:
            self.reporter.failure_of(error)
            return
        events.send(
            "failure",
            **dict.fromkeys(_NOT_OF_A_BATCH),
            phase="run",
            exception=type(error).__name__,
            message=error_line(error),
            traceback=loading.traceback_of(error),
        )

    def _watchdog(self, seconds: float, code: int) -> None:
        timer = threading.Timer(seconds, self.end, args=(code,))
        timer.daemon = True
        timer.start()

    def end(self, code: int, result: dict[str, Any] | None = None) -> int:
        """Does not return: Ray's and the interpreter's own exits have no time limit."""
        # Before the lock: a StopRequested between the two would leave it taken, and nobody to end the process.
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(ValueError):  # only the main thread may; a watchdog leaves them
                signal.signal(number, signal.SIG_IGN)
        if not self._taken.acquire(blocking=False):
            threading.Event().wait()  # another thread is ending the process
        try:
            self._wind_up(code, result)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)

    def _wind_up(self, code: int, result: dict[str, Any] | None) -> None:
        if self.bridge is not None and code != EXIT_OK:
            self.bridge.finish("stopped" if code == EXIT_STOPPED else "run_failed", "the run has ended")
        self.host.kill()
        if self.reporter is not None:
            self.reporter.close()  # nobody is left who could write another line
            if result is not None:
                self.reporter.result_send(result)
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        self.host.remove()
        if self.spool is not None:
            shutil.rmtree(self.spool, ignore_errors=True)

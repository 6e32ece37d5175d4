"""The user's stage, observed: a subclass of the user's class under the same name.

Xenna names stages after the class and users look at `type(self).__name__`, hence the same name. The subclass counts,
times, reports failures and carries serving envelopes; the user's methods see plain items, and an exception
leaves as it came. It has no slots and no state of its own: what a worker process needs lives in one `Probe`, so that
attrs, frozen and slotted stages work, and instances pickle as instances of the user's class plus `Options`.
"""

from __future__ import annotations

import contextlib
import copyreg
import dataclasses
import functools
import os
import time
from collections.abc import Callable
from typing import Any

from qd_runner.capture import Capture
from qd_runner.loading import traceback_of
from qd_runner.protocol import error_line, now_us, preview
from qd_runner.spool import SpoolWriter, batch_number_next

_REPLAY_LIMIT_S = 2.0


@dataclasses.dataclass(frozen=True)
class Options:
    """What a worker must know about its stage. Pickled with the stage."""

    stage: str
    index: int
    spool: str
    run_attempts: int = 1
    setup_attempts: int = 1
    ignore_failures: bool = False
    replay_failures: bool = True
    serving: bool = False
    batch_size: int | None = None
    cpus: float | None = None
    gpus: float | None = None


@dataclasses.dataclass(frozen=True)
class Envelope:
    """A serving item with the request it belongs to."""

    id: str
    value: Any


def instrument(stage: Any, options: Options) -> Any:
    """Turns an instance of the user's class into one of the observed subclass, in place."""
    stage.__class__ = _subclass(type(stage), options)
    return stage


@functools.cache
def _subclass(base: type, options: Options) -> type:
    def setup_on_node(self: Any, node_info: Any, worker_metadata: Any) -> None:
        call = functools.partial(base.setup_on_node, self, node_info, worker_metadata)  # type: ignore[attr-defined]
        return Probe.current(options).prepare("setup_on_node", call, attempts=1)

    def setup(self: Any, worker_metadata: Any) -> None:
        call = functools.partial(base.setup, self, worker_metadata)  # type: ignore[attr-defined]
        return Probe.current(options).prepare("setup", call, attempts=options.setup_attempts)

    def process_data(self: Any, in_data: list[Any]) -> Any:
        return Probe.current(options).process(functools.partial(base.process_data, self), in_data)  # type: ignore[attr-defined]

    def destroy(self: Any) -> None:
        try:
            if hasattr(base, "destroy"):
                base.destroy(self)
        finally:
            Probe.current(options).line_end()

    def __reduce_ex__(self: Any, protocol: Any) -> Any:
        made = base.__reduce_ex__(self, protocol)
        if not isinstance(made, tuple):
            return made
        factory, arguments, *rest = made
        plain = tuple(base if a is cls else a for a in arguments)
        if factory is copyreg.__newobj__:  # type: ignore[attr-defined]
            return (_new, (base, options, *plain[1:]), *rest)
        return (_adopt, (options, base if factory is cls else factory, plain, *rest[:1]))

    namespace = {
        "__slots__": (),
        "__module__": base.__module__,
        "__qualname__": base.__qualname__,
        "__doc__": base.__doc__,
        "setup_on_node": setup_on_node,
        "setup": setup,
        "process_data": process_data,
        "destroy": destroy,
        "__reduce_ex__": __reduce_ex__,
    }
    namespace |= _overrides(base, options)
    cls = type(base)(base.__name__, (base,), namespace)
    return cls


def _overrides(base: type, options: Options) -> dict[str, Any]:
    """Properties only for what the spec overrides: others must stay assignable where the user's class lets them be."""
    out: dict[str, Any] = {}
    if options.batch_size is not None:
        out["stage_batch_size"] = property(lambda _self: options.batch_size, lambda _self, _value: None)
    given = {k: v for k, v in (("cpus", options.cpus), ("gpus", options.gpus)) if v is not None}
    if given:

        def required_resources(self: Any) -> Any:
            import attrs

            own = getattr(self, "__dict__", {}).get("required_resources")
            inherited = base.required_resources  # type: ignore[attr-defined]
            own = own or (inherited.__get__(self) if hasattr(inherited, "__get__") else inherited)
            return attrs.evolve(own, **given)

        out["required_resources"] = property(required_resources, lambda _self, _value: None)
    return out


def _new(base: type, options: Options, *arguments: Any) -> Any:
    """Unpickles an observed stage: the earliest moment in a worker at which its prints can be caught."""
    if _in_worker():
        Probe.current(options)
    cls = _subclass(base, options)
    return cls.__new__(cls, *arguments)


def _adopt(options: Options, factory: Callable[..., Any], arguments: tuple[Any, ...], state: Any = None) -> Any:
    """Unpickles a stage whose class pickles itself in its own way."""
    if _in_worker():
        Probe.current(options)
    made = factory(*arguments)
    if state is not None:
        if hasattr(made, "__setstate__"):
            made.__setstate__(state)
        else:
            made.__dict__.update(state)
    return instrument(made, options)


def _in_worker() -> bool:
    try:
        import ray

        return ray._private.worker.global_worker.mode == ray.WORKER_MODE
    except Exception:  # private to Ray; without it the first call of setup starts the probe
        return False


class Probe:
    """One worker process's eyes. A process runs one stage."""

    _made: Probe | None = None

    def __init__(self, options: Options) -> None:
        self._options = options
        self._writer = SpoolWriter(options.spool, options.index)
        self._writer.write({"k": "h", "t": now_us(), "pid": os.getpid()})
        self._capture = Capture(self._writer)
        self._failed_input: list[Any] | None = None  # what the running retries are about
        self._attempt = 0
        self._batch = 0
        self._setup_failures = 0

    @classmethod
    def current(cls, options: Options) -> Probe:
        if cls._made is None:
            cls._made = cls(options)
        return cls._made

    def line_end(self) -> None:
        self._capture.line_end()

    def prepare(self, phase: str, call: Callable[[], Any], attempts: int) -> Any:
        try:
            return call()
        except Exception as error:
            self._setup_failures += 1
            if self._setup_failures >= attempts:
                self._writer.write(self._failure(error, phase) | {"batch": None, "batch_size": None})
            raise
        finally:
            self._capture.line_end()

    def process(self, call: Callable[[list[Any]], Any], in_data: list[Any]) -> Any:
        if self._failed_input is in_data:
            self._attempt += 1
        else:
            self._attempt, self._failed_input = 1, None
            self._batch = self._batch_number()
        self._writer.write({"k": "s", "n": self._batch})
        serving = self._options.serving
        items = [e.value for e in in_data] if serving else in_data
        started = time.perf_counter()
        try:
            out = call(items)
        except Exception as error:
            self._failed_input = in_data
            self._batch_failed(error, call, in_data, items, time.perf_counter() - started)
            raise
        finally:
            self._capture.line_end()
        spent = time.perf_counter() - started
        self._failed_input = None
        none = len(items) if out is None else 0
        # Documented as "drops the batch", but Xenna 0.3.0 and 0.5.12 both fail on len(None).
        out = [] if out is None else out
        if serving:
            out, none = self._enveloped(in_data, out, none)
        done = {"k": "b", "n": self._batch, "i": len(items), "o": len(out) if hasattr(out, "__len__") else 0}
        self._writer.write(done | {"none": none, "d": round(spent, 6), "t": now_us()})
        return out

    def _batch_number(self) -> int:
        try:
            return batch_number_next(self._options.spool, self._options.index)
        except (OSError, ValueError):  # a full disk must not look like a failure of the user's stage
            return self._batch + 1

    def _enveloped(self, in_data: list[Envelope], out: Any, none: int) -> tuple[list[Envelope], int]:
        out = list(out)
        if len(out) == len(in_data):
            return [Envelope(e.id, value) for e, value in zip(in_data, out, strict=True)], none
        if none:
            code, message = "dropped", f"stage {self._options.stage} dropped the item (returned None)"
        else:
            code = "count_mismatch"
            message = f"stage {self._options.stage} returned {len(out)} items for {len(in_data)}"
        self._writer.write({"k": "e", "ids": [e.id for e in in_data], "code": code, "message": message})
        return [], len(in_data)

    def _batch_failed(self, error: Exception, call: Any, in_data: list[Any], items: list[Any], spent: float) -> None:
        if self._attempt < self._options.run_attempts:
            self._writer.write({"k": "r", "n": self._batch, "d": round(spent, 6), "error": error_line(error)})
            return
        ignored = self._options.ignore_failures
        replay = len(items) > 1 and self._options.replay_failures and not ignored
        record = self._failure(error, "process_data") | {
            "batch": self._batch,
            "batch_size": len(items),
            "item": 0 if len(items) == 1 else None,
            "item_preview": preview(items[0]) if items and (len(items) == 1 or ignored) else None,
            "ignored": ignored,
            "replay": replay,
            "d": round(spent, 6),
        }
        if self._options.serving:
            record["ids"] = [e.id for e in in_data]
        self._writer.write(record)
        if replay:
            self._item_tell(call, items, error)

    def _item_tell(self, call: Any, items: list[Any], error: Exception) -> None:
        """In a record of its own: an item may take its time, and the failure must not wait for it."""
        item, item_error = self._replay(call, items, error)
        record: dict[str, Any] = {"k": "i", "batch": self._batch, "item": item}
        if item is not None:
            failure = self._failure(item_error, "process_data")
            record |= {k: failure[k] for k in ("exception", "message", "traceback")}
            record["item_preview"] = preview(items[item])
        self._writer.write(record)

    def _replay(self, call: Any, items: list[Any], error: Exception) -> tuple[int | None, Exception]:
        """Runs the batch's items one by one, muted, until one fails; its own exception names it best."""
        deadline = time.monotonic() + _REPLAY_LIMIT_S
        with self._capture.muted():
            for index, item in enumerate(items):
                if time.monotonic() > deadline:
                    break
                try:
                    call([item])
                except Exception as found:
                    return index, found if type(found) is type(error) else error
        return None, error

    def _failure(self, error: Exception, phase: str) -> dict[str, Any]:
        text = ""
        with contextlib.suppress(Exception):
            text = str(error)
        return {
            "k": "f",
            "t": now_us(),
            "phase": phase,
            "item": None,
            "item_preview": None,
            "exception": type(error).__name__,
            "message": text[:4000],
            "error": error_line(error),
            "traceback": traceback_of(error)[:20_000],
            "ignored": False,
        }

"""What workers on other machines of a cluster have spooled: read there, by one small actor on each, and fetched.

Workers write to their own machine's disk (`spool.py`), so that a record outlives its worker. On the driver's machine
the folder is simply read; elsewhere a reader reads it, removes what it has read, and hands it over. One call to each is
always under way, so that asking costs the run no waiting. What a machine takes along when it is lost is lost.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qd_runner.spool import SpoolReader, folder_make

Record = tuple[int, int, dict[str, Any]]

_AT_ONCE = 5000
_PAUSE_S = 0.2
_LOOK_FOR_NODES_S = 5.0
_START_S = 20.0
# Process numbers are a machine's own; on a cluster two workers may have the same.
_PIDS_APART = 1 << 23


class NodeReader:
    """Lives on another machine."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        folder_make(folder)
        self._reader = SpoolReader(self._folder)
        self._records: Iterator[Record] | None = None
        self._final = False

    def read(self, *, final: bool = False) -> list[Record]:
        """A bounded part of what is there; less than `_AT_ONCE` means that it was all."""
        found: list[Record] = []
        while len(found) < _AT_ONCE:
            if self._records is None:
                self._records, self._final = self._reader.read(final=final), final
            record = next(self._records, None)
            if record is None:
                self._records = None
                if final and not self._final:
                    continue  # that was the rest of a look before
                break
            found.append(record)
        if not found and not final:
            time.sleep(_PAUSE_S)
        return found

    def remove(self) -> None:
        shutil.rmtree(self._folder.parent, ignore_errors=True)


class Nodes:
    """The readers of a run. Used by the reporting thread, and by the end of the run after that thread has stopped."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._readers: dict[str, tuple[Any, Any]] = {}  # by address: the actor, and the call under way
        self._order: list[str] = []
        self._looked = 0.0
        self._last: list[Record] = []
        self._closed = False
        self.unread: list[str] = []  # machines that were not read to the end

    def start(self) -> None:
        """Waits until the readers are there: what starts beside the first workers would come late."""
        import ray

        self._look()
        with contextlib.suppress(Exception):  # one that does not come up costs its machine's lines, not the run
            ray.wait([call for _, call in self._readers.values()], num_returns=len(self._readers), timeout=_START_S)

    def read(self) -> Iterator[Record]:
        if self._closed:
            yield from self._last
            self._last = []
            return
        with contextlib.suppress(Exception):
            self._look()
        for address in list(self._readers):
            yield from self._fetched(address, timeout=0) or ()

    def close(self, within_s: float) -> None:
        """The last look, while the cluster can still be asked."""
        import ray

        deadline = time.monotonic() + within_s
        for address, (reader, _) in list(self._readers.items()):
            last = False  # the call under way was made before the run had ended
            while True:
                left = max(0.0, deadline - time.monotonic())
                records = self._fetched(address, timeout=left, final=True)
                if records is None:
                    self.unread.append(address)
                    break
                self._last += records
                if last and len(records) < _AT_ONCE:
                    break
                last = True
            with contextlib.suppress(Exception):
                ray.get(reader.remove.remote(), timeout=max(0.0, deadline - time.monotonic()))
        self._closed = True

    def _fetched(self, address: str, *, timeout: float, final: bool = False) -> list[Record] | None:
        """None where no answer came."""
        import ray

        if address not in self._readers:
            return None
        reader, call = self._readers[address]
        offset = (self._order.index(address) + 1) * _PIDS_APART
        try:
            ready, _ = ray.wait([call], timeout=timeout)
            if not ready:
                return None
            records = ray.get(call)
            self._readers[address] = (reader, reader.read.remote(final=final))
        except Exception:  # its machine is gone; should it come back, it gets a new reader
            del self._readers[address]
            return None
        return [(index, pid + offset, record) for index, pid, record in records]

    def _look(self) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        now = time.monotonic()
        if self._looked and now - self._looked < _LOOK_FOR_NODES_S:
            return
        self._looked = now
        own = ray.util.get_node_ip_address()
        for node in ray.nodes():
            address = node["NodeManagerAddress"]
            # Several nodes of one machine share its disk, and so one reader.
            if not node["Alive"] or address == own or address in self._readers:
                continue
            place = NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False)
            options = {"num_cpus": 0, "scheduling_strategy": place}
            reader = ray.remote(NodeReader).options(**options).remote(self._folder)
            if address not in self._order:
                self._order.append(address)
            self._readers[address] = (reader, reader.read.remote())

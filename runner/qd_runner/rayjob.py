"""The cluster's Ray, for a run that is a Ray job: joined, and left as it was found.

Everything that `rayhost.py` does to a Ray of the run's own would be wrong here: other jobs live in it. So nothing is
left out and nothing is killed; leaving (`ray.shutdown`, or this process's end) ends the actors of this job alone. Lines
that reach descriptors 1 and 2 of workers come by Ray's own forwarding, because its worker files hold other jobs' too.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from pathlib import Path

from qd_runner.nodes import Nodes


class RayJob:
    # Ray kills the driver of a stopped job 3 s after SIGTERM; what is said last must be said before.
    stop_grace_s = 1.5

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.nodes = Nodes(folder / "spool")

    def start(self, *, dashboard: bool) -> None:
        """Joins, with the dashboard that the cluster has; there is no session folder to be read."""
        import ray

        # ray.init, which Xenna calls once more, would put its own SIGTERM handler over the runner's.
        ray._private.utils.set_sigterm_handler = lambda _handler: None
        ray.init(address=os.environ.get("RAY_ADDRESS", "auto"), log_to_driver=True)
        self.nodes.start()

    def kill(self, within_s: float = 1.0) -> None:
        """Leaves, with what the other machines have to say; after `within_s` this process's end comes to the same."""

        def leave() -> None:
            with contextlib.suppress(Exception):
                import ray

                self.nodes.close(within_s / 2)
                ray.shutdown()

        thread = threading.Thread(target=leave, name="leave", daemon=True)
        thread.start()
        thread.join(within_s)

    def remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

"""The run's own Ray: started with as little as Xenna needs, on loopback only, killed with the run.

Never the host's Ray: every RAY_* variable of the outer environment is dropped and `address="local"` is said. It is
disposable, so it is not shut down in good order but killed.

What is left out, and why that is sound (all in this driver process, nothing in the installed packages changes):
the dashboard's API server (Xenna needs it only for its own monitor, which `observe.py` replaces), the log monitor
(`worker_files.py` reads the workers' files), the autoscaler's monitor (one fixed node) and pre-started idle workers
(Xenna's actors have a runtime environment of their own, so idle workers would never be used).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from qd_runner.protocol import error_line

_MARK = "QD_RAY_DIR"
_NEVER_FROM_SPEC = {"RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", _MARK}


class RayHost:
    stop_grace_s = 2.5

    def __init__(self, attempt_dir: Path, code: list[str], env: dict[str, str]) -> None:
        """Sets the process environment. Must come before the first `import ray`, which reads parts of it."""
        self._keep = attempt_dir / "ray"
        self._keep.mkdir(parents=True, exist_ok=True)
        self._folder_make()
        self.token_path = self._keep / "token"
        _secret_write(self.token_path, secrets.token_hex(32))
        for name in [n for n in os.environ if n.startswith("RAY_")]:
            del os.environ[name]
        os.environ.update({k: v for k, v in env.items() if k not in _NEVER_FROM_SPEC})
        os.environ.update(self._environment())
        packages = str(Path(__file__).resolve().parent.parent)
        before = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
        os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([*code, packages, *before]))

    def _folder_make(self) -> None:
        """A folder of mode 0700. Ray gets one inside it, because Ray opens its own to everybody (0777)."""
        # In /tmp, because Ray puts Unix sockets below it, and their paths are limited to 107 bytes.
        self.temp_dir = Path(tempfile.mkdtemp(prefix="qd-", dir="/tmp"))
        # For whoever has to clean up after a SIGKILL of this process.
        (self._keep / "temp_dir").write_text(f"{self.temp_dir}\n", encoding="utf-8")
        os.environ[_MARK] = str(self.temp_dir)

    def _environment(self) -> dict[str, str]:
        return {
            "RAY_ADDRESS": "local",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.token_path),
            "RAY_USAGE_STATS_ENABLED": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
            # With this off Ray takes 127.0.0.1 as the node's address and every server of it binds to loopback;
            # it exists for macOS and Windows and works on Linux.
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_enable_worker_prestart": "0",
            "RAY_prestart_worker_first_driver": "0",
            # Xenna sets these itself, but only when it is the one to start Ray.
            "RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES": "1",
            "RAY_MAX_LIMIT_FROM_API_SERVER": "40000",
            "RAY_MAX_LIMIT_FROM_DATA_SOURCE": "40000",
        }

    def start(self, *, dashboard: bool) -> Path:
        """Starts Ray and returns its session folder. With `dashboard`, all that Ray usually starts."""
        import ray

        if not dashboard:
            _head_slim()
        # ray.init, which Xenna calls once more, would put its own SIGTERM handler over the runner's.
        ray._private.utils.set_sigterm_handler = lambda _handler: None
        before = self.processes()
        try:
            self._init(ray, dashboard)
        except Exception as error:
            # Mostly a machine so busy that one of Ray's processes was not up in time. Nothing has been worked on yet.
            print(f"Ray did not start, which is tried once more: {error_line(error)}", file=sys.stderr)
            with contextlib.suppress(Exception):
                ray.shutdown()
            self.kill(spare=before)
            self.remove()
            self._folder_make()
            self._init(ray, dashboard)
        return Path(ray._private.worker._global_node.get_session_dir_path())

    def _init(self, ray: Any, dashboard: bool) -> None:
        ray.init(
            address="local",
            include_dashboard=dashboard,
            log_to_driver=False,
            object_store_memory=object_store_bytes(),
            _temp_dir=str(self.temp_dir / "r"),
        )

    def processes(self) -> set[int]:
        """Every living process of this Ray and of the stages' own making, without this one.

        Three marks, because none holds for all: descent is lost with a parent's death, Ray's agents and workers
        overwrite their environment with their title, and a user's subprocess may hold no file of the session.
        """
        parents: dict[int, int] = {}
        marked: set[int] = set()
        needle = f"{_MARK}={self.temp_dir}".encode()
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                with contextlib.suppress(OSError, ValueError, IndexError):
                    stat = Path(f"/proc/{entry.name}/stat").read_text(encoding="utf-8", errors="replace")
                    state, parent = stat[stat.rindex(")") + 2 :].split()[:2]
                    if state not in "ZX":
                        pid = int(entry.name)
                        parents[pid] = int(parent)
                        if needle in Path(f"/proc/{pid}/environ").read_bytes() or self._holds_file(pid):
                            marked.add(pid)
        found = marked | {os.getpid()}
        grew = True
        while grew:
            more = {pid for pid, parent in parents.items() if parent in found} - found
            grew = bool(more)
            found |= more
        return found - {os.getpid()}

    def _holds_file(self, pid: int) -> bool:
        for fd in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if str(Path(fd.path).readlink()).startswith(f"{self.temp_dir}/"):
                    return True
        return False

    def kill(self, within_s: float = 2.0, spare: Collection[int] = ()) -> None:
        """Kills all of it but `spare`; waits until it is gone. Safe to call twice."""
        deadline = time.monotonic() + within_s
        while pids := self.processes().difference(spare):
            for pid in pids:
                with contextlib.suppress(OSError):  # gone, or of another user
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                break
            threading.Event().wait(0.02)

    def remove(self) -> None:
        shutil.rmtree(self.temp_dir, ignore_errors=True)


def _secret_write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text)


def _head_slim() -> None:
    """Leaves out head processes that nobody would use; where Ray has renamed them, they simply start."""
    from ray._private.node import Node

    def nothing(*_: Any, **__: Any) -> None:
        return None

    def no_api_server(self: Any, **_: Any) -> None:
        self._webui_url = ""

    for name, stand_in in (
        ("start_log_monitor", nothing),
        ("start_monitor", nothing),
        ("start_api_server", no_api_server),
    ):
        if hasattr(Node, name):
            setattr(Node, name, stand_in)
    with contextlib.suppress(Exception):
        # A fixed port would make two runs on one machine quarrel; 0 lets the system choose.
        from ray._private import parameter

        init = parameter.RayParams.__init__

        def with_free_port(self: Any, *args: Any, **kwargs: Any) -> None:
            kwargs.setdefault("dashboard_agent_listen_port", 0)
            init(self, *args, **kwargs)

        parameter.RayParams.__init__ = with_free_port  # type: ignore[method-assign]


def object_store_bytes() -> int:
    """Ray's own share (30 % of memory), but at most 4 GB and never more than /dev/shm has. Ray spills what is over."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        total = min(total, int(limit))
    size = min(int(total * 0.3), 4 << 30)
    with contextlib.suppress(OSError):
        shm = os.statvfs("/dev/shm")
        size = min(size, int(shm.f_bavail * shm.f_frsize * 0.8))
    return max(size, 100 << 20)

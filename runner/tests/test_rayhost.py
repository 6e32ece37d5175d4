"""The run's own Ray, with a stand-in for Ray."""

from __future__ import annotations

import os
import stat
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from qd_runner import rayhost
from qd_runner.rayhost import RayHost


class FakeRay(types.ModuleType):
    """Fails as often as told to, and opens its folder to everybody, as Ray does."""

    def __init__(self, failures: int) -> None:
        super().__init__("ray")
        self.folders: list[Path] = []
        self._failures = failures
        node = types.SimpleNamespace(get_session_dir_path=lambda: str(self.folders[-1] / "session"))
        worker = types.SimpleNamespace(_global_node=node)
        self._private = types.SimpleNamespace(utils=types.SimpleNamespace(), worker=worker)

    def init(self, *, _temp_dir: str, **_: object) -> None:
        self.folders.append(Path(_temp_dir))
        Path(_temp_dir).mkdir()
        Path(_temp_dir).chmod(0o777)
        if self._failures:
            self._failures -= 1
            raise RuntimeError("The current node timed out during startup.")

    def shutdown(self) -> None: ...


@pytest.fixture
def start(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "environ", os.environ.copy())
    hosts = []

    def run(
        failures: int, processes: Callable[[FakeRay], set[int]] = lambda _ray: set()
    ) -> tuple[RayHost, FakeRay, object]:
        ray = FakeRay(failures)
        monkeypatch.setitem(sys.modules, "ray", ray)
        host = RayHost(tmp_path, [], {})
        hosts.append(host)
        monkeypatch.setattr(host, "processes", lambda: processes(ray))
        try:
            return host, ray, host.start(dashboard=True)
        except RuntimeError as error:
            return host, ray, error

    yield run
    for host in hosts:
        host.remove()


def test_others_cannot_get_at_rays_folder(start):
    host, ray, _ = start(0)
    assert ray.folders[0].parent == host.temp_dir
    assert stat.S_IMODE(host.temp_dir.stat().st_mode) == 0o700
    longest = ray.folders[0] / "session_2026-01-01_00-00-00_000000_4194304" / "sockets" / "dash_UsageStatsHead_pad_pad"
    assert len(str(longest)) <= 107


def test_a_ray_that_does_not_start_is_started_once_more_in_a_fresh_folder(start, tmp_path, capsys):
    host, ray, session = start(1)
    first, second = ray.folders
    assert first.parent != second.parent
    assert not first.parent.exists()
    assert session == second / "session"
    assert (tmp_path / "ray" / "temp_dir").read_text().strip() == str(host.temp_dir) == str(second.parent)
    assert os.environ["QD_RAY_DIR"] == str(host.temp_dir)
    assert "timed out during startup" in capsys.readouterr().err


def test_a_ray_that_does_not_start_twice_is_given_up(start):
    _, ray, error = start(5)
    assert isinstance(error, RuntimeError)
    assert len(ray.folders) == 2


def test_what_ran_before_ray_is_not_killed_with_a_failed_start(start, monkeypatch):
    killed = []
    monkeypatch.setattr(rayhost.os, "kill", lambda pid, _signal: killed.append(pid))
    start(1, lambda ray: {1, 2} - set(killed) if ray.folders else {1})
    assert killed == [2]

"""The events' wire."""

from __future__ import annotations

import json
import os

import pytest

from qd_runner.protocol import Events, StopRequested


def test_an_event_cut_by_a_stop_does_not_take_the_next_with_it(monkeypatch):
    read, write = os.pipe()
    events, real = Events(write), os.write

    def stopped(fd: int, data: bytes) -> int:
        real(fd, data[:5])
        raise StopRequested

    monkeypatch.setattr(os, "write", stopped)
    with pytest.raises(StopRequested):
        events.send("state", state="running")
    monkeypatch.setattr(os, "write", real)
    events.send("failure", stage=None)
    os.close(write)
    with os.fdopen(read) as lines:
        assert json.loads(lines.read().splitlines()[-1]) == {"type": "failure", "stage": None}

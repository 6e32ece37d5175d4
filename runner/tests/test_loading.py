"""Imports of the user's code. No Xenna, no Ray."""

from __future__ import annotations

import pytest

from qd_runner.loading import LoadError, object_load
from qd_runner.protocol import StopRequested


@pytest.fixture
def module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)

    def make(name: str, text: str) -> str:
        (tmp_path / f"{name}.py").write_text(text)
        return f"{name}:anything"

    return make


def test_a_stop_in_the_midst_of_an_import_is_a_stop(module):
    path = module("stopped_in_import", "from qd_runner.protocol import StopRequested\nraise StopRequested")
    with pytest.raises(StopRequested):
        object_load(path)


def test_code_that_exits_on_import_is_an_error_of_the_code(module):
    with pytest.raises(LoadError, match="SystemExit"):
        object_load(module("exits_on_import", "import sys; sys.exit(0)"))

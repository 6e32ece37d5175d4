"""The observed subclass and its probe, with stages that need neither Xenna nor Ray."""

from __future__ import annotations

import contextlib
import copy
import json
import pickle

import pytest

from qd_runner import instrument
from qd_runner.instrument import Envelope, Options, Probe
from qd_runner.spool import batch_number_next


class Plain:
    """Stands in for a user's stage."""

    def __init__(self, bad: int = -1) -> None:
        self.bad = bad
        self.calls = 0

    stage_batch_size = 3

    def setup_on_node(self, node_info, worker_metadata): ...

    def setup(self, worker_metadata):
        if self.bad == -2:
            raise RuntimeError("no model")

    def process_data(self, in_data):
        self.calls += 1
        if in_data[0] is None:
            return None
        if self.bad in in_data:
            raise ValueError(f"cannot {self.bad}")
        return [i * 2 for i in in_data]


class Slotted(Plain):
    __slots__ = ("extra",)


class OwnPickle(Plain):
    def __reduce__(self):
        return (OwnPickle, (self.bad,))


class NoCapture:
    def __init__(self, _writer) -> None: ...

    def line_end(self) -> None: ...

    @contextlib.contextmanager
    def muted(self):
        yield


@pytest.fixture
def made(tmp_path, monkeypatch):
    monkeypatch.setattr(instrument, "Capture", NoCapture)
    monkeypatch.setattr(Probe, "_made", None)

    def make(stage, **options):
        return instrument.instrument(stage, Options(stage="s", index=0, spool=str(tmp_path), **options))

    def records(kind):
        lines = [json.loads(line) for path in tmp_path.glob("*.ndjson") for line in path.read_text().splitlines()]
        return [r for r in lines if r["k"] == kind]

    make.records = records
    return make


def test_name_type_and_results_stay_the_users(made):
    stage = made(Plain())
    assert type(stage).__name__ == "Plain"
    assert isinstance(stage, Plain)
    assert type(stage) is not Plain
    assert stage.stage_batch_size == 3
    assert stage.process_data([1, 2]) == [2, 4]
    assert [(r["n"], r["i"], r["o"]) for r in made.records("b")] == [(1, 2, 2)]


def test_overrides(made):
    assert made(Plain(), batch_size=7).stage_batch_size == 7


@pytest.mark.parametrize("cls", [Plain, Slotted, OwnPickle])
def test_copies_and_pickles_stay_observed(made, cls):
    stage = made(cls(5))
    for twin in (copy.deepcopy(stage), pickle.loads(pickle.dumps(stage))):
        assert type(twin).__name__ == cls.__name__
        assert type(twin) is type(stage)
        assert twin.bad == 5


def test_a_failure_names_batch_and_item_and_leaves_as_it_came(made):
    stage = made(Plain(bad=8))
    stage.process_data([1])
    with pytest.raises(ValueError, match="cannot 8"):
        stage.process_data([6, 7, 8, 9])
    (failure,), (item,) = made.records("f"), made.records("i")
    assert (failure["batch"], failure["batch_size"], failure["item"], failure["replay"]) == (2, 4, None, True)
    assert (failure["exception"], failure["ignored"]) == ("ValueError", False)
    assert (item["batch"], item["item"], item["item_preview"], item["message"]) == (2, 2, "8", "cannot 8")
    assert "qd_runner" not in failure["traceback"]


def test_a_failure_is_told_before_the_item_is_looked_for(made):
    told = []

    class Slow(Plain):
        def process_data(self, in_data):
            told.append(len(made.records("f")))
            return super().process_data(in_data)

    with pytest.raises(ValueError, match="cannot 8"):
        made(Slow(bad=8)).process_data([7, 8])
    assert told == [0, 1, 1]


def test_a_full_disk_is_no_failure_of_the_stage(made, monkeypatch):
    def full(_folder, _index):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(instrument, "batch_number_next", full)
    assert made(Plain()).process_data([1]) == [2]


def test_without_replay_the_items_are_not_touched_again(made):
    stage = made(Plain(bad=8), replay_failures=False)
    with pytest.raises(ValueError, match="cannot"):
        stage.process_data([7, 8])
    assert stage.calls == 1
    assert made.records("f")[0]["item"] is None


def test_only_the_last_attempt_is_a_failure(made):
    stage = made(Plain(bad=8), run_attempts=3, ignore_failures=True)
    batch = [8]
    for _ in range(3):
        with pytest.raises(ValueError, match="cannot"):
            stage.process_data(batch)
    assert len(made.records("r")) == 2
    (failure,) = made.records("f")
    assert failure["ignored"] is True
    stage.process_data([1])
    assert made.records("b")[0]["n"] == 2


def test_none_drops_the_batch(made):
    assert made(Plain()).process_data([None, 1]) == []
    assert made.records("b")[0]["none"] == 2


def test_setup_failures_are_told(made):
    with pytest.raises(RuntimeError):
        made(Plain(bad=-2)).setup(None)
    assert made.records("f")[0]["phase"] == "setup"


def test_envelopes_are_carried_and_never_seen(made):
    stage = made(Plain(bad=8), serving=True)
    out = stage.process_data([Envelope("a", 1), Envelope("b", 2)])
    assert out == [Envelope("a", 2), Envelope("b", 4)]
    assert stage.process_data([Envelope("c", None)]) == []
    with pytest.raises(ValueError, match="cannot"):
        stage.process_data([Envelope("d", 8)])
    assert [(r["ids"], r["code"]) for r in made.records("e")] == [(["c"], "dropped")]
    assert made.records("f")[0]["ids"] == ["d"]


def test_a_serving_stage_that_returns_another_count_is_refused(made):
    class Splits(Plain):
        def process_data(self, in_data):
            return in_data * 2

    assert made(Splits(), serving=True).process_data([Envelope("a", 1)]) == []
    assert made.records("e")[0]["code"] == "count_mismatch"


def test_batches_are_numbered_over_restarts(tmp_path):
    assert [batch_number_next(str(tmp_path), 0) for _ in range(12)] == list(range(1, 13))

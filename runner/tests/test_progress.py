"""The board's arithmetic: queues by conservation, inputs done, bottleneck, losses. No Xenna, no Ray."""

from __future__ import annotations

from qd_runner.progress import Board, PoolView, StageBoard


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def board(total: int | None = 100) -> tuple[Board, Clock]:
    clock = Clock()
    stages = [StageBoard(f"s{i}", f"S{i}", f"Stage {i:02d} - S{i}", 0.2, 0.0, 1) for i in range(3)]
    made = Board(stages, total, clock)
    made.counts_accepted = True
    return made, clock


def rows(made: Board) -> dict[str, dict]:
    return {row["id"]: row for row in made.event()["stages"]}


def test_queues_follow_from_what_was_fed_and_finished():
    made, _ = board()
    made.accept("Stage 00 - S0", 40, 40, False)
    made.accept("Stage 01 - S1", 10, 5, False)
    made.stages[1].pool = PoolView(ready=1, items_in_slots=4)
    found = rows(made)
    assert (found["s0"]["queue_in"], found["s0"]["queue_out"]) == (60, 26)
    assert (found["s1"]["queue_in"], found["s1"]["queue_out"]) == (26, 5)
    assert found["s2"]["queue_in"] == 5


def test_inputs_done_counts_what_a_filter_dropped_and_never_falls():
    made, _ = board()
    made.accept("Stage 00 - S0", 100, 10, False)  # a filter: ten of a hundred pass
    assert made.event()["inputs_done"] == 0
    made.accept("Stage 01 - S1", 5, 5, False)
    made.accept("Stage 02 - S2", 5, 5, False)
    assert made.event()["inputs_done"] == 50
    made.accept("Stage 01 - S1", 5, 50, False)  # these ten are now 55 more on their way
    assert made.event()["inputs_done"] >= 50
    made.accept("Stage 02 - S2", 50, 50, False)
    assert made.event()["inputs_done"] == 100


def test_dropped_are_ignored_failures_nones_and_losses():
    made, _ = board(10)
    made.accept("Stage 00 - S0", 4, 0, True)
    made.accept("Stage 00 - S0", 4, 4, False)
    made.spooled(1, 7, {"i": 4, "o": 0, "none": 4, "d": 0.1})
    made.accept("Stage 01 - S1", 4, 0, False)
    assert [(s.id, n) for s, n in made.lost_settle()] == [("s0", 2)]
    event = made.event()
    assert event["dropped"] == 10
    assert [row["dropped"] for row in event["stages"]] == [6, 4, 0]


def test_without_accepted_counts_the_spool_counts():
    made, _ = board(10)
    made.counts_accepted = False
    made.spooled(0, 7, {"i": 10, "o": 9, "none": 0, "d": 0.5})
    made.spooled(1, 8, {"batch_size": 9, "ignored": True, "d": 0.1})
    found = rows(made)
    assert (found["s0"]["items_in"], found["s0"]["items_out"]) == (10, 9)
    assert (found["s1"]["items_in"], found["s1"]["dropped"]) == (9, 9)


def test_states_run_through_the_pipeline():
    made, _ = board(10)
    assert [row["state"] for row in rows(made).values()] == ["pending"] * 3
    made.accept("Stage 00 - S0", 10, 10, False)
    made.accept("Stage 01 - S1", 5, 5, False)
    assert [row["state"] for row in rows(made).values()] == ["succeeded", "running", "pending"]
    made.finished = True
    assert [row["state"] for row in rows(made).values()] == ["succeeded", "stopped", "pending"]


def test_the_busiest_stage_is_the_bottleneck_also_while_its_batch_is_under_way():
    made, clock = board()
    for index in range(2):
        made.stages[index].pool = PoolView(ready=1)
    made.accept("Stage 00 - S0", 10, 10, False)
    made.spooled(0, 7, {"i": 10, "o": 10, "d": 4.0})
    made.stages[1].pids = {8}
    made.begun(1, 8)
    clock.now += 5
    assert made.event()["bottleneck"] == "s0"
    clock.now += 4
    assert made.event()["bottleneck"] == "s1"


def test_where_nobody_is_busy_the_longest_queue_for_its_speed_is_named():
    made, clock = board(1000)
    made.accept("Stage 00 - S0", 500, 500, False)
    made.accept("Stage 01 - S1", 10, 10, False)
    for index in range(2):
        made.spooled(index, 7 + index, {"i": 1, "o": 1, "d": 0.001})
    clock.now += 2
    assert made.event()["bottleneck"] == "s1"


def test_speed_is_that_of_the_window_and_in_the_end_the_average():
    made, clock = board(100)
    made.accept("Stage 00 - S0", 50, 50, False)
    clock.now += 5
    made.accept("Stage 00 - S0", 25, 25, False)
    assert rows(made)["s0"]["items_per_s"] == 15.0
    clock.now += 60
    assert rows(made)["s0"]["items_per_s"] == 0.0
    made.accept("Stage 00 - S0", 25, 25, False)
    assert rows(made)["s0"]["items_per_s"] == round(100 / 65, 2)

"""Stage classes that the tests run. Not part of the package."""

import logging
import os
import subprocess
import sys
import time

import cosmos_xenna.pipelines.v1 as px
from loguru import logger

print("imported stages_under_test")


class Pass(px.Stage):
    """Hands on what it gets.

    Args:
        say: Printed once for each item, with its value; empty for silence.
        seconds: How long an item takes.
    """

    def __init__(self, say: str = "", seconds: float = 0.0) -> None:
        self._say, self._seconds = say, seconds

    @property
    def required_resources(self) -> px.Resources:
        return px.Resources(cpus=0.2)

    def process_data(self, in_data: list) -> list | None:
        for item in in_data:
            if self._say:
                print(f"{self._say} {item}")
            time.sleep(self._seconds)
        return in_data


class Double(Pass):
    def process_data(self, in_data: list) -> list | None:
        return [item * 2 for item in super().process_data(in_data)]


class Batched(Pass):
    @property
    def stage_batch_size(self) -> int:
        return 4


class FailsOn(Batched):
    """Raises on the items named."""

    def __init__(self, bad: list[int], seconds: float = 0.0) -> None:
        super().__init__(seconds=seconds)
        self._bad = set(bad)

    def process_data(self, in_data: list) -> list | None:
        for item in in_data:
            if item in self._bad:
                raise ValueError(f"cannot work on {item}")
        return super().process_data(in_data)


class DropsOdd(Pass):
    def process_data(self, in_data: list) -> list | None:
        return None if in_data[0] % 2 else in_data


class Splits(Pass):
    def process_data(self, in_data: list) -> list | None:
        return [item for item in in_data for _ in range(2)]


class Speaks(Pass):
    """Uses every way to say something."""

    def setup(self, worker_metadata: px.WorkerMetadata) -> None:
        print("setup says hello")

    def process_data(self, in_data: list) -> list | None:
        for item in in_data:
            print(f"printed {item}")
            logging.getLogger("mine").warning("logged %s", item)
            logger.error(f"logurued {item}")
            print(f"unfinished {item}", end="")
            print(f" on stderr {item}", file=sys.stderr)
        if in_data[0] == 0:
            subprocess.run(["echo", "from a subprocess"], check=True)
            os.write(2, b"from a descriptor\n")
        return in_data

    def destroy(self) -> None:
        print("destroy says goodbye")


class DiesOnce(Pass):
    """Its worker is killed on the item named, the first time."""

    def __init__(self, item: int, mark: str) -> None:
        super().__init__()
        self._item, self._mark = item, mark

    def process_data(self, in_data: list) -> list | None:
        if in_data[0] == self._item and not os.path.exists(self._mark):  # noqa: PTH110
            open(self._mark, "w").close()  # noqa: PTH123
            print("about to die")
            os.kill(os.getpid(), 9)
        return in_data


def numbers(count: int) -> list[int]:
    return list(range(count))


class NoSetup(Pass):
    """Cannot be set up."""

    def setup(self, worker_metadata: px.WorkerMetadata) -> None:
        raise RuntimeError("no model here")


class HangsOnDestroy(Pass):
    """Would hold up a stop for ever."""

    def destroy(self) -> None:
        time.sleep(600)


class Exits(Pass):
    """Ends the process that makes it."""

    def __init__(self) -> None:
        sys.exit("no licence")


class FailsSlowly(Batched):
    """Fails at once on a whole batch, and is in no hurry with a single item."""

    def process_data(self, in_data: list) -> list | None:
        if len(in_data) == 1:
            time.sleep(600)
        raise ValueError("no such batch")

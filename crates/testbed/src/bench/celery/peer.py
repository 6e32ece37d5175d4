"""What the bench compares with: tasks of Celery over Redis, asked for through FastAPI and one small process.

Everything is as Celery's own first steps have it: acknowledged when taken, the result kept in Redis, a worker process
for each core. Each route answers when the last result is there, which spares the peer a second request.
"""

import os
import time

from celery import Celery, chain, group
from fastapi import FastAPI

tasks = Celery("peer", broker=os.environ["PEER_REDIS"], backend=os.environ["PEER_REDIS"])
api = FastAPI()


@tasks.task
def nothing() -> None:
    """Do nothing."""


@api.post("/runs")
def run() -> dict[str, str]:
    """Ask for one task and wait for its end."""
    result = nothing.delay()
    result.get(timeout=30)
    return {"id": result.id}


@api.post("/chain/{steps}")
def steps(steps: int) -> dict[str, float]:
    """One task after the other; seconds until the last has ended."""
    began = time.perf_counter()
    chain(*[nothing.si() for _ in range(steps)]).delay().get(timeout=60)
    return {"seconds": time.perf_counter() - began}


@api.post("/burst/{jobs}")
def burst(jobs: int) -> dict[str, float]:
    """Tasks asked for at once; seconds until the last has ended."""
    began = time.perf_counter()
    group(nothing.si() for _ in range(jobs)).delay().get(timeout=120)
    return {"seconds": time.perf_counter() - began}

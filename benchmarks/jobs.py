"""Runs that several workers share: each is made once, by whoever is free, as soon as its inputs are there."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from sweep import append

WAIT = 20  # seconds until a worker that has nothing to do looks again


def rows_of(table: Path, **key) -> pd.DataFrame:
    """The rows that have these values, none where there is no table yet."""
    if not table.exists():
        return pd.DataFrame()
    rows = _whole(table, table.stat().st_mtime_ns)
    for name, value in key.items():
        rows = rows[rows[name] == value]
    return rows


@lru_cache(maxsize=4)
def _whole(table: Path, changed: int) -> pd.DataFrame:
    with table.open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)  # a worker may be writing
        return pd.read_csv(file)


class Job(NamedTuple):
    """A run.

    Attributes
    ----------
    table : Path
        Gets its rows.
    key : dict
        Columns and values that tell its rows from others.
    make : callable
        Makes the rows.
    is_ready : callable
        Is what it needs there?
    claimed_as : str, optional
        Runs of one name are never made at once; by default each has its own.
    """

    table: Path
    key: dict
    make: Callable[[], list[dict]]
    is_ready: Callable[[], bool] = lambda: True
    claimed_as: str | None = None

    def is_done(self) -> bool:
        """Its row is there."""
        return len(rows_of(self.table, **self.key)) > 0

    @contextmanager
    def claim(self, folder: Path) -> Iterator[bool]:
        """Is this worker the one to make it? The system takes the lock from a worker that has died."""
        folder.mkdir(parents=True, exist_ok=True)
        name = self.claimed_as or "-".join(map(str, self.key.values()))
        with (folder / f"{self.table.stem} {name}").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True


def work(jobs: list[Job], claims: Path) -> None:
    """Make runs on one thread, the first ones first, until all are there."""
    torch.set_num_threads(1)
    while jobs := [job for job in jobs if not job.is_done()]:
        if not any(_made(job, claims) for job in jobs):
            time.sleep(WAIT)  # the others are making what is left, or what it needs


def _made(job: Job, claims: Path) -> bool:
    if not job.is_ready():
        return False
    with job.claim(claims) as mine:
        if not mine or job.is_done():  # another worker may have ended it just now
            return False
        rows = job.make()
        append(job.table, rows)
        print(time.strftime("%H:%M"), os.getpid(), rows[-1], flush=True)
        return True

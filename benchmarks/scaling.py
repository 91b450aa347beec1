"""Cost of training from shards, from 100 thousand to 100 million interactions; and its memory.

    python benchmarks/scaling.py                      # all sizes, on a quiet machine; see below
    python benchmarks/scaling.py --sizes 100000 --steps 5 --items 5000 --dry   # a try

Worlds of `vaerec.shards.make_large_world`: 100,000 items, 100 interactions a user, so 1,000 to 1,000,000
training users. MVAE as it comes (600 hidden units, 200 latent dimensions, 500 users a batch, float32) is
trained by `vaerec.fit`. Of each size 50 steps are timed after three that warm up, from the start of a
batch to its end, and up to 10 million interactions one whole epoch as well. Loading is timed apart: the
same batches are read from the shards, and nothing is done with them.

Each size has a process of its own, so that its peak memory is its own: the largest resident size by
`resource.getrusage`, imports and the held-out users' scores included. The parameters, their gradients and
Adam's two averages need 16 bytes a parameter, which does not depend on the number of users (``model_mb``);
a dense matrix of users and items would need 4 bytes a cell (``dense_mb``).

Floor of a step, three products for each weight: 3 x 500 x (100,000 x 600 + 600 x 200 + 400 x 600)
multiply-adds. Adam's: 28 bytes a parameter read or written.

The worlds are kept below ``_build/scaling``, two minutes and half a gigabyte for the largest. With two
threads and two cores all takes about a quarter of an hour. Appends one row a size to scaling.csv and skips
rows that are there.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import lightning as L
import pandas as pd
import torch
from sweep import fill, peak_mb

import vaerec as vr

TABLE = Path(__file__).with_suffix(".csv")
WORLDS = Path(__file__).parents[1] / "_build" / "scaling"
SIZES = tuple(int(10 ** (power / 2)) for power in range(10, 17))
ITEMS, PER_USER, BATCH, WARM_UP, MOST_FOR_EPOCH = 100_000, 100, 500, 3, 10**7


class Enough(Exception):
    """Ends a run whose steps have been timed."""


class Clock(L.Callback):
    """Seconds of some steps, from the start of a batch to its end."""

    def __init__(self, n_steps: int):
        self.n_steps, self.seconds = n_steps, []

    def on_train_batch_start(self, trainer, task, batch, number):
        self.start = time.perf_counter()

    def on_train_batch_end(self, trainer, task, outputs, batch, number):
        self.seconds.append(time.perf_counter() - self.start)
        if len(self.seconds) == WARM_UP + self.n_steps:
            raise Enough


def world(size: int, n_items: int) -> vr.protocols.Split:
    """Generated once."""
    folder = WORLDS / f"{size}-{n_items}"
    if not vr.shards.is_folder(folder):
        vr.shards.make_large_world(folder, n_users=size // PER_USER, n_items=n_items, n_interactions=size,
                                   n_heldout=100)
    return vr.shards.read(folder)


def step_seconds(split: vr.protocols.Split, n_steps: int) -> list[float]:
    """Of each of ``n_steps`` steps; more epochs than they need are announced, and never run."""
    clock = Clock(n_steps)
    try:
        vr.fit(vr.models.MVAE(split.n_items), split, max_epochs=WARM_UP + n_steps, batch_size=BATCH,
               callbacks=[clock])
    except Enough:
        return clock.seconds[WARM_UP:]
    raise AssertionError("an epoch has at least one step")


def loading_seconds(split: vr.protocols.Split) -> float:
    """Seconds a batch to read an epoch from the shards."""
    batches = vr.shards.ShardBatches(split.train, BATCH, seed=0)
    start = time.perf_counter()
    n_users = sum(bags.n_users for bags in batches)
    assert n_users == split.train.n_users
    return (time.perf_counter() - start) / len(batches)


def measure(size: int, n_items: int, n_steps: int) -> dict:
    """One size, in this process."""
    split = vr.shards.read(WORLDS / f"{size}-{n_items}")
    step, loading = statistics.mean(step_seconds(split, n_steps)), loading_seconds(split)
    epoch = float("nan")
    if size <= MOST_FOR_EPOCH:
        epoch = vr.fit(vr.models.MVAE(n_items), split, max_epochs=1, batch_size=BATCH)["seconds"].item()
    return {"users": split.train.n_users, "items": n_items, "interactions": len(split.train),
            "shards": split.train.n_shards, "seconds_a_step": step + loading,
            "steps": -(-split.train.n_users // BATCH), "epoch_seconds": epoch,
            "loading_share": loading / (step + loading),
            "peak_mb": peak_mb(),
            "model_mb": 16 * sum(p.numel() for p in vr.models.MVAE(n_items).parameters()) / 2**20,
            "dense_mb": 4 * split.train.n_users * n_items / 2**20}


def main() -> None:
    """Print the table; append what is new to it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--items", type=int, default=ITEMS)
    parser.add_argument("--dry", action="store_true", help="write nothing")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(*json.loads(options.measure))))
        return

    def one_row(size: int) -> dict:
        world(size, options.items)
        command = [sys.executable, __file__, "--measure", json.dumps([size, options.items, options.steps])]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        row = json.loads(done.stdout.splitlines()[-1]) | {
            "threads": torch.get_num_threads(), "cores": os.cpu_count(),
            "torch": torch.__version__.partition("+")[0]}
        print(pd.Series(row).to_string(), flush=True)
        return {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()}

    table = fill(None if options.dry else TABLE, ["size"], [(size,) for size in options.sizes], one_row)
    if not options.dry:
        table.sort_values("size").to_csv(TABLE, index=False)


if __name__ == "__main__":
    main()

"""What the order of equal times is worth: a sequence model on the file's order, on a sorted file, on chance.

    python benchmarks/ties.py 0 2      # one half of the runs

SACHDEVA_2019 with 150 + 150 users of MovieLens-100K, and a log without any structure: 1,200 users × 30 of
300 items, all at the same time. "sorted by item" sorts the rows of the file before it is split, "at random"
draws the order of equal times anew for each seed. What can be learned from users and items alone is the same
in all three. Appends rows to ties.csv and skips runs that are there.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sweep import on_test_users, provenance, sweep

import vaerec as vr

TABLE = Path(__file__).with_suffix(".csv")
ORDERS, SEEDS, EPOCHS = ("file", "sorted by item", "at random"), range(5), 10


def without_structure(seed: int) -> vr.Interactions:
    """Users who take their items by chance, all at once; rows in the order in which they were drawn."""
    generator = np.random.default_rng(seed)
    items = generator.permuted(np.tile(np.arange(300), (1200, 1)), axis=1)[:, :30]
    return vr.Interactions.from_frame(pd.DataFrame(
        {"user": np.repeat(np.arange(1200), 30), "item": items.ravel(), "timestamp": 0}))


def sorted_by_item(log: vr.Interactions) -> vr.Interactions:
    """The same interactions in a file that is sorted by item."""
    return vr.Interactions.from_frame(pd.DataFrame({
        "user": log.user_ids[log.user], "item": log.item_ids[log.item], "rating": log.rating,
        "timestamp": log.timestamp}).sort_values("item", kind="stable"))


def one_run(variant: str, seed: int) -> list[dict]:
    """Train an SVAE and evaluate it on the test users."""
    data, order = variant.split(", ")
    log = vr.load("ml-100k") if data == "ML-100K" else without_structure(seed)
    if order != "file":
        log = sorted_by_item(log)
    split = vr.protocols.SACHDEVA_2019(log, n_heldout=150, ties="random" if order == "at random" else "file",
                                       ties_seed=seed)
    model = vr.models.SVAE(split.n_items)
    vr.fit(model, split, seed=seed, max_epochs=EPOCHS)
    return [{"variant": variant, "seed": seed, "tied": round(split.tied, 4),
             **on_test_users(vr.evaluate(model, split.test)), **provenance(split)}]


def main(part: int = 0, parts: int = 1) -> None:
    """The runs that are not in the table."""
    variants = [f"{data}, {order}" for data in ("no structure", "ML-100K") for order in ORDERS]
    sweep(TABLE, [(variant, seed) for seed in SEEDS for variant in variants], one_run, part, parts)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

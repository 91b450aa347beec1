"""How long to train, and in which batches, from 250 to 20,000 training users: what the recipes rest on.

    python benchmarks/recipe_sizes.py

Writes recipe_sizes.csv, a row a run, and skips rows that are there. Judged on validation users alone. The
small data sets are parts of MovieLens-1M and MovieLens-100K, with as many held-out users as they allow.
The large one is a synthetic world. Dropout and beta are those of the models.
"""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path

import numpy as np
import torch
from sweep import fill

import vaerec as vr

TABLE = Path(__file__).with_suffix(".csv")
METRIC = "validation_ndcg@100"
KEY = ["data", "model", "batch_size", "epochs", "lr", "seed"]
MVAE_TRIED = {  # batch size, epochs, lr; the schedule is the cosine
    "ml-1m, 250 users": [(100, 20, 5e-3), (100, 100, 5e-3), (25, 20, 5e-3), (100, 100, 2e-3),
                         (100, 100, 3e-3), (100, 50, 5e-3), (100, 50, 3e-3)],
    "ml-100k": [(100, 20, 5e-3), (100, 50, 5e-3), (50, 20, 5e-3), (100, 50, 2e-3), (100, 100, 5e-3),
                (100, 50, 3e-3)],
    "ml-1m": [(100, 10, 5e-3), (100, 22, 5e-3), (100, 40, 5e-3)],
    "world, 20,000 users": [(100, 5, 5e-3), (100, 10, 5e-3), (100, 20, 5e-3), (500, 20, 5e-3)],
}
DAE_TRIED = {
    "ml-1m, 250 users": [(100, 20, 5e-3), (100, 50, 5e-3)],
    "ml-100k": [(100, 20, 5e-3), (100, 50, 5e-3)],
    "ml-1m": [(100, 22, 5e-3)],
    "world, 20,000 users": [(100, 5, 5e-3), (100, 20, 5e-3)],
}
SEEDS = {"ml-1m, 250 users": range(2), "ml-100k": range(2)}  # the others are large enough for one
MODELS = {"MVAE": vr.models.MVAE, "MultDAE": vr.models.MultDAE}


@cache
def data(name: str) -> vr.protocols.Split:
    """With that many training users."""
    if name == "ml-1m":
        return vr.protocols.LIANG_2018(vr.load("ml-1m"))
    if name == "ml-100k":
        return vr.protocols.LIANG_2018(vr.load("ml-100k"), n_heldout=150)
    if name == "ml-1m, 250 users":
        log = vr.load("ml-1m").filter(min_rating=4, min_user_items=5)
        some = np.random.default_rng(0).permutation(log.n_users)[:250 + 2 * 750]
        return vr.protocols.LIANG_2018(log.select(np.isin(log.user, some)))
    return vr.protocols.LIANG_2018(vr.load("synthetic", n_users=20_000 + 2 * 750))


def one_run(name: str, model: str, batch_size: int, epochs: int, lr: float, seed: int) -> dict:
    """Train and validate."""
    split, start = data(name), time.process_time()
    history = vr.fit(MODELS[model](split.n_items), split, max_epochs=epochs, batch_size=batch_size, lr=lr,
                     lr_schedule="cosine", seed=seed)
    best = int(history[METRIC].idxmax())
    row = {"users": split.train.n_users, "items": split.n_items,
           "steps": epochs * -(-split.train.n_users // batch_size), METRIC: round(history[METRIC][best], 6),
           "best_epoch": best, "cpu_seconds": round(time.process_time() - start, 1),
           "torch": torch.__version__.split("+")[0], "fingerprint": split.train.fingerprint[:16]}
    print(name, model, batch_size, epochs, lr, seed, row, flush=True)
    return row


def main() -> None:
    """All of MVAE's runs, then those of Mult-DAE."""
    torch.set_num_threads(1)
    cases = [(name, model, *settings, seed) for model, tried in (("MVAE", MVAE_TRIED), ("MultDAE", DAE_TRIED))
             for name, all_settings in tried.items() for settings in all_settings
             for seed in SEEDS.get(name, [0])]
    fill(TABLE, KEY, cases, one_run)


if __name__ == "__main__":
    main()

"""The settings of SVAE and SASRec for MovieLens-1M: as many trials for one as for the other.

    python benchmarks/sequence_search.py svae 0 1      # or another key of TRIALS

SACHDEVA_2019, seed 0, validation users only, bfloat16 products. A trial changes what the model's
defaults say; the later ones put together what the first ones showed. Appends one row a trial to
sequence_search.csv and skips rows that are there. The two rows without seconds are of calls by hand. The
eight epochs of svae_runs.py were a trial only with a quiet start.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sasrec import SASRec
from sweep import provenance, sweep

import vaerec as vr

TABLE = Path(__file__).with_suffix(".csv")
EPOCHS = 8
FIT = ("max_epochs", "batch_size", "lr", "weight_decay")  # the others belong to the model


class QuietStart(vr.models.SVAE):
    """The first weights of mu as small as Xavier makes them."""

    first_means = 1.0


MODELS = {"svae": vr.models.SVAE, "svae with a quiet start": QuietStart, "sasrec": SASRec}
TRIALS = {  # in the order in which they were made
    "svae with a quiet start": [{"lr": 2e-3}, {"lr": 4e-3}, {"lr": 8e-3}],
    "svae": [
        {"max_epochs": 3, "lr": 4e-3},
        {"max_epochs": 3, "lr": 8e-3},
        {"max_epochs": 6, "lr": 8e-3},
        {"max_epochs": 6, "lr": 8e-3, "dropout": 0.35},
        {"max_epochs": 6, "lr": 8e-3, "beta": 0.005},
    ],
    "sasrec": [
        {"lr": 1e-3},
        {"lr": 2e-3},
        {"lr": 2e-3, "targets": 4},
        {"lr": 2e-3, "dropout": 0.35},
        {"lr": 2e-3, "dropout": 0.1, "targets": 4},
        {"lr": 4e-3, "targets": 4},
        {"lr": 2e-3, "targets": 4, "n_blocks": 1},
        {"lr": 2e-3, "targets": 4, "max_epochs": 5},
    ],
}


def name_of(model: str, changes: dict) -> str:
    """Such as ``svae lr=0.002``; no commas, since it stands in a CSV."""
    return " ".join([model, *(f"{key}={str(value).replace(',', '')}" for key, value in changes.items())])


def one_trial(model: str, changes: dict, split: vr.protocols.Split) -> dict:
    """Train and look at the validation users."""
    fit = {"max_epochs": EPOCHS} | {key: value for key, value in changes.items() if key in FIT}
    trained = MODELS[model](split.n_items, **{k: v for k, v in changes.items() if k not in FIT})
    history = vr.fit(trained, split, precision="bf16-mixed", **fit)
    best = history["validation_ndcg@100"].idxmax()
    return {"variant": name_of(model, changes), "seed": 0, "epochs": fit["max_epochs"],
            "validation_ndcg@100": round(history["validation_ndcg@100"][best], 6), "best_epoch": best,
            "seconds": round(history["seconds"].sum(), 1), **provenance(split)}


def main(model: str, part: int = 0, parts: int = 1) -> None:
    """The trials of one model that are not in the table."""
    split = vr.protocols.SACHDEVA_2019(vr.load("ml-1m"))
    trials = {name_of(model, changes): changes for changes in TRIALS[model]}
    sweep(TABLE, [(name, 0) for name in trials],
          lambda name, seed: [one_trial(model, trials[name], split)], part, parts)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))

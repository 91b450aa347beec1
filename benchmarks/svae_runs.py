"""SVAE and SASRec on MovieLens-1M: five seeds of each, and short runs that change one thing.

    python benchmarks/svae_runs.py short 0 2      # one half of the runs of a group; or SVAE, SASRec, closed

SACHDEVA_2019, training users only, the epoch of the best validation NDCG@100. SVAE and SASRec are the
headline models with the settings that sequence_search.csv chose. "short" are runs of SHORT_EPOCHS epochs with
two seeds, in bfloat16 where the processor multiplies it: good for comparing one with another, and with
nothing else. Appends rows to svae_runs.csv and skips runs that are there.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sasrec import SASRec
from sequence_search import QuietStart
from sweep import on_test_users, provenance, sweep

import vaerec as vr

TABLE = Path(__file__).with_suffix(".csv")
SHORT_EPOCHS, SHORT_SEEDS, SEEDS = 3, range(2), range(5)
SVAE = vr.models.SVAE


class Sampling(SVAE):
    """Scores a taste drawn from q instead of its mean, as the authors' code does."""

    def score_state(self, state):
        return self.decode(self.sample(*self.infer(state[0])))


LONG = {  # model and what vr.fit is told beyond the recipe
    "SVAE": (SVAE, {"max_epochs": 8}),
    "SASRec": (partial(SASRec, dropout=0.1, targets=4), {"max_epochs": 8, "lr": 2e-3}),
}
CLOSED = {  # no chance is involved: one run of each
    "popularity": vr.models.Popularity,
    "EASE": partial(vr.models.EASE, l2=1000.0),
    "EASE, recent": partial(vr.models.EASE, l2=2000.0, recency=0.85),
}
LONG |= {name: (make, {}) for name, make in CLOSED.items()}
CHANGED_MODEL = {
    "unchanged": SVAE,
    "beta 0": partial(SVAE, beta=0.0),
    "beta 0.01": partial(SVAE, beta=0.01),
    "beta 0.2": partial(SVAE, beta=0.2),
    "beta 1": partial(SVAE, beta=1.0),
    "next film only": partial(SVAE, targets=1),
    "next 8 films": partial(SVAE, targets=8),
    "all films that follow": partial(SVAE, targets="all"),
    "quiet start": QuietStart,
}
CHANGED_FIT = {"weight decay 0.005": {"weight_decay": 0.005}}
CHANGED_DATA = ("training shuffled", "ties broken anew")
SHORT = [*CHANGED_MODEL, *CHANGED_FIT, *CHANGED_DATA]


def shuffled(histories: list[np.ndarray], seed: int) -> list[np.ndarray]:
    """Each history in a random order."""
    generator = np.random.default_rng(seed)
    return [generator.permutation(history) for history in histories]


def in_any_order(log: vr.Interactions, seed: int) -> vr.Interactions:
    """The same interactions, each user's times permuted."""
    chance = np.random.default_rng(seed).random(len(log))
    rank = np.empty(len(log), np.int64)
    rank[np.lexsort((chance, log.user))] = np.arange(len(log))
    return replace(log, timestamp=rank)


def ties_broken_anew(log: vr.Interactions, tie_lengths: np.ndarray, seed: int) -> vr.Interactions:
    """Permute within runs of neighbours, as long as the runs that share a second in ``tie_lengths``.

    The copy of MovieLens-1M at hand has places in the order instead of seconds: its own ties are not
    known, those of MovieLens-100K stand for them.
    """
    generator = np.random.default_rng(seed)
    in_time = np.lexsort((log.timestamp, log.user))
    run = np.repeat(np.arange(len(log)), generator.choice(tie_lengths, len(log)))[:len(log)]
    rank = np.empty(len(log), np.int64)
    rank[in_time[np.lexsort((generator.random(len(log)), run, log.user[in_time]))]] = np.arange(len(log))
    return replace(log, timestamp=rank)


def runs_of_ties(log: vr.Interactions) -> np.ndarray:
    """How many consecutive ratings of a user share each second."""
    pairs = np.unique(np.stack([log.user, log.timestamp]), axis=1, return_counts=True)
    return pairs[1]


def split_of(variant: str, seed: int) -> vr.protocols.Split:
    """The data of a run."""
    log = vr.load("ml-1m")
    if variant == "ties broken anew":
        tie_lengths = runs_of_ties(vr.load("ml-100k").filter(min_rating=3.6))
        log = ties_broken_anew(log.filter(min_rating=3.6), tie_lengths, seed)
    split = vr.protocols.SACHDEVA_2019(log)
    if variant == "training shuffled":
        split = replace(split, train=in_any_order(split.train, seed))
    return split


def one_run(variant: str, seed: int) -> list[dict]:
    """Train, evaluate on the test users, and once more with what needs no other training."""
    split = split_of(variant, seed)
    group = "long" if variant in LONG else "short"
    if variant in LONG:
        make, fit = LONG[variant]
    else:
        make = CHANGED_MODEL.get(variant, SVAE)
        fit = {"max_epochs": SHORT_EPOCHS, "precision": "bf16-mixed", **CHANGED_FIT.get(variant, {})}
    model = make(split.n_items)
    history = vr.fit(model, split, seed=seed, **fit)
    best = history.loc[history["validation_ndcg@100"].idxmax()]
    of_training = {
        "validation_ndcg@100": round(best["validation_ndcg@100"], 6), "best_epoch": int(best["epoch"]),
        "epochs": len(history), "precision": fit.get("precision", "32-true"),
        "distortion": round(best.get("distortion", np.nan), 4), "rate": round(best.get("rate", np.nan), 4),
        "seconds_to_best": round(history["seconds"][:int(best["epoch"]) + 1].sum(), 1),
    }

    def row(name, report):
        return {"group": group, "variant": name, "seed": seed, **on_test_users(report),
                "alarms": len(report.alarms), **of_training, **provenance(split)}

    rows, test = [], split.test
    mixed = replace(test, fold_in=shuffled(test.fold_in, seed))
    if variant == "unchanged":
        torch.manual_seed(seed)
        sampling = Sampling(split.n_items)
        sampling.load_state_dict(model.state_dict())
        last_left_out = replace(test, fold_in=[history[:-1] for history in test.fold_in])
        rows = [row("z sampled when scoring", vr.evaluate(sampling, test)),
                row("last film left out", vr.evaluate(model, last_left_out)),
                row("shown films shuffled", vr.evaluate(model, mixed))]
    elif variant == "training shuffled":
        rows = [row("both shuffled", vr.evaluate(model, mixed))]
    return [*rows, row(variant, vr.evaluate(model, test))]


def main(group: str, part: int = 0, parts: int = 1) -> None:
    """The missing runs of one group."""
    runs = {"short": [(variant, seed) for seed in SHORT_SEEDS for variant in SHORT],
            "closed": [(variant, 0) for variant in CLOSED]}
    sweep(TABLE, runs.get(group, [(group, seed) for seed in SEEDS]), one_run, part, parts)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))

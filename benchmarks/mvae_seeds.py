"""MVAE on MovieLens-1M over seeds: the headline models, the betas of chapters 5 and 6, and bugs.

    python benchmarks/mvae_seeds.py           # all variants, seeds 0 to 4
    python benchmarks/mvae_seeds.py 1 2       # the second half of the runs: two side by side

Appends one row a run to mvae_seeds.csv and skips rows that are there. A run takes about two minutes
on one thread; run two side by side, since one run gains less from a second thread.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sweep import on_test_users, provenance, sweep

import vaerec as vr
from vaerec.elbo import Constant, LinearToCap, reparameterize

TABLE = Path(__file__).with_suffix(".csv")
SEEDS = range(5)
SETTINGS = {"max_epochs": 100, "batch_size": 500}  # those of the chapter's full profile


class SmallNoise(vr.models.MVAE):
    """Noise of standard deviation .01 instead of 1, as in several published implementations."""

    def sample(self, mu, logvar):
        """The KL is still charged for a sigma that the decoder never feels."""
        return reparameterize(mu, logvar, 0.01 * torch.randn_like(mu))


def averaged_kl(n_items: int) -> vr.models.MVAE:
    """KL averaged over the 200 latent dimensions: beta is 200 times smaller than it says."""
    return vr.models.MVAE(n_items, latent_dim=200, beta=LinearToCap(0.2 / 200))


VARIANTS = {  # protocol, model; the first ones are run first
    "LIANG_2018": ("LIANG_2018", vr.models.MVAE),  # beta .2, annealed
    "SACHDEVA_2019": ("SACHDEVA_2019", vr.models.MVAE),
    "beta 0": ("LIANG_2018", partial(vr.models.MVAE, beta=Constant(0.0))),
    "beta 0.2 constant": ("LIANG_2018", partial(vr.models.MVAE, beta=Constant(0.2))),
    "beta 1 constant": ("LIANG_2018", partial(vr.models.MVAE, beta=Constant(1.0))),
    "beta 1 annealed": ("LIANG_2018", partial(vr.models.MVAE, beta=LinearToCap(1.0))),
    "beta 0.05 annealed": ("LIANG_2018", partial(vr.models.MVAE, beta=LinearToCap(0.05))),
    "beta 0.5 annealed": ("LIANG_2018", partial(vr.models.MVAE, beta=LinearToCap(0.5))),
    "gaussian": ("LIANG_2018", partial(vr.models.MVAE, likelihood="gaussian")),
    "bernoulli": ("LIANG_2018", partial(vr.models.MVAE, likelihood="bernoulli")),
    "noise .01": ("LIANG_2018", SmallNoise),
    "averaged KL": ("LIANG_2018", averaged_kl),
}


def one_run(variant: str, seed: int, splits: dict) -> dict:
    """Train, evaluate on the test users, and describe."""
    protocol, make = VARIANTS[variant]
    split = splits[protocol]
    model = make(split.n_items)
    history = vr.fit(model, split, seed=seed, **SETTINGS)
    report = vr.evaluate(model, split.test)
    best = history["validation_ndcg@100"].idxmax()
    torch.manual_seed(0)  # the samples of the bound
    whole = [np.concatenate(pair) for pair in zip(split.test.fold_in, split.test.targets, strict=True)]
    distortion, rate = (float(term.mean()) for term in model.distortion_and_rate(whole, n_samples=10))
    return {"variant": variant, "seed": seed, **on_test_users(report),
            "validation_ndcg@100": round(history["validation_ndcg@100"][best], 6), "best_epoch": best,
            "rate": round(history["rate"][best], 3),
            "test_distortion": round(distortion, 3), "test_rate": round(rate, 3),
            "seconds_to_best": round(history["seconds"][:best + 1].sum(), 1),
            **provenance(split)}


def main(part: int = 0, parts: int = 1) -> None:
    """Run every ``parts``-th missing row."""
    log = vr.load("ml-1m")
    splits = {name: getattr(vr.protocols, name)(log) for name in ("LIANG_2018", "SACHDEVA_2019")}
    names = list(VARIANTS)
    runs = [(variant, seed) for group in (names[:2], names[2:6], names[6:8], names[8:])
            for seed in SEEDS for variant in group]
    sweep(TABLE, runs, lambda variant, seed: [one_run(variant, seed, splits)], part, parts)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

"""Who gains from order? Models in synthetic worlds whose tastes drift slowly, fast, or not at all.

    python benchmarks/drift.py 0 2      # one half of the runs

One world a seed and drift; SACHDEVA_2019, with the sizes of chapter 7's quick profile. "shuffled" is an
SVAE that never sees an order, neither in training nor when it is asked. Appends one row a model to
drift.csv and skips worlds that are there.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import yaml
from svae_runs import in_any_order, shuffled
from sweep import on_test_users, provenance, sweep

import vaerec as vr

TABLE = Path(__file__).with_suffix(".csv")
DRIFTS, SEEDS = (0.0, 0.1, 0.25, 0.5, 1.0), range(3)
PROFILES = Path(__file__).parents[1] / "notebooks" / "profiles.yaml"
QUICK = yaml.safe_load(PROFILES.read_text())["07-svae"]["quick"]


def svae(split: vr.protocols.Split) -> tuple[vr.models.SVAE, dict]:
    """The model of the quick profile, and what `vr.fit` is told."""
    sizes = ("embedding_dim", "rnn_dim", "hidden_dims", "latent_dim")
    return vr.models.SVAE(split.n_items, **{name: QUICK[name] for name in sizes}), {
        "max_epochs": QUICK["max_epochs"]}


def mvae(split: vr.protocols.Split) -> tuple[vr.models.MVAE, dict]:
    """As above."""
    return vr.models.MVAE(split.n_items, hidden_dims=QUICK["mvae_hidden"], latent_dim=QUICK["mvae_latent"]), {
        "max_epochs": QUICK["mvae_epochs"], "batch_size": QUICK["mvae_batch"]}


def one_world(drift: float, seed: int) -> list[dict]:
    """All models in one world."""
    log = vr.load("synthetic", drift=drift, seed=2018 + seed)
    split = vr.protocols.SACHDEVA_2019(log, n_heldout=QUICK["n_heldout"])
    without_order = replace(split, train=in_any_order(split.train, seed))
    closed = {"oracle": vr.models.Oracle(log), "popularity": vr.models.Popularity(split.n_items),
              "EASE": vr.models.EASE(split.n_items, l2=QUICK["ease_l2"]),
              "EASE, recent": vr.models.EASE(split.n_items, l2=QUICK["ease_l2"], recency=QUICK["recency"])}
    runs = {name: (model, {}, split) for name, model in closed.items()}
    runs |= {"MVAE": (*mvae(split), split), "SVAE": (*svae(split), split),
             "SVAE, shuffled": (*svae(split), without_order)}
    rows = []
    for name, (model, options, data) in runs.items():
        vr.fit(model, data, seed=seed, **options)
        fold_in = shuffled(split.test.fold_in, seed) if data is without_order else split.test.fold_in
        report = vr.evaluate(model, replace(split.test, fold_in=fold_in))
        rows.append({"variant": f"drift {drift:g}", "seed": seed, "drift": drift, "model": name,
                     **on_test_users(report), **provenance(split)})
    return rows


def main(part: int = 0, parts: int = 1) -> None:
    """The worlds that are not in the table."""
    drifts = {f"drift {drift:g}": drift for drift in DRIFTS}
    sweep(TABLE, [(name, seed) for seed in SEEDS for name in drifts],
          lambda name, seed: one_world(drifts[name], seed), part, parts)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

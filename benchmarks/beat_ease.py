"""Can EASE be beaten in the capstone's world? Models of the package in three worlds of their own seeds.

    python benchmarks/beat_ease.py

The seeds here are open, so no lecturer should take them. Appends one row a model to beat_ease.csv and
skips worlds that are there.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sweep import provenance, sweep

import vaerec as vr

sys.path.insert(0, str(Path(__file__).parents[1] / "book" / "teaching"))
import capstone

TABLE = Path(__file__).with_suffix(".csv")
SEEDS = range(3)
OTHER_PENALTIES = 500, 1000, 4000, 8000  # 500 is the package's default


def one_world(seed: int) -> list[dict]:
    """Rivals and trained models, and each one's paired difference to EASE on the exam's users."""
    log, split = capstone.make_split(seed)
    models = capstone.rivals(log, split)
    for l2 in OTHER_PENALTIES:
        models[f"EASE, penalty {l2}"] = vr.models.EASE(split.n_items, l2=l2)
        vr.fit(models[f"EASE, penalty {l2}"], split)
    models["MVAE"] = vr.models.MVAE(split.n_items, hidden_dims=(200,), latent_dim=32)
    vr.fit(models["MVAE"], split, max_epochs=30, batch_size=100, seed=seed)
    models["SVAE"] = vr.models.SVAE(split.n_items)
    vr.fit(models["SVAE"], split, max_epochs=4, seed=seed)
    reports = {name: vr.evaluate(model, split.test, ks=(capstone.LENGTH,)) for name, model in models.items()}
    rows = []
    for name, report in reports.items():
        paired = vr.compare(report, reports["EASE"], capstone.METRIC)
        numbers = {capstone.METRIC: report[capstone.METRIC], "difference": paired.difference,
                   "low": paired.low, "high": paired.high}
        rows.append({"variant": "capstone", "seed": seed, "model": name,
                     **{column: round(value, 6) for column, value in numbers.items()}, **provenance(split)})
    return rows


if __name__ == "__main__":
    sweep(TABLE, [("capstone", seed) for seed in SEEDS], lambda name, seed: one_world(seed), 0, 1)

"""What the lists of MVAE, Mult-DAE and SVAE look like, over seeds, with and without a popularity penalty.

    python benchmarks/beyond_accuracy.py          # all runs
    python benchmarks/beyond_accuracy.py 0 2      # one half of them: two side by side

LIANG_2018 on MovieLens-1M, with the settings of chapter 8's full profile: MVAE and Mult-DAE as in
chapters 6 and 3, SVAE for half the epochs of chapter 7. Each run is scored as it is, and re-ranked with
penalties on popularity. Appends rows to beyond_accuracy.csv and skips runs that are there. A run takes two
to four minutes on one thread.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from sweep import on_test_users, provenance, sweep

import vaerec as vr

TABLE = Path(__file__).with_suffix(".csv")
METRICS = ("novelty@10", "novelty@100", "gini@100", "gini_d@100", "overlap@100")  # beside NDCG and coverage
PENALTIES = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
RUNS = {  # model, what vr.fit is told, how many seeds
    "MVAE": (vr.models.MVAE, {"max_epochs": 100, "batch_size": 500}, 5),
    "Mult-DAE": (vr.models.MultDAE, {"max_epochs": 150, "batch_size": 500}, 5),
    "SVAE": (vr.models.SVAE, {"max_epochs": 4}, 3),
    "EASE": (partial(vr.models.EASE, l2=1000.0), {}, 1),  # no chance is involved
    "popularity": (vr.models.Popularity, {}, 1),
}
NOT_LOGARITHMS = ("EASE", "popularity")  # a penalty of a logarithm would mix units, or undo the list


class Penalized(vr.models.TopNRecommender):
    """Another model's scores minus ``penalty`` times the logarithm of each item's training users."""

    def __init__(self, model: vr.models.TopNRecommender, penalty: float):
        super().__init__(model.n_items)
        self.model, self.penalty = model, penalty

    def score_batch(self, histories, users=None):
        """Raw scores [B, I]."""
        return self.model.scores(histories) - self.penalty * self.model.log_popularity


def one_run(variant: str, seed: int, split: vr.protocols.Split) -> list[dict]:
    """Train once, score the lists with each penalty, the run as it is last."""
    make, settings, _ = RUNS[variant]
    model = make(split.n_items)
    history = vr.fit(model, split, seed=seed, **settings)
    of_training = {"validation_ndcg@100": round(history["validation_ndcg@100"].max(), 6),
                   "best_epoch": int(history["validation_ndcg@100"].idxmax()), "epochs": len(history)}
    rows = []
    for penalty in (0.0,) if variant in NOT_LOGARITHMS else (*PENALTIES, 0.0):
        report = vr.evaluate(Penalized(model, penalty), split.test)
        name = f"{variant}, penalty {penalty:g}" if penalty else variant
        rows.append({"variant": name, "seed": seed, "penalty": penalty, **on_test_users(report),
                     **{metric: round(report[metric], 6) for metric in METRICS},
                     "alarms": len(report.alarms), **of_training, **provenance(split)})
    return rows


def main(part: int = 0, parts: int = 1) -> None:
    """Run every ``parts``-th missing row."""
    split = vr.protocols.LIANG_2018(vr.load("ml-1m"))
    runs = [(variant, seed) for seed in range(5) for variant, (*_, seeds) in RUNS.items() if seed < seeds]
    sweep(TABLE, runs, lambda variant, seed: one_run(variant, seed, split), part, parts)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

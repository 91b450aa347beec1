"""Cornac's VAECF on the pairs that rivals.py handed over; run by it, in an environment of its own.

    python cornac_vaecf.py <handed> <out> <epochs> <threads> <seed>

It has no choice of weights by validation: the last ones are taken.
"""

from __future__ import annotations

import sys
from pathlib import Path

import measuring
import numpy as np
import torch
from cornac.data import Dataset
from cornac.eval_methods.base_method import ranking_eval
from cornac.metrics import NDCG, Precision, Recall
from cornac.models import VAECF

METRICS = [metric(k=k) for metric in (NDCG, Recall, Precision) for k in (10, 100)]


def as_dataset(pairs: np.ndarray, like: Dataset | None = None) -> Dataset:
    """Pairs as Cornac takes them, with the numbers of users and items of ``like``."""
    maps = (like.uid_map.copy(), like.iid_map.copy()) if like else (None, None)
    return Dataset.build([(user, item, 1.0) for user, item in pairs.tolist()], fmt="UIR",
                         global_uid_map=maps[0], global_iid_map=maps[1], seed=0)


def main(handed: Path, out: Path, epochs: int, threads: int, seed: int) -> None:
    """Train, evaluate, and leave figures and scores in ``out``."""
    torch.set_num_threads(threads)
    train, test = (measuring.read_pairs(handed / f"{handed.name}.{part}.inter") for part in ("train", "test"))
    n_items = 1 + int(train[:, 1].max())
    train_set = as_dataset(train)
    test_set = as_dataset(test, like=train_set)
    model = VAECF(k=200, autoencoder_structure=[600], n_epochs=epochs, batch_size=500, beta=0.2, seed=seed)
    training = measuring.seconds(lambda: model.fit(train_set))
    peak = measuring.peak_mb()
    evaluation = measuring.fastest(lambda: ranking_eval(model, METRICS, train_set, test_set))
    columns = [train_set.iid_map[item] for item in range(n_items)]
    scores = [model.score(train_set.uid_map[user])[columns] for user in np.unique(test[:, 0])]
    measuring.write(out, np.stack(scores), training=training, evaluation=evaluation, peak_mb=peak,
                    rate=measuring.gemm_rate(n_items, torch.float32))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))

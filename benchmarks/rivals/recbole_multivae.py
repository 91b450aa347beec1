"""RecBole's MultiVAE on the pairs that rivals.py handed over; run by it, in an environment of its own.

    python recbole_multivae.py <handed> <out> <epochs> <threads> <seed>

It keeps the weights of the best validation NDCG@100, as its trainer does when given validation data;
that is off the clock.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import measuring
import numpy as np
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.data.interaction import Interaction
from recbole.model.general_recommender import MultiVAE
from recbole.trainer import Trainer
from recbole.utils import init_seed

METRICS = ["NDCG", "Recall", "Precision"]  # those over the catalogue, such as ItemCoverage, raise in 1.2.1

# Its checkpoints hold more than tensors, which torch refuses to read unless told to; they are our own.
torch.load = functools.partial(torch.load, weights_only=False)


class TimedTrainer(Trainer):
    """Adds up the seconds of training alone."""

    seconds = 0.0

    def _train_epoch(self, *args, **kwargs):
        losses = []
        self.seconds += measuring.seconds(
            lambda: losses.append(super(TimedTrainer, self)._train_epoch(*args, **kwargs)))
        return losses[0]


def settings(handed: Path, out: Path, epochs: int, n_items: int, seed: int) -> Config:
    """Liang et al.'s sizes; batches of 500 users in training and in evaluation."""
    sys.argv = sys.argv[:1]  # RecBole takes what stands there as settings of its own
    return Config(model="MultiVAE", dataset=handed.name, config_dict={
        "data_path": str(handed.parent), "checkpoint_dir": str(out / "saved"),
        "benchmark_filename": ["train", "valid", "test"], "load_col": {"inter": ["user_id", "item_id"]},
        "mlp_hidden_size": [600], "latent_dimension": 400,  # 400: mean and log-variance together
        "epochs": epochs, "train_batch_size": 500, "eval_batch_size": 500 * (n_items + 1),
        "train_neg_sample_args": None, "metrics": METRICS, "topk": [10, 100], "valid_metric": "NDCG@100",
        "stopping_step": epochs, "use_gpu": False, "seed": seed, "show_progress": False, "state": "ERROR",
    })


@torch.no_grad()
def scores(model: MultiVAE, dataset, users: np.ndarray, n_items: int) -> np.ndarray:
    """Of the users given, items in the order of the hand-over, [U, I]."""
    ids = dataset.token2id(dataset.uid_field, [str(user) for user in users])
    items = dataset.token2id(dataset.iid_field, [str(item) for item in range(n_items)])
    model.eval()
    flat = model.full_sort_predict(Interaction({dataset.uid_field: torch.as_tensor(ids)}))
    return flat.view(len(users), -1)[:, torch.as_tensor(items)].numpy()


def main(handed: Path, out: Path, epochs: int, threads: int, seed: int) -> None:
    """Train, evaluate, and leave figures and scores in ``out``."""
    torch.set_num_threads(threads)
    test = measuring.read_pairs(handed / f"{handed.name}.test.inter")
    n_items = 1 + int(measuring.read_pairs(handed / f"{handed.name}.train.inter")[:, 1].max())
    config = settings(handed, out, epochs, n_items, seed)
    init_seed(config["seed"], config["reproducibility"])
    dataset = create_dataset(config)
    train_data, valid_data, test_data = data_preparation(config, dataset)
    model = MultiVAE(config, train_data.dataset)
    trainer = TimedTrainer(config, model)
    trainer.fit(train_data, valid_data, verbose=False)
    peak = measuring.peak_mb()
    trainer.evaluate(test_data)  # loads the best weights
    evaluation = measuring.fastest(lambda: trainer.evaluate(test_data, load_best_model=False))
    measuring.write(out, scores(model, dataset, np.unique(test[:, 0]), n_items),
                    training=trainer.seconds, evaluation=evaluation, peak_mb=peak,
                    rate=measuring.gemm_rate(n_items, torch.float32))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))

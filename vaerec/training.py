"""fit(): Lightning's Trainer with this project's defaults."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
import warnings

import lightning as L
import pandas as pd
import torch

from vaerec.batches import UserBatches
from vaerec.evaluation import evaluate
from vaerec.models.base import TopNRecommender
from vaerec.protocols import Split


def fit(model: TopNRecommender, split: Split, *, max_epochs: int = 20, seed: int = 0,
        batch_size: int = 500, lr: float = 1e-3, patience: int | None = None) -> pd.DataFrame:
    """Train a model; its weights of the best validation NDCG@100 are loaded back.

    The parameters are drawn anew from ``seed``, so the same call gives the same model. Closed-form
    models (EASE, popularity, ...) take the same call; they use none of the keyword arguments.
    A progress bar shows in a terminal and nowhere else.

    Parameters
    ----------
    model : TopNRecommender
        Made with ``n_items=split.n_items``.
    split : Split
    max_epochs : int
        Passes over the training users; schedules such as beta's stretch over all of them.
    seed : int
    batch_size : int
        Users a step.
    lr : float
        Adam's learning rate.
    patience : int, optional
        Stop after this many epochs without a better validation NDCG@100. None never stops early.

    Returns
    -------
    DataFrame
        One row an epoch: epoch, the parts of the loss (nats a user), ``validation_ndcg@100`` and
        seconds.

    Raises
    ------
    ValueError
        A parameter out of range, or a model made for another catalogue.
    """
    for name, value in (("max_epochs", max_epochs), ("batch_size", batch_size), ("lr", lr)):
        if not value > 0:
            raise ValueError(f"{name}={value}: expected a positive number")
    model.remember_popularity(split)
    if not hasattr(model, "loss"):
        return _fit_closed_form(model, split)
    torch.manual_seed(seed)
    model.reset_parameters()
    batches = UserBatches(split.train, batch_size, seed)
    task = _Task(model, batches, lr, max_epochs)
    record = _Record(split, patience)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with _quiet():
        L.Trainer(
            accelerator=device.type, devices=1, max_epochs=max_epochs, callbacks=[record],
            enable_progress_bar=sys.stderr.isatty(), enable_model_summary=False,
            enable_checkpointing=False, logger=False, num_sanity_val_steps=0,
        ).fit(task, train_dataloaders=batches)
    model.load_state_dict(record.best_weights)
    model.to(device)
    return pd.DataFrame(record.rows)


def _fit_closed_form(model: TopNRecommender, split: Split) -> pd.DataFrame:
    start = time.perf_counter()
    model.fit_closed_form(split)
    seconds = time.perf_counter() - start
    return pd.DataFrame([{"epoch": 0, **_validate(model, split), "seconds": seconds}])


def _validate(model: TopNRecommender, split: Split) -> dict[str, float]:
    k = min(100, model.n_items)
    return {f"validation_ndcg@{k}": evaluate(model, split.validation, ks=(k,))[f"ndcg@{k}"]}


class _Task(L.LightningModule):
    """Adam on `model.loss`; the randomness of an epoch is a function of (seed, epoch)."""

    def __init__(self, model: TopNRecommender, batches: UserBatches, lr: float, max_epochs: int):
        super().__init__()
        self.model, self.batches, self.lr = model, batches, lr
        self.n_steps = max_epochs * len(batches)
        self.epoch_parts: list[dict] = []

    def configure_optimizers(self):
        return torch.optim.Adam(self.model.parameters(), lr=self.lr)

    def on_train_epoch_start(self):
        self.batches.epoch = self.current_epoch
        torch.manual_seed(self.batches.seed * 100_003 + self.current_epoch)
        self.model.train()  # the validation of the epoch before left it in eval mode
        self.epoch_parts = []

    def training_step(self, bags, batch_idx):
        loss, parts = self.model.loss(bags, progress=self.global_step / self.n_steps)
        self.epoch_parts.append({"loss": loss.detach()} | parts)
        return loss


class _Record(L.Callback):
    """Validates after each epoch, keeps the rows and the best weights, stops when patience ends."""

    def __init__(self, split: Split, patience: int | None):
        self.split, self.patience = split, patience
        self.rows: list[dict] = []
        self.best, self.best_epoch, self.best_weights = -1.0, -1, {}

    def on_train_epoch_start(self, trainer, task):
        self.start = time.perf_counter()

    def on_train_epoch_end(self, trainer, task):
        seconds = time.perf_counter() - self.start
        parts = pd.DataFrame([{k: float(v) for k, v in p.items()} for p in task.epoch_parts]).mean()
        validation = _validate(task.model, self.split)
        epoch = trainer.current_epoch
        self.rows.append({"epoch": epoch, **parts, **validation, "seconds": seconds})
        (value,) = validation.values()
        if value > self.best:
            self.best, self.best_epoch = value, epoch
            self.best_weights = {k: v.detach().clone() for k, v in task.model.state_dict().items()}
        trainer.should_stop = self.patience is not None and epoch - self.best_epoch >= self.patience


@contextlib.contextmanager
def _quiet():
    """Without Lightning's banner about devices and its advice on data loader workers."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning.*")
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)

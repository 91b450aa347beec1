"""fit(): Lightning's Trainer with this project's defaults, and runs that survive a kill."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import torch

from vaerec.evaluation import validate
from vaerec.identity import identity
from vaerec.models.arguments import check_whole
from vaerec.models.base import TopNRecommender
from vaerec.protocols import Split

if TYPE_CHECKING:
    import lightning as L
    from lightning.pytorch.loggers import Logger

LR_SCHEDULES = {  # the part of lr at a fraction of training
    "constant": lambda progress: 1.0,
    "cosine": lambda progress: min(progress / 0.05, (1 + math.cos(math.pi * progress)) / 2),
}
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


def fit(model: TopNRecommender, split: Split, *, max_epochs: int = 20, seed: int = 0,
        batch_size: int | None = None, lr: float | None = None, weight_decay: float | None = None,
        lr_schedule: str | None = None, patience: int | None = None, precision: str = "32-true",
        resume: str | os.PathLike | None = None, logger: Logger | None = None,
        callbacks: Sequence[L.Callback] = ()) -> pd.DataFrame:
    """Train a model; its weights of the best validation NDCG@100 are loaded back.

    The parameters are drawn anew from ``seed``, so the same call gives the same model. Closed-form
    models (EASE, popularity, ...) take the same call; they use none of the keyword arguments.
    A GPU is used where there is one. A progress bar shows in a terminal and nowhere else.

    Started by ``torchrun``, each of its processes takes a share of every batch of ``batch_size`` users, and
    the gradients are those of the whole batch (Lightning's DDP): the run is that of one process up to
    rounding and other random numbers. All must pass the same data and parameters.

    Parameters
    ----------
    model : TopNRecommender
        Made with ``n_items=split.n_items``.
    split : Split
    max_epochs : int
        Passes over the training users; schedules such as beta's stretch over all of them.
    seed : int
    batch_size : int, optional
        Users a step. This and the next three come from ``model.recipe`` if not given.
    lr : float, optional
        Adam's learning rate.
    weight_decay : float, optional
        Adam's penalty: this times the weights is added to their gradient.
    lr_schedule : {"constant", "cosine"}, optional
        "cosine" climbs to ``lr`` in the first twentieth of all steps and falls to 0 along a cosine.
    patience : int, optional
        Stop after this many epochs, at least 1, without a better validation NDCG@100. None never
        stops early.
    precision : {"32-true", "bf16-mixed", "16-mixed"}
        Lightning's name of the arithmetic; "16-mixed" needs a GPU.
    resume : path, optional
        Folder of the run. A run that was cut off there, at any moment, goes on from its last whole
        epoch, on a CPU with the same result as without the cut; an empty folder starts a new run.
        It holds ``history.csv`` after each epoch. Other data, another model or other code, of the class or of
        what it calls, is another run (`vaerec.identity`).
    logger : lightning.pytorch.loggers.Logger, optional
        Gets each row of the history.
    callbacks : sequence of lightning.pytorch.Callback
        Called after each epoch's validation; ``trainer.callback_metrics`` then holds the row. One that
        raises ends the run: a search prunes so.

    Returns
    -------
    DataFrame
        One row an epoch: epoch, the parts of the loss (nats a user; SVAE: a step),
        ``validation_ndcg@100`` and seconds.

    Raises
    ------
    ValueError
        A parameter out of range, a model made for another catalogue, or a folder that holds
        another run or a damaged checkpoint; processes that were given different data or parameters;
        nobody with two items for a model of what follows.
    FloatingPointError
        The loss or the weights are not finite; says in which epoch and step, and the likely cause.
    """
    given = {"batch_size": batch_size, "lr": lr, "weight_decay": weight_decay, "lr_schedule": lr_schedule}
    recipe = model.recipe | {name: value for name, value in given.items() if value is not None}
    check_whole(max_epochs=max_epochs, batch_size=recipe["batch_size"],
                 patience=1 if patience is None else patience)
    _check(seed, precision, recipe)
    model.remember_popularity(split)
    if not hasattr(model, "loss"):
        return _fit_closed_form(model, split)
    settings = {
        **(identity(model, split) if resume else _names(model, split)), "max_epochs": int(max_epochs),
        "seed": int(seed), "batch_size": int(recipe["batch_size"]), "lr": float(recipe["lr"]),
        "weight_decay": float(recipe["weight_decay"]), "lr_schedule": recipe["lr_schedule"],
        "patience": None if patience is None else int(patience), "precision": precision,
    }
    from vaerec.loop import train  # Lightning takes seconds to import, and nothing else needs it

    return pd.DataFrame(train(model, split, settings, Path(resume) if resume else None, logger, callbacks))


def _names(model: TopNRecommender, split: Split) -> dict:
    """What processes that train together compare."""
    return {"model": type(model).__name__, "protocol": split.name, "data": split.train.fingerprint}


def _check(seed: int, precision: str, recipe: dict) -> None:
    lr, weight_decay, lr_schedule = (recipe[name] for name in ("lr", "weight_decay", "lr_schedule"))
    if not isinstance(seed, Integral) or seed < 0:
        raise ValueError(f"seed={seed}: expected a whole number of at least 0")
    if not 0 < lr < float("inf"):
        raise ValueError(f"lr={lr}: expected a positive number")
    if not 0 <= weight_decay < float("inf"):
        raise ValueError(f"weight_decay={weight_decay}: expected a number of at least 0")
    if lr_schedule not in LR_SCHEDULES:
        raise ValueError(f"lr_schedule={lr_schedule!r}: expected one of {tuple(LR_SCHEDULES)}")
    if precision not in PRECISIONS:
        raise ValueError(f"precision={precision!r}: expected one of {PRECISIONS}")
    if precision == "16-mixed" and not torch.cuda.is_available():
        raise ValueError("precision='16-mixed' needs a GPU: take 'bf16-mixed'")


def _fit_closed_form(model: TopNRecommender, split: Split) -> pd.DataFrame:
    start = time.perf_counter()
    model.fit_closed_form(split)
    seconds = time.perf_counter() - start
    return pd.DataFrame([{"epoch": 0, **validate(model, split.validation), "seconds": seconds}])

"""fit(): Lightning's Trainer with this project's defaults, and runs that survive a kill."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import torch

from vaerec.checks import check_whole
from vaerec.evaluation import validate
from vaerec.identity import identity
from vaerec.models.base import TopNRecommender
from vaerec.runs import best_row, processes
from vaerec.splits import Split

if TYPE_CHECKING:
    import lightning as L
    from lightning.pytorch.loggers import Logger

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


def fit(model: TopNRecommender, split: Split, *, max_epochs: int | None = None, seed: int = 0,
        batch_size: int | None = None, lr: float | None = None, weight_decay: float | None = None,
        lr_schedule: str | None = None, patience: int | None = None, precision: str = "32-true",
        resume: str | os.PathLike | None = None, logger: Logger | None = None,
        callbacks: Sequence[L.Callback] = ()) -> pd.DataFrame:
    """Train a model; its weights of the best validation NDCG@100 are loaded back.

    The parameters are drawn anew from ``seed``, so the same call gives the same model. Closed-form
    models (EASE, popularity, ...) take the same call; they use none of the keyword arguments.
    A GPU is used where there is one. A progress bar shows in a terminal and nowhere else. Where the best
    epoch was the last one under a constant lr, a line says so: training was probably too short.

    Started by ``torchrun``, each of its processes takes a share of every batch of ``batch_size`` users, and
    the gradients are those of the whole batch (Lightning's DDP): the run is that of one process up to
    rounding and other random numbers. All must pass the same data and parameters.

    Parameters
    ----------
    model : TopNRecommender
        Made with ``n_items=split.n_items``.
    split : Split
    max_epochs : int, optional
        Passes over the training users; schedules such as beta's stretch over all of them. By default as
        many as ``model.recipe`` takes for so many users: its length is counted in steps.
    seed : int
    batch_size : int, optional
        Users a step. This and the next three come from ``model.recipe`` if not given. A learning rate
        belongs to a batch size: where that is given and those are not, they are the papers' (for MVAE and
        its kin Adam at 1e-3, constant), from ``model.recipe_of_other_batches``.
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
        another run or a damaged checkpoint; processes that were given different data or parameters.
    FloatingPointError
        The loss or the weights are not finite; says in which epoch and step, and the likely cause.
    """
    _check(max_epochs, seed, patience, precision)
    given = {"batch_size": batch_size, "lr": lr, "weight_decay": weight_decay, "lr_schedule": lr_schedule}
    default = model.recipe if batch_size is None else model.recipe_of_other_batches
    recipe = replace(default, **{name: value for name, value in given.items() if value is not None})
    model.remember_popularity(split)  # what is no split of this catalogue ends here
    if max_epochs is None:
        max_epochs = model.recipe.max_epochs(split.train.n_users, recipe.batch_size)
    if not hasattr(model, "loss"):
        return _fit_closed_form(model, split)
    settings = {
        **(identity(model, split) if resume else _names(model, split)), "max_epochs": int(max_epochs),
        "seed": int(seed), "batch_size": int(recipe.batch_size), "lr": float(recipe.lr),
        "weight_decay": float(recipe.weight_decay), "lr_schedule": recipe.lr_schedule,
        "patience": None if patience is None else int(patience), "precision": precision,
    }
    from vaerec.loop import train  # Lightning takes seconds to import, and nothing else needs it

    rows = train(model, split, settings, Path(resume) if resume else None, logger, callbacks)
    _say_if_cut_short(rows, settings)
    return pd.DataFrame(rows)


def _names(model: TopNRecommender, split: Split) -> dict:
    """What processes that train together compare."""
    return {"model": type(model).__name__, "protocol": split.name, "data": split.train.fingerprint}


def _say_if_cut_short(rows: list[dict], settings: dict) -> None:
    """A line for the reader: a warning would put paths of this machine into a notebook."""
    constant = settings["lr_schedule"] == "constant"
    if constant and best_row(rows) == len(rows) - 1 > 0 and processes()[0] == 0:
        print(f"fit: the best epoch was the last of {len(rows)}, under a constant lr. More epochs may help; "
              "lr_schedule='cosine' lets a run settle.")


def _check(max_epochs: int | None, seed: int, patience: int | None, precision: str) -> None:
    given = {"max_epochs": max_epochs, "patience": patience}
    check_whole(**{name: value for name, value in given.items() if value is not None})
    check_whole(seed=seed, at_least=0)
    if precision not in PRECISIONS:
        raise ValueError(f"precision={precision!r}: expected one of {PRECISIONS}")
    if precision == "16-mixed" and not torch.cuda.is_available():
        raise ValueError("precision='16-mixed' needs a GPU: take 'bf16-mixed'")


def _fit_closed_form(model: TopNRecommender, split: Split) -> pd.DataFrame:
    start = time.perf_counter()
    model.fit_closed_form(split)
    seconds = time.perf_counter() - start
    return pd.DataFrame([{"epoch": 0, **validate(model, split.validation), "seconds": seconds}])

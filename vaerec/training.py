"""fit(): Lightning's Trainer with this project's defaults, and runs that survive a kill."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import pickle
import sys
import time
import warnings
from collections.abc import Sequence
from functools import partial
from numbers import Integral
from pathlib import Path

import lightning as L
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import Strategy

from vaerec.batches import UserBatches, random_seed
from vaerec.evaluation import evaluate
from vaerec.models.base import TopNRecommender
from vaerec.protocols import Split
from vaerec.shards import ShardBatches, Shards

CHECKPOINT, HISTORY = "last.ckpt", "history.csv"
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
        It holds ``history.csv`` after each epoch.
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
    given = {"batch_size": batch_size, "lr": lr, "weight_decay": weight_decay, "lr_schedule": lr_schedule}
    recipe = model.recipe | {name: value for name, value in given.items() if value is not None}
    _check_whole(max_epochs=max_epochs, batch_size=recipe["batch_size"],
                 patience=1 if patience is None else patience)
    _check(seed, precision, recipe)
    model.remember_popularity(split)
    if not hasattr(model, "loss"):
        return _fit_closed_form(model, split)
    settings = {
        "model": type(model).__name__,
        "hyper_parameters": model.hyper_parameters() if resume else None,
        "protocol": split.name, "data": split.train.fingerprint, "max_epochs": int(max_epochs),
        "seed": int(seed), "batch_size": int(recipe["batch_size"]), "lr": float(recipe["lr"]),
        "weight_decay": float(recipe["weight_decay"]), "lr_schedule": recipe["lr_schedule"],
        "patience": None if patience is None else int(patience), "precision": precision,
    }
    record = _Record(split, settings, Path(resume) if resume else None)
    model.cpu()  # a seed gives other numbers on a GPU, where an earlier fit may have left the model
    torch.manual_seed(random_seed(seed))
    model.reset_parameters()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not record.finished:
        _train(model, record, logger, callbacks, device)
    model.load_state_dict(record.best_weights)
    model.to(device)
    return pd.DataFrame(record.rows)


def _check_whole(**values: int) -> None:
    for name, value in values.items():
        if not isinstance(value, Integral) or value < 1:
            raise ValueError(f"{name}={value}: expected a whole number of at least 1")


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
    return pd.DataFrame([{"epoch": 0, **_validate(model, split), "seconds": seconds}])


def _validate(model: TopNRecommender, split: Split) -> dict[str, float]:
    k = min(100, model.n_items)
    return {f"validation_ndcg@{k}": evaluate(model, split.validation, ks=(k,))[f"ndcg@{k}"]}


def processes() -> tuple[int, int, int]:
    """Number of this process, how many there are, and how many on this machine, as torchrun says."""
    return tuple(int(os.environ.get(name, default)) if "TORCHELASTIC_RUN_ID" in os.environ else default
                 for name, default in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_WORLD_SIZE", 1)))


def _keep_freed_memory() -> None:
    """Have glibc keep what a step frees for the next one, up to 64 MB; elsewhere this does nothing.

    glibc keeps freed memory up to twice the largest block that it has seen freed, and gives more than that
    back to the system. The next step would get it again as fresh pages, one fault each.
    """
    torch.empty(2**25 - 2**16, dtype=torch.uint8)  # freed at once; glibc looks at blocks below 32 MB


def _train(model: TopNRecommender, record: _Record, logger: Logger | None,
           callbacks: Sequence[L.Callback], device: torch.device) -> None:
    settings = record.settings
    _keep_freed_memory()
    rank, n_ranks, local = processes()
    if n_ranks > min(settings["batch_size"], record.split.train.n_users):
        raise ValueError(f"{n_ranks} processes for batches of {settings['batch_size']} of "
                         f"{record.split.train.n_users} users: each process needs a user")
    make = ShardBatches if isinstance(record.split.train, Shards) else UserBatches
    batches = make(record.split.train, settings["batch_size"], settings["seed"],
                   in_order=model.reads_in_order, rank=rank, n_ranks=n_ranks)
    with _quiet():
        trainer = L.Trainer(
            accelerator=device.type, devices=local, num_nodes=n_ranks // local,
            strategy="ddp" if n_ranks > 1 else "auto", max_epochs=settings["max_epochs"],
            precision=settings["precision"], callbacks=[record, *callbacks], logger=logger or False,
            enable_progress_bar=sys.stdout.isatty(), enable_model_summary=False,
            enable_checkpointing=False, num_sanity_val_steps=0,
        )
        task = _Task(model, batches, settings)
        checkpoint = record.checkpoint if record.rows else None
        try:
            trainer.fit(task, train_dataloaders=batches, ckpt_path=checkpoint, weights_only=True)
        except SystemExit as stop:  # Lightning's answer to Ctrl-C, which would end a notebook's kernel
            raise KeyboardInterrupt from stop


class _Task(L.LightningModule):
    """Adam on `model.loss`; the randomness of an epoch is a function of (seed, epoch)."""

    def __init__(self, model: TopNRecommender, batches: UserBatches | ShardBatches, settings: dict):
        super().__init__()
        self.model, self.batches, self.settings = model, batches, settings
        self.n_steps = settings["max_epochs"] * len(batches)
        self.epoch_parts: list[dict] = []

    def configure_optimizers(self):
        adam = torch.optim.Adam(self.model.parameters(), lr=self.settings["lr"],
                                weight_decay=self.settings["weight_decay"], fused=True)
        part = LR_SCHEDULES[self.settings["lr_schedule"]]
        # The first step is step 1: at 0 a warm-up would stand still.
        schedule = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: part((step + 1) / (self.n_steps + 1)))
        return {"optimizer": adam, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_epoch_start(self):
        self.batches.epoch = self.current_epoch
        own = (self.batches.rank,) if self.batches.rank else ()  # processes draw different noise
        torch.manual_seed(random_seed(self.batches.seed, 1, self.current_epoch, *own))
        self.model.train()  # the validation of the epoch before left it in eval mode
        self.epoch_parts = []

    def training_step(self, bags, batch_idx):
        if bags.n_users:
            loss, parts = self.model.loss(bags, progress=self.global_step / self.n_steps)
            self.epoch_parts.append({"steps": bags.n_users, "loss": loss.detach()} | parts)
            steps = self.epoch_parts[-1]["steps"]
        else:  # the last batch has fewer users than there are processes
            loss, steps = 0 * sum(weights.sum() for weights in self.model.parameters()), 0
        if self.batches.n_ranks == 1:
            return loss
        # Processes have shares of different sizes, and DDP takes the plain mean of their gradients.
        share = torch.tensor(float(steps), device=self.device)
        return loss * share / self.trainer.strategy.reduce(share.clone(), reduce_op="mean").clamp(min=1e-6)


class _Record(L.Callback):
    """What a run has shown so far: validates each epoch, keeps rows and best weights, stops.

    With a folder, it writes everything there after each epoch, so that a killed run can go on.
    """

    def __init__(self, split: Split, settings: dict, folder: Path | None):
        self.split, self.settings, self.folder = split, settings, folder
        self.rows: list[dict] = []
        self.best_weights: dict[str, torch.Tensor] = {}
        if folder and self.checkpoint.exists():
            self.load_state_dict(_read_checkpoint(self.checkpoint, settings))

    @property
    def checkpoint(self) -> Path:
        return self.folder / CHECKPOINT

    @property
    def finished(self) -> bool:
        return bool(self.rows) and (len(self.rows) == self.settings["max_epochs"] or self.out_of_patience)

    @property
    def out_of_patience(self) -> bool:
        patience, last = self.settings["patience"], self.rows[-1]["epoch"]
        return patience is not None and last - self.best_row >= patience

    @property
    def best_row(self) -> int:
        return int(np.argmax([row[self.metric] for row in self.rows]))

    @property
    def metric(self) -> str:
        return next(name for name in self.rows[0] if name.startswith("validation_"))

    def on_fit_start(self, trainer, task):
        if trainer.world_size > 1:
            _refuse_other_settings(self.settings)

    def on_train_epoch_start(self, trainer, task):
        self.start = time.perf_counter()

    def on_train_epoch_end(self, trainer, task):
        epoch = trainer.current_epoch
        _refuse_non_finite(task, epoch, self.settings)
        seconds = time.perf_counter() - self.start
        means = _epoch_means(task.epoch_parts, trainer.strategy)
        validation = _validate(task.model, self.split) if trainer.is_global_zero else None
        self.rows.append({"epoch": epoch, **means, **trainer.strategy.broadcast(validation),
                          "seconds": seconds})
        if self.best_row == epoch:
            self.best_weights = {k: v.detach().cpu().clone() for k, v in task.model.state_dict().items()}
        trainer.should_stop = self.out_of_patience
        task.log_dict(self.rows[-1], logger=False)  # where other callbacks look
        if trainer.logger:
            trainer.logger.log_metrics(self.rows[-1], step=epoch)
        if self.folder:
            self._write(trainer)

    def _write(self, trainer: L.Trainer) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        table = pd.DataFrame(self.rows)
        # The checkpoint last: after a kill in between, the next run writes the history's row again.
        for name, write in ((HISTORY, partial(table.to_csv, index=False)),
                            (CHECKPOINT, trainer.save_checkpoint)):
            draft = self.folder / f"{name}.part"
            if name == CHECKPOINT or trainer.is_global_zero:  # all processes take part in a checkpoint
                try:
                    write(draft)
                except (OSError, RuntimeError) as error:  # a full disk, above all
                    raise OSError(f"cannot write {self.folder / name}: {error}. {_kept(self.rows)}; make "
                                  "room and call fit again") from error
            if trainer.is_global_zero:
                os.replace(draft, self.folder / name)  # a kill leaves the old file or the new one

    def state_dict(self) -> dict:
        return {"settings": json.dumps(self.settings), "rows": self.rows,
                "best_weights": self.best_weights}

    def load_state_dict(self, state: dict) -> None:
        self.rows, self.best_weights = list(state["rows"]), state["best_weights"]


def _kept(rows: list[dict]) -> str:
    """What a run whose last row could not be written can go on from."""
    if len(rows) == 1:
        return "No epoch is kept"
    return f"The checkpoint of epoch {rows[-2]['epoch']} is whole"


def _read_checkpoint(path: Path, settings: dict) -> dict:
    """The state of `_Record` in a checkpoint, if it belongs to a run with these settings."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)["callbacks"]["_Record"]
        theirs = json.loads(state["settings"])
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, ValueError,
            pickle.UnpicklingError) as error:
        raise ValueError(f"{path} is not a whole checkpoint of vr.fit ({error}): delete the folder "
                         "to start the run anew") from error
    ours = json.loads(json.dumps(settings))
    other = [f"{key} is {theirs.get(key)!r} there and {ours[key]!r} here"
             for key in ours if theirs.get(key) != ours[key]]
    if other:
        raise ValueError(f"{path.parent} holds another run: {'; '.join(other)}. Call fit as before, "
                         "or name another folder")
    return state


def _refuse_non_finite(task: _Task, epoch: int, settings: dict) -> None:
    # Looked at once an epoch: a look at each step would make a GPU wait for each step.
    bad = ~torch.stack([part["loss"] for part in task.epoch_parts]).isfinite()
    if bad.any():
        what, step = "loss", int(bad.int().argmax())
    elif not all(weights.isfinite().all() for weights in task.model.parameters()):
        what, step = "weights", len(bad) - 1
    else:
        return
    if settings["precision"] == "16-mixed":
        cause = "float16 overflows; try precision='bf16-mixed'"
    else:
        cause = f"lr={settings['lr']} is too large; try a tenth of it"
    raise FloatingPointError(f"the {what} became not finite in epoch {epoch}, by step {step} "
                             f"(both from 0). Likely cause: {cause}")


def _refuse_other_settings(settings: dict) -> None:
    """Raise on every process where one was given other data or parameters than the first."""
    given = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(given, settings)
    for rank, theirs in enumerate(given):
        other = [f"{key} is {theirs[key]!r} there and {value!r} on rank 0"
                 for key, value in given[0].items() if theirs[key] != value]
        if other:
            raise ValueError(f"rank {rank} trains something else: {'; '.join(other)}")


def _epoch_means(parts: list[dict], strategy: Strategy) -> dict[str, float]:
    """Means over users, or over steps where a model counts them, of all processes: batches differ in both."""
    frame = pd.DataFrame([{name: float(value) for name, value in part.items()} for part in parts])
    steps = frame["steps"].copy()
    sums = frame.assign(steps=1.0).mul(steps, axis=0).sum()
    own = torch.tensor(sums.to_numpy(), device=strategy.root_device)
    sums[:] = strategy.reduce(own, reduce_op="sum").cpu().numpy()
    return sums.drop("steps").div(max(1.0, sums["steps"])).to_dict()


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
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

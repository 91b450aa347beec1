"""Training by Lightning: Adam on a model's loss, and the record of a run that survives a kill.

Imported when a training starts: Lightning takes seconds.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import lightning as L
import pandas as pd
import torch
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import Strategy

from vaerec import runs
from vaerec.batches import UserBatches, random_seed
from vaerec.evaluation import validate
from vaerec.models.base import TopNRecommender
from vaerec.recipes import LR_SCHEDULES
from vaerec.runs import CHECKPOINT, HISTORY, best_row
from vaerec.shards import ShardBatches, Shards
from vaerec.splits import Split


def train(model: TopNRecommender, split: Split, settings: dict, folder: Path | None,
          logger: Logger | None, callbacks: Sequence[L.Callback]) -> list[dict]:
    """Train from where the folder's run stands to its end, load the best weights back; a row an epoch."""
    record = _Record(split, settings, folder)
    model.cpu()  # a seed gives other numbers on a GPU, where an earlier fit may have left the model
    torch.manual_seed(random_seed(settings["seed"]))
    model.reset_parameters()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not record.finished:
        _run_epochs(model, record, logger, callbacks, device)
    model.load_state_dict(record.best_weights)
    model.to(device)
    return record.rows


def _run_epochs(model: TopNRecommender, record: _Record, logger: Logger | None,
                callbacks: Sequence[L.Callback], device: torch.device) -> None:
    settings = record.settings
    _keep_freed_memory()
    rank, n_ranks, local = runs.processes()
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


def _keep_freed_memory() -> None:
    """Have glibc keep what a step frees for the next one, up to 64 MB; elsewhere this does nothing.

    glibc keeps freed memory up to twice the largest block that it has seen freed, and gives more than that
    back to the system. The next step would get it again as fresh pages, one fault each.
    """
    torch.empty(2**25 - 2**16, dtype=torch.uint8)  # freed at once; glibc looks at blocks below 32 MB


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
            self.load_state_dict(runs.read_checkpoint(self.checkpoint, settings))

    @property
    def checkpoint(self) -> Path:
        return self.folder / CHECKPOINT

    @property
    def finished(self) -> bool:
        return bool(self.rows) and (len(self.rows) == self.settings["max_epochs"] or self.out_of_patience)

    @property
    def out_of_patience(self) -> bool:
        patience, last = self.settings["patience"], self.rows[-1]["epoch"]
        return patience is not None and last - best_row(self.rows) >= patience

    def on_fit_start(self, trainer, task):
        if trainer.world_size > 1:
            runs.refuse_other_settings(self.settings)

    def on_train_epoch_start(self, trainer, task):
        self.start = time.perf_counter()

    def on_train_epoch_end(self, trainer, task):
        epoch = trainer.current_epoch
        _refuse_non_finite(task, epoch, self.settings)
        seconds = time.perf_counter() - self.start
        means = _epoch_means(task.epoch_parts, trainer.strategy)
        validation = validate(task.model, self.split.validation) if trainer.is_global_zero else None
        self.rows.append({"epoch": epoch, **means, **trainer.strategy.broadcast(validation),
                          "seconds": seconds})
        if best_row(self.rows) == epoch:
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

"""Searches for the settings of MVAE and SVAE on MovieLens-1M: a grid and Optuna, with one budget.

    python benchmarks/tuning.py mvae-optuna 0    # or mvae-grid, svae-optuna, svae-grid
    python benchmarks/tuning.py mvae-optuna 1    # a second worker on the same study, beside the first
    python benchmarks/tuning.py mvae-optuna 2 postgresql://user@host/studies   # workers on several machines
    python benchmarks/tuning.py export           # tuning.csv: a row a trial; from a database: export URL
    python benchmarks/tuning.py final MVAE 0 2   # the winner with five seeds: tuned.csv, half of the runs

A search sees the training and the validation users and no others. It lies in an SQLite file in
_build/tuning, or in a database that several machines reach, and can be killed at any moment: started again,
it goes on. A trial whose worker gives no sign of life for ten minutes is started once more, from its last
whole epoch, or, by a worker that does not see the dead one's folder, from its first. Of workers on several
machines, let the first one make the tables before the others start. The budget is a number of epochs. A grid
spends it on full trials; a search that prunes starts more trials with what it saves. "final" is what touches
the test users, once, with the settings of the best validation score.

The blog does not say what its grid held. Ours are guesses: what one would try around the published settings.
"""

from __future__ import annotations

import itertools
import logging
import shutil
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import lightning as L
import optuna
import pandas as pd
import torch
from filelock import FileLock
from optuna.trial import TrialState
from sweep import on_test_users, provenance, sweep

import vaerec as vr
from vaerec.schedules import LinearToCap

TABLE, FINAL = Path(__file__).with_suffix(".csv"), Path(__file__).with_name("tuned.csv")
FOLDER = Path(__file__).parents[1] / "_build" / "tuning"
METRIC = "validation_ndcg@100"
SEARCH_SEED, FINAL_SEEDS, FINAL_EPOCHS = 0, range(1, 6), {"MVAE": 100, "SVAE": 12}
FIT = ("batch_size", "lr", "weight_decay")  # the other settings belong to the model


@dataclass(frozen=True)
class Search:
    """What a model's two searches have in common.

    Attributes
    ----------
    make : callable
        n_items and settings -> model.
    epochs, budget : int
        Epochs of a trial at most, and of all trials together.
    space : callable
        A trial -> its settings.
    published : dict
        The first trial of each search that is not a grid.
    grid : dict
        What the grid changes of ``published``: setting -> values.
    pruner : optuna.pruners.BasePruner
    precision : str
    """

    protocol: str
    make: Callable
    epochs: int
    budget: int
    space: Callable[[optuna.Trial], dict]
    published: dict
    grid: dict[str, list]
    pruner: optuna.pruners.BasePruner
    precision: str = "32-true"


def mvae_space(trial: optuna.Trial) -> dict:
    """Logarithmic where a factor matters and not a difference."""
    return {"lr": trial.suggest_float("lr", 3e-4, 1e-2, log=True),
            "beta": trial.suggest_float("beta", 1e-3, 1.0, log=True),
            "dropout": trial.suggest_float("dropout", 0.2, 0.8),
            "weight_decay": trial.suggest_float("weight_decay", 1e-6, 1e-3, log=True),
            "hidden": trial.suggest_categorical("hidden", [200, 400, 600]),
            "latent": trial.suggest_categorical("latent", [50, 100, 200]),
            "batch_size": trial.suggest_categorical("batch_size", [100, 200, 500])}


def make_mvae(n_items: int, hidden: int, latent: int, beta: float, dropout: float) -> vr.models.MVAE:
    """Beta is the cap of the climb."""
    return vr.models.MVAE(n_items, (hidden,), latent, dropout, beta=LinearToCap(beta))


def svae_space(trial: optuna.Trial) -> dict:
    """As many settings as for MVAE, with about half as many trials."""
    return {"lr": trial.suggest_float("lr", 2e-3, 3e-2, log=True),
            "beta": trial.suggest_float("beta", 1e-5, 5e-3, log=True),
            "dropout": trial.suggest_float("dropout", 0.0, 0.5),
            "weight_decay": trial.suggest_float("weight_decay", 1e-6, 5e-4, log=True),
            "rnn": trial.suggest_categorical("rnn", [200, 300]),
            "latent": trial.suggest_categorical("latent", [64, 128]),
            "batch_size": trial.suggest_categorical("batch_size", [16, 32, 64])}


def make_svae(n_items: int, rnn: int, latent: int, beta: float, dropout: float) -> vr.models.SVAE:
    """Four targets, as in the paper."""
    return vr.models.SVAE(n_items, rnn_dim=rnn, latent_dim=latent, dropout=dropout, beta=beta)


SEARCHES = {
    "mvae": Search(
        "LIANG_2018", make_mvae, epochs=30, budget=15 * 30, space=mvae_space,
        published={"lr": 1e-3, "beta": 0.2, "dropout": 0.5, "weight_decay": 1e-6, "hidden": 600,
                   "latent": 200, "batch_size": 500},
        grid={"lr": [5e-4, 1e-3, 2e-3], "beta": [0.05, 0.1, 0.2, 0.5, 1.0]},
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=9, interval_steps=10)),
    "svae": Search(
        "SACHDEVA_2019", make_svae, epochs=3, budget=8 * 3, space=svae_space,
        published={"lr": 8e-3, "beta": 5e-4, "dropout": 0.2, "weight_decay": 5e-5, "rnn": 200,
                   "latent": 64, "batch_size": 16},
        grid={"batch_size": [32], "lr": [4e-3, 8e-3], "beta": [5e-4, 5e-3], "dropout": [0.2, 0.4]},
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=0), precision="bf16-mixed"),
}


class Reports(L.Callback):
    """Tells the study how a trial goes, and stops it where the pruner says so."""

    def __init__(self, trial: optuna.Trial):
        self.trial, self.start = trial, time.process_time()
        self.earlier = trial.user_attrs.get("cpu_seconds", 0.0)  # of a killed worker

    def on_train_epoch_end(self, trainer, task):
        self.trial.report(trainer.callback_metrics[METRIC].item(), trainer.current_epoch)
        self.trial.set_user_attr("cpu_seconds", self.earlier + time.process_time() - self.start)
        last = trainer.current_epoch + 1 == trainer.max_epochs  # nothing to save any more
        if not last and self.trial.should_prune():
            raise optuna.TrialPruned


class OverBudget(Exception):
    """A trial that may not start any more."""


def open_study(name: str, folder: Path, search: Search, worker: int = 0, heartbeat: int = 10,
               patience: int = 600, url: str | None = None) -> optuna.Study:
    """The study of that name, begun if it is not there.

    Parameters
    ----------
    name : str
        Ends in "-grid" or "-optuna".
    worker : int
        Workers with other numbers draw other first trials.
    heartbeat, patience : int
        Seconds between two signs of life, and without one until a trial is started once more.
    url : str, optional
        A database, as SQLAlchemy names it. Machines that share a disk must not share an SQLite file on it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    url = url or f"sqlite:///{folder / name}.db"
    with FileLock(folder / f"{name}.lock"):  # workers that start together would create the tables twice
        return _study(name, url, search, worker, heartbeat, patience)


def _study(name: str, url: str, search: Search, worker: int, heartbeat: int, patience: int) -> optuna.Study:
    waits = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
        storage = optuna.storages.RDBStorage(
            url, heartbeat_interval=heartbeat, grace_period=patience, engine_kwargs=waits,
            heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(
                max_retry=3, inherit_intermediate_values=True))
    grid = name.endswith("-grid")
    study = optuna.create_study(
        study_name=name, storage=storage, direction="maximize", load_if_exists=True,
        pruner=optuna.pruners.NopPruner() if grid else search.pruner,
        sampler=optuna.samplers.TPESampler(seed=worker, n_startup_trials=search.budget // search.epochs // 2))
    for point in itertools.product(*search.grid.values()) if grid else [()]:
        changes = dict(zip(search.grid, point, strict=False))
        study.enqueue_trial(search.published | changes, skip_if_exists=True)
    return study


def run(study: optuna.Study, search: Search, split: vr.protocols.Split, folder: Path,
        worker: int = 0) -> None:
    """Start trials until the budget is spent."""

    def objective(trial: optuna.Trial) -> float:
        if epochs_taken(study, trial.number, search.epochs) + search.epochs > search.budget:
            study.stop()
            raise OverBudget("the budget is spent")
        trial.set_user_attr("worker", worker)
        # Where a killed worker left its last whole epoch: a trial started once more inherits the attribute.
        trial.set_user_attr("run", trial.user_attrs.get("run", trial.number))
        settings = search.space(trial)
        model = search.make(split.n_items, **{k: v for k, v in settings.items() if k not in FIT})
        own = folder / study.study_name / str(trial.user_attrs["run"])
        try:
            history = vr.fit(model, split, max_epochs=search.epochs, seed=SEARCH_SEED, resume=own,
                             precision=search.precision, callbacks=[Reports(trial)],
                             **{k: v for k, v in settings.items() if k in FIT})
        finally:  # after a trial, whatever its end; a kill comes by no such line
            shutil.rmtree(own, ignore_errors=True)
        return history[METRIC].max()

    study.optimize(objective, catch=(OverBudget, FloatingPointError))


def epochs_taken(study: optuna.Study, before: int, epochs: int) -> int:
    """Epochs of the trials with smaller numbers; one that has not ended counts in full.

    A failed trial counts nothing: the one that goes on with it has its epochs.
    """
    whole, none = (TrialState.RUNNING, TrialState.WAITING), TrialState.FAIL
    return sum(epochs if trial.state in whole else len(trial.intermediate_values)
               for trial in study.get_trials(deepcopy=False) if trial.number < before and trial.state != none)


def rows_of(study: optuna.Study) -> list[dict]:
    """A row a trial that came to an end of its own; curves as text, an epoch after another.

    A killed trial has no row: the one that went on with it has its epochs and names it in ``goes_on``.
    """
    ended = study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
    return [{
        "search": study.study_name, "number": trial.number, "state": trial.state.name.lower(),
        "goes_on": trial.system_attrs.get("failed_trial"), "worker": trial.user_attrs.get("worker"),
        **trial.params, "epochs": len(trial.intermediate_values),
        "cpu_seconds": round(trial.user_attrs["cpu_seconds"], 1),
        METRIC: round(max(trial.intermediate_values.values()), 6),
        "curve": " ".join(f"{value:.4f}" for _, value in sorted(trial.intermediate_values.items())),
    } for trial in ended]


def export(url: str | None = None, folder: Path = FOLDER, table: Path = TABLE) -> None:
    """Write the trials of all studies, of a database or of the files in a folder."""
    urls = [url] if url else [f"sqlite:///{path}" for path in sorted(folder.glob("*.db"))]
    studies = [(name, url) for url in urls for name in optuna.get_all_study_names(url)]
    rows = [row for name, url in studies for row in rows_of(optuna.load_study(study_name=name, storage=url))]
    if not rows:
        raise SystemExit(f"no trial has ended in {' or '.join(urls) or folder}: {table.name} stays as it is")
    pd.DataFrame(rows).to_csv(table, index=False)


def winner(model: str, trials: pd.DataFrame) -> dict:
    """Settings of the best validation score of both searches."""
    search = SEARCHES[model.lower()]
    own = trials[trials["search"].str.startswith(model.lower()) & (trials["state"] == "complete")]
    return own.loc[own[METRIC].idxmax(), list(search.published)].to_dict()


def final_run(model: str, seed: int) -> dict:
    """Train the winner in full and look at the test users."""
    search, settings = SEARCHES[model.lower()], winner(model, pd.read_csv(TABLE))
    whole = ("hidden", "latent", "rnn", "batch_size")  # NaN of other models made the columns floats
    settings = {name: int(value) if name in whole else value for name, value in settings.items()}
    split = getattr(vr.protocols, search.protocol)(vr.load("ml-1m"))
    made = search.make(split.n_items, **{k: v for k, v in settings.items() if k not in FIT})
    start = time.process_time()
    history = vr.fit(made, split, max_epochs=FINAL_EPOCHS[model], patience=20, seed=seed,
                     precision=search.precision, **{k: v for k, v in settings.items() if k in FIT})
    best = int(history[METRIC].idxmax())
    return {"variant": model, "seed": seed, **on_test_users(vr.evaluate(made, split.test)),
            METRIC: round(history[METRIC][best], 6), "best_epoch": best, "epochs": len(history),
            "cpu_seconds": round(time.process_time() - start, 1), **provenance(split)}


def main(what: str, *arguments: str) -> None:
    """See the top of this file."""
    if what == "export":
        export(*arguments)
    elif what == "final":
        model, *part = arguments
        sweep(FINAL, [(model, seed) for seed in FINAL_SEEDS],
              lambda model, seed: [final_run(model, seed)], *map(int, part))
    else:
        torch.set_num_threads(1)
        search, (worker, *url) = SEARCHES[what.split("-")[0]], arguments
        study = open_study(what, FOLDER, search, int(worker), url=url[0] if url else None)
        split = getattr(vr.protocols, search.protocol)(vr.load("ml-1m"))
        run(study, search, split, FOLDER, int(worker))


if __name__ == "__main__":
    logging.captureWarnings(capture=True)
    main(*sys.argv[1:])

"""What the command line calls: a run is a folder that holds its settings, its model and its catalogue."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pandas as pd

from vaerec import models, protocols, shards
from vaerec.datasets import load
from vaerec.evaluation import evaluate as evaluate_model
from vaerec.models import TopNRecommender
from vaerec.runs import HISTORY, processes
from vaerec.splits import Split
from vaerec.training import fit as fit_model

SETTINGS, MODEL = "settings.json", "model.safetensors"
ITEMS = "items.parquet"  # of runs of version 0.1.0, whose models do not know their items
PROTOCOLS = ("LIANG_2018", "SACHDEVA_2019", "BLOG_2022", "strong_generalization", "weak_generalization")
MODELS = [name for name in models.__all__ if name not in ("TopNRecommender", "Oracle")]  # one knows the world


@dataclass(frozen=True)
class Data:
    """Which log, and how it becomes a split.

    Parameters
    ----------
    source : str
        What `vaerec.load` takes: a name or a path. Or a folder that ``shard`` wrote, which has its split
        already: then there is nothing else to say.
    options : dict
        Its other arguments, such as the names of columns.
    protocol : str
        A function of `vaerec.protocols`.
    protocol_options : dict
        Its arguments, such as n_heldout.
    """

    source: str = "synthetic"
    options: dict = field(default_factory=dict)
    protocol: str = "LIANG_2018"
    protocol_options: dict = field(default_factory=dict)

    def split(self) -> Split:
        """Load and split.

        Raises
        ------
        ValueError
            An unknown protocol, or an option that it or the data does not have.
        """
        if shards.is_folder(self.source):
            if self != Data(self.source):
                raise ValueError(f"{self.source} is a folder of shards, which are split already: leave "
                                 "options, protocol and protocol_options out")
            return shards.read(self.source)
        if self.protocol not in PROTOCOLS:
            raise ValueError(f"protocol={self.protocol!r}: expected one of {', '.join(PROTOCOLS)}")
        protocol = getattr(protocols, self.protocol)
        with _arguments(f"options={self.options}, protocol_options={self.protocol_options}"):
            return protocol(load(self.source, **self.options), **self.protocol_options)


@dataclass(frozen=True)
class Training:
    """Arguments of `vaerec.fit`; None takes the model's own recipe.

    Parameters
    ----------
    max_epochs : int, optional
        Passes over the training users.
    seed : int
        Fixes the run.
    batch_size : int, optional
        Users a step.
    lr : float, optional
        Adam's learning rate.
    weight_decay : float, optional
        Adam's penalty.
    lr_schedule : str, optional
        "constant" or "cosine".
    patience : int, optional
        Stop after so many epochs without progress.
    precision : str
        Lightning's name of the arithmetic.
    """

    max_epochs: int | None = None
    seed: int = 0
    batch_size: int | None = None
    lr: float | None = None
    weight_decay: float | None = None
    lr_schedule: str | None = None
    patience: int | None = None
    precision: str = "32-true"


def fit(run: Path, data: Data = Data(), model: str = "MVAE", hyper_parameters: dict | None = None,
        training: Training = Training()) -> None:
    """Train a model and write it into a folder. A run that was cut off goes on from its last epoch.

    Under torchrun all processes train together and the first one writes.

    Parameters
    ----------
    run : Path
        Folder of the run; made if it is not there.
    data : Data
        Log and protocol.
    model : str
        A class of `vaerec.models`, such as MVAE, SVAE or EASE.
    hyper_parameters : dict, optional
        Its arguments without n_items.
    training : Training
        Arguments of `vaerec.fit`.

    Raises
    ------
    ValueError
        An unknown name, a wrong parameter, or a folder that holds another run.
    """
    split = data.split()
    trained = _make(model, {"n_items": split.n_items, **(hyper_parameters or {})})
    rank, *_ = processes()
    if rank == 0:
        _write_settings(run, {"data": asdict(data), "model": model, "split": split.name,
                              "hyper_parameters": trained.hyper_parameters(), "training": asdict(training)})
    history = fit_model(trained, split, resume=run, **asdict(training))
    if rank > 0:
        return
    history.to_csv(run / HISTORY, index=False)
    trained.save(run / MODEL)
    print(f"trained {model} on {split.name}; the model is in {run / MODEL}")


def evaluate(run: Path, part: str = "test", ks: tuple[int, ...] = (10, 100), mask: bool = True) -> None:
    """Print the metrics of a run's model on the held-out part of its split, and keep them in its folder.

    Parameters
    ----------
    run : Path
        Folder that ``fit`` made.
    part : str
        "test" or "validation".
    ks : tuple of int
        Lengths of the lists.
    mask : bool
        Keep seen items out of the lists. Without it the file is called after it, such as test-unmasked.csv.

    Raises
    ------
    FileNotFoundError
        There is no finished run in the folder.
    ValueError
        Another part, or data that has changed since.
    """
    if part not in ("test", "validation"):
        raise ValueError(f"part={part!r}: expected 'test' or 'validation'")
    model, settings = _read(run)
    split = Data(**settings["data"]).split()
    report = evaluate_model(model, getattr(split, part), ks=ks, mask=mask)
    report.summary().to_csv(run / f"{part}{'' if mask else '-unmasked'}.csv")
    print(split.name, report.summary().round(4).to_string(), *report.alarms, sep="\n")


def recommend(run: Path, histories: Path, output: Path, k: int = 10, on_unknown: str = "raise",
              user: str = "user", item: str = "item", timestamp: str | None = None,
              duplicates: str = "refuse", options: dict | None = None) -> None:
    """Write the best unseen items for the users of a file.

    Parameters
    ----------
    run : Path
        Folder that ``fit`` made.
    histories : Path
        Log of the users, in a form that `vaerec.load` reads.
    output : Path
        CSV to write: user, rank, item, score.
    k : int
        Length of each list.
    on_unknown : str
        "raise" or "skip": what to do with an item that training did not see.
    user : str
        Name of the column with the raw ids of users.
    item : str
        And of items.
    timestamp : str, optional
        A column of this name is taken if it is there, and if another one is given, that. Without it the order
        of the rows is the order in time.
    duplicates : str
        "refuse", or keep the "first" or "last" of a user's interactions with an item.
    options : dict, optional
        Other arguments of `vaerec.load`, such as separator.

    Raises
    ------
    FileNotFoundError
        There is no finished run in the folder, or no such log.
    ValueError
        An item that training did not see, an option that there is not, or a log that cannot be read.
    """
    model, _ = _read(run)
    with _arguments(f"options={options}"):
        log = load(histories, user=user, item=item, timestamp=timestamp, duplicates=duplicates,
                   **(options or {}))
    item_ids = pd.read_parquet(run / ITEMS)["item"].to_numpy() if model.item_ids is None else None
    lists = model.recommend([log.item_ids[items] for items in log.sequences()], k, item_ids=item_ids,
                            on_unknown=on_unknown)
    lists["user"] = log.user_ids[lists["user"]]
    lists.to_csv(output, index=False)
    print(f"{k} items for each of {log.n_users} users: {output}")


def shard(source: Path, folder: Path, n_heldout: int, user: str = "user", item: str = "item",
          rating: str | None = None, timestamp: str | None = None, min_rating: float | None = None,
          min_user_items: int = 5, min_item_users: int = 1, targets: str = "random",
          duplicates: str = "refuse", ties: str | None = None, ties_seed: int = 0,
          n_shards: int | None = None, lanes: int = 8, memory_limit: str = "2GB") -> None:
    """Split a log that does not fit into memory, and write it as shards: a source of data for ``fit``.

    Parameters
    ----------
    source : Path
        A Parquet file or a folder of them.
    folder : Path
        New or empty.
    n_heldout : int
        Users in validation, and again in test.
    user : str
        Name of the column with the raw ids of users.
    item : str
        And of items.
    rating : str, optional
        A column of this name is taken if it is there, and if another one is given, that.
    timestamp : str, optional
        As rating. Without it the order of the rows is the order in time.
    min_rating : float, optional
        Lower ratings are dropped.
    min_user_items : int
        Then users with fewer items are dropped.
    min_item_users : int
        Then items with fewer training users.
    targets : str
        "random" or "temporal".
    duplicates : str
        "refuse", or keep the "first" or "last" of a user's interactions with an item.
    ties : str, optional
        "file" or "random": the order of a user's interactions that have equal times.
    ties_seed : int
        Of "random".
    n_shards : int, optional
        A multiple of lanes; by default a million rows a shard.
    lanes : int
        Several processes can share the shards if their number divides this one.
    memory_limit : str
        What sorting may use; the rest lies on the disk beside the folder.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        A file cannot be read, or a parameter is out of range.
    """
    split = shards.from_files(source, folder, n_heldout=n_heldout, user=user, item=item, rating=rating,
                              timestamp=timestamp, min_rating=min_rating, min_user_items=min_user_items,
                              min_item_users=min_item_users, targets=targets, duplicates=duplicates,
                              ties=ties, ties_seed=ties_seed, n_shards=n_shards, lanes=lanes,
                              memory_limit=memory_limit)
    print(split, split.describe().to_string(), sep="\n")


def _make(name: str, hyper_parameters: dict) -> TopNRecommender:
    if name not in MODELS:
        raise ValueError(f"model={name!r}: expected one of {', '.join(MODELS)}")
    with _arguments(f"hyper_parameters={hyper_parameters}"):
        return getattr(models, name).from_hyper_parameters(hyper_parameters)


@contextlib.contextmanager
def _arguments(given: str):
    """An argument that a function does not have is the user's, not a bug."""
    try:
        yield
    except TypeError as error:
        raise ValueError(f"{given}: {error}") from error


def _write_settings(run: Path, settings: dict) -> None:
    """Once: a folder belongs to one run."""
    path = run / SETTINGS
    run.mkdir(parents=True, exist_ok=True)
    settings = json.loads(json.dumps(settings))  # tuples become lists, as in the file
    there = json.loads(path.read_text()) if path.exists() else settings
    if there != settings:
        other = [name for name in settings if there.get(name) != settings[name]]
        raise ValueError(f"{run} holds another run ({path} has other {' and '.join(other)}): choose another "
                         "folder")
    path.write_text(json.dumps(settings, indent=1))


def _read(run: Path) -> tuple[TopNRecommender, dict]:
    if not (run / MODEL).exists():
        raise FileNotFoundError(f"no finished run in {run}: {MODEL} is missing. Start or continue it with "
                                "`python -m vaerec fit`")
    settings = json.loads((run / SETTINGS).read_text())
    return getattr(models, settings["model"]).load(run / MODEL), settings

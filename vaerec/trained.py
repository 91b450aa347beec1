"""Load or train: a model that was trained before with the same arguments need not be trained again."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from pathlib import Path

import pandas as pd
import torch
from platformdirs import user_cache_path

from vaerec.identity import Unidentified, identity
from vaerec.models.base import TopNRecommender
from vaerec.splits import Split
from vaerec.training import fit

FOLDER = "VAEREC_MODELS"
PACKS = Path("/kaggle/input")


def load_or_fit(model: TopNRecommender, split: Split, **options) -> pd.DataFrame:
    """`vaerec.fit`, or the weights and the history that an earlier call with the same arguments left.

    The weights lie in a safetensors file with a checksum, in the folder that the environment variable
    ``VAEREC_MODELS`` names, by default ``models`` in the user's cache; an offline pack among Kaggle's
    inputs is looked through too. An empty ``VAEREC_MODELS`` trains always and keeps nothing. What decides
    the weights is part of the name: model, data, protocol, options, and code (`vaerec.identity`), both the
    package's and that of a class of your own. A model that cannot be told from another one is trained, with
    a warning.

    Parameters
    ----------
    model : TopNRecommender
        One that has a closed form is always fitted.
    split : Split
    **options
        Those of `vaerec.fit`, without ``resume``, ``logger`` and ``callbacks``.

    Returns
    -------
    DataFrame
        The history; its seconds are those of the training, wherever it ran.
    """
    unusable = {"resume", "logger", "callbacks"} & options.keys()
    if unusable:
        raise ValueError(f"load_or_fit cannot take {sorted(unusable)}: call fit")
    own = os.environ.get(FOLDER, str(user_cache_path("vaerec") / "models"))
    if not own or not hasattr(model, "loss"):
        return fit(model, split, **options)
    try:
        name = f"{type(model).__name__}-{_key(model, split, options)}"
    except Unidentified as error:
        warnings.warn(f"the model is trained and not kept: {error}", stacklevel=2)
        return fit(model, split, **options)
    for path in [Path(own) / f"{name}.safetensors", *PACKS.glob(f"**/checkpoints/{name}.safetensors")]:
        history = _load(model, path)
        if history is not None:
            return history
    history = fit(model, split, **options)
    _keep(model, history, Path(own), name)
    return history


def _key(model: TopNRecommender, split: Split, options: dict) -> str:
    """What decides the weights, as a name."""
    decides = [identity(model, split), sorted(options.items())]
    return hashlib.sha256(json.dumps(decides, default=str).encode()).hexdigest()[:16]


def _load(model: TopNRecommender, path: Path) -> pd.DataFrame | None:
    if not path.exists():
        return None
    try:
        found = type(model).load(path)
        history = pd.read_csv(path.with_suffix(".csv"), float_precision="round_trip")
    except (OSError, TypeError, ValueError) as error:
        warnings.warn(f"the model is trained again: {error}", stacklevel=3)
        return None
    model.load_state_dict(found.state_dict())
    model.catalogue, model.item_ids = found.catalogue, found.item_ids
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    return history


def _keep(model: TopNRecommender, history: pd.DataFrame, folder: Path, name: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        model.save(folder / f"{name}.safetensors")
        history.to_csv(folder / f"{name}.csv", index=False)
    except (OSError, ValueError) as error:  # read-only, full, or arguments that no file can hold
        warnings.warn(f"the trained model is not kept ({error})", stacklevel=3)

"""Saving and loading: weights in safetensors, with hyper-parameters as JSON in the same file.

No pickle is read or written, so a file from a stranger can be refused but cannot run code.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

FORMAT = "vaerec-model-1"


def write(path: str | os.PathLike, model: str, hyper_parameters: dict,
          weights: dict[str, Tensor], catalogue: str | None = None) -> None:
    """Write a model file in one step: a reader finds the old file or the new one, never a half."""
    path = Path(path)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    description = {"model": model, "hyper_parameters": hyper_parameters,
                   "catalogue": catalogue,
                   "sha256": _checksum([model, hyper_parameters, catalogue], weights)}
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".part")
    draft.touch()
    mode = draft.stat().st_mode  # what everyone may do with a new file here; safetensors lets the owner only
    # One key alone: safetensors writes several in an order that changes from run to run.
    safetensors.torch.save_file(weights, draft, metadata={FORMAT: json.dumps(description)})
    draft.chmod(mode)
    os.replace(draft, path)


def read(path: str | os.PathLike, model: str) -> tuple[dict, dict[str, Tensor], str | None]:
    """Hyper-parameters, weights and catalogue of a file that `write` made for ``model``.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        Not a file of this package, truncated, changed since it was written, or another model.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no model file {path}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise ValueError(f"{path} is not a safetensors file, or it is truncated ({error}): "
                         "save the model again or copy the file again") from error
    if FORMAT not in metadata:
        raise ValueError(f"{path} was not written by vaerec's save: no {FORMAT!r} in its header")
    try:
        description = json.loads(metadata[FORMAT])
        written, hyper_parameters, catalogue, checksum = (
            description[key] for key in ("model", "hyper_parameters", "catalogue", "sha256"))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} was changed after it was written: its description cannot be read "
                         f"({error})") from error
    if written != model:
        raise ValueError(f"{path} holds {written}, not {model}: load it with vr.models.{written}.load")
    if checksum != _checksum([model, hyper_parameters, catalogue], weights):
        raise ValueError(f"{path} was changed after it was written: its checksum does not hold")
    return hyper_parameters, weights, catalogue


def _checksum(description: list, weights: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return digest.hexdigest()

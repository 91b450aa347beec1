"""What the folder of a run holds, whether it is the run that is asked for, and which processes take part."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import numpy as np
import torch

CHECKPOINT, HISTORY = "last.ckpt", "history.csv"


def read_checkpoint(path: Path, settings: dict) -> dict:
    """The state of a run in its checkpoint, if the run has these settings.

    Raises
    ------
    ValueError
        No whole checkpoint, or that of another run.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)["callbacks"]["_Record"]
        theirs = json.loads(state["settings"])
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, ValueError,
            pickle.UnpicklingError) as error:
        raise ValueError(f"{path} is not a whole checkpoint of vr.fit ({error}): delete the folder "
                         "to start the run anew") from error
    if "code" not in theirs:
        raise ValueError(f"{path.parent} holds a run of version 0.1.0, which did not note its code: end it "
                         "with that version, or delete the folder to start the run anew")
    other = differences(theirs, json.loads(json.dumps(settings)), "here")
    if other:
        raise ValueError(f"{path.parent} holds another run: {'; '.join(other)}. Call fit as before, "
                         "or name another folder")
    return state


def refuse_other_settings(settings: dict) -> None:
    """Raise on every process where one was given other data or parameters than the first."""
    given = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(given, settings)
    for rank, theirs in enumerate(given):
        other = differences(theirs, given[0], "on rank 0")
        if other:
            raise ValueError(f"rank {rank} trains something else: {'; '.join(other)}")


def differences(theirs: dict, ours: dict, here: str) -> list[str]:
    """In words, what is set there in another way than here."""
    other = [f"{name} is {theirs.get(name)!r} there and {value!r} {here}"
             for name, value in ours.items() if name != "code" and theirs.get(name) != value]
    if not other and theirs.get("code") != ours.get("code"):
        other = [f"the code of {ours['model']}, of what it calls or uses, or of vaerec has changed since"]
    return other


def processes() -> tuple[int, int, int]:
    """Number of this process, how many there are, and how many on this machine, as torchrun says."""
    return tuple(int(os.environ.get(name, default)) if "TORCHELASTIC_RUN_ID" in os.environ else default
                 for name, default in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_WORLD_SIZE", 1)))


def best_row(rows: list[dict]) -> int:
    """Place of the first row with the best validation."""
    metric = next(name for name in rows[0] if name.startswith("validation_"))
    return int(np.argmax([row[metric] for row in rows]))

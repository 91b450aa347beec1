"""Where a number comes from: what a notebook prints at its start and records at its end."""

from __future__ import annotations

import platform
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from IPython.display import display

from vaerec.interactions import Interactions

# The media type that myst_nb's glue role reads. Written here, since Colab has no myst_nb.
GLUE_PREFIX = "application/papermill.record/"
KAGGLE = Path("/kaggle/working")
LIBRARIES = ("torch", "lightning", "numpy", "pandas")

_imported = time.perf_counter()  # a notebook imports vaerec in its first cell


def device_name() -> str:
    """The accelerator that `vaerec.fit` uses, in words."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"CPU, {torch.get_num_threads()} threads"


def greet(*, quick_minutes: float, full_minutes: float) -> None:
    """Print versions, device and how long the notebook takes; what its first cell calls.

    Parameters
    ----------
    quick_minutes, full_minutes : float
        Measured on two CPU cores.
    """
    names = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    print(f"Python {platform.python_version()}, {names}")
    print(f"Device: {device_name()}")
    print(f"On two CPU cores this notebook takes about {full_minutes:g} min (profile full) "
          f"or {quick_minutes:g} min (quick).")
    if not torch.cuda.is_available():
        print("A GPU is optional. Colab: Runtime > Change runtime type > GPU. "
              "Kaggle: Settings > Accelerator.")
    if KAGGLE.exists():
        print("Kaggle without Internet (Settings > Internet): profile quick works; full needs MovieLens-1M "
              "among the inputs.")


def record(log: Interactions, metrics: dict[str, float]) -> pd.DataFrame:
    """Keep a notebook's results where tests, the results page and other pages can read them.

    Call it last. Each value is written into the output under its name, in the form that glue reads.

    Parameters
    ----------
    log : Interactions
        The data behind the results; its fingerprint is recorded.
    metrics : dict
        Name -> number, such as ``{"mvae_liang_ndcg@100": report["ndcg@100"]}``.

    Returns
    -------
    DataFrame
        One row a value, to look at.

    Raises
    ------
    ValueError
        A metric is not a finite number.
    """
    values: dict[str, float | str] = {name: float(value) for name, value in metrics.items()}
    bad = [name for name, value in values.items() if not np.isfinite(value)]
    if bad:
        raise ValueError(f"not a finite number: {bad}")
    values |= {
        "seconds": round(time.perf_counter() - _imported, 1),
        "device": device_name(),
        "threads": float(torch.get_num_threads()),
        "versions": ", ".join(f"{name} {version(name)}" for name in LIBRARIES),
        "data": f"{len(log):,} interactions, {log.origin}",
        "fingerprint": log.fingerprint[:16],
    }
    for name, value in values.items():
        display({f"{GLUE_PREFIX}text/plain": repr(value)}, raw=True,
                metadata={"scrapbook": {"name": name, "mime_prefix": GLUE_PREFIX}})
    return pd.DataFrame({"value": values.values()}, index=pd.Index(values, name="name"))

"""vaerec: the helper package of a book on variational autoencoders for recommendation."""

import importlib

from vaerec import elbo, exercises, kernels, models, protocols, schedules, shards
from vaerec.datasets import load
from vaerec.evaluation import Report, compare, evaluate
from vaerec.interactions import Interactions
from vaerec.provenance import greet, record
from vaerec.trained import load_or_fit
from vaerec.training import fit

__version__ = "0.1.0"

__all__ = ["Interactions", "Report", "compare", "elbo", "evaluate", "exercises", "fit", "greet", "kernels",
           "load", "load_or_fit", "models", "plotting", "protocols", "record", "schedules",  # noqa: F822
           "shards"]


def __getattr__(name: str):
    """Import matplotlib when somebody draws."""
    if name == "plotting":
        return importlib.import_module("vaerec.plotting")
    raise AttributeError(f"module 'vaerec' has no attribute {name!r}")

"""Equal times: how often they decide what a user is asked, and what a split says of it.

A file that is sorted by item gives the order of equal times away: a model that reads in order then learns the
file instead of the users.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from vaerec.interactions import Interactions

TIES = ("file", "random")
MANY = 0.05  # share of users with a tie at the cut above which a split warns


def name_of_ties(ties: str | None, seed: int) -> str:
    """What a split's name says of its ties; nothing of the file's order, which is the rule."""
    return f", ties at random, seed {seed}" if ties == "random" else ""


def count_ties(log: Interactions, shown: np.ndarray, hidden: np.ndarray) -> int:
    """Users whose last row of a mask ``shown`` [N] and first row of a mask ``hidden`` have the same time."""
    last = pd.Series(log.timestamp[shown]).groupby(log.user[shown]).max()
    first = pd.Series(log.timestamp[hidden]).groupby(log.user[hidden]).min()
    return int((last.reindex(first.index) == first).sum())


def warn_of_ties(tied: float | None, ties: str | None) -> None:
    """Warn where ties at the cut decide what many users are asked, and nobody has said how."""
    if ties is None and tied is not None and tied > MANY:
        warnings.warn(
            f"{tied:.0%} of the held-out users have equal times on both sides of the cut: the order of "
            "the file decides what they are asked, and a model can learn that order. Take ties='random' "
            "with ties_seed=0, 1, 2, or say ties='file' to keep it", stacklevel=3)

"""A difference between two models, and what chance could have made of it: other users, other seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import stdtrit  # Student's t: scipy.stats takes a second to import

MARGIN = 0.003


class Comparison(NamedTuple):
    """Mean difference between two models on the same users, with its 95 % interval.

    Attributes
    ----------
    difference, low, high : float
    n_users : int
        Different ones, over all runs.
    standard_error : float
    n_runs : int
        Pairs of reports.
    """

    difference: float
    low: float
    high: float
    n_users: int
    standard_error: float
    n_runs: int = 1

    def verdict(self, margin: float = MARGIN) -> str:
        """What the interval allows to say: "no difference", "higher", "lower" or "undecided".

        An interval that holds 0 proves nothing by itself: few users give a wide one. "No difference"
        is a finding of its own, and needs the whole interval within ``margin`` of 0 (Schuirmann 1987;
        95 % on both sides is stricter than the 90 % of the usual test of equivalence). That goes first: an
        interval from .001 to .002 is "no difference" of a size that matters.

        Parameters
        ----------
        margin : float
            The smallest difference that would matter, in units of the metric.

        Raises
        ------
        ValueError
            A margin that is not positive.
        """
        if not margin > 0:
            raise ValueError(f"margin={margin}: expected a positive number, in units of the metric")
        if -margin < self.low and self.high < margin:
            return "no difference"
        return "higher" if self.low > 0 else "lower" if self.high < 0 else "undecided"


def pooled(differences: Sequence[pd.Series]) -> Comparison:
    r"""Mean of paired differences over users and runs, with an interval that knows of both.

    Each user counts once: first the mean over the runs that met the user, then over users. With U users
    the variance of their means gives the users' part, :math:`A = s^2 / U`. What B, the variance of the
    mean that the runs' own means show, has beyond the users' share of it is the part of the runs. The sum
    is the squared standard error, and Satterthwaite's formula (1946) gives the degrees of freedom of the
    t-interval.

    - Runs with the same users (seeds): the users' share of B is the residual of the two-way table.
    - Runs with other users (folds): it is A. Their B also holds what another training set changes.

    Parameters
    ----------
    differences : sequence of Series
        A difference a user (the index) in each run, at least two runs.

    Raises
    ------
    ValueError
        Two runs share some of their users, but not all.
    """
    folds = _folds(differences)
    tables = [np.stack(runs) for runs in folds]  # [R, U] each
    of_users = [table.mean(axis=0) for table in tables]
    n_users = sum(map(len, of_users))
    weight = np.array([len(means) for means in of_users]) / n_users
    mean = np.concatenate(of_users).mean()
    users = sum(w**2 * means.var(ddof=1) / len(means) for w, means in zip(weight, of_users, strict=True))
    # The variance of the mean that the runs' own means show, and the part of it that is not theirs.
    between, share = _of_folds(of_users, weight, users) if len(tables) > 1 else _of_seeds(tables[0])
    variance, n_free = users + max(0.0, between - share), max(len(tables), len(tables[0])) - 1
    half = 0.0
    if variance > 0:
        freedom = variance**2 / (users**2 / (n_users - len(tables)) + between**2 / n_free)
        half = stdtrit(freedom, 0.975) * variance**0.5
    return Comparison(float(mean), float(mean - half), float(mean + half), n_users, float(variance**0.5),
                      len(differences))


def _folds(differences: Sequence[pd.Series]) -> list[list[np.ndarray]]:
    """The runs of each set of users."""
    sets: list[tuple[pd.Index, list[np.ndarray]]] = []
    for run in differences:
        for users, runs in sets:
            if users.equals(run.index):
                runs.append(run.to_numpy())
                break
            if users.isin(run.index).any():
                raise ValueError("two runs share some of their users, but not all: compare runs on the same "
                                 "split, or on folds whose test users are all different")
        else:
            sets.append((run.index, [run.to_numpy()]))
    return [runs for _, runs in sets]


def _of_folds(of_users: list[np.ndarray], weight: np.ndarray, users: float) -> tuple[float, float]:
    means = np.array([means.mean() for means in of_users])
    spread = (weight**2 * (means - weight @ means) ** 2).sum()
    return len(means) / (len(means) - 1) * spread, users


def _of_seeds(table: np.ndarray) -> tuple[float, float]:
    """Of a table [R, U] of the same users."""
    n_runs, n_users = table.shape
    of_runs = table.mean(axis=1)
    residual = table - of_runs[:, None] - table.mean(axis=0) + table.mean()
    noise = (residual**2).sum() / ((n_runs - 1) * (n_users - 1))
    return of_runs.var(ddof=1) / n_runs, noise / (n_runs * n_users)

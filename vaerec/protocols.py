"""Protocols: how a log becomes training data and questions with known answers.

Strong generalisation asks about users that training never saw: part of their history (the
*fold-in*) is shown to the model, the rest (the *targets*) is hidden and must be ranked high.
Weak generalisation hides part of every user's history from training instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from vaerec.interactions import Interactions, catalogue_fingerprint

TARGETS = ("random", "temporal")


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Questions with answers: U users, their fold-in and their targets.

    Attributes
    ----------
    user_ids : array [U]
        Raw ids.
    fold_in, targets : list of U int64 arrays
        Dense items, oldest first. A user without targets is not scored.
    item_counts : int64 array [n_items]
        How many training users consumed each item, floored at 1 (novelty takes its logarithm).
    n_train_users : int
    catalogue : str, optional
        `Split.catalogue`. Where it is given, a model of another catalogue is refused.
    """

    user_ids: np.ndarray
    fold_in: list[np.ndarray]
    targets: list[np.ndarray]
    item_counts: np.ndarray
    n_train_users: int
    catalogue: str | None = None


@dataclass(frozen=True, eq=False)
class Split:
    """Training data, validation and test questions over one catalogue.

    Attributes
    ----------
    train : Interactions
        Or `vaerec.shards.Shards`, where it does not fit into memory.
    validation, test : HeldOut
    name : str
        The protocol with its parameters.
    targets : {"random", "temporal"}
        How the targets were chosen.
    """

    train: Interactions
    validation: HeldOut
    test: HeldOut
    name: str
    targets: str

    @property
    def item_ids(self) -> np.ndarray:
        """Dense item -> raw id, [n_items]."""
        return self.train.item_ids

    @property
    def n_items(self) -> int:
        """Size of the catalogue: the items that training saw."""
        return self.train.n_items

    @property
    def catalogue(self) -> str:
        """Fingerprint of ``item_ids``: what a dense item means. A fitted model remembers it."""
        return catalogue_fingerprint(self.item_ids)

    def describe(self) -> pd.DataFrame:
        """Users, fold-in (or training) rows and target rows of each part."""
        parts = {"train": (self.train.n_users, len(self.train), 0)}
        for part in ("validation", "test"):
            held_out = getattr(self, part)
            parts[part] = (len(held_out.user_ids), sum(map(len, held_out.fold_in)),
                           sum(map(len, held_out.targets)))
        return pd.DataFrame.from_dict(parts, orient="index", columns=["users", "shown", "targets"])

    def __repr__(self) -> str:
        return f"Split({self.name}; {self.n_items:,} items; train={self.train!r})"


def strong_generalization(log: Interactions, *, n_heldout: int, targets: str = "random",
                          fraction: float = 0.2, seed: int = 98765,
                          name: str = "strong generalisation") -> Split:
    """Hold out ``n_heldout`` validation users and as many test users (Liang et al. 2018, §4.1).

    The order of operations and the legacy random generator are those of the authors' code, so
    that their published splits come out user by user: users in raw-id order are permuted, the
    last ``n_heldout`` are test and those before them validation; held-out rows of items that
    training never saw are dropped; the generator is seeded again before each draw of targets.

    Parameters
    ----------
    n_heldout : int
        Users in validation, and again in test.
    targets : {"random", "temporal"}
        A random ``int(fraction * n)`` of a user's n items, or those after the first
        ``int((1 - fraction) * n)`` in time (Sachdeva et al. 2019). Users with fewer than
        five items keep them all as fold-in and have no target.

    Raises
    ------
    ValueError
        Not enough users, or a parameter out of range.
    """
    _check_fraction("fraction", fraction)
    if targets not in TARGETS:
        raise ValueError(f"targets={targets!r}: expected one of {TARGETS}")
    if not n_heldout >= 1 or 2 * n_heldout >= log.n_users:
        raise ValueError(
            f"n_heldout={n_heldout} takes {2 * n_heldout} of {log.n_users} users: choose at least 1 "
            "and leave some for training"
        )
    order = np.random.RandomState(seed).permutation(log.n_users)
    parts = np.split(order, [-2 * n_heldout, -n_heldout])
    return _hold_out(log, *parts, targets, fraction, seed,
                     f"{name}, {targets} targets of {fraction:g}, {n_heldout} + {n_heldout} users, "
                     f"seed {seed}")


def rotating_folds(log: Interactions, *, n_folds: int = 8, targets: str = "random", fraction: float = 0.2,
                   seed: int = 98765) -> Iterator[Split]:
    """Splits as of `strong_generalization` in which every user of the log is a test user once.

    The users, permuted as there, are cut into ``n_folds`` parts. Fold f tests on part f and validates on the
    part before it (the first fold on the last part), so the last fold is close to the published split.
    For a difference between two models that 750 users cannot decide: pass the reports of all folds to
    `vaerec.compare`.

    Parameters
    ----------
    log : Interactions
        Filtered as the protocol asks, such as ``log.filter(min_rating=4, min_user_items=5)``.
    n_folds : int
        At least 3: one part is for validation, one for test, the others for training.
    targets, fraction, seed
        See `strong_generalization`.

    Raises
    ------
    ValueError
        Fewer than three folds, more folds than users, or a parameter out of range.
    """
    _check_fraction("fraction", fraction)
    if targets not in TARGETS:
        raise ValueError(f"targets={targets!r}: expected one of {TARGETS}")
    if not 3 <= n_folds <= log.n_users:
        raise ValueError(f"n_folds={n_folds}: expected from 3 to {log.n_users}, the number of users")
    parts = np.array_split(np.random.RandomState(seed).permutation(log.n_users), n_folds)

    def fold(number: int) -> Split:
        rest = [part for at, part in enumerate(parts) if at not in (number, (number - 1) % n_folds)]
        return _hold_out(log, np.concatenate(rest), parts[number - 1], parts[number], targets, fraction, seed,
                         f"fold {number + 1} of {n_folds}, {targets} targets of {fraction:g}, seed {seed}")

    return (fold(number) for number in range(n_folds))  # what is wrong has raised before the first


def _hold_out(log: Interactions, train_users: np.ndarray, validation_users: np.ndarray,
              test_users: np.ndarray, targets: str, fraction: float, seed: int, name: str) -> Split:
    """Train on some users, ask about others: the catalogue is what training saw."""
    train = log.select(np.isin(log.user, train_users))
    known = np.isin(log.item_ids, train.item_ids)
    new_item = np.where(known, np.cumsum(known) - 1, -1)  # the log's dense item -> the split's

    def held_out(users: np.ndarray) -> HeldOut:
        rows = np.isin(log.user, users) & known[log.item]
        is_target = choose_targets(log, rows, targets, fraction, seed)
        return _held_out(log, new_item, users, rows & ~is_target, is_target, train)

    return Split(train, held_out(validation_users), held_out(test_users), name, targets)


def weak_generalization(log: Interactions, *, fraction: float = 0.2, validation: float = 0.1,
                        seed: int = 0, name: str = "weak generalisation") -> Split:
    """Hide random items of every user; all users are in training.

    Of a user's n items, ``int(fraction * n)`` become test targets and ``int(validation * n)``
    validation targets; the rest is training. A test question shows everything but its targets.

    Raises
    ------
    ValueError
        A fraction is out of range, or the two leave nothing for training.
    """
    _check_fraction("fraction", fraction)
    _check_fraction("validation", validation)
    if fraction + validation >= 1:
        raise ValueError(f"fraction={fraction} and validation={validation} leave nothing to train on")
    rank, n = _random_rank_in_user(log.user, log.n_users, np.random.default_rng(seed))
    n_test = (fraction * n).astype(np.int64)
    is_test = rank < n_test
    is_validation = ~is_test & (rank < n_test + (validation * n).astype(np.int64))
    train = log.select(~is_test & ~is_validation)
    known = np.isin(log.item_ids, train.item_ids)
    new_item = np.where(known, np.cumsum(known) - 1, -1)
    shown, users = known[log.item], np.arange(log.n_users)
    return Split(
        train,
        _held_out(log, new_item, users, shown & ~is_test & ~is_validation, shown & is_validation, train),
        _held_out(log, new_item, users, shown & ~is_test, shown & is_test, train),
        f"{name}, random targets of {fraction:g}, validation {validation:g}, seed {seed}", "random",
    )


def LIANG_2018(log: Interactions, *, n_heldout: int = 750) -> Split:
    """Liang et al. 2018: ratings of 4 and more, users with 5 of them, random targets, seed 98765.

    The paper holds out 10,000 + 10,000 users of ML-20M; 750 + 750 is the usual choice on ML-1M.
    """
    return _published(log, n_heldout, "random", "LIANG_2018")


def SACHDEVA_2019(log: Interactions, *, n_heldout: int = 750) -> Split:
    """Sachdeva et al. 2019: as `LIANG_2018`, but the targets are each user's last fifth in time."""
    return _published(log, n_heldout, "temporal", "SACHDEVA_2019")


def BLOG_2022(log: Interactions, *, seed: int = 0) -> Split:
    """The blog post this book grew from: ratings >= 4, iterative 5-core, weak generalisation.

    The post does not print its split; random 20 % targets per user is what its numbers fit.
    """
    kept = log.filter(min_rating=4, min_user_items=5, min_item_users=5, iterative=True)
    return weak_generalization(kept, seed=seed, name="BLOG_2022")


def _published(log: Interactions, n_heldout: int, targets: str, name: str) -> Split:
    kept = log.filter(min_rating=4, min_user_items=5)
    return strong_generalization(kept, n_heldout=n_heldout, targets=targets, name=name)


def _check_fraction(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"{name}={value}: expected a number between 0 and 1, both excluded")


def choose_targets(log: Interactions, rows: np.ndarray, targets: str, fraction: float,
                   seed: int) -> np.ndarray:
    """Mask [N] of the targets among the rows of a mask [N]; see `strong_generalization`."""
    if targets == "random":
        return _random_targets(log.user, rows, fraction, seed)
    return _temporal_targets(log.user, log.timestamp, rows, fraction)


def _random_targets(user: np.ndarray, rows: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Mask [N] of targets: a legacy-generator draw per user, over rows in file order."""
    index = np.flatnonzero(rows)
    index = index[np.argsort(user[index], kind="stable")]  # by user, then file order
    is_target = np.zeros(len(user), dtype=bool)
    generator = np.random.RandomState(seed)
    # One draw per user, as in the authors' code: a vectorised draw would give another split.
    for own in np.split(index, np.flatnonzero(np.diff(user[index])) + 1):
        if len(own) >= 5:
            is_target[own[generator.choice(len(own), size=int(fraction * len(own)), replace=False)]] = True
    return is_target


def _temporal_targets(user, timestamp, rows: np.ndarray, fraction: float) -> np.ndarray:
    """Mask [N] of targets: rows after the first int((1 - fraction) n) of a user's time order."""
    index = np.flatnonzero(rows)
    index = index[np.lexsort((timestamp[index], user[index]))]  # stable: ties in file order
    rank, n = _rank_in_user(user[index])
    is_target = np.zeros(len(user), dtype=bool)
    is_target[index] = (n >= 5) & (rank >= ((1 - fraction) * n).astype(np.int64))
    return is_target


def _rank_in_user(user: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Place of each row within its user, and the user's row count; rows sorted by user."""
    _, start, count = np.unique(user, return_index=True, return_counts=True)
    return np.arange(len(user)) - np.repeat(start, count), np.repeat(count, count)


def _random_rank_in_user(user, n_users, generator) -> tuple[np.ndarray, np.ndarray]:
    """A random place of each row within its user, and the user's row count; any row order."""
    order = np.lexsort((generator.random(len(user)), user))
    rank = np.empty(len(user), dtype=np.int64)
    rank[order] = _rank_in_user(user[order])[0]
    return rank, np.bincount(user, minlength=n_users)[user]


def _held_out(log: Interactions, new_item, users, shown, is_target, train: Interactions) -> HeldOut:
    users = np.sort(users)
    return HeldOut(
        user_ids=log.user_ids[users],
        fold_in=histories(log, new_item, users, shown),
        targets=histories(log, new_item, users, is_target),
        item_counts=np.maximum(np.bincount(train.item, minlength=train.n_items), 1),
        n_train_users=train.n_users,
        catalogue=catalogue_fingerprint(train.item_ids),
    )


def histories(log: Interactions, new_item: np.ndarray, users: np.ndarray,
              rows: np.ndarray) -> list[np.ndarray]:
    """``new_item[item]``, oldest first, of each of ``users`` (ascending) in the rows of a mask [N]."""
    index = np.flatnonzero(rows)
    index = index[np.lexsort((log.timestamp[index], log.user[index]))]
    ends = np.cumsum(np.bincount(log.user[index], minlength=log.n_users)[users])
    return np.split(new_item[log.item[index]], ends[:-1])

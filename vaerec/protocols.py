"""Protocols: how a log becomes training data and questions with known answers.

Strong generalisation asks about users that training never saw: part of their history (the
*fold-in*) is shown to the model, the rest (the *targets*) is hidden and must be ranked high.
Weak generalisation hides part of every user's history from training instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from numbers import Integral

import numpy as np

from vaerec.interactions import Interactions, catalogue_fingerprint
from vaerec.splits import HeldOut, Split
from vaerec.ties import TIES, count_ties, name_of_ties, warn_of_ties

TARGETS = ("random", "temporal")
MIN_ITEMS = 5  # a held-out user with fewer has no target


def strong_generalization(log: Interactions, *, n_heldout: int, targets: str = "random",
                          fraction: float = 0.2, seed: int = 98765, ties: str | None = None,
                          ties_seed: int = 0, name: str = "strong generalisation") -> Split:
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
    ties : {"file", "random"}, optional
        The order of a user's items that have equal times: that of the file, or `Interactions.break_ties`
        with ``ties_seed``. By default "file", with a warning where it decides what many users are asked:
        a file that is sorted by item then gives a model away what it should guess.

    Raises
    ------
    ValueError
        Not enough users, a parameter out of range, or no user would have a target.

    Warns
    -----
    UserWarning
        More than one user in twenty has equal times on both sides of the cut, and ``ties`` is not given.
    """
    _check_fraction("fraction", fraction)
    if targets not in TARGETS:
        raise ValueError(f"targets={targets!r}: expected one of {TARGETS}")
    if ties not in (None, *TIES):
        raise ValueError(f"ties={ties!r}: expected one of {TIES}")
    if not isinstance(n_heldout, Integral):
        raise ValueError(f"n_heldout={n_heldout!r}: expected a whole number of users")
    if n_heldout < 1 or 2 * n_heldout >= log.n_users:
        raise ValueError(
            f"n_heldout={n_heldout} takes {2 * n_heldout} of {log.n_users} users: choose at least 1 "
            "and leave some for training"
        )
    if ties == "random":
        log = log.break_ties(ties_seed)
    order = np.random.RandomState(seed).permutation(log.n_users)
    parts = np.split(order, [-2 * n_heldout, -n_heldout])
    split = _hold_out(log, *parts, targets, fraction, seed,
                      f"{name}, {targets} targets of {fraction:g}, {n_heldout} + {n_heldout} users, "
                      f"seed {seed}{name_of_ties(ties, ties_seed)}")
    warn_of_ties(split.tied, ties)
    return split


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
        part = _held_out(log, new_item, users, rows & ~is_target, is_target, train)
        if targets == "temporal" and not places:
            part = replace(part, n_tied=count_ties(log, rows & ~is_target, is_target))
        return part

    places = log.has_places
    split = Split(train, held_out(validation_users), held_out(test_users), name, targets)
    for part in ("validation", "test"):
        longest = max(map(len, getattr(split, part).fold_in))
        require_targets(split, part, {"fraction": fraction}, longest, MIN_ITEMS)
    return split


def weak_generalization(log: Interactions, *, fraction: float = 0.2, validation: float = 0.1,
                        seed: int = 0, name: str = "weak generalisation") -> Split:
    """Hide random items of every user; all users are in training.

    Of a user's n items, ``int(fraction * n)`` become test targets and ``int(validation * n)``
    validation targets; the rest is training. A test question shows everything but its targets. A
    ``validation`` of less than one interaction of the whole log asks for no validation.

    Raises
    ------
    ValueError
        A fraction is out of range, the two leave nothing for training, or no user would have a target.
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
    split = Split(
        train,
        _held_out(log, new_item, users, shown & ~is_test & ~is_validation, shown & is_validation, train),
        _held_out(log, new_item, users, shown & ~is_test, shown & is_test, train),
        f"{name}, random targets of {fraction:g}, validation {validation:g}, seed {seed}", "random",
    )
    if validation * len(log) >= 1:
        require_targets(split, "validation", {"validation": validation}, int(n.max()), 3)  # one for each part
    require_targets(split, "test", {"fraction": fraction}, int(n.max()), 3)
    return split


def LIANG_2018(log: Interactions, *, n_heldout: int = 750, min_rating: float = 4) -> Split:
    """Liang et al. 2018: ratings of 4 and more, users with 5 of them, random targets, seed 98765.

    The paper holds out 10,000 + 10,000 users of ML-20M; 750 + 750 is the usual choice on ML-1M. Its ratings
    go to 5; on another scale ``min_rating`` says what counts as liked, such as 1 for likes of 0 and 1.
    """
    return _published(log, n_heldout, min_rating, "random", "LIANG_2018")


def SACHDEVA_2019(log: Interactions, *, n_heldout: int = 750, min_rating: float = 4,
                  ties: str | None = None, ties_seed: int = 0) -> Split:
    """Sachdeva et al. 2019: as `LIANG_2018`, but the targets are each user's last fifth in time.

    ``ties`` is that of `strong_generalization`; the published split takes the file's order.
    """
    return _published(log, n_heldout, min_rating, "temporal", "SACHDEVA_2019", ties=ties, ties_seed=ties_seed)


def BLOG_2022(log: Interactions, *, min_rating: float = 4, validation: float = 0.1, seed: int = 0) -> Split:
    """The blog post this book grew from: ratings >= 4, iterative 5-core, weak generalisation.

    The post does not print its split; random 20 % targets per user is what its numbers fit.
    """
    kept = log.filter(min_rating=min_rating, min_user_items=5, min_item_users=5, iterative=True)
    return weak_generalization(kept, validation=validation, seed=seed, name=_scaled("BLOG_2022", min_rating))


def _published(log: Interactions, n_heldout: int, min_rating: float, targets: str, name: str,
               **ties) -> Split:
    kept = log.filter(min_rating=min_rating, min_user_items=5)
    return strong_generalization(kept, n_heldout=n_heldout, targets=targets, name=_scaled(name, min_rating),
                                 **ties)


def _scaled(name: str, min_rating: float) -> str:
    return name if min_rating == 4 else f"{name} with ratings >= {min_rating:g}"


def require_targets(split: Split, part: str, share: dict[str, float], longest: int, least: int) -> None:
    """Raise ValueError if nobody in a part has a target; ``share`` names what decides how many they get."""
    if getattr(split, part).n_asked:
        return
    (name, value), = share.items()
    if longest < least:
        why = f"they have at most {longest} items, of {least} that it takes: filter(min_user_items={least})"
    elif int(value * longest) < 1:
        enough = next(per_cent / 100 for per_cent in range(1, 100) if int(per_cent / 100 * longest) >= 1)
        why = f"{name}={value:g} of at most {longest} items is none: take {name}={enough:g}"
    else:
        why = "training knows none of their items: filter(min_item_users=5)"
    raise ValueError(f"no user of the {part} would have a target: {why}")


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
        if len(own) >= MIN_ITEMS:
            is_target[own[generator.choice(len(own), size=int(fraction * len(own)), replace=False)]] = True
    return is_target


def _temporal_targets(user, timestamp, rows: np.ndarray, fraction: float) -> np.ndarray:
    """Mask [N] of targets: rows after the first int((1 - fraction) n) of a user's time order."""
    index = np.flatnonzero(rows)
    index = index[np.lexsort((timestamp[index], user[index]))]  # stable: ties in file order
    rank, n = _rank_in_user(user[index])
    is_target = np.zeros(len(user), dtype=bool)
    is_target[index] = (n >= MIN_ITEMS) & (rank >= ((1 - fraction) * n).astype(np.int64))
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

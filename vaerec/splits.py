"""What a protocol makes of a log: training data, and questions with known answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from vaerec.interactions import Interactions, catalogue_fingerprint


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
    n_tied : int, optional
        Users whose last item of the fold-in and first target have the same time. None where there is no
        cut in time, or where the times are places, which hide ties.

    Raises
    ------
    ValueError
        A user's targets hold an item twice, or the parts differ in length.
    """

    user_ids: np.ndarray
    fold_in: list[np.ndarray]
    targets: list[np.ndarray]
    item_counts: np.ndarray
    n_train_users: int
    catalogue: str | None = None
    n_tied: int | None = None

    def __post_init__(self):
        n = len(self.user_ids)
        if len(self.fold_in) != n or len(self.targets) != n:
            raise ValueError(f"{n} user_ids, {len(self.fold_in)} fold_in and {len(self.targets)} targets: "
                             "expected one of each for each user")
        hidden = np.sort(self._pairs(self.targets))
        twice = hidden[1:][hidden[1:] == hidden[:-1]]
        if len(twice):
            user, item = divmod(int(twice[0]), len(self.item_counts))
            raise ValueError(f"user {self.user_ids[user]}: item {item} is twice among their targets. Keep "
                             "each item of a user once")

    @cached_property
    def n_shown(self) -> int:
        """Targets that stand in their user's fold-in too; masking keeps them out of every list."""
        return int(np.isin(self._pairs(self.targets), self._pairs(self.fold_in)).sum())

    @property
    def n_asked(self) -> int:
        """Users who have a target."""
        return sum(len(targets) > 0 for targets in self.targets)

    def _pairs(self, lists: list[np.ndarray]) -> np.ndarray:
        """One number for each user and item, int64 [N]."""
        user = np.repeat(np.arange(len(lists)), [len(items) for items in lists])
        return user * len(self.item_counts) + np.concatenate([*lists, np.empty(0, np.int64)]).astype(np.int64)


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
        """Users, fold-in (or training) rows and target rows of each part.

        With targets by time also ``tied``: users who have equal times on both sides of the cut, so that
        something else than time decides what they are asked. Missing where the times are places.
        """
        parts = {"train": (self.train.n_users, len(self.train), 0, None)}
        for part in ("validation", "test"):
            held_out = getattr(self, part)
            parts[part] = (len(held_out.user_ids), sum(map(len, held_out.fold_in)),
                           sum(map(len, held_out.targets)), held_out.n_tied)
        table = pd.DataFrame.from_dict(parts, orient="index", columns=["users", "shown", "targets", "tied"])
        table["tied"] = table["tied"].astype("Int64")
        return table if self.targets == "temporal" else table.drop(columns="tied")

    @property
    def tied(self) -> float | None:
        """Share of the users with targets who have equal times on both sides of the cut; None: not known."""
        parts = (self.validation, self.test)
        if any(part.n_tied is None for part in parts):
            return None
        return sum(part.n_tied for part in parts) / sum(part.n_asked for part in parts)

    def __repr__(self) -> str:
        about = [self.name, f"{self.n_items:,} items"]
        if self.targets == "temporal":
            about.append("ties unknown, since the times are places" if self.tied is None else
                         f"{self.tied:.0%} of the held-out users have a tie at the cut")
        return f"Split({'; '.join(about)}; train={self.train!r})"

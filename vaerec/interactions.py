"""Interactions: who consumed what, and when, in one immutable store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
import scipy.sparse as sp

DUPLICATES = ("refuse", "first", "last")


@dataclass(frozen=True, eq=False)
class Interactions:
    """A log of interactions with dense ids. Arrays are read-only; N is the number of rows.

    A user consumes an item at most once: a repeated item could otherwise be both fold-in and target.
    `from_frame` refuses duplicates, or keeps one of each.

    Attributes
    ----------
    user, item : int64 array [N]
        Dense ids, ``0 <= user < n_users`` and ``0 <= item < n_items``; rows in file order.
    rating : float32 array [N]
        Stars. Data without ratings gets 5.0, so that rating filters keep it.
    timestamp : int64 array [N]
        Any unit; only the order within a user is used.
    user_ids : array [n_users]
        Dense id -> raw id, ascending.
    items : DataFrame, n_items rows
        Columns ``item`` (raw id, ascending), ``title``, ``genres`` (``"Comedy|Noir"``).
    official : bool
        Unpacked from an archive whose checksum held; anything else is an "unverified copy".
    """

    user: np.ndarray
    item: np.ndarray
    rating: np.ndarray
    timestamp: np.ndarray
    user_ids: np.ndarray
    items: pd.DataFrame
    official: bool = False

    def __post_init__(self):
        for name, dtype in (("user", np.int64), ("item", np.int64),
                            ("rating", np.float32), ("timestamp", np.int64)):
            object.__setattr__(self, name, _frozen(getattr(self, name), dtype))
        object.__setattr__(self, "user_ids", _frozen(self.user_ids))
        lengths = {len(a) for a in (self.user, self.item, self.rating, self.timestamp)}
        if len(lengths) != 1:
            raise ValueError(f"user, item, rating and timestamp differ in length: {lengths}")

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, items: pd.DataFrame | None = None,
                   official: bool = False, *, duplicates: str = "refuse",
                   row_name: Callable[[int], str] = "row {}".format) -> Interactions:
        """Build from a frame with columns user, item and, if known, rating and timestamp.

        Parameters
        ----------
        frame : DataFrame
            Raw ids of any sortable type. Without ``rating`` every row gets 5.0; without
            ``timestamp`` the file order is the time order.
        items : DataFrame, optional
            Columns ``item`` (raw id), ``title``, ``genres``; items without a row get their raw
            id as title.
        official : bool
            See the attribute of this name.
        duplicates : {"refuse", "first", "last"}
            What to do when a user consumed an item more than once: raise, or keep the first or the
            last time. Equal times count in file order.
        row_name : callable
            What errors call the row at a place, from 0; a reader of files names the line.

        Raises
        ------
        ValueError
            A column is missing, the frame is empty, a value is missing, a timestamp is not a whole
            number, or a (user, item) pair occurs twice and ``duplicates`` is "refuse".
        """
        missing = {"user", "item"} - set(frame.columns)
        if missing:
            raise ValueError(f"no column {sorted(missing)}; the frame has {list(frame.columns)}")
        if duplicates not in DUPLICATES:
            raise ValueError(f"duplicates={duplicates!r}: expected one of {DUPLICATES}")
        if frame.empty:
            raise ValueError("the log is empty: no interactions to learn from")
        for column in frame.columns.intersection(["user", "item", "rating", "timestamp"]):
            blank = frame[column].isna().to_numpy()
            if blank.any():
                raise ValueError(f"{row_name(int(blank.argmax()))} has no {column}")
        if "timestamp" in frame and not pd.api.types.is_integer_dtype(frame["timestamp"]):
            raise ValueError(f"timestamp holds {frame['timestamp'].dtype}: expected whole numbers, such "
                             "as seconds; fractions would lose the order")
        n = len(frame)
        user_ids, user = _dense(frame["user"])
        item_ids, item = _dense(frame["item"])
        rating = frame["rating"].to_numpy() if "rating" in frame else np.full(n, 5.0, np.float32)
        timestamp = frame["timestamp"].to_numpy() if "timestamp" in frame else np.arange(n)
        pair = user * len(item_ids) + item  # one number a (user, item)
        if _has_duplicates(pair):
            if duplicates == "refuse":
                row = int(pd.Series(pair).duplicated().to_numpy().argmax())
                raise ValueError(
                    f"{row_name(row)} repeats user {user_ids[user[row]]} with item {item_ids[item[row]]}: "
                    "keep one interaction per user and item, or choose one by duplicates='first' or "
                    "'last' (in time)")
            kept = _one_each(pair, timestamp, duplicates)
            user, item, rating, timestamp = (column[kept] for column in (user, item, rating, timestamp))
        return cls(user=user, item=item, rating=rating, timestamp=timestamp, user_ids=user_ids,
                   items=describe_items(item_ids, items), official=official)

    def __len__(self) -> int:
        return len(self.user)

    def __repr__(self) -> str:
        return (f"{type(self).__name__}({self.n_users:,} users × {self.n_items:,} items, "
                f"{len(self):,} interactions, {self.origin})")

    @property
    def origin(self) -> str:
        """How far the data can be trusted to be the published one; results print it."""
        return "official copy" if self.official else "unverified copy"

    @property
    def n_users(self) -> int:
        """Number of users."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """Number of items in the catalogue."""
        return len(self.items)

    @property
    def item_ids(self) -> np.ndarray:
        """Dense id -> raw id, [n_items]."""
        return self.items["item"].to_numpy()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the content (rows and raw ids): equal data, equal fingerprint."""
        digest = hashlib.sha256()
        for array in (self.user, self.item, self.rating, self.timestamp):
            digest.update(array.tobytes())
        for ids in (self.user_ids, self.item_ids):
            digest.update("\n".join(map(str, ids)).encode())
        return digest.hexdigest()

    def select(self, rows: np.ndarray) -> Interactions:
        """Keep the rows of a boolean mask [N]; users and items left without rows disappear."""
        user_kept, user = _compact(self.user[rows], self.n_users)
        item_kept, item = _compact(self.item[rows], self.n_items)
        return replace(
            self, user=user, item=item, rating=self.rating[rows], timestamp=self.timestamp[rows],
            user_ids=self.user_ids[user_kept],
            items=self.items.iloc[item_kept].reset_index(drop=True),
        )

    def filter(self, *, min_rating: float | None = None, min_user_items: int = 0,
               min_item_users: int = 0, iterative: bool = False) -> Interactions:
        """Keep ratings ``>= min_rating``, then items with enough users, then users with enough items.

        Parameters
        ----------
        iterative : bool
            Repeat the two count filters until both hold at once (the "k-core"). Without it each
            runs once, as in Liang et al. 2018, and dropping users may leave rarer items behind.

        Raises
        ------
        ValueError
            Nothing is left.
        """
        keep = np.ones(len(self), dtype=bool)
        if min_rating is not None:
            keep &= self.rating >= min_rating
        while True:
            before = keep.sum()
            keep &= np.bincount(self.item[keep], minlength=self.n_items)[self.item] >= min_item_users
            keep &= np.bincount(self.user[keep], minlength=self.n_users)[self.user] >= min_user_items
            if not iterative or keep.sum() == before:
                break
        if not keep.any():
            raise ValueError(
                f"no interaction is left of {len(self):,} after min_rating={min_rating}, "
                f"min_user_items={min_user_items}, min_item_users={min_item_users}: loosen a filter; "
                f"ratings go from {self.rating.min():g} to {self.rating.max():g}"
            )
        return self.select(keep)

    @property
    def has_ties(self) -> bool:
        """Whether some user has two interactions with equal times."""
        order = np.lexsort((self.timestamp, self.user))
        return bool(((np.diff(self.timestamp[order]) == 0) & (np.diff(self.user[order]) == 0)).any())

    @property
    def has_places(self) -> bool:
        """Whether the times are places in an order, so that equal times, had there been any, cannot be seen.

        That is so where no user has two equal times and the log has more rows than there are units of time
        between its first and its last: with days or hours for a unit, some would be equal.
        """
        return len(self) > 0 and np.ptp(self.timestamp) < len(self) and not self.has_ties

    def break_ties(self, seed: int = 0) -> Interactions:
        """The same interactions, with those of one user that have equal times in a random order.

        They change places among themselves; all other rows stay where they are. The order depends on the
        seed and on what is in the log, not on the order of its rows.
        """
        by_content, chance = np.lexsort((self.item, self.user)), np.empty(len(self))
        chance[by_content] = np.random.default_rng(seed).random(len(self))
        rows = np.empty(len(self), np.int64)
        rows[np.lexsort((self.timestamp, self.user))] = np.lexsort((chance, self.timestamp, self.user))
        return replace(self, item=self.item[rows], rating=self.rating[rows])

    def to_csr(self) -> sp.csr_matrix:
        """1.0 where a user consumed an item, however often: float32, [n_users, n_items]."""
        ones = np.ones(len(self), dtype=np.float32)
        matrix = sp.csr_matrix((ones, (self.user, self.item)), shape=(self.n_users, self.n_items))
        matrix.data.fill(1)  # where a log made by hand repeats a pair, the ones were added up
        return matrix

    def sequences(self) -> list[np.ndarray]:
        """Each user's items, oldest first: int64 arrays; equal times stay in file order, see `break_ties`."""
        order = np.lexsort((self.timestamp, self.user))  # mergesort: stable
        ends = np.cumsum(np.bincount(self.user, minlength=self.n_users))
        return np.split(self.item[order], ends[:-1])


def catalogue_fingerprint(item_ids: np.ndarray) -> str:
    """What tells one catalogue from another: changes with any raw id and with their order."""
    ids = np.asarray(item_ids)
    content = ids.astype(np.int64).tobytes() if ids.dtype.kind in "iu" else "\n".join(map(str, ids)).encode()
    return hashlib.sha256(content).hexdigest()[:16]


def _frozen(array: np.ndarray, dtype: type | None = None) -> np.ndarray:
    """A copy that cannot be written to; what is such an array already is passed on."""
    if isinstance(array, np.ndarray) and array.flags.owndata and not array.flags.writeable and (
            dtype is None or array.dtype == dtype):
        return array
    copy = np.array(array, dtype=dtype)
    copy.flags.writeable = False
    return copy


def _dense(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Raw ids, ascending, and the place of each row's id among them: int64."""
    if not isinstance(column.dtype, pd.CategoricalDtype):
        codes, ids = pd.factorize(column, sort=True)
        return np.asarray(ids), codes.astype(np.int64, copy=False)
    codes, categories = column.cat.codes.to_numpy(), column.cat.categories
    used = np.flatnonzero(np.bincount(codes, minlength=len(categories)))
    order = used[np.argsort(categories.to_numpy()[used], kind="stable")]
    place = np.zeros(len(categories), np.int64)
    place[order] = np.arange(len(order))
    return categories.to_numpy()[order], place[codes]


def _compact(codes: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes in [0, n) that occur, and each code's place among them: np.unique without a sort."""
    occurs = np.bincount(codes, minlength=n) > 0
    return np.flatnonzero(occurs), (np.cumsum(occurs) - 1)[codes]


def _has_duplicates(pair: np.ndarray) -> bool:
    # Half the bytes where they are enough: twenty million pairs are then sorted in half the time.
    narrow = pair.max() < 2**32
    ascending = np.sort(pair.astype(np.uint32) if narrow else pair)
    return bool((ascending[1:] == ascending[:-1]).any())


def _one_each(pair: np.ndarray, timestamp: np.ndarray, which: str) -> np.ndarray:
    """Rows, in file order, that are the first or the last in time of their pair."""
    order = np.lexsort((timestamp, pair))  # stable
    new = np.diff(pair[order]) != 0
    edge = np.append(True, new) if which == "first" else np.append(new, True)
    return np.sort(order[edge])


def describe_items(item_ids: np.ndarray, items: pd.DataFrame | None) -> pd.DataFrame:
    """One row per raw id, in their order; unknown titles are the raw id."""
    known = pd.DataFrame({"item": []}) if items is None else items
    known = known.drop_duplicates("item").set_index("item")
    known = known.reindex(index=item_ids, columns=["title", "genres"]).astype(object)
    titles, genres = known["title"], known["genres"]
    return pd.DataFrame({
        "item": item_ids,
        "title": titles.where(titles.notna(), pd.Series(item_ids, index=item_ids).astype(str)).to_numpy(),
        "genres": genres.fillna("").to_numpy(),
    })

"""From a log of any size, in any order, to a folder of shards.

DuckDB sorts the rows by buckets, as many as there will be shards, where a user's rows meet in one bucket, by
a hash of the user. All else looks at one bucket at a time, and keeps a number for each user and each item.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from vaerec.batches import Bags
from vaerec.datasets.logs.sources import open_table, roles_of
from vaerec.interactions import Interactions, describe_items
from vaerec.protocols import MIN_ITEMS, TARGETS, choose_targets, histories, require_targets
from vaerec.shards.sorting import SortedLog, database
from vaerec.shards.storage import LANES, PARTS, SHARD, Questions, refuse_full, refuse_uneven, write_stream
from vaerec.splits import Split
from vaerec.ties import TIES, count_ties, name_of_ties, warn_of_ties

MOST_SHARDS = 512


def from_files(source: str | os.PathLike, folder: str | os.PathLike, *, n_heldout: int, user: str = "user",
               item: str = "item", rating: str | None = None, timestamp: str | None = None,
               min_rating: float | None = None, min_user_items: int = 5, min_item_users: int = 1,
               targets: str = "random", fraction: float = 0.2, seed: int = 98765,
               duplicates: str = "refuse", ties: str | None = None, ties_seed: int = 0,
               n_shards: int | None = None, lanes: int = LANES, time_format: str | None = None,
               missing: tuple[str, ...] = (), memory_limit: str = "2GB", **written) -> Split:
    """Split logs that do not fit into memory by strong generalisation, and write the split as shards.

    Held out are the users with the smallest hash of their raw id, first those of the test: who is held
    out depends on nothing else.

    Parameters
    ----------
    source : path or table
        A log as `vaerec.datasets.logs.load_log` takes it; rows in any order.
    folder : path
        New or empty. While this function runs, a database with a copy of the log, and what sorting spills,
        lie beside it.
    n_heldout : int
        Users in validation, and again in test.
    user, item, rating, timestamp
        Names of columns, as in `load_log`.
    min_rating, min_user_items : float, int
        Lower ratings are dropped, then users with fewer items.
    min_item_users : int
        Items with fewer training users are dropped, for held-out users too. Users are not counted again.
    targets, fraction, seed, ties, ties_seed
        As in `vaerec.protocols.strong_generalization`; the file's order is that of all files in a row.
    duplicates : {"refuse", "first", "last"}
        What to do when a user meets an item again.
    ties, ties_seed
        As in `vaerec.protocols.strong_generalization`.
    n_shards : int, optional
        A multiple of ``lanes``, at most 512. By default so many that a shard has about a million rows.
    lanes : int
        Several processes can share the shards if their number divides this one.
    time_format, missing
        As in `load_log`.
    memory_limit : str
        What DuckDB may use, such as ``"500MB"``. Beside it are one bucket, the raw ids of all users and items
        with numbers for each, and the held-out users.
    **written
        How a text file is written: ``separator``, ``quote``, ``escape``, ``encoding``, ``header`` and
        ``columns``, as in `load_log`.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        A file cannot be read, a parameter is out of range, the folder is not empty, or too few users are
        left.
    """
    table = open_table(source, **written)
    roles = roles_of(table, {"user": user, "item": item}, {"rating": rating, "timestamp": timestamp})
    least = lanes if n_shards is None else n_shards
    if targets not in TARGETS or not 1 <= least <= MOST_SHARDS or n_heldout < 1:
        raise ValueError(f"targets={targets!r}, n_shards={n_shards}, n_heldout={n_heldout}: expected one of "
                         f"{TARGETS}, a number from 1 to {MOST_SHARDS}, and at least 1")
    if min_rating is not None and "rating" not in roles:
        raise ValueError(f"min_rating={min_rating}, but {table.source} has no column 'rating': say with "
                         "rating= which column it is")
    if ties not in (None, *TIES):
        raise ValueError(f"ties={ties!r}: expected one of {TIES}")
    refuse_uneven(least, lanes)
    refuse_full(folder)
    beside = Path(folder).absolute().parent
    beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=beside) as scratch:
        with database(Path(scratch), memory_limit) as connection:
            log = SortedLog(connection, table, roles)
            rows = log.fill(time_format, tuple(missing))
            if n_shards is None:
                n_shards = lanes * max(1, min(MOST_SHARDS // lanes, -(-rows // (lanes * SHARD))))
            log.sort(n_shards)
            buckets, times = _deal(log, Path(scratch), n_shards, ties_seed if ties == "random" else None,
                                   duplicates=duplicates, min_rating=min_rating,
                                   min_user_items=min_user_items)
        users = np.concatenate([np.unique(bucket["user"]) for bucket in map(pd.read_parquet, buckets)])
        users = users[np.argsort(log.user_hash[users], kind="stable")]
        if 2 * n_heldout >= len(users):
            raise ValueError(f"n_heldout={n_heldout} takes {2 * n_heldout} of the {len(users)} users that "
                             "are left: choose fewer, or loosen a filter")
        chosen = {"test": users[:n_heldout], "validation": users[n_heldout:2 * n_heldout]}
        rest = {part: _rows_of(buckets, chosen[part]) for part in PARTS}
        known = _counts(map(pd.read_parquet, buckets), log) - _counts(rest.values(), log) >= max(
            1, min_item_users)
        asked = {part: _questions(rest[part], log, known, targets, fraction, seed) for part in PARTS}
        held_out = {part: questions for part, (questions, _) in asked.items()}
        measured = targets == "temporal" and not _have_places(times)
        tied = {part: n_tied if measured else None for part, (_, n_tied) in asked.items()}
        items = describe_items(log.item_ids[known], None)
        shards = _shards(buckets, users[:2 * n_heldout], known)
        shards = itertools.chain(shards, itertools.repeat(Bags.concatenate([]), n_shards - len(buckets)))
        name = (f"strong generalisation, {targets} targets of {fraction:g}, {n_heldout} + {n_heldout} users "
                f"by hash{name_of_ties(ties, ties_seed)}")
        split = write_stream(folder, shards, items=items, held_out=held_out, name=name, targets=targets,
                             n_shards=n_shards, lanes=lanes, tied=tied)
    for part in PARTS:
        longest = max(map(len, getattr(split, part).fold_in))
        require_targets(split, part, {"fraction": fraction}, longest, MIN_ITEMS)
    warn_of_ties(split.tied, ties)
    return split


def _deal(log: SortedLog, scratch: Path, n_buckets: int, ties_seed: int | None,
          **filters) -> tuple[list[Path], list[tuple]]:
    """Filter the buckets that have rows, and keep each in a file: user and item by number, oldest first.

    And of its times: their number, the first, the last, and whether a user has two that are equal.
    """
    buckets, times = [], []
    for number in range(n_buckets):
        rows = log.bucket(number)
        if len(rows["number"]):
            buckets.append(scratch / f"{number:05d}.parquet")
            seed = None if ties_seed is None else (ties_seed, number)
            frame, of_times = _filtered(log, rows, seed, **filters)
            times += [of_times] if of_times else []
            frame.astype({"user": np.int32, "item": np.int32}).to_parquet(buckets[-1], index=False)
    return buckets, times


def _filtered(log: SortedLog, rows: dict[str, np.ndarray], ties_seed: tuple[int, int] | None, *,
              duplicates: str, min_rating: float | None,
              min_user_items: int) -> tuple[pd.DataFrame, tuple | None]:
    """The rows of a bucket that stay, and what `_deal` says of their times, None where no row stays."""
    place = np.argsort(rows["number"])  # the file's order decides equal times, and what repeats
    times, rank = np.unique(rows["time"], return_inverse=True)
    columns, numbers = {"timestamp": rank[place]}, {}
    for role, ids in (("user", log.user_ids), ("item", log.item_ids)):
        numbers[role], codes = np.unique(rows[f"{role}_code"][place], return_inverse=True)
        columns[role] = pd.Categorical.from_codes(codes, categories=pd.Index(ids[numbers[role]]))
    if "rating" in rows:
        columns["rating"] = rows["rating"][place]
    own = Interactions.from_frame(pd.DataFrame(columns), duplicates=duplicates,
                                  row_name=lambda row: log.table.row_name(int(rows["number"][place[row]])))
    user, item = numbers["user"], numbers["item"]
    try:
        kept = own.filter(min_rating=min_rating, min_user_items=min_user_items)
    except ValueError:  # nothing is left of this bucket; others may have more
        return pd.DataFrame({"user": user[:0], "item": item[:0], "timestamp": user[:0]}), None
    if ties_seed is not None:
        kept = kept.break_ties(ties_seed)
    # Both are ascending, so dense ids of what is left are places among the raw ids before.
    user, item = user[np.isin(own.user_ids, kept.user_ids)], item[np.isin(own.item_ids, kept.item_ids)]
    oldest_first = np.lexsort((kept.timestamp, kept.user))
    frame = pd.DataFrame({"user": user[kept.user[oldest_first]], "item": item[kept.item[oldest_first]],
                          "timestamp": kept.timestamp[oldest_first]})
    return frame, (len(kept), times[kept.timestamp.min()], times[kept.timestamp.max()], kept.has_ties)


def _have_places(times: list[tuple]) -> bool:
    """`Interactions.has_places` of all buckets together."""
    rows, first, last, has_ties = zip(*times, strict=True)
    return max(last) - min(first) < sum(rows) and not any(has_ties)


def _counts(frames: Iterable[pd.DataFrame], log: SortedLog) -> np.ndarray:
    """How many rows each item has."""
    return sum(np.bincount(frame["item"], minlength=len(log.item_ids)) for frame in frames)


def _rows_of(buckets: list[Path], users: np.ndarray) -> pd.DataFrame:
    """All interactions of some users."""
    frames = (pd.read_parquet(bucket) for bucket in buckets)
    return pd.concat([frame[np.isin(frame["user"], users)] for frame in frames], ignore_index=True)


def _questions(frame: pd.DataFrame, log: SortedLog, known: np.ndarray, targets: str, fraction: float,
               seed: int) -> tuple[Questions, int]:
    """The questions of one part, and `count_ties` of them."""
    frame = frame[known[frame["item"]]]
    own = Interactions.from_frame(frame)
    new_item = (np.cumsum(known) - 1)[own.item_ids]
    users = np.arange(own.n_users)
    is_target = choose_targets(own, np.ones(len(own), bool), targets, fraction, seed)
    questions = (log.user_ids[own.user_ids], histories(own, new_item, users, ~is_target),
                 histories(own, new_item, users, is_target))
    return questions, count_ties(own, ~is_target, is_target)


def _shards(buckets: list[Path], held_out: np.ndarray, known: np.ndarray) -> Iterator[Bags]:
    """The training users of each bucket."""
    new_item = np.cumsum(known) - 1
    for bucket in buckets:
        frame = pd.read_parquet(bucket)
        frame = frame[~np.isin(frame["user"], held_out) & known[frame["item"]]]
        lengths = frame["user"].groupby(frame["user"], sort=False).size()
        offsets = np.concatenate([[0], np.cumsum(lengths.to_numpy())])
        yield Bags(torch.from_numpy(new_item[frame["item"]].astype(np.int64)), torch.from_numpy(offsets))

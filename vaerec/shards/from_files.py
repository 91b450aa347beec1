"""From Parquet files of interactions, of any size and in any order, to a folder of shards.

Rows are first dealt out to as many buckets as there will be shards, by a hash of the user, so that a
user's rows meet in one bucket. All else looks at one bucket at a time, and keeps a number for each user
and each item.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from vaerec.batches import Bags
from vaerec.datasets import load
from vaerec.datasets.logs.frames import ParquetFiles, require_columns
from vaerec.datasets.logs.sources import roles_of
from vaerec.interactions import Interactions, describe_items
from vaerec.protocols import MIN_ITEMS, TARGETS, Split, choose_targets, histories, require_targets
from vaerec.shards.storage import LANES, PARTS, SHARD, Questions, refuse_full, refuse_uneven, write_stream
from vaerec.ties import TIES, count_ties, name_of_ties, warn_of_ties

MOST_SHARDS = 512  # files that are open at once
READ = 2**20  # rows that are read at once


def from_files(source: str | os.PathLike, folder: str | os.PathLike, *, n_heldout: int, user: str = "user",
               item: str = "item", rating: str | None = None, timestamp: str | None = None,
               min_rating: float | None = None, min_user_items: int = 5, min_item_users: int = 1,
               targets: str = "random", fraction: float = 0.2, seed: int = 98765,
               duplicates: str = "refuse", ties: str | None = None, ties_seed: int = 0,
               n_shards: int | None = None, lanes: int = LANES) -> Split:
    """Split logs that do not fit into memory by strong generalisation, and write the split as shards.

    Held out are the users with the smallest hash of their raw id, first those of the test: who is held
    out depends on nothing else.

    Parameters
    ----------
    source : path
        A Parquet file or a folder of them; rows in any order.
    folder : path
        New or empty. A copy of the source lies beside it while this function runs. In memory are one
        bucket, the raw ids of all users with a number each, and the held-out users.
    n_heldout : int
        Users in validation, and again in test.
    user, item, rating, timestamp
        Names of columns, as in `vaerec.datasets.files.load_file`.
    min_rating, min_user_items : float, int
        Lower ratings are dropped, then users with fewer items.
    min_item_users : int
        Items with fewer training users are dropped, for held-out users too. Users are not counted again.
    targets, fraction, seed, ties, ties_seed
        As in `vaerec.protocols.strong_generalization`; the file's order is that of all files in a row.
    duplicates : {"refuse", "first", "last"}
        What to do when a user meets an item again.
    n_shards : int, optional
        A multiple of ``lanes``, at most 512. By default so many that a shard has about a million rows.
    lanes : int
        Several processes can share the shards if their number divides this one.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        A file cannot be read, a parameter is out of range, the folder is not empty, or too few users are
        left.
    """
    source = Path(source)
    if not source.exists():
        raise FileNotFoundError(f"no file or folder {source.absolute()}")
    table = ParquetFiles(source)
    files = table.files
    names = roles_of(table, {"user": user, "item": item}, {"rating": rating, "timestamp": timestamp})
    if n_shards is None:
        rows = sum(_open(file).metadata.num_rows for file in files)
        n_shards = lanes * max(1, min(MOST_SHARDS // lanes, -(-rows // (lanes * SHARD))))
    if targets not in TARGETS or not 1 <= n_shards <= MOST_SHARDS or n_heldout < 1:
        raise ValueError(f"targets={targets!r}, n_shards={n_shards}, n_heldout={n_heldout}: expected one of "
                         f"{TARGETS}, a number from 1 to {MOST_SHARDS}, and at least 1")
    if min_rating is not None and "rating" not in names:
        raise ValueError(f"min_rating={min_rating}, but {files[0]} has no column 'rating': say with rating= "
                         "which column it is")
    if ties not in (None, *TIES):
        raise ValueError(f"ties={ties!r}: expected one of {TIES}")
    refuse_uneven(n_shards, lanes)
    refuse_full(folder)
    beside = Path(folder).absolute().parent
    beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=beside) as scratch:
        buckets = _deal(files, names, Path(scratch), n_shards)
        buckets = [bucket for bucket in buckets if _open(bucket).metadata.num_rows]
        users, counts, times = [], None, []
        for number, bucket in enumerate(buckets):
            own, of_items, own_times = _filtered(bucket, duplicates, min_rating, min_user_items,
                                                 (ties_seed, number) if ties == "random" else None)
            users.append(own)
            counts = _sum(counts, of_items)
            times.append(own_times)
        users = pd.concat(users).sort_values(kind="stable").index
        if 2 * n_heldout >= len(users):
            raise ValueError(f"n_heldout={n_heldout} takes {2 * n_heldout} of the {len(users)} users that "
                             "are left: choose fewer, or loosen a filter")
        chosen = {"test": users[:n_heldout], "validation": users[n_heldout:2 * n_heldout]}
        rest = {part: _rows_of(buckets, chosen[part]) for part in PARTS}
        counts = _sum(counts, *(-frame["item"].value_counts() for frame in rest.values()))
        counts = counts[counts >= max(1, min_item_users)]
        asked = {part: _questions(rest[part], counts.index, targets, fraction, seed) for part in PARTS}
        held_out = {part: questions for part, (questions, _) in asked.items()}
        measured = targets == "temporal" and not _have_places(times)
        tied = {part: n_tied if measured else None for part, (_, n_tied) in asked.items()}
        items = describe_items(counts.index.to_numpy(), None)
        shards = _shards(buckets, users[:2 * n_heldout], counts.index)
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


def _open(file: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file)
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"{file} is not a Parquet file, or it is cut off or damaged ({error})") from error


def _deal(files: list[Path], names: dict[str, str], scratch: Path, n_buckets: int) -> list[Path]:
    """Write each row into the bucket of its user."""
    buckets = [scratch / f"{number:05d}.parquet" for number in range(n_buckets)]
    schema = None
    with contextlib.ExitStack() as stack:
        for file in files:
            with _open(file) as source:
                require_columns(names, source.schema_arrow.names, file)
                if schema is None:
                    types = source.schema_arrow
                    schema = pa.schema([(role, types.field(own).type) for role, own in names.items()])
                    writers = [stack.enter_context(pq.ParquetWriter(bucket, schema)) for bucket in buckets]
                for batch in _batches(source, names, schema, file):
                    number = _hash(batch["user"].to_pandas()) % n_buckets
                    order = np.argsort(number, kind="stable")
                    ends = np.searchsorted(number[order], np.arange(n_buckets + 1))
                    dealt = batch.take(pa.array(order))
                    for writer, start, stop in zip(writers, ends, ends[1:], strict=False):
                        if stop > start:
                            writer.write_table(dealt.slice(start, stop - start))
    return buckets


def _sum(*counts: pd.Series | None) -> pd.Series:
    """Counts of items that are in some of the series, added up; None is no series."""
    return pd.concat(counts).groupby(level=0).sum()


def _batches(source: pq.ParquetFile, names: dict[str, str], schema: pa.Schema,
             file: Path) -> Iterator[pa.Table]:
    own = list(names.values())
    try:
        for batch in source.iter_batches(READ, columns=own):
            yield pa.Table.from_batches([batch]).select(own).rename_columns(list(names)).cast(schema)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise ValueError(f"{file} is cut off or damaged, or its columns differ from those of the first file "
                         f"({error})") from error


def _hash(users: pd.Series | pd.Index) -> np.ndarray:
    """A number for each raw id that stays the same on every machine: uint64."""
    return pd.util.hash_array(users.to_numpy(), categorize=False)


def _filtered(bucket: Path, duplicates: str, min_rating: float | None, min_user_items: int,
              ties_seed: tuple[int, int] | None) -> tuple:
    """Filter and sort a bucket in its file: its users with their hashes, and items with their counts.

    And of its times: their number, the first, the last, and whether a user has two that are equal.
    """
    log = load(bucket, duplicates=duplicates)
    try:
        log = log.filter(min_rating=min_rating, min_user_items=min_user_items)
    except ValueError:  # nothing is left of this bucket; others may have more
        log = log.select(np.zeros(len(log), bool))
    if ties_seed is not None:
        log = log.break_ties(ties_seed)
    order = np.lexsort((log.timestamp, log.user))
    frame = pd.DataFrame({"user": log.user_ids[log.user[order]], "item": log.item_ids[log.item[order]],
                          "timestamp": log.timestamp[order]})
    frame.to_parquet(bucket, index=False)
    users = pd.Index(log.user_ids)
    return (pd.Series(_hash(users), index=users),
            pd.Series(np.bincount(log.item, minlength=log.n_items), index=log.item_ids),
            (len(log), frame["timestamp"].min(), frame["timestamp"].max(), log.has_ties))


def _have_places(times: list[tuple]) -> bool:
    """`Interactions.has_places` of all buckets together."""
    rows, first, last, has_ties = zip(*(own for own in times if own[0]), strict=True)
    return max(last) - min(first) < sum(rows) and not any(has_ties)


def _rows_of(buckets: list[Path], users: pd.Index) -> pd.DataFrame:
    """All interactions of some users."""
    frames = (pd.read_parquet(bucket) for bucket in buckets)
    return pd.concat([frame[frame["user"].isin(users)] for frame in frames], ignore_index=True)


def _questions(frame: pd.DataFrame, item_ids: pd.Index, targets: str, fraction: float,
               seed: int) -> tuple[Questions, int]:
    """The questions of one part, and `count_ties` of them."""
    log = Interactions.from_frame(frame[frame["item"].isin(item_ids)])
    new_item, users = item_ids.get_indexer(log.item_ids), np.arange(log.n_users)
    is_target = choose_targets(log, np.ones(len(log), bool), targets, fraction, seed)
    questions = (log.user_ids, histories(log, new_item, users, ~is_target),
                 histories(log, new_item, users, is_target))
    return questions, count_ties(log, ~is_target, is_target)


def _shards(buckets: list[Path], held_out: pd.Index, item_ids: pd.Index) -> Iterator[Bags]:
    """The training users of each bucket."""
    for bucket in buckets:
        frame = pd.read_parquet(bucket)
        item = item_ids.get_indexer(frame["item"])
        kept = ~frame["user"].isin(held_out) & (item >= 0)
        lengths = frame["user"][kept].groupby(frame["user"][kept], sort=False).size()
        offsets = np.concatenate([[0], np.cumsum(lengths.to_numpy())])
        yield Bags(torch.from_numpy(item[kept.to_numpy()].astype(np.int64)), torch.from_numpy(offsets))

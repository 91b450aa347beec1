"""The folder of a sharded split: what is in it, how it is written and how it is checked.

``shards.json`` names all other files with their SHA-256, and is written last: without it the folder is
not whole. ``shard-00000.parquet`` and its like hold the training users, a row each: their dense items,
oldest first. ``items.parquet`` is the catalogue, ``validation.parquet`` and ``test.parquet`` are the
questions. Which user is in which shard must be chance, since training shuffles inside of shards only.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp
import torch

from vaerec.batches import Bags
from vaerec.interactions import catalogue_fingerprint
from vaerec.splits import HeldOut, Split

MANIFEST, FORMAT = "shards.json", "vaerec-shards-1"
ITEMS, PARTS = "items.parquet", ("validation", "test")
AGAIN = "copy it here again, or write the shards again"
LANES = 8
SHARD = 2**20  # interactions a shard, about: 8 MB in memory
Questions = tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]


@dataclass(frozen=True, eq=False, repr=False)
class Shards:
    """The training users of a split, in files: what `vaerec.fit` needs of an `Interactions`.

    Attributes
    ----------
    folder : Path
    manifest : dict
        Content of ``shards.json``.
    items : DataFrame, n_items rows
        As in `Interactions`.
    """

    folder: Path
    manifest: dict
    items: pd.DataFrame

    def __len__(self) -> int:
        return sum(shard["interactions"] for shard in self.manifest["shards"])

    def __repr__(self) -> str:
        return (f"Shards({self.n_users:,} users × {self.n_items:,} items, {len(self):,} interactions in "
                f"{self.n_shards} shards)")

    @cached_property
    def n_users(self) -> int:
        """Number of training users."""
        return sum(shard["users"] for shard in self.manifest["shards"])

    @property
    def n_items(self) -> int:
        """Size of the catalogue."""
        return len(self.items)

    @property
    def item_ids(self) -> np.ndarray:
        """Dense id -> raw id, [n_items]."""
        return self.items["item"].to_numpy()

    @property
    def n_shards(self) -> int:
        """Number of files."""
        return len(self.manifest["shards"])

    @property
    def lanes(self) -> int:
        """Shard s belongs to lane ``s % lanes``; each batch takes users from all lanes."""
        return self.manifest["lanes"]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the manifest, which holds those of all files."""
        return hashlib.sha256(json.dumps(self.manifest, sort_keys=True).encode()).hexdigest()

    def path(self, number: int) -> Path:
        """Where a shard lies."""
        return self.folder / self.manifest["shards"][number]["file"]

    def bags(self, number: int) -> Bags:
        """Read one shard: the histories of its users, oldest items first.

        Raises
        ------
        FileNotFoundError, ValueError
            The file is missing, truncated or changed, or it holds an item that is not in the catalogue.
        """
        about, path = self.manifest["shards"][number], self.path(number)
        items, offsets = _lists(_table(path, about["sha256"])["items"], path, self.n_items)
        if len(offsets) - 1 != about["users"] or len(items) != about["interactions"]:
            raise ValueError(f"{path} holds {len(offsets) - 1} users and {len(items)} interactions, but in "
                             f"{MANIFEST} they are {about['users']} and {about['interactions']}: write the "
                             "shards again")
        return Bags(torch.from_numpy(items), torch.from_numpy(offsets))

    def to_csr(self) -> sp.csr_matrix:
        """1.0 where a user consumed an item, however often, users in the shards' order: float32.

        Holds all interactions at once; EASE asks for it.
        """
        bags = Bags.concatenate([self.bags(number).once() for number in range(self.n_shards)])
        ones = np.ones(len(bags.items), dtype=np.float32)
        return sp.csr_matrix((ones, bags.items.numpy(), bags.offsets.numpy()),
                             shape=(self.n_users, self.n_items))

    def refuse_missing(self, numbers: Iterable[int]) -> None:
        """Raise at once, and not after an hour of training, if one of these shards is not there."""
        for number in numbers:
            if not self.path(number).is_file():
                raise FileNotFoundError(f"{self.path(number)} is missing, of {self.n_shards} shards: {AGAIN}")


def is_folder(path: str | os.PathLike) -> bool:
    """Whether there is a folder of shards."""
    return (Path(path) / MANIFEST).is_file()


def read(folder: str | os.PathLike) -> Split:
    """Open a folder of shards: a `Split` that `vaerec.fit` and `vaerec.evaluate` take like any other.

    Catalogue and held-out users are read; ``split.train`` is a `Shards` and reads nothing yet.

    Raises
    ------
    FileNotFoundError
        No manifest in the folder, or the catalogue or the held-out users are missing.
    ValueError
        A file is truncated or changed, or was written by another version.
    """
    folder = Path(folder)
    if not is_folder(folder):
        raise FileNotFoundError(f"no {MANIFEST} in {folder}: not a folder of shards, or its writing was cut "
                                "off. Write the shards again")
    manifest = _manifest(folder / MANIFEST)
    items = _table(folder / ITEMS, manifest["files"][ITEMS]).to_pandas()
    train = Shards(folder, manifest, items[["item", "title", "genres"]])
    held_out = {part: _held_out(train, part, items["count"].to_numpy(copy=True)) for part in PARTS}
    return Split(train, **held_out, name=manifest["name"], targets=manifest["targets"])


def write(split: Split, folder: str | os.PathLike, *, n_shards: int | None = None, lanes: int = LANES,
          seed: int = 0) -> Split:
    """Write a split that fits into memory as shards, and open them.

    Parameters
    ----------
    split : Split
    folder : path
        New or empty.
    n_shards : int, optional
        A multiple of ``lanes``. By default so many that a shard has about a million interactions.
    lanes : int
        Several processes can share the shards if their number divides this one.
    seed : int
        Of the order in which users are dealt out to shards.

    Raises
    ------
    ValueError
        ``n_shards`` is no multiple of ``lanes``, or the folder holds files already.
    """
    train = split.train
    n_shards = lanes * -(-len(train) // (lanes * SHARD)) if n_shards is None else n_shards
    bags = Bags.from_histories(train.sequences(), torch.device("cpu"))
    order = np.random.default_rng(seed).permutation(train.n_users)
    shards = (bags.select(torch.from_numpy(users)) for users in np.array_split(order, n_shards))
    parts = {"validation": split.validation, "test": split.test}
    held_out = {part: (own.user_ids, own.fold_in, own.targets) for part, own in parts.items()}
    return write_stream(folder, shards, items=train.items, held_out=held_out, name=split.name,
                        targets=split.targets, n_shards=n_shards, lanes=lanes,
                        tied={part: own.n_tied for part, own in parts.items()})


def write_stream(folder: str | os.PathLike, shards: Iterable[Bags], *, items: pd.DataFrame,
                 held_out: dict[str, Questions], name: str, targets: str, n_shards: int,
                 lanes: int = LANES, tied: dict[str, int | None] | None = None) -> Split:
    """Write shards that come one after another, and open them: one at a time is in memory.

    Parameters
    ----------
    shards : iterable of n_shards Bags
        Users in no particular order, each with their dense items, oldest first.
    items : DataFrame, n_items rows
        As in `vaerec.Interactions`.
    held_out : dict
        ``user_ids``, ``fold_in`` and ``targets``, as in `vaerec.protocols.HeldOut`, of "validation" and of
        "test".
    name, targets : str
        As in `Split`.
    tied : dict, optional
        ``n_tied`` of "validation" and of "test", as in `vaerec.protocols.HeldOut`.

    Raises
    ------
    ValueError
        See `write`.
    """
    refuse_uneven(n_shards, lanes)
    refuse_full(folder)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    about, counts = [], np.zeros(len(items), np.int64)
    for number, bags in enumerate(shards):
        about.append(_write_shard(folder / f"shard-{number:05d}.parquet", bags))
        counts += np.bincount(bags.items, minlength=len(items))
    if len(about) != n_shards:
        raise ValueError(f"{len(about)} shards came, n_shards={n_shards} were announced")
    items = items.assign(count=np.maximum(counts, 1))
    files = {ITEMS: _write_table(folder / ITEMS, pa.Table.from_pandas(items, preserve_index=False))}
    for part, (user_ids, fold_in, hidden) in held_out.items():
        file = f"{part}.parquet"
        files[file] = _write_table(folder / file, pa.table({
            "user": pa.array(user_ids), "fold_in": _list_array(fold_in), "targets": _list_array(hidden)}))
    manifest = {"format": FORMAT, "name": name, "targets": targets, "lanes": lanes, "files": files,
                "shards": about, "tied": tied or {}}
    draft = folder / f"{MANIFEST}.part"
    draft.write_text(json.dumps(manifest, indent=1))
    os.replace(draft, folder / MANIFEST)
    return read(folder)


def refuse_uneven(n_shards: int, lanes: int) -> None:
    """Raise ValueError if the shards cannot be shared out to the lanes."""
    if lanes < 1 or n_shards < 1 or n_shards % lanes:
        raise ValueError(f"n_shards={n_shards}, lanes={lanes}: the shards must be a multiple of the lanes")


def refuse_full(folder: str | os.PathLike) -> None:
    """Raise ValueError if there is something in the folder."""
    if Path(folder).exists() and any(Path(folder).iterdir()):
        raise ValueError(f"{folder} is not empty: name a new folder, or delete what is in it")


def _write_shard(path: Path, bags: Bags) -> dict:
    column = _array(bags)
    return {"file": path.name, "users": bags.n_users, "interactions": len(bags.items),
            "sha256": _write_table(path, pa.table({"items": column}))}


def _write_table(path: Path, table: pa.Table) -> str:
    """SHA-256 of the file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    content = sink.getvalue()
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def _manifest(path: Path) -> dict:
    try:
        manifest = json.loads(path.read_text())
        if manifest["format"] == FORMAT:
            return manifest
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} cannot be read ({error}): write the shards again") from error
    raise ValueError(f"{path} has the format {manifest['format']!r}, but this version of vaerec reads "
                     f"{FORMAT!r}: write the shards again")


def _table(path: Path, checksum: str) -> pa.Table:
    """A Parquet file whose checksum holds."""
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path} is missing: {AGAIN}") from error
    if hashlib.sha256(content).hexdigest() != checksum:
        raise ValueError(f"{path} is truncated or changed, its checksum is not that in {MANIFEST}: {AGAIN}")
    try:
        return pq.read_table(pa.BufferReader(content))
    except pa.ArrowException as error:
        raise ValueError(f"{path} is not a Parquet file ({error}): write the shards again") from error


def _lists(column: pa.ChunkedArray, path: Path, n_items: int) -> tuple[np.ndarray, np.ndarray]:
    """Items int64 [N] and offsets int64 [B + 1] of a column of lists."""
    column = pa.chunked_array(column, pa.list_(pa.int32())).combine_chunks()
    items = column.flatten().to_numpy().astype(np.int64)
    outside = (items < 0) | (items >= n_items)
    if outside.any():
        raise ValueError(f"{path} holds item {items[outside.argmax()]}, which is not in [0, {n_items}): what "
                         "wrote the shard took another catalogue. Write the shards again")
    return items, np.cumsum(np.concatenate([[0], column.value_lengths().to_numpy()]))


def _list_array(lists: list[np.ndarray]) -> pa.ListArray:
    return _array(Bags.from_histories(lists, torch.device("cpu")))


def _array(bags: Bags) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(bags.offsets.numpy().astype(np.int32)),
                                    pa.array(bags.items.numpy().astype(np.int32)))


def _held_out(train: Shards, part: str, counts: np.ndarray) -> HeldOut:
    path = train.folder / f"{part}.parquet"
    table = _table(path, train.manifest["files"][path.name])
    lists = {}
    for name in ("fold_in", "targets"):
        items, offsets = _lists(table[name], path, train.n_items)
        lists[name] = np.split(items, offsets[1:-1])
    return HeldOut(table["user"].to_pandas().to_numpy(), **lists, item_counts=counts,
                   n_train_users=train.n_users, catalogue=catalogue_fingerprint(train.item_ids),
                   n_tied=train.manifest.get("tied", {}).get(part))

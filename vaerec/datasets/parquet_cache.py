"""A Parquet file beside a large source, so that the second load need not parse it again."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from vaerec.datasets.download import sha256_of

SUFFIX = ".vaerec.parquet"
WORTH_IT = 2**24  # bytes of a source: smaller ones are parsed before anyone notices
VERSION = 1  # another number makes all older caches invalid
KEY, IDS, SEAL = b"vaerec.key", b"vaerec.ids.", b"vaerec.seal"


def cached(source: Path, settings: dict, parse: Callable[[], pd.DataFrame],
           content: str | None = None) -> pd.DataFrame:
    """What ``parse()`` makes of a source, or what an earlier call kept beside it.

    The key is the SHA-256 of the source's content and of the settings. Size and time of change would be
    faster to look at, but a file that was restored, copied or unpacked can have both as before.

    Parameters
    ----------
    source : Path
        A file. Its cache is called ``<source>.vaerec.parquet``.
    settings : dict
        All that decides what ``parse`` makes of the content, as JSON can hold it.
    parse : callable
        Returns a frame of numbers and categories.
    content : str, optional
        SHA-256 of the source, where it is known already.
    """
    if source.stat().st_size < WORTH_IT:
        return parse()
    key = _key(content or sha256_of(source), settings)
    path = source.with_name(source.name + SUFFIX)
    frame = _read(path, key)
    if frame is None:
        frame = parse()
        try:
            _write(path, frame, key)
        except OSError as error:  # read-only, or full: the data is there all the same
            warnings.warn(f"no cache can be kept beside {source} ({error}): the next load parses it again",
                          stacklevel=2)
    return frame


def _key(content: str, settings: dict) -> bytes:
    return hashlib.sha256(json.dumps([VERSION, content, settings], sort_keys=True).encode()
                          ).hexdigest().encode()


def _read(path: Path, key: bytes) -> pd.DataFrame | None:
    """The frame of a cache with this key; None if there is none, or not a whole one."""
    try:
        about = pq.read_schema(path).metadata or {}
        if about.get(KEY) != key:
            return None
        table = pq.read_table(path, page_checksum_verification=True)
        if about.get(SEAL) != _seal(table, about):
            return None
        return pd.DataFrame({
            name: pd.Categorical.from_codes(table[name].to_numpy(), _unpacked(about[IDS + name.encode()]))
            if IDS + name.encode() in about else table[name].to_numpy() for name in table.column_names})
    except (OSError, pa.ArrowException, ValueError):
        return None


def _seal(table: pa.Table, about: dict[bytes, bytes]) -> bytes:
    """Checksum of what Parquet's own, which are those of the pages, leave out: names, types and ids."""
    ids = {name.decode(): value.decode() for name, value in about.items() if name.startswith(IDS)}
    described = [table.column_names, list(map(str, table.schema.types)), len(table), ids]
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest().encode()


def _packed(ids: pd.Index) -> bytes:
    """Raw ids as text, of any type: Arrow's stream format in base64."""
    table, sink = pa.table({"ids": pa.Array.from_pandas(ids)}), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return base64.b64encode(sink.getvalue())


def _unpacked(packed: bytes) -> pd.Index:
    return pd.Index(pa.ipc.open_stream(base64.b64decode(packed)).read_all()["ids"].to_pandas())


def _write(path: Path, frame: pd.DataFrame, key: bytes) -> None:
    """Write in one step: a reader finds a whole file or none, also after a kill."""
    _remove_remains(path)
    # Parquet has no categories of numbers: the columns hold places, and the ids stand in the file's header.
    about, columns = {KEY: key}, {}
    for name in frame:
        if isinstance(frame[name].dtype, pd.CategoricalDtype):
            about[IDS + name.encode()] = _packed(frame[name].cat.categories)
            columns[name] = frame[name].cat.codes.to_numpy()
        else:
            columns[name] = frame[name].to_numpy()
    table = pa.table(columns)
    table = table.replace_schema_metadata(about | {SEAL: _seal(table, about)})
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    try:
        pq.write_table(table, draft, write_page_checksum=True)
        os.replace(draft, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(draft)


def _remove_remains(path: Path) -> None:
    """Delete drafts of processes that were killed: those that nobody has written to for an hour."""
    for draft in path.parent.glob(f".{path.name}.*.part"):
        with contextlib.suppress(OSError):
            if time.time() - draft.stat().st_mtime > 3600:
                draft.unlink()

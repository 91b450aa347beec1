"""A Parquet file beside a large source, so that the second load need not parse it again."""

from __future__ import annotations

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
KEY = b"vaerec.key"


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
        if (pq.read_schema(path).metadata or {}).get(KEY) != key:
            return None
        return pq.read_table(path, page_checksum_verification=True).to_pandas()
    except (OSError, pa.ArrowException):
        return None


def _write(path: Path, frame: pd.DataFrame, key: bytes) -> None:
    """Write in one step: a reader finds a whole file or none, also after a kill."""
    _remove_remains(path)
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata({KEY: key})
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

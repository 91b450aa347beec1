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

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vaerec.datasets.download import sha256_of
from vaerec.interactions import Interactions, describe_items

SUFFIX = ".vaerec.parquet"
WORTH_IT = 2**24  # bytes of a source: smaller ones are parsed before anyone notices
VERSION = 2  # another number makes all older caches invalid
KEY, SEAL, SAID = b"vaerec.key", b"vaerec.seal", b"vaerec.warnings"
IDS = (b"vaerec.user_ids", b"vaerec.item_ids")
COLUMNS = ("user", "item", "rating", "timestamp")


def cached(source: Path, settings: dict, parse: Callable[[], Interactions],
           content: str | None = None) -> Interactions:
    """What ``parse()`` makes of a source, or what an earlier call kept beside it; without titles.

    What ``parse`` warns of is kept too, and said each time.

    The key is the SHA-256 of the source's content and of the settings. Size and time of change would be
    faster to look at, but a file that was restored, copied or unpacked can have both as before.

    Parameters
    ----------
    source : Path
        A file. Its cache is called ``<source>.vaerec.parquet``.
    settings : dict
        All that decides what ``parse`` makes of the content, as JSON can hold it.
    parse : callable
        Reads and checks the interactions; what it refuses is not kept.
    content : str, optional
        SHA-256 of the source, where it is known already.
    """
    if source.stat().st_size < WORTH_IT:
        return parse()
    key = _key(content or sha256_of(source), settings)
    path = source.with_name(source.name + SUFFIX)
    log = _read(path, key)
    if log is None:
        log, said = _heard(parse)
        try:
            _write(path, source, log, {KEY: key, SAID: json.dumps(said).encode()})
        except OSError as error:  # read-only, or full: the data is there all the same
            warnings.warn(f"no cache can be kept beside {source} ({error}): the next load parses it again",
                          stacklevel=2)
    return log


def _heard(parse: Callable[[], Interactions]) -> tuple[Interactions, list[str]]:
    """What it returns, and its warnings, which are passed on."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        log = parse()
    said = [str(one.message) for one in caught if issubclass(one.category, UserWarning)]
    for message in said:
        warnings.warn(message, stacklevel=4)
    return log, said


def _key(content: str, settings: dict) -> bytes:
    return hashlib.sha256(json.dumps([VERSION, content, settings], sort_keys=True).encode()
                          ).hexdigest().encode()


def _read(path: Path, key: bytes) -> Interactions | None:
    """The interactions of a cache with this key; None if there is none, or not a whole one."""
    try:
        about = pq.read_schema(path).metadata or {}
        if about.get(KEY) != key:
            return None
        table = pq.read_table(path, page_checksum_verification=True)
        if about.get(SEAL) != _seal(table, about):
            return None
        user_ids, item_ids = (_unpacked(about[ids]) for ids in IDS)
        said = json.loads(about[SAID])
    except (OSError, pa.ArrowException, ValueError):
        return None
    for message in said:
        warnings.warn(message, stacklevel=4)
    columns = {name: table[name].to_numpy() for name in COLUMNS}
    return Interactions(**columns, user_ids=user_ids, items=describe_items(item_ids, None))


def _seal(table: pa.Table, about: dict[bytes, bytes]) -> bytes:
    """Checksum of what Parquet's own, which are those of the pages, leave out: names, types and ids."""
    described = [table.column_names, list(map(str, table.schema.types)), len(table),
                 *(about.get(name, b"").decode() for name in (*IDS, SAID))]
    return hashlib.sha256(json.dumps(described).encode()).hexdigest().encode()


def _packed(ids: np.ndarray) -> bytes:
    """Raw ids as text, of any type: Arrow's stream format in base64."""
    table, sink = pa.table({"ids": pa.array(ids)}), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return base64.b64encode(sink.getvalue())


def _unpacked(packed: bytes) -> np.ndarray:
    return pa.ipc.open_stream(base64.b64decode(packed)).read_all()["ids"].to_pandas().to_numpy()


def _write(path: Path, source: Path, log: Interactions, about: dict[bytes, bytes]) -> None:
    """Write in one step: a reader finds a whole file or none, also after a kill."""
    _remove_remains(path)
    # Dense ids in 32 bits: 2**31 users or items do not fit into memory anyway.
    table = pa.table({"user": log.user.astype(np.int32), "item": log.item.astype(np.int32),
                      "rating": log.rating, "timestamp": log.timestamp})
    about |= {IDS[0]: _packed(log.user_ids), IDS[1]: _packed(log.item_ids)}
    table = table.replace_schema_metadata(about | {SEAL: _seal(table, about)})
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    try:
        pq.write_table(table, draft, write_page_checksum=True)
        _let_read(Path(draft), source.stat())
        os.replace(draft, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(draft)


def _let_read(path: Path, source: os.stat_result) -> None:
    """Who can read the source can read its cache: a temporary file is its owner's alone."""
    if hasattr(os, "chown") and path.stat().st_gid != source.st_gid:
        with contextlib.suppress(OSError):  # not a member of the source's group
            os.chown(path, -1, source.st_gid)
    os.chmod(path, source.st_mode & 0o666 | 0o600)


def _remove_remains(path: Path) -> None:
    """Delete drafts of processes that were killed: those that nobody has written to for an hour."""
    for draft in path.parent.glob(f".{path.name}.*.part"):
        with contextlib.suppress(OSError):
            if time.time() - draft.stat().st_mtime > 3600:
                draft.unlink()

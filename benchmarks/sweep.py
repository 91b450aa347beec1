"""Long runs whose table survives an interruption, shared by the scripts beside it.

A script lists its runs as (variant, seed), in the order in which they should be made. Each gives rows
of the table; runs that are in it already are skipped, so an interrupted sweep goes on where it was.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd
import torch

import vaerec as vr

sys.path.append(str(Path(__file__).parent / "rivals"))
from measuring import peak_mb  # noqa: F401  the scripts beside this one take it from here


def sweep(table: Path, runs: Iterable[tuple[str, int]], one_run: Callable[[str, int], list[dict]],
          part: int = 0, parts: int = 1) -> None:
    """Make every ``parts``-th run of those that are not in the table, on one thread.

    Parameters
    ----------
    table : Path
        CSV with the columns ``variant`` and ``seed``; begun if it is not there.
    runs : iterable of (variant, seed)
    one_run : callable
        Makes the rows of one run; the row of the run's own name must be the last, since it marks
        the run as done.
    part, parts : int
        Processes side by side take ``0 2`` and ``1 2``: one run gains less from a second thread.
    """
    torch.set_num_threads(1)
    for variant, seed in list(runs)[part::parts]:
        if table.exists():
            there = pd.read_csv(table)
            if ((there["variant"] == variant) & (there["seed"] == seed)).any():
                continue
        rows = one_run(variant, seed)
        append(table, rows)
        print(*rows, sep="\n", flush=True)


def fill(table: Path | None, key: list[str], cases: Iterable[tuple],
         one_row: Callable[..., dict]) -> pd.DataFrame:
    """Make the row of each case that the table does not have, and write the table after each.

    Parameters
    ----------
    table : Path, optional
        CSV with the columns of ``key``; begun if it is not there. Without it nothing is read or written.
    key : list of str
        What a case is made of.
    one_row : callable
        The other columns of a case.
    """
    rows = pd.read_csv(table).to_dict("records") if table and table.exists() else []
    there = {tuple(row[name] for name in key) for row in rows}
    for case in cases:
        if case not in there:
            rows.append(dict(zip(key, case, strict=True)) | one_row(*case))
            if table:
                pd.DataFrame(rows).to_csv(table, index=False)
    return pd.DataFrame(rows)


def append(table: Path, rows: list[dict]) -> None:
    """Add rows under a lock, since two processes share the table."""
    with table.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0, os.SEEK_END)  # another process may have written since the file was opened
        pd.DataFrame(rows).to_csv(file, index=False, header=file.tell() == 0)


def on_test_users(report: vr.Report) -> dict[str, float]:
    """What the tables hold of a report on test users."""
    return {name: round(report[name], 6) for name in ("ndcg@10", "ndcg@100", "recall@100", "coverage@100")}


def provenance(split: vr.protocols.Split) -> dict:
    """Where a row was made: threads, torch, and the data's fingerprint."""
    return {"threads": torch.get_num_threads(), "torch": torch.__version__.split("+")[0],
            "data": split.train.fingerprint[:16]}

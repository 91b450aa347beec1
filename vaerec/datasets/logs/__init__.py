"""Logs that people bring: text tables, JSON, Parquet and frames, read strictly.

`streams` gives bytes as UTF-8; `delimited`, `objects` and `frames` make columns of them; `sources` chooses
among the three; `columns` turns columns into ids, ratings and times; `loading` is the door, with `cache`
beside it.
"""

from vaerec.datasets.logs.loading import load_log
from vaerec.datasets.logs.sources import is_log

__all__ = ["is_log", "load_log"]

"""Seconds and peak memory from a CSV of ML-20M's shape to a split, without and with the Parquet cache; and
from the same rows in a Parquet file to a split in shards, which need not fit into memory.

    python benchmarks/load_large.py              # on a quiet machine with two cores; about 4 minutes
    python benchmarks/load_large.py --keep DIR   # leave the generated CSV in DIR and use it again

The log is generated: 138,493 users, 26,744 items and 20,000,263 different (user, item) pairs, popularity
proportional to 1 / (rank + 50), half stars, seconds, rows by user, as GroupLens's file has them. Each
measurement has a process of its own, which imports vaerec before the clock starts; its peak memory is
its largest resident size, imports included. "floor" reads the CSV's bytes once.

Writes load_large.csv anew.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
from sweep import peak_mb

import vaerec as vr

TABLE = Path(__file__).with_suffix(".csv")
USERS, ITEMS, ROWS = 138_493, 26_744, 20_000_263
NAMES = {"user": "userId", "item": "movieId"}


def generate(path: Path, n_users: int = USERS, n_items: int = ITEMS, n_rows: int = ROWS) -> None:
    """Write the log, drawn from seed 0."""
    generator = np.random.default_rng(0)
    users = np.arange(n_users)
    weight = generator.lognormal(0, 1, n_users)
    edges_of_users = np.cumsum(weight / weight.sum())
    weight = generator.permutation(1 / (np.arange(n_items) + 50))
    edges_of_items = np.cumsum(weight / weight.sum())
    # Each user and each item occurs: these pairs stay whatever is drawn beside them.
    pair = np.unique(np.concatenate([users * n_items + generator.integers(0, n_items, n_users),
                                     generator.integers(0, n_users, n_items) * n_items + np.arange(n_items)]))
    needed = pair
    while len(pair) < n_rows:
        more = int(1.2 * (n_rows - len(pair))) + 1000
        user = np.searchsorted(edges_of_users[:-1], generator.random(more))
        item = np.searchsorted(edges_of_items[:-1], generator.random(more))
        pair = np.unique(np.concatenate([pair, user * n_items + item]))
    spare = np.setdiff1d(pair, needed, assume_unique=True)
    spare = generator.choice(spare, n_rows - len(needed), replace=False)
    pair = np.sort(np.concatenate([needed, spare]))
    stars = np.array(["0.5", "1.0", "1.5", "2.0", "2.5", "3.0", "3.5", "4.0", "4.5", "5.0"])
    rating = pa.DictionaryArray.from_arrays(generator.integers(0, 10, n_rows).astype(np.int8), stars)
    table = pa.table({"userId": pair // n_items + 1, "movieId": pair % n_items + 1,
                      "rating": rating.cast(pa.string()),
                      "timestamp": generator.integers(789_652_009, 1_427_784_002, n_rows)})
    pa.csv.write_csv(table, path, pa.csv.WriteOptions(quoting_style="none"))


def one(what: str, path: Path) -> dict:
    """Measure one step in this process."""
    start = time.perf_counter()
    if what == "floor: read the bytes":
        with path.open("rb") as file:
            while file.read(2**24):
                pass
    elif what.endswith("shards"):
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            split = vr.shards.from_files(path.with_suffix(".parquet"), Path(scratch) / "shards",
                                         n_heldout=10_000, min_rating=4, **NAMES)
            assert len(split.train) > 0
    else:
        log = vr.load(path, **NAMES)
        if what.endswith("split"):
            split = vr.protocols.LIANG_2018(log, n_heldout=10_000)
            assert len(split.train) > 0
    seconds = time.perf_counter() - start
    return {"seconds": round(seconds, 2), "peak_mb": round(peak_mb())}


def measure(what: str, path: Path) -> dict:
    """Measure one step in a process of its own."""
    command = [sys.executable, __file__, "--one", what, "--keep", str(path.parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {"what": what} | json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Generate, measure, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--keep", type=Path, help="folder of the generated CSV")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        path = (options.keep or Path(scratch)) / "ratings.csv"
        if options.one:
            print(json.dumps(one(options.one, path)))
            return
        if not path.exists():
            generate(path)
        if not path.with_suffix(".parquet").exists():
            pa.parquet.write_table(pa.csv.read_csv(path), path.with_suffix(".parquet"))
        cache = path.with_name(path.name + ".vaerec.parquet")
        cache.unlink(missing_ok=True)
        rows = [measure("floor: read the bytes", path),
                measure("first load, CSV to split", path),
                measure("second load, from the cache", path),
                measure("second load, cache to split", path),
                measure("Parquet to shards", path)]
        with path.open("r+b") as file:  # another rating in the first row: the cache is of the old content
            content = file.read(100)
            place = content.index(b"\n") + 1 + content.split(b"\n")[1].rindex(b",") - 1
            file.seek(place)
            file.write(b"5" if content[place:place + 1] == b"0" else b"0")
        rows.append(measure("load of a changed source", path))
        frame = pd.DataFrame(rows).assign(
            users=USERS, items=ITEMS, rows=ROWS, csv_mb=round(path.stat().st_size / 1e6),
            cache_mb=round(cache.stat().st_size / 1e6), cores=os.cpu_count(), pyarrow=pa.__version__,
            pandas=pd.__version__, machine=platform.machine())
    frame.to_csv(TABLE, index=False)
    print(frame.iloc[:, :3].to_string(index=False))


if __name__ == "__main__":
    main()

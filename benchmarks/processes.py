"""What a second process on the same machine is worth: seconds of a training step, gradients sent by gloo.

    python benchmarks/processes.py                      # five minutes on a quiet machine with two cores
    python benchmarks/processes.py --items 3500 --dry   # one catalogue, nothing is written

MVAE as it comes (600 hidden units, 200 latent dimensions, float32) is trained by `vaerec.fit` on a world of
`benchmarks/scaling.py`, 10,000 users with 100 interactions each, in batches of 500 users altogether: by one
process with one thread, by one with two threads, and by two with one thread each, started by torchrun, which
work on 250 users each and average their gradients. Of each, 20 steps are timed after three that warm up, by
the clock of the first process, from the start of a batch to its end; ``milliseconds`` is the median.

Floor of two processes: half of the products, and all of Adam, 28 bytes a parameter. What each sends in a
step, ``sent_mb``, is the gradients once (2 (R - 1) / R times 4 bytes a parameter, R = 2).

Appends one row a case to processes.csv and skips rows that are there.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import pandas as pd
import scaling
import torch
from sweep import fill

import vaerec as vr

TABLE = Path(__file__).with_suffix(".csv")
ITEMS, CASES, SIZE, STEPS = (3_500, 20_000, 100_000), ((1, 1), (1, 2), (2, 1)), 10**6, 20


def measure(folder: Path, threads: int, steps: int, out: Path) -> None:
    """Train in this process, which may be one of several; the first leaves its seconds in ``out``."""
    torch.set_num_threads(threads)
    seconds = scaling.step_seconds(vr.shards.read(folder), steps)
    if vr.runs.processes()[0] == 0:
        out.write_text(json.dumps(seconds))


def one_row(items: int, processes: int, threads: int, steps: int, size: int = SIZE) -> dict:
    """One case, in processes of its own."""
    scaling.world(size, items)
    weights = sum(weight.numel() for weight in vr.models.MVAE(items).parameters())
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "seconds.json"
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone",
                   f"--nproc-per-node={processes}", __file__, "--measure",
                   str(scaling.WORLDS / f"{size}-{items}"), str(threads), str(steps), str(out)]
        done = subprocess.run(command, capture_output=True, text=True,
                              env=os.environ | {"OMP_NUM_THREADS": str(threads)})
        if done.returncode:
            sys.exit(f"{processes} processes on {items:,} items failed:\n{done.stderr[-3000:]}")
        seconds = json.loads(out.read_text())
    return {"milliseconds": round(1000 * statistics.median(seconds), 2), "users_a_batch": scaling.BATCH,
            "sent_mb": round(2 * (processes - 1) / processes * 4 * weights / 1e6, 1), "steps": steps,
            "cores": os.cpu_count(), "torch": torch.__version__.partition("+")[0]}


def main() -> None:
    """Print the table; append what is new to it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=ITEMS)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--dry", action="store_true", help="write nothing")
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        folder, threads, steps, out = options.measure
        measure(Path(folder), int(threads), int(steps), Path(out))
        return
    cases = [(items, *case) for items, case in itertools.product(options.items, CASES)]
    table = fill(None if options.dry else TABLE, ["items", "processes", "threads"], cases,
                 partial(one_row, steps=options.steps))
    print(pd.DataFrame(table).to_string(index=False))


if __name__ == "__main__":
    main()

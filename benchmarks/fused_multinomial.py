"""The fused linear + multinomial loss against the plain one: seconds and peak memory of a step.

    python benchmarks/fused_multinomial.py                          # all sizes, on a quiet machine
    python benchmarks/fused_multinomial.py --items 20000 --units 150 --dry   # one, and nothing is written

A step is forward and backward of the last layer, as in MVAE's loss: 500 rows of H units to I items,
about 100 items a history. "plain" is `multinomial_log_likelihood` of `torch.nn.functional.linear`,
differentiated by torch. "floor" is the three matrix products that neither can do without (logits, and
the gradients of rows and weights), written to memory that is allocated once.

One thread. Each measurement has a process of its own, so that its peak memory is its own: the
largest resident size by `resource.getrusage`, less what the process held before its first step
(parameters included). Appends one row per case to fused_multinomial.csv and skips rows that are
there. The committed rows were made while another one-threaded process used the second core.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import torch
from sweep import fill, peak_mb
from torch.nn import functional as F

from vaerec.batches import Bags
from vaerec.kernels import linear_multinomial
from vaerec.likelihoods import multinomial_log_likelihood

TABLE = Path(__file__).with_suffix(".csv")
ROWS, PER_ROW = 500, 100
UNITS, ITEMS, PRECISIONS = (150, 600), (3_500, 20_000, 100_000), ("float32", "bfloat16")
METHODS = ("fused", "plain", "floor")
KEY = ["precision", "units", "items"]


def steps(method: str, units: int, n_items: int):
    """The function to be timed."""
    generator = torch.Generator().manual_seed(0)
    hidden, weight, bias = (torch.randn(shape, generator=generator).mul_(0.05).requires_grad_()
                            for shape in ((ROWS, units), (n_items, units), (n_items,)))
    items = torch.randint(n_items, (ROWS * PER_ROW,), generator=generator)
    bags = Bags(items, torch.arange(0, len(items) + 1, PER_ROW))
    parameters = (hidden, weight, bias)

    def learn(loss):
        for tensor in parameters:
            tensor.grad = None
        (-loss / ROWS).backward()

    def fused():
        learn(linear_multinomial(hidden, weight, bias, bags))

    def plain():
        learn(multinomial_log_likelihood(F.linear(hidden, weight, bias), bags).sum())

    low = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32
    h, w = hidden.detach().to(low), weight.detach().to(low)
    of_h, of_w = torch.empty_like(h), torch.empty_like(w)
    # Rows that begin at multiples of 64 bytes are written faster: a floor takes the faster way.
    logits = h.new_empty(ROWS, -(-n_items // 32) * 32)[:, :n_items]

    def floor():
        torch.mm(h, w.T, out=logits)
        torch.mm(logits, w, out=of_h)
        torch.mm(logits.T, h, out=of_w)

    return {"fused": fused, "plain": plain, "floor": floor}[method]


def measure(method: str, precision: str, units: int, n_items: int, repeats: int) -> dict:
    """Median and fastest seconds of a step, and the peak that the steps add; in this process."""
    torch.set_num_threads(1)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        step = steps(method, units, n_items)
        before, seconds = peak_mb(), []
        for _ in range(repeats + 1):
            start = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - start)
    seconds = sorted(seconds[1:])  # the first one warms up
    return {"median": seconds[len(seconds) // 2], "fastest": seconds[0], "mb": peak_mb() - before}


def in_own_process(*case) -> dict:
    """`measure` in a fresh interpreter."""
    done = subprocess.run([sys.executable, __file__, "--measure", json.dumps(case)], check=True,
                          capture_output=True, text=True)
    return json.loads(done.stdout)


def one_row(precision: str, units: int, n_items: int, repeats: int) -> dict:
    """All methods of one case, as ratios and as raw numbers."""
    found = {method: in_own_process(method, precision, units, n_items, repeats) for method in METHODS}
    fused, plain, floor = (found[method] for method in METHODS)
    row = {"time_plain_over_fused": plain["median"] / fused["median"],
           "time_fused_over_floor": fused["median"] / floor["median"],
           "memory_plain_over_fused": plain["mb"] / fused["mb"]}
    for method, values in found.items():
        row |= {f"{method}_ms": 1000 * values["median"], f"{method}_fastest_ms": 1000 * values["fastest"],
                f"{method}_mb": values["mb"]}
    row = {name: round(value, 3) if isinstance(value, float) else value for name, value in row.items()}
    return row | {"rows": ROWS, "repeats": repeats, "torch": torch.__version__,
                  "machine": platform.machine()}


def main() -> None:
    """Print the table; append what is new to it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=ITEMS)
    parser.add_argument("--units", type=int, nargs="+", default=UNITS)
    parser.add_argument("--precision", nargs="+", default=PRECISIONS, choices=PRECISIONS)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--dry", action="store_true", help="write nothing")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(*json.loads(options.measure))))
        return
    table = fill(None if options.dry else TABLE, KEY,
                 itertools.product(options.precision, options.units, options.items),
                 partial(one_row, repeats=options.repeats))
    print(table.drop(columns=["rows", "torch", "machine"]).to_string(index=False))


if __name__ == "__main__":
    main()

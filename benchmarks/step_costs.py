"""Who pays in a training step of MVAE: seconds of each part, for catalogues of 1,000 to 100,000 items.

    python benchmarks/step_costs.py                          # all cases, fifteen minutes on a quiet machine
    python benchmarks/step_costs.py --items 3500 --users 500 --precision float32 --dry   # one, not written

A step is what `vr.fit` does with one batch, without Lightning: loss, gradients, Adam. Its parts are
timed by themselves, forward and backward, on the same random histories of 100 items:

gather   the first layer, `BagLinear`: adds up rows of weights, and the gradient of all rows
hidden   the layers from H to 2 L and from L to H, with the sample in between
output   the last layer with its softmax, `linear_multinomial`
adam     torch's fused Adam on all weights; its sums stay in float32 whatever the precision

``step_ms`` is the whole step, measured as one. Each number is the fastest of some rounds over all parts,
in CPU seconds of one thread (`time.process_time`), so that a busy second core disturbs little. Each case
has a process of its own. ``gmacs`` (10^9 multiply-adds a second, a product of matrices of 2,048 x 2,048 in
the case's precision) and ``gigabytes`` (10^9 bytes read and written a second, one vector of 256 MB added to
another) say what the machine can do meanwhile: the chapter computes the floor of each part from them.
``large_pages_ms`` is the step once more with large pages of memory, which THP_MEM_ALLOC_ENABLE=1 makes
PyTorch ask for. Appends one row a case to step_costs.csv and skips rows that are there.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from sweep import fill

import vaerec as vr
from vaerec.batches import Bags
from vaerec.kernels import linear_multinomial

TABLE = Path(__file__).with_suffix(".csv")
ITEMS, USERS, PRECISIONS = (1_000, 3_500, 10_000, 35_000, 100_000), (50, 500), ("float32", "bfloat16")
HUGE_PAGES = "THP_MEM_ALLOC_ENABLE"
PER_USER, UNITS, LATENT = 100, 600, 200
KEY = ["precision", "users", "items"]


def milliseconds(actions: dict[str, Callable], rounds: int) -> dict[str, float]:
    """CPU milliseconds of the fastest call of each; the first round, which warms up, does not count."""
    fastest = dict.fromkeys(actions, float("inf"))
    for warm in [False] + [True] * rounds:
        for name, action in actions.items():
            start = time.process_time()
            action()
            taken = 1000 * (time.process_time() - start)
            if warm:
                fastest[name] = min(fastest[name], taken)
    return fastest


def parts(n_users: int, n_items: int, low: torch.autocast) -> dict[str, Callable]:
    """The parts of a step and the whole, as functions to be timed; forward passes run under ``low``."""
    generator = torch.Generator().manual_seed(0)
    model = vr.models.MVAE(n_items, hidden_dims=(UNITS,), latent_dim=LATENT)
    items = torch.randint(n_items, (n_users * PER_USER,), generator=generator)
    bags = Bags(items, torch.arange(0, len(items) + 1, PER_USER))
    read = torch.randn(n_users, UNITS, generator=generator)
    last = model.decoder[-1]
    adam = torch.optim.Adam(model.parameters(), fused=True)

    def forget(*layers) -> None:
        for weights in itertools.chain(*(layer.parameters() for layer in layers)):
            weights.grad = None

    def gather():
        forget(model.first)
        with low:
            summed = model.first(bags)
        summed.backward(read)

    def hidden():
        forget(model.encoder, model.decoder[:-1])
        rows = read.clone().requires_grad_()
        with low:
            mu, logvar = model.encoder(rows.tanh()).chunk(2, dim=1)
            taste = model.decoder[:-1](model.sample(mu, logvar))
        taste.backward(read.to(taste.dtype))

    def output():
        forget(last)
        rows = read.clone().requires_grad_()
        with low:
            loss = -linear_multinomial(rows, last.weight, last.bias, bags) / n_users
        loss.backward()

    def step():
        forget(model)
        with low:
            loss = model.loss(bags, progress=0.5)[0]
        loss.backward()
        adam.step()

    step()  # so that each weight has a gradient for Adam alone
    return {"adam": adam.step, "gather": gather, "hidden": hidden, "output": output, "step": step}


def measure(precision: str, n_users: int, n_items: int, rounds: int) -> dict[str, float]:
    """All parts of one case, and what the machine can do meanwhile; in this process."""
    torch.set_num_threads(1)
    square = torch.randn(2048, 2048).to(getattr(torch, precision))
    one, other = torch.ones(2**26), torch.ones(2**26)
    low = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16")
    actions = {"product": lambda: torch.mm(square, square), "moved": lambda: one.add_(other)}
    of_step = parts(n_users, n_items, low)
    if HUGE_PAGES in os.environ:
        return milliseconds({"large_pages_ms": of_step["step"]}, rounds)
    taken = milliseconds(actions | of_step, rounds)
    product, moved = taken.pop("product"), taken.pop("moved")
    row = {"gmacs": 2048**3 / product / 1e6, "gigabytes": 3 * 4 * 2**26 / moved / 1e6}
    return row | {f"{name}_ms": value for name, value in taken.items()}


def in_own_process(*case, **environment) -> dict[str, float]:
    """`measure` in a fresh interpreter."""
    done = subprocess.run([sys.executable, __file__, "--measure", json.dumps(case)], check=True,
                          capture_output=True, text=True, env=os.environ | environment)
    return json.loads(done.stdout)


def one_row(*case, rounds: int) -> dict:
    """One case, without and with large pages."""
    found = in_own_process(*case, rounds) | in_own_process(*case, rounds, **{HUGE_PAGES: "1"})
    row = {name: round(value, 3) for name, value in found.items()}
    return row | {"per_user": PER_USER, "units": UNITS, "latent": LATENT, "rounds": rounds, "threads": 1,
                  "torch": torch.__version__, "machine": platform.machine()}


def main() -> None:
    """Print the table; append what is new to it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=ITEMS)
    parser.add_argument("--users", type=int, nargs="+", default=USERS, help="in a batch")
    parser.add_argument("--precision", nargs="+", default=PRECISIONS, choices=PRECISIONS)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--dry", action="store_true", help="write nothing")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(*json.loads(options.measure))))
        return
    table = fill(None if options.dry else TABLE, KEY,
                 itertools.product(options.precision, options.users, options.items),
                 partial(one_row, rounds=options.rounds))
    print(table.drop(columns=["torch", "machine"]).to_string(index=False))


if __name__ == "__main__":
    main()

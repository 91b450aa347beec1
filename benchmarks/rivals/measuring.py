"""What all workers of rivals.py share; needs numpy and torch alone, which each environment has."""

from __future__ import annotations

import json
import re
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

ROWS, HIDDEN, REPEATS = 500, 600, 5
STATUS = Path("/proc/self/status")


def now() -> float:
    """Seconds of the processor on one thread, which others disturb little, and of the clock on several."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def seconds(work: Callable[[], object]) -> float:
    """What one call takes, by `now`."""
    start = now()
    work()
    return now() - start


def fastest(work: Callable[[], object], repeats: int = REPEATS) -> float:
    """Of some calls."""
    return min(seconds(work) for _ in range(repeats))


def gemm_rate(n_items: int, dtype: torch.dtype) -> float:
    """Multiply-adds a second of the last layer's three products, which are most of the work of a step."""
    hidden, weight = torch.randn(ROWS, HIDDEN).to(dtype), torch.randn(n_items, HIDDEN).to(dtype)
    # Rows that begin at multiples of 64 bytes are written faster: a floor takes the faster way.
    logits = torch.empty(ROWS, -(-n_items // 32) * 32, dtype=dtype)[:, :n_items]
    of_hidden, of_weight = torch.empty_like(hidden), torch.empty_like(weight)

    def products():
        torch.mm(hidden, weight.T, out=logits)
        torch.mm(logits, weight, out=of_hidden)
        torch.mm(logits.T, hidden, out=of_weight)

    return 3 * ROWS * HIDDEN * n_items / fastest(products, 9)


def peak_mb() -> float:
    """Largest resident size of this process so far."""
    if STATUS.exists():  # Linux, where getrusage would hand a child the peak of its parent
        return int(re.search(r"VmHWM:\s*(\d+) kB", STATUS.read_text())[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def read_pairs(path: Path) -> np.ndarray:
    """The (user, item) pairs of a file that rivals.py handed over, [N, 2]."""
    return np.loadtxt(path, dtype=np.int64, skiprows=1, ndmin=2)


def write(folder: Path, scores: np.ndarray, **values: float) -> None:
    """Leave the figures and the test users' scores [U, I], which rivals.py reads."""
    np.save(folder / "scores.npy", scores.astype(np.float32))
    (folder / "result.json").write_text(json.dumps(values))

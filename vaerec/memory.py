"""How much memory there is to ask for."""

from __future__ import annotations

import os
from pathlib import Path

# Where Linux says how much a container may have: version 2 of control groups, then version 1.
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def total_memory() -> int | None:
    """Bytes of memory of this machine or container, in use or not; None where the system does not say."""
    try:
        there = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    except (AttributeError, ValueError, OSError):
        there = []
    for path in LIMITS:
        try:
            there.append(int(path.read_text()))
        except (OSError, ValueError):  # no such file, or it says "max"
            continue
    return min(there, default=None)

"""The formulas of the ranking metrics, and nothing else: of each user's list, and of all lists together.

B users, K ranks, I items.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def find_hits(lists: Tensor, targets: list[np.ndarray], n_items: int) -> Tensor:
    """Is the item at each rank a target? [B, K] -> bool [B, K]."""
    rows = np.repeat(np.arange(len(targets)), [len(t) for t in targets])
    is_target = torch.zeros(len(targets), n_items, dtype=torch.bool, device=lists.device)
    is_target[torch.from_numpy(rows), torch.from_numpy(np.concatenate(targets))] = True
    return is_target.gather(1, lists)


def per_user(hits: Tensor, shown: Tensor, information: Tensor, targets: list[np.ndarray],
             ks: list[int]) -> dict[str, np.ndarray]:
    """Per-user metrics, each [B], from hits, shown and -log2 popularity, each [B, K]."""
    n = torch.tensor([len(t) for t in targets])  # [B]
    discount = 1 / torch.arange(2, ks[-1] + 2, dtype=torch.float64).log2()  # [K]
    gain, ideal = (hits * discount).cumsum(dim=1), discount.cumsum(dim=0)
    found = hits.cumsum(dim=1).double()
    surprise = (information * shown).cumsum(dim=1)
    length = shown.cumsum(dim=1).clamp(min=1)
    columns = {}
    for k in ks:
        best = n.clamp(max=k)
        columns |= {
            f"ndcg@{k}": gain[:, k - 1] / ideal[best - 1],
            f"recall@{k}": found[:, k - 1] / best,
            f"recall_all@{k}": found[:, k - 1] / n,
            f"precision@{k}": found[:, k - 1] / k,
            f"novelty@{k}": surprise[:, k - 1] / length[:, k - 1],
        }
    return {name: column.numpy() for name, column in columns.items()}


def of_all_lists(counts: np.ndarray, n_users: int, k: int) -> dict[str, float]:
    """coverage, gini, gini_d and overlap at k, from how many users' lists hold each item, [I]."""
    return {
        f"coverage@{k}": float((counts > 0).mean()),
        f"gini@{k}": gini(counts),
        f"gini_d@{k}": gini_d(counts),
        f"overlap@{k}": overlap(counts, n_users),
    }


def gini(counts: np.ndarray) -> float:
    """Inequality of non-negative counts [I]: 0 if all are equal, 1 - 1/I if one has everything.

    sum_i (2 i - I - 1) c_(i) / (I sum c), counts ascending, i from 1.
    """
    ascending = np.sort(counts)
    n = len(ascending)
    return float(((2 * np.arange(1, n + 1) - n - 1) @ ascending) / (n * ascending.sum()))


def gini_d(counts: np.ndarray) -> float:
    """MetaRec's "Gini diversity" of counts [I]: 1 for equal counts, over non-zero counts only.

    2 sum_i (n + 1 - i) / (n + 1) c_(i) / sum c. Since items that nobody gets do not count, a
    model that gives everyone the same list scores 1, the best value: not a measure to steer by.
    """
    ascending = np.sort(counts[counts > 0])
    n = len(ascending)
    return float(2 * ((n + 1 - np.arange(1, n + 1)) / (n + 1)) @ ascending / ascending.sum())


def overlap(counts: np.ndarray, n_users: int) -> float:
    """Mean share of common items over all pairs of users, from how many lists hold each item.

    An item in c lists is common to c (c - 1) / 2 pairs, so no pair is ever compared. Lists are
    taken to be equally long; NaN for one user.
    """
    if n_users < 2:
        return float("nan")
    return float((counts * (counts - 1)).sum() / ((n_users - 1) * counts.sum()))


def collapse_alarms(counts: np.ndarray, n_users: int, k: int) -> tuple[str, ...]:
    """Signs that all users get one list, from how many users' unmasked lists of k hold each item, [I]."""
    if n_users < 2:
        return ()
    distinct, shared = int((counts > 0).sum()), overlap(counts, n_users)
    alarms = []
    if distinct <= 1.5 * k:
        alarms.append(f"{n_users} users get {distinct} distinct items in unmasked lists of {k}")
    if shared > 0.9:
        alarms.append(f"two users share {shared:.0%} of their unmasked lists of {k}")
    return tuple(alarms)
